#include "resolver/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

#define WORD  "68531fb9-5511-4989-97be-d11a0f55633f"
#define OTHER "11111111-2222-3333-4444-555555555555"

static struct config *cfg;

static const struct config_discovery *load(const char *text)
{
	struct config_errors errs = { 0 };

	if (config_parse(text, strlen(text), "k.yaml", &cfg, &errs) != 0)
		fail_msg("%s", errs.errors[0].text);
	config_errors_done(&errs);
	return &cfg->discovery;
}

static int done(void **state)
{
	(void)state;
	config_free(cfg);
	cfg = NULL;
	return 0;
}

/* The most specific place counts: product, application, all. */
static void t_manual_host_of_three_scopes(void **state)
{
	static const struct {
		const char *product;
		const char *host; /* NULL: none */
		uint16_t port;
	} rows[] = {
		{ NULL, "all.example", 1700 },
		{ "windows", "all.example", 1700 },
		{ "office", "app.example", 0 },
		{ RSV_APP_OFFICE, "app.example", 0 },
		{ WORD, "2001:db8::1", 1701 },
		{ "68531FB9-5511-4989-97BE-D11A0F55633F", "2001:db8::1", 1701 },
		{ OTHER, "app.example", 0 }, /* of the application, without a host of its own */
	};
	const struct config_discovery *d =
		load("discovery:\n"
		     "  manual_host: \"all.example:1700\"\n"
		     "  products:\n"
		     "    - { application: office, manual_host: app.example }\n"
		     "    - { application: office, activation_id: " WORD ",\n"
		     "        manual_host: \"[2001:db8::1]:1701\" }\n"
		     "    - { application: OFFICE, activation_id: " OTHER ",\n"
		     "        lookup_domain: o.example }\n");
	struct err_info info;
	struct rsv_client c;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		assert_int_equal(rsv_client_init(&c, d, rows[i].product, NULL, &info), 0);
		assert_string_equal(c.params.manual_host, rows[i].host);
		assert_int_equal(c.params.manual_port, rows[i].port);
	}
	assert_int_equal(rsv_client_init(&c, d, "excel", NULL, &info), ERR_USAGE);
	assert_non_null(strstr(info.text, "excel"));
}

/* "windows" and "office" are words for the ids of the applications. */
static void t_application_ids(void **state)
{
	const struct config_discovery *d =
		load("discovery:\n"
		     "  products:\n"
		     "    - { application: 55C92734-D682-4D71-983E-D6EC3F16059F, manual_host: w }\n"
		     "    - { application: office, manual_host: o }\n");
	struct rsv_client c;

	(void)state;
	assert_int_equal(rsv_client_init(&c, d, "Windows", NULL, NULL), 0);
	assert_string_equal(c.params.manual_host, "w");
	assert_string_equal(c.product, "55c92734-d682-4d71-983e-d6ec3f16059f");
	assert_int_equal(rsv_client_init(&c, d, "0ff1ce16-a989-479d-af46-f275c6370663", NULL, NULL),
			 0);
	assert_string_equal(c.params.manual_host, "o");
	assert_int_equal(rsv_client_init(&c, d, NULL, NULL, NULL), 0);
	assert_null(c.params.manual_host);
	assert_string_equal(c.product, "");
}

static void t_lookup_domain_and_type_of_three_scopes(void **state)
{
	static const struct {
		const char *product;
		const char *domain; /* NULL: none */
		bool no_kms;
	} rows[] = {
		{ NULL, "all.example", true },
		{ "office", "app.example", true },
		{ WORD, "app.example", false },
	};
	const struct config_discovery *d =
		load("discovery:\n"
		     "  lookup_domain: all.example\n"
		     "  activation_type: ad\n"
		     "  products:\n"
		     "    - { application: office, lookup_domain: app.example }\n"
		     "    - { application: office, activation_id: " WORD ",\n"
		     "        activation_type: kms }\n");
	char text[DNSNAME_TEXT_MAX];
	struct rsv_client c;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		assert_int_equal(rsv_client_init(&c, d, rows[i].product, NULL, NULL), 0);
		assert_string_equal(dns_name_format(c.params.lookup_domain, text), rows[i].domain);
		assert_int_equal(c.params.no_kms, rows[i].no_kms);
	}
}

/* Primary, AD, connection, search list, and which is which; a list of its own stands for all. */
static void t_suffix_order(void **state)
{
	static const char four[] = "search_list: [d.example, e.example], connection_suffixes: "
				   "c.example, ad_domain: b.example, primary_suffix: a.example";
	static const struct resolv_conf rc_none = { .n_suffixes = 0 };
	struct resolv_conf rc = { .n_suffixes = 1 };
	char text[512], name[DNSNAME_TEXT_MAX];
	struct rsv_client c;

	(void)state;
	assert_int_equal(dns_name_parse("rc.example", &rc.suffixes[0]), 0);
	snprintf(text, sizeof(text), "discovery: { %s }\n", four);
	assert_int_equal(rsv_client_init(&c, load(text), NULL, &rc, NULL), 0);
	assert_int_equal(c.params.n_suffixes, 5);
	for (size_t i = 0; i < 5; i++) {
		char want[] = "a.example";

		want[0] = (char)('a' + i);
		assert_string_equal(dns_name_format(&c.params.suffixes[i], name), want);
		assert_int_equal(c.params.suffix_from[i],
				 i < 4 ? RSV_SUFFIX_PRIMARY + i : RSV_SUFFIX_SEARCH);
	}
	done(NULL);

	snprintf(text, sizeof(text), "discovery: { suffixes: [x.example], %s }\n", four);
	assert_int_equal(rsv_client_init(&c, load(text), NULL, &rc, NULL), 0);
	assert_int_equal(c.params.n_suffixes, 1);
	assert_int_equal(c.params.suffix_from[0], RSV_SUFFIX_LIST);
	done(NULL);

	assert_int_equal(rsv_client_init(&c, load("log: { level: info }\n"), NULL, &rc, NULL), 0);
	assert_int_equal(c.params.n_suffixes, 1); /* this machine's */
	assert_int_equal(c.params.suffix_from[0], RSV_SUFFIX_RESOLV_CONF);
	assert_int_equal(rsv_client_init(&c, &cfg->discovery, NULL, &rc_none, NULL), 0);
	assert_int_equal(c.params.n_suffixes, 0);
}

static void t_port_without_host(void **state)
{
	struct rsv_client c;

	(void)state;
	assert_int_equal(rsv_client_init(&c, load("discovery: { manual_host: \":1700\" }\n"), NULL,
					 NULL, NULL),
			 0);
	assert_null(c.params.manual_host);
	assert_int_equal(c.params.lone_port, 0);
	done(NULL);
	assert_int_equal(rsv_client_init(&c,
					 load("discovery: { manual_host: \":1700\", "
					      "port_without_host: use }\n"),
					 NULL, NULL, NULL),
			 0);
	assert_null(c.params.manual_host);
	assert_int_equal(c.params.lone_port, 1700);
}

static void t_open_questions_have_defaults(void **state)
{
	struct rsv_client c;

	(void)state;
	assert_int_equal(rsv_client_init(&c, load("log: { level: info }\n"), NULL, NULL, NULL), 0);
	assert_int_equal(c.params.profile, RSV_MODERN);
	assert_false(c.params.merge_suffixes || c.params.no_kms);
	assert_int_equal(c.params.cache_write, RSV_CACHE_ANSWERED);
	done(NULL);
	assert_int_equal(rsv_client_init(&c,
					 load("discovery: { profile: vista, suffix_answers: "
					      "merged, cache_write: activated }\n"),
					 NULL, NULL, NULL),
			 0);
	assert_int_equal(c.params.profile, RSV_VISTA);
	assert_true(c.params.merge_suffixes);
	assert_int_equal(c.params.cache_write, RSV_CACHE_ACTIVATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(t_manual_host_of_three_scopes, done),
		cmocka_unit_test_teardown(t_lookup_domain_and_type_of_three_scopes, done),
		cmocka_unit_test_teardown(t_application_ids, done),
		cmocka_unit_test_teardown(t_suffix_order, done),
		cmocka_unit_test_teardown(t_port_without_host, done),
		cmocka_unit_test_teardown(t_open_questions_have_defaults, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
