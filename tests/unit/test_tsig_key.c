#include "net/tsig.h"

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

#define N(a) (sizeof(a) / sizeof((a)[0]))
/* "the quick brown fox jumps over!!", 32 bytes */
#define SECRET "dGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyISE="

static int parse(const char *text, size_t len, struct tsig_key **ret, struct err_info *info)
{
	/* exactly as long as it is, and not terminated, so that ASan sees any read past the end */
	char *exact = malloc(len > 0 ? len : 1);
	int err;

	memcpy(exact, text, len);
	info->text[0] = '\0';
	*ret = NULL;
	err = tsig_key_parse(exact, len, "corp.key", ret, info);
	free(exact);
	return err;
}

static void t_T12_every_form_of_the_file_is_read(void **state)
{
	static const struct {
		const char *text, *name, *alg;
	} rows[] = {
		/* as tsig-keygen, ddns-confgen and rndc-confgen write it */
		{ "key \"kms\" {\n\talgorithm hmac-sha256;\n\tsecret \"" SECRET "\";\n};\n", "kms",
		  "hmac-sha256" },
		{ "key kms{algorithm hmac-sha256;secret " SECRET ";};", "kms", "hmac-sha256" },
		{ "key \"kms.\" { algorithm \"hmac-sha512.\"; secret \"" SECRET "\"; };", "kms",
		  "hmac-sha512" },
		{ "key \"KMS.Corp.Example\" { algorithm HMAC-SHA1; secret \"" SECRET "\"; };",
		  "kms.corp.example", "hmac-sha1" },
		{ "KEY kms { SECRET " SECRET "; ALGORITHM hmac-sha224; };", "kms", "hmac-sha224" },
		{ "key kms { secret \"" SECRET "\";\r\n algorithm hmac-sha384;\r\n};\r\n", "kms",
		  "hmac-sha384" },
		{ "key kms { algorithm hmac-md5; secret \"" SECRET "\"; };", "kms", "hmac-md5" },
		{ "key kms { algorithm HMAC-MD5.SIG-ALG.REG.INT.; secret \"" SECRET "\"; };", "kms",
		  "hmac-md5" },
		{ "\xef\xbb\xbf"
		  "key kms { algorithm hmac-sha256; secret \"" SECRET "\"; };",
		  "kms", "hmac-sha256" },
		{ "# key old { }\n// key older { \"\n/* key oldest {\n * \" */ key kms // of us\n"
		  "{ algorithm hmac-sha256; # the default\n secret/*here*/\"" SECRET "\"; };// end",
		  "kms", "hmac-sha256" },
		{ "/**/key kms { algorithm hmac-sha256; secret \"dGhlIHF1aWNrIGJyb3du "
		  "IGZveCBqdW1wcyBvdmVyISE=\"; };",
		  "kms", "hmac-sha256" },
		{ "key \"a\\.b\\\"c\" { algorithm hmac-sha256; secret \"" SECRET "\"; };",
		  "a\\.b\\\"c", "hmac-sha256" },
		{ "key kms { algorithm hmac-sha256; secret \"YQ==\"; };", "kms", "hmac-sha256" },
		{ "key kms { algorithm hmac-sha256; secret \"a///+w==\"; };", "kms",
		  "hmac-sha256" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct tsig_key *k;
		struct err_info info;
		char buf[DNSNAME_TEXT_MAX];

		if (parse(rows[i].text, strlen(rows[i].text), &k, &info) != 0)
			fail_msg("row %zu: %s", i, info.text);
		assert_string_equal(dns_name_format(tsig_key_name(k), buf), rows[i].name);
		assert_string_equal(tsig_key_alg_name(k), rows[i].alg);
		tsig_key_unref(k);
	}
}

static void t_T12_each_mistake_has_its_sentence(void **state)
{
#define KEY(alg, secret) "key kms {\n algorithm " alg ";\n secret \"" secret "\";\n};\n"
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "corp.key holds no key" },
		{ "# nothing\n", "corp.key holds no key" },
		{ KEY("hmac-sha256", SECRET) "key Other { algorithm hmac-sha1; secret YQ==; };",
		  "corp.key holds 2 keys (kms, other); give each its own file" },
		{ "options { };", "corp.key:1: expected: key \"NAME\"" },
		{ "kms. IN KEY 512 3 165 " SECRET, "corp.key:1: expected: key \"NAME\"" },
		{ "\"key\" kms { };", "corp.key:1: expected: key \"NAME\"" },
		{ "key", "corp.key:1: the name of the key is missing" },
		{ "key {", "corp.key:1: the name of the key is missing" },
		{ "key a..b {", "corp.key:1: the name of the key is not a domain name" },
		{ "key \"\" {", "corp.key:1: the name of the key is not a domain name" },
		{ "key kms algorithm", "corp.key:1: '{' is missing after the name of the key" },
		{ "key kms {\n", "corp.key:2: the closing '}' is missing" },
		{ "key kms { };", "corp.key:1: the key has no algorithm" },
		{ "key kms { algorithm hmac-sha256; };", "corp.key:1: the key has no secret" },
		{ "key kms { secret YQ==; };", "corp.key:1: the key has no algorithm" },
		{ "key kms { algorithm hmac-sha256 secret YQ==; };",
		  "corp.key:1: ';' is missing after the algorithm" },
		{ "key kms { algorithm; secret YQ==; };", "corp.key:1: the algorithm is missing" },
		{ "key kms { secret; };", "corp.key:1: the secret is missing" },
		{ "key kms { algorithm hmac-sha256; secret \"YQ==\" };",
		  "corp.key:1: ';' is missing after the secret" },
		{ "key kms { algorithm hmac-sha256; secret \"YQ==\"; }",
		  "corp.key:1: ';' is missing after '}'" },
		{ "key kms {\n secrets \"YQ==\";", "corp.key:2: a key has 'algorithm NAME;' and" },
		{ "key kms { algorithm hmac-sha1; algorithm hmac-sha1; };",
		  "corp.key:1: the algorithm is given twice" },
		{ "key kms { secret YQ==; secret YQ==; };",
		  "corp.key:1: the secret is given twice" },
		{ KEY("hmac-sha257", SECRET), "corp.key:2: unknown algorithm; known are" },
		{ KEY("hmac-sha2560", SECRET), "corp.key:2: unknown algorithm; known are" },
		{ KEY("gss-tsig", SECRET), "corp.key:2: unknown algorithm; known are" },
		{ KEY("\"\"", SECRET), "corp.key:2: unknown algorithm; known are" },
		{ KEY("hmac-sha256", ""), "corp.key:3: the secret is empty" },
		{ KEY("hmac-sha256", "  "), "corp.key:3: the secret is empty" },
		{ KEY("hmac-sha256", "YQ"), "corp.key:3: the secret is not base64" },
		{ KEY("hmac-sha256", "YQ="), "corp.key:3: the secret is not base64" },
		{ KEY("hmac-sha256", "YQ==="), "corp.key:3: the secret is not base64" },
		{ KEY("hmac-sha256", "===="), "corp.key:3: the secret is not base64" },
		{ KEY("hmac-sha256", "YR=="), "corp.key:3: the secret is not base64" },
		{ KEY("hmac-sha256", "YWF="), "corp.key:3: the secret is not base64" },
		{ KEY("hmac-sha256", "YQ==YQ=="), "corp.key:3: the secret is not base64" },
		{ KEY("hmac-sha256", "Y!=="), "corp.key:3: the secret is not base64" },
		{ "key kms { algorithm hmac-sha256; secret \"YQ==\n", "corp.key:1: a closing \"" },
		{ "key kms { algorithm hmac-sha256; secret \"YQ==\\", "corp.key:1: a closing \"" },
		{ "key kms {\n/* no end *", "corp.key:2: this comment has no end" },
		{ "/* no end", "corp.key:1: this comment has no end" },
		{ KEY("hmac-sha256", SECRET) "/* no end", "corp.key:5: this comment has no end" },
		{ "key kms { algorithm hmac-sha256 /* no", "corp.key:1: this comment has no end" },
		{ "key kms { secret YWFh//YWFh; };", "corp.key:1: ';' is missing" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct tsig_key *k;
		struct err_info info;

		if (parse(rows[i].text, strlen(rows[i].text), &k, &info) != ERR_PARSE ||
		    strstr(info.text, rows[i].says) != info.text)
			fail_msg("row %zu: '%s' should be '%s'", i, info.text, rows[i].says);
		assert_null(k);
	}
}

static void t_T11_truncation_within_the_limits(void **state)
{
	static const struct {
		const char *alg;
		bool good;
	} rows[] = {
		{ "hmac-sha256-128", true },
		{ "HMAC-SHA512-256", true },
		{ "hmac-md5-80", true },
		{ "hmac-sha256-256", true },
		{ "hmac-sha256-120", false },
		{ "hmac-sha1-72", false },
		{ "hmac-sha256-264", false },
		{ "hmac-sha256-130", false },
		{ "hmac-sha256-", false },
		{ "hmac-sha256-12x", false },
		{ "hmac-sha256-99999999999999999999", false },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct tsig_key *k = NULL;
		struct err_info info;
		char text[256];

		(void)snprintf(text, sizeof(text), "key kms { algorithm %s; secret YQ==; };",
			       rows[i].alg);
		if (rows[i].good) {
			assert_int_equal(parse(text, strlen(text), &k, &info), 0);
		} else {
			assert_int_equal(parse(text, strlen(text), &k, &info), ERR_PARSE);
			assert_non_null(strstr(info.text, "can be cut to a multiple of 8 bits"));
		}
		tsig_key_unref(k);
	}
}

static void t_T14_no_sentence_holds_a_part_of_the_secret(void **state)
{
	/* the secret in every place where a slip can put it */
	static const char *const slips[] = {
		"key kms { algorithm " SECRET "; secret \"hmac-sha256\"; };",
		"key kms { algorithm \"" SECRET "\"; secret \"hmac-sha256\"; };",
		"key kms { algorithm hmac-sha256" SECRET "; };",
		"key kms { algorithm hmac-sha256-128" SECRET "; };",
		"key kms { algorithm hmac-sha256; " SECRET "; };",
		"key kms { algorithm hmac-sha256; secret \"" SECRET "; };",
		"key kms { algorithm hmac-sha256; secret \"" SECRET "=\"; };",
		"key kms { algorithm hmac-sha256; secret \"" SECRET "\" };",
		"key kms { algorithm hmac-sha256; secret \"" SECRET "\" }",
		"key kms { algorithm hmac-sha256; secret \"" SECRET "\"; } x",
		"kms " SECRET,
		"\"" SECRET "\"",
		"hmac-sha256:kms:" SECRET,
		"key kms " SECRET,
		"key kms " SECRET " { };",
		"key kms { algorithm hmac-sha256; secret \"" SECRET "\"; }; " SECRET,
	};

	(void)state;
	for (size_t i = 0; i < N(slips); i++) {
		struct tsig_key *k;
		struct err_info info;

		assert_int_equal(parse(slips[i], strlen(slips[i]), &k, &info), ERR_PARSE);
		for (size_t at = 0; at + 8 <= strlen(SECRET); at++) {
			char part[9] = { 0 };

			memcpy(part, &SECRET[at], 8);
			if (strstr(info.text, part) != NULL)
				fail_msg("row %zu: %s", i, info.text);
		}
	}
}

static void t_secret_length_limit(void **state)
{
	char text[2 * SECRET_MAX];
	struct err_info info;
	struct tsig_key *k;

	(void)state;
	for (int extra = 0; extra < 2; extra++) {
		/* 510 bytes, and 2 or 3 more */
		size_t n = (size_t)snprintf(text, sizeof(text),
					    "key kms { algorithm hmac-sha512; secret \"");

		memset(text + n, 'A', 680);
		n += 680;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\"; };",
				      extra ? "AAAA" : "AAA=");
		assert_int_equal(parse(text, n, &k, &info), extra ? ERR_PARSE : 0);
		if (extra)
			assert_non_null(strstr(info.text, "longer than 512 bytes"));
		tsig_key_unref(k);
	}
}

static void t_no_prefix_of_a_file_crashes(void **state)
{
	static const char text[] = "# c\nkey \"k\\.ms\" { /* x */ algorithm hmac-sha256; // y\n"
				   "secret \"" SECRET "\"; };";

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		struct tsig_key *k;
		struct err_info info;

		assert_int_equal(parse(text, n, &k, &info), ERR_PARSE);
		assert_true(info.text[0] != '\0');
	}
}

static void write_file(const char *path, const char *text, size_t len, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void t_key_files_on_disk(void **state)
{
	static const char text[] = "key kms { algorithm hmac-sha256; secret \"" SECRET "\"; };\n";
	static char large[TSIG_KEY_FILE_MAX + 1];
	char dir[] = "/tmp/kmsbeacon-test-XXXXXX", path[64];
	struct err_info info;
	struct tsig_key *k = NULL;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/kms.key", dir);
	assert_int_not_equal(tsig_key_load(path, &k, &info), 0);
	assert_non_null(strstr(info.text, path));
	assert_int_not_equal(tsig_key_load(dir, &k, &info), 0);

	write_file(path, text, sizeof(text) - 1, 0640);
	assert_int_equal(tsig_key_load(path, &k, &info), ERR_SECRET_READABLE);
	assert_non_null(strstr(info.text, "chmod 600"));
	write_file(path, text, sizeof(text) - 1, 0600);
	assert_int_equal(tsig_key_load(path, &k, &info), 0);
	tsig_key_unref(k);

	write_file(path, text, 0, 0600);
	assert_int_equal(tsig_key_load(path, &k, &info), ERR_PARSE);
	memset(large, '#', sizeof(large));
	write_file(path, large, sizeof(large), 0600);
	assert_int_equal(tsig_key_load(path, &k, &info), ERR_LIMIT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_T12_every_form_of_the_file_is_read),
		cmocka_unit_test(t_T12_each_mistake_has_its_sentence),
		cmocka_unit_test(t_T11_truncation_within_the_limits),
		cmocka_unit_test(t_T14_no_sentence_holds_a_part_of_the_secret),
		cmocka_unit_test(t_secret_length_limit),
		cmocka_unit_test(t_no_prefix_of_a_file_crashes),
		cmocka_unit_test(t_key_files_on_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
