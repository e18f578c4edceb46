#include "cli/verify_text.h"

#include <string.h>

#include "cli/output.h"
#include "cli/table.h"

static long long number(const json_t *obj, const char *key)
{
	return (long long)json_integer_value(json_object_get(obj, key));
}

static const char *s_of(size_t n)
{
	return n == 1 ? "" : "s";
}

/** How many objects of @p list have @p key at @p value; key "a.b" looks into an object. */
static size_t count_where(const json_t *list, const char *object, const char *key,
			  const char *value)
{
	size_t i, n = 0;
	const json_t *item;

	json_array_foreach(list, i, item)
	{
		const json_t *in = object != NULL ? json_object_get(item, object) : item;

		n += strcmp(json_text(in, key, ""), value) == 0;
	}
	return n;
}

/* ---- one domain ------------------------------------------------------------------------------ */

static size_t count_probed(const json_t *records)
{
	size_t i, n = 0;
	const json_t *r;

	json_array_foreach(records, i, r) n += json_is_object(json_object_get(r, "probe"));
	return n;
}

/** The first one, and how many more. */
static void address_cell(struct table *t, const json_t *addresses)
{
	size_t n = json_array_size(addresses);
	const char *first = json_string_value(json_array_get(addresses, 0));

	if (n > 1)
		table_cell(t, TONE_PLAIN, "%s and %zu more", first, n - 1);
	else
		table_cell(t, TONE_PLAIN, "%s", n > 0 ? first : "-");
}

static void print_records(FILE *out, const json_t *records)
{
	static const char *const headings[] = { "TARGET", "PORT",  "PRIO",  "WEIGHT",
						"TTL",    "FIRST", "CLASS", "PROBE" };
	static const char *const not_probed[] = { "TARGET", "PORT",  "PRIO",  "WEIGHT",
						  "TTL",    "FIRST", "CLASS", "ADDRESS" };
	bool probed = count_probed(records) > 0;
	struct table *t = table_new(8, probed ? headings : not_probed);
	size_t i;
	const json_t *r;

	json_array_foreach(records, i, r)
	{
		const char *cls = json_text(r, "class", "");
		const char *state = json_text(json_object_get(r, "probe"), "state", "-");

		table_cell(t, TONE_PLAIN, "%s", json_text(r, "target", ""));
		table_cell(t, TONE_PLAIN, "%lld", number(r, "port"));
		table_cell(t, TONE_PLAIN, "%lld", number(r, "priority"));
		table_cell(t, TONE_PLAIN, "%lld", number(r, "weight"));
		table_cell(t, TONE_PLAIN, "%lld", number(r, "ttl"));
		table_cell(t, TONE_PLAIN, "%.1f%%",
			   100.0 * json_number_value(json_object_get(r, "probability")));
		table_cell(t, tone_of(cls), "%s", cls);
		if (probed)
			table_cell(t, tone_of(state), "%s", state);
		else
			address_cell(t, json_object_get(r, "addresses"));
	}
	if (json_array_size(records) > 0)
		(void)fputc('\n', out);
	table_print(t, out, 2);
}

static void print_servers(FILE *out, const json_t *servers)
{
	static const char *const headings[] = { "SERVER", "ADDRESS", "SERIAL", "RECORDS", "STATE" };
	struct table *t = table_new(5, headings);
	size_t i;
	const json_t *s;

	json_array_foreach(servers, i, s)
	{
		const char *state = json_text(s, "state", "");
		const json_t *serial = json_object_get(s, "serial");
		bool silent = strcmp(state, "unreachable") == 0;

		table_cell(t, TONE_PLAIN, "%s", json_text(s, "name", json_text(s, "role", "-")));
		table_cell(t, TONE_PLAIN, "%s", json_text(s, "address", "-"));
		if (json_is_integer(serial))
			table_cell(t, TONE_PLAIN, "%lld", (long long)json_integer_value(serial));
		else
			table_cell(t, TONE_PLAIN, "-");
		if (silent)
			table_cell(t, TONE_PLAIN, "-");
		else
			table_cell(t, TONE_PLAIN, "%zu",
				   json_array_size(json_object_get(s, "records")));
		table_cell(t, tone_of(state), "%s", state);
	}
	if (json_array_size(servers) > 0)
		(void)fputc('\n', out);
	table_print(t, out, 2);
}

static void print_findings(FILE *out, const json_t *findings)
{
	size_t i;
	const json_t *f;

	json_array_foreach(findings, i, f)
	{
		const char *severity = json_text(f, "severity", "");
		const char *id = json_text(f, "id", "");
		const char *hint = json_text(f, "hint", "");

		(void)fprintf(out, "  %s%-8s%s  %s: ", tone_on(out, tone_of(severity)), severity,
			      tone_off(out), id);
		/* the first line begins behind the id */
		print_wrapped_from(out, 12, (int)strlen(id) + 2, json_text(f, "text", ""));
		if (hint[0] != '\0') {
			(void)fprintf(out, "            %snext%s: ", tone_on(out, TONE_BOLD),
				      tone_off(out));
			print_wrapped_from(out, 12, 6, hint);
		}
	}
}

/** ": 2 records, 1 of 2 up; 3 servers agree" */
static void print_counts(FILE *out, const json_t *report)
{
	const json_t *records = json_object_get(report, "records");
	const json_t *servers = json_object_get(report, "servers");
	size_t n = json_array_size(records), s = json_array_size(servers);
	size_t up = count_where(records, "probe", "state", "up");
	size_t ok = count_where(servers, NULL, "state", "ok");

	if (n == 0)
		(void)fprintf(out, ": no record");
	else
		(void)fprintf(out, ": %zu record%s", n, s_of(n));
	if (n > 0 && up == n)
		(void)fprintf(out, ", %s", n == 1 ? "up" : "all up");
	else if (count_probed(records) > 0)
		(void)fprintf(out, ", %zu of %zu up", up, n);
	if (s > 0 && ok == s)
		(void)fprintf(out, "; %zu server%s", s, s == 1 ? " asked" : "s agree");
	else if (s > 0)
		(void)fprintf(out, "; %zu of %zu servers ok", ok, s);
}

void verify_print_domain(FILE *out, const json_t *report)
{
	const char *status = json_text(report, "status", "unknown");
	const char *domain = json_text(report, "domain", "");
	const char *zone = json_text(report, "zone", NULL);

	(void)fprintf(out, "%s%s%s  %s", tone_on(out, tone_of(status)), status, tone_off(out),
		      domain);
	if (zone != NULL && strcmp(zone, domain) != 0)
		(void)fprintf(out, " (zone %s)", zone);
	print_counts(out, report);
	(void)fputc('\n', out);
	print_findings(out, json_object_get(report, "findings"));
	print_records(out, json_object_get(report, "records"));
	print_servers(out, json_object_get(report, "servers"));
}

/* ---- many ------------------------------------------------------------------------------------ */

/** Findings by how many domains have them, the most severe first. */
static void print_kinds(FILE *out, const struct rsv_verify_totals *t)
{
	static const char *const headings[] = { "FINDING", "SEVERITY", "DOMAINS", "" };
	struct table *table = table_new(4, headings);

	for (unsigned s = FINDING_SEVERITY_COUNT_; s-- > 0;) {
		for (unsigned id = 0; id < FINDING_COUNT_; id++) {
			const struct finding_info *f = finding_info((enum finding_id)id);
			const char *severity = finding_severity_name(f->severity);

			if (f->severity != (enum finding_severity)s || t->by_id[id] == 0)
				continue;
			table_cell(table, TONE_PLAIN, "%s", f->id);
			table_cell(table, tone_of(severity), "%s", severity);
			table_cell(table, TONE_PLAIN, "%zu", t->by_id[id]);
			table_cell(table, TONE_DIM, "%s", f->meaning);
		}
	}
	table_print(table, out, 2);
}

void verify_print_totals(FILE *out, const struct rsv_verify_totals *t, uint64_t took_ms)
{
	const char *status = rsv_status_name(t->status);

	(void)fprintf(out, "%s%s%s  %zu domain%s: %zu ok", tone_on(out, tone_of(status)), status,
		      tone_off(out), t->domains, s_of(t->domains), t->by_status[RSV_OK_]);
	if (t->by_status[RSV_CRIT_] > 0)
		(void)fprintf(out, ", %zu critical", t->by_status[RSV_CRIT_]);
	if (t->by_status[RSV_WARN_] > 0)
		(void)fprintf(out, ", %zu warning", t->by_status[RSV_WARN_]);
	if (t->by_status[RSV_UNKNOWN_] > 0)
		(void)fprintf(out, ", %zu unknown", t->by_status[RSV_UNKNOWN_]);
	(void)fprintf(out, "; %zu records; %.1f s\n", t->records, (double)took_ms / 1000.0);
	print_kinds(out, t);
}
