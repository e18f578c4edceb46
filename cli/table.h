/**
 * Aligned columns for people. Cells are collected, then printed with each column as wide as its
 * widest cell. Text of a peer is made harmless here: control characters come out as \xHH.
 */
#ifndef KMSBEACON_CLI_TABLE_H
#define KMSBEACON_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 12
#define TABLE_WIDTH       100 /* columns of a line; on a wider terminal all that it has */

/** How a word is shown: coloured on a terminal (unless NO_COLOR is set), plain elsewhere. */
enum tone { TONE_PLAIN, TONE_GOOD, TONE_WARN, TONE_BAD, TONE_DIM, TONE_BOLD };

struct table;

/** @p headings: n texts, borrowed until table_print. */
struct table *table_new(size_t n, const char *const *headings);
/** Next cell, left to right; a row begins by itself after n cells. Copied. */
void table_cell(struct table *t, enum tone tone, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** Print with @p indent blanks in front, then free. Without rows only frees. Where the line would
 * be too long, the first column is made narrow, and a cell that is wider has a line of its own. */
void table_print(struct table *t, FILE *out, int indent);

/** The tone of a state word used anywhere in our JSON: "proven", "up", "lagging", "critical" ... */
enum tone tone_of(const char *state);
/** Escape sequences, or "" without colours. */
const char *tone_on(FILE *out, enum tone tone);
const char *tone_off(FILE *out);
/** Print @p text, control characters as \xHH, in lines that fit, and end the last one. The first
 * begins where the cursor is, at column @p indent + @p used, further ones at @p indent. */
void print_wrapped_from(FILE *out, int indent, int used, const char *text);
/** Print @p text of a peer, control characters as \xHH. */
void print_safe(FILE *out, const char *text);

#endif
