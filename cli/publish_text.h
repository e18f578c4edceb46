/** `publish`, `withdraw` and `drain` for people. */
#ifndef KMSBEACON_CLI_PUBLISH_TEXT_H
#define KMSBEACON_CLI_PUBLISH_TEXT_H

#include <jansson.h>
#include <stdio.h>

/** From the JSON of the report, so that it looks alike whether a daemon or the command did the
 * work: each domain with its minus and plus lines, state, servers, findings and next step. */
void publish_print(FILE *out, const json_t *report);

#endif
