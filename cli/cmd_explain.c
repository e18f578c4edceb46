#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "cli/explain.h"
#include "cli/output.h"
#include "cli/table.h"
#include "common/err.h"
#include "common/hresult.h"

static const struct cli_option options[] = { CLI_OPT_JSON, CLI_OPT_END };

/* ---- JSON ---- */

static json_t *row_json(const struct explain_row *r)
{
	char hex[HRESULT_TEXT_MAX];

	return json_pack("{s:s, s:s?, s:o, s:s?, s:s, s:s?, s:s?, s:s?}", "kind", r->kind, "code",
			 r->code[0] != '\0' ? r->code : NULL, "number",
			 r->has_number ? json_integer(r->number) : json_null(), "name",
			 r->name[0] != '\0' ? r->name : NULL, "meaning", r->meaning, "cause",
			 r->cause[0] != '\0' ? r->cause : NULL, "next_step",
			 r->next_step[0] != '\0' ? r->next_step : NULL, "hresult",
			 r->hresult != HR_OK ? hresult_format(r->hresult, hex) : NULL);
}

static json_t *rows_json(const struct explain_row *rows, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(list, row_json(&rows[i]));
	return list;
}

/* ---- for people ---- */

static void print_part(const char *label, const char *text)
{
	if (text[0] == '\0')
		return;
	(void)printf("  %s%-8s%s ", tone_on(stdout, TONE_DIM), label, tone_off(stdout));
	print_wrapped_from(stdout, 11, 0, text);
}

static void print_row(const struct explain_row *r)
{
	bool both = r->code[0] != '\0' && r->name[0] != '\0' && strstr(r->name, r->code) == NULL;
	char hex[HRESULT_TEXT_MAX];

	(void)printf("%s%s%s%s%s  (%s", tone_on(stdout, TONE_BOLD),
		     both || r->name[0] == '\0' ? r->code : "", both ? "  " : "", r->name,
		     tone_off(stdout), r->kind);
	if (r->has_number && r->number > INT32_MAX)
		(void)printf(", also %d", (int32_t)r->number);
	(void)printf(")\n");
	print_part("Meaning", r->meaning);
	print_part("Cause", r->cause);
	print_part("Next", r->next_step);
	if (r->hresult != HR_OK)
		print_part("Windows", hresult_format(r->hresult, hex));
}

static int name_width(const char *kind)
{
	struct explain_row r;
	int width = 0;

	for (size_t i = 0; explain_at(i, &r); i++)
		if (strcmp(r.kind, kind) == 0 && (int)strlen(r.name) > width)
			width = (int)strlen(r.name);
	return width;
}

static void print_all(void)
{
	const char *kind = "";
	struct explain_row r;
	int code_width = 0, width = 0;

	for (size_t i = 0; explain_at(i, &r); i++) {
		if (strcmp(kind, r.kind) != 0) {
			kind = r.kind;
			width = name_width(kind);
			code_width = r.code[0] != '\0' ? 12 : 0;
			(void)printf("%s%s%s%s\n", i > 0 ? "\n" : "", tone_on(stdout, TONE_BOLD),
				     kind, tone_off(stdout));
		}
		(void)printf("  %-*s%-*s  ", code_width, r.code, width, r.name);
		print_wrapped_from(stdout, 2 + code_width + width + 2, 0, r.meaning);
	}
	(void)printf("\nkmsbeacon explain CODE tells the cause and what to do next.\n");
}

/* ---- the command ---- */

static json_t *no_such_code(const char *text)
{
	char words[ERR_INFO_MAX];

	(void)snprintf(words, sizeof(words), "no such code: %s", text);
	return json_words(words);
}

static int unknown(const struct cli_args *a, const char *text)
{
	struct explain_row near[EXPLAIN_MATCHES_MAX];
	size_t n = explain_near(text, near);

	if (cli_has(a, "json"))
		print_json(json_pack("{s:{s:s, s:o}, s:o}", "error", "code", "NOT_FOUND", "text",
				     no_such_code(text), "near", rows_json(near, n)));
	(void)fprintf(stderr, "kmsbeacon explain: no such code: '");
	print_safe(stderr, text);
	(void)fprintf(stderr, "'; %s\n",
		      n > 0 ? "did you mean:" : "kmsbeacon explain lists all that are known");
	for (size_t i = 0; i < n; i++)
		(void)fprintf(stderr, "  %s%s%s\n", near[i].code,
			      near[i].code[0] != '\0' ? "  " : "", near[i].name);
	return CLI_NO;
}

static int run(const struct cli_args *a)
{
	struct explain_row found[EXPLAIN_MATCHES_MAX];
	const char *const *words;
	size_t n_words = cli_operands(a, &words), n;

	if (n_words > 1)
		return cli_usage_error(a, "takes one code");
	if (n_words == 0 && cli_has(a, "json")) {
		json_t *list = json_array();
		struct explain_row r;

		for (size_t i = 0; explain_at(i, &r); i++)
			(void)json_array_append_new(list, row_json(&r));
		print_json(json_pack("{s:o}", "codes", list));
		return CLI_YES;
	}
	if (n_words == 0) {
		print_all();
		return CLI_YES;
	}
	n = explain_find(words[0], found);
	if (n == 0)
		return unknown(a, words[0]);
	if (cli_has(a, "json")) {
		print_json(json_pack("{s:o}", "codes", rows_json(found, n)));
		return CLI_YES;
	}
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			(void)putchar('\n');
		print_row(&found[i]);
	}
	return CLI_YES;
}

const struct cli_command cmd_explain = {
	.name = "explain",
	.operands = "[CODE]",
	.summary = "what a KMS, DNS or RPC code means, its usual cause and the next step",
	.text = "CODE is a number, in hexadecimal with or without 0x, in decimal, or negative as "
		"PowerShell\n"
		"shows it; or a name, in any case: of a Windows error, a DNS response code, a TSIG "
		"error, an\n"
		"RPC fault, a state or finding of kmsbeacon. A small number can mean several "
		"things: all are\n"
		"shown. Without CODE everything is listed. Exit code 0: known, 1: not known.",
	.examples = "  kmsbeacon explain 0xC004F074\n"
		    "  kmsbeacon explain 'NOTAUTH(BADTIME)'\n"
		    "  kmsbeacon explain nca_s_unk_if --json",
	.options = options,
	.run = run,
	.usage_exit = CLI_USAGE,
};
