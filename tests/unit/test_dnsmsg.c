#include "net/dnsmsg.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "tests/data/dnsmsg_vectors.h"
#include "tests/lib/hex.h"

#define N(a)     (sizeof(a) / sizeof((a)[0]))
#define ID       0x2a17
#define DUMP_MAX 16384

static struct dns_name name(const char *text)
{
	struct dns_name n;

	assert_int_equal(dns_name_parse(text, &n), 0);
	return n;
}

static struct dns_rr srv(uint32_t ttl, uint16_t priority, uint16_t weight, uint16_t port,
			 const char *target)
{
	struct dns_rr rr = { .owner = name("_VLMCS._tcp.corp.example"),
			     .type = DNS_TYPE_SRV,
			     .rclass = DNS_CLASS_IN,
			     .ttl = ttl };

	rr.data.srv = (struct dns_srv){
		.priority = priority, .weight = weight, .port = port, .target = name(target)
	};
	return rr;
}

static int parse(const uint8_t *wire, size_t len, struct dns_msg **ret)
{
	/* exactly as long as it is, so that ASan sees any read past the end */
	uint8_t *exact = malloc(len > 0 ? len : 1);
	int err;

	if (len > 0)
		memcpy(exact, wire, len);
	*ret = NULL;
	err = dnsmsg_parse(exact, len, ret);
	free(exact);
	return err;
}

static void dump_rr(FILE *f, unsigned section, const struct dns_rr *rr)
{
	char owner[DNSNAME_TEXT_MAX], data[DNS_SRV_TEXT_MAX] = "-", type[16];
	const struct dns_soa *soa = &rr->data.soa;
	bool has_data = rr->rclass == DNS_CLASS_IN || rr->rclass == DNS_CLASS_NONE;

	fprintf(f, "%u %s %u %u %s ", section, dns_name_format(&rr->owner, owner), rr->ttl,
		rr->rclass, dns_type_name(rr->type, type));
	switch (has_data ? rr->type : 0) {
	case DNS_TYPE_A:
		inet_ntop(AF_INET, &rr->data.a, data, sizeof(data));
		break;
	case DNS_TYPE_AAAA:
		inet_ntop(AF_INET6, &rr->data.aaaa, data, sizeof(data));
		break;
	case DNS_TYPE_NS:
	case DNS_TYPE_CNAME:
	case DNS_TYPE_DNAME:
		dns_name_format(&rr->data.name, data);
		break;
	case DNS_TYPE_SRV:
		if (dns_name_is_set(&rr->data.srv.target))
			dns_srv_format(&rr->data.srv, data);
		break;
	case DNS_TYPE_SOA:
		fprintf(f, "%s %u %u %u %u %u\n", dns_name_format(&soa->mname, data), soa->serial,
			soa->refresh, soa->retry, soa->expire, soa->minimum);
		return;
	case DNS_TYPE_RRSIG:
		fprintf(f, "labels=%u\n", rr->data.rrsig_labels);
		return;
	default:
		break;
	}
	fprintf(f, "%s\n", data);
}

/* The text form that make_dnsmsg_vectors.py writes of dnspython's messages. */
static void dump(const struct dns_msg *m, char out[DUMP_MAX])
{
	FILE *f = fmemopen(out, DUMP_MAX, "w");
	char text[DNSNAME_TEXT_MAX], type[16];

	fprintf(f, "%u op=%u rcode=%u%s%s%s%s%s%s\n", m->id, m->opcode, m->rcode,
		m->qr ? " QR" : "", m->aa ? " AA" : "", m->tc ? " TC" : "", m->rd ? " RD" : "",
		m->ra ? " RA" : "", m->has_edns ? " EDNS" : "");
	if (m->has_question)
		fprintf(f, "? %s %s %u\n", dns_name_format(&m->qname, text),
			dns_type_name(m->qtype, type), m->qclass);
	for (unsigned s = 0; s < DNS_SECTION_COUNT_; s++) {
		size_t n;
		const struct dns_rr *rr = dnsmsg_section(m, (enum dns_section)s, &n);

		for (size_t i = 0; i < n; i++)
			dump_rr(f, s, &rr[i]);
	}
	fclose(f);
}

static void t_messages_of_dnspython_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(dnsmsg_parse_vectors); i++) {
		static uint8_t wire[DNSMSG_MAX];
		static char said[DUMP_MAX];
		const struct dnsmsg_parse_vector *v = &dnsmsg_parse_vectors[i];
		size_t len = hex_decode(v->wire, wire, sizeof(wire));
		struct dns_msg *m;

		if (parse(wire, len, &m) != 0)
			fail_msg("%s does not parse", v->label);
		dump(m, said);
		if (strcmp(said, v->dump) != 0)
			fail_msg("%s:\n%swanted:\n%s", v->label, said, v->dump);
		dnsmsg_free(m);
	}
}

static void t_every_cut_of_a_message_is_malformed(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(dnsmsg_parse_vectors); i++) {
		static uint8_t wire[DNSMSG_MAX];
		size_t len = hex_decode(dnsmsg_parse_vectors[i].wire, wire, sizeof(wire));

		for (size_t n = 0; n < len; n++) {
			struct dns_msg *m;
			int err = parse(wire, n, &m);

			/* within the question of a TC=1 message, too */
			if (err != ERR_DNS_MALFORMED || m != NULL)
				fail_msg("%s cut to %zu: %s", dnsmsg_parse_vectors[i].label, n,
					 err_name(err));
		}
	}
}

static void t_U18_a_truncated_message_may_end_anywhere(void **state)
{
	static uint8_t wire[DNSMSG_MAX];
	size_t len = hex_decode(dnsmsg_parse_vectors[0].wire, wire, sizeof(wire)), kept = 0;

	(void)state;
	wire[2] |= 0x02;
	for (size_t n = 12 + 30; n <= len; n++) {
		struct dns_msg *m;
		size_t total;

		assert_int_equal(parse(wire, n, &m), 0);
		assert_true(m->tc && m->has_question);
		total = m->count[DNS_ANSWER] + m->count[DNS_AUTHORITY] + m->count[DNS_ADDITIONAL];
		assert_true(total == kept || total == kept + 1);
		kept = total;
		dnsmsg_free(m);
	}
	assert_int_equal(kept, 8);
}

/* Headers: flags of an answer, and the four counts. */
#define HEAD(qd, an, ns, ar) "2a17 8400 " qd an ns ar
#define ONE_ANSWER           HEAD("0000", "0001", "0000", "0000")
#define ONE_ADDITIONAL       HEAD("0000", "0000", "0000", "0001")
#define OPT                  "00 0029 04d0 00000000 0000"
#define TSIG                 "00 00fa 00ff 00000000 0000"
#define A_RR                 "00 0001 0001 00000000 0004 7f000001"

static const struct {
	const char *what, *wire;
	int err;
} malformed_rows[] = {
	{ "header alone", HEAD("0000", "0000", "0000", "0000"), 0 },
	{ "one A", ONE_ANSWER A_RR, 0 },
	{ "trailing octet", ONE_ANSWER A_RR "00", ERR_DNS_MALFORMED },
	{ "two questions", HEAD("0002", "0000", "0000", "0000") "00 0001 0001 00 0001 0001",
	  ERR_DNS_MALFORMED },
	{ "count too high", HEAD("0000", "0002", "0000", "0000") A_RR, ERR_DNS_MALFORMED },
	{ "counts absurd", HEAD("0000", "ffff", "ffff", "ffff") A_RR, ERR_DNS_MALFORMED },
	{ "count too low", HEAD("0000", "0000", "0000", "0000") A_RR, ERR_DNS_MALFORMED },

	{ "A of 3", ONE_ANSWER "00 0001 0001 00000000 0003 7f0000", ERR_DNS_MALFORMED },
	{ "A of 5", ONE_ANSWER "00 0001 0001 00000000 0005 7f00000100", ERR_DNS_MALFORMED },
	{ "A of 0", ONE_ANSWER "00 0001 0001 00000000 0000", ERR_DNS_MALFORMED },
	{ "A, class NONE, of 0", ONE_ANSWER "00 0001 00fe 00000000 0000", 0 },
	{ "A, class NONE, of 3", ONE_ANSWER "00 0001 00fe 00000000 0003 7f0000",
	  ERR_DNS_MALFORMED },
	{ "A, class CH, of 3", ONE_ANSWER "00 0001 0003 00000000 0003 7f0000", 0 },
	{ "A cut by the end", ONE_ANSWER "00 0001 0001 00000000 0004 7f0000", ERR_DNS_MALFORMED },
	{ "AAAA of 15",
	  ONE_ANSWER "00 001c 0001 00000000 000f 20010db800000000000000000000"
		     "00",
	  ERR_DNS_MALFORMED },
	{ "AAAA of 4", ONE_ANSWER "00 001c 0001 00000000 0004 7f000001", ERR_DNS_MALFORMED },

	{ "SRV of 7", ONE_ANSWER "00 0021 0001 00000000 0007 0001 0002 0003 00", 0 },
	{ "SRV of 6", ONE_ANSWER "00 0021 0001 00000000 0006 0001 0002 0003", ERR_DNS_MALFORMED },
	{ "SRV of 5", ONE_ANSWER "00 0021 0001 00000000 0005 0001 0002 00", ERR_DNS_MALFORMED },
	{ "SRV of 0", ONE_ANSWER "00 0021 0001 00000000 0000", ERR_DNS_MALFORMED },
	{ "SRV, more", ONE_ANSWER "00 0021 0001 00000000 0008 0001 0002 0003 00 00",
	  ERR_DNS_MALFORMED },
	{ "SRV, target runs out of RDATA",
	  HEAD("0000", "0002", "0000", "0000") "00 0021 0001 00000000 0007 0001 0002 0003 01" A_RR,
	  ERR_DNS_MALFORMED },
	{ "SRV, target is half a pointer",
	  ONE_ANSWER "00 0021 0001 00000000 0007 0001 0002 0003 c0", ERR_DNS_MALFORMED },
	{ "SRV, target points at itself",
	  ONE_ANSWER "00 0021 0001 00000000 0008 0001 0002 0003 c01d", ERR_DNS_MALFORMED },
	{ "SRV, target points forwards",
	  ONE_ANSWER "00 0021 0001 00000000 0008 0001 0002 0003 c01e", ERR_DNS_MALFORMED },
	{ "SRV, target points past the end",
	  ONE_ANSWER "00 0021 0001 00000000 0008 0001 0002 0003 ffff", ERR_DNS_MALFORMED },
	{ "SRV, target points back at the owner",
	  ONE_ANSWER "00 0021 0001 00000000 0008 0001 0002 0003 c00c", 0 },
	{ "SRV, target with a bit label",
	  ONE_ANSWER "00 0021 0001 00000000 0009 0001 0002 0003 4100 00", ERR_DNS_MALFORMED },

	{ "NS of 0", ONE_ANSWER "00 0002 0001 00000000 0000", ERR_DNS_MALFORMED },
	{ "CNAME, two names", ONE_ANSWER "00 0005 0001 00000000 0002 0000", ERR_DNS_MALFORMED },
	{ "SOA",
	  ONE_ANSWER "00 0006 0001 00000000 0016 0000 00000001 00000002 00000003 "
		     "00000004 00000005",
	  0 },
	{ "SOA, cut in the last number",
	  ONE_ANSWER "00 0006 0001 00000000 0015 0000 00000001 00000002 00000003 00000004 000000",
	  ERR_DNS_MALFORMED },
	{ "SOA, cut after MNAME", ONE_ANSWER "00 0006 0001 00000000 0001 00", ERR_DNS_MALFORMED },
	{ "SOA, more",
	  ONE_ANSWER "00 0006 0001 00000000 0017 0000 00000001 00000002 "
		     "00000003 00000004 00000005 00",
	  ERR_DNS_MALFORMED },
	{ "RRSIG without a signature",
	  ONE_ANSWER "00 002e 0001 00000000 0013 0021 08 03 "
		     "0000012c 00000000 00000000 0001 00",
	  ERR_DNS_MALFORMED },
	{ "RRSIG of 2", ONE_ANSWER "00 002e 0001 00000000 0002 0021", ERR_DNS_MALFORMED },
	{ "unknown type, odd RDATA", ONE_ANSWER "00 fff0 0001 00000000 0003 c0c0c0", 0 },
	{ "LOC, which ldns would refuse", ONE_ANSWER "00 001d 0001 00000000 0001 ff", 0 },

	{ "owner points at itself", ONE_ANSWER "c00c 0001 0001 00000000 0004 7f000001",
	  ERR_DNS_MALFORMED },
	{ "owner points into the header", ONE_ANSWER "c008 0001 0001 00000000 0004 7f000001",
	  ERR_DNS_MALFORMED },
	{ "owner points forwards", ONE_ANSWER "c00e 0001 0001 00000000 0004 7f000001",
	  ERR_DNS_MALFORMED },
	{ "owner loops over two", HEAD("0001", "0001", "0000", "0000") "0161 c00c 0001 0001" A_RR,
	  ERR_DNS_MALFORMED },
	{ "owner without an end", ONE_ANSWER "3f61", ERR_DNS_MALFORMED },
	{ "label type 10", ONE_ANSWER "80 0001 0001 00000000 0004 7f000001", ERR_DNS_MALFORMED },

	{ "OPT", ONE_ADDITIONAL OPT, 0 },
	{ "OPT in the answer", ONE_ANSWER OPT, ERR_DNS_MALFORMED },
	{ "OPT twice", HEAD("0000", "0000", "0000", "0002") OPT OPT, ERR_DNS_MALFORMED },
	{ "OPT with an owner", ONE_ADDITIONAL "0161" OPT, ERR_DNS_MALFORMED },
	{ "TSIG", ONE_ADDITIONAL TSIG, 0 },
	{ "TSIG after OPT", HEAD("0000", "0000", "0000", "0002") OPT TSIG, 0 },
	{ "OPT after TSIG", HEAD("0000", "0000", "0000", "0002") TSIG OPT, ERR_DNS_MALFORMED },
	{ "TSIG in the answer", ONE_ANSWER TSIG, ERR_DNS_MALFORMED },
};

static void t_S07_malformed_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(malformed_rows); i++) {
		uint8_t wire[512];
		struct dns_msg *m;
		int err = parse(wire, hex_decode(malformed_rows[i].wire, wire, sizeof(wire)), &m);

		if (err != malformed_rows[i].err)
			fail_msg("%s: %s", malformed_rows[i].what, err_name(err));
		dnsmsg_free(m);
	}
}

/* RFC 2782 forbids compressed targets, and some servers send them; pointers may lead to pointers.
 */
static void t_S07_compressed_targets_are_read(void **state)
{
	static const char wire[] = HEAD("0001", "0003", "0000", "0000")
		/* 12: _vlmcs._tcp.corp.example, with corp at 24 and example at 29 */
		"065f766c6d6373 045f746370 04636f7270 076578616d706c65 00 0021 0001"
		/* its target at 60: kms1.corp.example */
		"c00c 0021 0001 0000003c 000d 0000 0000 0698 046b6d7331 c018"
		/* another one: a name that is a pointer, and one that goes on by two pointers */
		"c00c 0021 0001 0000003c 0008 0000 0000 0698 c03c"
		"c00c 0021 0001 0000003c 000a 0000 0000 0698 0161 c03c";
	static const char *const targets[] = { "kms1.corp.example", "kms1.corp.example",
					       "a.kms1.corp.example" };
	uint8_t bytes[512];
	struct dns_msg *m;

	(void)state;
	assert_int_equal(parse(bytes, hex_decode(wire, bytes, sizeof(bytes)), &m), 0);
	assert_int_equal(m->count[DNS_ANSWER], 3);
	for (size_t i = 0; i < N(targets); i++) {
		struct dns_name want = name(targets[i]);

		assert_true(dns_name_equal(&m->rrs[i].data.srv.target, &want));
		assert_int_equal(m->rrs[i].data.srv.port, 1688);
	}
	dnsmsg_free(m);
}

static void t_S12_edges_of_values(void **state)
{
	uint8_t wire[512];
	struct dns_msg *m;
	size_t n;

	(void)state;
	/* RFC 2181 §8 */
	n = hex_decode(HEAD("0000", "0002", "0000", "0000") "00 0001 0001 80000000 0004 7f000001"
							    "00 0001 0001 7fffffff 0004 7f000001",
		       wire, sizeof(wire));
	assert_int_equal(parse(wire, n, &m), 0);
	assert_int_equal(m->rrs[0].ttl, 0);
	assert_int_equal(m->rrs[1].ttl, 0x7fffffff);
	dnsmsg_free(m);

	/* the RCODE's high bits are in OPT: 0xabc with 0xc in the header */
	n = hex_decode("2a17 840c 0000 0000 0000 0001 00 0029 04d0 ab000000 0000", wire,
		       sizeof(wire));
	assert_int_equal(parse(wire, n, &m), 0);
	assert_int_equal(m->rcode, 0xabc);
	assert_int_equal(m->count[DNS_ADDITIONAL], 0);
	dnsmsg_free(m);

	assert_int_equal(dnsmsg_parse(NULL, 0, &m), ERR_DNS_MALFORMED);
}

static size_t put_header(uint8_t *wire, unsigned an)
{
	memset(wire, 0, 12);
	wire[2] = 0x84;
	wire[6] = (uint8_t)(an >> 8);
	wire[7] = (uint8_t)an;
	return 12;
}

static void t_more_records_than_the_limit(void **state)
{
	static uint8_t wire[DNSMSG_MAX];

	(void)state;
	for (unsigned records = DNSMSG_RR_MAX; records <= DNSMSG_RR_MAX + 1; records++) {
		size_t len = put_header(wire, records);
		struct dns_msg *m;

		for (unsigned i = 0; i < records; i++) {
			memset(wire + len, 0, 15);
			wire[len + 2] = DNS_TYPE_A;
			wire[len + 4] = DNS_CLASS_IN;
			wire[len + 10] = 4;
			len += 15;
		}
		assert_int_equal(parse(wire, len, &m),
				 records > DNSMSG_RR_MAX ? ERR_DNS_MALFORMED : 0);
		if (m != NULL)
			assert_int_equal(m->count[DNS_ANSWER], DNSMSG_RR_MAX);
		dnsmsg_free(m);
	}
	assert_int_equal(dnsmsg_parse(wire, DNSMSG_MAX + 1, &(struct dns_msg *){ NULL }),
			 ERR_DNS_MALFORMED);
}

/*
 * A chain of pointers in an RDATA that nobody reads, and an owner at its end: each of a few
 * thousand records would make libldns follow up to 8,000 of them.
 */
static void t_S07_long_pointer_chains_are_refused(void **state)
{
	static uint8_t wire[DNSMSG_MAX];

	(void)state;
	for (unsigned hops = 126; hops <= 127; hops++) {
		size_t len = put_header(wire, 2), chain, last;
		struct dns_msg *m;

		memcpy(wire + len, "\0\xff\xf0\0\1\0\0\0\0", 9);
		wire[len + 9] = (uint8_t)((hops * 2 + 1) >> 8);
		wire[len + 10] = (uint8_t)(hops * 2 + 1);
		chain = last = len + 11;
		wire[chain] = 0; /* the root; then pointers, each at the one before */
		len = chain + 1;
		for (unsigned i = 0; i < hops; i++) {
			wire[len] = (uint8_t)(0xc0 | last >> 8);
			wire[len + 1] = (uint8_t)last;
			last = len;
			len += 2;
		}
		/* one more hop, as the owner */
		wire[len] = (uint8_t)(0xc0 | last >> 8);
		wire[len + 1] = (uint8_t)last;
		memcpy(wire + len + 2, "\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1", 14);
		assert_int_equal(parse(wire, len + 16, &m), hops < 127 ? 0 : ERR_DNS_MALFORMED);
		if (m != NULL)
			assert_true(dns_name_is_root(&m->rrs[1].owner));
		dnsmsg_free(m);
	}
}

/* A first owner of 193 octets; a second that adds @p extra octets in front of it. */
static size_t put_long_name(uint8_t *wire, size_t extra)
{
	size_t len = put_header(wire, 2);

	for (int i = 0; i < 3; i++, len += 64) {
		wire[len] = 63;
		memset(wire + len + 1, 'a', 63);
	}
	memcpy(wire + len, "\0\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1", 15);
	len += 15;
	wire[len] = (uint8_t)(extra - 1);
	memset(wire + len + 1, 'b', extra - 1);
	len += extra;
	memcpy(wire + len, "\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1", 16);
	return len + 16;
}

static void t_S07_names_past_255_octets(void **state)
{
	uint8_t wire[512];
	struct dns_msg *m;

	(void)state;
	assert_int_equal(parse(wire, put_long_name(wire, 62), &m), 0);
	assert_int_equal(m->rrs[1].owner.len, 255);
	dnsmsg_free(m);
	assert_int_equal(parse(wire, put_long_name(wire, 63), &m), ERR_DNS_MALFORMED);
	assert_int_equal(parse(wire, put_long_name(wire, 64), &m), ERR_DNS_MALFORMED);
}

static void assert_built(const char *label, int err, struct buf *out)
{
	uint8_t wire[512];

	assert_int_equal(err, 0);
	for (size_t i = 0; i < N(dnsmsg_build_vectors); i++) {
		size_t len;

		if (strcmp(dnsmsg_build_vectors[i].label, label) != 0)
			continue;
		len = hex_decode(dnsmsg_build_vectors[i].wire, wire, sizeof(wire));
		if (out->len != len || memcmp(out->data, wire, len) != 0) {
			for (size_t j = 0; j < out->len; j++)
				print_error("%02x", out->data[j]);
			fail_msg(" is not %s:\n%s", label, dnsmsg_build_vectors[i].wire);
		}
		buf_done(out);
		return;
	}
	fail_msg("no vector %s", label);
}

static void t_queries_are_as_dnspython_makes_them(void **state)
{
	struct dns_question q = { .name = name("_vlmcs._tcp.Corp.example"), .type = DNS_TYPE_SRV };
	struct buf out;

	(void)state;
	buf_init(&out, DNSMSG_MAX);
	assert_built("query", dnsmsg_build_query(&q, ID, false, &out), &out);
	q = (struct dns_question){ name("kms1.corp.example"), DNS_TYPE_AAAA, true };
	assert_built("query-rd-edns", dnsmsg_build_query(&q, ID, true, &out), &out);
	q = (struct dns_question){ name("."), DNS_TYPE_NS, true };
	assert_built("query-root", dnsmsg_build_query(&q, ID, false, &out), &out);
	q.name.len = 0; /* a name that was never set */
	assert_int_equal(dnsmsg_build_query(&q, ID, false, &out), ERR_INTERNAL);
}

static void t_L01_U07_updates_are_as_dnspython_makes_them(void **state)
{
	struct dns_change add0 = { DNS_ADD, srv(3600, 0, 10, 1688, "KMS1.corp.example") };
	struct dns_change add10 = { DNS_ADD, srv(3600, 10, 10, 1688, "kms1.corp.example") };
	struct dns_change del0 = { DNS_DELETE, srv(3600, 0, 10, 1688, "kms1.corp.example") };
	struct dns_change dot = { DNS_ADD, srv(300, 0, 0, 1688, ".") };
	struct dns_rr prereq[2] = { srv(3600, 0, 10, 1688, "kms1.corp.example"),
				    srv(3600, 65535, 65535, 65535, "kms2.other.test") };
	struct dns_change changes[2] = { add0 };
	struct dns_update u = { .zone = name("corp.example"), .changes = changes, .n_changes = 1 };
	struct buf out;

	(void)state;
	buf_init(&out, DNSMSG_MAX);
	assert_built("update-add", dnsmsg_build_update(&u, ID, &out), &out);
	u.n_changes = 2;
	changes[0] = del0;
	changes[1] = add10;
	assert_built("update-replace", dnsmsg_build_update(&u, ID, &out), &out);
	changes[0] = add10;
	changes[1] = del0;
	assert_built("update-add-first", dnsmsg_build_update(&u, ID, &out), &out);
	changes[0] = del0;
	u.n_changes = 1;
	u.prereq = prereq;
	u.n_prereq = 2;
	assert_built("update-prereq", dnsmsg_build_update(&u, ID, &out), &out);
	u.n_prereq = 0;
	u.zone = name("_vlmcs._tcp.corp.example");
	changes[0] = dot;
	assert_built("update-apex", dnsmsg_build_update(&u, ID, &out), &out);
}

static void t_U08_L06_only_exact_deletes_and_adds_leave(void **state)
{
	struct dns_change changes[2] = { { DNS_DELETE, srv(60, 1, 2, 3, "a.corp.example") },
					 { DNS_ADD, srv(60, 4, 5, 6, "b.corp.example") } };
	struct dns_update u = { .zone = name("corp.example"), .changes = changes, .n_changes = 2 };
	const struct dns_rr *rr;
	struct dns_msg *m;
	struct buf out;
	size_t n;

	(void)state;
	/* whatever class the record carries, the operation decides */
	changes[0].rr.rclass = DNS_CLASS_ANY;
	changes[1].rr.rclass = DNS_CLASS_ANY;
	buf_init(&out, DNSMSG_MAX);
	assert_int_equal(dnsmsg_build_update(&u, ID, &out), 0);
	assert_int_equal(dnsmsg_parse(out.data, out.len, &m), 0);
	assert_int_equal(m->opcode, DNS_OPCODE_UPDATE);
	assert_false(m->rd || m->qr || m->has_edns);
	assert_int_equal(m->count[DNS_ANSWER] + m->count[DNS_ADDITIONAL], 0);
	rr = dnsmsg_section(m, DNS_AUTHORITY, &n);
	assert_int_equal(n, 2);
	assert_int_equal(rr[0].rclass, DNS_CLASS_NONE);
	assert_int_equal(rr[0].ttl, 0);
	assert_true(dns_srv_equal(&rr[0].data.srv, &changes[0].rr.data.srv));
	assert_int_equal(rr[1].rclass, DNS_CLASS_IN);
	assert_int_equal(rr[1].ttl, 60);
	assert_true(dns_srv_equal(&rr[1].data.srv, &changes[1].rr.data.srv));
	dnsmsg_free(m);

	/* no other type, no empty target: those would be other deletions */
	changes[0].rr.type = DNS_TYPE_ANY;
	assert_int_equal(dnsmsg_build_update(&u, ID, &out), ERR_INTERNAL);
	assert_int_equal(out.len, 0);
	changes[0].rr.type = DNS_TYPE_SRV;
	changes[0].rr.data.srv.target.len = 0;
	assert_int_equal(dnsmsg_build_update(&u, ID, &out), ERR_INTERNAL);
	buf_done(&out);
}

static void t_update_limits(void **state)
{
	struct dns_change *changes = calloc(DNSMSG_RR_MAX + 1, sizeof(*changes));
	struct dns_update u = { .zone = name("corp.example"), .changes = changes };
	struct buf out;

	(void)state;
	for (size_t i = 0; i <= DNSMSG_RR_MAX; i++)
		changes[i] = (struct dns_change){ DNS_ADD, srv(1, 0, 0, 1, "kms.corp.example") };
	buf_init(&out, DNSMSG_MAX);
	u.n_changes = DNSMSG_RR_MAX + 1;
	assert_int_equal(dnsmsg_build_update(&u, ID, &out), ERR_LIMIT);
	u.n_changes = DNSMSG_RR_MAX; /* too many octets */
	assert_int_equal(dnsmsg_build_update(&u, ID, &out), ERR_LIMIT);
	u.n_changes = 1000;
	assert_int_equal(dnsmsg_build_update(&u, ID, &out), 0);
	out.max = 100;
	buf_done(&out);
	assert_int_equal(dnsmsg_build_update(&u, ID, &out), ERR_LIMIT);
	buf_done(&out);
	free(changes);
}

static void t_U16_U24_what_answers_a_request(void **state)
{
	static const char question[] = "065f766c6d6373045f74637004636f7270076578616d706c6500"
				       "0021 0001";
	static const struct {
		const char *what, *flags, *qd, *question;
		bool query, update; /* answers the query, the update */
	} rows[] = {
		{ "answer", "8400", "0001", question, true, false },
		{ "in capitals", "8400", "0001",
		  "065f564c4d4353045f54435004434f5250074558414d504c4500 0021 0001", true, false },
		{ "not a response", "0400", "0001", question, false, false },
		{ "other name", "8400", "0001", "00 0021 0001", false, false },
		{ "other type", "8400", "0001",
		  "065f766c6d6373045f74637004636f7270076578616d706c6500 0001 0001", false, false },
		{ "other class", "8400", "0001",
		  "065f766c6d6373045f74637004636f7270076578616d706c6500 0021 0003", false, false },
		{ "no question, NOERROR", "8400", "0000", "", false, false },
		{ "no question, SERVFAIL", "8402", "0000", "", true, false },
		{ "error with another question", "8402", "0001", "00 0021 0001", false, false },
		{ "NOTIFY", "a400", "0001", question, false, false },
		{ "update with the zone", "a800", "0001", "04636f7270076578616d706c6500 0006 0001",
		  false, true },
		{ "update without", "a800", "0000", "", false, true },
		{ "update refused, without", "a805", "0000", "", false, true },
		{ "update of another zone", "a800", "0001", "00 0006 0001", false, false },
	};
	struct dns_question q = { name("_vlmcs._tcp.corp.example"), DNS_TYPE_SRV, false };
	struct dns_update u = { .zone = name("corp.example") };
	struct buf query, update;

	(void)state;
	buf_init(&query, DNSMSG_MAX);
	buf_init(&update, DNSMSG_MAX);
	assert_int_equal(dnsmsg_build_query(&q, ID, true, &query), 0);
	assert_int_equal(dnsmsg_build_update(&u, ID, &update), 0);
	for (size_t i = 0; i < N(rows); i++) {
		char text[256];
		uint8_t wire[256];
		struct dns_msg *m;

		(void)snprintf(text, sizeof(text), "2a17 %s %s 0000 0000 0000 %s", rows[i].flags,
			       rows[i].qd, rows[i].question);
		assert_int_equal(parse(wire, hex_decode(text, wire, sizeof(wire)), &m), 0);
		if (dnsmsg_answers(m, query.data, query.len) != rows[i].query ||
		    dnsmsg_answers(m, update.data, update.len) != rows[i].update)
			fail_msg("%s", rows[i].what);
		assert_false(dnsmsg_answers(m, query.data, 11)); /* no request at all */
		assert_false(dnsmsg_answers(m, query.data, 13)); /* nor its whole question */
		dnsmsg_free(m);
	}
	buf_done(&query);
	buf_done(&update);
}

static void t_names_of_codes(void **state)
{
	static const char *const known[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
					     "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
					     "NXRRSET", "NOTAUTH", "NOTZONE" };
	char buf[16];

	(void)state;
	for (unsigned i = 0; i < N(known); i++) {
		assert_string_equal(dns_rcode_name(i), known[i]);
		/* the sentence of an error begins with the same word */
		if (i > 0)
			assert_memory_equal(err_text(dns_rcode_err(i)), known[i], strlen(known[i]));
	}
	assert_int_equal(dns_rcode_err(0), 0);
	assert_int_equal(dns_rcode_err(11), ERR_RCODE_OTHER);
	assert_int_equal(dns_rcode_err(4095), ERR_RCODE_OTHER);
	assert_string_equal(dns_rcode_name(18), "BADTIME");
	assert_string_equal(dns_rcode_name(22), "BADTRUNC");
	assert_string_equal(dns_rcode_name(23), "RCODE23");
	assert_string_equal(dns_rcode_name(4095), "RCODE4095");
	/* both stay readable, as two arguments of one log line need it */
	assert_ptr_not_equal(dns_rcode_name(11), dns_rcode_name(12));

	assert_string_equal(dns_type_name(DNS_TYPE_SRV, buf), "SRV");
	assert_string_equal(dns_type_name(DNS_TYPE_DNAME, buf), "DNAME");
	assert_string_equal(dns_type_name(DNS_TYPE_TSIG, buf), "TSIG");
	assert_string_equal(dns_type_name(DNS_TYPE_ANY, buf), "ANY");
	assert_string_equal(dns_type_name(0, buf), "TYPE0");
	assert_string_equal(dns_type_name(65535, buf), "TYPE65535");
}

/* A record that was read goes back as it was read: PowerDNS deletes by the letter. */
static void t_U06_capitals_of_a_read_target_are_written_back(void **state)
{
	static const char upper[] = "\4KMS1\4Corp\7example";
	struct dns_update u = { .n_prereq = 0 };
	struct dns_change c = { .op = DNS_DELETE, .rr = srv(60, 0, 0, 1688, "kms1.corp.example") };
	struct dns_msg *m = NULL;
	const struct dns_rr *rr;
	struct buf out;
	size_t n;

	(void)state;
	buf_init(&out, DNSMSG_MAX);
	u.zone = name("corp.example");
	u.changes = &c;
	u.n_changes = 1;
	assert_int_equal(dnsmsg_build_update(&u, ID, &out), 0);
	assert_null(memmem(out.data, out.len, upper, sizeof(upper)));
	memcpy(&out.data[out.len - sizeof(upper)], upper, sizeof(upper));
	assert_int_equal(dnsmsg_parse(out.data, out.len, &m), 0);
	rr = dnsmsg_section(m, DNS_AUTHORITY, &n);
	assert_int_equal(n, 1);
	assert_true(dns_srv_equal(&rr->data.srv, &c.rr.data.srv));
	c.rr.data.srv = rr->data.srv;
	assert_int_equal(dnsmsg_build_update(&u, ID, &out), 0);
	assert_non_null(memmem(out.data, out.len, upper, sizeof(upper)));
	dnsmsg_free(m);
	buf_done(&out);
}

static void t_U06_srv_text_and_equality(void **state)
{
	struct dns_srv a = {
		.priority = 10, .weight = 0, .port = 1688, .target = name("KMS1.corp.Example.")
	};
	struct dns_srv b = {
		.priority = 10, .weight = 0, .port = 1688, .target = name("kms1.CORP.example")
	};
	char buf[DNS_SRV_TEXT_MAX];

	(void)state;
	assert_string_equal(dns_srv_format(&a, buf), "10 0 1688 kms1.corp.example");
	assert_true(dns_srv_equal(&a, &b));
	b.weight = 1;
	assert_false(dns_srv_equal(&a, &b));
	b = (struct dns_srv){ .priority = 11, .weight = 0, .port = 1688, .target = a.target };
	assert_false(dns_srv_equal(&a, &b));
	b = (struct dns_srv){ .priority = 10, .weight = 0, .port = 1689, .target = a.target };
	assert_false(dns_srv_equal(&a, &b));
	b = (struct dns_srv){
		.priority = 10, .weight = 0, .port = 1688, .target = name("kms2.corp.example")
	};
	assert_false(dns_srv_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_messages_of_dnspython_are_read),
		cmocka_unit_test(t_every_cut_of_a_message_is_malformed),
		cmocka_unit_test(t_U18_a_truncated_message_may_end_anywhere),
		cmocka_unit_test(t_S07_malformed_messages),
		cmocka_unit_test(t_S07_compressed_targets_are_read),
		cmocka_unit_test(t_S12_edges_of_values),
		cmocka_unit_test(t_more_records_than_the_limit),
		cmocka_unit_test(t_S07_long_pointer_chains_are_refused),
		cmocka_unit_test(t_S07_names_past_255_octets),
		cmocka_unit_test(t_queries_are_as_dnspython_makes_them),
		cmocka_unit_test(t_L01_U07_updates_are_as_dnspython_makes_them),
		cmocka_unit_test(t_U08_L06_only_exact_deletes_and_adds_leave),
		cmocka_unit_test(t_update_limits),
		cmocka_unit_test(t_U16_U24_what_answers_a_request),
		cmocka_unit_test(t_names_of_codes),
		cmocka_unit_test(t_U06_capitals_of_a_read_target_are_written_back),
		cmocka_unit_test(t_U06_srv_text_and_equality),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
