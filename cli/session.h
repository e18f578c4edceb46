/** What a command works with: the configuration it was told to use, and the means to reach the
 * network. */
#ifndef KMSBEACON_CLI_SESSION_H
#define KMSBEACON_CLI_SESSION_H

#include "cli/command.h"
#include "cli/control_client.h"
#include "common/config.h"
#include "daemon/env.h"

struct session {
	struct config *config;
	const char *path; /* of the configuration; NULL: defaults, because there is no file */
	struct env env;
};

/**
 * Load the configuration of -c, else of $KMSBEACON_CONFIG, else the default file, and open the
 * network. Where
 * @p optional, a default file that does not exist means the defaults; one that was named must
 * exist.
 * @return 0, or the exit code of the command after everything that is wrong has been printed.
 */
int session_open(struct session *s, const struct cli_args *a, bool optional);
/**
 * For a command that only asks the running daemon: a file with errors, which the daemon would not
 * take, is no reason not to find its socket. One sentence on stderr then.
 */
int session_open_to_ask(struct session *s, const struct cli_args *a);
void session_close(struct session *s);

/**
 * Ask the running daemon; @p args is taken over (NULL: none).
 * @return 0 with a report in @p ret, the caller's to release; else the exit code of the command,
 * after one sentence, and with --json an error, has been printed.
 */
int session_ask(const struct session *s, const struct cli_args *a, const char *command,
		json_t *args, uint64_t timeout_ms, struct control_result *ret);

/** The path that session_open() would take; *ret_named: whether the user named it. */
const char *session_config_path(const struct cli_args *a, bool *ret_named);
void print_config_messages(const struct config_errors *errs, bool warnings_too);
/** A duration option, @p fallback where it was not given. 0, or the exit code after one sentence.
 */
int session_duration(const struct cli_args *a, const char *option, uint64_t fallback_ms,
		     uint64_t *ret_ms);

#endif
