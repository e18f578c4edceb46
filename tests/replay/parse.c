/* Reading a script: lines, words, blocks, and whether each statement can be one. What is read stays
 * until the process ends. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/replay/replay.h"

#define LINE_MAX_LEN 4096
#define NAMES_MAX    256

struct reading {
	struct script *s;
	FILE *f;
	int line;
	size_t cap;
	bool bad;
	const char *name[NAMES_MAX]; /* of servers, hosts and clients */
	const struct verb *verb[NAMES_MAX];
	size_t n_names;
};

__attribute__((format(printf, 3, 4))) static void complain(struct reading *r, int line,
							   const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fprintf(stderr, "%s:%d: ", r->s->path, line);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	r->bad = true;
}

/* A `#` begins a comment at the start of a line, or between blanks: "c1 got #3" has none. */
static void cut_comment(char *line)
{
	for (char *at = line; (at = strchr(at, '#')) != NULL; at++) {
		bool begins = at == line || isspace((unsigned char)at[-1]);
		bool ends = at[1] == '\0' || isspace((unsigned char)at[1]);

		if (at == line || (begins && ends)) {
			*at = '\0';
			return;
		}
	}
}

static bool next_line(struct reading *r, char line[LINE_MAX_LEN])
{
	if (fgets(line, LINE_MAX_LEN, r->f) == NULL)
		return false;
	r->line++;
	line[strcspn(line, "\n")] = '\0';
	return true;
}

static char *copy(const char *text)
{
	return mem_must(strdup(text));
}

/* Up to the line `>>`. */
static char *read_block(struct reading *r, int begun)
{
	char line[LINE_MAX_LEN];
	struct buf b;
	char *text;

	buf_init(&b, 1u << 20);
	for (;;) {
		if (!next_line(r, line)) {
			complain(r, begun, "the block that begins here has no end: `>>` alone");
			break;
		}
		if (strcmp(line, ">>") == 0)
			break;
		(void)buf_printf(&b, "%s\n", line);
	}
	text = copy(b.len > 0 ? (const char *)b.data : "");
	buf_done(&b);
	return text;
}

static void split_words(struct reading *r, struct stmt *st)
{
	char *rest = copy(st->text), *word;

	while ((word = strsep(&rest, " \t")) != NULL) {
		if (*word == '\0')
			continue;
		if (st->n == WORDS_MAX) {
			complain(r, st->line, "more than %d words", WORDS_MAX);
			return;
		}
		st->word[st->n++] = word;
	}
}

static void add_statement(struct reading *r, const char *line)
{
	struct script *s = r->s;
	struct stmt *st;
	size_t len;

	if (s->n == r->cap) {
		r->cap = r->cap > 0 ? 2 * r->cap : 64;
		s->stmt = mem_must(realloc(s->stmt, r->cap * sizeof(*s->stmt)));
	}
	st = &s->stmt[s->n];
	*st = (struct stmt){ .line = r->line };
	line += strspn(line, " \t");
	st->text = copy(line);
	len = strlen(st->text);
	while (len > 0 && isspace((unsigned char)st->text[len - 1]))
		st->text[--len] = '\0';
	if (len == 0) {
		free(st->text);
		return;
	}
	split_words(r, st);
	if (strcmp(st->word[st->n - 1], "<<") == 0) {
		st->n--;
		st->block = read_block(r, st->line);
	}
	s->n++;
}

/* ---- what each statement is ---- */

static const struct verb *verb_in(const struct verb *list, const char *name)
{
	for (const struct verb *v = list; v->name != NULL; v++)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

static const struct verb *named(const struct reading *r, const char *name)
{
	for (size_t i = 0; i < r->n_names; i++)
		if (strcmp(r->name[i], name) == 0)
			return r->verb[i];
	return NULL;
}

static const struct verb *find_verb(const struct reading *r, const char *name)
{
	const struct verb *v = verb_in(verbs_scene, name);

	if (v == NULL)
		v = verb_in(verbs_act, name);
	if (v == NULL)
		v = verb_in(verbs_see, name);
	return v != NULL ? v : named(r, name);
}

static void note_name(struct reading *r, const struct stmt *st)
{
	static const struct {
		const char *kind;
		const struct verb *verb;
	} kinds[] = {
		{ "server", &verb_server }, { "resolver", &verb_server }, { "host", &verb_host },
		{ "lab", &verb_host },      { "client", &verb_client },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(st->word[0], kinds[i].kind) != 0)
			continue;
		if (find_verb(r, st->word[1]) != NULL)
			complain(r, st->line, "the name '%s' is taken", st->word[1]);
		else if (r->n_names == NAMES_MAX)
			complain(r, st->line, "more than %d names", NAMES_MAX);
		else {
			r->name[r->n_names] = st->word[1];
			r->verb[r->n_names++] = kinds[i].verb;
		}
		return;
	}
}

static void judge(struct reading *r, struct stmt *st)
{
	const struct verb *v = st->verb = find_verb(r, st->word[0]);
	char why[WHY_MAX];

	if (v == NULL)
		complain(
			r, st->line,
			"'%s' is no statement, and no server, host or client of this name was made "
			"above",
			st->word[0]);
	else if (st->n < v->min || (v->max > 0 && st->n > v->max) ||
		 (v->block != (st->block != NULL)))
		complain(r, st->line, "the form is `%s`", v->form);
	else if (v->check != NULL && !v->check(st, why))
		complain(r, st->line, "%s", why);
	else
		note_name(r, st);
}

bool script_load(const char *path, struct script *ret)
{
	struct reading r = { .s = ret };
	char line[LINE_MAX_LEN];

	*ret = (struct script){ .path = path, .seed = 1 };
	r.f = fopen(path, "re");
	if (r.f == NULL) {
		(void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return false;
	}
	while (next_line(&r, line)) {
		cut_comment(line);
		add_statement(&r, line);
	}
	(void)fclose(r.f);
	for (size_t i = 0; i < ret->n; i++) {
		struct stmt *st = &ret->stmt[i];

		judge(&r, st);
		if (strcmp(st->word[0], "title") == 0)
			ret->title = st->text + strlen("title");
		else if (strcmp(st->word[0], "seed") == 0 && !r.bad)
			(void)text_number(st->word[1], UINT64_MAX, &ret->seed);
	}
	if (ret->title == NULL)
		complain(&r, 1, "a script has a `title`");
	return !r.bad;
}
