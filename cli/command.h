/**
 * Subcommands as data: one table row each, from which come parsing, `--help` and shell completion.
 *
 * A command's options are a table too. Values are text here; the command turns them into what it
 * needs and complains through cli_usage_error(), so that every wrong use ends in one sentence and
 * the same exit code.
 */
#ifndef KMSBEACON_CLI_COMMAND_H
#define KMSBEACON_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

/* Exit codes (design §3). */
enum { CLI_YES = 0, CLI_NO = 1, CLI_USAGE = 2 };
enum { NAGIOS_OK = 0, NAGIOS_WARNING = 1, NAGIOS_CRITICAL = 2, NAGIOS_UNKNOWN = 3 };

#define CLI_OPTIONS_MAX 24

struct cli_option {
	char letter;      /* 0: long form only */
	const char *name; /* without dashes */
	const char *arg;  /* what stands for the value in the help; NULL: a flag */
	bool repeat;      /* may be given more than once; else the last counts */
	const char *help;
};

struct cli_args;

struct cli_command {
	const char *name;
	const char *operands; /* "HOST[:PORT]...", "" for none */
	const char *words;    /* operands that are fixed words, for the shell's completion; NULL */
	const char *summary;  /* one line, lower case, for the list of commands */
	const char *text;     /* the paragraphs of --help */
	const char *examples; /* lines of "  command"; NULL: none */
	const struct cli_option *options; /* ends with a row whose name is NULL; may be NULL */
	int (*run)(const struct cli_args *args);
	int usage_exit; /* CLI_USAGE; 3 for verify, as Nagios wants */
};

/** The commands, in the order of the help; NULL behind the last. */
const struct cli_command *cli_command_at(size_t i);

/** Rows that most commands share. */
#define CLI_OPT_CONFIG                                                                             \
	{                                                                                          \
		'c', "config", "FILE", false,                                                      \
			"configuration (default: $KMSBEACON_CONFIG, else "                         \
			"/etc/kmsbeacon/kmsbeacon.yaml)"                                           \
	}
#define CLI_OPT_JSON                                                                               \
	{                                                                                          \
		0, "json", NULL, false, "print one JSON object"                                    \
	}
#define CLI_OPT_END                                                                                \
	{                                                                                          \
		0, NULL, NULL, false, NULL                                                         \
	}

bool cli_has(const struct cli_args *a, const char *option);
/** Whether the command has --json and it was given. */
bool cli_wants_json(const struct cli_args *a);
/** Last value given, or NULL. */
const char *cli_get(const struct cli_args *a, const char *option);
/** All values given, in order. */
size_t cli_list(const struct cli_args *a, const char *option, const char *const **ret);
size_t cli_operands(const struct cli_args *a, const char *const **ret);
const struct cli_command *cli_command_of(const struct cli_args *a);

/** One sentence on stderr, with where to look, and with --json {"error"} on stdout; @return the
 * exit code for wrong usage of this command. */
int cli_usage_error(const struct cli_args *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** Find the command, parse, run. @return the process's exit code. */
int cli_main(int argc, char **argv);

#endif
