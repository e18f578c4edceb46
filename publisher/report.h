/** Results as the JSON of design §3. */
#ifndef KMSBEACON_PUBLISHER_REPORT_H
#define KMSBEACON_PUBLISHER_REPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "common/clock.h"
#include "publisher/engine.h"
#include "publisher/reconcile.h"

/** {"domains": [...]}; a new reference, NULL: out of memory. */
json_t *pub_report_json(const struct pub_result *results, size_t n);
/** `status`.records[]: a new reference, NULL: out of memory. */
json_t *pub_report_status(struct pub_engine *e);
/** Exit code of the command: 0 where every domain is well, else 1. */
int pub_report_exit(const json_t *report);

#endif
