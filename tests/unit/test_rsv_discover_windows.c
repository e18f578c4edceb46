/* What Windows does beyond finding a host: codes, kinds of suffix, what ends the search. */
#include "resolver/discover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "tests/lib/discover_fixture.h"

/* Each try leaves its code, in order; what all of them come to is one code, or Vista's last. */
static void t_failure_list(void **state)
{
	static const struct auth_row rows[] = {
		{ CORP, DNS_TYPE_SRV, "kms1.corp.example", .port = 1688 },
		{ CORP, DNS_TYPE_SRV, "kms2.corp.example", .port = 1688, .priority = 1 },
		{ CORP, DNS_TYPE_SRV, "gone.corp.example", .port = 1688, .priority = 2 },
		{ CORP, DNS_TYPE_SRV, "kms3.corp.example", .port = 1689, .priority = 3 },
		{ "kms1.corp.example", DNS_TYPE_A, "127.0.0.11", .ttl = 60 },
		{ "kms2.corp.example", DNS_TYPE_A, "127.0.0.21", .ttl = 60 },
		{ "kms3.corp.example", DNS_TYPE_A, "127.0.0.31", .ttl = 60 },
	};
	static const struct fake_probe_rule rules[] = {
		{ "127.0.0.11:1688", PROBE_NO_KMS_INTERFACE },
		{ "127.0.0.21:1688", PROBE_REFUSED },
		{ NULL, PROBE_TIMEOUT },
	};
	static const struct fake_activation skewed = { "127.0.0.21:1688", 0xC004F06Cu, false };
	static const struct {
		const char *host;
		uint32_t hresult;
	} want[] = {
		{ "kms1.corp.example", 0x800706B5u },
		{ "kms2.corp.example", 0xC004F06Cu },
		{ "gone.corp.example", 0x8007232Bu },
		{ "kms3.corp.example", 0x800706BAu },
	};
	struct discover_fixture f;

	(void)state;
	discover_init(&f, rows, N(rows));
	f.prober.rules = rules;
	f.prober.n_rules = N(rules);
	f.prober.activations = &skewed;
	f.prober.n_activations = 1;
	discover_run(&f);
	assert_int_equal(f.code, HR_BINDING_SERVICE_UNAVAILABLE);
	assert_int_equal(f.n_attempts, N(want));
	for (size_t i = 0; i < N(want); i++) {
		assert_string_equal(f.attempt[i].host, want[i].host);
		assert_int_equal(f.attempt[i].hresult, want[i].hresult);
		assert_int_equal(addr_is_set(&f.attempt[i].addr), i != 2);
	}
	assert_string_equal(
		json_string_value(json_object_get(
			json_array_get(json_object_get(f.json, "attempts"), 1), "event_12288")),
		"0xC004F06C, 0x00000000, kms2.corp.example:1688");
	discover_done(&f);
}

static void t_vista_shows_the_last_code(void **state)
{
	static const struct fake_probe_rule rules[] = { { NULL, PROBE_TIMEOUT } };
	struct discover_fixture f;

	(void)state;
	discover_init(&f, discover_corp, N(discover_corp));
	f.prober.rules = rules;
	f.prober.n_rules = 1;
	f.p.profile = RSV_VISTA;
	discover_run(&f);
	assert_int_equal(f.code, 0x800706BAu);
	discover_done(&f);
}

/* A host that answers "count too low" is the one, and is remembered unless told otherwise. */
static void t_count_too_low_is_an_answer(void **state)
{
	static const struct fake_activation low = { NULL, HR_NOT_ENOUGH_COUNT, false };
	struct discover_fixture f;

	(void)state;
	for (int activated = 0; activated < 2; activated++) {
		discover_init(&f, discover_corp, N(discover_corp));
		f.prober.activations = &low;
		f.prober.n_activations = 1;
		f.p.cache = &f.cache;
		f.p.cache_write = activated ? RSV_CACHE_ACTIVATED : RSV_CACHE_ANSWERED;
		discover_run(&f);
		assert_true(f.selected);
		assert_int_equal(f.code, HR_NOT_ENOUGH_COUNT);
		assert_int_equal(f.prober.started, 1);
		assert_int_equal(rsv_cache_get(&f.cache) != NULL, !activated);
		discover_done(&f);
	}
}

/* With cache_write: activated a mere probe is not remembered, an activation is. */
static void t_cache_written_on_activation(void **state)
{
	static const struct fake_activation good = { NULL, HR_OK, false };
	struct discover_fixture f;

	(void)state;
	for (int activation = 0; activation < 2; activation++) {
		discover_init(&f, discover_corp, N(discover_corp));
		f.prober.activations = &good;
		f.prober.n_activations = activation ? 1 : 0;
		f.p.cache = &f.cache;
		f.p.cache_write = RSV_CACHE_ACTIVATED;
		discover_run(&f);
		assert_int_equal(f.code, HR_OK);
		assert_int_equal(rsv_cache_get(&f.cache) != NULL, activation);
		discover_done(&f);
	}
}

/* "Not this product" is shown as it is, and no other host is asked; nor is it remembered. */
static void t_wrong_host_ends_the_search(void **state)
{
	static const struct fake_probe_rule rules[] = { { NULL, PROBE_REFUSED } };
	static const struct fake_activation other = { NULL, HR_HOST_MISMATCH, true };
	struct rsv_cached_host h = { .host = "old.corp.example", .port = 1688 };
	struct discover_fixture f;

	(void)state;
	for (int cached = 0; cached < 2; cached++) {
		discover_init(&f, discover_corp, N(discover_corp));
		f.prober.rules = rules;
		f.prober.n_rules = 1;
		f.prober.activations = &other;
		f.prober.n_activations = 1;
		f.p.cache = &f.cache;
		h.addr = test_addr("127.0.0.77:1688");
		if (cached)
			rsv_cache_put(&f.cache, &h);
		discover_run(&f);
		assert_false(f.selected);
		assert_int_equal(f.code, HR_HOST_MISMATCH);
		assert_int_equal(f.prober.started, 1);
		assert_int_equal(f.n_attempts, 1);
		assert_int_equal(f.zone.srv_questions, cached ? 0 : 1);
		discover_done(&f);
	}
}

/* The records of all suffixes put together, where it is wanted (an open question). */
static void t_merged_suffixes(void **state)
{
	static const struct auth_row rows[] = {
		{ CORP, DNS_TYPE_SRV, "kms1.corp.example", .port = 1688, .priority = 5 },
		{ CORP, DNS_TYPE_SRV, "kms9.dept.example", .port = 1688, .priority = 1 },
		{ DEPT, DNS_TYPE_SRV, "kms9.dept.example", .port = 1688, .priority = 1 },
		{ DEPT, DNS_TYPE_SRV, "kms8.dept.example", .port = 1688, .priority = 9 },
		{ "kms9.dept.example", DNS_TYPE_A, "127.0.0.9", .ttl = 60 },
	};
	static const enum rsv_suffix_from from[] = { RSV_SUFFIX_PRIMARY, RSV_SUFFIX_SEARCH };
	struct discover_fixture f;

	(void)state;
	for (int merged = 0; merged < 2; merged++) {
		discover_init(&f, rows, N(rows));
		f.p.n_suffixes = 2;
		f.p.suffix_from = from;
		f.p.merge_suffixes = merged;
		discover_run(&f);
		assert_string_equal(f.target, "kms9.dept.example:1688");
		assert_int_equal(f.n_cand, merged ? 3 : 2);
		assert_int_equal(f.zone.srv_questions, merged ? 2 : 1);
		assert_int_equal(f.suffix[0].from, RSV_SUFFIX_PRIMARY);
		assert_true(f.suffix[0].asked && f.suffix[0].hresult == HR_OK);
		assert_int_equal(f.suffix[1].from, RSV_SUFFIX_SEARCH);
		assert_int_equal(f.suffix[1].asked, merged);
		discover_done(&f);
	}

	discover_init(&f, NULL, 0); /* nothing anywhere: as before */
	f.p.n_suffixes = 2;
	f.p.merge_suffixes = true;
	discover_run(&f);
	assert_int_equal(f.code, 0x8007232Bu);
	assert_int_equal(f.zone.srv_questions, 2);
	assert_int_equal(f.suffix[1].hresult, 0x8007232Bu);
	discover_done(&f);
}

/* What was put together so far is freed, wherever the end comes. */
static void t_cancel_between_merged_suffixes(void **state)
{
	(void)state;
	for (int steps = 0; steps < 10; steps++) {
		struct discover_fixture f;

		discover_init(&f, discover_corp, N(discover_corp));
		f.zone.silent_for = DEPT;
		f.p.n_suffixes = 2;
		f.p.merge_suffixes = true;
		discover_start(&f);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		assert_int_equal(f.calls, 0);
		rsv_discover_cancel(f.d);
		test_net_run_until(&f.t, &f.done);
		assert_int_equal(f.err, ERR_CANCELED);
		discover_done(&f);
	}
}

/* The last suffix's failure is the one that is shown. */
static void t_last_failure_is_shown(void **state)
{
	static const struct auth_row rows[] = { { "a." DEPT, DNS_TYPE_A, "127.0.0.1", .ttl = 60 } };
	struct discover_fixture f;

	(void)state;
	discover_init(&f, rows, N(rows));
	f.p.n_suffixes = 2; /* NXDOMAIN, then a name without the record */
	discover_run(&f);
	assert_int_equal(f.code, 0x8007251Du);
	assert_int_equal(f.suffix[0].hresult, 0x8007232Bu);
	discover_done(&f);
}

/* sub.corp.example without records: corp.example, which has some, is not asked. */
static void t_no_devolution(void **state)
{
	struct discover_fixture f;

	(void)state;
	discover_init(&f, discover_corp, N(discover_corp));
	assert_int_equal(dns_name_parse("sub.corp.example", &f.suffixes[0]), 0);
	discover_run(&f);
	assert_int_equal(f.code, 0x8007232Bu);
	assert_int_equal(f.zone.srv_questions, 1);
	discover_done(&f);
}

/* A host set by hand beats the lookup domain, as slmgr warns. */
static void t_manual_beats_lookup_domain(void **state)
{
	struct discover_fixture f;
	struct dns_name domain;

	(void)state;
	discover_init(&f, discover_corp, N(discover_corp));
	assert_int_equal(dns_name_parse("corp.example", &domain), 0);
	f.p.lookup_domain = &domain;
	f.p.manual_host = "kms2.corp.example";
	discover_run(&f);
	assert_string_equal(f.target, "kms2.corp.example:1688");
	assert_int_equal(f.zone.srv_questions, 0);
	discover_done(&f);
}

/* A NetBIOS name as manual host: the ordinary resolver puts the suffixes behind it, in their order.
 */
static void t_short_manual_name_gets_the_suffixes(void **state)
{
	static const struct auth_row rows[] = {
		{ "kms9.dept.example", DNS_TYPE_A, "127.0.0.9", .ttl = 60 },
		{ "kms9", DNS_TYPE_A, "127.0.0.1", .ttl = 60 },
	};
	static const struct {
		const char *host;
		size_t n_suffixes;
		const char *target; /* NULL: none */
		unsigned questions; /* AAAA and A of each name */
	} t[] = {
		{ "KMS9", 2, "kms9.dept.example:1688", 4 }, /* not in the first suffix */
		{ "kms9", 1, NULL, 2 },                     /* the bare name is not asked */
		{ "kms9", 0, "kms9:1688", 2 },              /* unless there is no suffix */
		{ "kms9.", 2, "kms9.:1688", 2 },            /* a dot makes it a full name */
		{ "gone", 2, NULL, 4 },
		{ "localhost", 2, "localhost:1688", 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(t); i++) {
		struct discover_fixture f;

		discover_init(&f, rows, N(rows));
		f.p.manual_host = t[i].host;
		f.p.n_suffixes = t[i].n_suffixes;
		discover_run(&f);
		assert_int_equal(f.selected, t[i].target != NULL);
		if (t[i].target != NULL)
			assert_int_equal(strcasecmp(f.target, t[i].target), 0);
		else
			assert_int_equal(f.code, 0x8007232Bu);
		assert_int_equal(f.zone.questions, t[i].questions);
		assert_int_equal(f.zone.srv_questions, 0);
		assert_int_equal(f.n_attempts, 1);
		discover_done(&f);
	}
}

/* A suffix whose server fails says more than one where the name does not exist. */
static void t_short_manual_name_and_a_failing_server(void **state)
{
	struct discover_fixture f;

	(void)state;
	discover_init(&f, NULL, 0);
	f.zone.rcode = DNS_RCODE_SERVFAIL;
	f.p.manual_host = "kms9";
	f.p.n_suffixes = 2;
	discover_run(&f);
	assert_int_equal(f.code, 0x8007232Au);
	discover_done(&f);
}

/* A server that answers the bare name satisfies nslookup, but no client asks for it. */
static void t_bare_name_is_never_asked(void **state)
{
	static const struct auth_row rows[] = {
		{ "_vlmcs._tcp", DNS_TYPE_SRV, "kms1.corp.example", .port = 1688 },
		{ "kms1.corp.example", DNS_TYPE_A, "127.0.0.11", .ttl = 60 },
	};
	struct discover_fixture f;

	(void)state;
	for (size_t n = 0; n < 2; n++) {
		discover_init(&f, rows, N(rows));
		f.p.n_suffixes = n;
		discover_run(&f);
		assert_false(f.selected);
		assert_int_equal(f.code, n == 0 ? 0x8007007Bu : 0x8007232Bu);
		assert_int_equal(f.zone.questions, n);
		discover_done(&f);
	}
}

/* .local is asked of the unicast server like any other: no multicast, no exception. */
static void t_local_is_a_domain_like_others(void **state)
{
	static const struct auth_row rows[] = {
		{ "_vlmcs._tcp.corp.local", DNS_TYPE_SRV, "kms1.corp.local", .port = 1688 },
		{ "kms1.corp.local", DNS_TYPE_A, "127.0.0.11", .ttl = 60 },
	};
	struct discover_fixture f;

	(void)state;
	discover_init(&f, rows, N(rows));
	assert_int_equal(dns_name_parse("Corp.Local", &f.suffixes[0]), 0);
	discover_run(&f);
	assert_string_equal(f.target, "kms1.corp.local:1688");
	assert_int_equal(f.zone.questions, 3);
	discover_done(&f);
}

/* A port set by hand without a host, where it is meant to count. */
static void t_lone_port(void **state)
{
	struct discover_fixture f;

	(void)state;
	discover_init(&f, discover_corp, N(discover_corp));
	f.p.lone_port = 1700;
	discover_run(&f);
	assert_string_equal(f.target, "kms1.corp.example:1700");
	assert_string_equal(f.prober.order, "127.0.0.11:1700");
	discover_done(&f);
}

static void t_activation_type_without_kms(void **state)
{
	struct discover_fixture f;

	(void)state;
	discover_init(&f, discover_corp, N(discover_corp));
	f.p.no_kms = true;
	f.p.manual_host = "kms2.corp.example";
	discover_run(&f);
	assert_false(f.selected);
	assert_int_equal(f.code, HR_MACHINE_NOT_BOUND);
	assert_int_equal(f.zone.questions, 0);
	assert_int_equal(f.prober.started, 0);
	discover_done(&f);
}

/* S14: an address of the other family is tried before the next host. */
static void t_S14_second_family_before_next_host(void **state)
{
	static const struct auth_row rows[] = {
		{ CORP, DNS_TYPE_SRV, "kms1.corp.example", .port = 1688 },
		{ CORP, DNS_TYPE_SRV, "kms2.corp.example", .port = 1688, .priority = 1 },
		{ "kms1.corp.example", DNS_TYPE_A, "127.0.0.11", .ttl = 60 },
		{ "kms1.corp.example", DNS_TYPE_AAAA, "::1", .ttl = 60 },
		{ "kms2.corp.example", DNS_TYPE_A, "127.0.0.21", .ttl = 60 },
	};
	static const struct fake_probe_rule v4_blocked[] = {
		{ "[::1]:1688", PROBE_UP },
		{ NULL, PROBE_TIMEOUT },
	};
	static const struct fake_probe_rule v6_blocked[] = {
		{ "127.0.0.11:1688", PROBE_UP },
		{ NULL, PROBE_TIMEOUT },
	};
	const struct fake_probe_rule *rules[] = { v4_blocked, v6_blocked };
	struct discover_fixture f;

	(void)state;
	for (size_t i = 0; i < N(rules); i++) {
		discover_init(&f, rows, N(rows));
		f.prober.rules = rules[i];
		f.prober.n_rules = 2;
		discover_run(&f);
		assert_string_equal(f.target, "kms1.corp.example:1688");
		assert_null(strstr(f.prober.order, "127.0.0.21"));
		discover_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_failure_list),
		cmocka_unit_test(t_vista_shows_the_last_code),
		cmocka_unit_test(t_count_too_low_is_an_answer),
		cmocka_unit_test(t_cache_written_on_activation),
		cmocka_unit_test(t_wrong_host_ends_the_search),
		cmocka_unit_test(t_merged_suffixes),
		cmocka_unit_test(t_cancel_between_merged_suffixes),
		cmocka_unit_test(t_last_failure_is_shown),
		cmocka_unit_test(t_no_devolution),
		cmocka_unit_test(t_manual_beats_lookup_domain),
		cmocka_unit_test(t_short_manual_name_gets_the_suffixes),
		cmocka_unit_test(t_short_manual_name_and_a_failing_server),
		cmocka_unit_test(t_bare_name_is_never_asked),
		cmocka_unit_test(t_local_is_a_domain_like_others),
		cmocka_unit_test(t_lone_port),
		cmocka_unit_test(t_activation_type_without_kms),
		cmocka_unit_test(t_S14_second_family_before_next_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
