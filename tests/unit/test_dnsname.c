#include "net/dnsname.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"

#define LABEL63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static struct dns_name name(const char *text)
{
	struct dns_name n;

	if (dns_name_parse(text, &n) != 0)
		fail_msg("%s does not parse", text);
	return n;
}

static void t_text_is_read_and_written(void **state)
{
	static const struct {
		const char *in, *out; /* out NULL: refused */
	} rows[] = {
		{ ".", "." },
		{ "com", "com" },
		{ "_vlmcs._tcp.Corp.EXAMPLE.", "_vlmcs._tcp.corp.example" },
		{ "a\\.b.c", "a\\.b.c" },
		{ "a\\\\b", "a\\\\b" },
		{ "\\065\\066c", "abc" },
		{ "\\000x\\255.\\032", "\\000x\\255.\\032" },
		{ "x\\;y\\\"z", "x\\;y\\\"z" },
		{ "b\xc3\xbcro", "b\\195\\188ro" },
		{ LABEL63 ".x", LABEL63 ".x" },
		{ "", NULL },
		{ "..", NULL },
		{ ".com", NULL },
		{ "a..b", NULL },
		{ "a.b..", NULL },
		{ "a b", NULL },
		{ "a\tb", NULL },
		{ "a\x7f", NULL },
		{ "a\\", NULL },
		{ "a\\1", NULL },
		{ "a\\12", NULL },
		{ "a\\12x", NULL },
		{ "a\\256", NULL },
		{ "a\\999", NULL },
		{ "x" LABEL63, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char buf[DNSNAME_TEXT_MAX];
		struct dns_name n;
		int err = dns_name_parse(rows[i].in, &n);

		if (err != (rows[i].out == NULL ? ERR_PARSE : 0))
			fail_msg("row %zu '%s': %s", i, rows[i].in, err_name(err));
		if (rows[i].out != NULL)
			assert_string_equal(dns_name_format(&n, buf), rows[i].out);
	}
}

static void t_length_limits(void **state)
{
	static const char three[] = LABEL63 "." LABEL63 "." LABEL63 ".";
	char text[300], buf[DNSNAME_TEXT_MAX];
	struct dns_name n, up;

	(void)state;
	/* three labels of 63 are 192 octets, so one of 61 makes 254, and the root 255 */
	(void)snprintf(text, sizeof(text), "%s%.61s", three, LABEL63);
	assert_int_equal(dns_name_parse(text, &n), 0);
	assert_int_equal(n.len, DNSNAME_WIRE_MAX);
	assert_string_equal(dns_name_format(&n, buf), text);
	assert_int_equal(dns_name_prefix("a", &n, &up), ERR_LIMIT);
	(void)snprintf(text, sizeof(text), "%s%.62s", three, LABEL63);
	assert_int_equal(dns_name_parse(text, &n), ERR_PARSE);

	/* 127 labels of one octet */
	for (size_t i = 0; i < 127; i++)
		memcpy(&text[2 * i], "a.", 3);
	assert_int_equal(dns_name_parse(text, &n), 0);
	assert_int_equal(n.len, DNSNAME_WIRE_MAX);
	assert_int_equal(dns_name_labels(&n), 127);
	assert_int_equal(dns_name_compare(&n, &n), 0);
}

static void t_longest_text_fits(void **state)
{
	struct dns_name n = { .len = DNSNAME_WIRE_MAX }, again;
	char buf[DNSNAME_TEXT_MAX];

	(void)state;
	n.wire[0] = n.wire[64] = n.wire[128] = 63;
	n.wire[192] = 61;
	for (size_t i = 0; i < 254; i++)
		if (i % 64 != 0)
			n.wire[i] = 0xff; /* \255, four characters each */
	dns_name_format(&n, buf);
	assert_int_equal(strlen(buf), 250 * 4 + 3);
	assert_int_equal(dns_name_parse(buf, &again), 0);
	assert_true(dns_name_equal(&n, &again));
}

static void t_wire_is_checked(void **state)
{
	static const struct {
		size_t len;
		const char *bytes;
		int err;
	} rows[] = {
		{ 1, "\0", 0 },
		{ 5, "\3AbC\0", 0 },
		{ 0, "", ERR_DNS_MALFORMED },
		{ 4, "\3abc", ERR_DNS_MALFORMED },  /* no root */
		{ 3, "\3ab", ERR_DNS_MALFORMED },   /* cut */
		{ 2, "\0\0", ERR_DNS_MALFORMED },   /* more after the root */
		{ 2, "\xc0\0", ERR_DNS_MALFORMED }, /* a pointer */
		{ 3,
		  "\x41"
		  "a\0",
		  ERR_DNS_MALFORMED }, /* a bit label */
	};
	uint8_t deep[256] = { 0 };
	struct dns_name n;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (dns_name_from_wire((const uint8_t *)rows[i].bytes, rows[i].len, &n) !=
		    rows[i].err)
			fail_msg("row %zu", i);
	assert_int_equal(dns_name_from_wire((const uint8_t *)"\3AbC\0", 5, &n), 0);
	assert_memory_equal(n.wire, "\3abc\0", 5);
	for (size_t i = 0; i < 255; i += 64)
		deep[i] = 63;
	assert_int_equal(dns_name_from_wire(deep, sizeof(deep), &n), ERR_DNS_MALFORMED);
}

static void t_U06_case_does_not_count(void **state)
{
	struct dns_name a = name("_VLMCS._Tcp.corp.EXAMPLE"), b = name("_vlmcs._tcp.CORP.example.");

	(void)state;
	assert_true(dns_name_equal(&a, &b));
	assert_int_equal(dns_name_compare(&a, &b), 0);
	assert_true(dns_name_is_within(&a, &b));
	/* only ASCII folds: these two differ in a bit that would be the case of a letter */
	a = name("\\091");
	b = name("\\123");
	assert_false(dns_name_equal(&a, &b));
	a = name("\\192");
	b = name("\\224");
	assert_false(dns_name_equal(&a, &b));
}

static void t_U14_within_goes_by_whole_labels(void **state)
{
	static const struct {
		const char *n, *zone;
		bool within;
	} rows[] = {
		{ "example.com", "example.com", true },
		{ "a.example.com", "example.com", true },
		{ "a.b.Example.COM", "example.com", true },
		{ "com", ".", true },
		{ ".", ".", true },
		{ ".", "com", false },
		{ "notexample.com", "example.com", false },
		{ "example.com", "a.example.com", false },
		{ "example.org", "example.com", false },
		{ "a\\.example.com", "example.com", false },
		/* the octet 7 of "\007example" is not the length of a label "example" */
		{ "a\\007example.com", "example.com", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dns_name n = name(rows[i].n), zone = name(rows[i].zone);

		if (dns_name_is_within(&n, &zone) != rows[i].within)
			fail_msg("%s in %s", rows[i].n, rows[i].zone);
	}
}

/* A generator of its own, so that a failure can be repeated. */
static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 16;
}

static struct dns_name random_name(uint32_t *seed)
{
	/* few letters, and octets that look like lengths: collisions are what we want */
	static const uint8_t letters[] = { 'a', 'A', 'b', 1, 2, 3, '.', 0 };
	struct dns_name n = { 0 };
	uint8_t wire[DNSNAME_WIRE_MAX];
	size_t len = 0, labels = next(seed) % 5;

	for (size_t i = 0; i < labels; i++) {
		size_t l = 1 + next(seed) % 3;

		wire[len++] = (uint8_t)l;
		while (l-- > 0)
			wire[len++] = letters[next(seed) % sizeof(letters)];
	}
	wire[len++] = 0;
	assert_int_equal(dns_name_from_wire(wire, len, &n), 0);
	return n;
}

/* What "within" means, said in another way: taking labels off the front reaches the zone. */
static bool reaches(struct dns_name n, const struct dns_name *zone)
{
	do {
		if (dns_name_equal(&n, zone))
			return true;
	} while (dns_name_parent(&n, &n));
	return false;
}

static void t_U14_within_property(void **state)
{
	uint32_t seed = 1;
	unsigned hits = 0;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct dns_name n = random_name(&seed), zone = random_name(&seed), again;
		char buf[DNSNAME_TEXT_MAX];

		assert_int_equal(dns_name_is_within(&n, &zone), reaches(n, &zone));
		hits += dns_name_is_within(&n, &zone);
		assert_int_equal(dns_name_compare(&n, &zone) == 0, dns_name_equal(&n, &zone));
		assert_int_equal(dns_name_compare(&n, &zone) < 0, dns_name_compare(&zone, &n) > 0);
		assert_int_equal(dns_name_parse(dns_name_format(&n, buf), &again), 0);
		assert_true(dns_name_equal(&n, &again));
	}
	assert_true(hits > 1000 && hits < 19000);
}

static void t_canonical_order(void **state)
{
	/* the example of RFC 4034 §6.1 */
	static const char *const order[] = {
		"example",         "a.example",      "yljkjljk.a.example",
		"Z.a.example",     "zABC.a.EXAMPLE", "z.example",
		"\\001.z.example", "*.z.example",    "\\200.z.example",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		for (size_t j = 0; j < sizeof(order) / sizeof(order[0]); j++) {
			struct dns_name a = name(order[i]), b = name(order[j]);
			int c = dns_name_compare(&a, &b);

			if ((c < 0) != (i < j) || (c > 0) != (i > j))
				fail_msg("%s, %s: %d", order[i], order[j], c);
		}
}

static void t_prefix_parent_labels(void **state)
{
	struct dns_name n = name("corp.example"), up = { 0 }, unset = { 0 };
	char buf[DNSNAME_TEXT_MAX];

	(void)state;
	assert_int_equal(dns_name_prefix("_vlmcs._tcp", &n, &n), 0);
	assert_string_equal(dns_name_format(&n, buf), "_vlmcs._tcp.corp.example");
	assert_int_equal(dns_name_labels(&n), 4);
	assert_true(dns_name_parent(&n, &up));
	assert_string_equal(dns_name_format(&up, buf), "_tcp.corp.example");
	assert_int_equal(dns_name_prefix("a..b", &n, &up), ERR_PARSE);
	assert_int_equal(dns_name_prefix("a", &unset, &up), ERR_PARSE);

	n = name(".");
	assert_true(dns_name_is_root(&n));
	assert_int_equal(dns_name_labels(&n), 0);
	assert_false(dns_name_parent(&n, &up));
	assert_int_equal(dns_name_prefix("com", &n, &up), 0);
	assert_string_equal(dns_name_format(&up, buf), "com");
}

static void t_no_name_is_harmless(void **state)
{
	struct dns_name unset = { 0 }, root = name("."), up;
	char buf[DNSNAME_TEXT_MAX];

	(void)state;
	assert_false(dns_name_is_set(&unset));
	assert_false(dns_name_is_root(&unset));
	assert_string_equal(dns_name_format(&unset, buf), "");
	assert_false(dns_name_is_within(&unset, &root));
	assert_false(dns_name_is_within(&root, &unset));
	assert_false(dns_name_parent(&unset, &up));
	assert_false(dns_name_equal(&unset, &root));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_text_is_read_and_written),
		cmocka_unit_test(t_length_limits),
		cmocka_unit_test(t_longest_text_fits),
		cmocka_unit_test(t_wire_is_checked),
		cmocka_unit_test(t_U06_case_does_not_count),
		cmocka_unit_test(t_U14_within_goes_by_whole_labels),
		cmocka_unit_test(t_U14_within_property),
		cmocka_unit_test(t_canonical_order),
		cmocka_unit_test(t_prefix_parent_labels),
		cmocka_unit_test(t_no_name_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
