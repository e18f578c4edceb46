#include "cli/commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/publish_text.h"
#include "cli/session.h"
#include "cli/table.h"
#include "publisher/reconcile.h"

/* Looking and withdrawing may each take what a publish may, and wait for one that runs. */
#define DRAIN_TIMEOUT_MS  (4 * PUB_TIMEOUT_MS)
#define RESUME_TIMEOUT_MS 10000
#define POLL_MS           1000
#define POLL_UPSTREAM_MS  100 /* answers take no longer than relay.request_timeout */

static json_t *host_args(const struct cli_args *a, bool force)
{
	const char *const *names;
	size_t n = cli_operands(a, &names);

	return json_pack("{s:o*, s:b}", "host", n > 0 ? json_words(names[0]) : NULL, "force",
			 force);
}

/* ---- drain ---- */

static bool is_state(const json_t *report, const char *state)
{
	return strcmp(json_text(report, "state", ""), state) == 0;
}

/* Requests at an upstream. */
static long long outstanding(const json_t *report)
{
	const json_t *up = json_object_get(report, "upstream");

	return (long long)json_integer_value(json_object_get(up, "outstanding"));
}

static void clear_progress(void)
{
	(void)fprintf(stderr, "\r\033[K");
}

static void show_progress(const json_t *report)
{
	long long left_s =
		((long long)json_integer_value(json_object_get(report, "left_ms")) + 999) / 1000;
	const char *host = json_text(report, "host", "");

	clear_progress();
	if (is_state(report, "waiting") && outstanding(report) > 0)
		(void)fprintf(stderr, "%s: %lld request%s outstanding", host, outstanding(report),
			      outstanding(report) == 1 ? "" : "s");
	else if (is_state(report, "waiting"))
		(void)fprintf(stderr, "%s: %llds until no client has its record cached", host,
			      left_s);
	else
		(void)fprintf(stderr, "%s: a server still shows its record", host);
	(void)fflush(stderr);
}

static void pause_for(const json_t *report)
{
	json_int_t ms = POLL_MS;
	json_int_t left = json_integer_value(json_object_get(report, "left_ms"));
	struct timespec ts;

	if (is_state(report, "waiting") && left == 0)
		ms = POLL_UPSTREAM_MS;
	else if (is_state(report, "waiting") && left < ms)
		ms = left + 10;
	ts.tv_sec = (time_t)(ms / 1000);
	ts.tv_nsec = (long)(ms % 1000) * 1000000;
	(void)nanosleep(&ts, NULL);
}

/* The daemon does the waiting; this only looks on, so that hanging up changes nothing.
 * Replaces *report. @return an exit code. */
static int wait_until_safe(const struct cli_args *a, const struct session *s, json_t **report)
{
	bool terminal = isatty(STDERR_FILENO) == 1;
	int code = CLI_YES;

	while (code == CLI_YES && !is_state(*report, "safe")) {
		struct control_result result;
		json_t *domains;

		if (terminal)
			show_progress(*report);
		pause_for(*report);
		code = session_ask(s, a, "drain-status", host_args(a, false), RESUME_TIMEOUT_MS,
				   &result);
		if (code != 0)
			break;
		domains = json_incref(json_object_get(*report, "domains")); /* of the beginning */
		json_decref(*report);
		*report = result.report;
		(void)json_object_set_new(*report, "domains", domains);
		if (result.exit_code != 0)
			code = CLI_NO; /* resumed meanwhile */
	}
	if (terminal)
		clear_progress();
	return code;
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	print_wrapped_from(stdout, 0, 0, text);
}

/* Its part as an upstream. @return whether there is one, and no published host of this name. */
static bool print_upstream(const json_t *report)
{
	const char *host = json_text(report, "host", "");
	const json_t *up = json_object_get(report, "upstream");
	const char *state = json_text(up, "state", "none");
	bool alone = json_is_null(json_object_get(report, "published"));

	if (!json_is_object(up) || is_state(report, "refused"))
		return false;
	if (strcmp(state, "none") == 0)
		say("%s, the upstream, gets requests", host);
	else if (outstanding(report) > 0)
		say("%s gets no new requests; %lld %s outstanding", host, outstanding(report),
		    outstanding(report) == 1 ? "is" : "are");
	else
		say("%s gets no requests, and none is outstanding%s", host,
		    alone ? ": safe to stop" : "");
	return alone;
}

static void print_published(const json_t *report)
{
	const char *host = json_text(report, "host", "");
	const char *state = json_text(report, "published", "none");
	const json_t *clients = json_object_get(report, "clients_7d");

	if (strcmp(state, "none") == 0)
		say("%s was resumed meanwhile", host);
	else if (strcmp(state, "withdrawing") == 0)
		say("%s: a server still shows its record; this is tried again: %s", host,
		    json_text(report, "text", ""));
	else if (strcmp(state, "waiting") == 0)
		say("%s: no server shows its record; clients may have it cached until "
		    "%s",
		    host, json_text(report, "safe_at", "-"));
	else if (json_is_true(json_object_get(report, "local")))
		say("%s is drained: its listeners are closed", host);
	else if (is_state(report, "safe"))
		say("%s: safe to stop", host);
	else
		say("%s: no client has its record cached any more", host);
	if (json_is_integer(clients))
		say("%lld client%s used it in the last 7 days; those that cached the host "
		    "itself do not ask DNS until it fails them",
		    (long long)json_integer_value(clients),
		    json_integer_value(clients) == 1 ? "" : "s");
}

static void print_drain(const json_t *report)
{
	const char *text = json_text(report, "text", "");
	bool any = json_array_size(json_object_get(report, "domains")) > 0;

	if (any)
		publish_print(stdout, report);
	if (!is_state(report, "refused")) {
		if (!print_upstream(report))
			print_published(report);
	} else if (any) {
		say("%s is not drained: see the domains above; --force drains it all the "
		    "same",
		    json_text(report, "host", ""));
	} else {
		say("%s is not drained: %s", json_text(report, "host", ""), text);
	}
}

static int run_drain(const struct cli_args *a)
{
	struct control_result result;
	const char *const *names;
	struct session s;
	int code;

	if (cli_operands(a, &names) > 1)
		return cli_usage_error(a, "one host at a time");
	code = session_open_to_ask(&s, a);
	if (code != 0)
		return code;
	code = session_ask(&s, a, "drain", host_args(a, cli_has(a, "force")), DRAIN_TIMEOUT_MS,
			   &result);
	if (code == 0) {
		code = result.exit_code;
		if (code == 0 && cli_has(a, "wait"))
			code = wait_until_safe(a, &s, &result.report);
		if (cli_has(a, "json"))
			print_json(json_incref(result.report));
		else
			print_drain(result.report);
		json_decref(result.report);
	}
	session_close(&s);
	return code;
}

static const struct cli_option drain_options[] = {
	CLI_OPT_CONFIG,
	CLI_OPT_JSON,
	{ 'w', "wait", NULL, false, "return when the host is safe to stop" },
	{ 0, "force", NULL, false, "also where it would be refused" },
	CLI_OPT_END,
};

const struct cli_command cmd_drain = {
	.name = "drain",
	.operands = "[HOST]",
	.summary = "take a host or an upstream out of use, and tell when it is safe to stop",
	.text = "Withdraws the records of HOST (default: local) in every domain. When no server "
		"shows them\n"
		"any more, clients may still have them cached for their TTL; after that `local` "
		"closes its\n"
		"listeners, and of another host it is said that it is safe to stop. A drain lasts, "
		"over\n"
		"restarts too, until `kmsbeacon resume`. Refused where no record would be left in "
		"a set,\n"
		"where something else publishes the host, too, and where a domain cannot be "
		"read.\n"
		"HOST may also be an upstream of the relay: it gets no new requests, and is safe "
		"to stop when\n"
		"none is outstanding. Refused where no other upstream is up. A name that is both a "
		"host and an\n"
		"upstream is drained as both.\n"
		"Exit code 0: it has begun (with --wait: the host is safe to stop), 1: refused, or "
		"no\n"
		"daemon answers.",
	.examples = "  kmsbeacon drain --wait\n  kmsbeacon drain office\n"
		    "  kmsbeacon drain --wait winkms1",
	.options = drain_options,
	.run = run_drain,
	.usage_exit = CLI_USAGE,
};

/* ---- resume ---- */

static void print_resumed(const json_t *report)
{
	bool lifted = json_integer_value(json_object_get(report, "lifted")) > 0;
	bool behind = json_integer_value(json_object_get(report, "upstreams")) > 0;

	if (lifted)
		(void)printf("%s: published again\n", json_text(report, "host", "all hosts"));
	if (behind)
		(void)printf("%s: requests go there again\n",
			     json_text(report, "host", "all upstreams"));
	if (!lifted && !behind)
		(void)printf("nothing was drained or withdrawn\n");
}

static int run_resume(const struct cli_args *a)
{
	struct control_result result;
	const char *const *names;
	struct session s;
	int code;

	if (cli_operands(a, &names) > 1)
		return cli_usage_error(a, "one host, or none for all");
	code = session_open_to_ask(&s, a);
	if (code != 0)
		return code;
	code = session_ask(&s, a, "resume", host_args(a, false), RESUME_TIMEOUT_MS, &result);
	session_close(&s);
	if (code != 0)
		return code;
	if (cli_has(a, "json"))
		print_json(json_incref(result.report));
	else
		print_resumed(result.report);
	code = result.exit_code;
	json_decref(result.report);
	return code;
}

static const struct cli_option resume_options[] = {
	CLI_OPT_CONFIG,
	CLI_OPT_JSON,
	CLI_OPT_END,
};

const struct cli_command cmd_resume = {
	.name = "resume",
	.operands = "[HOST]",
	.summary = "use a host or an upstream again after drain or withdraw",
	.text = "Lifts what `drain HOST` and `withdraw --host HOST` hold back; without HOST, of "
		"all "
		"hosts\n"
		"and upstreams. The listeners of `local` are opened again before its records are "
		"published.\n"
		"Exit code 0: done, 1: no daemon answers, or the listeners cannot be opened.",
	.examples = "  kmsbeacon resume",
	.options = resume_options,
	.run = run_resume,
	.usage_exit = CLI_USAGE,
};
