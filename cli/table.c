#include "cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/output.h"
#include "common/mem.h"

#define CELL_MAX  512
#define FIRST_MIN 16

struct cell {
	enum tone tone;
	char *text;
};

struct table {
	size_t columns;
	const char *const *headings;
	struct cell *cells;
	size_t n;
	size_t room;
};

struct table *table_new(size_t n, const char *const *headings)
{
	struct table *t = mem_must(calloc(1, sizeof(*t)));

	t->columns = n;
	t->headings = headings;
	return t;
}

void table_cell(struct table *t, enum tone tone, const char *fmt, ...)
{
	char raw[CELL_MAX];
	char text[CELL_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	(void)text_escape(raw, text, sizeof(text));
	if (t->n == t->room) {
		t->room = t->room == 0 ? 64 : t->room * 2;
		t->cells = mem_must(realloc(t->cells, t->room * sizeof(*t->cells)));
	}
	t->cells[t->n++] = (struct cell){ tone, mem_must(strdup(text)) };
}

/* UTF-8 continuation bytes take no column. */
static int width_of(const char *s)
{
	int w = 0;

	for (; *s != '\0'; s++)
		if (((unsigned char)*s & 0xc0u) != 0x80u)
			w++;
	return w;
}

static void print_row(const struct table *t, FILE *out, int indent, const struct cell *row,
		      const int *width)
{
	size_t last = 0;
	int over;

	for (size_t c = 0; c < t->columns; c++)
		if (row[c].text[0] != '\0')
			last = c; /* no blanks at the end of a line */
	(void)fprintf(out, "%*s", indent, "");
	for (size_t c = 0; c <= last; c++) {
		(void)fprintf(out, "%s%s%s", tone_on(out, row[c].tone), row[c].text,
			      row[c].tone != TONE_PLAIN ? tone_off(out) : "");
		over = width_of(row[c].text) - width[c];
		if (c < last && over > 0) /* the first column of a narrow table */
			(void)fprintf(out, "\n%*s", indent + width[c] + 2, "");
		else if (c < last)
			(void)fprintf(out, "%*s", 2 - over, "");
	}
	(void)fputc('\n', out);
}

/** Columns that a line may take: those of the terminal, but no fewer than any terminal has. */
static int line_width(FILE *out)
{
	struct winsize ws;
	int fd = fileno(out);

	if (ioctl(fd >= 0 ? fd : STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > TABLE_WIDTH)
		return ws.ws_col;
	return TABLE_WIDTH;
}

/** Too wide a table gets a narrow first column: what does not fit there has a line of its own. */
static void narrow_first(const struct table *t, FILE *out, int indent, int *width)
{
	int rest = indent;

	for (size_t c = 1; c < t->columns && c < TABLE_COLUMNS_MAX; c++)
		rest += width[c] + 2;
	if (t->columns > 1 && rest + width[0] > line_width(out))
		width[0] = line_width(out) - rest > FIRST_MIN ? line_width(out) - rest : FIRST_MIN;
}

void table_print(struct table *t, FILE *out, int indent)
{
	struct cell head[TABLE_COLUMNS_MAX];
	int width[TABLE_COLUMNS_MAX] = { 0 };
	size_t rows = t->n / t->columns;

	for (size_t c = 0; c < t->columns && c < TABLE_COLUMNS_MAX; c++) {
		char *heading = mem_must(strdup(t->headings[c]));

		head[c] = (struct cell){ TONE_DIM, heading };
		width[c] = width_of(heading);
		for (size_t r = 0; r < rows; r++) {
			int w = width_of(t->cells[r * t->columns + c].text);

			if (w > width[c])
				width[c] = w;
		}
	}
	narrow_first(t, out, indent, width);
	if (rows > 0)
		print_row(t, out, indent, head, width);
	for (size_t r = 0; r < rows; r++)
		print_row(t, out, indent, &t->cells[r * t->columns], width);
	for (size_t c = 0; c < t->columns; c++)
		free(head[c].text);
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i].text);
	free(t->cells);
	free(t);
}

enum tone tone_of(const char *state)
{
	static const struct {
		const char *word;
		enum tone tone;
	} words[] = {
		{ "proven", TONE_GOOD },
		{ "unchanged", TONE_GOOD },
		{ "up", TONE_GOOD },
		{ "ok", TONE_GOOD },
		{ "mine-healthy", TONE_GOOD },
		{ "expected", TONE_GOOD },
		{ "planned", TONE_WARN },
		{ "lagging", TONE_WARN },
		{ "warning", TONE_WARN },
		{ "unknown", TONE_WARN },
		{ "foreign-known", TONE_WARN },
		{ "foreign-unknown", TONE_WARN },
		{ "blocked", TONE_BAD },
		{ "faults", TONE_BAD },
		{ "slow", TONE_BAD },
		{ "loop", TONE_BAD },
		{ "refused", TONE_BAD },
		{ "unreachable", TONE_BAD },
		{ "critical", TONE_BAD },
		{ "differs", TONE_BAD },
		{ "mine-down", TONE_BAD },
		{ "dead-target", TONE_BAD },
		{ "no-kms-interface", TONE_BAD },
		{ "rpc-refused", TONE_BAD },
		{ "not-rpc", TONE_BAD },
		{ "timeout", TONE_BAD },
		{ "unresolved", TONE_BAD },
		{ "target-cname", TONE_BAD },
		{ "absent-by-dot", TONE_BAD },
		{ "withdrawn", TONE_DIM },
		{ "info", TONE_DIM },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(state, words[i].word) == 0)
			return words[i].tone;
	return TONE_PLAIN;
}

/* Whether @p out is a terminal that shall have colours. What is collected in memory goes to stdout
 * in the end. */
static bool with_colours(FILE *out)
{
	const char *term = getenv("TERM");
	const char *no = getenv("NO_COLOR");

	int fd = fileno(out);

	if (fd < 0)
		fd = STDOUT_FILENO;
	return isatty(fd) != 0 && (no == NULL || no[0] == '\0') && term != NULL &&
	       strcmp(term, "dumb") != 0;
}

const char *tone_on(FILE *out, enum tone tone)
{
	static const char *const codes[] = {
		[TONE_PLAIN] = "",         [TONE_GOOD] = "\033[32m", [TONE_WARN] = "\033[33m",
		[TONE_BAD] = "\033[1;31m", [TONE_DIM] = "\033[2m",   [TONE_BOLD] = "\033[1m",
	};

	return with_colours(out) ? codes[tone] : "";
}

const char *tone_off(FILE *out)
{
	return with_colours(out) ? "\033[0m" : "";
}

void print_wrapped_from(FILE *out, int indent, int used, const char *text)
{
	char safe[2048];
	const char *p = safe;
	int room = line_width(out) - indent, column = used;
	bool first = true;

	(void)text_escape(text, safe, sizeof(safe));
	while (*p != '\0') {
		int word = (int)strcspn(p, " ");

		if (!first && column + 1 + word > room) {
			(void)fprintf(out, "\n%*s", indent, "");
			column = 0;
			first = true;
		}
		column += fprintf(out, "%s%.*s", first ? "" : " ", word, p);
		first = false;
		p += word;
		p += strspn(p, " ");
	}
	(void)fputc('\n', out);
}

void print_safe(FILE *out, const char *text)
{
	char safe[2048];

	(void)text_escape(text, safe, sizeof(safe));
	(void)fputs(safe, out);
}
