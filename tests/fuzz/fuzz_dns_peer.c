/*
 * A name server that says what it likes to whole operations: the addresses of a host, whether a
 * zone is AD's, the records of a domain, a discovery, a domain published. Whatever it says, each
 * ends once, in its time, with what its header promises; nothing is asked without end; and no
 * UPDATE takes away what is not known to be ours.
 *
 * The first octet picks the operation and its settings; then come items, one for each request: an
 * octet of what to do (enum what), two of length, and a body; requests behind the last item get the
 * right answer. The server and all addresses that it names are on loopback; an item with another
 * one is silence. Time that nobody uses is jumped over.
 */
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/config.h"
#include "common/log.h"
#include "net/ad_lookup.h"
#include "net/host_lookup.h"
#include "publisher/reconcile.h"
#include "publisher/report.h"
#include "resolver/discover_report.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/fake_prober.h"
#include "tests/lib/fake_zone.h"

enum what {
	WHAT_FORM = 7,   /* three bits: */
	WHAT_RIGHT = 0,  /* the right answer */
	WHAT_ANSWER = 1, /* two octets of flags, three of counts, the records behind the question */
	WHAT_WITH_ID = 2,  /* a message, but for its ID */
	WHAT_AS_IT_IS = 3, /* a message */
	WHAT_SILENCE = 4,
	WHAT_CHANGED =
		5,     /* the right answer; each three octets are a place in it and what is there */
	WHAT_MORE = 8, /* the next item answers this request too */
	WHAT_CLOSE = 16,  /* TCP: the connection ends */
	WHAT_CANCEL = 32, /* the operation is given up */
};

#define REQUESTS_MAX 600
#define LATE_MS      100 /* a deadline may be met so much later */

enum { OP_HOST, OP_AD, OP_LOOKUP, OP_DISCOVER, OP_PUBLISH, OP_PUBLISH_AT, OP_COUNT_ };

struct fixture {
	struct test_net t;
	struct fake_dns *server;
	struct fake_prober prober;
	struct pub_targets *targets;
	struct fake_zone zone;
	const uint8_t *at; /* what is left of the input */
	size_t left;
	unsigned requests, calls;
	bool canceled;
	union {
		struct host_lookup host;
		struct ad_lookup ad;
		struct rsv_lookup lookup;
		struct rsv_discover discover;
		struct pub_reconcile publish;
	} op;
};

/* ---- time ------------------------------------------------------------------------------------ */

static uint64_t ahead_ms;

/* In the place of libc's, for libuv. libFuzzer looks at the wall clock, which this leaves alone. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *ret)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ret);

	if (rc == 0 && (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE)) {
		ret->tv_sec += (time_t)(ahead_ms / 1000);
		ret->tv_nsec += (long)(ahead_ms % 1000) * 1000000;
		if (ret->tv_nsec >= 1000000000) {
			ret->tv_nsec -= 1000000000;
			ret->tv_sec++;
		}
	}
	return rc;
}

/* When nothing is to be read, to the next timer. */
static void jump(struct fixture *f)
{
	struct pollfd pfd = { .fd = uv_backend_fd(&f->t.loop), .events = POLLIN };
	int ms = uv_backend_timeout(&f->t.loop);

	if (ms == 0 || poll(&pfd, 1, 0) > 0)
		return;
	FUZZ_CHECK(ms > 0); /* else it waits for nothing at all */
	ahead_ms += (uint64_t)ms;
	f->t.clock.mono_ms += (uint64_t)ms;
	f->t.clock.wall_ms += ms;
}

/* ---- the server ------------------------------------------------------------------------------ */

/* ns.invalid: whom fake_zone names when it has to say no. */
static const struct fake_record records[] = {
	{ "d0.test", DNS_TYPE_SOA, 300, "ns.invalid 1" },
	{ "d0.test", DNS_TYPE_NS, 300, "ns.invalid" },
	{ "d0.test", DNS_TYPE_NS, 300, "ns2.d0.test" },
	{ "ns.invalid", DNS_TYPE_A, 300, "127.0.0.1" },
	{ "ns2.d0.test", DNS_TYPE_A, 300, "127.0.0.1" },
	{ "kms1.d0.test", DNS_TYPE_A, 300, "127.0.0.1" },
	{ "kms1.d0.test", DNS_TYPE_A, 300, "127.0.0.7" },
	{ "kms2.d0.test", DNS_TYPE_CNAME, 300, "kms1.d0.test" },
	{ "_ldap._tcp.dc._msdcs.invalid", DNS_TYPE_SRV, 300, "0 0 389 ns.invalid" },
	{ "_vlmcs._tcp.d0.test", DNS_TYPE_SRV, 3600, "1 0 1689 kms2.d0.test" },
	/* there once it is published: */
	{ "_vlmcs._tcp.d0.test", DNS_TYPE_SRV, 3600, "0 10 1688 kms1.d0.test" },
};
#define N_RECORDS (sizeof(records) / sizeof(records[0]))

static bool is_loopback(const struct dns_rr *rr)
{
	static const struct in6_addr one = IN6ADDR_LOOPBACK_INIT;

	if (rr->type == DNS_TYPE_A)
		return (ntohl(rr->data.a.s_addr) >> 24) == 127;
	return rr->type != DNS_TYPE_AAAA || memcmp(&rr->data.aaaa, &one, sizeof(one)) == 0;
}

/* Nothing of ours is sent beyond this machine, whatever the input names. */
static bool stays_here(const uint8_t *data, size_t len)
{
	struct dns_msg *m;
	bool stays = true;
	size_t n;

	if (dnsmsg_parse(data, len, &m) != 0)
		return true;
	n = m->count[DNS_ANSWER] + m->count[DNS_AUTHORITY] + m->count[DNS_ADDITIONAL];
	for (size_t i = 0; i < n; i++)
		stays = stays && is_loopback(&m->rrs[i]);
	dnsmsg_free(m);
	return stays;
}

static size_t question_end(const struct fake_dns_request *rq)
{
	size_t at = 12;

	while (at < rq->len && rq->data[at] != 0)
		at += 1 + (size_t)rq->data[at];
	return at + 5 <= rq->len ? at + 5 : 0;
}

static size_t answer(uint8_t *out, const struct fake_dns_request *rq, const uint8_t *body,
		     size_t len)
{
	size_t end = question_end(rq);

	if (end == 0 || len < 5)
		return 0;
	memcpy(out, rq->data, end);
	memcpy(out + 2, body, 2);
	out[4] = 0;
	out[5] = 1;
	for (size_t i = 0; i < 3; i++) {
		out[6 + 2 * i] = 0;
		out[7 + 2 * i] = body[2 + i];
	}
	memcpy(out + end, body + 5, len - 5);
	return end + len - 5;
}

static size_t right_answer(struct fixture *f, uint8_t *out, const struct fake_dns_request *rq)
{
	static struct fake_reply r;

	if (rq->msg->opcode == DNS_OPCODE_UPDATE) {
		fake_reply_begin(&r, rq, DNS_RCODE_NOERROR, 0);
		f->zone.n_records = N_RECORDS;
	} else {
		fake_zone_reply(&r, rq, &f->zone);
	}
	memcpy(out, r.data, r.len);
	return r.len;
}

static size_t make(struct fixture *f, uint8_t *out, const struct fake_dns_request *rq,
		   unsigned form, const uint8_t *body, size_t len)
{
	size_t n;

	switch (form) {
	case WHAT_SILENCE:
		return 0;
	case WHAT_ANSWER:
		return answer(out, rq, body, len);
	case WHAT_WITH_ID:
	case WHAT_AS_IT_IS:
		if (len > 0)
			memcpy(out, body, len);
		if (form == WHAT_WITH_ID && len >= 2)
			memcpy(out, rq->data, 2);
		return len;
	default:
		n = right_answer(f, out, rq);
		for (; form == WHAT_CHANGED && len >= 3; body += 3, len -= 3)
			out[((size_t)body[0] << 8 | body[1]) % n] = body[2];
		return n;
	}
}

static void send_item(struct fixture *f, const struct fake_dns_request *rq, unsigned what,
		      const uint8_t *body, size_t len)
{
	static uint8_t out[2 * DNSMSG_MAX];
	size_t n = make(f, out, rq, what & WHAT_FORM, body, len);

	if (n > 0 && stays_here(out, n))
		fake_dns_send(&rq->from, out, n);
	if ((what & WHAT_CLOSE) != 0 && rq->tcp)
		fake_dns_close(&rq->from);
}

/* Nothing is known to be ours, so records are only put there. */
static void check_update(const struct dns_msg *m)
{
	const struct dns_rr *rr = m->rrs + m->count[DNS_ANSWER];

	for (size_t i = 0; i < m->count[DNS_AUTHORITY]; i++) {
		FUZZ_CHECK(rr[i].rclass == DNS_CLASS_IN && rr[i].type == DNS_TYPE_SRV);
		FUZZ_CHECK(rr[i].data.srv.port == 1688);
	}
}

static void serve(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *f = ctx;
	unsigned what = WHAT_MORE;

	(void)s;
	f->requests++;
	FUZZ_CHECK(f->requests <= REQUESTS_MAX && rq->msg != NULL);
	if (rq->msg->opcode == DNS_OPCODE_UPDATE)
		check_update(rq->msg);
	if (f->left < 3)
		send_item(f, rq, WHAT_RIGHT, NULL, 0);
	while ((what & WHAT_MORE) != 0 && f->left >= 3) {
		size_t len = (size_t)f->at[1] << 8 | f->at[2];

		what = f->at[0];
		if (len > f->left - 3)
			len = f->left - 3;
		send_item(f, rq, what, f->at + 3, len);
		f->canceled = f->canceled || (what & WHAT_CANCEL) != 0;
		f->at += 3 + len;
		f->left -= 3 + len;
	}
}

/* ---- the operations -------------------------------------------------------------------------- */

static void ended(struct fixture *f)
{
	f->calls++;
	memset(&f->op, 0xa5, sizeof(f->op)); /* it is its owner's again */
	fake_dns_free(f->server);
}

static struct dns_name name(const char *text)
{
	struct dns_name n;

	FUZZ_CHECK(dns_name_parse(text, &n) == 0);
	return n;
}

static void on_host(struct host_lookup *h, const struct host_lookup_result *r)
{
	FUZZ_CHECK(r->n_addrs <= HOST_LOOKUP_ADDRS_MAX && (r->err == 0) == (r->n_addrs > 0));
	for (size_t i = 0; i < r->n_addrs; i++) {
		FUZZ_CHECK(addr_port(&r->addrs[i]) == 1688);
		for (size_t k = 0; k < i; k++)
			FUZZ_CHECK(!addr_same_host(&r->addrs[i], &r->addrs[k]));
	}
	ended(h->owner);
}

static void on_ad(struct ad_lookup *l, int err, const struct net_ad *ad)
{
	const struct fixture *f = l->owner;

	FUZZ_CHECK(err == 0 || (err == ERR_CANCELED && f->canceled));
	if (ad != NULL)
		FUZZ_CHECK(err == 0 && ad->zone.len > 0 && ad->mname.len > 0 && ad->domain.len > 0);
	ended(l->owner);
}

static void on_lookup(struct rsv_lookup *l, struct rsv_lookup_result *r)
{
	FUZZ_CHECK(r->set.n <= RSV_RECORDS_MAX);
	FUZZ_CHECK(r->err != 0 || r->set.n > 0 || r->set.absent);
	ended(l->owner);
}

static void on_discover(struct rsv_discover *d, const struct rsv_discovery *r)
{
	const struct fixture *f = d->owner;
	json_t *json = rsv_discover_report(r);
	char *text = json_dumps(json, 0);

	FUZZ_CHECK(r->err == 0 || (r->err == ERR_CANCELED && f->canceled));
	FUZZ_CHECK(text != NULL && r->queries.n <= RSV_QUERIES_MAX);
	FUZZ_CHECK(!r->has_selected || r->n_attempts > 0);
	free(text);
	json_decref(json);
	ended(d->owner);
}

static void on_publish(struct pub_reconcile *r, int err, const struct pub_result *results, size_t n)
{
	const struct fixture *f = r->owner;

	FUZZ_CHECK(err == 0 || (err == ERR_CANCELED && f->canceled));
	if (err == 0) {
		json_t *json = pub_report_json(results, n);
		char *text = json_dumps(json, 0);

		FUZZ_CHECK(n == 1 && text != NULL);
		free(text);
		json_decref(json);
	}
	ended(r->owner);
}

static void start_publish(struct fixture *f, const char *more)
{
	struct pub_reconcile_params p = { .request = { .mode = PUB_PUBLISH } };
	struct config_errors errs = { 0 };
	struct config *cfg = NULL;
	struct err_info info;
	char text[300];
	int n = snprintf(text, sizeof(text),
			 "hosts: [{ name: one, target: kms1.d0.test, weight: 10 }]\n"
			 "publish: { ttl: 1h, domains: [{ domain: d0.test, lab: true%s }] }\n",
			 more);

	FUZZ_CHECK(config_parse(text, (size_t)n, "fuzz", &cfg, &errs) == 0);
	config_errors_done(&errs);
	FUZZ_CHECK(pub_targets_from_config(cfg, NULL, 1688, &f->targets, &info) == 0);
	config_free(cfg);
	p.targets = f->targets;
	pub_reconcile_start(&f->op.publish, &f->t.net, &p, on_publish);
}

/* A client's settings: two suffixes, the first that has records or both; or a short name that one
 * of them completes. */
static void start_discover(struct fixture *f, unsigned settings)
{
	static const struct fake_probe_rule rules[] = { { "127.0.0.7:1688", PROBE_REFUSED } };
	const struct dns_name suffixes[] = { name("d0.test"), name("d1.test") };
	const struct rsv_discover_params p = { .suffixes = suffixes,
					       .n_suffixes = 2,
					       .prober = &f->prober.prober,
					       .merge_suffixes = (settings & 1) != 0,
					       .manual_host = (settings & 2) != 0 ? "kms1" : NULL,
					       .resolve_all = true };

	fake_prober_init(&f->prober);
	f->prober.rules = rules;
	f->prober.n_rules = 1;
	rsv_discover_start(&f->op.discover, &f->t.net, &p, on_discover);
}

/* @return ms until it has ended, whatever comes. */
static uint64_t start(struct fixture *f, unsigned op, unsigned settings)
{
	const struct host_lookup_params host = { .host = "kms1.d0.test", .port = 1688 };
	const struct ad_lookup_params ad = { .name = name("d0.test") };
	const struct rsv_lookup_params lookup = { .name = name("_vlmcs._tcp.d0.test"), .rd = true };

	switch (op) {
	case OP_HOST:
		f->op.host.owner = f;
		host_lookup_start(&f->op.host, &f->t.net, &host, on_host);
		return DNS_CLIENT_TOTAL_MS;
	case OP_AD:
		f->op.ad.owner = f;
		ad_lookup_start(&f->op.ad, &f->t.net, &ad, on_ad);
		return AD_LOOKUP_TOTAL_MS;
	case OP_LOOKUP:
		f->op.lookup.owner = f;
		rsv_lookup_start(&f->op.lookup, &f->t.net, &lookup, on_lookup);
		return DNS_CLIENT_TOTAL_MS;
	case OP_DISCOVER:
		f->op.discover.owner = f;
		start_discover(f, settings);
		return RSV_DISCOVER_TOTAL_MS;
	default:
		f->op.publish.owner = f;
		start_publish(f, op == OP_PUBLISH ? "" : ", server: 127.0.0.1");
		return PUB_TIMEOUT_MS;
	}
}

static void cancel(struct fixture *f, unsigned op)
{
	if (op == OP_HOST)
		host_lookup_cancel(&f->op.host);
	else if (op == OP_AD)
		ad_lookup_cancel(&f->op.ad);
	else if (op == OP_LOOKUP)
		rsv_lookup_cancel(&f->op.lookup);
	else if (op == OP_DISCOVER)
		rsv_discover_cancel(&f->op.discover);
	else
		pub_reconcile_cancel(&f->op.publish);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fixture f;
	uint64_t began, limit_ms;
	unsigned op;

	if (size == 0)
		return 0;
	memset(&f, 0, sizeof(f));
	op = data[0] % OP_COUNT_;
	f.zone = (struct fake_zone){ "d0.test", records,
				     op >= OP_PUBLISH ? N_RECORDS - 1 : N_RECORDS,
				     FAKE_AA | FAKE_RA, true };
	log_setup(LOG_ERROR, LOG_TEXT, STDERR_FILENO);
	f.at = data + 1;
	f.left = size - 1;
	test_net_init(&f.t);
	(void)uv_timer_stop(&f.t.tick); /* time is ours */
	f.server = fake_dns_new(&f.t, &(struct fake_dns_params){ .on_message = serve, .ctx = &f });
	f.t.net.resolvers[0] = *fake_dns_addr(f.server);
	f.t.net.n_resolvers = 1;
	f.t.net.source4 = test_addr("127.0.0.1");
	f.t.net.source6 = test_addr("::1");
	f.t.net.dns_port = addr_port(fake_dns_addr(f.server));
	began = ahead_ms;
	limit_ms = start(&f, op, data[0] / OP_COUNT_) + LATE_MS;
	FUZZ_CHECK(f.calls == 0);
	while (f.calls == 0) {
		(void)uv_run(&f.t.loop, UV_RUN_NOWAIT);
		if (f.calls == 0 && f.canceled)
			cancel(&f, op);
		else if (f.calls == 0)
			jump(&f);
		FUZZ_CHECK(ahead_ms - began <= limit_ms);
	}
	test_net_done(&f.t);
	FUZZ_CHECK(f.calls == 1);
	pub_targets_unref(f.targets);
	return 0;
}
