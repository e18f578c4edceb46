#include "common/addr.h"

#include <string.h>

#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the above, which it needs */
#include <cmocka.h>

static void t_parse_and_format(void **state)
{
	static const struct {
		const char *text, *full, *host;
	} good[] = {
		{ "192.0.2.1", "192.0.2.1:53", "192.0.2.1" },
		{ "192.0.2.1:5353", "192.0.2.1:5353", "192.0.2.1" },
		{ "0.0.0.0:0", "0.0.0.0:0", "0.0.0.0" },
		{ "2001:DB8::1", "[2001:db8::1]:53", "2001:db8::1" },
		{ "[2001:db8::1]", "[2001:db8::1]:53", "2001:db8::1" },
		{ "[2001:db8:0::1]:65535", "[2001:db8::1]:65535", "2001:db8::1" },
		{ "[::]:1688", "[::]:1688", "::" },
		{ "fe80::1%7", "[fe80::1%7]:53", "fe80::1%7" },
		{ "[fe80::1%4294967]:1", "[fe80::1%4294967]:1", "fe80::1%4294967" },
		{ "[1111:2222:3333:4444:5555:6666:7777:8888%2147483647]:65535",
		  "[1111:2222:3333:4444:5555:6666:7777:8888%2147483647]:65535",
		  "1111:2222:3333:4444:5555:6666:7777:8888%2147483647" },
	};
	static const char *const bad[] = {
		"",
		":53",
		"host",
		"192.0.2",
		"192.0.2.256",
		"192.0.2.1:",
		"192.0.2.1:65536",
		"192.0.2.1:053",
		"192.0.2.1:-1",
		"192.0.2.1: 53",
		" 192.0.2.1",
		"192.0.2.1 ",
		"[192.0.2.1]:53",
		"[2001:db8::1",
		"[2001:db8::1]53",
		"[2001:db8::1]:",
		"2001:db8::1]:53",
		"[]:53",
		"[::1]]",
		"fe80::1%",
		"fe80::1%0",
		"fe80::1%no-such-interface",
		":::",
	};
	char buf[ADDR_TEXT_MAX];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(addr_parse(good[i].text, 53, &a), 0);
		addr_format(&a, buf);
		assert_string_equal(buf, good[i].full);
		addr_format_host(&a, buf);
		assert_string_equal(buf, good[i].host);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(addr_parse(bad[i], 53, &a), ERR_PARSE);
}

static void t_unset_is_harmless(void **state)
{
	struct addr unset = { 0 }, a;
	char buf[ADDR_TEXT_MAX];

	(void)state;
	assert_false(addr_is_set(&unset));
	assert_int_equal(addr_port(&unset), 0);
	addr_set_port(&unset, 5);
	assert_int_equal(addr_len(&unset), 0);
	addr_format(&unset, buf);
	assert_string_equal(buf, "-");
	assert_false(addr_is_loopback(&unset) || addr_is_any(&unset) || addr_is_private(&unset));
	assert_int_equal(addr_parse("0.0.0.0:0", 0, &a), 0);
	assert_false(addr_equal(&a, &unset));
	assert_true(addr_equal(&unset, &unset));
}

static void t_sockaddr(void **state)
{
	struct sockaddr_un_like {
		sa_family_t family;
	} un = { AF_UNIX };
	struct addr a, b;
	char buf[ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(addr_parse("[::ffff:192.0.2.7]:99", 0, &a), 0);
	assert_int_equal(addr_from_sockaddr(&b, &a.u.sa), 0);
	addr_format(&b, buf);
	assert_string_equal(buf, "192.0.2.7:99");
	assert_int_equal(addr_parse("fe80::1%3", 7, &a), 0);
	assert_int_equal(addr_from_sockaddr(&b, &a.u.sa), 0);
	assert_true(addr_equal(&a, &b));
	assert_int_equal(addr_len(&b), sizeof(struct sockaddr_in6));
	assert_true(addr_from_sockaddr(&b, (const struct sockaddr *)&un) < 0);
	addr_set_port(&b, 8);
	assert_false(addr_equal(&a, &b));
	assert_true(addr_same_host(&a, &b));
	assert_int_equal(addr_parse("fe80::1%4", 7, &b), 0);
	assert_false(addr_same_host(&a, &b));
}

static void t_same_peer(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.2", false },
		{ "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true },
		{ "2001:db8:0:1::1", "2001:db8::1", false },
		{ "fe80::1%4", "fe80::2%4", true },
		{ "fe80::1%4", "fe80::1%5", false },
		{ "192.0.2.1", "2001:db8::1", false },
		{ "::1", "127.0.0.1", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr a, b;

		assert_int_equal(addr_parse(rows[i].a, 1, &a), 0);
		assert_int_equal(addr_parse(rows[i].b, 2, &b), 0);
		assert_int_equal(addr_same_peer(&a, &b), rows[i].same);
		assert_int_equal(addr_same_peer(&b, &a), rows[i].same);
	}
}

static void t_kinds(void **state)
{
	static const struct {
		const char *text;
		bool loopback, any, private;
	} rows[] = {
		{ "127.0.0.1", true, false, false },   { "127.255.255.255", true, false, false },
		{ "128.0.0.1", false, false, false },  { "::1", true, false, false },
		{ "0.0.0.0", false, true, false },     { "::", false, true, false },
		{ "10.255.0.1", false, false, true },  { "11.0.0.1", false, false, false },
		{ "172.15.0.1", false, false, false }, { "172.16.0.1", false, false, true },
		{ "172.31.9.1", false, false, true },  { "172.32.0.1", false, false, false },
		{ "192.168.1.1", false, false, true }, { "192.169.1.1", false, false, false },
		{ "169.254.1.1", false, false, true }, { "fc00::1", false, false, true },
		{ "fdff::1", false, false, true },     { "fe00::1", false, false, false },
		{ "fe80::1", false, false, true },     { "febf::1", false, false, true },
		{ "fec0::1", false, false, false },    { "2001:db8::1", false, false, false },
	};
	struct addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(addr_parse(rows[i].text, 1, &a), 0);
		assert_int_equal(addr_is_loopback(&a), rows[i].loopback);
		assert_int_equal(addr_is_any(&a), rows[i].any);
		assert_int_equal(addr_is_private(&a), rows[i].private);
	}
}

static void t_hostport(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
	} good[] = {
		{ "kms1.corp.example", "kms1.corp.example", 1688 },
		{ "kms1:99", "kms1", 99 },
		{ "[::1]:99", "::1", 99 },
		{ "::1", "::1", 1688 },
		{ "192.0.2.1:1", "192.0.2.1", 1 },
	};
	static const char *const bad[] = { "", ":1", "a:", "a:b", "a b", "[a]:1", "a]:1", "a\n" };
	char host[HOST_TEXT_MAX], big[HOST_TEXT_MAX + 1];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(hostport_parse(good[i].text, 1688, host, &port), 0);
		assert_string_equal(host, good[i].host);
		assert_int_equal(port, good[i].port);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(hostport_parse(bad[i], 1688, host, &port), ERR_PARSE);
	memset(big, 'a', sizeof(big));
	big[HOST_TEXT_MAX] = '\0';
	assert_int_equal(hostport_parse(big, 1, host, &port), ERR_PARSE);
	big[HOST_TEXT_MAX - 1] = '\0';
	assert_int_equal(hostport_parse(big, 1, host, &port), 0);
}

static void t_cidr(void **state)
{
	static const struct {
		const char *net, *text;
		const char *in, *out;
	} good[] = {
		{ "192.0.2.0/24", "192.0.2.0/24", "192.0.2.255", "192.0.3.0" },
		{ "192.0.2.128/25", "192.0.2.128/25", "192.0.2.128", "192.0.2.127" },
		{ "0.0.0.0/0", "0.0.0.0/0", "255.255.255.255", "::1" },
		{ "192.0.2.1", "192.0.2.1/32", "192.0.2.1", "192.0.2.2" },
		{ "2001:db8::/32", "2001:db8::/32", "2001:db8:ffff::1", "2001:db9::" },
		{ "2001:db8::/33", "2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::" },
		{ "::/0", "::/0", "::1", "127.0.0.1" },
		{ "::1", "::1/128", "::1", "::2" },
	};
	static const char *const bad[] = {
		"",
		"/24",
		"192.0.2.0/",
		"192.0.2.0/33",
		"192.0.2.1/24",
		"192.0.2.0/024",
		"192.0.2.0/+24",
		"192.0.2.0/24/1",
		"2001:db8::/129",
		"2001:db8::1/64",
		"192.0.2.0:5/24",
		"[2001:db8::]/32",
		"fe80::%1/64",
		"corp.example/8",
	};
	char buf[ADDR_TEXT_MAX];
	struct cidr c;
	struct addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(cidr_parse(good[i].net, &c), 0);
		cidr_format(&c, buf);
		assert_string_equal(buf, good[i].text);
		assert_int_equal(addr_parse(good[i].in, 1, &a), 0);
		assert_true(cidr_contains(&c, &a));
		assert_int_equal(addr_parse(good[i].out, 1, &a), 0);
		assert_false(cidr_contains(&c, &a));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(cidr_parse(bad[i], &c), ERR_PARSE);
}

static void t_hostport_format(void **state)
{
	char text[HOST_TEXT_MAX];

	(void)state;
	assert_string_equal(hostport_format("kms1", 1688, text, sizeof(text)), "kms1:1688");
	assert_string_equal(hostport_format("192.0.2.1", 65535, text, sizeof(text)),
			    "192.0.2.1:65535");
	assert_string_equal(hostport_format("2001:db8::1", 1, text, sizeof(text)),
			    "[2001:db8::1]:1");
	assert_string_equal(hostport_format("kms1", 1688, text, 4), "kms");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_parse_and_format),
		cmocka_unit_test(t_unset_is_harmless),
		cmocka_unit_test(t_sockaddr),
		cmocka_unit_test(t_same_peer),
		cmocka_unit_test(t_kinds),
		cmocka_unit_test(t_hostport),
		cmocka_unit_test(t_hostport_format),
		cmocka_unit_test(t_cidr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
