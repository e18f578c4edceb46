#include "cli/publish_text.h"

#include <string.h>

#include "cli/output.h"
#include "cli/table.h"

static const char *get(const json_t *o, const char *key)
{
	return json_text(o, key, "");
}

static bool is_ok(const char *state)
{
	return strcmp(state, "proven") == 0 || strcmp(state, "unchanged") == 0 ||
	       strcmp(state, "planned") == 0;
}

static void print_head(FILE *out, const json_t *d)
{
	const char *state = get(d, "state"), *view = get(d, "view"), *rcode = get(d, "rcode");
	const char *address = get(d, "address");

	(void)fprintf(out, "%s%s%s%s  %s%s%s", get(d, "domain"), view[0] != '\0' ? " (view " : "",
		      view, view[0] != '\0' ? ")" : "", tone_on(out, tone_of(state)), state,
		      tone_off(out));
	if (!is_ok(state))
		(void)fprintf(out, "%s%s  %s", rcode[0] != '\0' ? "  " : "", rcode,
			      get(d, "hresult"));
	(void)fprintf(out, "\n");
	if (get(d, "zone")[0] != '\0')
		(void)fprintf(out, "  zone %s at %s%s%s%s\n", get(d, "zone"), get(d, "server"),
			      address[0] != '\0' ? " (" : "", address,
			      address[0] != '\0' ? ")" : "");
}

static void print_changes(FILE *out, const json_t *d)
{
	const json_t *c;
	size_t i;

	if (strcmp(get(d, "state"), "planned") == 0 &&
	    json_array_size(json_object_get(d, "changes")) == 0)
		(void)fprintf(out, "  nothing to change\n");

	json_array_foreach(json_object_get(d, "changes"), i, c)
	{
		bool adds = strcmp(get(c, "op"), "add") == 0;

		(void)fprintf(out, "  %s%s %s%s\n", tone_on(out, adds ? TONE_GOOD : TONE_BAD),
			      adds ? "+" : "-", get(c, "rr"), tone_off(out));
	}
}

static void print_proof(FILE *out, const json_t *d)
{
	const json_t *proof = json_object_get(d, "proof"), *p;
	int width = 0, addr_width = 0;
	size_t i;

	json_array_foreach(proof, i, p)
	{
		int len = (int)strlen(get(p, "server")), addr_len = (int)strlen(get(p, "address"));

		width = len > width ? len : width;
		addr_width = addr_len > addr_width ? addr_len : addr_width;
	}
	json_array_foreach(proof, i, p)
	{
		const json_t *serial = json_object_get(p, "serial");
		const char *state = get(p, "state"), *error = get(p, "error");
		char text[32] = "-";

		if (json_is_integer(serial))
			(void)snprintf(text, sizeof(text), "%lld",
				       (long long)json_integer_value(serial));
		(void)fprintf(out, "  %-*s  %-*s  serial %-10s  %s%s%s%s%s%s\n", width,
			      get(p, "server"), addr_width, get(p, "address"), text,
			      tone_on(out, tone_of(state)), state, tone_off(out),
			      error[0] != '\0' ? " (" : "", error, error[0] != '\0' ? ")" : "");
	}
}

static void print_findings(FILE *out, const json_t *d)
{
	const json_t *f;
	size_t i;

	json_array_foreach(json_object_get(d, "findings"), i, f)
	{
		const char *severity = get(f, "severity"), *id = get(f, "id");
		int used = (int)(strlen(severity) + strlen(id)) + 4 - 2;

		(void)fprintf(out, "  %s%s%s: %s: ", tone_on(out, tone_of(severity)), severity,
			      tone_off(out), id);
		print_wrapped_from(out, 4, used, get(f, "text"));
		(void)fprintf(out, "    ");
		print_wrapped_from(out, 4, 0, get(f, "hint"));
	}
}

static void print_hints(FILE *out, const json_t *d)
{
	long long s = (long long)json_integer_value(json_object_get(d, "negative_ttl"));
	char text[128];

	if (get(d, "hint")[0] != '\0') {
		(void)fprintf(out, "  ");
		print_wrapped_from(out, 2, 0, get(d, "hint"));
	}
	if (s > 0) {
		(void)snprintf(text, sizeof(text),
			       "a resolver that was asked earlier may say for %lld s more that "
			       "there is no record (SOA minimum)",
			       s);
		(void)fprintf(out, "  ");
		print_wrapped_from(out, 2, 0, text);
	}
}

void publish_print(FILE *out, const json_t *report)
{
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(report, "domains"), i, d)
	{
		print_head(out, d);
		print_changes(out, d);
		print_proof(out, d);
		print_findings(out, d);
		print_hints(out, d);
	}
}
