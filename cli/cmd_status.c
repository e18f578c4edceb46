#include "cli/commands.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/output.h"
#include "cli/session.h"
#include "cli/status_text.h"
#include "cli/table.h"

#define STATUS_TIMEOUT_MS 10000

static const struct cli_option options[] = {
	CLI_OPT_CONFIG,
	CLI_OPT_JSON,
	{ 0, "dlv", NULL, false, "the fields of `slmgr /dlv` on a KMS host, in its order" },
	{ 0, "prometheus", NULL, false, "metrics, for the textfile collector of node_exporter" },
	CLI_OPT_END,
};

static long long number(const json_t *obj, const char *key)
{
	return (long long)json_integer_value(json_object_get(obj, key));
}

/* Cloned images: they hold the count down, so who looks at the count should see them. */
static void print_duplicates(const json_t *service)
{
	long long n = number(service, "duplicates");
	size_t i;
	const json_t *d;

	if (n == 0)
		return;
	(void)printf("%s          %lld machine %s used by more than one machine, which counts as "
		     "one:%s\n",
		     tone_on(stdout, TONE_WARN), n, n == 1 ? "id is" : "ids are", tone_off(stdout));
	json_array_foreach(json_object_get(service, "duplicate_cmids"), i, d)
	{
		const json_t *names = json_object_get(d, "machines");

		(void)printf("          %s  %s, %s\n", json_text(d, "cmid", ""),
			     json_string_value(json_array_get(names, 0)),
			     json_string_value(json_array_get(names, 1)));
	}
	(void)printf("          generalize the image (sysprep /generalize), or rearm these "
		     "machines\n");
}

static void print_service(const json_t *report)
{
	const json_t *service = json_object_get(report, "service");
	size_t i;
	const json_t *at;
	char up[CLOCK_TEXT_MAX];

	duration_format((uint64_t)number(report, "uptime_s") * 1000, up);
	(void)printf("kmsbeacon %s, up %s\n", json_text(report, "version", ""), up);
	(void)printf("service   %s", json_text(service, "mode", "off"));
	json_array_foreach(json_object_get(service, "listen"), i, at)(void)
		printf("%s%s", i == 0 ? " on " : ", ", json_string_value(at));
	(void)printf("\n          ");
	if (strcmp(json_text(service, "mode", "off"), "relay") == 0) /* the hosts have the count */
		(void)printf("connections %lld", number(service, "connections"));
	else
		(void)printf("count %lld", number(service, "count"));
	(void)printf(", clients in 30 days %lld, requests %lld, failed %lld\n",
		     number(service, "clients_30d"), number(service, "requests"),
		     number(service, "failed"));
	print_duplicates(service);
}

static void print_hosts(const json_t *hosts)
{
	static const char *const headings[] = {
		"HOST", "TARGET", "PORT", "STATE", "SINCE", "DRAIN"
	};
	struct table *t = table_new(6, headings);
	size_t i;
	const json_t *h;

	json_array_foreach(hosts, i, h)
	{
		const char *state = json_text(h, "state", "unknown");

		table_cell(t, TONE_PLAIN, "%s", json_text(h, "name", ""));
		table_cell(t, TONE_PLAIN, "%s", json_text(h, "target", "-"));
		table_cell(t, TONE_PLAIN, "%lld", number(h, "port"));
		table_cell(t, tone_of(state), "%s", state);
		table_cell(t, TONE_PLAIN, "%s", json_text(h, "since", "-"));
		table_cell(t, TONE_WARN, "%s", json_text(h, "drain", ""));
	}
	if (json_array_size(hosts) > 0)
		(void)printf("\n");
	table_print(t, stdout, 0);
}

static void print_records(const json_t *records)
{
	static const char *const headings[] = { "DOMAIN",      "VIEW",       "STATE",
						"LAST PROVEN", "NEXT CHECK", "LAST ERROR" };
	struct table *t = table_new(6, headings);
	size_t i;
	const json_t *r;

	json_array_foreach(records, i, r)
	{
		const char *state = json_text(r, "state", "");

		table_cell(t, TONE_PLAIN, "%s", json_text(r, "domain", ""));
		table_cell(t, TONE_PLAIN, "%s", json_text(r, "view", ""));
		table_cell(t, tone_of(state), "%s", state);
		table_cell(t, TONE_PLAIN, "%s", json_text(r, "last_proven", "-"));
		table_cell(t, TONE_PLAIN, "%s", json_text(r, "next_check", "-"));
		table_cell(t, TONE_PLAIN, "%s", json_text(r, "last_error", ""));
	}
	if (json_array_size(records) > 0)
		(void)printf("\n");
	table_print(t, stdout, 0);
}

static void print_seen_hosts(const json_t *hosts)
{
	static const char *const headings[] = { "HOST", "PORT",  "PRIORITY", "WEIGHT",
						"TTL",  "FIRST", "STATE" };
	struct table *t = table_new(7, headings);
	size_t i;
	const json_t *h;

	json_array_foreach(hosts, i, h)
	{
		const char *state = json_text(h, "state", "unknown");

		table_cell(t, TONE_PLAIN, "%s", json_text(h, "target", ""));
		table_cell(t, TONE_PLAIN, "%lld", number(h, "port"));
		table_cell(t, TONE_PLAIN, "%lld", number(h, "priority"));
		table_cell(t, TONE_PLAIN, "%lld", number(h, "weight"));
		table_cell(t, TONE_PLAIN, "%lld", number(h, "ttl"));
		table_cell(t, TONE_PLAIN, "%.1f%%",
			   100.0 * json_number_value(json_object_get(h, "probability")));
		table_cell(t, tone_of(state), "%s", state);
	}
	table_print(t, stdout, 2);
}

/* What a client does that remembers its host, where that is another story than DNS tells. */
static void print_remembered(const json_t *seen)
{
	const json_t *host = json_object_get(seen, "cached");
	const char *standing = json_text(host, "standing", "");

	if (!json_is_object(host))
		return;
	(void)printf("  remembered host: %s:%lld, answered %s", json_text(host, "target", ""),
		     number(host, "port"), json_text(host, "answered", "-"));
	if (strcmp(standing, "lower") == 0)
		(void)printf("\n  %sa better one is up, but who remembers this one stays%s",
			     tone_on(stdout, TONE_WARN), tone_off(stdout));
	else if (strcmp(standing, "gone") == 0)
		(void)printf("\n  %snot in DNS any more, but who remembers it stays while it "
			     "answers%s",
			     tone_on(stdout, TONE_WARN), tone_off(stdout));
	(void)putchar('\n');
}

static void print_doubt(const char *code)
{
	if (strcmp(code, "0x00000000") == 0)
		(void)printf("  not sure yet: the last look found a host\n");
	else
		(void)printf("  not sure yet: the last look ended with %s\n", code);
}

static void print_discovery(const json_t *list)
{
	size_t i;
	const json_t *d;

	json_array_foreach(list, i, d)
	{
		const json_t *result = json_object_get(d, "result");
		const char *code = json_text(result, "code", "");
		bool good = strcmp(code, "0x00000000") == 0;
		bool settled = json_is_true(json_object_get(d, "settled"));

		(void)printf("\n%s clients %s %s\n  %s%s%s%s%s\n", json_text(d, "profile", ""),
			     json_is_string(json_object_get(d, "domain")) ? "of" : "with the host",
			     json_text(d, "domain", json_text(d, "manual_host", "")),
			     tone_on(stdout, good ? TONE_GOOD : TONE_BAD), good ? "" : code,
			     good || code[0] == '\0' ? "" : " ", json_text(result, "text", ""),
			     tone_off(stdout));
		(void)printf("  since %s, last look %s, next %s\n", json_text(d, "since", "-"),
			     json_text(d, "last_run", "-"), json_text(d, "next_run", "-"));
		if (!settled && json_is_string(json_object_get(d, "last_code")))
			print_doubt(json_text(d, "last_code", ""));
		print_seen_hosts(json_object_get(d, "candidates"));
		print_remembered(d);
	}
}

static int run(const struct cli_args *a)
{
	struct control_result result;
	struct session s;
	int code;

	if (cli_has(a, "json") + cli_has(a, "dlv") + cli_has(a, "prometheus") > 1)
		return cli_usage_error(a, "one of --json, --dlv and --prometheus");
	code = session_open_to_ask(&s, a);
	if (code != 0)
		return code;
	code = session_ask(&s, a, "status", NULL, STATUS_TIMEOUT_MS, &result);
	session_close(&s);
	if (code != 0)
		return code;
	if (cli_has(a, "json")) {
		print_json(json_incref(result.report));
	} else if (cli_has(a, "dlv")) {
		status_print_dlv(result.report);
	} else if (cli_has(a, "prometheus")) {
		status_print_prometheus(result.report);
	} else {
		print_service(result.report);
		status_print_upstreams(json_object_get(result.report, "upstreams"));
		print_hosts(json_object_get(result.report, "hosts"));
		print_records(json_object_get(result.report, "records"));
		print_discovery(json_object_get(result.report, "discovery"));
	}
	json_decref(result.report);
	return CLI_YES;
}

const struct cli_command cmd_status = {
	.name = "status",
	.operands = "",
	.summary = "what the running daemon serves and publishes",
	.text = "Asks the running daemon over its control socket: the service, the hosts behind "
		"its "
		"relay (state,\n"
		"connections, requests, how they answered), the published hosts and records, and "
		"what clients see.\n"
		"Exit code 0: it answered, 1: none answers.",
	.examples = "  kmsbeacon status\n  kmsbeacon status --dlv\n"
		    "  kmsbeacon status --prometheus > "
		    "/var/lib/prometheus/node-exporter/kmsbeacon.prom",
	.options = options,
	.run = run,
	.usage_exit = CLI_USAGE,
};
