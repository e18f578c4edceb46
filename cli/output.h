/** What several commands print in one way: JSON, and reports of publisher/ and resolver/ for
 * people. */
#ifndef KMSBEACON_CLI_OUTPUT_H
#define KMSBEACON_CLI_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

/** One object on one line of stdout; takes over @p root. */
void print_json(json_t *root);
/** The object alone. */
void print_json_to(FILE *out, const json_t *root);
/** The end of a command with this exit code. Where stdout did not take all, stderr says so and the
 * code is not 0 but @p failed. */
int output_end(int code, int failed);
/** {"error":{"code","text"}} on stdout, for commands that were asked for JSON and have no report.
 */
void print_json_error(const char *code, const char *text);

/** Words of the command line, or of a file, as JSON, which takes nothing but UTF-8: '?' stands for
 * what is none. jansson makes no string of it at all. */
json_t *json_words(const char *text);

/** String member, or @p fallback where it is missing or null. */
const char *json_text(const json_t *obj, const char *key, const char *fallback);

/** Text of a peer as a terminal and a reader of lines may see it: control characters, C1 among
 * them, and what is no UTF-8 come out as \xHH. Cut at @p room. @return @p out. */
const char *text_escape(const char *text, char *out, size_t room);
/** A copy with all texts so, names of members too; NULL for NULL. @p root is still the caller's. */
json_t *json_escaped(const json_t *root);

#endif
