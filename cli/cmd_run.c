#include "cli/commands.h"

#include <stdio.h>

#include "cli/session.h"
#include "daemon/daemon.h"

static const struct cli_option options[] = {
	CLI_OPT_CONFIG,
	CLI_OPT_END,
};

static int run(const struct cli_args *a)
{
	struct config_errors errs = { 0 };
	struct config *cfg = NULL;
	struct keys keys = { 0 };
	bool named;
	const char *path = session_config_path(a, &named);
	int err = config_load(path, &cfg, &errs);

	if (err == 0)
		err = keys_load(cfg, &keys, &errs);
	print_config_messages(&errs, true);
	config_errors_done(&errs);
	if (err != 0) {
		config_free(cfg);
		return CLI_USAGE;
	}
	return daemon_run(path, cfg, &keys);
}

const struct cli_command cmd_run = {
	.name = "run",
	.operands = "",
	.summary = "the daemon, in the foreground",
	.text = "Serves the KMS service as service.mode says (lab, or relay: the licensed hosts of "
		"relay.upstreams\n"
		"behind one address), and keeps the configured SRV records right and proven.\n"
		"SIGTERM and SIGINT stop in order: clients get the answers they wait for while DNS "
		"is told; a\n"
		"second one waits for neither. SIGHUP reads the configuration again and keeps the "
		"old one where\n"
		"the new one is wrong. Listening sockets handed in by systemd take the place of "
		"service.listen.\n"
		"The log goes to stderr. Exit code 0: stopped in order, 1: could not start, 2: "
		"configuration.",
	.examples = "  kmsbeacon run -c /etc/kmsbeacon/kmsbeacon.yaml",
	.options = options,
	.run = run,
	.usage_exit = CLI_USAGE,
};
