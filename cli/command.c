#include "cli/command.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/manual.h"
#include "cli/output.h"
#include "common/err.h"
#include "common/json_memory.h"
#include "common/mem.h"
#include "common/version.h"

#define HELP_COLUMN 26
#define HELP_WIDTH  96
#define LONG_BASE   1000 /* getopt's value for the i-th option is LONG_BASE + i */

struct value_list {
	const char **values;
	size_t n;
};

struct cli_args {
	const struct cli_command *cmd;
	struct value_list options[CLI_OPTIONS_MAX];
	const char *const *operands;
	size_t n_operands;
};

static size_t option_count(const struct cli_command *cmd)
{
	size_t n = 0;

	while (cmd->options != NULL && cmd->options[n].name != NULL)
		n++;
	return n;
}

static const struct value_list *values_of(const struct cli_args *a, const char *option)
{
	for (size_t i = 0; i < option_count(a->cmd); i++)
		if (strcmp(a->cmd->options[i].name, option) == 0)
			return &a->options[i];
	/* Asking for an option that the command's table lacks is our bug. */
	(void)fprintf(stderr, "kmsbeacon: %s has no option --%s\n", a->cmd->name, option);
	abort();
}

bool cli_wants_json(const struct cli_args *a)
{
	for (size_t i = 0; i < option_count(a->cmd); i++)
		if (strcmp(a->cmd->options[i].name, "json") == 0)
			return a->options[i].n > 0;
	return false;
}

bool cli_has(const struct cli_args *a, const char *option)
{
	return values_of(a, option)->n > 0;
}

const char *cli_get(const struct cli_args *a, const char *option)
{
	const struct value_list *v = values_of(a, option);

	return v->n > 0 ? v->values[v->n - 1] : NULL;
}

size_t cli_list(const struct cli_args *a, const char *option, const char *const **ret)
{
	const struct value_list *v = values_of(a, option);

	*ret = v->values;
	return v->n;
}

size_t cli_operands(const struct cli_args *a, const char *const **ret)
{
	*ret = a->operands;
	return a->n_operands;
}

const struct cli_command *cli_command_of(const struct cli_args *a)
{
	return a->cmd;
}

/* With --json the same on stdout, for who reads only that. Not where the words cannot be parsed. */
int cli_usage_error(const struct cli_args *a, const char *fmt, ...)
{
	struct err_info info;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(info.text, sizeof(info.text), fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "kmsbeacon %s: %s (see kmsbeacon %s --help)\n", a->cmd->name,
		      info.text, a->cmd->name);
	if (cli_wants_json(a))
		print_json_error("USAGE", info.text);
	return a->cmd->usage_exit;
}

/* ---- help ---- */

static void print_wrapped(const char *text, int column)
{
	int at = column;

	while (*text != '\0') {
		size_t word = strcspn(text, " ");

		if (at > column && at + (int)word >= HELP_WIDTH) {
			(void)printf("\n%*s", column, "");
			at = column;
		} else if (at > column) {
			(void)putchar(' ');
			at++;
		}
		(void)printf("%.*s", (int)word, text);
		at += (int)word;
		text += word;
		text += strspn(text, " ");
	}
	(void)putchar('\n');
}

static void print_option(const struct cli_option *o)
{
	char left[80];
	int n;

	n = snprintf(left, sizeof(left), "  %c%c%s--%s%s%s%s", o->letter != 0 ? '-' : ' ',
		     o->letter != 0 ? o->letter : ' ', o->letter != 0 ? ", " : "  ", o->name,
		     o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "",
		     o->repeat ? " ..." : "");
	if (n < HELP_COLUMN - 1)
		(void)printf("%-*s", HELP_COLUMN, left);
	else
		(void)printf("%s\n%*s", left, HELP_COLUMN, "");
	print_wrapped(o->help, HELP_COLUMN);
}

static int print_command_help(const struct cli_command *cmd)
{
	static const struct cli_option help = { 'h', "help", NULL, false, "print this text" };

	(void)printf("Usage: kmsbeacon %s [options]%s%s\n\n%s\n\nOptions:\n", cmd->name,
		     cmd->operands[0] != '\0' ? " " : "", cmd->operands, cmd->text);
	for (size_t i = 0; i < option_count(cmd); i++)
		print_option(&cmd->options[i]);
	print_option(&help);
	if (cmd->examples != NULL)
		(void)printf("\nExamples:\n%s\n", cmd->examples);
	return CLI_YES;
}

static void print_overview(FILE *out)
{
	const struct cli_command *c;

	(void)fprintf(
		out,
		"kmsbeacon %s: publishes and proves a KMS host's SRV records, discovers hosts as "
		"Windows does,\nputs licensed hosts behind one address, and rehearses activation "
		"with lab hosts and lab\nclients.\n\n"
		"Usage: kmsbeacon COMMAND [options]\n\nCommands:\n",
		KMSBEACON_VERSION);
	for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++)
		(void)fprintf(out, "  %-14s %s\n", c->name, c->summary);
	(void)fprintf(out, "\nEvery command explains itself: kmsbeacon COMMAND --help\n"
			   "All of it as a manual page: kmsbeacon --manual (settings: kmsbeacon "
			   "check-config --manual)\nFor bash: kmsbeacon --completion\n"
			   "Exit codes: 0 yes, 1 no, 2 usage or configuration"
			   " (verify: Nagios codes 0 to 3).\n");
}

/* ---- parsing ---- */

static void fill_getopt(const struct cli_command *cmd, struct option *longs, char *shorts)
{
	size_t n = option_count(cmd);
	size_t s = 0;

	for (size_t i = 0; i < n; i++) {
		const struct cli_option *o = &cmd->options[i];

		longs[i] = (struct option){ .name = o->name,
					    .has_arg = o->arg != NULL ? required_argument
								      : no_argument,
					    .val = LONG_BASE + (int)i };
		if (o->letter != 0) {
			shorts[s++] = o->letter;
			if (o->arg != NULL)
				shorts[s++] = ':';
		}
	}
	shorts[s++] = 'h';
	longs[n] = (struct option){ .name = "help", .has_arg = no_argument, .val = 'h' };
	longs[n + 1] = (struct option){ 0 };
	shorts[s] = '\0';
}

static size_t index_of(const struct cli_command *cmd, int c)
{
	size_t n = option_count(cmd);

	if (c >= LONG_BASE)
		return (size_t)(c - LONG_BASE);
	for (size_t i = 0; i < n; i++)
		if (cmd->options[i].letter == c)
			return i;
	return n;
}

static void add_value(struct value_list *v, const char *text)
{
	v->values = mem_must(realloc(v->values, (v->n + 1) * sizeof(*v->values)));
	v->values[v->n++] = text;
}

static bool is_negative_number(const char *text)
{
	return text[0] == '-' && text[1] != '\0' &&
	       text[1 + strspn(text + 1, "0123456789")] == '\0';
}

/* The option that "--name" means: getopt takes the beginning of a name too, where only one has it.
 */
static const struct cli_option *long_option(const struct cli_command *cmd, const char *name)
{
	const struct cli_option *found = NULL;
	unsigned n = 0;

	for (size_t i = 0; i < option_count(cmd); i++) {
		const struct cli_option *o = &cmd->options[i];

		if (strcmp(o->name, name) == 0)
			return o;
		if (strncmp(o->name, name, strlen(name)) != 0)
			continue;
		found = o;
		n++;
	}
	return n == 1 ? found : NULL;
}

/* Is @p word an option whose value is the next word? */
static bool wants_value(const struct cli_command *cmd, const char *word)
{
	const struct cli_option *o;

	if (word[0] != '-')
		return false;
	if (word[1] == '-') {
		o = long_option(cmd, word + 2);
		return o != NULL && o->arg != NULL;
	}
	while (*++word != '\0') { /* of -fd it is d's */
		size_t i = index_of(cmd, *word);

		if (i < option_count(cmd) && cmd->options[i].arg != NULL)
			return word[1] == '\0';
	}
	return false;
}

/* No option is a digit, so -1073418124 is an operand (PowerShell shows HRESULTs so): such words are
 * put behind "--". The caller frees the list, not the words. */
static char **operands_last(const struct cli_command *cmd, int *argc, char **argv)
{
	static char dashes[] = "--";
	char **words = mem_must(calloc(2 * (size_t)*argc + 2, sizeof(*words)));
	char **behind = words + *argc + 1;
	int n = 0, n_behind = 0, i;

	for (i = 0; i < *argc && strcmp(argv[i], "--") != 0; i++) {
		if (is_negative_number(argv[i])) {
			behind[n_behind++] = argv[i];
			continue;
		}
		words[n++] = argv[i];
		if (wants_value(cmd, argv[i]) && i + 1 < *argc)
			words[n++] = argv[++i];
	}
	while (++i < *argc)
		behind[n_behind++] = argv[i];
	if (n_behind > 0)
		words[n++] = dashes;
	memmove(words + n, behind, (size_t)n_behind * sizeof(*words));
	*argc = n + n_behind;
	words[*argc] = NULL;
	return words;
}

/* Parse and run. words[0] is the command's name. */
static int run_command(const struct cli_command *cmd, int argc, char **words)
{
	struct option longs[CLI_OPTIONS_MAX + 2];
	char shorts[2 * CLI_OPTIONS_MAX + 2];
	struct cli_args args = { .cmd = cmd };
	char **argv = operands_last(cmd, &argc, words);
	int code = -1;
	int c;

	if (option_count(cmd) > CLI_OPTIONS_MAX)
		abort(); /* our bug: the table grew past its bound */
	fill_getopt(cmd, longs, shorts);
	while (code < 0 && (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == 'h') {
			code = print_command_help(cmd);
		} else if (c == '?') {
			(void)fprintf(stderr, "Try: kmsbeacon %s --help\n", cmd->name);
			code = cmd->usage_exit;
		} else {
			size_t i = index_of(cmd, c);

			/* "$HOST" of a script where nothing set it is not the whole that
			 * stands for no --host */
			if (optarg != NULL && optarg[0] == '\0') {
				code = cli_usage_error(&args, "--%s got an empty value",
						       cmd->options[i].name);
				break;
			}
			/* -www is three times in one word: a flag counts once */
			if (cmd->options[i].arg != NULL || args.options[i].n == 0)
				add_value(&args.options[i], optarg != NULL ? optarg : "");
		}
	}
	if (code < 0) {
		args.operands = (const char *const *)(argv + optind);
		args.n_operands = (size_t)(argc - optind);
		if (args.n_operands > 0 && cmd->operands[0] == '\0')
			code = cli_usage_error(&args, "takes no operand, but got '%s'",
					       args.operands[0]);
		else
			code = cmd->run(&args);
	}
	for (size_t i = 0; i < CLI_OPTIONS_MAX; i++)
		free(args.options[i].values);
	free(argv);
	return code;
}

/* What is asked for without a command. */
static int print_about(const char *what, bool *ret_found)
{
	*ret_found = true;
	if (strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0 || strcmp(what, "help") == 0)
		print_overview(stdout);
	else if (strcmp(what, "--manual") == 0)
		cli_print_manual(stdout);
	else if (strcmp(what, "--completion") == 0)
		cli_print_completion(stdout);
	else if (strcmp(what, "--version") == 0)
		(void)printf("kmsbeacon %s\n", KMSBEACON_VERSION);
	else
		*ret_found = false;
	return CLI_YES;
}

/* Where nothing can be said for certain, `verify` says "unknown", and the others "no". */
static int exit_when_failed(const struct cli_command *c)
{
	return c->usage_exit != CLI_USAGE ? c->usage_exit : CLI_NO;
}

int cli_main(int argc, char **argv)
{
	const struct cli_command *c;
	bool found;
	int code;

	if (argc < 2) {
		print_overview(stderr);
		return CLI_USAGE;
	}
	code = print_about(argv[1], &found);
	if (found)
		return output_end(code, CLI_NO);
	for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++) {
		if (strcmp(argv[1], c->name) != 0)
			continue;
		mem_must_exit(exit_when_failed(c));
		json_memory_must(); /* the daemon takes that back: daemon_run() */
		return output_end(run_command(c, argc - 1, argv + 1), exit_when_failed(c));
	}
	(void)fprintf(stderr, "kmsbeacon: unknown command '%s' (see kmsbeacon --help)\n", argv[1]);
	return CLI_USAGE;
}
