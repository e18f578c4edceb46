/**
 * Make DNS as the targets say, or withdraw it, and prove the result: one operation over many
 * targets (design §5).
 *
 * Targets go in waves: PUB_WAVE_SIZE of them, all that are left, or PUB_WAVE_LEAST where servers
 * would have nothing to do meanwhile, are read and planned, one journal transaction writes what is
 * intended, updates go out with at most PUB_UPDATES_PER_SERVER in flight at one server while the
 * next wave is read, and every authoritative server is asked until each shows the result or the
 * time is over. Each target fails for itself. An UPDATE holds exact-RDATA deletes and adds only.
 *
 * Events: 12294 (published, withdrawn) and 12293 (failed) are logged here, once for each target.
 *
 * Lifetime as udp_exchange: the caller owns struct pub_reconcile, zeroed before start; done() runs
 * exactly once, from the loop, never inside start or cancel.
 */
#ifndef KMSBEACON_PUBLISHER_RECONCILE_H
#define KMSBEACON_PUBLISHER_RECONCILE_H

#include "net/net.h"
#include "publisher/health.h"
#include "publisher/journal.h"
#include "publisher/result.h"
#include "publisher/target.h"
#include "publisher/targets.h"
#include "publisher/zone.h"

#define PUB_UPDATES_PER_SERVER 32  /* named drops above its update-quota of 100 */
#define PUB_WAVE_SIZE          128 /* planned targets that wait for no others */
#define PUB_WAVE_LEAST         32  /* likewise, while few updates are out */
#define PUB_WAVE_WAIT_MS       200 /* a planned target waits so long for others to join it */
#define PUB_ACTIVE_MAX         128 /* targets that ask something at the same time */
#define PUB_TIMEOUT_MS         60000

enum pub_mode {
	PUB_PUBLISH,  /* asked for by a person: lifts what an earlier withdraw holds back */
	PUB_REFRESH,  /* the daemon's own cycle: leaves withdrawn what was withdrawn */
	PUB_WITHDRAW, /* remove our records, and hold them back from now on */
	PUB_DRAIN,    /* remove the records of one host, also adopted ones, and hold it back in
			 every domain until it is resumed */
	PUB_STOP,     /* on_stop: withdraw: remove our records, but hold nothing back */
};

struct pub_request {
	enum pub_mode mode;
	bool dry_run;                  /* plan only: no UPDATE, nothing written */
	const struct dns_name *domain; /* NULL: all */
	const char *host;              /* withdraw: records of this host only; NULL: all */
	bool keep_last;                /* drain: block where the set would be left empty */
	bool adopted;                  /* withdraw: also records that were there before us */
	bool orphans; /* withdraw: of domains that are no longer configured, and only those */
	uint32_t timeout_ms; /* for everything; 0: PUB_TIMEOUT_MS */
};

struct pub_reconcile_params {
	struct pub_targets *targets; /* a reference is taken */
	struct pub_request request;  /* its pointers are borrowed during start only */
	/** NULL: nothing is known to be ours, and nothing is deleted. Borrowed until done. */
	struct pub_journal *journal;
	/** Zones known from earlier runs; NULL: learn them anew. Borrowed until done. */
	struct pub_zone_cache *zones;
	const struct pub_health *health; /* NULL: no gate. Borrowed until done */
	/** Further choice of targets (the engine's: which are due); NULL: all. */
	bool (*pick)(void *ctx, const struct pub_target *t);
	/** Whether findings with this sum are news for @p t, so that what lasts is logged once;
	 * NULL: they are. */
	bool (*is_news)(void *ctx, const struct pub_target *t, uint64_t findings);
	void *ctx; /* of both */
};

struct pub_reconcile;
struct pub_run;
/** @p err: 0 (also when targets failed: see each), ERR_CANCELED, ERR_NOMEM. Results are borrowed
 * during the call, in the order of the targets; with ERR_CANCELED there are none. */
typedef void pub_reconcile_done_fn(struct pub_reconcile *r, int err,
				   const struct pub_result *results, size_t n);

struct pub_reconcile {
	void *owner; /* the caller's */
	/* private */
	struct pub_run *impl;
	uv_timer_t timer, wave;
	unsigned closed;
	pub_reconcile_done_fn *done;
};

void pub_reconcile_start(struct pub_reconcile *r, struct net *net,
			 const struct pub_reconcile_params *p, pub_reconcile_done_fn *done);
/** What was sent may still take effect; the journal knows it, and the next run reads it. */
void pub_reconcile_cancel(struct pub_reconcile *r);

#endif
