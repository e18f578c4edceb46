/** Results as the JSON of design §3, and that JSON as text for a person. */
#ifndef KMSBEACON_PUBLISHER_REPORT_H
#define KMSBEACON_PUBLISHER_REPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "common/clock.h"
#include "common/mem.h"
#include "publisher/engine.h"
#include "publisher/reconcile.h"

/** {"domains": [...]}; a new reference, NULL: out of memory. */
json_t *pub_report_json(const struct pub_result *results, size_t n);
/** `status`.records[]: a new reference, NULL: out of memory. */
json_t *pub_report_status(struct pub_engine *e);
/**
 * The same report for a terminal, made from the JSON so that it looks alike whether a daemon or the
 * command did the work: each domain with its minus and plus lines, state, proof table, hint.
 * 0, ERR_NOMEM, ERR_LIMIT.
 */
int pub_report_text(const json_t *report, bool colour, struct buf *out);
/** Exit code of the command: 0 where every domain is well, else 1. */
int pub_report_exit(const json_t *report);

#endif
