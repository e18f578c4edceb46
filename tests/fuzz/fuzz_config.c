/*
 * The configuration file: any bytes give a configuration whose dump loads again and gives the same
 * dump, or errors that each name their place and hold nothing that a terminal would obey.
 */
#include <jansson.h>
#include <string.h>

#include "common/config.h"
#include "tests/fuzz/fuzz.h"

static unsigned lines_of(const char *text, size_t len)
{
	unsigned n = 1;

	for (size_t i = 0; i < len; i++)
		n += text[i] == '\n' || text[i] == '\r';
	return n;
}

/* Also UTF-8, or the control socket could not tell it (JSON). */
static void check_printable(const char *text)
{
	json_t *json = json_string(text);

	FUZZ_CHECK(json != NULL);
	json_decref(json);
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
		FUZZ_CHECK(*p >= ' ' && *p != 0x7f);
}

static void check_messages(const struct config_msg *list, size_t n, const char *text, size_t len)
{
	for (size_t i = 0; i < n; i++) {
		const struct config_msg *m = &list[i];
		char place[64];

		if (m->line > 0 && m->col > 0)
			(void)snprintf(place, sizeof(place), "fuzz:%u:%u: ", m->line, m->col);
		else if (m->line > 0)
			(void)snprintf(place, sizeof(place), "fuzz:%u: ", m->line);
		else
			(void)snprintf(place, sizeof(place), "fuzz: ");
		FUZZ_CHECK(strncmp(m->text, place, strlen(place)) == 0);
		/* libyaml counts further line ends (NEL, LS, PS), each of two octets or more */
		FUZZ_CHECK(m->line <= lines_of(text, len) + len / 2 + 1);
		FUZZ_CHECK(i == 0 || list[i - 1].line <= m->line);
		check_printable(m->text);
	}
}

static void dump(const struct config *c, char **ret, size_t *ret_len)
{
	FILE *f = open_memstream(ret, ret_len);

	FUZZ_CHECK(f != NULL);
	config_dump(c, f);
	FUZZ_CHECK(fclose(f) == 0);
}

static void check_dump(const struct config *c)
{
	struct config_errors errs = { 0 };
	struct config *again = NULL;
	char *first = NULL, *second = NULL;
	size_t n_first = 0, n_second = 0;
	int err;

	dump(c, &first, &n_first);
	err = config_parse(first, n_first, "dump", &again, &errs);
	if (err != 0)
		(void)fprintf(stderr, "%s\n%s\n", errs.errors[0].text, first);
	FUZZ_CHECK(err == 0);
	dump(again, &second, &n_second);
	if (n_first != n_second || memcmp(first, second, n_first) != 0)
		(void)fprintf(stderr, "%s\n--\n%s\n", first, second);
	FUZZ_CHECK(n_first == n_second && memcmp(first, second, n_first) == 0);
	free(first);
	free(second);
	config_free(again);
	config_errors_done(&errs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct config_errors errs = { 0 };
	struct config *c = NULL;
	int err = config_parse(text, size, "fuzz", &c, &errs);

	FUZZ_CHECK(err == 0 || err == ERR_CONFIG);
	FUZZ_CHECK((err == 0) == (c != NULL));
	FUZZ_CHECK((err == 0) == (errs.n_errors == 0));
	check_messages(errs.errors, errs.n_errors, text, size);
	check_messages(errs.warnings, errs.n_warnings, text, size);
	if (c != NULL)
		check_dump(c);
	config_free(c);
	config_errors_done(&errs);
	return 0;
}
