/* The hosts behind the relay, with a resolver that answers as it is told. */
#include "daemon/upstreams.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/log.h"
#include "tests/lib/auth_zone.h"

#define SRV      "_kms._tcp.hosts.x.example"
#define TTL_MS   20u /* of every lookup here, in the test's time */
#define RETRY_MS 30u

struct fixture {
	struct test_net t;
	struct auth_zone zone;
	struct fake_dns *server;
	struct upstreams *u;
	char list[8192]; /* "name priority address,address; " of each, as told last */
	unsigned told;
	bool news; /* since the test looked */
	const char *draining;
	json_t *known;
	bool closed;
};

static char lines[16384]; /* of the log */

static void tap(void *ctx, const char *line)
{
	size_t n = strlen(lines);

	(void)ctx;
	(void)snprintf(lines + n, sizeof(lines) - n, "%s\n", line);
}

static unsigned count_lines(const char *part)
{
	unsigned n = 0;

	for (const char *at = lines; (at = strstr(at, part)) != NULL; at++)
		n++;
	return n;
}

static void on_changed(void *ctx, const struct relay_upstream *list, size_t n)
{
	struct fixture *f = ctx;
	size_t len = 0;

	f->told++;
	f->news = true;
	f->list[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		len += (size_t)snprintf(f->list + len, sizeof(f->list) - len, "%s%s %u%s%s",
					i > 0 ? "; " : "", list[i].name, list[i].priority,
					list[i].lab ? " lab" : "",
					list[i].draining ? " draining" : "");
		for (size_t k = 0; k < list[i].n_addrs; k++) {
			char at[ADDR_TEXT_MAX];

			addr_format(&list[i].addrs[k], at);
			len += (size_t)snprintf(f->list + len, sizeof(f->list) - len, "%c%s",
						k > 0 ? ',' : ' ', at);
		}
	}
}

static void on_learned(void *ctx, json_t *known)
{
	struct fixture *f = ctx;

	assert_non_null(known);
	json_decref(f->known);
	f->known = known;
}

static bool is_draining(void *ctx, const char *name)
{
	const struct fixture *f = ctx;

	return f->draining != NULL && strcmp(f->draining, name) == 0;
}

static void set_rows(struct fixture *f, const struct auth_row *rows, size_t n)
{
	f->zone.rows = rows;
	f->zone.n_rows = n;
}
#define ROWS(f, ...)                                                                               \
	do {                                                                                       \
		static const struct auth_row rows_[] = { __VA_ARGS__ };                            \
		set_rows(f, rows_, sizeof(rows_) / sizeof(rows_[0]));                              \
	} while (0)
#define A(name, ip)                                                                                \
	{                                                                                          \
		name, DNS_TYPE_A, ip, 0, 0, 0, 0                                                   \
	}
#define S(prio, target, port)                                                                      \
	{                                                                                          \
		SRV, DNS_TYPE_SRV, target, port, prio, 0, 0                                        \
	}

static void init_knowing(struct fixture *f, const json_t *known)
{
	const struct upstreams_params p = { .net = &f->t.net,
					    .known = known,
					    .learned = on_learned,
					    .ttl_min_ms = 1,
					    .ttl_max_ms = TTL_MS,
					    .retry_ms = RETRY_MS,
					    .draining = is_draining,
					    .changed = on_changed,
					    .ctx = f };

	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	f->zone = (struct auth_zone){ .apex = ".", .not_authoritative = true };
	f->server = auth_zone_start(&f->t, NULL, 0, &f->zone);
	f->t.net.resolvers[0] = *fake_dns_addr(f->server);
	f->t.net.n_resolvers = 1;
	assert_int_equal(upstreams_new(&p, &f->u), 0);
	lines[0] = '\0';
	log_setup(LOG_INFO, LOG_TEXT, -1);
	log_set_tap(tap, NULL);
}

static void init(struct fixture *f)
{
	init_knowing(f, NULL);
}

static void on_closed(void *ctx)
{
	((struct fixture *)ctx)->closed = true;
}

static void done(struct fixture *f)
{
	upstreams_free(f->u, on_closed, f);
	assert_false(f->closed);
	test_net_run_until(&f->t, &f->closed);
	fake_dns_free(f->server);
	test_net_done(&f->t);
	log_set_tap(NULL, NULL);
	json_decref(f->known);
}

static void configure(struct fixture *f, const struct config_upstream *list, size_t n, char *srv)
{
	struct config_relay c = { .n_upstreams = n, .srv = srv };

	c.upstreams = calloc(n + 1, sizeof(*c.upstreams));
	assert_non_null(c.upstreams);
	if (n > 0)
		memcpy(c.upstreams, list, n * sizeof(*list));
	upstreams_configure(f->u, &c);
	free(c.upstreams); /* nothing of it is kept */
}

/* Time passes, and what is due happens. */
static void turn(struct fixture *f)
{
	f->t.clock.mono_ms += TTL_MS;
	assert_true(uv_run(&f->t.loop, UV_RUN_ONCE) != 0);
}

static void wait_list(struct fixture *f, const char *want)
{
	for (int i = 0; strcmp(f->list, want) != 0; i++) {
		if (i == 300)
			fail_msg("'%s' does not become '%s'", f->list, want);
		turn(f);
	}
}

static void wait_line(struct fixture *f, const char *part)
{
	for (int i = 0; count_lines(part) == 0; i++) {
		if (i == 300)
			fail_msg("no line '%s' in:\n%s", part, lines);
		turn(f);
	}
}

/* So many questions more that answers to the first of them have been taken. */
static void wait_asked(struct fixture *f, unsigned n)
{
	unsigned want = f->zone.questions + n;

	while (f->zone.questions < want)
		turn(f);
}

static char srv_name[] = SRV, other_name[] = "_kms._tcp.other.example";
static char literal[] = "127.0.0.9", winkms1[] = "winkms1", winkms2[] = "winkms2";
static char host_a[] = "a.x.example", host_b[] = "b.x.example";

/* ---- names ---- */

static void t_names_and_literals(void **state)
{
	static const struct config_upstream list[] = {
		{ .name = winkms1, .address = literal, .port = 1688 },
		{ .name = winkms2, .address = host_a, .port = 1689, .priority = 10, .lab = true },
	};
	struct upstream_info info;
	struct fixture f;

	(void)state;
	init(&f);
	ROWS(&f, A("a.x.example", "127.0.0.2"), A("a.x.example", "127.0.0.3"));
	configure(&f, list, 2, NULL);
	assert_string_equal(f.list, "winkms1 0 127.0.0.9:1688"); /* known without anybody's help */
	assert_false(upstreams_settled(f.u));
	wait_list(&f, "winkms1 0 127.0.0.9:1688; winkms2 10 lab 127.0.0.2:1689,127.0.0.3:1689");
	assert_true(upstreams_settled(f.u));
	assert_int_equal(f.told, 2);
	assert_int_equal(upstreams_n(f.u), 2);
	upstreams_get(f.u, 1, &info);
	assert_string_equal(info.name, "winkms2");
	assert_string_equal(info.host, "a.x.example");
	assert_true(info.lab && !info.from_srv);
	assert_false(upstreams_find(f.u, "winkms3", NULL));
	/* servers rotate: another order is no news */
	ROWS(&f, A("a.x.example", "127.0.0.3"), A("a.x.example", "127.0.0.2"));
	wait_asked(&f, 4);
	assert_int_equal(f.told, 2);
	ROWS(&f, A("a.x.example", "127.0.0.4"));
	wait_list(&f, "winkms1 0 127.0.0.9:1688; winkms2 10 lab 127.0.0.4:1689");
	assert_int_equal(f.told, 3);
	done(&f);
}

static void t_failed_lookup_keeps_the_addresses(void **state)
{
	static const struct config_upstream list[] = {
		{ .name = winkms1, .address = host_a, .port = 1688 },
	};
	struct fixture f;

	(void)state;
	init(&f);
	ROWS(&f, A("a.x.example", "127.0.0.2"));
	configure(&f, list, 1, NULL);
	assert_string_equal(f.list, ""); /* not "unresolved" before anybody looked */
	wait_list(&f, "winkms1 0 127.0.0.2:1688");
	for (int i = 0; i < 2; i++) { /* SERVFAIL; no such name */
		lines[0] = '\0';
		f.told = 0;
		f.zone.rcode = i == 0 ? DNS_RCODE_SERVFAIL : DNS_RCODE_NXDOMAIN;
		wait_line(&f, "upstream.lookup");
		assert_int_equal(count_lines("the addresses that are known stay"), 1);
		wait_asked(&f, 8);
		assert_int_equal(count_lines("upstream.lookup"), 1); /* said once */
		assert_int_equal(f.told, 0);
		f.zone.rcode = 0;
		wait_line(&f, "can be looked up again");
		assert_int_equal(f.told, 0);
	}
	done(&f);
}

static void t_never_resolved(void **state)
{
	static const struct config_upstream list[] = {
		{ .name = winkms1, .address = host_a, .port = 1688 },
	};
	struct fixture f;

	(void)state;
	init(&f);
	configure(&f, list, 1, NULL);
	wait_list(&f, "winkms1 0");
	assert_true(upstreams_settled(f.u));
	assert_int_equal(count_lines("no request can be sent to it"), 1);
	ROWS(&f, A("a.x.example", "127.0.0.2"));
	wait_list(&f, "winkms1 0 127.0.0.2:1688");
	done(&f);
}

static void t_reload(void **state)
{
	static const struct config_upstream before[] = {
		{ .name = winkms1, .address = host_a, .port = 1688 },
		{ .name = winkms2, .address = host_b, .port = 1688 },
	};
	static const struct config_upstream after[] = {
		{ .name = winkms2, .address = host_b, .port = 1688, .priority = 5 },
	};
	struct fixture f;

	(void)state;
	init(&f);
	ROWS(&f, A("a.x.example", "127.0.0.2"), A("b.x.example", "127.0.0.3"));
	configure(&f, before, 2, NULL);
	wait_list(&f, "winkms1 0 127.0.0.2:1688; winkms2 0 127.0.0.3:1688");
	/* while nobody answers: what is known of the one that stays is enough */
	f.zone.silent = true;
	configure(&f, after, 1, NULL);
	assert_string_equal(f.list, "winkms2 5 127.0.0.3:1688");
	f.told = 0;
	configure(&f, after, 1, NULL);
	assert_int_equal(f.told, 0);
	f.draining = "winkms2";
	upstreams_tell(f.u);
	assert_string_equal(f.list, "winkms2 5 draining 127.0.0.3:1688");
	done(&f);
}

/* A question to resolvers that are gone is not waited for. */
static void t_other_resolvers(void **state)
{
	static const struct config_upstream list[] = {
		{ .name = winkms1, .address = host_a, .port = 1688 },
	};
	struct addr good;
	struct fixture f;

	(void)state;
	init(&f);
	ROWS(&f, A("a.x.example", "127.0.0.2"), S(0, "a.x.example", 1690));
	good = f.t.net.resolvers[0];
	f.zone.silent = true;
	configure(&f, list, 1, srv_name);
	while (fake_dns_udp_count(f.server) < 3)
		(void)uv_run(&f.t.loop, UV_RUN_ONCE);
	f.zone.silent = false;
	f.t.net.resolvers[0] = good;
	upstreams_look_again(f.u);
	for (int i = 0; i < 50 && !upstreams_settled(f.u); i++)
		(void)uv_run(&f.t.loop, UV_RUN_ONCE);
	wait_list(&f, "winkms1 0 127.0.0.2:1688; a.x.example:1690 0 127.0.0.2:1690");
	done(&f);
}

/* ---- relay.srv ---- */

static void t_srv(void **state)
{
	static const struct config_upstream list[] = {
		{ .name = winkms1, .address = host_a, .port = 1688, .priority = 3 },
	};
	struct upstream_info info;
	struct fixture f;

	(void)state;
	init(&f);
	ROWS(&f, S(0, "a.x.example", 1688), S(20, "b.x.example", 1700), S(30, "b.x.example", 1700),
	     S(10, "a.x.example", 1690), S(0, "b.x.example", 0), A("a.x.example", "127.0.0.2"),
	     A("b.x.example", "127.0.0.3"));
	configure(&f, list, 1, srv_name);
	/* configured with another priority: the configuration says */
	wait_list(&f, "winkms1 3 127.0.0.2:1688; a.x.example:1690 10 127.0.0.2:1690; "
		      "b.x.example:1700 20 127.0.0.3:1700");
	assert_true(upstreams_settled(f.u));
	assert_true(upstreams_find(f.u, "b.x.example:1700", &info));
	assert_true(info.from_srv);
	/* nobody can tell: they stay */
	f.told = 0;
	lines[0] = '\0';
	f.zone.rcode = DNS_RCODE_SERVFAIL;
	wait_line(&f, "relay.srv");
	assert_int_equal(count_lines("the hosts that are known stay upstreams"), 1);
	wait_asked(&f, 12);
	assert_int_equal(count_lines("relay.srv"), 1);
	assert_int_equal(f.told, 0);
	/* others */
	f.zone.rcode = 0;
	ROWS(&f, S(20, "b.x.example", 1700), A("a.x.example", "127.0.0.2"),
	     A("b.x.example", "127.0.0.3"));
	wait_list(&f, "winkms1 3 127.0.0.2:1688; b.x.example:1700 20 127.0.0.3:1700");
	/* "no such service", then records again, then none */
	ROWS(&f, S(0, ".", 0), A("a.x.example", "127.0.0.2"));
	wait_list(&f, "winkms1 3 127.0.0.2:1688");
	assert_int_equal(count_lines("target \\\".\\\""), 1);
	ROWS(&f, S(7, "a.x.example", 9), A("a.x.example", "127.0.0.2"));
	wait_list(&f, "winkms1 3 127.0.0.2:1688; a.x.example:9 7 127.0.0.2:9");
	ROWS(&f, A("a.x.example", "127.0.0.2"));
	wait_list(&f, "winkms1 3 127.0.0.2:1688");
	assert_int_equal(count_lines("there is no such record"), 1);
	done(&f);
}

static void t_srv_another_name(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	ROWS(&f, S(0, "a.x.example", 1688), A("a.x.example", "127.0.0.2"));
	configure(&f, NULL, 0, srv_name);
	wait_list(&f, "a.x.example:1688 0 127.0.0.2:1688");
	/* the old hosts serve until the new name was asked, and not for longer */
	f.zone.rcode = DNS_RCODE_SERVFAIL;
	configure(&f, NULL, 0, other_name);
	assert_string_equal(f.list, "a.x.example:1688 0 127.0.0.2:1688");
	wait_list(&f, "");
	assert_int_equal(count_lines("cannot be looked up: no upstream comes from here yet"), 1);
	f.zone.rcode = 0;
	configure(&f, NULL, 0, srv_name);
	wait_list(&f, "a.x.example:1688 0 127.0.0.2:1688");
	configure(&f, NULL, 0, NULL);
	assert_string_equal(f.list, "");
	done(&f);
}

static void t_srv_too_many(void **state)
{
	static struct auth_row rows[RELAY_UPSTREAMS_MAX + 6];
	static const struct config_upstream list[] = {
		{ .name = winkms1, .address = literal, .port = 1688 },
	};
	struct fixture f;

	(void)state;
	init(&f);
	for (size_t i = 0; i < RELAY_UPSTREAMS_MAX + 6; i++)
		rows[i] = (struct auth_row)S((uint16_t)(100 - i), "127.0.0.2", (uint16_t)(1 + i));
	set_rows(&f, rows, RELAY_UPSTREAMS_MAX + 6);
	configure(&f, list, 1, srv_name);
	wait_line(&f, "the rest is left out");
	assert_int_equal(upstreams_n(f.u), RELAY_UPSTREAMS_MAX);
	assert_true(upstreams_find(f.u, "127.0.0.2:70", NULL)); /* the lowest priority first */
	assert_false(upstreams_find(f.u, "127.0.0.2:1", NULL));
	done(&f);
}

/* ---- over a restart ---- */

static void t_what_was_known_before(void **state)
{
	static const struct config_upstream list[] = {
		{ .name = winkms1, .address = host_a, .port = 1688 },
		{ .name = winkms2, .address = host_b, .port = 1688 },
	};
	struct fixture f, g;

	(void)state;
	init(&f);
	ROWS(&f, S(4, "b.x.example", 1700), A("a.x.example", "127.0.0.2"),
	     A("b.x.example", "127.0.0.3"));
	configure(&f, list, 2, srv_name);
	wait_list(&f, "winkms1 0 127.0.0.2:1688; winkms2 0 127.0.0.3:1688; "
		      "b.x.example:1700 4 127.0.0.3:1700");
	/* the next process: at once, and though nobody answers */
	init_knowing(&g, f.known);
	g.zone.rcode = DNS_RCODE_SERVFAIL;
	configure(&g, list, 2, srv_name);
	assert_string_equal(g.list, "winkms1 0 127.0.0.2:1688; winkms2 0 127.0.0.3:1688; "
				    "b.x.example:1700 4 127.0.0.3:1700");
	wait_line(&g, "the hosts that are known stay upstreams");
	assert_int_equal(g.told, 2); /* and that all has been looked at */
	assert_string_equal(g.list, f.list);
	g.zone.rcode = 0;
	ROWS(&g, A("a.x.example", "127.0.0.8"), A("b.x.example", "127.0.0.3"));
	wait_list(&g, "winkms1 0 127.0.0.8:1688; winkms2 0 127.0.0.3:1688");
	done(&g);
	/* only for the hosts that they were: another port, other records */
	init_knowing(&g, f.known);
	g.zone.silent = true;
	configure(&g, list, 1, other_name);
	assert_string_equal(g.list, "winkms1 0 127.0.0.2:1688");
	done(&g);
	done(&f);
}

static void t_what_was_known_may_be_anything(void **state)
{
	static const char *const texts[] = {
		"1",
		"{}",
		"{\"srv\": 3, \"hosts\": {}}",
		"{\"srv\": \"..\", \"hosts\": [1, {}, {\"name\": \"a\", \"host\": \"b\", "
		"\"port\": 70000, \"priority\": 0}]}",
		"{\"srv\": \"_kms._tcp.hosts.x.example\", \"hosts\": [{\"name\": \"winkms1\", "
		"\"host\": \"a.x.example\", \"port\": 1688, \"priority\": 0, \"addresses\": "
		"[\"x\", 3]}]}",
	};
	static const struct config_upstream list[] = {
		{ .name = winkms1, .address = host_a, .port = 1688 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *known = json_loads(texts[i], JSON_DECODE_ANY, NULL);
		struct fixture f;

		assert_non_null(known);
		init_knowing(&f, known);
		json_decref(known);
		configure(&f, list, 1, srv_name);
		assert_string_equal(f.list, "");
		done(&f);
	}
}

/* ---- the end ---- */

static void t_free_at_every_step(void **state)
{
	static const struct config_upstream list[] = {
		{ .name = winkms1, .address = host_a, .port = 1688 },
		{ .name = winkms2, .address = host_b, .port = 1688 },
	};

	(void)state;
	for (int steps = 0; steps < 12; steps++) {
		struct fixture f;

		init(&f);
		ROWS(&f, S(0, "a.x.example", 1), A("a.x.example", "127.0.0.2"));
		configure(&f, list, 2, srv_name);
		for (int i = 0; i < steps; i++) {
			f.t.clock.mono_ms += TTL_MS;
			(void)uv_run(&f.t.loop, UV_RUN_NOWAIT);
		}
		if (steps % 3 == 0)
			upstreams_look_again(f.u);
		if (steps % 3 == 1)
			configure(&f, NULL, 0, other_name);
		f.told = 0;
		done(&f);
		assert_int_equal(f.told, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_names_and_literals),
		cmocka_unit_test(t_failed_lookup_keeps_the_addresses),
		cmocka_unit_test(t_never_resolved),
		cmocka_unit_test(t_reload),
		cmocka_unit_test(t_other_resolvers),
		cmocka_unit_test(t_srv),
		cmocka_unit_test(t_srv_another_name),
		cmocka_unit_test(t_srv_too_many),
		cmocka_unit_test(t_what_was_known_before),
		cmocka_unit_test(t_what_was_known_may_be_anything),
		cmocka_unit_test(t_free_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
