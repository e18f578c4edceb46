#include "cli/verify_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/table.h"

static long long number(const json_t *obj, const char *key)
{
	return (long long)json_integer_value(json_object_get(obj, key));
}

void verify_summary_add(struct verify_summary *s, const json_t *report)
{
	size_t i;
	const json_t *item;

	s->domains++;
	json_array_foreach(json_object_get(report, "records"), i, item)
	{
		const json_t *probe = json_object_get(item, "probe");

		s->records++;
		if (strcmp(json_text(probe, "state", ""), "up") == 0)
			s->up++;
	}
	json_array_foreach(json_object_get(report, "findings"), i, item)
	{
		const char *severity = json_text(item, "severity", "");
		bool critical = strcmp(severity, "critical") == 0;

		if (!critical && strcmp(severity, "warning") != 0)
			continue;
		if (critical)
			s->critical++;
		else
			s->warning++;
		if (s->first == NULL || (critical && !s->first_is_critical)) {
			free(s->first);
			s->first = strdup(json_text(item, "text", ""));
			s->first_is_critical = critical;
		}
	}
}

void verify_summary_done(struct verify_summary *s)
{
	free(s->first);
	s->first = NULL;
}

static void print_records(const json_t *records)
{
	static const char *const headings[] = { "TARGET", "PORT",  "PRIORITY", "WEIGHT",
						"TTL",    "FIRST", "CLASS",    "PROBE" };
	struct table *t = table_new(8, headings);
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
		table_cell(t, tone_of(state), "%s", state);
	}
	table_print(t, stdout, 2);
}

static void print_servers(const json_t *servers)
{
	static const char *const headings[] = { "SERVER", "ADDRESS", "SERIAL", "RECORDS", "STATE" };
	struct table *t = table_new(5, headings);
	size_t i;
	const json_t *s;

	json_array_foreach(servers, i, s)
	{
		const char *state = json_text(s, "state", "");
		const json_t *serial = json_object_get(s, "serial");

		table_cell(t, TONE_PLAIN, "%s", json_text(s, "name", "-"));
		table_cell(t, TONE_PLAIN, "%s", json_text(s, "address", "-"));
		if (json_is_integer(serial))
			table_cell(t, TONE_PLAIN, "%lld", (long long)json_integer_value(serial));
		else
			table_cell(t, TONE_PLAIN, "-");
		table_cell(t, TONE_PLAIN, "%zu", json_array_size(json_object_get(s, "records")));
		table_cell(t, tone_of(state), "%s", state);
	}
	table_print(t, stdout, 2);
}

static void print_findings(const json_t *findings)
{
	size_t i;
	const json_t *f;

	json_array_foreach(findings, i, f)
	{
		const char *severity = json_text(f, "severity", "");
		const char *hint = json_text(f, "hint", "");

		(void)printf("  %s%s%s %s: ", tone_on(stdout, tone_of(severity)), severity,
			     tone_off(stdout), json_text(f, "id", ""));
		print_safe(stdout, json_text(f, "text", ""));
		(void)printf("\n");
		if (hint[0] != '\0') {
			(void)printf("      ");
			print_safe(stdout, hint);
			(void)printf("\n");
		}
	}
}

void verify_print_domain(const json_t *report, bool many)
{
	const char *status = json_text(report, "status", "unknown");
	const char *zone = json_text(report, "zone", NULL);

	(void)printf("%s%s%s %s%s%s%s: %zu record%s on %zu server%s, %zu finding%s\n",
		     tone_on(stdout, tone_of(status)), status, tone_off(stdout),
		     json_text(report, "domain", ""), zone != NULL ? " (zone " : "",
		     zone != NULL ? zone : "", zone != NULL ? ")" : "",
		     json_array_size(json_object_get(report, "records")),
		     json_array_size(json_object_get(report, "records")) == 1 ? "" : "s",
		     json_array_size(json_object_get(report, "servers")),
		     json_array_size(json_object_get(report, "servers")) == 1 ? "" : "s",
		     json_array_size(json_object_get(report, "findings")),
		     json_array_size(json_object_get(report, "findings")) == 1 ? "" : "s");
	print_findings(json_object_get(report, "findings"));
	print_records(json_object_get(report, "records"));
	print_servers(json_object_get(report, "servers"));
	if (many)
		(void)printf("\n");
}

void verify_print_nagios(const char *status, const struct verify_summary *s)
{
	(void)printf("KMS ");
	for (const char *p = status; *p != '\0'; p++)
		(void)putchar(toupper((unsigned char)*p));
	(void)printf(": ");
	if (s->first != NULL) {
		char *bar;

		while ((bar = strchr(s->first, '|')) != NULL)
			*bar = '/'; /* a bar would begin the perfdata */
		print_safe(stdout, s->first);
		if (s->critical + s->warning > 1)
			(void)printf(" (and %zu more)", s->critical + s->warning - 1);
	} else {
		(void)printf("%zu domain%s, %zu of %zu records up", s->domains,
			     s->domains == 1 ? "" : "s", s->up, s->records);
	}
	(void)printf(" | domains=%zu records=%zu up=%zu critical=%zu warning=%zu\n", s->domains,
		     s->records, s->up, s->critical, s->warning);
}
