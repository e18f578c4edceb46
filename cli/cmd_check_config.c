#include "cli/commands.h"

#include <stdio.h>

#include "cli/session.h"
#include "daemon/keys.h"

static const struct cli_option options[] = {
	CLI_OPT_CONFIG,
	{ 0, "dump", NULL, false, "print the configuration with every default filled in, as YAML" },
	{ 0, "example", NULL, false, "print a commented example configuration instead" },
	{ 0, "manual", NULL, false, "print the manual page kmsbeacon.yaml(5) instead" },
	CLI_OPT_END,
};

static int run(const struct cli_args *a)
{
	struct config_errors errs = { 0 };
	struct config *cfg = NULL;
	struct keys keys = { 0 };
	bool named;
	const char *path = session_config_path(a, &named);
	int err;

	if (cli_has(a, "example")) {
		config_print_example(stdout);
		return CLI_YES;
	}
	if (cli_has(a, "manual")) {
		config_print_manual(stdout);
		return CLI_YES;
	}
	err = config_load(path, &cfg, &errs);
	if (err == 0)
		err = keys_load(cfg, &keys, &errs);
	print_config_messages(&errs, true);
	if (err == 0 && cli_has(a, "dump"))
		config_dump(cfg, stdout);
	else if (err == 0)
		(void)printf("%s: ok: %zu domain%s, %zu host%s, %zu key%s, %zu warning%s\n", path,
			     cfg->publish.n_domains, cfg->publish.n_domains == 1 ? "" : "s",
			     cfg->n_hosts, cfg->n_hosts == 1 ? "" : "s", cfg->n_keys,
			     cfg->n_keys == 1 ? "" : "s", errs.n_warnings,
			     errs.n_warnings == 1 ? "" : "s");
	else
		(void)fprintf(stderr, "%s: %zu error%s; nothing was changed\n", path, errs.n_errors,
			      errs.n_errors == 1 ? "" : "s");
	keys_done(&keys);
	config_free(cfg);
	config_errors_done(&errs);
	return err == 0 ? CLI_YES : CLI_USAGE;
}

const struct cli_command cmd_check_config = {
	.name = "check-config",
	.operands = "",
	.summary = "check the configuration file and the key files it names",
	.text = "Reads the configuration and every key file it names, and prints all that is "
		"wrong, each\n"
		"as file:line:col: setting: what is wrong, what is allowed. Nothing is changed and "
		"no\n"
		"network is used. Exit code 0: usable (warnings are printed), 2: not.",
	.examples = "  kmsbeacon check-config\n"
		    "  kmsbeacon check-config -c ./kmsbeacon.yaml --dump\n"
		    "  kmsbeacon check-config --example > kmsbeacon.yaml",
	.options = options,
	.run = run,
	.usage_exit = CLI_USAGE,
};
