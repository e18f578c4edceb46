/* What must be seen. */
#include <stdio.h>
#include <string.h>

#include "tests/replay/replay.h"

#define SOON_MS 1000 /* `expect` without a time */

/* A pattern, and what stands behind it. */
struct want {
	char pattern[TEXT_MAX];
	bool after;      /* not before lo */
	uint64_t lo, hi; /* ms; of `never` and `count` hi alone */
	uint64_t least, most;
};

static bool is_word(const struct stmt *st, size_t i, const char *word)
{
	return i < st->n && strcmp(st->word[i], word) == 0;
}

static bool bad(const struct stmt *st, char why[WHY_MAX])
{
	(void)snprintf(why, WHY_MAX, "the form is `%s`", st->verb->form);
	return false;
}

/* "within T" or "after A..B" before word *end, which moves to its first word. */
static bool read_window(const struct stmt *st, size_t *end, struct want *w)
{
	size_t i = *end;

	w->after = false;
	w->lo = 0;
	w->hi = SOON_MS;
	if (i >= 4 && is_word(st, i - 2, "within")) {
		*end = i - 2;
		return text_ms(st->word[i - 1], &w->hi);
	}
	if (i >= 4 && is_word(st, i - 2, "after")) {
		*end = i - 2;
		w->after = true;
		return text_range_ms(st->word[i - 1], &w->lo, &w->hi);
	}
	return true;
}

static bool read_expect(const struct stmt *st, struct want *w)
{
	size_t end = st->n;
	bool ok = read_window(st, &end, w);

	text_join(st, 1, end, w->pattern);
	return ok && end > 1;
}

/* PATTERN after A..B times N */
static bool read_alike(const struct stmt *st, struct want *w)
{
	size_t end = st->n - 2;

	if (st->n < 6 || !is_word(st, end, "times") ||
	    !text_range(st->word[end + 1], &w->least, &w->most))
		return false;
	if (!read_window(st, &end, w) || !w->after)
		return false;
	text_join(st, 1, end, w->pattern);
	return end > 1;
}

/* PATTERN for T */
static bool read_never(const struct stmt *st, struct want *w)
{
	if (st->n < 4 || !is_word(st, st->n - 2, "for"))
		return false;
	text_join(st, 1, st->n - 2, w->pattern);
	return text_ms(st->word[st->n - 1], &w->hi);
}

/* PATTERN for T = N */
static bool read_count(const struct stmt *st, struct want *w)
{
	if (st->n < 6 || !is_word(st, st->n - 2, "=") || !is_word(st, st->n - 4, "for"))
		return false;
	text_join(st, 1, st->n - 4, w->pattern);
	return text_ms(st->word[st->n - 3], &w->hi) &&
	       text_range(st->word[st->n - 1], &w->least, &w->most);
}

/* PATTERN = N */
static bool read_seen(const struct stmt *st, struct want *w)
{
	if (st->n < 4 || !is_word(st, st->n - 2, "="))
		return false;
	text_join(st, 1, st->n - 2, w->pattern);
	return text_range(st->word[st->n - 1], &w->least, &w->most);
}

#define CHECK(name)                                                                                \
	static bool check_##name(const struct stmt *st, char why[WHY_MAX])                         \
	{                                                                                          \
		struct want w;                                                                     \
                                                                                                   \
		return read_##name(st, &w) || bad(st, why);                                        \
	}
CHECK(expect)
CHECK(alike)
CHECK(never)
CHECK(count)
CHECK(seen)

/* ---- expect, alike ---- */

/* The next line that fits; NULL: none has come yet. */
static const struct seen_line *next_match(struct play *p, const char *pattern)
{
	while (p->look < p->n_lines) {
		const struct seen_line *l = &p->line[p->look++];

		if (text_match(pattern, l->text))
			return l;
	}
	return NULL;
}

static enum step wrong_time(struct play *p, const struct want *w, const struct seen_line *l)
{
	char at[32], lo[32], hi[32];

	return play_fail(p, "too %s: it came %s, expected %s to %s",
			 l->ms < p->base + w->lo ? "early" : "late", text_time(l->ms, at),
			 text_time(p->base + w->lo, lo), text_time(p->base + w->hi, hi));
}

/* One of them: DONE moves on to its line. */
static enum step expect_one(struct play *p, const struct want *w)
{
	const struct seen_line *l = next_match(p, w->pattern);
	char since[32], until[32];

	if (l != NULL) {
		if ((w->after && l->ms < p->base + w->lo) || l->ms > p->base + w->hi)
			return wrong_time(p, w, l);
		p->base = l->ms;
		p->from = p->look;
		return STEP_DONE;
	}
	if (sim_now() <= p->base + w->hi)
		return play_wake(p, p->base + w->hi + 1);
	return play_fail(p, "nothing of the kind came from %s to %s", text_time(p->base, since),
			 text_time(p->base + w->hi, until));
}

static enum step more_expect(struct play *p, const struct stmt *st)
{
	struct want w;

	(void)read_expect(st, &w);
	return expect_one(p, &w);
}

static enum step more_alike(struct play *p, const struct stmt *st)
{
	struct want w;
	uint64_t lo;

	(void)read_alike(st, &w);
	lo = w.lo;
	while (p->left <= w.least) {
		enum step s;

		w.lo = p->left == 0 ? 0 : lo; /* the first one: from where they are counted */
		s = expect_one(p, &w);
		if (s != STEP_DONE)
			return s;
		p->left++;
	}
	return STEP_DONE;
}

/* ---- never, count, seen ---- */

/* Count what came until @p end; p->look stops at the first line behind it. */
static void count_until(struct play *p, const char *pattern, uint64_t end)
{
	while (p->look < p->n_lines && p->line[p->look].ms <= end)
		if (text_match(pattern, p->line[p->look++].text))
			p->left++;
}

static enum step until(struct play *p, const struct want *w)
{
	uint64_t end = p->base + w->hi;

	count_until(p, w->pattern, end);
	if (p->left > w->most)
		return STEP_DONE;
	if (sim_now() <= end)
		return play_wake(p, end + 1);
	p->from = p->look;
	p->base = end;
	return STEP_DONE;
}

static enum step more_never(struct play *p, const struct stmt *st)
{
	struct want w = { 0 };
	char at[32];

	(void)read_never(st, &w);
	w.most = 0;
	if (until(p, &w) == STEP_WAIT)
		return STEP_WAIT;
	if (p->left > 0)
		return play_fail(p, "it came, %s: %s", text_time(p->line[p->look - 1].ms, at),
				 p->line[p->look - 1].text);
	return STEP_DONE;
}

static enum step judge_count(struct play *p, const struct want *w)
{
	if (p->left >= w->least && p->left <= w->most)
		return STEP_DONE;
	return play_fail(p, "%llu came%s, expected %llu to %llu", (unsigned long long)p->left,
			 p->left > w->most ? " so far" : "", (unsigned long long)w->least,
			 (unsigned long long)w->most);
}

static enum step more_count(struct play *p, const struct stmt *st)
{
	struct want w;

	(void)read_count(st, &w);
	return until(p, &w) == STEP_WAIT ? STEP_WAIT : judge_count(p, &w);
}

static enum step do_seen(struct play *p, const struct stmt *st)
{
	struct want w;

	(void)read_seen(st, &w);
	count_until(p, w.pattern, UINT64_MAX);
	return judge_count(p, &w);
}

/* ---- values ---- */

static bool check_value(const struct stmt *st, char why[WHY_MAX])
{
	return text_is_op(st->word[2]) || bad(st, why);
}

/* All values of the text: more than one become an array. */
static json_t *read_values(const struct play *p)
{
	json_t *all = json_array(), *one;
	size_t at = 0;
	json_error_t e;

	while (at < p->output_len) {
		one = json_loadb(p->output + at, p->output_len - at, JSON_DISABLE_EOF_CHECK, &e);
		if (one == NULL)
			break;
		(void)json_array_append_new(all, one);
		at += (size_t)e.position;
	}
	if (json_array_size(all) != 1)
		return all;
	one = json_incref(json_array_get(all, 0));
	json_decref(all);
	return one;
}

static enum step compare(struct play *p, const struct stmt *st)
{
	json_t *root = read_values(p);
	char got[TEXT_MAX], want[TEXT_MAX];
	const char *value = text_json(root, st->word[1], got);

	json_decref(root);
	text_join(st, 3, st->n, want);
	if (value == NULL)
		return play_fail(p, "there is no %s in it: %.600s", st->word[1], p->output);
	if (!text_compare(value, st->word[2], want))
		return play_fail(p, "%s is %s", st->word[1], value);
	return STEP_DONE;
}

static enum step do_status(struct play *p, const struct stmt *st)
{
	static char words[2][8] = { "control", "status" };
	const struct stmt ask = { .n = 2, .word = { words[0], words[1] } };

	(void)st;
	return verb_control.begin(p, &ask);
}

static enum step more_status(struct play *p, const struct stmt *st)
{
	enum step s = verb_control.more(p, st);

	return s == STEP_DONE ? compare(p, st) : s;
}

static bool check_exit(const struct stmt *st, char why[WHY_MAX])
{
	uint64_t n;

	return text_number(st->word[1], 255, &n) || bad(st, why);
}

static enum step do_exit(struct play *p, const struct stmt *st)
{
	uint64_t n;

	(void)text_number(st->word[1], 255, &n);
	if ((uint64_t)p->code != n)
		return play_fail(p, "it was %d", p->code);
	return STEP_DONE;
}

const struct verb verbs_see[] = {
	{ .name = "expect",
	  .min = 2,
	  .form = "expect PATTERN [within T | after A..B]",
	  .check = check_expect,
	  .begin = more_expect,
	  .more = more_expect,
	  .keeps_time = true },
	{ .name = "alike",
	  .min = 6,
	  .form = "alike PATTERN after A..B times N",
	  .check = check_alike,
	  .begin = more_alike,
	  .more = more_alike,
	  .keeps_time = true },
	{ .name = "never",
	  .min = 4,
	  .form = "never PATTERN for T",
	  .check = check_never,
	  .begin = more_never,
	  .more = more_never,
	  .keeps_time = true },
	{ .name = "count",
	  .min = 6,
	  .form = "count PATTERN for T = N|A..B",
	  .check = check_count,
	  .begin = more_count,
	  .more = more_count,
	  .keeps_time = true },
	{ .name = "seen",
	  .min = 4,
	  .form = "seen PATTERN = N|A..B",
	  .check = check_seen,
	  .begin = do_seen },
	{ .name = "status",
	  .min = 4,
	  .form = "status PATH =|~|<|> VALUE",
	  .check = check_value,
	  .begin = do_status,
	  .more = more_status },
	{ .name = "output",
	  .min = 4,
	  .form = "output PATH =|~|<|> VALUE",
	  .check = check_value,
	  .begin = compare },
	{ "exit", 2, 2, "exit N", false, check_exit, do_exit, NULL, false },
	{ 0 },
};
