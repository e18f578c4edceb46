/*
 * The command line, one word a line, given to a command of our own (the real ones are not linked):
 * it runs at most once, sees only words that were given, each as often as it was given at most, and
 * the same again when the words are put in the plain order --name=value ... -- operands.
 */
#include <getopt.h>
#include <string.h>

#include "cli/command.h"
#include "tests/fuzz/fuzz.h"

#define WORDS_MAX 64
#define TEXT_MAX  2048

static const char *const names[] = { "config", "json", "domain", "timeout", "force" };
#define NAMES (sizeof(names) / sizeof(names[0]))

struct seen {
	size_t n[NAMES], n_operands;
	const char *value[NAMES][WORDS_MAX];
	const char *operand[WORDS_MAX];
	unsigned runs;
};
static struct seen *seen;

static int run(const struct cli_args *a)
{
	const char *const *list;

	seen->runs++;
	for (size_t i = 0; i < NAMES; i++) {
		seen->n[i] = cli_list(a, names[i], &list);
		FUZZ_CHECK(seen->n[i] <= WORDS_MAX && cli_has(a, names[i]) == (seen->n[i] > 0));
		for (size_t k = 0; k < seen->n[i]; k++)
			seen->value[i][k] = list[k];
		FUZZ_CHECK(cli_get(a, names[i]) == (seen->n[i] > 0 ? list[seen->n[i] - 1] : NULL));
	}
	FUZZ_CHECK(cli_wants_json(a) == cli_has(a, "json"));
	seen->n_operands = cli_operands(a, &list);
	FUZZ_CHECK(seen->n_operands <= WORDS_MAX);
	for (size_t k = 0; k < seen->n_operands; k++)
		seen->operand[k] = list[k];
	return CLI_NO;
}

static const struct cli_option options[] = {
	CLI_OPT_CONFIG,
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
static const struct cli_command refusing = { .name = "none",
					     .operands = "",
					     .summary = "takes no operands",
					     .text = "Takes no operands.",
					     .examples = "  kmsbeacon none",
					     .options = options,
					     .run = run,
					     .usage_exit = CLI_USAGE };

/* In the place of cli/commands.c, which then is not linked. */
const struct cli_command *cli_command_at(size_t i)
{
	return i == 0 ? &taking : i == 1 ? &refusing : NULL;
}

static int parse(int argc, char **argv, struct seen *ret)
{
	FILE *out = stdout, *err = stderr, *null = fopen("/dev/null", "w");
	int code;

	FUZZ_CHECK(null != NULL);
	memset(ret, 0, sizeof(*ret));
	seen = ret;
	optind = 0; /* begin anew */
	stdout = stderr = null;
	code = cli_main(argc, argv);
	stdout = out;
	stderr = err;
	(void)fclose(null);
	FUZZ_CHECK(ret->runs <= 1);
	return code;
}

/* A value is a word, or the end of one. */
static bool was_given(const char *value, char *const *argv, int argc)
{
	for (int i = 2; i < argc; i++)
		if (value >= argv[i] && value <= argv[i] + strlen(argv[i]))
			return true;
	return value[0] == '\0'; /* of a flag */
}

static void check_words(const struct seen *s, char *const *argv, int argc)
{
	size_t n = s->n_operands;

	for (size_t i = 0; i < NAMES; i++)
		for (size_t k = 0; k < s->n[i]; k++)
			FUZZ_CHECK(was_given(s->value[i][k], argv, argc));
	for (size_t k = 0; k < s->n_operands; k++)
		FUZZ_CHECK(was_given(s->operand[k], argv, argc));
	FUZZ_CHECK(n <= (size_t)argc);
}

static void check_again(const struct seen *s, char *program, char *command)
{
	static char text[4 * TEXT_MAX + 16 * WORDS_MAX];
	char *argv[2 * WORDS_MAX + 8];
	static char dashes[] = "--";
	struct seen again;
	size_t at = 0;
	int argc = 0;

	argv[argc++] = program;
	argv[argc++] = command;
	for (size_t i = 0; i < NAMES; i++)
		for (size_t k = 0; k < s->n[i] && argc < WORDS_MAX; k++) {
			argv[argc++] = text + at;
			at += 1 + (size_t)snprintf(text + at, sizeof(text) - at, "--%s%s%s",
						   names[i], options[i].arg != NULL ? "=" : "",
						   s->value[i][k]);
			FUZZ_CHECK(at < sizeof(text));
		}
	argv[argc++] = dashes;
	for (size_t k = 0; k < s->n_operands; k++) {
		argv[argc++] = text + at;
		at += 1 + (size_t)snprintf(text + at, sizeof(text) - at, "%s", s->operand[k]);
		FUZZ_CHECK(at < sizeof(text));
	}
	argv[argc] = NULL;
	FUZZ_CHECK(parse(argc, argv, &again) == CLI_NO && again.runs == 1);
	FUZZ_CHECK(memcmp(again.n, s->n, sizeof(s->n)) == 0 && again.n_operands == s->n_operands);
	for (size_t i = 0; i < NAMES; i++)
		for (size_t k = 0; k < s->n[i]; k++)
			FUZZ_CHECK(strcmp(s->value[i][k], again.value[i][k]) == 0);
	for (size_t k = 0; k < s->n_operands; k++)
		FUZZ_CHECK(strcmp(s->operand[k], again.operand[k]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char program[] = "kmsbeacon";
	static char text[TEXT_MAX + 1];
	char *argv[WORDS_MAX + 1] = { program };
	static struct seen s;
	int argc = 1, code;

	if (size > TEXT_MAX)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	for (char *word = text; word != NULL && argc < WORDS_MAX / 2; argc++) {
		argv[argc] = word;
		word = strchr(word, '\n');
		if (word != NULL)
			*word++ = '\0';
	}
	code = parse(argc, argv, &s);
	FUZZ_CHECK(code >= 0 && code <= NAGIOS_UNKNOWN);
	FUZZ_CHECK((code == CLI_NO) == (s.runs == 1));
	if (s.runs == 0)
		return 0;
	check_words(&s, argv, argc);
	check_again(&s, program, argv[1]);
	return 0;
}
