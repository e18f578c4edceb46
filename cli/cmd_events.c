#include "cli/commands.h"

#include <stdio.h>

#include "cli/events_text.h"
#include "cli/output.h"
#include "cli/session.h"

#define PAGE_TIMEOUT_MS 10000
#define FOLLOW_MS       25000 /* the daemon answers after this long, also when nothing happened */
#define SINCE_DEFAULT   "1d"

static const struct cli_option options[] = {
	CLI_OPT_CONFIG,
	{ 0, "json", NULL, false, "print one JSON object a line" },
	{ 's', "since", "TIME", false,
	  "from when on: RFC 3339 (2026-11-21T08:00:00Z) or a duration ago (default: 1d)" },
	{ 'f', "follow", NULL, false, "go on with what happens from now on, until ^C" },
	CLI_OPT_END,
};

/* ---- pages ---- */

static json_t *page_args(json_int_t after, int64_t since_ms, int wait_ms)
{
	return json_pack("{s:I, s:I, s:i}", "after", after, "since_ms", (json_int_t)since_ms,
			 "wait_ms", wait_ms);
}

static void print_page(const struct cli_args *a, const json_t *page)
{
	const json_t *ev;
	size_t i;

	json_array_foreach(json_object_get(page, "events"), i, ev) events_print(a, ev);
	(void)fflush(stdout);
}

static int complain_of_page(const struct cli_args *a)
{
	static const char text[] = "the daemon's answer has more to come, but no further events";

	if (cli_wants_json(a))
		print_json_error("PARSE", text);
	(void)fprintf(stderr, "kmsbeacon events: %s\n", text);
	return CLI_NO;
}

/* Page after page, then (to follow) one for each thing that happens. */
static int print_events(const struct cli_args *a, struct session *s, int64_t since_ms)
{
	bool follow = cli_has(a, "follow"), more = true;
	struct control_result result;
	json_int_t after = 0, last;

	while (more || follow) {
		int code = session_ask(s, a, "events",
				       page_args(after, since_ms, more ? 0 : FOLLOW_MS),
				       PAGE_TIMEOUT_MS + (more ? 0 : FOLLOW_MS), &result);

		if (code != 0)
			return code;
		print_page(a, result.report);
		last = json_integer_value(json_object_get(result.report, "last"));
		more = json_is_true(json_object_get(result.report, "more"));
		json_decref(result.report);
		if (more && last <= after)
			return complain_of_page(a); /* the same page for ever */
		after = last;
		if (ferror(stdout))
			return CLI_NO; /* nobody reads any more */
	}
	return CLI_YES;
}

static int run(const struct cli_args *a)
{
	struct session s;
	int64_t since_ms;
	int code = events_since(a, SINCE_DEFAULT, &since_ms);

	if (code != 0)
		return code;
	code = session_open_to_ask(&s, a);
	if (code != 0)
		return code;
	code = print_events(a, &s, since_ms);
	session_close(&s);
	return code;
}

const struct cli_command cmd_events = {
	.name = "events",
	.operands = "",
	.summary = "what has happened: publishing, hosts, drains, KMS requests",
	.text = "Asks the running daemon. Events that Windows has too carry its numbers and its "
		"fields in\n"
		"its order: 12290 a request was served, 12291 the service could not start, 12293 "
		"publishing\n"
		"failed, 12294 publishing succeeded. Those of single requests are held in memory "
		"only (and in\n"
		"the log); the others are kept in node.state_dir, as long as `events.keep` says. "
		"Those of lab\n"
		"clients, 12288 and 12289, are on their side: `client events`.\n"
		"Exit code 0: printed, 1: no daemon answers.",
	.examples = "  kmsbeacon events --since 2h\n"
		    "  kmsbeacon events --follow --json",
	.options = options,
	.run = run,
	.usage_exit = CLI_USAGE,
};
