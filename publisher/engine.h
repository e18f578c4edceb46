/**
 * The daemon's publisher: reconciles each target at start, then at every refresh, sooner after a
 * failure (after PUB_RETRY_MIN_MS, then twice as long each time), and on request; one reconcile at
 * a time.
 *
 * A request from a person comes first: a cycle of the engine's own that is under way is cancelled
 * and done again afterwards.
 */
#ifndef KMSBEACON_PUBLISHER_ENGINE_H
#define KMSBEACON_PUBLISHER_ENGINE_H

#include "publisher/reconcile.h"

#define PUB_REQUESTS_MAX  64 /* waiting at once */
#define PUB_RETRY_MIN_MS  15000
#define PUB_RETRY_MAX_MS  900000 /* or the refresh, where that is sooner */
#define PUB_NOTIFY_MIN_MS 5000   /* between two checks of one target that a NOTIFY brings about */

struct pub_engine;

struct pub_engine_params {
	struct net *net;                 /* borrowed for the engine's life, as the next two */
	struct pub_journal *journal;     /* NULL: a state file that cannot be used (adds only) */
	const struct pub_health *health; /* NULL: no gate */
	struct pub_targets *targets;     /* a reference is taken */
	uint32_t refresh_ms;
	bool withdraw_on_stop;
	/** Each target whose check ended, for events and counters; may be NULL. */
	void (*result)(void *ctx, const struct pub_result *r);
	void *result_ctx;
};

/** 0 or ERR_NOMEM. Nothing runs before pub_engine_start(). */
int pub_engine_new(const struct pub_engine_params *p, struct pub_engine **ret);
void pub_engine_start(struct pub_engine *e);
/** Those of the last reload; borrowed until the next one. */
const struct pub_targets *pub_engine_targets(const struct pub_engine *e);
/** A reload: new targets are checked at once, those that are gone become orphans. A run under way
 * ends with the targets it began with. 0 or ERR_NOMEM (the old ones stay). */
int pub_engine_set_targets(struct pub_engine *e, struct pub_targets *targets, uint32_t refresh_ms,
			   bool withdraw_on_stop);
/** Something changed (health, the local port): check every target now; a cycle under way begins
 * anew. */
void pub_engine_poke(struct pub_engine *e);

/** Other resolvers are asked from now on: what was learned of zones through the old ones no longer
 * counts, and every target is checked now. */
void pub_engine_forget_zones(struct pub_engine *e);

enum pub_notify {
	PUB_NOTIFY_NOT_OURS, /* no record of ours is known to be in the zone */
	PUB_NOTIFY_STRANGER, /* it is, but the sender is none of its servers */
	PUB_NOTIFY_TAKEN,
};
/**
 * A server says that @p zone has changed: its targets are checked now, or PUB_NOTIFY_MIN_MS after
 * the last check of this kind, so that a storm costs no more than that. Nothing else comes of it,
 * since anybody can forge one. Servers are those of the configuration by address, and those that
 * were learned with the zone.
 */
enum pub_notify pub_engine_notify(struct pub_engine *e, const struct dns_name *zone,
				  const struct addr *from);

/** Results as in pub_reconcile_done_fn; ERR_CANCELED when the engine stops first. */
typedef void pub_engine_done_fn(void *ctx, int err, const struct pub_result *results, size_t n);
/**
 * Do what a person asked for; the request's pointers are borrowed during the call only.
 * @return 0; ERR_LIMIT, ERR_NOMEM, ERR_CANCELED (stopping): then done()
 * does not run.
 */
int pub_engine_request(struct pub_engine *e, const struct pub_request *r, pub_engine_done_fn *done,
		       void *ctx);
/** Publish again what withdraw or drain held back (NULL: every host). @return holds lifted. */
size_t pub_engine_resume(struct pub_engine *e, const char *host);

/** One row of `status`. Text is borrowed until the engine's next step. */
struct pub_engine_row {
	const struct pub_target *target; /* NULL for an orphan */
	struct dns_name domain;
	const char *view;
	const char *state; /* a pub_state_name(), "pending" before the first result, "withdrawn",
			      "orphan" */
	int64_t last_proven_ms; /* wall clock; 0: never in this process */
	int64_t next_check_ms;  /* wall clock; 0: none planned */
	const char *last_error; /* sentence; "" for none */
};
typedef void pub_engine_row_fn(void *ctx, const struct pub_engine_row *row);
void pub_engine_rows(struct pub_engine *e, pub_engine_row_fn *fn, void *ctx);

/**
 * End: no new cycle; with withdraw_on_stop our records are withdrawn within @p timeout_ms. done()
 * runs once, from the loop, when nothing is left; then call pub_engine_free(). A second call with
 * timeout 0 ends the withdrawal early.
 */
void pub_engine_stop(struct pub_engine *e, uint32_t timeout_ms, void (*done)(void *ctx), void *ctx);
/** After stop's done(), or when it never started. NULL is fine. */
void pub_engine_free(struct pub_engine *e);

#endif
