#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "cli/session.h"
#include "cli/table.h"
#include "common/clock.h"

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

static int parse_since(const struct cli_args *a, int64_t *ret_ms)
{
	const char *text = cli_get(a, "since");
	uint64_t ago_ms;

	if (text == NULL)
		text = SINCE_DEFAULT;
	if (duration_parse(text, &ago_ms) == 0 && ago_ms <= INT64_MAX / 2) {
		*ret_ms = clock_wall_ms(clock_system()) - (int64_t)ago_ms;
		return 0;
	}
	if (clock_parse_rfc3339(text, ret_ms) == 0)
		return 0;
	return cli_usage_error(a,
			       "--since %s: neither a duration such as 2h nor a time such as "
			       "2026-11-21T08:00:00Z",
			       text);
}

/* ---- text: the layout of Windows' event viewer ---- */

static const char *level_word(const char *level)
{
	if (strcmp(level, "error") == 0)
		return "Error";
	return strcmp(level, "warning") == 0 ? "Warning" : "Information";
}

static enum tone level_tone(const char *level)
{
	if (strcmp(level, "error") == 0)
		return TONE_BAD;
	return strcmp(level, "warning") == 0 ? TONE_WARN : TONE_PLAIN;
}

static void print_field(const char *label, enum tone tone, const char *value)
{
	(void)printf("%-11s%s", label, tone_on(stdout, tone));
	print_safe(stdout, value);
	(void)printf("%s\n", tone_off(stdout));
}

static void print_event(const json_t *ev)
{
	const char *level = json_text(ev, "level", "");
	const char *info = json_text(ev, "info", "");
	const json_t *id = json_object_get(ev, "id");

	print_field("Date:", TONE_PLAIN, json_text(ev, "time", ""));
	print_field("Source:", TONE_PLAIN, json_text(ev, "name", ""));
	if (json_is_integer(id))
		(void)printf("%-11s%lld\n", "Event ID:", (long long)json_integer_value(id));
	print_field("Level:", level_tone(level), level_word(level));
	print_safe(stdout, json_text(ev, "text", ""));
	(void)printf("\n");
	if (info[0] != '\0') {
		(void)printf("Info:\n");
		print_safe(stdout, info);
		(void)printf("\n");
	}
	(void)printf("\n");
}

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

	json_array_foreach(json_object_get(page, "events"), i, ev)
	{
		if (cli_has(a, "json"))
			print_json(json_deep_copy(ev));
		else
			print_event(ev);
	}
	(void)fflush(stdout);
}

/* Page after page, then (to follow) one for each thing that happens. */
static int print_events(const struct cli_args *a, struct session *s, int64_t since_ms)
{
	bool follow = cli_has(a, "follow"), more = true;
	struct control_result result;
	json_int_t after = 0;

	while (more || follow) {
		int code = session_ask(s, a, "events",
				       page_args(after, since_ms, more ? 0 : FOLLOW_MS),
				       PAGE_TIMEOUT_MS + (more ? 0 : FOLLOW_MS), &result);

		if (code != 0)
			return code;
		print_page(a, result.report);
		after = json_integer_value(json_object_get(result.report, "last"));
		more = json_is_true(json_object_get(result.report, "more"));
		json_decref(result.report);
		if (ferror(stdout))
			return CLI_NO; /* nobody reads any more */
	}
	return CLI_YES;
}

static int run(const struct cli_args *a)
{
	struct session s;
	int64_t since_ms;
	int code = parse_since(a, &since_ms);

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
		"the log); the others are kept in node.state_dir, as long as `events.keep` says.\n"
		"Exit code 0: printed, 1: no daemon answers.",
	.examples = "  kmsbeacon events --since 2h\n"
		    "  kmsbeacon events --follow --json",
	.options = options,
	.run = run,
	.usage_exit = CLI_USAGE,
};
