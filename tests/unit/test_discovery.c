/* The daemon's discovery against a scripted server and prober: rounds, news, memory, reload, end.
 */
#include "daemon/discovery.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/log.h"
#include "tests/lib/auth_zone.h"
#include "tests/lib/fake_prober.h"

#define CORP "_vlmcs._tcp.corp.example"
#define N(a) (sizeof(a) / sizeof((a)[0]))

static char dir[] = "/tmp/kmsbeacon-discovery.XXXXXX";

struct fixture {
	struct test_net t;
	struct auth_zone zone;
	struct fake_dns *server;
	struct fake_prober prober;
	struct discovery_setup setup;
	struct discovery *d;
	enum pub_health_state known; /* of every host */
	bool freed;
	/* lines of the log */
	unsigned firsts, changes, remembered, unfinished;
	char last[2048];
};

static struct fixture *the;

static void on_line(void *ctx, const char *line)
{
	struct fixture *f = ctx;

	f->firsts += strstr(line, "discovery.first") != NULL;
	f->changes += strstr(line, "discovery.changed") != NULL;
	f->remembered += strstr(line, "discovery.remembered") != NULL;
	f->unfinished += strstr(line, "discovery.unfinished") != NULL;
	if (strstr(line, "discovery.") != NULL)
		(void)snprintf(f->last, sizeof(f->last), "%s", line);
}

static const struct auth_row two[] = {
	{ CORP, DNS_TYPE_SRV, "kms1.corp.example", .port = 1688 },
	{ CORP, DNS_TYPE_SRV, "kms2.corp.example", .port = 1688, .priority = 10 },
	{ "kms1.corp.example", DNS_TYPE_A, "127.0.0.11", .ttl = 60 },
	{ "kms2.corp.example", DNS_TYPE_A, "127.0.0.12", .ttl = 60 },
};
static const struct auth_row second_only[] = {
	{ CORP, DNS_TYPE_SRV, "kms2.corp.example", .port = 1688 },
	{ "kms2.corp.example", DNS_TYPE_A, "127.0.0.12", .ttl = 60 },
};

static enum pub_health_state known(void *ctx, const struct dns_name *target, uint16_t port)
{
	(void)target;
	(void)port;
	return ((struct fixture *)ctx)->known;
}

static void set_rows(struct fixture *f, const struct auth_row *rows, size_t n)
{
	f->zone.rows = rows;
	f->zone.n_rows = n;
}

static void init(struct fixture *f, bool cache)
{
	struct discovery_params p = { .net = &f->t.net,
				      .prober = &f->prober.prober,
				      .state_dir = dir,
				      .known = known,
				      .ctx = f };

	memset(f, 0, sizeof(*f));
	the = f;
	log_set_tap(on_line, f);
	log_setup(LOG_INFO, LOG_TEXT, open("/dev/null", O_WRONLY | O_CLOEXEC));
	test_net_init(&f->t);
	f->zone.apex = ".";
	set_rows(f, two, N(two));
	f->server = auth_zone_start(&f->t, NULL, 0, &f->zone);
	f->t.net.resolvers[0] = *fake_dns_addr(f->server);
	f->t.net.n_resolvers = 1;
	fake_prober_init(&f->prober);
	f->setup = (struct discovery_setup){
		.interval_ms = 300000,
		.rule = { .interval_ms = 10000, .timeout_ms = 1000, .rise = 2, .fall = 3 },
		.profiles = { RSV_MODERN },
		.n_profiles = 1,
		.n_suffixes = 1,
		.cache = cache,
	};
	assert_int_equal(dns_name_parse("corp.example", &f->setup.suffixes[0]), 0);
	assert_int_equal(dns_name_parse("dept.example", &f->setup.suffixes[1]), 0);
	assert_int_equal(discovery_new(&p, &f->d), 0);
}

static void on_freed(void *ctx)
{
	((struct fixture *)ctx)->freed = true;
}

static void remove_files(void)
{
	static const char *const names[] = { "modern.corp.example", "modern.dept.example",
					     "vista.corp.example", "vista.dept.example" };
	char path[256];

	for (size_t i = 0; i < N(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/discovery/%s.json", dir, names[i]);
		(void)unlink(path);
	}
	(void)snprintf(path, sizeof(path), "%s/discovery", dir);
	(void)rmdir(path);
}

static void end(struct fixture *f)
{
	discovery_free(f->d, on_freed, f);
	assert_false(f->freed);
	test_net_run_until(&f->t, &f->freed);
	fake_dns_free(f->server);
	log_set_tap(NULL, NULL);
	test_net_done(&f->t);
}

/* ---- waiting for a round ---- */

static json_t *status_of(struct fixture *f, size_t i)
{
	json_t *list = discovery_status(f->d);
	json_t *o = json_incref(json_array_get(list, i));

	json_decref(list);
	return o;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text != NULL ? text : "null";
}

/* The fake clock stands still, so a round is over when its rows are due in the future again. */
static bool round_over(struct fixture *f)
{
	json_t *list = discovery_status(f->d), *o;
	char now[CLOCK_TEXT_MAX];
	bool over = true;
	size_t i;

	clock_format_rfc3339(f->t.clock.wall_ms, now);
	json_array_foreach(list, i, o) over &= strcmp(text_of(o, "next_run"), now) != 0;
	json_decref(list);
	return over;
}

static void run_round(struct fixture *f)
{
	for (int i = 0; i < 100000 && !round_over(f); i++)
		(void)uv_run(&f->t.loop, UV_RUN_ONCE);
	assert_true(round_over(f));
}

static void pass(struct fixture *f, uint64_t ms)
{
	f->t.clock.mono_ms += ms;
	f->t.clock.wall_ms += (int64_t)ms;
	discovery_poke(f->d, NULL, false); /* the loop's timer does not know of the fake clock */
	run_round(f);
}

static void begin(struct fixture *f)
{
	discovery_configure(f->d, &f->setup);
	run_round(f);
}

/* ---- tests ---- */

static void t_first_look(void **state)
{
	struct fixture f;
	json_t *o, *hosts;

	(void)state;
	init(&f, false);
	begin(&f);
	assert_int_equal(f.firsts, 1);
	assert_non_null(strstr(f.last, "profile=modern domain=corp.example"));
	assert_non_null(strstr(f.last, "0 0 1688 kms1.corp.example up, "
				       "10 0 1688 kms2.corp.example up"));
	assert_int_equal(f.prober.started, 2); /* each host once */
	o = status_of(&f, 0);
	assert_string_equal(text_of(json_object_get(o, "result"), "code"), "0x00000000");
	assert_string_equal(text_of(json_object_get(o, "result"), "text"), "2 of 2 hosts are up");
	assert_true(json_is_true(json_object_get(o, "settled")));
	hosts = json_object_get(o, "candidates");
	assert_int_equal(json_array_size(hosts), 2);
	assert_string_equal(text_of(json_array_get(hosts, 1), "target"), "kms2.corp.example");
	assert_true(json_real_value(json_object_get(json_array_get(hosts, 0), "probability")) ==
		    1.0);
	json_decref(o);
	end(&f);
}

/* Nothing changes: nothing is said, and each host costs one probe a round. */
static void t_same_is_no_news(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, false);
	f.setup.profiles[1] = RSV_VISTA;
	f.setup.n_profiles = 2;
	begin(&f);
	assert_int_equal(f.firsts, 2);
	assert_int_equal(f.prober.started, 2); /* one round, two profiles */
	pass(&f, 300000);
	pass(&f, 300000);
	assert_int_equal(f.firsts + f.changes, 2);
	assert_int_equal(f.prober.started, 6);
	end(&f);
}

static void t_changed_record(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, false);
	begin(&f);
	set_rows(&f, second_only, N(second_only));
	pass(&f, 300000);
	assert_int_equal(f.changes, 1);
	assert_non_null(strstr(f.last, "was=\"0 0 1688 kms1.corp.example up, "));
	assert_non_null(strstr(f.last, "now=\"0 0 1688 kms2.corp.example up\" code=0x00000000"));
	set_rows(&f, NULL, 0);
	pass(&f, 300000);
	assert_int_equal(f.changes, 2);
	assert_non_null(strstr(f.last, "now=none code=0x8007232B"));
	end(&f);
}

/* A resolver would repeat itself until the TTL is over: it is not asked before, but the hosts are.
 */
static void t_S12_dns_is_asked_when_the_ttl_is_over(void **state)
{
	struct fixture f;
	unsigned asked;

	(void)state;
	init(&f, false);
	f.zone.not_authoritative = true;
	f.setup.interval_ms = 20000;
	begin(&f);
	asked = f.zone.questions;
	set_rows(&f, second_only, N(second_only));
	pass(&f, 20000);
	pass(&f, 20000);
	assert_int_equal(f.zone.questions, asked);
	assert_int_equal(f.prober.started, 6);
	assert_int_equal(f.changes, 0);
	pass(&f, 20001); /* the TTL of the addresses: 60 s */
	assert_true(f.zone.questions > asked);
	assert_int_equal(f.changes, 1);
	/* what the resolver said does not count any more (S17): no waiting for the TTL */
	set_rows(&f, two, N(two));
	f.t.clock.mono_ms += 2000;
	f.t.clock.wall_ms += 2000;
	discovery_poke(f.d, NULL, true);
	run_round(&f);
	assert_int_equal(f.changes, 2);
	end(&f);
}

/* A host that dies is believed dead after `fall` looks, which come quickly. */
static void t_host_goes_down(void **state)
{
	static const struct fake_probe_rule rules[] = { { "127.0.0.11:1688", PROBE_REFUSED } };
	struct fixture f;
	json_t *o;

	(void)state;
	init(&f, false);
	f.setup.profiles[1] = RSV_VISTA; /* two looks a round, but one word of the host */
	f.setup.n_profiles = 2;
	begin(&f);
	f.prober.rules = rules;
	f.prober.n_rules = N(rules);
	pass(&f, 300000);
	assert_int_equal(f.changes, 0);
	o = status_of(&f, 0);
	assert_false(json_is_true(json_object_get(o, "settled")));
	json_decref(o);
	pass(&f, 10000);
	assert_int_equal(f.changes, 0);
	pass(&f, 10000);
	assert_int_equal(f.changes, 2);
	assert_non_null(strstr(f.last, "now=\"0 0 1688 kms1.corp.example down, "));
	assert_non_null(strstr(f.last, "code=0x00000000")); /* the other one is up */
	end(&f);
}

/* Down and up again and again, never long enough to be believed. */
static void t_flapping_host_is_no_news(void **state)
{
	static const struct fake_probe_rule rules[] = { { "127.0.0.11:1688", PROBE_REFUSED } };
	struct fixture f;

	(void)state;
	init(&f, false);
	f.prober.rules = rules;
	begin(&f);
	for (int i = 0; i < 30; i++) {
		f.prober.n_rules = i % 3 < 2; /* two of three probes fail */
		pass(&f, 10000);
	}
	assert_int_equal(f.changes, 0);
	end(&f);
}

static void t_all_hosts_down(void **state)
{
	static const struct fake_probe_rule rules[] = { { NULL, PROBE_TIMEOUT } };
	struct fixture f;

	(void)state;
	init(&f, true);
	begin(&f);
	f.prober.rules = rules;
	f.prober.n_rules = N(rules);
	for (int i = 0; i < 3; i++)
		pass(&f, 10000);
	assert_int_equal(f.changes, 1);
	assert_non_null(strstr(f.last, "code=0xC004F074"));
	end(&f);
	remove_files();
}

/* What the health table knows is not probed again. */
static void t_known_hosts_are_not_probed(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, false);
	f.known = PUB_HEALTH_UP;
	begin(&f);
	assert_int_equal(f.prober.started, 0);
	assert_int_equal(f.firsts, 1);
	f.known = PUB_HEALTH_DOWN; /* damped already */
	pass(&f, 10000);
	assert_int_equal(f.changes, 1);
	assert_non_null(strstr(f.last, "code=0xC004F074"));
	end(&f);
}

/* S08 */
static void t_S08_failing_server_is_no_empty_set(void **state)
{
	struct fixture f;
	json_t *o;

	(void)state;
	init(&f, false);
	begin(&f);
	f.zone.rcode = DNS_RCODE_SERVFAIL;
	pass(&f, 300000);
	pass(&f, 10000);
	assert_int_equal(f.changes, 0);
	o = status_of(&f, 0);
	assert_int_equal(json_array_size(json_object_get(o, "candidates")), 2);
	assert_string_equal(text_of(o, "last_code"), "0x8007232A");
	json_decref(o);
	f.zone.rcode = 0;
	pass(&f, 10000);
	assert_int_equal(f.changes, 0);
	f.zone.rcode = DNS_RCODE_SERVFAIL;
	for (int i = 0; i < 3; i++)
		pass(&f, 10000);
	assert_int_equal(f.changes, 1);
	assert_non_null(strstr(f.last, "code=0x8007232A"));
	end(&f);
}

/* S11: the client that remembers stays on a host that has left DNS, also after a restart; and finds
 * another one when it dies. */
static void t_S11_remembered_host_leaves_dns(void **state)
{
	static const struct fake_probe_rule rules[] = { { "127.0.0.11:1688", PROBE_REFUSED } };
	struct fixture f;
	json_t *o;

	(void)state;
	init(&f, true);
	begin(&f);
	o = status_of(&f, 0);
	assert_string_equal(text_of(json_object_get(o, "cached"), "target"), "kms1.corp.example");
	assert_string_equal(text_of(json_object_get(o, "cached"), "standing"), "best");
	json_decref(o);
	end(&f);

	init(&f, true);
	set_rows(&f, second_only, N(second_only));
	begin(&f);
	assert_int_equal(f.remembered, 1);
	o = status_of(&f, 0);
	assert_string_equal(text_of(json_object_get(o, "cached"), "target"), "kms1.corp.example");
	assert_string_equal(text_of(json_object_get(o, "cached"), "standing"), "gone");
	assert_string_equal(
		text_of(json_object_get(json_object_get(o, "caching_client"), "selected"),
			"source"),
		"cache");
	json_decref(o);
	pass(&f, 300000);
	assert_int_equal(f.remembered, 1); /* said once */

	f.prober.rules = rules;
	f.prober.n_rules = N(rules);
	pass(&f, 300000);
	o = status_of(&f, 0);
	assert_string_equal(text_of(json_object_get(o, "cached"), "target"), "kms2.corp.example");
	assert_string_equal(text_of(json_object_get(o, "cached"), "standing"), "best");
	json_decref(o);
	assert_int_equal(f.remembered, 2);
	end(&f);
	remove_files();
}

/* S10: it stays on the worse host, as Windows does, and that is said. */
static void t_S10_remembered_host_of_a_lower_tier(void **state)
{
	static const struct fake_probe_rule rules[] = { { "127.0.0.11:1688", PROBE_REFUSED } };
	struct fixture f;
	json_t *o;

	(void)state;
	init(&f, true);
	f.prober.rules = rules;
	f.prober.n_rules = N(rules);
	begin(&f);
	f.prober.n_rules = 0;
	pass(&f, 10000);
	pass(&f, 10000);
	o = status_of(&f, 0);
	assert_string_equal(text_of(json_object_get(o, "cached"), "target"), "kms2.corp.example");
	assert_string_equal(text_of(json_object_get(o, "cached"), "standing"), "lower");
	json_decref(o);
	assert_int_equal(f.remembered, 1);

	f.setup.cache = false; /* /ckhc: forgotten, also on disk */
	discovery_configure(f.d, &f.setup);
	run_round(&f);
	o = status_of(&f, 0);
	assert_true(json_is_null(json_object_get(o, "cached")));
	assert_true(json_is_null(json_object_get(o, "caching_client")));
	json_decref(o);
	f.setup.cache = true; /* /skhc: a new beginning, at the best one */
	discovery_configure(f.d, &f.setup);
	f.t.clock.mono_ms += 2000;
	run_round(&f);
	o = status_of(&f, 0);
	assert_string_equal(text_of(json_object_get(o, "cached"), "target"), "kms1.corp.example");
	json_decref(o);
	end(&f);
	remove_files();
}

static void t_files_that_cannot_be_used(void **state)
{
	struct fixture f;
	char path[256];
	FILE *out;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/discovery", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/discovery/modern.corp.example.json", dir);
	out = fopen(path, "w");
	assert_non_null(out);
	(void)fputs("{\"version\": 99}", out);
	(void)fclose(out);
	init(&f, true);
	discovery_configure(f.d, &f.setup);
	assert_non_null(strstr(f.last, path)); /* said */
	run_round(&f);
	assert_int_equal(f.firsts, 1); /* and gone on */
	end(&f);
	remove_files();

	/* a file in the place of the folder */
	(void)snprintf(path, sizeof(path), "%s/discovery", dir);
	out = fopen(path, "w");
	assert_non_null(out);
	(void)fclose(out);
	init(&f, true);
	begin(&f);
	pass(&f, 300000);
	assert_int_equal(f.firsts, 1);
	end(&f);
	assert_int_equal(unlink(path), 0);
}

/* A host set by hand: no SRV question, and its own codes. */
static void t_manual_host(void **state)
{
	static const struct fake_probe_rule rules[] = { { NULL, PROBE_REFUSED } };
	struct fixture f;
	json_t *o;

	(void)state;
	init(&f, true);
	f.setup.n_suffixes = 0;
	(void)snprintf(f.setup.manual_host, sizeof(f.setup.manual_host), "kms1.corp.example");
	begin(&f);
	assert_int_equal(f.zone.srv_questions, 0);
	assert_int_equal(f.firsts, 1);
	assert_non_null(strstr(f.last, "domain=kms1.corp.example now=\"0 0 1688 "
				       "kms1.corp.example up\" code=0x00000000"));
	o = status_of(&f, 0);
	assert_true(json_is_null(json_object_get(o, "domain")));
	assert_string_equal(text_of(o, "manual_host"), "kms1.corp.example");
	assert_true(json_is_null(json_object_get(o, "cached")));
	json_decref(o);
	f.prober.rules = rules;
	f.prober.n_rules = N(rules);
	for (int i = 0; i < 3; i++)
		pass(&f, 10000);
	assert_int_equal(f.changes, 1);
	assert_non_null(strstr(f.last, "code=0xC004F074"));
	set_rows(&f, NULL, 0);
	pass(&f, 10000);
	assert_int_equal(f.changes, 2);
	assert_non_null(strstr(f.last, "code=0x8007232B"));
	end(&f);
}

static void t_reload(void **state)
{
	struct fixture f;
	json_t *list;

	(void)state;
	init(&f, false);
	begin(&f);
	f.setup.n_suffixes = 2;
	f.t.clock.mono_ms += 2000;
	discovery_configure(f.d, &f.setup);
	run_round(&f);
	assert_int_equal(f.firsts, 2); /* what stays is not told again */
	list = discovery_status(f.d);
	assert_int_equal(json_array_size(list), 2);
	json_decref(list);
	f.setup.interval_ms = 0;
	discovery_configure(f.d, &f.setup);
	list = discovery_status(f.d);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
	end(&f);
}

/* A reload and an end in every state of a round. */
static void t_reload_and_end_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 24; steps++) {
		struct fixture f;

		init(&f, true);
		discovery_configure(f.d, &f.setup);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		f.setup.n_suffixes = 1 + (size_t)steps % 2;
		discovery_configure(f.d, &f.setup);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		end(&f);
		remove_files();
	}
}

/* Asked in the middle of a look, status has what is known, not what is being found out. */
static void t_status_during_a_look(void **state)
{
	struct fixture f;
	unsigned probes;
	json_t *o;

	(void)state;
	init(&f, false);
	begin(&f);
	f.prober.silent = true;
	probes = f.prober.started;
	f.t.clock.mono_ms += 300000;
	discovery_poke(f.d, NULL, false);
	while (f.prober.started < probes + 2)
		(void)uv_run(&f.t.loop, UV_RUN_ONCE);
	o = status_of(&f, 0);
	assert_string_equal(text_of(json_array_get(json_object_get(o, "candidates"), 0), "state"),
			    "up");
	assert_true(json_is_true(json_object_get(o, "settled")));
	json_decref(o);
	end(&f);
}

/* Hosts that never answer: an end in the middle of the probes. */
static void t_end_while_hosts_are_silent(void **state)
{
	(void)state;
	for (int cache = 0; cache < 2; cache++) {
		struct fixture f;

		init(&f, cache != 0);
		f.prober.silent = true;
		discovery_configure(f.d, &f.setup);
		while (f.prober.started < 2)
			(void)uv_run(&f.t.loop, UV_RUN_ONCE);
		end(&f);
		remove_files();
	}
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(dir); /* fails where a temporary file was left behind */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_first_look),
		cmocka_unit_test(t_same_is_no_news),
		cmocka_unit_test(t_changed_record),
		cmocka_unit_test(t_S12_dns_is_asked_when_the_ttl_is_over),
		cmocka_unit_test(t_host_goes_down),
		cmocka_unit_test(t_flapping_host_is_no_news),
		cmocka_unit_test(t_all_hosts_down),
		cmocka_unit_test(t_known_hosts_are_not_probed),
		cmocka_unit_test(t_S08_failing_server_is_no_empty_set),
		cmocka_unit_test(t_S11_remembered_host_leaves_dns),
		cmocka_unit_test(t_S10_remembered_host_of_a_lower_tier),
		cmocka_unit_test(t_files_that_cannot_be_used),
		cmocka_unit_test(t_manual_host),
		cmocka_unit_test(t_reload),
		cmocka_unit_test(t_reload_and_end_at_every_step),
		cmocka_unit_test(t_status_during_a_look),
		cmocka_unit_test(t_end_while_hosts_are_silent),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
