/** A discovery for people, out of its JSON report: the verdict, then what led to it. */
#ifndef KMSBEACON_CLI_DISCOVER_TEXT_H
#define KMSBEACON_CLI_DISCOVER_TEXT_H

#include <jansson.h>
#include <stdbool.h>

/** @p explain: also each decision, each try and each DNS question. */
void discover_print(const json_t *report, bool explain);
/** The decisions and the DNS questions alone. */
void discover_print_decisions(const json_t *report);

#endif
