#include "cli/commands.h"

#include <stdio.h>

#include "cli/output.h"
#include "cli/session.h"

#define RELOAD_TIMEOUT_MS 30000

static const struct cli_option options[] = {
	CLI_OPT_CONFIG,
	CLI_OPT_JSON,
	CLI_OPT_END,
};

/* The path of the socket is in the very file that may be bad: then its errors are printed here, in
 * the same form, and the daemon, which would refuse the file too, is left as it is. */
static int run(const struct cli_args *a)
{
	struct control_result result;
	struct session s;
	const json_t *errors, *e;
	size_t i;
	int code = session_open(&s, a, true);

	if (code != 0) {
		(void)fprintf(stderr, "kmsbeacon reload: the daemon was not told; where one runs, "
				      "its old configuration stays in force\n");
		return code;
	}
	code = session_ask(&s, a, "reload", NULL, RELOAD_TIMEOUT_MS, &result);
	session_close(&s);
	if (code != 0)
		return code;
	errors = json_object_get(result.report, "errors");
	json_array_foreach(errors, i, e)(void) fprintf(stderr, "%s\n", json_string_value(e));
	if (result.exit_code != 0)
		(void)fprintf(stderr, "kmsbeacon reload: the old configuration stays in force\n");
	if (cli_has(a, "json"))
		print_json(json_incref(result.report));
	else if (result.exit_code == 0)
		(void)printf("reloaded\n");
	code = result.exit_code;
	json_decref(result.report);
	return code;
}

const struct cli_command cmd_reload = {
	.name = "reload",
	.operands = "",
	.summary = "have the running daemon read its configuration again",
	.text = "Keys, domains, hosts, health and limits are swapped without dropping an exchange; "
		"what\n"
		"needs a restart is named in the daemon's log. A bad file keeps the old "
		"configuration.\n"
		"Exit code 0: the new one is in force, 1: no daemon answers, 2: the file is bad.",
	.examples = "  kmsbeacon reload",
	.options = options,
	.run = run,
	.usage_exit = CLI_USAGE,
};
