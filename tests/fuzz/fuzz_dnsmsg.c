/*
 * dnsmsg: any bytes parse or are refused; names survive their text form; the question and the SRV
 * records that were read can be built again and read back the same.
 */
#include <string.h>

#include "common/err.h"
#include "net/dnsmsg.h"
#include "tests/fuzz/fuzz.h"

#define CHANGES_MAX 64

static void check_name(const struct dns_name *n)
{
	char text[DNSNAME_TEXT_MAX];
	struct dns_name again;

	FUZZ_CHECK(n->len >= 1);
	FUZZ_CHECK(dns_name_parse(dns_name_format(n, text), &again) == 0);
	FUZZ_CHECK(dns_name_equal(n, &again));
	FUZZ_CHECK(dns_name_from_wire(n->wire, n->len, &again) == 0);
	FUZZ_CHECK(dns_name_equal(n, &again));
	FUZZ_CHECK(dns_name_compare(n, &again) == 0 && dns_name_is_within(n, &again));
	if (dns_name_parent(n, &again)) {
		FUZZ_CHECK(dns_name_labels(&again) + 1 == dns_name_labels(n));
		FUZZ_CHECK(dns_name_is_within(n, &again) && !dns_name_is_within(&again, n));
	}
}

static void check_rr(const struct dns_rr *rr)
{
	char text[DNS_SRV_TEXT_MAX];

	check_name(&rr->owner);
	FUZZ_CHECK(rr->ttl <= 0x7fffffff && rr->type != DNS_TYPE_OPT && rr->type != DNS_TYPE_TSIG);
	if (rr->rclass != DNS_CLASS_IN)
		return;
	switch (rr->type) {
	case DNS_TYPE_NS:
	case DNS_TYPE_CNAME:
	case DNS_TYPE_DNAME:
		check_name(&rr->data.name);
		break;
	case DNS_TYPE_SOA:
		check_name(&rr->data.soa.mname);
		break;
	case DNS_TYPE_SRV:
		check_name(&rr->data.srv.target);
		FUZZ_CHECK(strlen(dns_srv_format(&rr->data.srv, text)) > 0);
		FUZZ_CHECK(dns_srv_equal(&rr->data.srv, &rr->data.srv));
		break;
	default:
		break;
	}
}

static void rebuild_query(const struct dns_msg *m)
{
	struct dns_question q = { .name = m->qname, .type = m->qtype, .rd = m->rd };
	struct dns_msg *again = NULL;
	struct buf out;

	buf_init(&out, DNSMSG_MAX);
	FUZZ_CHECK(dnsmsg_build_query(&q, m->id, m->has_edns, &out) == 0);
	FUZZ_CHECK(dnsmsg_parse(out.data, out.len, &again) == 0);
	FUZZ_CHECK(again->id == m->id && again->rd == m->rd && again->has_edns == m->has_edns);
	FUZZ_CHECK(!again->qr && !again->aa && !again->tc && !again->ra);
	FUZZ_CHECK(again->opcode == DNS_OPCODE_QUERY && again->rcode == 0);
	FUZZ_CHECK(again->has_question && again->qtype == m->qtype);
	FUZZ_CHECK(dns_name_equal(&again->qname, &m->qname));
	if (m->qr && m->opcode == DNS_OPCODE_QUERY && m->qclass == DNS_CLASS_IN)
		FUZZ_CHECK(dnsmsg_answers(m, out.data, out.len));
	dnsmsg_free(again);
	buf_done(&out);
}

/* All SRV records that were read, as changes, adding and deleting in turn. */
static void rebuild_update(const struct dns_msg *m, const struct dns_rr *rrs, size_t n)
{
	static struct dns_change changes[CHANGES_MAX];
	struct dns_update u = { .zone = m->has_question ? m->qname : (struct dns_name){ .len = 1 },
				.changes = changes };
	struct dns_msg *again = NULL;
	const struct dns_rr *got;
	struct buf out;
	size_t n_got;

	for (size_t i = 0; i < n && u.n_changes < CHANGES_MAX; i++)
		if (rrs[i].type == DNS_TYPE_SRV && rrs[i].rclass == DNS_CLASS_IN) {
			changes[u.n_changes].op = u.n_changes % 2 == 0 ? DNS_ADD : DNS_DELETE;
			changes[u.n_changes++].rr = rrs[i];
		}
	buf_init(&out, DNSMSG_MAX);
	FUZZ_CHECK(dnsmsg_build_update(&u, m->id, &out) == 0);
	FUZZ_CHECK(dnsmsg_parse(out.data, out.len, &again) == 0);
	FUZZ_CHECK(again->opcode == DNS_OPCODE_UPDATE && !again->rd && again->id == m->id);
	got = dnsmsg_section(again, DNS_AUTHORITY, &n_got);
	FUZZ_CHECK(n_got == u.n_changes && again->count[DNS_ANSWER] == 0);
	for (size_t i = 0; i < n_got; i++) {
		bool add = changes[i].op == DNS_ADD;

		FUZZ_CHECK(got[i].rclass == (add ? DNS_CLASS_IN : DNS_CLASS_NONE));
		FUZZ_CHECK(got[i].ttl == (add ? changes[i].rr.ttl : 0));
		FUZZ_CHECK(dns_name_equal(&got[i].owner, &changes[i].rr.owner));
		FUZZ_CHECK(dns_srv_equal(&got[i].data.srv, &changes[i].rr.data.srv));
	}
	dnsmsg_free(again);
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_msg *m = NULL;
	const struct dns_rr *rrs;
	size_t n, total = 0;
	int err = dnsmsg_parse(data, size, &m);

	if (err != 0) {
		FUZZ_CHECK(err == ERR_DNS_MALFORMED && m == NULL);
		return 0;
	}
	rrs = dnsmsg_section(m, DNS_ANSWER, &n);
	for (unsigned s = 0; s < DNS_SECTION_COUNT_; s++)
		total += m->count[s];
	FUZZ_CHECK(total <= DNSMSG_RR_MAX && m->rcode <= 0xfff);
	for (size_t i = 0; i < total; i++)
		check_rr(&rrs[i]);
	(void)dnsmsg_answers(m, data, size);
	if (m->has_question) {
		check_name(&m->qname);
		rebuild_query(m);
	}
	rebuild_update(m, rrs, total);
	dnsmsg_free(m);
	return 0;
}
