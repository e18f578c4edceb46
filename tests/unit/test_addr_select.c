#include "net/addr_select.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct addr_route route(const char *dst, const char *src)
{
	struct addr_route r;

	memset(&r, 0, sizeof(r));
	assert_int_equal(addr_parse(dst, 1688, &r.dst), 0);
	if (src != NULL)
		assert_int_equal(addr_parse(src, 0, &r.src), 0);
	return r;
}

/* The examples of RFC 6724 section 10.2, as far as the rules are ours, and some of this trade. */
static const struct {
	const char *rule;
	const char *first, *first_src;
	const char *second, *second_src;
} rows[] = {
	{ "1: a way to it", "10.0.0.1", "10.0.0.9", "2001:db8::1", NULL },
	{ "1: a way to it", "2001:db8::1", "2001:db8::9", "10.0.0.1", NULL },
	{ "2: matching scope", "2001:db8:1::1", "2001:db8:1::2", "198.51.100.121",
	  "169.254.13.78" },
	{ "2: matching scope", "198.51.100.121", "198.51.100.117", "2001:db8:1::1", "fe80::1" },
	{ "2: matching scope", "2001:db8:1::1", "2001:db8:1::2", "fe80::1", "2001:db8:1::2" },
	{ "2: matching scope", "fec0::1", "fec0::2", "2001:db8:1::1", "fec0::2" },
	{ "5: matching label", "2002:c633:6401::1", "2002:c633:6401::2", "2001:db8:1::1",
	  "2002:c633:6401::2" },
	{ "6: precedence", "2001:db8:1::1", "2001:db8:1::2", "10.1.2.3", "10.1.2.4" },
	{ "6: precedence", "2001:db8:1::1", "2001:db8:1::2", "2002:c633:6401::1",
	  "2002:c633:6401::2" },
	{ "6: IPv4 before ULA", "10.1.2.3", "10.1.2.4", "fd00::1", "fd00::2" },
	{ "6: loopback first", "::1", "::1", "127.0.0.1", "127.0.0.1" },
	{ "6: Teredo after IPv4", "198.51.100.1", "198.51.100.2", "2001:0:1::1", "2001:0:1::2" },
	{ "8: smaller scope", "fe80::1", "fe80::2", "2001:db8:1::1", "2001:db8:1::2" },
	{ "8: smaller scope", "ff02::1", "fe80::2", "2001:db8:1::1", "2001:db8:1::2" },
	{ "9: longest prefix", "2001:db8:1::1", "2001:db8:1::2", "2001:db8:3ffe::1",
	  "2001:db8:1::2" },
};

static void t_S14_rules_of_rfc_6724(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct addr_route a = route(rows[i].first, rows[i].first_src);
		struct addr_route b = route(rows[i].second, rows[i].second_src);
		struct addr_route both[2] = { b, a };

		if (addr_select_compare(&a, &b) >= 0 || addr_select_compare(&b, &a) <= 0)
			fail_msg("row %zu, rule %s", i, rows[i].rule);
		addr_select_order(both, 2);
		assert_true(addr_equal(&both[0].dst, &a.dst));
	}
}

/* What no rule tells apart stays as the server gave it: its rotation spreads the load. */
static void t_server_order_is_kept(void **state)
{
	struct addr_route r[] = {
		route("10.0.0.7", "10.0.0.1"),
		route("10.200.0.1", "10.0.0.1"),
		route("10.0.0.1", "10.0.0.1"),
		route("2001:db8::9", "2001:db8::1"),
		route("2001:db8::1:9", "2001:db8::1"),
		route("2001:db8::1", "2001:db8::1"),
		route("192.0.2.1", NULL),
		route("2001:db8:5::1", NULL),
		route("192.0.2.0", NULL),
	};
	static const char *const want[] = {
		"2001:db8::9", "2001:db8::1:9", "2001:db8::1", "10.0.0.7",  "10.200.0.1",
		"10.0.0.1",    "2001:db8:5::1", "192.0.2.1",   "192.0.2.0",
	};
	char text[ADDR_TEXT_MAX];

	(void)state;
	addr_select_order(r, N(r));
	for (size_t i = 0; i < N(want); i++) {
		addr_format_host(&r[i].dst, text);
		assert_string_equal(text, want[i]);
	}
}

/* A comparison that contradicts itself would make the order depend on chance. */
static void t_comparison_is_consistent(void **state)
{
	struct addr_route r[2 * N(rows)];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		r[n++] = route(rows[i].first, rows[i].first_src);
		r[n++] = route(rows[i].second, rows[i].second_src);
	}
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(addr_select_compare(&r[i], &r[i]), 0);
		for (size_t k = 0; k < n; k++) {
			int c = addr_select_compare(&r[i], &r[k]);
			int back = addr_select_compare(&r[k], &r[i]);

			assert_true((c < 0) == (back > 0) && (c == 0) == (back == 0));
		}
	}
	addr_select_order(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_S14_rules_of_rfc_6724),
		cmocka_unit_test(t_server_order_is_kept),
		cmocka_unit_test(t_comparison_is_consistent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
