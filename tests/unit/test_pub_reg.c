/* The reader of registry exports, by tables. What becomes of the values is in
 * tests/itest/test_import.py and tests/fuzz/fuzz_reg.c. */
#include "publisher/reg_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/config.h"
#include "publisher/reg_import.h"

#define V5 "Windows Registry Editor Version 5.00\r\n\r\n[K]\r\n"

struct told {
	char s[1024];
	size_t len;
	int stop_at; /* the value that ends the reading; 0: none */
	int n;
};

static void tell(struct told *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct told *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->len += (size_t)vsnprintf(t->s + t->len, sizeof(t->s) - t->len, fmt, ap);
	va_end(ap);
	assert_true(t->len < sizeof(t->s));
}

static int on_value(void *ctx, const struct reg_value *v)
{
	struct told *t = ctx;

	tell(t, "%u %s %s=", v->line, v->key, v->name);
	switch (v->type) {
	case REG_SZ:
		tell(t, "'%s'", v->text);
		assert_int_equal(strlen(v->text), v->len);
		break;
	case REG_MULTI_SZ:
		for (size_t at = 0; at < v->len; at += strlen(v->text + at) + 1)
			tell(t, "<%s>", v->text + at);
		break;
	case REG_DWORD:
		tell(t, "%u", v->number);
		break;
	case REG_OTHER:
		tell(t, "other");
		break;
	case REG_DELETED:
		tell(t, "deleted");
		break;
	}
	tell(t, "|");
	return ++t->n == t->stop_at ? ERR_BUSY : 0;
}

static const struct {
	const char *text;
	const char *told; /* or "!" and the sentence */
} rows[] = {
	{ V5 "\"a\"=\"b\"\r\n", "4 K a='b'|" },
	{ V5 "@=\"b\"", "4 K ='b'|" },
	{ V5 "\"a\\\\\\\"\"=\"C:\\\\x\\y\\\"\"\n", "4 K a\\\"='C:\\x\\y\"'|" },
	{ V5 " \"a\" = dword:0000069A ; six\n", "4 K a=1690|" },
	{ V5 "\"a\"=dword:ffffffff\n\"b\"=-\n", "4 K a=4294967295|5 K b=deleted|" },
	{ V5 "\"a\"=hex(4):01,02,00,00\n", "4 K a=513|" },
	{ V5 "\"a\"=hex(1):61,00,62,00,00,00\n", "4 K a='ab'|" },
	{ V5 "\"a\"=hex(2):61,00,3d,d8,00,de\n", "4 K a='a\xf0\x9f\x98\x80'|" },
	{ V5 "\"a\"=hex(1):3d,d8,61,00\n", "4 K a='\xef\xbf\xbd"
					   "a'|" },
	{ V5 "\"a\"=hex(7):61,00,00,00,\\\r\n  62,00,00,00,00,00\r\n\"b\"=dword:1\r\n",
	  "4 K a=<a><b>|6 K b=1|" },
	{ V5 "\"a\"=hex(7):00,00\n\"b\"=hex(7):\n", "4 K a=|5 K b=|" },
	{ V5 "\"a\"=hex(7):61,00\n", "4 K a=<a>|" },
	{ V5 "\"a\"=hex:\n\"b\"=hex(b):01\n", "4 K a=other|5 K b=other|" },
	{ V5 "\"a\"=\"two\nlines\"\n\"b\"=dword:1\n", "4 K a='two\nlines'|6 K b=1|" },
	{ "REGEDIT4\n[K]\n\"a\"=hex(7):61,62,00,63,00,00\n", "3 K a=<ab><c>|" },
	{ "\n \nREGEDIT4\n; x\n[A\\]B]\n\"a\"=\"1\"\n[-C]\n\"a\"=\"2\"\n", "6 A\\]B a='1'|" },
	{ "\xef\xbb\xbfREGEDIT4\n[K]\n\"a\"=\"\"\n", "3 K a=''|" },
	{ "REGEDIT5\n", "!line 1: no registry export" },
	{ "", "!line 1: no registry export" },
	{ "\xfe\xff", "!line 1: UTF-16 in big-endian" },
	{ V5 "\"a\"=\"b\n", "!line 5: a text without" },
	{ V5 "\"a\n", "!line 5: a text without" },
	{ V5 "\"a\"\n", "!line 4: a = is missing" },
	{ V5 "\"a\"=5\n", "!line 4: after =" },
	{ V5 "\"a\"=dword:x\n", "!line 4: dword:" },
	{ V5 "\"a\"=dword:123456789\n", "!line 4: more behind" },
	{ V5 "\"a\"=\"b\" c\n", "!line 4: more behind" },
	{ V5 "\"a\"=hex(7:00\n", "!line 4: hex( wants" },
	{ V5 "\"a\"=hex", "!line 4: hex wants a colon" }, /* was read past its end */
	{ V5 "\"a\"=hex(7", "!line 4: hex( wants" },
	{ V5 "\"a\"=hex 00\n", "!line 4: hex wants a colon" },
	{ V5 "\"a\"=hex:0\n", "!line 4: a hex value" },
	{ V5 "\"a\"=hex:00 01\n", "!line 4: a comma" },
	{ V5 "\"a\"=hex:00,\\\n,\n", "!line 5: a hex value" },
	{ V5 "[K\n", "!line 4: a [key] without" },
	{ V5 "x\n", "!line 4: neither" },
	{ "REGEDIT4\n\"a\"=\"b\"\n", "!line 2: a value before" },
};

static void t_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err_info info = { "" };
		struct told t = { .len = 0 };
		const char *text = rows[i].text;
		int err = reg_text_read((const uint8_t *)text, strlen(text), on_value, &t, &info);

		if (rows[i].told[0] == '!') {
			if (err != ERR_PARSE ||
			    strncmp(info.text, rows[i].told + 1, strlen(rows[i].told + 1)) != 0)
				fail_msg("row %zu: %d '%s'", i, err, info.text);
		} else if (err != 0 || strcmp(t.s, rows[i].told) != 0) {
			fail_msg("row %zu: %d '%s', told '%s'", i, err, info.text, t.s);
		}
	}
}

static void t_zero_bytes_are_no_text(void **state)
{
	static const uint8_t data[] = "REGEDIT4\n\0[K]\n";
	struct err_info info = { "" };
	struct told t = { .len = 0 };

	(void)state;
	assert_int_equal(reg_text_read(data, sizeof(data) - 1, on_value, &t, &info), ERR_PARSE);
	assert_non_null(strstr(info.text, "zero bytes"));
}

static void t_limits(void **state)
{
	static const char text[] = V5 "\"a\"=\"1\"\n\"b\"=\"2\"\n";
	struct err_info info = { "" };
	struct told t = { .stop_at = 1 };
	uint8_t *large = calloc(1, REG_SIZE_MAX + 1);

	(void)state;
	assert_non_null(large);
	assert_int_equal(reg_text_read((const uint8_t *)text, strlen(text), on_value, &t, &info),
			 ERR_BUSY);
	assert_int_equal(t.n, 1);
	assert_int_equal(reg_text_read(large, REG_SIZE_MAX + 1, on_value, &t, &info), ERR_LIMIT);
	free(large);
}

static void t_list_is_bounded(void **state)
{
	static const char head[] =
		"REGEDIT4\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\"
		"SoftwareProtectionPlatform]\n\"DnsDomainPublishList\"=hex(7):";
	struct err_info info = { "" };
	struct buf file, yaml, notes;
	char domain[32];

	(void)state;
	buf_init(&file, REG_SIZE_MAX);
	buf_init(&yaml, 1u << 20);
	buf_init(&notes, PUB_REG_NOTES_MAX);
	assert_int_equal(buf_append(&file, head, strlen(head)), 0);
	for (unsigned i = 0; i < PUB_REG_DOMAINS_MAX + 2; i++) {
		(void)snprintf(domain, sizeof(domain), "d%u.example", i);
		for (size_t k = 0; k <= strlen(domain); k++)
			assert_int_equal(buf_printf(&file, "%02x,", (unsigned)domain[k]), 0);
	}
	assert_int_equal(pub_reg_import(file.data, file.len, NULL, &yaml, &notes, &info), 0);
	assert_non_null(memmem(yaml.data, yaml.len, "d4095.example", 13));
	assert_null(memmem(yaml.data, yaml.len, "d4096.example", 13));
	assert_non_null(memmem(notes.data, notes.len, "d4096.example was left out", 26));
	buf_done(&file);
	buf_done(&yaml);
	buf_done(&notes);
}

#define PLATFORM                                                                                   \
	"REGEDIT4\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\"         \
	"SoftwareProtectionPlatform]\n"

/* Values of another kind than Windows writes, and what is made of them. */
static void t_unusual_values(void **state)
{
	static const struct {
		const char *value, *target, *yaml, *note;
	} imports[] = {
		{ "\"DnsDomainPublishList\"=\"corp.example, 1, 2\"", NULL, "corp.example", "" },
		{ "\"DnsDomainPublishList\"=\"corp.example, , 2\"", NULL, "",
		  "'corp.example, , 2' is not domain" },
		{ "\"DnsDomainPublishList\"=\"corp.example, 1x\"", NULL, "",
		  "'corp.example, 1x' is not domain" },
		{ "\"DnsDomainPublishList\"=dword:1", NULL, "", "is no list of strings" },
		{ "\"KeyManagementServiceListeningPort\"=dword:000006a4", NULL, "1700", "" },
		{ "\"KeyManagementServiceName\"=\"kms 7.corp.example\"", NULL, "",
		  "'kms 7.corp.example' is no name of DNS" },
		{ "\"EnableDnsPublishing\"=dword:1", "kms._vlmcs._tcp.corp.example", "",
		  "is no name of a host" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(imports) / sizeof(imports[0]); i++) {
		struct err_info info = { "" };
		struct dns_name target = { 0 };
		struct buf yaml, notes;
		char file[512];
		int err;

		if (imports[i].target != NULL)
			assert_int_equal(dns_name_parse(imports[i].target, &target), 0);
		buf_init(&yaml, 1u << 20);
		buf_init(&notes, PUB_REG_NOTES_MAX);
		(void)snprintf(file, sizeof(file), PLATFORM "%s\n", imports[i].value);
		err = pub_reg_import((const uint8_t *)file, strlen(file),
				     imports[i].target != NULL ? &target : NULL, &yaml, &notes,
				     &info);
		assert_int_equal(buf_append(&yaml, "", 1) | buf_append(&notes, "", 1), 0);
		if (err != 0 || strstr((char *)yaml.data, imports[i].yaml) == NULL ||
		    strstr((char *)notes.data, imports[i].note) == NULL)
			fail_msg("%s: %d %s\n%s\n%s", imports[i].value, err, info.text,
				 (char *)yaml.data, (char *)notes.data);
		buf_done(&yaml);
		buf_done(&notes);
	}
}

/* Each pair of priority and weight is a host of its own. */
static void t_pairs_are_bounded(void **state)
{
	static const char head[] = PLATFORM "\"DnsDomainPublishList\"=hex(7):";
	struct err_info info = { "" };
	struct buf file, yaml, notes;
	char entry[48];

	(void)state;
	buf_init(&file, REG_SIZE_MAX);
	buf_init(&yaml, 1u << 20);
	buf_init(&notes, PUB_REG_NOTES_MAX);
	assert_int_equal(buf_append(&file, head, strlen(head)), 0);
	for (unsigned i = 0; i <= CONFIG_HOSTS_MAX; i++) {
		(void)snprintf(entry, sizeof(entry), "d%u.example, %u, 1", i, i);
		for (size_t k = 0; k <= strlen(entry); k++)
			assert_int_equal(buf_printf(&file, "%02x,", (unsigned)entry[k]), 0);
	}
	assert_int_equal(pub_reg_import(file.data, file.len, NULL, &yaml, &notes, &info), 0);
	assert_non_null(memmem(yaml.data, yaml.len, "d255.example", 12));
	assert_null(memmem(yaml.data, yaml.len, "d256.example", 12));
	assert_non_null(memmem(notes.data, notes.len, "d256.example was left out", 25));
	buf_done(&file);
	buf_done(&yaml);
	buf_done(&notes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_rows),
		cmocka_unit_test(t_zero_bytes_are_no_text),
		cmocka_unit_test(t_limits),
		cmocka_unit_test(t_list_is_bounded),
		cmocka_unit_test(t_pairs_are_bounded),
		cmocka_unit_test(t_unusual_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
