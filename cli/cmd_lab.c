#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "kmscore/lab.h"

static const struct cli_option options[] = { CLI_OPT_END };

static int run(const struct cli_args *a)
{
	const char *const *words;
	size_t n = cli_operands(a, &words);
	struct err_info info;
	struct rng rng;

	if (n != 2 || strcmp(words[0], "keygen") != 0)
		return cli_usage_error(a, "wants: lab keygen FILE");
	rng_init_system(&rng);
	if (lab_keygen(words[1], &rng, &info) != 0) {
		(void)fprintf(stderr, "kmsbeacon lab: %s\n", info.text);
		return CLI_NO;
	}
	(void)printf("%s: a new lab key, readable by you alone; name it as lab.key_file of the "
		     "host and\n"
		     "give a copy to its lab clients (kmsbeacon client ato --key FILE)\n",
		     words[1]);
	return CLI_YES;
}

const struct cli_command cmd_lab = {
	.name = "lab",
	.operands = "keygen FILE",
	.words = "keygen",
	.summary = "make a key for lab hosts and lab clients",
	.text = "Writes a new lab key to FILE, mode 0600; a file that exists is never replaced. "
		"Lab hosts and\n"
		"lab clients that share the key rehearse a deployment with each other. No Windows "
		"client\n"
		"accepts a lab host, and no licensed host answers a lab client.",
	.examples = "  kmsbeacon lab keygen /etc/kmsbeacon/lab.key",
	.options = options,
	.run = run,
	.usage_exit = CLI_USAGE,
};
