/** Results as the JSON of design §3. */
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
/** What has records of ours and is no longer configured, [{"domain", "view"}], for
 * `publish`.orphans: a new reference, NULL: out of memory. @p j NULL: nothing is known. */
json_t *pub_report_orphans(const struct pub_targets *targets, struct pub_journal *j);
/** {"domains": [...], "orphans": @p orphans} as text, one domain after the other, since the tree of
 * a thousand is 5 MB. 0, ERR_NOMEM, ERR_LIMIT. */
int pub_report_write(struct buf *out, const struct pub_result *results, size_t n,
		     const json_t *orphans);
/** `status`.records[]: a new reference, NULL: out of memory. */
json_t *pub_report_status(struct pub_engine *e);
/** Exit code of the command: 0 where every domain is well, else 1. */
int pub_report_exit(const json_t *report);

#endif
