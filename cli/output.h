/** What several commands print in one way: JSON, and reports of publisher/ and resolver/ for
 * people. */
#ifndef KMSBEACON_CLI_OUTPUT_H
#define KMSBEACON_CLI_OUTPUT_H

#include <jansson.h>

/** One object on one line of stdout; takes over @p root. */
void print_json(json_t *root);
/** {"error":{"code","text"}} on stdout, for commands that were asked for JSON and have no report.
 */
void print_json_error(const char *code, const char *text);

/** String member, or @p fallback where it is missing or null. */
const char *json_text(const json_t *obj, const char *key, const char *fallback);

#endif
