/*
 * From the bytes of servers to the verdict of an audit and its reports. The input is what three
 * servers send over TCP, one message each: two octets of length, then the message.
 *
 * Whatever it is: in pieces it is the same messages as at once; none counts with another ID or
 * another question; the verdict follows from its findings, which are bounded, in order and
 * printable; and every report can be made - valid JSON, one clean line for Nagios.
 */
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "net/dns_judge.h"
#include "net/gather.h"
#include "resolver/audit_judge.h"
#include "resolver/audit_report.h"
#include "resolver/totals.h"
#include "tests/fuzz/fuzz.h"

#define SERVERS 3

static const enum rsv_server_role roles[SERVERS] = { RSV_ROLE_NS, RSV_ROLE_NS, RSV_ROLE_RESOLVER };

static struct dns_name name_of(const char *text)
{
	struct dns_name n;

	FUZZ_CHECK(dns_name_parse(text, &n) == 0);
	return n;
}

/* ---- a stream of messages -------------------------------------------------------------------- */

struct stream {
	size_t n;   /* whole messages seen */
	size_t sum; /* of their octets and places, to compare two passes */
	const uint8_t *msg[SERVERS];
	size_t len[SERVERS];
	bool keep;
};

static size_t take_message(void *ctx, const uint8_t *data, size_t len)
{
	struct stream *s = ctx;
	size_t n;

	if (len < 2)
		return 0;
	n = (size_t)data[0] << 8 | data[1];
	if (len < n + 2)
		return 0;
	if (s->keep && s->n < SERVERS) {
		s->msg[s->n] = data + 2;
		s->len[s->n] = n;
	}
	s->n++;
	for (size_t i = 0; i < n; i++)
		s->sum = s->sum * 31 + data[2 + i] + 1;
	return n + 2;
}

static void read_stream(const uint8_t *data, size_t size, struct stream *s)
{
	struct stream pieces = { 0 };
	struct buf held;
	size_t step = 1 + size % 7;

	s->keep = true;
	for (size_t used = 0, n; (n = take_message(s, data + used, size - used)) > 0;)
		used += n;
	buf_init(&held, DNSMSG_MAX + 2);
	for (size_t at = 0; at < size && size < 8192; at += step) {
		size_t n = size - at < step ? size - at : step;

		FUZZ_CHECK(gather_feed(&held, data + at, n, take_message, &pieces) == 0);
	}
	FUZZ_CHECK(size >= 8192 || (pieces.n == s->n && pieces.sum == s->sum));
	buf_done(&held);
}

/* ---- one answer ------------------------------------------------------------------------------ */

static void check_counts(const struct dns_judgement *j, const struct dns_asked *asked,
			 const struct dns_question *q)
{
	const struct dns_msg *m = j->msg;

	FUZZ_CHECK(m != NULL && m->qr && m->id == asked->id && m->opcode == DNS_OPCODE_QUERY);
	if (m->has_question)
		FUZZ_CHECK(dns_name_equal(&m->qname, &q->name) && m->qtype == q->type &&
			   m->qclass == DNS_CLASS_IN);
	else
		FUZZ_CHECK(m->rcode != DNS_RCODE_NOERROR);
	FUZZ_CHECK(m->rcode != DNS_RCODE_NOERROR || j->err == 0 || j->err == ERR_DNS_NOT_AUTH);
}

static void take_answer(struct rsv_server_view *v, const uint8_t *data, size_t len)
{
	const struct dns_question q = { .name = name_of("_vlmcs._tcp.corp.example"),
					.type = DNS_TYPE_SRV,
					.rd = v->role == RSV_ROLE_RESOLVER };
	struct dns_judgement j;
	struct buf request;
	struct dns_asked asked = { .id = len >= 2 ? (uint16_t)(data[0] << 8 | data[1]) : 0,
				   .tcp = true };

	buf_init(&request, 512);
	FUZZ_CHECK(dnsmsg_build_query(&q, asked.id, false, &request) == 0);
	asked.request = request.data;
	asked.request_len = request.len;
	v->srv_err = ERR_TIMEOUT;
	if (dns_judge(&asked, 0, data, len, &j) == DNS_COUNTS) {
		check_counts(&j, &asked, &q);
		v->aa = j.msg->aa;
		v->srv_err = j.err;
		if (j.err != ERR_DNS_NOT_AUTH)
			v->srv_err = rsv_set_read(j.msg, &q.name, &v->set);
		dnsmsg_free(j.msg);
	} else {
		FUZZ_CHECK(j.msg == NULL);
	}
	asked.id ^= 1;
	FUZZ_CHECK(dns_judge(&asked, 0, data, len, &j) == DNS_JUNK && j.msg == NULL);
	buf_done(&request);
}

/* ---- the verdict ----------------------------------------------------------------------------- */

/** Something was found out about each target, by its port. */
static void make_targets_known(struct rsv_audit_result *r)
{
	for (size_t i = 0; i < r->n_records; i++) {
		struct rsv_audit_record *c = &r->records[i];

		c->known = c->rec.srv.port % 5 != 0;
		c->target.resolve_err = c->rec.srv.port % 5 == 1 ? ERR_RCODE_NXDOMAIN : 0;
		c->target.is_alias = c->rec.srv.port % 5 == 2;
		c->target.probed = c->rec.srv.port % 5 >= 3;
		c->target.probe.state = c->rec.srv.weight % PROBE_STATE_COUNT_;
	}
}

static void check_verdict(const struct rsv_audit_result *r)
{
	enum finding_severity worst = FINDING_INFO;

	FUZZ_CHECK(r->n_findings <= RSV_FINDINGS_MAX && r->status < RSV_STATUS_COUNT_);
	for (size_t i = 0; i < r->n_findings; i++) {
		const struct rsv_finding *f = &r->findings[i];
		enum finding_severity s = finding_info(f->id)->severity;

		FUZZ_CHECK(memchr(f->text, '\0', sizeof(f->text)) != NULL && f->text[0] != '\0');
		for (const char *p = f->text; *p != '\0'; p++)
			FUZZ_CHECK(*p >= ' ' && *p < 0x7f);
		FUZZ_CHECK(i == 0 || s <= finding_info(r->findings[i - 1].id)->severity);
		worst = s > worst ? s : worst;
	}
	if (r->status == RSV_OK_)
		FUZZ_CHECK(worst == FINDING_INFO && r->findings_dropped == 0);
	if (worst == FINDING_CRITICAL)
		FUZZ_CHECK(r->status == RSV_CRIT_ || r->status == RSV_UNKNOWN_);
	for (size_t i = 0; i < r->n_records; i++)
		FUZZ_CHECK(r->records[i].cls < RSV_CLASS_COUNT_ && r->records[i].probability >= 0 &&
			   r->records[i].probability <= 1);
}

static void check_reports(const struct rsv_audit_result *r)
{
	struct rsv_verify_totals t = { 0 };
	json_t *report = rsv_audit_report(r), *again;
	char *text = json_dumps(report, JSON_COMPACT);
	char line[RSV_NAGIOS_MAX];

	FUZZ_CHECK(report != NULL && text != NULL);
	for (const char *p = text; *p != '\0'; p++)
		FUZZ_CHECK(*p >= ' ');
	again = json_loads(text, 0, NULL);
	FUZZ_CHECK(json_equal(report, again));
	json_decref(again);
	free(text);
	json_decref(report);
	rsv_verify_totals_add(&t, 0, r);
	rsv_verify_nagios(&t, 0, line);
	FUZZ_CHECK(strchr(line, '|') != NULL && strchr(line, '|') == strrchr(line, '|'));
	for (const char *p = line; *p != '\0'; p++)
		FUZZ_CHECK(*p >= ' ' && *p < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rsv_expect own = { .target = name_of("kms1.corp.example"), .port = 1688 };
	struct rsv_judge_input in = { .own = &own, .n_own = size % 2 };
	struct rsv_server_view servers[SERVERS];
	struct rsv_audit_result r = { .servers = servers, .n_servers = SERVERS };
	struct stream s = { 0 };
	enum rsv_agreement agreement;

	read_stream(data, size, &s);
	memset(servers, 0, sizeof(servers));
	r.domain = r.zone = name_of("corp.example");
	r.has_zone = true;
	for (size_t i = 0; i < SERVERS; i++) {
		servers[i].role = roles[i];
		servers[i].has_serial = true;
		servers[i].serial = i < s.n ? (uint32_t)s.len[i] / 64 : 0;
		servers[i].srv_err = ERR_TIMEOUT;
		if (i < s.n)
			take_answer(&servers[i], s.msg[i], s.len[i]);
	}
	in.reference = rsv_judge_servers(servers, SERVERS, &r.zone, &agreement);
	if (in.reference != RSV_NO_SERVER) {
		FUZZ_CHECK(in.reference < SERVERS);
		if (servers[in.reference].set.aliased)
			in.alias_end = &servers[in.reference].set.owner;
		FUZZ_CHECK(rsv_judge_records(&r, in.reference) == 0);
		make_targets_known(&r);
	}
	FUZZ_CHECK(rsv_judge_findings(&r, &in) == 0);
	check_verdict(&r);
	check_reports(&r);
	for (size_t i = 0; i < SERVERS; i++)
		rsv_set_done(&servers[i].set);
	free(r.records);
	free(r.findings);
	return 0;
}
