#include "common/skms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

struct row {
	const char *arg;
	const char *host; /* NULL: refused */
	uint16_t port;    /* 0: none given */
	const char *bare;
};

static void check(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct skms set = { .host = "untouched", .port = 7 };
		char bare[HOST_TEXT_MAX];
		struct err_info info = { "" };
		int err = skms_parse(rows[i].arg, &set, &info);

		if (rows[i].host == NULL) {
			assert_int_equal(err, ERR_USAGE);
			assert_string_equal(set.host, "untouched");
			assert_int_equal(set.port, 7);
			assert_true(strlen(info.text) > 0);
			continue;
		}
		assert_int_equal(err, 0);
		assert_string_equal(set.host, rows[i].host);
		assert_int_equal(set.port, rows[i].port);
		skms_bare_host(set.host, bare);
		assert_string_equal(bare, rows[i].bare);
	}
}

/* FQDN, NetBIOS name, IPv4 address: the first colon parts name and port. */
static void t_first_colon_parts_name_and_port(void **state)
{
	static const struct row rows[] = {
		{ "kms1.corp.example", "kms1.corp.example", 0, "kms1.corp.example" },
		{ "kms1.corp.example.", "kms1.corp.example.", 0, "kms1.corp.example." },
		{ "KMS_HOST1", "KMS_HOST1", 0, "KMS_HOST1" },
		{ "kms1:1689", "kms1", 1689, "kms1" },
		{ "10.0.0.5:1", "10.0.0.5", 1, "10.0.0.5" },
		{ "kms1:65535", "kms1", 65535, "kms1" },
		{ "kms1:01689", "kms1", 1689, "kms1" },
		{ "kms1:1:2", NULL, 0, NULL },
		{ "[::1", NULL, 0, NULL }, /* no "]": the first colon counts, and "[" is no name */
	};

	(void)state;
	check(rows, N(rows));
}

/* "[" first and a "]": the name with its brackets; one character dropped; the rest is the port. */
static void t_brackets(void **state)
{
	static const struct row rows[] = {
		{ "[2001:db8::1]", "[2001:db8::1]", 0, "2001:db8::1" },
		{ "[2001:db8::1]:1689", "[2001:db8::1]", 1689, "2001:db8::1" },
		{ "[::1]:", "[::1]", 0, "::1" },
		{ "[::1]x7", "[::1]", 7, "::1" }, /* whatever the character is */
		{ "[]:7", NULL, 0, NULL },
		{ "[kms1]:7", NULL, 0, NULL },
		{ "[10.0.0.5]:7", NULL, 0, NULL },
		{ "x[::1]:7", NULL, 0, NULL },
	};

	(void)state;
	check(rows, N(rows));
}

/* 9-C11: one page of Microsoft's prints IPv6:PORT without brackets, which slmgr cannot read. */
static void t_ipv6_needs_brackets(void **state)
{
	static const struct row rows[] = {
		{ "::1", NULL, 0, NULL },
		{ "fe80::1:1688", NULL, 0, NULL },
		{ "2001:db8::1:1688", NULL, 0, NULL },
	};
	struct err_info info;
	struct skms set;

	(void)state;
	check(rows, N(rows));
	assert_int_equal(skms_parse(rows[2].arg, &set, &info), ERR_USAGE);
	assert_non_null(strstr(info.text, "brackets"));
}

/* ":1688" is a port alone; a name alone has none, which clears what was set. */
static void t_port_alone_and_name_alone(void **state)
{
	static const struct row rows[] = {
		{ ":1700", "", 1700, "" },      { "kms1", "kms1", 0, "kms1" },
		{ "kms1:", "kms1", 0, "kms1" }, { "", NULL, 0, NULL },
		{ ":", NULL, 0, NULL },
	};

	(void)state;
	check(rows, N(rows));
}

/* Nothing is touched, so the previous name stays. */
static void t_bad_port_changes_nothing(void **state)
{
	static const struct row rows[] = {
		{ "kms1:0", NULL, 0, NULL },      { "kms1:65536", NULL, 0, NULL },
		{ "kms1:16a8", NULL, 0, NULL },   { "kms1:+5", NULL, 0, NULL },
		{ "kms1: 5", NULL, 0, NULL },     { "kms1:-5", NULL, 0, NULL },
		{ "kms1:0x698", NULL, 0, NULL },  { ":99999999999999999999", NULL, 0, NULL },
		{ "[::1]:99999", NULL, 0, NULL },
	};

	(void)state;
	check(rows, N(rows));
}

static void t_limits_of_names(void **state)
{
	char label[65], name[300] = "";
	struct skms set;

	(void)state;
	memset(label, 'a', 64);
	label[64] = '\0';
	assert_int_equal(skms_parse(label, &set, NULL), ERR_USAGE);
	label[63] = '\0';
	assert_int_equal(skms_parse(label, &set, NULL), 0);
	for (int i = 0; i < 4; i++) {
		size_t used = strlen(name);

		snprintf(name + used, sizeof(name) - used, "%.61s.", label);
	}
	assert_int_equal(strlen(name), 248);
	snprintf(name + 248, sizeof(name) - 248, "aaaaa");
	assert_int_equal(skms_parse(name, &set, NULL), 0);
	snprintf(name + 253, sizeof(name) - 253, "a");
	assert_int_equal(skms_parse(name, &set, NULL), ERR_USAGE);
	assert_int_equal(skms_parse("a b", &set, NULL), ERR_USAGE);
	assert_int_equal(skms_parse("a..b", &set, NULL), ERR_USAGE);
	assert_true(skms_is_domain("corp.example.") && !skms_is_domain("") &&
		    !skms_is_domain(".") && !skms_is_domain("corp example"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_first_colon_parts_name_and_port),
		cmocka_unit_test(t_brackets),
		cmocka_unit_test(t_ipv6_needs_brackets),
		cmocka_unit_test(t_port_alone_and_name_alone),
		cmocka_unit_test(t_bad_port_changes_nothing),
		cmocka_unit_test(t_limits_of_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
