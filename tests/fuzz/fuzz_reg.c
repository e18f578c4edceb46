/*
 * Registry exports: any bytes give a configuration without errors, or a sentence; and what is said
 * on a terminal holds nothing that a terminal would obey.
 */
#include <string.h>

#include "common/config.h"
#include "publisher/reg_import.h"
#include "tests/fuzz/fuzz.h"

static void check_printable(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		FUZZ_CHECK(text[i] == '\n' || (text[i] >= ' ' && text[i] < 0x7f));
}

static void check_reads(const struct buf *yaml)
{
	struct config_errors errs = { 0 };
	struct config *c = NULL;

	FUZZ_CHECK(config_parse((const char *)yaml->data, yaml->len, "fuzz", &c, &errs) == 0);
	config_free(c);
	config_errors_done(&errs);
}

static void check(const uint8_t *data, size_t len, const struct dns_name *target)
{
	struct err_info info = { "" };
	struct buf yaml, notes;
	int err;

	buf_init(&yaml, CONFIG_SIZE_MAX);
	buf_init(&notes, PUB_REG_NOTES_MAX);
	err = pub_reg_import(data, len, target, &yaml, &notes, &info);
	FUZZ_CHECK(err == 0 || err == ERR_PARSE || err == ERR_NOT_FOUND);
	FUZZ_CHECK((err == 0) == (info.text[0] == '\0'));
	if (err == 0)
		check_reads(&yaml);
	else
		FUZZ_CHECK(yaml.len == 0);
	check_printable((const char *)notes.data, notes.len);
	check_printable(info.text, strlen(info.text));
	buf_done(&notes);
	buf_done(&yaml);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_name target;

	check(data, size, NULL);
	FUZZ_CHECK(dns_name_parse("kms1.corp.example", &target) == 0);
	check(data, size, &target);
	return 0;
}
