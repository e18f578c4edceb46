/* What `status` tells people of the hosts behind the relay. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/output.h"
#include "cli/status_text.h"
#include "cli/table.h"
#include "common/addr.h"
#include "common/clock.h"
#include "common/hresult.h"

static long long number(const json_t *obj, const char *key)
{
	return (long long)json_integer_value(json_object_get(obj, key));
}

/* "42s", "17m", "5h", "12d"; "-" where it is not known. */
static const char *age(const json_t *u, char buf[32])
{
	static const struct {
		int64_t from_s, unit_s;
		char letter;
	} units[] = { { 2 * 86400, 86400, 'd' }, { 2 * 3600, 3600, 'h' }, { 120, 60, 'm' } };
	int64_t since_ms, s;

	if (clock_parse_rfc3339(json_text(u, "since", ""), &since_ms) != 0)
		return "-";
	s = (int64_t)time(NULL) - since_ms / 1000;
	s = s > 0 ? s : 0;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (s < units[i].from_s)
			continue;
		(void)snprintf(buf, 32, "%lld%c", (long long)(s / units[i].unit_s),
			       units[i].letter);
		return buf;
	}
	(void)snprintf(buf, 32, "%llds", (long long)s);
	return buf;
}

static void ms_cell(struct table *t, const json_t *u, const char *key)
{
	const json_t *ms = json_object_get(u, key);

	if (!json_is_number(ms))
		table_cell(t, TONE_PLAIN, "-");
	else if (json_number_value(ms) < 1)
		table_cell(t, TONE_PLAIN, "%.2f ms", json_number_value(ms));
	else if (json_number_value(ms) < 100)
		table_cell(t, TONE_PLAIN, "%.1f ms", json_number_value(ms));
	else
		table_cell(t, TONE_PLAIN, "%.0f ms", json_number_value(ms));
}

static void print_table(const json_t *list)
{
	static const char *const headings[] = { "UPSTREAM", "ADDRESS",  "PRIO",   "STATE", "FOR",
						"POOL",     "REQUESTS", "FAILED", "P50",   "P99" };
	struct table *t = table_new(10, headings);
	char at[HOST_TEXT_MAX + 16], since[32];
	const json_t *u;
	size_t i;

	json_array_foreach(list, i, u)
	{
		const char *state = json_text(u, "state", "unknown");
		const char *host = json_text(u, "address", "");
		bool named = strcmp(json_text(u, "source", ""), "srv") == 0;

		table_cell(t, TONE_PLAIN, "%s", json_text(u, "name", ""));
		table_cell(
			t, TONE_PLAIN, "%s", /* a host of relay.srv has it as its name */
			named ? ""
			      : hostport_format(host, (uint16_t)number(u, "port"), at, sizeof(at)));
		table_cell(t, TONE_PLAIN, "%lld", number(u, "priority"));
		table_cell(t, tone_of(state), "%s", state);
		table_cell(t, TONE_PLAIN, "%s", age(u, since));
		table_cell(t, TONE_PLAIN, "%lld/%lld/%lld", number(u, "open"), number(u, "busy"),
			   number(u, "queued"));
		table_cell(t, TONE_PLAIN, "%lld", number(u, "requests"));
		table_cell(t, number(u, "failed") > 0 ? TONE_WARN : TONE_PLAIN, "%lld",
			   number(u, "failed"));
		ms_cell(t, u, "p50_ms");
		ms_cell(t, u, "p99_ms");
	}
	table_print(t, stdout, 0);
}

/* ---- what is not in the table ---- */

/* "  winkms1: TEXT", wrapped. */
static void note(const json_t *u, enum tone tone, const char *text)
{
	const char *name = json_text(u, "name", "");

	(void)printf("  %s%s%s: ", tone_on(stdout, tone), name, tone_off(stdout));
	print_wrapped_from(stdout, 4, (int)strlen(name), text);
}

static void print_notes(const json_t *u)
{
	const char *state = json_text(u, "state", "unknown");
	const char *detail = json_text(u, "detail", "");
	const char *error = json_text(u, "last_error", "");
	char text[1024];

	if (json_is_true(json_object_get(u, "draining"))) {
		(void)snprintf(text, sizeof(text),
			       "drained: it gets no new requests; %lld outstanding",
			       number(u, "outstanding"));
		note(u, TONE_WARN, text);
	}
	if (strcmp(state, "up") != 0 && detail[0] != '\0') {
		(void)snprintf(text, sizeof(text), "%s (%s)", state, detail);
		note(u, tone_of(state), text);
	}
	if (json_is_true(json_object_get(u, "relay")))
		note(u, TONE_PLAIN, "is another kmsbeacon relay");
	if (json_is_true(json_object_get(u, "lab")))
		note(u, TONE_PLAIN, "is a lab host: it gets lab clients alone");
	if (error[0] != '\0') {
		(void)snprintf(text, sizeof(text), "last failed request, %s: %s",
			       json_text(u, "last_error_at", "-"), error);
		note(u, TONE_WARN, text);
	}
}

static const char *meaning(const char *code)
{
	char *end;
	unsigned long v = strtoul(code, &end, 16);

	return *end == '\0' && end != code ? hresult_text((uint32_t)v) : "other results";
}

/* One line for each result of each host. */
static void print_answers(const json_t *list)
{
	static const char *const headings[] = { "UPSTREAM", "ANSWER", "TIMES", "MEANING" };
	struct table *t = table_new(4, headings);
	const json_t *u;
	bool any = false;
	size_t i;

	json_array_foreach(list, i, u)
	{
		json_t *answers = json_object_get(u, "hresults"), *n;
		const char *code;

		json_object_foreach(answers, code, n)
		{
			table_cell(t, TONE_PLAIN, "%s", json_text(u, "name", ""));
			table_cell(t, strcmp(code, "0x00000000") == 0 ? TONE_GOOD : TONE_WARN, "%s",
				   code);
			table_cell(t, TONE_PLAIN, "%lld", (long long)json_integer_value(n));
			table_cell(t, TONE_PLAIN, "%s", meaning(code));
			any = true;
		}
	}
	if (any)
		(void)putchar('\n');
	table_print(t, stdout, 0);
}

void status_print_upstreams(const json_t *list)
{
	const json_t *u;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	(void)putchar('\n');
	print_table(list);
	(void)printf("%sPOOL: connections / of these busy / requests that wait for one%s\n",
		     tone_on(stdout, TONE_DIM), tone_off(stdout));
	json_array_foreach(list, i, u) print_notes(u);
	print_answers(list);
}
