#include "net/dns_client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "tests/lib/fake_tsig.h"

#define OWNER      "_vlmcs._tcp.corp.example"
#define SERVERS    3
#define QUICK_MS   30    /* an attempt's time where only silence has to pass */
#define SHORT_MS   250   /* where a reply has to come within it, on a busy machine too */
#define PATIENT_MS 20000 /* an attempt's time that no test waits for */

struct fixture {
	struct test_net t;
	struct fake_dns *server[SERVERS];
	struct dns_server list[SERVERS];
	struct dns_client_params p;
	struct dns_question question;
	struct dns_update update;
	struct dns_change change;
	struct dns_client *c;
	struct tsig_key *key;
	bool done;
	int calls;
	struct dns_outcome o;
	size_t n_answers;
	/* what the servers saw and how far a script is */
	unsigned seen;
	uint16_t ids[64];
	struct fake_dns_peer first;
	const void *arg;
};

static void on_done(struct dns_client *c, const struct dns_outcome *o)
{
	struct fixture *f = c->owner;

	f->calls++;
	f->done = true;
	f->o = *o;
	assert_null(c->impl);
	if (o->msg != NULL)
		(void)dnsmsg_section(o->msg, DNS_ANSWER, &f->n_answers);
	memset(c, 0xa5, sizeof(*c));
	free(c);
	for (size_t i = 0; i < SERVERS; i++)
		if (f->server[i] != NULL)
			fake_dns_free(f->server[i]);
}

static void init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	assert_int_equal(dns_name_parse(OWNER, &f->question.name), 0);
	f->question.type = DNS_TYPE_SRV;
	f->question.rd = true;
	f->p.servers = f->list;
	f->p.question = &f->question;
	f->p.attempt_ms = PATIENT_MS;
	f->p.total_ms = 2 * PATIENT_MS;
}

static struct fake_dns *add_full(struct fixture *f, const struct fake_dns_params *p)
{
	struct fake_dns_params params = *p;
	size_t i = f->p.n_servers++;

	params.ctx = f;
	f->server[i] = fake_dns_new(&f->t, &params);
	f->list[i].addr = *fake_dns_addr(f->server[i]);
	f->list[i].key = f->key;
	return f->server[i];
}

static struct fake_dns *add(struct fixture *f, fake_dns_fn *serve)
{
	return add_full(f, &(struct fake_dns_params){ .on_message = serve });
}

/** From here on servers have the key that the client has. */
static void use_key(struct fixture *f)
{
	f->key = fake_tsig_client_key();
}

static void use_update(struct fixture *f)
{
	assert_int_equal(dns_name_parse("corp.example", &f->update.zone), 0);
	f->change.op = DNS_ADD;
	assert_int_equal(dns_name_parse(OWNER, &f->change.rr.owner), 0);
	f->change.rr.type = DNS_TYPE_SRV;
	f->change.rr.rclass = DNS_CLASS_IN;
	f->change.rr.ttl = 3600;
	f->change.rr.data.srv.port = 1688;
	assert_int_equal(dns_name_parse("kms1.corp.example", &f->change.rr.data.srv.target), 0);
	f->update.changes = &f->change;
	f->update.n_changes = 1;
	f->p.question = NULL;
	f->p.update = &f->update;
}

static void start(struct fixture *f)
{
	f->c = calloc(1, sizeof(*f->c));
	assert_non_null(f->c);
	f->c->owner = f;
	dns_client_start(f->c, &f->t.net, &f->p, on_done);
	memset(f->list, 0xee, sizeof(f->list)); /* start has copied what it needs */
	memset(&f->question, 0xee, sizeof(f->question));
	memset(&f->update, 0xee, sizeof(f->update));
	memset(&f->change, 0xee, sizeof(f->change));
	tsig_key_unref(f->key);
	assert_int_equal(f->calls, 0);
}

static void finish(struct fixture *f)
{
	test_net_run_until(&f->t, &f->done);
	test_net_done(&f->t);
	assert_int_equal(f->calls, 1);
}

static void run(struct fixture *f)
{
	start(f);
	finish(f);
}

/* Servers */

static void answer(struct fake_reply *r, const struct fake_dns_request *rq)
{
	fake_reply_begin(r, rq, DNS_RCODE_NOERROR, FAKE_AA);
	if (rq->msg != NULL && rq->msg->opcode == DNS_OPCODE_QUERY)
		fake_reply_srv(r, DNS_ANSWER, OWNER, 3600, 0, 0, 1688, "kms1.corp.example");
}

static void serve(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *f = ctx;
	struct fake_reply r;

	(void)s;
	f->seen++;
	answer(&r, rq);
	fake_dns_send_reply(&rq->from, &r);
}

static void serve_silence(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *f = ctx;

	(void)s;
	(void)rq;
	f->seen++;
}

static void serve_rcode(const struct fake_dns_request *rq, unsigned rcode)
{
	struct fake_reply r;

	fake_reply_begin(&r, rq, rcode, FAKE_AA);
	fake_dns_send_reply(&rq->from, &r);
}

static void serve_signed(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *f = ctx;
	struct fake_reply r;

	(void)s;
	f->seen++;
	assert_true(fake_tsig_check(rq).valid);
	answer(&r, rq);
	fake_tsig_sign(&r, rq, &(struct fake_tsig_flaws){ 0 });
	fake_dns_send_reply(&rq->from, &r);
}

/* Plain */

static void t_one_answer(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	add(&f, serve);
	run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_int_equal(f.n_answers, 1);
	assert_int_equal(f.o.sent, 1);
	assert_false(f.o.tcp);
	assert_true(f.o.rtt_ms > 0);
	assert_int_equal(f.seen, 1);
}

static void t_signed_exchange(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	use_key(&f);
	use_update(&f);
	add(&f, serve_signed);
	run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_true(f.o.tsig.verified);
	assert_int_equal(f.o.msg != NULL, 1);
}

static void t_no_server_and_too_many(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	run(&f);
	assert_int_equal(f.o.err, ERR_NO_SERVER);
	init(&f);
	f.p.n_servers = DNS_CLIENT_SERVERS_MAX + 1;
	run(&f);
	assert_int_equal(f.o.err, ERR_LIMIT);
	init(&f);
	add(&f, serve);
	f.p.question = NULL;
	run(&f);
	assert_int_equal(f.o.err, ERR_USAGE);
}

/* Junk */

static void junk(struct fake_reply *r, const struct fake_dns_request *rq)
{
	fake_reply_begin(r, rq, DNS_RCODE_NXDOMAIN, FAKE_AA);
}

/** Wrong ID, wrong question, a query, wrong opcode, rubbish, another port; then the answer. */
static void serve_junk_first(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *f = ctx;
	struct fake_reply r;

	(void)s;
	f->seen++;
	/* each of these would be final if it were taken for the answer */
	junk(&r, rq);
	fake_dns_send_elsewhere(&rq->from, &r);
	junk(&r, rq);
	r.data[0] ^= 1; /* ID */
	fake_dns_send_reply(&rq->from, &r);
	junk(&r, rq);
	r.data[13] ^= 1; /* question's name */
	fake_dns_send_reply(&rq->from, &r);
	junk(&r, rq);
	r.data[2] &= 0x7f; /* QR */
	fake_dns_send_reply(&rq->from, &r);
	junk(&r, rq);
	r.data[2] ^= 0x28; /* opcode */
	fake_dns_send_reply(&rq->from, &r);
	fake_dns_send(&rq->from, "", 0);
	fake_dns_send(&rq->from, rq->data, 11);
	fake_dns_send(&rq->from, rq->data, rq->len);
	junk(&r, rq);
	fake_dns_send(&rq->from, r.data, r.len - 1);
	answer(&r, rq);
	fake_dns_send_reply(&rq->from, &r);
}

static void t_U15_U16_U17_U24_junk_costs_nothing(void **state)
{
	(void)state;
	for (int update = 0; update < 2; update++) {
		struct fixture f;

		init(&f);
		if (update)
			use_update(&f);
		add(&f, serve_junk_first);
		run(&f);
		assert_int_equal(f.o.err, ERR_OK);
		assert_int_equal(f.seen, 1);
		assert_int_equal(f.o.sent, 1);
	}
}

static void serve_garbled(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fake_reply r;

	(void)s;
	(void)ctx;
	answer(&r, rq);
	fake_dns_send(&rq->from, r.data, r.len - 1);
}

static void t_only_junk_is_named(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.p.attempt_ms = SHORT_MS;
	f.p.tries = 1;
	add(&f, serve_garbled);
	run(&f);
	assert_int_equal(f.o.err, ERR_DNS_MALFORMED);
	assert_null(f.o.msg);
}

/* Retry */

/** Silent for two requests, then answers the first one. */
static void serve_late(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *f = ctx;
	static struct fake_reply late;

	(void)s;
	f->ids[f->seen] = (uint16_t)(rq->data[0] << 8 | rq->data[1]);
	if (f->seen++ == 0) {
		f->first = rq->from;
		answer(&late, rq);
	}
	if (f->seen == 3)
		fake_dns_send_reply(&f->first, &late);
}

static void t_U19_answer_to_an_earlier_attempt_counts(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.p.attempt_ms = QUICK_MS;
	f.p.tries = 20;
	add(&f, serve_late);
	run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_true(f.seen >= 3);
	assert_true(f.ids[0] != f.ids[1] || f.ids[1] != f.ids[2]);
}

static void t_silence_ends_by_tries(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.p.attempt_ms = QUICK_MS;
	add(&f, serve_silence);
	add(&f, serve_silence);
	run(&f);
	assert_int_equal(f.o.err, ERR_TIMEOUT);
	assert_int_equal(f.seen, 2 * DNS_CLIENT_TRIES);
	assert_int_equal(f.o.sent, 2 * DNS_CLIENT_TRIES);
	assert_null(f.o.msg);
}

static void t_S15_total_deadline_holds(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.p.total_ms = QUICK_MS;
	add(&f, serve_silence);
	run(&f);
	assert_int_equal(f.o.err, ERR_TIMEOUT);
	assert_int_equal(f.seen, 1);
}

static void t_attempts_are_bounded(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.p.attempt_ms = 1;
	f.p.tries = 1000;
	add(&f, serve_silence);
	run(&f);
	assert_int_equal(f.o.err, ERR_TIMEOUT);
	assert_int_equal(f.o.sent, DNS_CLIENT_ATTEMPTS_MAX);
}

static void t_S15_slow_server_does_not_block(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.p.attempt_ms = QUICK_MS;
	add(&f, serve_silence);
	add(&f, serve);
	run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_true(f.seen >= 2);
}

/* RCODE times server */

static void serve_arg(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *f = ctx;
	unsigned rcode = *(const unsigned *)f->arg;

	(void)s;
	f->seen++;
	serve_rcode(rq, rcode);
}

static void t_U28_which_rcodes_go_on(void **state)
{
	static const struct {
		unsigned rcode;
		bool goes_on;
	} rows[] = {
		{ DNS_RCODE_FORMERR, true },
		{ DNS_RCODE_SERVFAIL, true },
		{ DNS_RCODE_NXDOMAIN, false },
		{ DNS_RCODE_NOTIMP, true },
		{ DNS_RCODE_REFUSED, true },
		{ DNS_RCODE_YXDOMAIN, false },
		{ DNS_RCODE_YXRRSET, false },
		{ DNS_RCODE_NXRRSET, false },
		{ DNS_RCODE_NOTAUTH, true },
		{ DNS_RCODE_NOTZONE, false },
		{ 14, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;

		/* alone: the RCODE is the outcome, with its message, without a retry */
		init(&f);
		use_update(&f);
		f.arg = &rows[i].rcode;
		add(&f, serve_arg);
		run(&f);
		assert_int_equal(f.o.err, dns_rcode_err(rows[i].rcode));
		assert_non_null(f.o.msg);
		assert_int_equal(f.seen, 1);

		/* with a better one behind it */
		init(&f);
		use_update(&f);
		f.arg = &rows[i].rcode;
		add(&f, serve_arg);
		add(&f, serve);
		run(&f);
		assert_int_equal(f.o.err, rows[i].goes_on ? ERR_OK : dns_rcode_err(rows[i].rcode));
		assert_int_equal(f.seen, rows[i].goes_on ? 2 : 1);
	}
}

static void t_U28_refused_connection_goes_on(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	add_full(&f, &(struct fake_dns_params){ .without = FAKE_NO_UDP });
	add(&f, serve);
	run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_int_equal(f.seen, 1);

	init(&f);
	add_full(&f, &(struct fake_dns_params){ .without = FAKE_NO_UDP });
	run(&f);
	assert_int_equal(f.o.err, -ECONNREFUSED);
}

static void t_most_telling_error_wins(void **state)
{
	static const unsigned servfail = DNS_RCODE_SERVFAIL;
	struct fixture f;
	struct addr who;

	(void)state;
	init(&f);
	f.p.attempt_ms = SHORT_MS;
	f.p.tries = 1;
	f.arg = &servfail;
	add(&f, serve_silence);
	who = *fake_dns_addr(add(&f, serve_arg));
	add_full(&f, &(struct fake_dns_params){ .without = FAKE_NO_UDP });
	run(&f);
	assert_int_equal(f.o.err, ERR_RCODE_SERVFAIL);
	assert_true(addr_equal(&f.o.server, &who));

	init(&f);
	f.p.attempt_ms = SHORT_MS;
	f.p.tries = 1;
	add(&f, serve_silence);
	add_full(&f, &(struct fake_dns_params){ .without = FAKE_NO_UDP });
	run(&f);
	assert_int_equal(f.o.err, -ECONNREFUSED);
}

static void serve_without_aa(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fake_reply r;

	(void)s;
	(void)ctx;
	fake_reply_begin(&r, rq, DNS_RCODE_NOERROR, FAKE_RA);
	fake_dns_send_reply(&rq->from, &r);
}

static void t_Z04_authority_is_required_where_asked(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.p.require_aa = true;
	add(&f, serve_without_aa);
	run(&f);
	assert_int_equal(f.o.err, ERR_DNS_NOT_AUTH);
	assert_null(f.o.msg);

	init(&f);
	f.p.require_aa = true;
	add(&f, serve_without_aa);
	add(&f, serve);
	run(&f);
	assert_int_equal(f.o.err, ERR_OK);
}

/* EDNS */

static void serve_old(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *f = ctx;
	unsigned rcode = *(const unsigned *)f->arg;

	assert_non_null(rq->msg);
	if (!rq->msg->has_edns)
		serve(s, rq, ctx);
	else if (rcode != 0)
		serve_rcode(rq, rcode);
}

static void t_U21_edns_falls_back(void **state)
{
	static const unsigned rcodes[] = { DNS_RCODE_FORMERR, DNS_RCODE_NOTIMP, 0 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct fixture f;

		init(&f);
		f.arg = &rcodes[i];
		if (rcodes[i] == 0)
			f.p.attempt_ms = QUICK_MS; /* it drops what it does not know */
		add(&f, serve_old);
		run(&f);
		assert_int_equal(f.o.err, ERR_OK);
		assert_true(f.seen >= 1);
	}
}

static void serve_no_edns_wanted(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	assert_non_null(rq->msg);
	assert_false(rq->msg->has_edns);
	serve(s, rq, ctx);
}

static void t_U21_no_edns_in_update(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	use_update(&f);
	add(&f, serve_no_edns_wanted);
	run(&f);
	assert_int_equal(f.o.err, ERR_OK);
}

/* TCP */

static void serve_truncated(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *f = ctx;
	struct fake_reply r;

	if (rq->tcp) {
		if (f->key != NULL)
			serve_signed(s, rq, ctx);
		else
			serve(s, rq, ctx);
		return;
	}
	f->ids[f->seen++] = (uint16_t)(rq->data[0] << 8 | rq->data[1]);
	fake_reply_begin(&r, rq, DNS_RCODE_NOERROR, FAKE_AA | FAKE_TC);
	if (f->arg != NULL)
		fake_tsig_sign(&r, rq, &(struct fake_tsig_flaws){ 0 });
	fake_dns_send_reply(&rq->from, &r);
}

static void t_U18_truncated_goes_to_tcp(void **state)
{
	(void)state;
	/* unsigned; signed exchange with unsigned TC; with signed TC */
	for (int i = 0; i < 3; i++) {
		struct fixture f;

		init(&f);
		if (i > 0) {
			use_key(&f);
			use_update(&f);
		}
		f.arg = i == 2 ? "sign" : NULL;
		add(&f, serve_truncated);
		run(&f);
		assert_int_equal(f.o.err, ERR_OK);
		assert_true(f.o.tcp);
		assert_int_equal(f.o.sent, 2);
		assert_int_equal(f.seen, 2);
		assert_int_equal(f.o.tsig.verified, i > 0);
	}
}

static void serve_many(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *f = ctx;
	struct fake_reply r;

	(void)s;
	f->seen++;
	fake_reply_begin(&r, rq, DNS_RCODE_NOERROR, rq->tcp ? FAKE_AA : FAKE_AA | FAKE_TC);
	for (uint16_t i = 0; i < (rq->tcp ? 60 : 8); i++)
		fake_reply_srv(&r, DNS_ANSWER, OWNER, 3600, 0, i, 1688, "kms1.corp.example");
	fake_dns_send_reply(&rq->from, &r);
}

static void t_S06_large_answers(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	add(&f, serve_many);
	run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_int_equal(f.n_answers, 60);
	assert_true(f.o.tcp);
}

static void t_tcp_only(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.p.tcp_only = true;
	add_full(&f, &(struct fake_dns_params){ .ip = test_net_has_ipv6() ? "::1" : NULL,
						.on_message = serve,
						.without = FAKE_NO_UDP });
	run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_true(f.o.tcp);
}

static void tcp_close(struct fake_dns *s, const struct fake_dns_peer *peer, void *ctx)
{
	(void)s;
	(void)ctx;
	fake_dns_close(peer);
}

static void tcp_half(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	(void)s;
	(void)ctx;
	fake_dns_send_raw(&rq->from, "\0", 1);
	fake_dns_close(&rq->from);
}

static void tcp_bytes(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fake_reply r;
	uint8_t length[2];

	(void)s;
	(void)ctx;
	answer(&r, rq);
	length[0] = (uint8_t)(r.len >> 8);
	length[1] = (uint8_t)r.len;
	fake_dns_send_raw(&rq->from, length, 1);
	fake_dns_send_raw(&rq->from, length + 1, 1);
	for (size_t i = 0; i < r.len; i++)
		fake_dns_send_raw(&rq->from, r.data + i, 1);
}

static void tcp_two(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	uint8_t both[1024];
	struct fake_reply r;
	size_t at = 0;

	(void)s;
	(void)ctx;
	for (int i = 0; i < 2; i++) {
		answer(&r, rq);
		if (i == 0)
			r.data[0] ^= 1; /* of another question; the second one is ours */
		both[at++] = (uint8_t)(r.len >> 8);
		both[at++] = (uint8_t)r.len;
		memcpy(both + at, r.data, r.len);
		at += r.len;
	}
	fake_dns_send_raw(&rq->from, both, at);
}

static void tcp_stall(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	(void)s;
	(void)ctx;
	fake_dns_send_raw(&rq->from, "\1\0abc", 5);
}

static void tcp_reset(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	(void)s;
	(void)ctx;
	fake_dns_reset(&rq->from);
}

static void tcp_rubbish(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fake_reply r;

	(void)s;
	(void)ctx;
	answer(&r, rq);
	fake_dns_send(&rq->from, r.data, r.len - 3);
}

static void tcp_flood(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	(void)s;
	(void)ctx;
	for (int i = 0; i < 40; i++)
		fake_dns_send(&rq->from, "junk", 4);
}

static void t_U20_tcp_misbehaves(void **state)
{
	static const struct {
		struct fake_dns_params p;
		int err;
		bool slow;
	} rows[] = {
		{ { .without = FAKE_NO_TCP }, -ECONNREFUSED, false },
		{ { .on_connect = tcp_close }, ERR_CLOSED, false },
		{ { .on_message = tcp_half }, ERR_CLOSED, false },
		{ { .on_message = tcp_bytes }, ERR_OK, false },
		{ { .on_message = tcp_two }, ERR_OK, false },
		{ { .on_message = tcp_stall }, ERR_TIMEOUT, true },
		{ { .on_message = serve_silence }, ERR_TIMEOUT, true },
		{ { .on_message = tcp_reset }, -ECONNRESET, false },
		{ { .on_message = tcp_rubbish }, ERR_DNS_MALFORMED, false },
		{ { .on_message = tcp_flood }, ERR_DNS_MALFORMED, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;

		init(&f);
		f.p.tcp_only = true;
		if (rows[i].slow)
			f.p.attempt_ms = QUICK_MS;
		add_full(&f, &rows[i].p);
		run(&f);
		/* a connection closed before our bytes were read is reset */
		if (rows[i].err == ERR_CLOSED && f.o.err == -ECONNRESET)
			continue;
		assert_int_equal(f.o.err, rows[i].err);

		/* and the next server is asked */
		init(&f);
		f.p.tcp_only = true;
		if (rows[i].slow)
			f.p.attempt_ms = QUICK_MS;
		add_full(&f, &rows[i].p);
		add(&f, serve);
		run(&f);
		assert_int_equal(f.o.err, ERR_OK);
	}
}

/* TSIG */

static void serve_signs_wrongly(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *f = ctx;
	const struct fake_tsig_flaws *flaws = f->arg;
	struct fake_reply r;

	(void)s;
	f->seen++;
	fake_reply_begin(&r, rq, flaws->error != 0 ? DNS_RCODE_NOTAUTH : DNS_RCODE_NOERROR,
			 FAKE_AA);
	fake_tsig_sign(&r, rq, flaws);
	fake_dns_send_reply(&rq->from, &r);
}

static void t_T01_T03_T08_T10_signatures_that_do_not_hold(void **state)
{
	static const struct {
		struct fake_tsig_flaws flaws;
		int err;
		int64_t skew;
		unsigned hint;
	} rows[] = {
		{ { .error = DNS_RCODE_BADKEY }, ERR_TSIG_PEER_BADKEY, 0, DNS_RCODE_NOTAUTH },
		{ { .error = DNS_RCODE_BADSIG }, ERR_TSIG_PEER_BADSIG, 0, DNS_RCODE_NOTAUTH },
		{ { .error = DNS_RCODE_BADTIME, .server_off_s = 600 },
		  ERR_TSIG_PEER_BADTIME,
		  600,
		  DNS_RCODE_NOTAUTH },
		{ { .time_off_s = -600 }, ERR_TSIG_TIME, -600, 0 },
		{ { .bad_mac = true }, ERR_TSIG_BADSIG, 0, 0 },
		{ { .forget_request = true }, ERR_TSIG_BADSIG, 0, 0 },
		{ { .key_name = "other-key" }, ERR_TSIG_KEY, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;

		init(&f);
		use_key(&f);
		use_update(&f);
		f.p.attempt_ms = SHORT_MS;
		f.p.tries = 1;
		f.arg = &rows[i].flaws;
		add(&f, serve_signs_wrongly);
		run(&f);
		assert_int_equal(f.o.err, rows[i].err);
		assert_null(f.o.msg);
		assert_int_equal(f.o.hint_rcode, rows[i].hint);
		assert_int_equal(f.o.tsig.skew_s, rows[i].skew);

		init(&f);
		use_key(&f);
		use_update(&f);
		f.p.attempt_ms = SHORT_MS;
		f.arg = &rows[i].flaws;
		add(&f, serve_signs_wrongly);
		add(&f, serve_signed);
		run(&f);
		assert_int_equal(f.o.err, ERR_OK);
	}
}

/** One that does not verify, then the true one. */
static void serve_forged_first(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *f = ctx;
	struct fake_reply r;

	fake_reply_begin(&r, rq, *(const unsigned *)f->arg, FAKE_AA);
	fake_dns_send_reply(&rq->from, &r);
	fake_reply_begin(&r, rq, DNS_RCODE_NOTAUTH, FAKE_AA);
	fake_tsig_sign(&r, rq, &(struct fake_tsig_flaws){ .error = DNS_RCODE_BADKEY });
	fake_dns_send_reply(&rq->from, &r);
	serve_signed(s, rq, ctx);
}

static void t_T05_T06_unsigned_replies_end_nothing(void **state)
{
	static const unsigned rcodes[] = { DNS_RCODE_NOERROR, DNS_RCODE_REFUSED, DNS_RCODE_SERVFAIL,
					   DNS_RCODE_NXRRSET };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct fixture f;

		/* nothing else comes: fails, soon, and says what was heard */
		init(&f);
		use_key(&f);
		use_update(&f);
		f.arg = &rcodes[i];
		add(&f, serve_arg);
		run(&f); /* patient attempts: only the grace time ends this */
		assert_int_equal(f.o.err, ERR_TSIG_UNSIGNED);
		assert_null(f.o.msg);
		assert_int_equal(f.o.hint_rcode, rcodes[i]);
		assert_int_equal(f.seen, 1);

		/* the true answer comes behind it */
		init(&f);
		use_key(&f);
		use_update(&f);
		f.arg = &rcodes[i];
		add(&f, serve_forged_first);
		run(&f);
		assert_int_equal(f.o.err, ERR_OK);
		assert_int_equal(f.o.sent, 1);
	}
}

static void serve_unsigned_old(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	if (rq->msg != NULL && rq->msg->has_edns)
		serve_rcode(rq, DNS_RCODE_FORMERR);
	else
		serve_signed(s, rq, ctx);
}

static void t_U21_edns_falls_back_when_signed(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	use_key(&f);
	add(&f, serve_unsigned_old);
	run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_int_equal(f.o.sent, 2);
}

/** Every second of the clock another time; answers the third. */
static void serve_third(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *f = ctx;
	struct fake_tsig t = fake_tsig_check(rq);

	assert_true(t.valid);
	assert_int_equal(t.time_signed, (uint64_t)f->t.clock.wall_ms / 1000);
	f->t.clock.wall_ms += 1000;
	if (f->seen == 2)
		serve_signed(s, rq, ctx);
	else
		f->seen++;
}

static void t_U27_each_attempt_is_signed_once_and_anew(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	use_key(&f);
	use_update(&f);
	f.p.attempt_ms = QUICK_MS;
	f.p.tries = 10;
	add(&f, serve_third);
	run(&f);
	assert_int_equal(f.o.err, ERR_OK);
}

static void serve_tc_always(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fake_reply r;

	(void)s;
	(void)ctx;
	fake_reply_begin(&r, rq, DNS_RCODE_NOERROR, FAKE_AA | FAKE_TC);
	fake_dns_send_reply(&rq->from, &r);
}

static void t_truncated_over_tcp_is_no_answer(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	add(&f, serve_tc_always);
	run(&f);
	assert_int_equal(f.o.err, ERR_DNS_MALFORMED);
}

static void serve_over_tcp_only(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	assert_true(rq->tcp);
	serve_signed(s, rq, ctx);
}

static void t_U26_large_requests_use_tcp(void **state)
{
	struct fixture f;
	struct dns_rr prereq[40];

	(void)state;
	init(&f);
	use_key(&f);
	use_update(&f);
	for (uint16_t i = 0; i < 40; i++) {
		prereq[i] = f.change.rr;
		prereq[i].data.srv.weight = i;
	}
	f.update.prereq = prereq;
	f.update.n_prereq = 40;
	add(&f, serve_over_tcp_only);
	run(&f);
	assert_int_equal(f.o.err, ERR_OK);
	assert_true(f.o.tcp);
}

/* Cancel */

static void t_cancel_at_every_step(void **state)
{
	static fake_dns_fn *const fakes[] = { serve_silence, serve_truncated, tcp_stall };

	(void)state;
	for (size_t kind = 0; kind < 3; kind++) {
		for (int steps = 0; steps < 10; steps++) {
			struct fixture f;

			init(&f);
			f.p.tcp_only = kind == 2;
			add(&f, fakes[kind]);
			start(&f);
			for (int i = 0; i < steps && !f.done; i++)
				test_net_step(&f.t);
			if (!f.done) {
				int before = f.calls;

				dns_client_cancel(f.c);
				dns_client_cancel(f.c);
				assert_int_equal(f.calls, before);
			}
			finish(&f);
			if (kind != 1)
				assert_int_equal(f.o.err, ERR_CANCELED);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_one_answer),
		cmocka_unit_test(t_signed_exchange),
		cmocka_unit_test(t_no_server_and_too_many),
		cmocka_unit_test(t_U15_U16_U17_U24_junk_costs_nothing),
		cmocka_unit_test(t_only_junk_is_named),
		cmocka_unit_test(t_U19_answer_to_an_earlier_attempt_counts),
		cmocka_unit_test(t_silence_ends_by_tries),
		cmocka_unit_test(t_S15_total_deadline_holds),
		cmocka_unit_test(t_attempts_are_bounded),
		cmocka_unit_test(t_S15_slow_server_does_not_block),
		cmocka_unit_test(t_U28_which_rcodes_go_on),
		cmocka_unit_test(t_U28_refused_connection_goes_on),
		cmocka_unit_test(t_most_telling_error_wins),
		cmocka_unit_test(t_Z04_authority_is_required_where_asked),
		cmocka_unit_test(t_U21_edns_falls_back),
		cmocka_unit_test(t_U21_no_edns_in_update),
		cmocka_unit_test(t_U18_truncated_goes_to_tcp),
		cmocka_unit_test(t_S06_large_answers),
		cmocka_unit_test(t_tcp_only),
		cmocka_unit_test(t_U20_tcp_misbehaves),
		cmocka_unit_test(t_truncated_over_tcp_is_no_answer),
		cmocka_unit_test(t_T01_T03_T08_T10_signatures_that_do_not_hold),
		cmocka_unit_test(t_T05_T06_unsigned_replies_end_nothing),
		cmocka_unit_test(t_U21_edns_falls_back_when_signed),
		cmocka_unit_test(t_U27_each_attempt_is_signed_once_and_anew),
		cmocka_unit_test(t_U26_large_requests_use_tcp),
		cmocka_unit_test(t_cancel_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
