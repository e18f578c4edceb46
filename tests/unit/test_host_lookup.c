#include "net/host_lookup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "tests/lib/fake_zone.h"

struct fixture {
	struct test_net t;
	struct fake_dns *server;
	struct host_lookup *h;
	bool done;
	int calls;
	struct host_lookup_result r;
	struct fake_zone zone;
	uint16_t silent_type; /* questions of this type get no answer */
	uint16_t failing_type;
	unsigned questions;
};

#define Z "z.example"

static const struct fake_record records[] = {
	{ "both." Z, DNS_TYPE_A, 300, "127.0.0.2" },
	{ "both." Z, DNS_TYPE_AAAA, 200, "::1" },
	{ "four." Z, DNS_TYPE_A, 300, "127.0.0.2" },
	{ "four." Z, DNS_TYPE_A, 100, "127.0.0.3" },
	{ "four." Z, DNS_TYPE_A, 300, "127.0.0.2" },
	{ "six." Z, DNS_TYPE_AAAA, 60, "::1" },
	{ "text." Z, DNS_TYPE_NS, 60, "nothing.example" },
	{ "alias." Z, DNS_TYPE_CNAME, 50, "alias2." Z },
	{ "alias2." Z, DNS_TYPE_CNAME, 40, "four." Z },
	{ "loop." Z, DNS_TYPE_CNAME, 50, "loop2." Z },
	{ "loop2." Z, DNS_TYPE_CNAME, 50, "loop." Z },
	{ "dangling." Z, DNS_TYPE_CNAME, 50, "nowhere." Z },
	{ "empty." Z, DNS_TYPE_CNAME, 50, "text." Z },
	{ "unrouted." Z, DNS_TYPE_AAAA, 60, "fe80::1" }, /* nowhere without its interface */
	{ "unrouted." Z, DNS_TYPE_A, 60, "255.255.255.255" },
	{ "unrouted." Z, DNS_TYPE_A, 60, "127.0.0.2" },
};

static void serve(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *f = ctx;
	struct fake_reply r;

	(void)s;
	f->questions++;
	assert_non_null(rq->msg);
	assert_true(rq->msg->rd);
	if (rq->msg->qtype == f->silent_type)
		return;
	if (rq->msg->qtype == f->failing_type)
		fake_reply_begin(&r, rq, DNS_RCODE_SERVFAIL, FAKE_RA);
	else
		fake_zone_reply(&r, rq, &f->zone);
	fake_dns_send_reply(&rq->from, &r);
}

static void on_done(struct host_lookup *h, const struct host_lookup_result *r)
{
	struct fixture *f = h->owner;

	f->calls++;
	f->done = true;
	f->r = *r;
	memset(h, 0xa5, sizeof(*h));
	free(h);
	fake_dns_free(f->server);
}

static void init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	f->zone = (struct fake_zone){ Z, records, sizeof(records) / sizeof(records[0]), FAKE_RA,
				      true };
	f->server = fake_dns_new(&f->t, &(struct fake_dns_params){ .on_message = serve, .ctx = f });
	f->t.net.resolvers[0] = *fake_dns_addr(f->server);
	f->t.net.n_resolvers = 1;
}

static void start(struct fixture *f, const char *host, uint32_t total_ms)
{
	char *copy = strdup(host);
	struct host_lookup_params p = { .host = copy, .port = 1688, .total_ms = total_ms };

	assert_non_null(copy);
	f->h = calloc(1, sizeof(*f->h));
	assert_non_null(f->h);
	f->h->owner = f;
	host_lookup_start(f->h, &f->t.net, &p, on_done);
	free(copy);
	assert_int_equal(f->calls, 0);
}

static void finish(struct fixture *f)
{
	test_net_run_until(&f->t, &f->done);
	test_net_done(&f->t);
	assert_int_equal(f->calls, 1);
}

/** "address address", with ports. Expectations are written for a machine with IPv6; without it ::1
 * comes last. */
static const char *list(const struct fixture *f)
{
	static char text[HOST_LOOKUP_ADDRS_MAX * (ADDR_TEXT_MAX + 1) + 1];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < f->r.n_addrs; i++) {
		if (i > 0)
			text[n++] = ' ';
		addr_format(&f->r.addrs[i], text + n);
		n += strlen(text + n);
	}
	return text;
}

static void t_names(void **state)
{
	static const struct {
		const char *host;
		const char *addrs;
		int err;
		uint32_t ttl;
		const char *canonical; /* NULL: not looked at */
		bool alias;
	} rows[] = {
		{ "both." Z, "[::1]:1688 127.0.0.2:1688", 0, 200, "both." Z, false },
		{ "BOTH." Z ".", "[::1]:1688 127.0.0.2:1688", 0, 200, "both." Z, false },
		{ "four." Z, "127.0.0.2:1688 127.0.0.3:1688", 0, 100, "four." Z, false },
		{ "six." Z, "[::1]:1688", 0, 60, "six." Z, false },
		{ "alias." Z, "127.0.0.2:1688 127.0.0.3:1688", 0, 40, "four." Z, true },
		{ "text." Z, "", ERR_DNS_NODATA, 0, NULL, false },
		{ "absent." Z, "", ERR_RCODE_NXDOMAIN, 0, NULL, false },
		{ "loop." Z, "", ERR_DNS_CNAME_LOOP, 0, NULL, true },
		{ "dangling." Z, "", ERR_RCODE_NXDOMAIN, 0, "nowhere." Z, true },
		{ "empty." Z, "", ERR_DNS_NODATA, 0, "text." Z, true },
		{ "192.0.2.7", "192.0.2.7:1688", 0, UINT32_MAX, NULL, false },
		{ "2001:db8::7", "[2001:db8::7]:1688", 0, UINT32_MAX, NULL, false },
		{ "localhost", "[::1]:1688 127.0.0.1:1688", 0, UINT32_MAX, NULL, false },
		{ "kms.LOCALHOST.", "[::1]:1688 127.0.0.1:1688", 0, UINT32_MAX, NULL, false },
		{ "a..b", "", ERR_PARSE, 0, NULL, false },
		{ "", "", ERR_PARSE, 0, NULL, false },
		{ ".", "", ERR_PARSE, 0, NULL, false },
	};

	(void)state;
	/* a resolver that follows CNAMEs, and one that leaves it to us */
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;
		char text[DNSNAME_TEXT_MAX];

		init(&f);
		f.zone.follow_cnames = i % 2 == 0;
		start(&f, rows[i / 2].host, 0);
		finish(&f);
		assert_int_equal(f.r.err, rows[i / 2].err);
		if (strncmp(rows[i / 2].addrs, "[::1]:1688 ", 11) != 0 || test_net_has_ipv6())
			assert_string_equal(list(&f), rows[i / 2].addrs);
		else
			assert_memory_equal(list(&f), rows[i / 2].addrs + 11,
					    strlen(rows[i / 2].addrs + 11));
		assert_int_equal(f.r.ttl, rows[i / 2].ttl);
		assert_int_equal(f.r.is_alias, rows[i / 2].alias);
		if (rows[i / 2].canonical != NULL)
			assert_string_equal(dns_name_format(&f.r.canonical, text),
					    rows[i / 2].canonical);
	}
}

static void t_unreachable_addresses_come_last(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	start(&f, "unrouted." Z, 0);
	finish(&f);
	assert_string_equal(list(&f), "127.0.0.2:1688 [fe80::1]:1688 255.255.255.255:1688");
}

static void t_many_addresses_of_both_families(void **state)
{
	static char text[40][40];
	struct fake_record many[40];
	struct fixture f;
	size_t four = 0;

	(void)state;
	init(&f);
	for (unsigned i = 0; i < 40; i++) {
		uint16_t type = i % 2 != 0 ? DNS_TYPE_A : DNS_TYPE_AAAA;

		(void)snprintf(text[i], sizeof(text[i]), i % 2 != 0 ? "127.0.1.%u" : "::%x", i + 1);
		many[i] = (struct fake_record){ "many." Z, type, 60, text[i] };
	}
	f.zone.records = many;
	f.zone.n_records = 40;
	start(&f, "many." Z, 0);
	finish(&f);
	assert_int_equal(f.r.err, ERR_OK);
	assert_int_equal(f.r.n_addrs, HOST_LOOKUP_ADDRS_MAX);
	for (size_t i = 0; i < f.r.n_addrs; i++)
		four += f.r.addrs[i].u.sa.sa_family == AF_INET;
	assert_int_equal(four, HOST_LOOKUP_ADDRS_MAX / 2);
}

static void t_S08_failure_is_not_absence(void **state)
{
	static const uint16_t types[] = { DNS_TYPE_A, DNS_TYPE_AAAA };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fixture f;

		init(&f);
		f.failing_type = types[i];
		start(&f, "text." Z, 0);
		finish(&f);
		assert_int_equal(f.r.err, ERR_RCODE_SERVFAIL);

		init(&f);
		f.silent_type = types[i];
		start(&f, "absent." Z, 250);
		finish(&f);
		assert_int_equal(f.r.err, ERR_TIMEOUT);
	}
}

static void t_S08_lame_resolver_is_not_absence(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.zone.flags = 0; /* neither recursion nor authority */
	f.zone.origin = NULL;
	start(&f, "text." Z, 0);
	finish(&f);
	assert_int_equal(f.r.err, ERR_DNS_NOT_AUTH);
}

static void t_one_family_is_enough(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.failing_type = DNS_TYPE_AAAA;
	start(&f, "both." Z, 0);
	finish(&f);
	assert_int_equal(f.r.err, ERR_OK);
	assert_string_equal(list(&f), "127.0.0.2:1688");
	assert_int_equal(f.r.ttl, 300);
}

static void t_S15_silent_type_is_not_waited_for_long(void **state)
{
	struct fixture f;
	uint64_t began;

	(void)state;
	init(&f);
	f.silent_type = DNS_TYPE_AAAA;
	began = uv_hrtime();
	start(&f, "both." Z, 60000);
	finish(&f);
	assert_int_equal(f.r.err, ERR_OK);
	assert_string_equal(list(&f), "127.0.0.2:1688");
	assert_true((uv_hrtime() - began) / 1000000 < 2 * HOST_LOOKUP_OTHER_MS);
}

static void t_no_resolver(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.t.net.n_resolvers = 0;
	start(&f, "both." Z, 0);
	finish(&f);
	assert_int_equal(f.r.err, ERR_NO_SERVER);
}

static void t_servers_given(void **state)
{
	struct fixture f;
	struct dns_server server;
	struct host_lookup_params p = { .host = "six." Z, .servers = &server, .n_servers = 1 };

	(void)state;
	init(&f);
	server = (struct dns_server){ .addr = f.t.net.resolvers[0] };
	f.t.net.n_resolvers = 0;
	f.h = calloc(1, sizeof(*f.h));
	assert_non_null(f.h);
	f.h->owner = &f;
	host_lookup_start(f.h, &f.t.net, &p, on_done);
	memset(&server, 0xee, sizeof(server));
	finish(&f);
	assert_string_equal(list(&f), "[::1]:0");
}

static void t_too_many_servers(void **state)
{
	struct dns_server servers[DNS_CLIENT_SERVERS_MAX + 1] = { 0 };
	struct host_lookup_params p = { .host = "six." Z,
					.servers = servers,
					.n_servers = DNS_CLIENT_SERVERS_MAX + 1 };
	struct fixture f;

	(void)state;
	init(&f);
	f.h = calloc(1, sizeof(*f.h));
	assert_non_null(f.h);
	f.h->owner = &f;
	host_lookup_start(f.h, &f.t.net, &p, on_done);
	assert_int_equal(f.calls, 0);
	finish(&f);
	assert_int_equal(f.r.err, ERR_LIMIT);
	assert_int_equal(f.r.n_addrs, 0);
}

static void t_cancel_at_every_step(void **state)
{
	static const char *const hosts[] = { "both." Z, "alias." Z, "::1" };

	(void)state;
	for (size_t h = 0; h < 3; h++) {
		for (int steps = 0; steps < 10; steps++) {
			struct fixture f;

			init(&f);
			f.zone.follow_cnames = false;
			f.silent_type = DNS_TYPE_AAAA;
			start(&f, hosts[h], 60000);
			for (int i = 0; i < steps && !f.done; i++)
				test_net_step(&f.t);
			if (!f.done) {
				host_lookup_cancel(f.h);
				host_lookup_cancel(f.h);
				assert_int_equal(f.calls, 0);
			}
			finish(&f);
			assert_int_equal(f.r.err, h == 2 ? ERR_OK : ERR_CANCELED);
			if (h != 2)
				assert_int_equal(f.r.n_addrs, 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_names),
		cmocka_unit_test(t_unreachable_addresses_come_last),
		cmocka_unit_test(t_many_addresses_of_both_families),
		cmocka_unit_test(t_S08_failure_is_not_absence),
		cmocka_unit_test(t_S08_lame_resolver_is_not_absence),
		cmocka_unit_test(t_one_family_is_enough),
		cmocka_unit_test(t_S15_silent_type_is_not_waited_for_long),
		cmocka_unit_test(t_no_resolver),
		cmocka_unit_test(t_servers_given),
		cmocka_unit_test(t_too_many_servers),
		cmocka_unit_test(t_cancel_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
