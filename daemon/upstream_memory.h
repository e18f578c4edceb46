/**
 * What outlives a restart of the hosts behind the relay: which of them are drained, and where they
 * were known to be last. So a relay that begins anew serves its first client, DNS or not.
 *
 * Everything is held in memory; what changes is written whole, in one transaction at a time. What
 * cannot be written is logged and written with the next change.
 */
#ifndef KMSBEACON_DAEMON_UPSTREAM_MEMORY_H
#define KMSBEACON_DAEMON_UPSTREAM_MEMORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/store.h"

#define UPSTREAM_DRAINS_MAX 256 /* hosts that are drained, configured or not */

extern const struct store_schema upstream_memory_schema;

struct upstream_memory;

/** @p store NULL: a state file that cannot be used; then nothing can be drained. What cannot be
 * read is as none, and logged. 0 or ERR_NOMEM. */
int upstream_memory_new(struct store *store, struct upstream_memory **ret);
/** Once the store was closed. NULL is fine. */
void upstream_memory_free(struct upstream_memory *m);

bool upstream_memory_drained(const struct upstream_memory *m, const char *name,
			     int64_t *ret_since_ms); /* wall clock; may be NULL */
/** 0, ERR_STORE_OPEN (no state file), ERR_LIMIT, ERR_NOMEM. Once more: since then. */
int upstream_memory_drain(struct upstream_memory *m, const char *name, int64_t since_ms);
/** NULL: all. @return how many were drained. */
size_t upstream_memory_resume(struct upstream_memory *m, const char *name);

/** As upstreams.h makes it; borrowed. NULL: nothing. */
const json_t *upstream_memory_known(const struct upstream_memory *m);
/** @p known is taken over. */
void upstream_memory_learn(struct upstream_memory *m, json_t *known);

#endif
