#include "cli/events_text.h"

#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "cli/table.h"
#include "common/clock.h"

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
	const char *machine = json_text(ev, "machine", "");
	const json_t *id = json_object_get(ev, "id");

	print_field("Date:", TONE_PLAIN, json_text(ev, "time", ""));
	print_field("Source:", TONE_PLAIN, json_text(ev, "name", ""));
	if (json_is_integer(id))
		(void)printf("%-11s%lld\n", "Event ID:", (long long)json_integer_value(id));
	if (machine[0] != '\0')
		print_field("Computer:", TONE_PLAIN, machine);
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

void events_print(const struct cli_args *a, const json_t *ev)
{
	if (cli_has(a, "json"))
		print_json(json_deep_copy(ev));
	else
		print_event(ev);
}

int events_since(const struct cli_args *a, const char *fallback, int64_t *ret_ms)
{
	const char *text = cli_get(a, "since");
	uint64_t ago_ms;

	if (text == NULL)
		text = fallback;
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
