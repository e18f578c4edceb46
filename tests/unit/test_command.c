/* The words of a command line, given to a command of our own: which options and operands it sees.
 */
#include "cli/command.h"

#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#define WORDS_MAX 40

static char seen[512];

static void see(const char *what, const char *value)
{
	size_t at = strlen(seen);

	(void)snprintf(seen + at, sizeof(seen) - at, "%s%s%s ", what, value != NULL ? "=" : "",
		       value != NULL ? value : "");
}

static int run(const struct cli_args *a)
{
	const char *const *list;
	size_t n = cli_list(a, "domain", &list);

	for (size_t i = 0; i < n; i++)
		see("domain", list[i]);
	if (cli_get(a, "timeout") != NULL)
		see("timeout", cli_get(a, "timeout"));
	if (cli_has(a, "force"))
		see("force", NULL);
	n = cli_operands(a, &list);
	for (size_t i = 0; i < n; i++)
		see("word", list[i]);
	return CLI_NO;
}

static const struct cli_option options[] = {
	CLI_OPT_JSON,
	{ 'd', "domain", "DOMAIN", true, "a domain" },
	{ 0, "timeout", "TIME", false, "how long" },
	{ 'f', "force", NULL, false, "all the same" },
	CLI_OPT_END,
};

static const struct cli_command taking = { .name = "take",
					   .operands = "[WORD]...",
					   .summary = "takes operands",
					   .text = "Takes operands.",
					   .options = options,
					   .run = run,
					   .usage_exit = NAGIOS_UNKNOWN };

/* In the place of cli/commands.c, which then is not linked. */
const struct cli_command *cli_command_at(size_t i)
{
	return i == 0 ? &taking : NULL;
}

static int parse(const char *line)
{
	static char program[] = "kmsbeacon";
	char copy[512], *rest = copy, *word, *argv[WORDS_MAX + 1] = { program };
	int argc = 1;

	(void)snprintf(copy, sizeof(copy), "%s", line);
	while ((word = strsep(&rest, " ")) != NULL && argc < WORDS_MAX)
		argv[argc++] = word;
	seen[0] = '\0';
	optind = 0; /* getopt begins anew */
	return cli_main(argc, argv);
}

static void t_words(void **state)
{
	static const struct {
		const char *line, *seen;
	} rows[] = {
		{ "take", "" },
		{ "take -d a --domain=b x --timeout 5s y",
		  "domain=a domain=b timeout=5s word=x word=y " },
		{ "take x -f", "force word=x " },
		{ "take -- -f --json", "word=-f word=--json " },
		/* an HRESULT as PowerShell shows it is no option */
		{ "take -1073418124", "word=-1073418124 " },
		{ "take x -5 -f", "force word=x word=-5 " },
		{ "take -- --json -5", "word=--json word=-5 " }, /* there was a "--" among them */
		{ "take -5 -- -6", "word=-5 word=-6 " },
		/* ... and is a value behind an option that takes one, however that is written */
		{ "take -d -5", "domain=-5 " },
		{ "take -fd -5", "domain=-5 force " },
		{ "take --time -5", "timeout=-5 " },
		{ "take --timeout=-5 -6", "timeout=-5 word=-6 " },
		{ "take -d -d -5", "domain=-d word=-5 " },
		{ "take --timeout -- -5 x", "timeout=-- word=x word=-5 " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(rows[i].line), CLI_NO);
		assert_string_equal(seen, rows[i].seen);
	}
}

/* There was room for as many as there are words. */
static void t_a_flag_many_times_in_one_word(void **state)
{
	(void)state;
	assert_int_equal(parse("take -fffffffffffffffffffffffffffffffffffffffffd x"), CLI_NO);
	assert_string_equal(seen, "domain=x force ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_words),
		cmocka_unit_test(t_a_flag_many_times_in_one_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
