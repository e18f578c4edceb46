#include "cli/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/discover_options.h"
#include "cli/discover_text.h"
#include "cli/output.h"
#include "resolver/discover_report.h"

static const struct cli_option options[] = {
	CLI_OPT_CONFIG,
	CLI_OPT_JSON,
	{ 'd', "domain", "DOMAIN", true,
	  "suffix of the client; several in the order they are asked (default: those of "
	  "`discovery`, else of resolv.conf)" },
	{ 0, "primary-suffix", "D", false, "the client's primary DNS suffix, asked first" },
	{ 0, "ad-domain", "D", false, "the domain it has joined, asked second" },
	{ 0, "connection-suffix", "D", true,
	  "suffix of a connection (DHCP option 15), asked third" },
	{ 0, "search-suffix", "D", true, "of its suffix search list, asked last" },
	{ 0, "lookup-domain", "D", false,
	  "as after slmgr /skms-domain: only this domain is asked" },
	{ 0, "manual-host", "HOST", false,
	  "as after slmgr /skms: NAME, NAME:PORT, [IPv6]:PORT; used alone, without DNS discovery" },
	{ 0, "product", "ID", false,
	  "windows, office, or the GUID of an application or product: what `discovery.products` "
	  "sets for it, and its own place in --cache" },
	{ 's', "server", "A[:PORT]", true,
	  "resolver to ask (default: discovery.resolvers, else those of resolv.conf)" },
	{ 0, "profile", "NAME", false,
	  "modern: Windows 7 and later (default); vista: priority and weight are ignored" },
	{ 0, "cache", "FILE", false,
	  "the client's memory of its host: tried first, written on success" },
	{ 0, "no-cache", NULL, false,
	  "as after slmgr /ckhc: forget the host in --cache, always ask DNS" },
	{ 0, "probe", "KIND", false, "how a host is tried: rpc (default), tcp, none" },
	{ 0, "explain", NULL, false, "print each decision and each DNS question" },
	{ 0, "seed", "N", false, "make the random draw repeatable" },
	CLI_OPT_END,
};

static void on_discovered(struct rsv_discover *d, const struct rsv_discovery *r)
{
	json_t **ret = d->owner;

	*ret = r->err == 0 ? rsv_discover_report(r) : NULL;
}

/* ---- the command ---- */

static int discover(const struct cli_args *a, struct session *s, struct discover_options *o)
{
	struct rsv_discover op = { 0 };
	json_t *report = NULL;
	struct err_info info;
	bool found;

	op.owner = &report;
	rsv_discover_start(&op, &s->env.net, &o->client.params, on_discovered);
	(void)uv_run(&s->env.loop, UV_RUN_DEFAULT);
	if (report == NULL) {
		(void)fprintf(stderr, "kmsbeacon discover: %s\n", err_text(ERR_NOMEM));
		return CLI_NO;
	}
	if (o->cache_file != NULL && o->cache.dirty &&
	    rsv_cache_save(&o->cache, o->cache_file, &info) != 0)
		(void)fprintf(stderr, "kmsbeacon discover: %s\n", info.text);
	found = json_is_object(json_object_get(report, "selected"));
	if (cli_has(a, "json")) {
		print_json(report);
	} else {
		discover_print(report, cli_has(a, "explain"));
		json_decref(report);
	}
	return found ? CLI_YES : CLI_NO;
}

static int run(const struct cli_args *a)
{
	struct discover_options *o;
	struct session s;
	int code = session_open(&s, a, true);

	if (code != 0)
		return code;
	code = discover_options_parse(a, &s, &o);
	if (code == 0)
		code = discover(a, &s, o);
	discover_options_free(o);
	session_close(&s);
	return code;
}

const struct cli_command cmd_discover = {
	.name = "discover",
	.operands = "",
	.summary = "find the KMS host as one Windows client does, and say why",
	.text = "Does one discovery as Windows does it: the cached host first, then _vlmcs._tcp in "
		"each suffix\n"
		"until one has hosts, then the hosts by priority and weight, each tried on all its "
		"addresses.\n"
		"Nothing is activated. Exit code 0: a host was selected, 1: none (the code is the "
		"one that the\n"
		"client would show).",
	.examples =
		"  kmsbeacon discover --domain corp.example --explain\n"
		"  kmsbeacon discover -d dept.example -d corp.example --server 192.0.2.53 --json",
	.options = options,
	.run = run,
	.usage_exit = CLI_USAGE,
};
