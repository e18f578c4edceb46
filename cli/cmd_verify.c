#include "cli/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/verify_run.h"
#include "common/mem.h"

static const struct cli_option options[] = {
	CLI_OPT_CONFIG,
	CLI_OPT_JSON,
	{ 'd', "domain", "DOMAIN", true, "domain to audit (default: publish.domains)" },
	{ 'f', "domains-file", "FILE", false,
	  "one domain a line, - for standard input; with --json one object a line, in this order" },
	{ 's', "server", "A[:PORT]", true, "ask this server too, beside those of the zone" },
	{ 0, "expect", "RECORD", true,
	  "TARGET:PORT[:PRIO[:WEIGHT]]: the complete expected set; missing is critical, extra a "
	  "warning" },
	{ 0, "lookup-only", NULL, false,
	  "only what the resolvers give, records and addresses: no name server asked by itself, no "
	  "host probed" },
	{ 0, "nagios", NULL, false,
	  "one status line with performance data, for Nagios and its relatives" },
	{ 0, "watch", "T", false,
	  "look again every T (30s, 5m) and print only what changed, until interrupted" },
	CLI_OPT_END,
};

static int run(const struct cli_args *a)
{
	struct verify_options *o = mem_must(calloc(1, sizeof(*o)));
	struct session s;
	int code = verify_options_parse(a, o);

	if (code == 0)
		code = session_open(&s, a, true);
	if (code == 0) {
		code = verify_run(a, &s, o);
		session_close(&s);
	} else {
		if (cli_has(a, "nagios")) /* which shows nothing but the first line of stdout */
			(void)puts("KMS UNKNOWN - not begun: wrong options or configuration, see "
				   "stderr");
		if (o->fd >= 0)
			(void)close(o->fd);
	}
	free(o);
	return code;
}

const struct cli_command cmd_verify = {
	.name = "verify",
	.operands = "",
	.summary = "audit the KMS records of domains on every server",
	.text = "Asks every authoritative server of the zone and the configured resolvers for the "
		"records of\n"
		"_vlmcs._tcp.DOMAIN, looks up and probes every target, and lists what is wrong: "
		"records that\n"
		"are missing, unexpected or lead nowhere, servers that differ, lag or do not "
		"answer.\n"
		"Nothing is changed. Exit codes are those of Nagios: 0 ok, 1 warning, 2 critical, "
		"3 unknown;\n"
		"with several domains the worst counts.\n"
		"\n"
		"Of a file, or of more than 16 domains, only those are shown that are not ok, and "
		"at the end\n"
		"how many there were of each kind. A line that is no domain name is told and "
		"counts as unknown.\n"
		"With --lookup-only ten thousand domains take seconds; --server are resolvers "
		"then.",
	.examples =
		"  kmsbeacon verify --domain corp.example --expect kms1.corp.example:1688:0:10\n"
		"  kmsbeacon verify --domains-file domains.txt --json\n"
		"  kmsbeacon verify --domains-file domains.txt --lookup-only --expect "
		"kms1.corp.example\n"
		"  kmsbeacon verify --domain corp.example --watch 30s",
	.options = options,
	.run = run,
	.usage_exit = NAGIOS_UNKNOWN,
};
