#include "cli/discover_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/table.h"
#include "common/addr.h"
#include "common/hresult.h"
#include "resolver/discover.h"

static long long number(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static const struct hresult_info *code_info(const json_t *o)
{
	return hresult_find((uint32_t)strtoul(json_text(o, "code", "0"), NULL, 16));
}

/* ---- the verdict ---- */

/** How many of @p list have the code of success, or another one; rows without a code do not count.
 */
static size_t count_codes(const json_t *list, bool good)
{
	size_t i, n = 0;
	const json_t *o;

	json_array_foreach(list, i, o)
	{
		const char *code = json_text(o, "code", "");

		n += code[0] != '\0' && (strcmp(code, "0x00000000") == 0) == good;
	}
	return n;
}

static void print_selected(const json_t *report, const json_t *selected)
{
	const char *source = json_text(selected, "source", "");
	char host[RSV_HOSTPORT_MAX];
	bool tried = json_array_size(json_object_get(report, "attempts")) > 0;
	size_t failed = count_codes(json_object_get(report, "attempts"), false);
	size_t sets = count_codes(json_object_get(report, "suffixes"), true);

	hostport_format(json_text(selected, "target", ""), (uint16_t)number(selected, "port"), host,
			sizeof(host));
	(void)printf("%s%s%s at %s %s\n", tone_on(stdout, TONE_GOOD), host, tone_off(stdout),
		     json_text(selected, "address", "-"),
		     tried ? "answers" : "is the first of its order; nobody was asked");
	if (strcmp(source, "dns") == 0 && sets > 1)
		(void)printf("  found by DNS in the records of %zu suffixes, profile %s\n", sets,
			     json_text(report, "profile", ""));
	else if (strcmp(source, "dns") == 0)
		(void)printf("  found by DNS in %s, profile %s\n", json_text(report, "domain", "-"),
			     json_text(report, "profile", ""));
	else if (strcmp(source, "cache") == 0)
		(void)printf("  the client's cached host; DNS was not asked\n");
	else
		(void)printf("  set by hand; DNS was not asked for others\n");
	if (failed > 0)
		(void)printf("  %safter %zu %s that failed: clients lose time there%s\n",
			     tone_on(stdout, TONE_WARN), failed, failed == 1 ? "try" : "tries",
			     tone_off(stdout));
}

static void print_none(const json_t *result)
{
	const struct hresult_info *info = code_info(result);

	(void)printf("%sno host%s: such a client shows %s %s\n", tone_on(stdout, TONE_BAD),
		     tone_off(stdout), json_text(result, "code", ""),
		     info != NULL ? info->symbol : "");
	(void)printf("  Why   ");
	print_wrapped_from(stdout, 8, 0, json_text(result, "text", ""));
	if (info == NULL)
		return;
	(void)printf("  Next  ");
	print_wrapped_from(stdout, 8, 0, info->next_step);
}

/* ---- tables ---- */

static void print_suffixes(const json_t *list)
{
	static const char *const headings[] = { "DOMAIN", "FROM", "ANSWER" };
	struct table *t = table_new(3, headings);
	size_t i;
	const json_t *s;

	json_array_foreach(list, i, s)
	{
		const struct hresult_info *info = code_info(s);
		const char *code = json_text(s, "code", "");
		bool asked = json_is_true(json_object_get(s, "asked"));
		bool good = strcmp(code, "0x00000000") == 0;

		table_cell(t, TONE_PLAIN, "%s", json_text(s, "domain", "-"));
		table_cell(t, TONE_PLAIN, "%s", json_text(s, "from", "-"));
		if (!asked)
			table_cell(t, TONE_DIM, "not asked");
		else if (good)
			table_cell(t, TONE_GOOD, "records");
		else
			table_cell(t, TONE_WARN, "%s %s", code, info != NULL ? info->symbol : "");
	}
	(void)printf("\nSuffixes, in the order in which they are asked\n");
	table_print(t, stdout, 2);
}

/** The try at @p address of a record's host, if there was one. */
static const json_t *find_try(const json_t *attempts, const json_t *c, const char *address)
{
	size_t i;
	const json_t *a;

	json_array_foreach(attempts, i, a)
	{
		const char *at = json_text(a, "address", "");

		if (strcmp(json_text(a, "source", ""), "dns") == 0 &&
		    strcmp(json_text(a, "target", ""), json_text(c, "target", "")) == 0 &&
		    number(a, "port") == number(c, "port") && strcmp(at, address) == 0)
			return a;
	}
	return NULL;
}

static void try_cells(struct table *t, const json_t *a, bool resolved)
{
	const char *state = json_text(a, "state", resolved ? "not tried" : "no address");

	table_cell(t, a != NULL ? tone_of(state) : TONE_DIM, "%s", state);
	table_cell(t, TONE_PLAIN, "%s", json_text(a, "code", ""));
}

static void blank_cells(struct table *t, int n)
{
	while (n-- > 0)
		table_cell(t, TONE_PLAIN, "%s", "");
}

static void host_rows(struct table *t, const json_t *c, const json_t *attempts)
{
	const json_t *addresses = json_object_get(c, "addresses");
	size_t i, n = json_array_size(addresses);
	const char *only = json_string_value(json_array_get(addresses, 0));
	const json_t *address;

	table_cell(t, TONE_PLAIN, "%s", json_text(c, "target", "-"));
	table_cell(t, TONE_PLAIN, "%lld", number(c, "port"));
	table_cell(t, TONE_PLAIN, "%lld", number(c, "priority"));
	table_cell(t, TONE_PLAIN, "%lld", number(c, "weight"));
	table_cell(t, TONE_PLAIN, "%lld", number(c, "ttl"));
	table_cell(t, TONE_PLAIN, "%.1f%%",
		   100.0 * json_number_value(json_object_get(c, "probability")));
	if (n <= 1) /* the address, where there is one, stands below */
		try_cells(t, find_try(attempts, c, n == 0 ? "" : only), n == 1);
	else
		blank_cells(t, 2);
	json_array_foreach(addresses, i, address)
	{
		table_cell(t, TONE_DIM, "  %s", json_string_value(address));
		blank_cells(t, 5);
		if (n == 1)
			blank_cells(t, 2);
		else
			try_cells(t, find_try(attempts, c, json_string_value(address)), true);
	}
}

static void print_hosts(const json_t *report)
{
	static const char *const headings[] = { "HOST, ADDRESS", "PORT",  "PRIORITY", "WEIGHT",
						"TTL",           "FIRST", "STATE",    "CODE" };
	struct table *t = table_new(8, headings);
	size_t i;
	const json_t *c;

	json_array_foreach(json_object_get(report, "candidates"), i, c)
	{
		host_rows(t, c, json_object_get(report, "attempts"));
	}
	(void)printf("\nHosts, in the order of contact (FIRST: how likely each one is first)\n");
	table_print(t, stdout, 2);
}

/** Tries at hosts that no record names; all of them with --explain. */
static void print_tries(const json_t *report, bool all)
{
	static const char *const headings[] = { "EVENT 12288", "ADDRESS", "FROM", "STATE", "TIME" };
	struct table *t = table_new(5, headings);
	size_t i, n = 0;
	const json_t *a;

	json_array_foreach(json_object_get(report, "attempts"), i, a)
	{
		const char *state = json_text(a, "state", "-");

		if (!all && strcmp(json_text(a, "source", ""), "dns") == 0)
			continue;
		n++;
		table_cell(t, TONE_PLAIN, "%s", json_text(a, "event_12288", ""));
		table_cell(t, TONE_PLAIN, "%s", json_text(a, "address", "-"));
		table_cell(t, TONE_PLAIN, "%s", json_text(a, "source", ""));
		table_cell(t, tone_of(state), "%s", state);
		table_cell(t, TONE_PLAIN, "%.1f ms",
			   json_number_value(json_object_get(a, "rtt_ms")));
	}
	if (n > 0)
		(void)printf("\nTries, each as event 12288 of the client begins\n");
	table_print(t, stdout, 2);
}

static void print_questions(const json_t *list, long long left_out)
{
	static const char *const headings[] = { "NAME",   "TYPE",    "SERVER",
						"ANSWER", "RECORDS", "TIME" };
	struct table *t = table_new(6, headings);
	size_t i;
	const json_t *q;

	json_array_foreach(list, i, q)
	{
		table_cell(t, TONE_PLAIN, "%s", json_text(q, "name", ""));
		table_cell(t, TONE_PLAIN, "%s", json_text(q, "type", ""));
		table_cell(t, TONE_PLAIN, "%s%s", json_text(q, "server", "-"),
			   json_is_true(json_object_get(q, "tcp")) ? " (TCP)" : "");
		table_cell(t, TONE_PLAIN, "%s", json_text(q, "rcode", "no answer"));
		table_cell(t, TONE_PLAIN, "%lld", number(q, "answers"));
		table_cell(t, TONE_PLAIN, "%.1f ms",
			   json_number_value(json_object_get(q, "rtt_ms")));
	}
	(void)printf("\nDNS questions%s\n",
		     json_array_size(list) == 0 && left_out == 0 ? ": none" : "");
	table_print(t, stdout, 2);
	if (left_out > 0)
		(void)printf("  %lld more left out: there was no room for them\n", left_out);
}

static void print_decisions(const json_t *list)
{
	size_t i;
	const json_t *s;

	(void)printf("\nDecisions\n");
	json_array_foreach(list, i, s)
	{
		(void)printf("  %2zu. %-9s", i + 1, json_text(s, "step", ""));
		print_wrapped_from(stdout, 15, 0, json_text(s, "detail", ""));
	}
}

void discover_print_decisions(const json_t *report)
{
	print_decisions(json_object_get(report, "steps"));
	print_questions(json_object_get(report, "queries"), number(report, "queries_left_out"));
}

void discover_print(const json_t *report, bool explain)
{
	const json_t *selected = json_object_get(report, "selected");
	const json_t *suffixes = json_object_get(report, "suffixes");

	if (json_is_object(selected))
		print_selected(report, selected);
	else
		print_none(json_object_get(report, "result"));
	if (json_array_size(suffixes) > (explain ? 0 : 1))
		print_suffixes(suffixes);
	if (json_array_size(json_object_get(report, "candidates")) > 0)
		print_hosts(report);
	print_tries(report, explain);
	if (explain)
		discover_print_decisions(report);
}
