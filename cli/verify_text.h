/** `verify` for people: one domain, and the sum over many. */
#ifndef KMSBEACON_CLI_VERIFY_TEXT_H
#define KMSBEACON_CLI_VERIFY_TEXT_H

#include <jansson.h>
#include <stdio.h>

#include "resolver/totals.h"

/** From the JSON of one domain: the verdict, the findings with what to do, the records, the
 * servers. */
void verify_print_domain(FILE *out, const json_t *report);
/** What a bulk run ends with: how many are what, and which findings there were. */
void verify_print_totals(FILE *out, const struct rsv_verify_totals *t, uint64_t took_ms);

#endif
