/** Events as `events` and `client events` print them: the layout of Windows' event viewer, or JSON,
 * one a line; and their option --since. */
#ifndef KMSBEACON_CLI_EVENTS_TEXT_H
#define KMSBEACON_CLI_EVENTS_TEXT_H

#include <jansson.h>

#include "cli/command.h"

/** One event, {"time", "id", "name", "level", "hresult", "text", "info"} and, with a client's,
 * "machine"; @p ev is borrowed. */
void events_print(const struct cli_args *a, const json_t *ev);
/** --since as wall clock, @p fallback where it is not given. 0, or the exit code. */
int events_since(const struct cli_args *a, const char *fallback, int64_t *ret_ms);

#endif
