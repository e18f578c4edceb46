/**
 * What has happened, for `kmsbeacon events`: KMS events as Windows numbers them (behaviour §4) and
 * the daemon's own, such as a host that went down.
 *
 * Every event gets a number of one sequence and is held in a ring in memory, the latest
 * EVENTS_RING. Those that are `kept` (the service's, not one for each request: design §7.2) go to
 * the state file too, bounded by age and number there. Adding never blocks and never fails: what
 * comes while the store's thread writes goes out with its next transaction; where it cannot write
 * (a full disk) that is said once, up to EVENTS_PENDING_MAX wait in memory, and later ones are
 * counted as lost.
 *
 * Text from a peer is cleaned by whoever makes the event (kmscore/events.h) or escaped by JSON.
 */
#ifndef KMSBEACON_DAEMON_EVENTS_H
#define KMSBEACON_DAEMON_EVENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "common/store.h"

#define EVENTS_RING          1024
#define EVENTS_PENDING_MAX   1024  /* kept, not yet written */
#define EVENTS_BATCH         256   /* of one transaction */
#define EVENTS_PAGE          256   /* of one answer */
#define EVENTS_WAITERS_MAX   16    /* who follow */
#define EVENTS_WAIT_MAX_MS   60000 /* how long one answer may be waited for */
#define EVENTS_SAVE_RETRY_MS 60000
#define EVENTS_TEXT_MAX      1024 /* bytes of a sentence, and of the fields */

extern const struct store_schema events_schema;

struct events;

struct events_params {
	uv_loop_t *loop; /* borrowed for its life, as the next two */
	const struct clock *clock;
	struct store *store; /* NULL: a state file that cannot be used; then memory only */
	uint32_t keep_s;     /* older ones leave the file */
	uint32_t keep_max;   /* events in the file */
};

/** 0 or ERR_NOMEM. A file that cannot be read is as none: it is logged. */
int events_new(const struct events_params *p, struct events **ret);
/** At a reload. */
void events_configure(struct events *e, uint32_t keep_s, uint32_t keep_max);
/** Answer everybody who waits, and write what is pending: waits for the store, as its end does. */
void events_stop(struct events *e);
/** After the store has been freed, which ends the jobs. NULL is fine. */
void events_free(struct events *e);

struct event {
	uint32_t id;      /* as in Windows; 0: none of Windows' own */
	const char *name; /* such as "host.down": fixed text */
	enum log_level level;
	uint32_t hresult;
	bool kept;
	const char *text; /* a sentence; these two are copied, and cut at EVENTS_TEXT_MAX */
	const char *info; /* the fields in Windows' order; NULL: none */
};
/** Happened now. @p e NULL: nobody keeps events. */
void events_add(struct events *e, const struct event *ev);
/** An own event that is kept, its sentence as printf makes it. */
void events_note(struct events *e, enum log_level level, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

struct events_query {
	uint64_t after;   /* sequence number; 0: from the beginning */
	int64_t since_ms; /* wall clock */
	uint32_t wait_ms; /* where there is nothing yet, until there is */
};
/** @p page is the callee's: {"events": [...], "last": N, "more": bool}; NULL where memory is out.
 */
typedef void events_page_fn(void *ctx, json_t *page);
/**
 * The oldest EVENTS_PAGE events that match. @return 0, then done() runs once, from the loop, or
 * from events_stop(); ERR_LIMIT where EVENTS_WAITERS_MAX are waiting, ERR_NOMEM: then it does not.
 */
int events_read(struct events *e, const struct events_query *q, events_page_fn *done, void *ctx);

/** Kept events that are not in the file since this process began: lost, or (now) pending. */
void events_counts(const struct events *e, uint64_t *ret_lost, size_t *ret_pending);

#endif
