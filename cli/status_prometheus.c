/* `status --prometheus`: the text exposition format 0.0.4, for node_exporter's textfile collector.
 *
 * A family is HELP, TYPE and its samples together; one that has no sample is left out. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "cli/status_text.h"
#include "common/clock.h"

#define PREFIX "kmsbeacon_"

static double number(const json_t *obj, const char *key)
{
	return (double)json_integer_value(json_object_get(obj, key));
}

static void family(const char *name, const char *type, const char *help)
{
	(void)printf("# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void print_escaped(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\\' || *text == '"')
			(void)printf("\\%c", *text);
		else if (*text == '\n')
			(void)printf("\\n");
		else
			(void)putchar(*text);
	}
}

/* One sample; then pairs of label and value, ended by NULL. Whole numbers stay exact. */
static void sample(const char *name, double value, ...)
{
	const char *label;
	bool first = true;
	va_list ap;

	(void)printf(PREFIX "%s", name);
	va_start(ap, value);
	while ((label = va_arg(ap, const char *)) != NULL) {
		(void)printf("%s%s=\"", first ? "{" : ",", label);
		print_escaped(va_arg(ap, const char *));
		(void)printf("\"");
		first = false;
	}
	va_end(ap);
	(void)printf("%s %.15g\n", first ? "" : "}", value);
}

static void single(const char *name, const char *type, const char *help, double value)
{
	family(name, type, help);
	sample(name, value, (const char *)NULL);
}

/* What a relay does not know: it reads no more of a request than it has to. */
static void print_host_counters(const json_t *service)
{
	json_t *by = json_object_get(service, "by_licence"), *n;
	const char *status;

	single("kms_count", "gauge", "What KMS clients are told as the current count.",
	       number(service, "count"));
	single("kms_duplicate_cmids", "gauge",
	       "Client machine ids that more than one machine uses (cloned images).",
	       number(service, "duplicates"));
	family("kms_requests_by_licence_total", "counter",
	       "KMS requests served, by the licence status of the client.");
	json_object_foreach(by, status, n)
		sample("kms_requests_by_licence_total", (double)json_integer_value(n), "status",
		       status, (const char *)NULL);
}

static void print_service(const json_t *service)
{
	family("kms_clients", "gauge", "Distinct KMS clients seen in the last days.");
	sample("kms_clients", number(service, "clients_7d"), "days", "7", (const char *)NULL);
	sample("kms_clients", number(service, "clients_30d"), "days", "30", (const char *)NULL);
	single("kms_requests_total", "counter", "KMS requests received.",
	       number(service, "requests"));
	single("kms_requests_failed_total", "counter",
	       "KMS requests answered with an error or a fault.", number(service, "failed"));
	single("connections", "gauge", "Open client connections.", number(service, "connections"));
	single("connections_refused_total", "counter",
	       "Connections closed before a byte was read: not allowed, or over a limit.",
	       number(service, "refused"));
	if (strcmp(json_text(service, "mode", "off"), "relay") != 0)
		print_host_counters(service);
}

static void print_hosts(const json_t *hosts)
{
	const json_t *h;
	size_t i;

	if (json_array_size(hosts) == 0)
		return;
	family("host_up", "gauge", "Whether a KMS host answers as one (absent: not known yet).");
	json_array_foreach(hosts, i, h)
	{
		const char *state = json_text(h, "state", "unknown");

		if (strcmp(state, "unknown") != 0)
			sample("host_up", strcmp(state, "up") == 0 ? 1 : 0, "host",
			       json_text(h, "name", ""), "target", json_text(h, "target", ""),
			       (const char *)NULL);
	}
	family("host_drained", "gauge", "Whether a KMS host is drained.");
	json_array_foreach(hosts, i, h)
		sample("host_drained", json_is_true(json_object_get(h, "drained")) ? 1 : 0, "host",
		       json_text(h, "name", ""), (const char *)NULL);
}

static void print_time(const char *name, const json_t *r, const char *key)
{
	int64_t ms, s;

	if (clock_parse_rfc3339(json_text(r, key, ""), &ms) != 0)
		return;
	s = ms / 1000;
	sample(name, (double)s, "domain", json_text(r, "domain", ""), "view",
	       json_text(r, "view", ""), (const char *)NULL);
}

static bool is_good(const char *state)
{
	return strcmp(state, "proven") == 0 || strcmp(state, "unchanged") == 0;
}

static void print_records(const json_t *records)
{
	const json_t *r;
	size_t i;

	if (json_array_size(records) == 0)
		return;
	family("records_right", "gauge",
	       "Whether the last check found or made the SRV records right, and proved it.");
	json_array_foreach(records, i, r)
		sample("records_right", is_good(json_text(r, "state", "")) ? 1 : 0, "domain",
		       json_text(r, "domain", ""), "view", json_text(r, "view", ""), "state",
		       json_text(r, "state", ""), (const char *)NULL);
	family("records_last_proven_timestamp_seconds", "gauge",
	       "When the SRV records were last proven on the servers.");
	json_array_foreach(records, i, r)
		print_time("records_last_proven_timestamp_seconds", r, "last_proven");
}

static void print_discovery(const json_t *rows)
{
	const json_t *r;
	size_t i;

	if (json_array_size(rows) == 0)
		return;
	family("discovery_ok", "gauge",
	       "Whether clients of a suffix find a KMS host that answers (absent: not looked "
	       "yet).");
	json_array_foreach(rows, i, r)
	{
		const char *code = json_text(json_object_get(r, "result"), "code", "");

		if (code[0] != '\0')
			sample("discovery_ok", strcmp(code, "0x00000000") == 0 ? 1 : 0, "domain",
			       json_text(r, "domain", ""), "profile", json_text(r, "profile", ""),
			       (const char *)NULL);
	}
}

/* ---- the hosts behind the relay ---- */

/* One number of each. */
static void of_each(const json_t *list, const char *metric, const char *type, const char *help,
		    const char *key)
{
	const json_t *u;
	size_t i;

	family(metric, type, help);
	json_array_foreach(list, i, u) sample(metric, number(u, key), "upstream",
					      json_text(u, "name", ""), (const char *)NULL);
}

static void print_states(const json_t *list)
{
	const json_t *u;
	size_t i;

	family("upstream_up", "gauge",
	       "Whether an upstream answers as a KMS host (absent: not known yet).");
	json_array_foreach(list, i, u)
	{
		const char *state = json_text(u, "state", "unknown");

		if (strcmp(state, "unknown") != 0)
			sample("upstream_up", strcmp(state, "up") == 0 ? 1 : 0, "upstream",
			       json_text(u, "name", ""), "state", state, (const char *)NULL);
	}
	family("upstream_draining", "gauge", "Whether an upstream gets no new requests.");
	json_array_foreach(list, i, u)
		sample("upstream_draining", json_is_true(json_object_get(u, "draining")) ? 1 : 0,
		       "upstream", json_text(u, "name", ""), (const char *)NULL);
}

static void print_answers(const json_t *list)
{
	const json_t *u;
	const char *code;
	json_t *n;
	size_t i;

	family("upstream_answers_total", "counter", "Answers of an upstream, by their HRESULT.");
	json_array_foreach(list, i, u)
	{
		json_object_foreach(json_object_get(u, "hresults"), code, n)
			sample("upstream_answers_total", (double)json_integer_value(n), "upstream",
			       json_text(u, "name", ""), "hresult", code, (const char *)NULL);
	}
	family("upstream_answer_seconds", "gauge", "Time of the last answers, by quantile.");
	json_array_foreach(list, i, u)
	{
		const char *name = json_text(u, "name", "");
		const json_t *p50 = json_object_get(u, "p50_ms");
		const json_t *p99 = json_object_get(u, "p99_ms");

		if (json_is_number(p50))
			sample("upstream_answer_seconds", json_number_value(p50) / 1000, "upstream",
			       name, "quantile", "0.5", (const char *)NULL);
		if (json_is_number(p99))
			sample("upstream_answer_seconds", json_number_value(p99) / 1000, "upstream",
			       name, "quantile", "0.99", (const char *)NULL);
	}
}

static void print_upstreams(const json_t *list)
{
	if (json_array_size(list) == 0)
		return;
	print_states(list);
	of_each(list, "upstream_requests_total", "counter",
		"Requests that an upstream answered or failed.", "requests");
	of_each(list, "upstream_requests_failed_total", "counter",
		"Requests that an upstream did not answer.", "failed");
	of_each(list, "upstream_connections", "gauge", "Connections to an upstream.", "open");
	of_each(list, "upstream_connections_busy", "gauge",
		"Connections to an upstream that carry a request.", "busy");
	of_each(list, "upstream_queued", "gauge", "Requests that wait for a connection.", "queued");
	of_each(list, "upstream_outstanding", "gauge",
		"Requests that an upstream has not answered.", "outstanding");
	of_each(list, "upstream_stale_total", "counter",
		"Requests repeated because an idle connection was dead.", "stale");
	print_answers(list);
}

void status_print_prometheus(const json_t *report)
{
	const json_t *events = json_object_get(report, "events");

	family("build_info", "gauge", "The version that runs.");
	sample("build_info", 1, "version", json_text(report, "version", ""), (const char *)NULL);
	single("uptime_seconds", "gauge", "Seconds since the daemon began.",
	       number(report, "uptime_s"));
	print_service(json_object_get(report, "service"));
	print_upstreams(json_object_get(report, "upstreams"));
	print_hosts(json_object_get(report, "hosts"));
	print_records(json_object_get(report, "records"));
	print_discovery(json_object_get(report, "discovery"));
	single("events_lost_total", "counter",
	       "Events that could not be written to the state file.", number(events, "lost"));
}
