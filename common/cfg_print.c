#include "common/cfg_priv.h"

#include <ctype.h>
#include <string.h>

#include "common/roff.h"

#define PRINT_WIDTH 100
#define DOC_MAX     1200

/* ---- the dump ---- */

static bool plain_is_safe(const char *s)
{
	static const char *const taken[] = { "true", "false", "null", "yes", "no",
					     "on",   "off",   "y",    "n" };

	if (!isalpha((unsigned char)s[0]) && s[0] != '/')
		return false;
	for (size_t i = 0; s[i] != '\0'; i++)
		if (!isalnum((unsigned char)s[i]) && strchr("_./-", s[i]) == NULL)
			return false;
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (strcasecmp(s, taken[i]) == 0)
			return false;
	return true;
}

static void print_value(const struct cfg_item *item, const char *text, FILE *out)
{
	switch (item->type) {
	case CFG_BOOL:
	case CFG_UINT:
	case CFG_DURATION:
	case CFG_ENUM:
		(void)fputs(text, out);
		return;
	default:
		break;
	}
	if (plain_is_safe(text)) {
		(void)fputs(text, out);
		return;
	}
	(void)fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			(void)fputc('\\', out);
		(void)fputc(*text, out);
	}
	(void)fputc('"', out);
}

static void dump_map(const struct cfg_schema *s, const void *src, unsigned indent, bool dash,
		     FILE *out);

static void dump_list(const struct cfg_item *item, const void *src, unsigned indent, FILE *out)
{
	size_t n = cfg_list_count(item, src);
	char text[CFG_VALUE_MAX];

	(void)fprintf(out, "%s:", item->key);
	if (item->type == CFG_MAP_LIST) {
		(void)fputs(n == 0 ? " []\n" : "\n", out);
		for (size_t i = 0; i < n; i++)
			dump_map(item->sub, cfg_list_at(item, src, i), indent + 2, true, out);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		(void)fputs(i == 0 ? " [" : ", ", out);
		(void)cfg_value_format(item, cfg_list_at(item, src, i), text, sizeof(text));
		print_value(item, text, out);
	}
	(void)fputs("]\n", out);
}

/* Whether there is something to print. */
static bool is_set(const struct cfg_item *item, const void *src)
{
	char text[CFG_VALUE_MAX];

	if (item->type == CFG_REFUSED)
		return false;
	if (item->type == CFG_MAP || item->type == CFG_MAP_LIST)
		return true;
	if (item->list)
		return cfg_list_count(item, src) > 0;
	return cfg_value_format(item, cfg_cfield(item, src), text, sizeof(text));
}

/* @p dash: this is an entry of a list, whose first line begins with "- ". */
static void dump_map(const struct cfg_schema *s, const void *src, unsigned indent, bool dash,
		     FILE *out)
{
	unsigned inner = dash ? indent + 2 : indent;
	char text[CFG_VALUE_MAX];
	bool first = true;

	for (const struct cfg_item *item = s->items; item->key != NULL; item++) {
		if (!is_set(item, src))
			continue;
		(void)fprintf(out, "%*s%s", (int)(dash && first ? indent : inner), "",
			      dash && first ? "- " : "");
		first = false;
		if (item->type == CFG_MAP) {
			(void)fprintf(out, "%s:\n", item->key);
			dump_map(item->sub, cfg_cfield(item, src), inner + 2, false, out);
		} else if (item->list || item->type == CFG_MAP_LIST) {
			dump_list(item, src, inner, out);
		} else {
			(void)cfg_value_format(item, cfg_cfield(item, src), text, sizeof(text));
			(void)fprintf(out, "%s: ", item->key);
			print_value(item, text, out);
			(void)fputc('\n', out);
		}
	}
}

void cfg_dump(const struct cfg_schema *s, const void *src, FILE *out)
{
	dump_map(s, src, 0, false, out);
}

/* ---- the sentence of a setting, for the example and the manual ---- */

static void describe(const struct cfg_item *item, char buf[DOC_MAX])
{
	char allowed[200];
	size_t n = (size_t)snprintf(buf, DOC_MAX, "%s", item->doc);

	cfg_value_allowed(item, allowed, sizeof(allowed));
	if (allowed[0] != '\0' && item->type != CFG_BOOL && n < DOC_MAX)
		n += (size_t)snprintf(buf + n, DOC_MAX - n, " Allowed: %s.", allowed);
	if (item->required && n < DOC_MAX)
		n += (size_t)snprintf(buf + n, DOC_MAX - n, " Must be given.");
	else if ((item->def_doc != NULL || item->def != NULL) && n < DOC_MAX)
		n += (size_t)snprintf(buf + n, DOC_MAX - n, " Default: %s.",
				      item->def_doc != NULL ? item->def_doc : item->def);
	if (item->restart && n < DOC_MAX)
		(void)snprintf(buf + n, DOC_MAX - n, " A change needs a restart.");
}

/* Lines of "# ..." at the indentation. */
static void print_comment(const char *text, unsigned indent, FILE *out)
{
	size_t width = PRINT_WIDTH - indent - 2;

	while (*text != '\0') {
		size_t n = strlen(text);

		if (n > width) {
			n = width;
			while (n > 0 && text[n] != ' ')
				n--;
			if (n == 0) /* one long word */
				n = strcspn(text, " ");
		}
		(void)fprintf(out, "%*s# %.*s\n", (int)indent, "", (int)n, text);
		text += n;
		text += strspn(text, " ");
	}
}

/* ---- the example ---- */

static void example_map(const struct cfg_schema *s, unsigned indent, bool entry, FILE *out);

static void example_item(const struct cfg_item *item, unsigned indent, bool dash, FILE *out)
{
	unsigned before = dash ? indent - 2 : indent;
	char doc[DOC_MAX];

	describe(item, doc);
	print_comment(doc, before, out);
	/* "# " begins a sentence, "#" and no blank a setting to be switched on */
	(void)fprintf(out, "%*s#%s%s:", (int)before, "", dash ? "- " : "", item->key);
	if (item->example != NULL || item->def != NULL)
		(void)fputc(' ', out);
	if (item->example != NULL)
		(void)fputs(item->example, out);
	else if (item->def != NULL)
		print_value(item, item->def, out);
	(void)fputc('\n', out);
}

static void example_entries(const struct cfg_item *item, unsigned indent, FILE *out)
{
	const char *line = item->example;

	while (line != NULL && *line != '\0') {
		size_t n = strcspn(line, "\n");

		(void)fprintf(out, "%*s#%.*s\n", (int)indent, "", (int)n, line);
		line += n + (line[n] == '\n');
	}
	example_map(item->sub, indent + 2, true, out);
}

static void example_map(const struct cfg_schema *s, unsigned indent, bool entry, FILE *out)
{
	char doc[DOC_MAX];

	for (const struct cfg_item *item = s->items; item->key != NULL; item++) {
		if (item->type == CFG_REFUSED)
			continue;
		if (item->type != CFG_MAP && item->type != CFG_MAP_LIST) {
			example_item(item, indent, entry && item == s->items, out);
			continue;
		}
		if (indent == 0)
			(void)fputc('\n', out);
		describe(item, doc);
		print_comment(doc, indent, out);
		(void)fprintf(out, "%*s%s:\n", (int)indent, "", item->key);
		if (item->type == CFG_MAP)
			example_map(item->sub, indent + 2, false, out);
		else
			example_entries(item, indent + 2, out);
	}
}

void cfg_print_example(const struct cfg_schema *s, FILE *out)
{
	example_map(s, 0, false, out);
}

/* ---- the manual ---- */

static void print_roff(const char *text, FILE *out)
{
	roff_print(text, strlen(text), out);
	(void)fputc('\n', out);
}

static void manual_map(const struct cfg_schema *s, const char *prefix, FILE *out);

static void manual_item(const struct cfg_item *item, const char *prefix, FILE *out)
{
	char key[CFG_KEY_MAX], doc[DOC_MAX];

	(void)snprintf(key, sizeof(key), "%s%s%s%s", prefix, prefix[0] != '\0' ? "." : "",
		       item->key, item->type == CFG_MAP_LIST ? "[]" : "");
	describe(item, doc);
	if (prefix[0] == '\0') {
		(void)fputs(".SS ", out);
		print_roff(key, out);
	} else {
		(void)fputs(".TP\n\\fB", out);
		roff_print(key, strlen(key), out);
		(void)fputs("\\fR\n", out);
	}
	print_roff(doc, out);
	if (item->sub != NULL)
		manual_map(item->sub, key, out);
}

static void manual_map(const struct cfg_schema *s, const char *prefix, FILE *out)
{
	for (const struct cfg_item *item = s->items; item->key != NULL; item++)
		if (item->type != CFG_REFUSED)
			manual_item(item, prefix, out);
}

void cfg_print_manual(const struct cfg_schema *s, FILE *out)
{
	manual_map(s, "", out);
}
