/** One target on its way through a reconcile: private to item*.c and reconcile.c. */
#ifndef KMSBEACON_PUBLISHER_ITEM_H
#define KMSBEACON_PUBLISHER_ITEM_H

#include "common/log.h"
#include "net/ad.h"
#include "publisher/check.h"
#include "publisher/index.h"
#include "publisher/proof.h"
#include "publisher/reconcile.h"

#define PUB_RACES_MAX     3   /* times a set may change under us before we give up */
#define PUB_RACE_PAUSE_MS 500 /* at most, times the number of the try: two daemons part ways */

enum pub_item_state {
	IT_NEW,
	IT_TURN,    /* waits for its turn to ask */
	IT_ZONE,    /* zone discovery */
	IT_READ,    /* SRV at the primary */
	IT_SIBLING, /* a name that cannot exist, to tell a wildcard's answer from records */
	IT_CHECK,   /* addresses of the targets it would add */
	IT_PLANNED, /* waits for the wave's journal transaction */
	IT_QUEUE,   /* waits for its turn to update at its server */
	IT_UPDATE,  /* the UPDATE is out */
	IT_PAUSE,   /* before reading again after a lost race */
	IT_NAMES,   /* the name servers of the zone, in turn */
	IT_PROOF,
	IT_AD, /* it failed; is the zone AD-integrated, or the server a secondary? */
	IT_DONE,
};

struct pub_run;

struct pub_item {
	struct pub_run *run;
	const struct pub_target *target;
	struct net net; /* the run's, with the target's source */
	enum pub_item_state state;
	bool reading;  /* the wave waits for it */
	bool in_wave;  /* its intents are in the transaction that is being written */
	bool updating; /* its UPDATE is out, or waits for its turn */
	int stop_err;  /* told to end: with this */
	struct pub_turn turn;
	struct dns_client client;
	struct pub_zone_op *zone_op;
	struct pub_proof_op *proof_op;
	struct pub_check check;
	uv_timer_t pause;
	const struct pub_zone *zone; /* own_zone, or of the cache */
	struct pub_zone *own_zone;
	bool from_cache;
	struct pub_read read;
	bool exists; /* the name, as the primary answers: NOERROR */
	struct dns_name sibling;
	enum pub_want *want;
	struct pub_plan plan;
	unsigned races;
	bool updated;           /* an UPDATE was answered NOERROR */
	uint32_t serial_before; /* of the zone, when that UPDATE left or earlier */
	enum pub_stage failed_at;
	struct dns_name failed_mname; /* where the zone failed */
	struct net_ad *ad;
	bool ad_asked; /* at most once */
	bool ad_out;   /* a question is */
	struct pub_hosts_wait primary_wait;
	struct pub_findings findings;
	struct pub_proof *proof;   /* what result->proof points to */
	struct pub_result *result; /* in the run's list */
};

enum pub_run_state { RUN_WORKING, RUN_SETTLING, RUN_CLOSING };

struct pub_run {
	struct pub_reconcile *r;
	struct net *net;
	struct pub_reconcile_params p;
	char *host; /* copy of the request's */
	pub_reconcile_done_fn *done;
	enum pub_run_state state;
	struct pub_targets *targets;
	struct pub_item *items;
	struct pub_result *results; /* [i] is that of items[i] */
	size_t n_items;
	size_t n_reading, n_planned, n_updating, n_done;
	size_t n_unsettled; /* ended since the journal was written */
	struct pub_turns asking;
	struct pub_index updating; /* struct pub_turns by address of the primary */
	struct pub_hosts *hosts;
	struct pub_ad_cache *ad; /* of the zone cache, else own_ad */
	struct pub_ad_cache *own_ad;
	struct pub_sync sync;
	bool busy; /* writing, or going over the items: pub_run_check() waits */
	bool journal_failed;
	uv_timer_t timer;
	uint64_t deadline_ms;
	unsigned open; /* the timer, the table of hosts */
	int err;
	struct log_ctx log;
};

static inline bool pub_run_withdraws(const struct pub_run *run)
{
	return run->p.request.mode == PUB_WITHDRAW || run->p.request.mode == PUB_DRAIN ||
	       run->p.request.mode == PUB_STOP;
}

/** Time left, at most @p max_ms and at least 1. */
uint32_t pub_run_left_ms(const struct pub_run *run, uint32_t max_ms);
/** Turns at the server that takes the updates of @p addr; NULL: out of memory. */
struct pub_turns *pub_run_updates_at(struct pub_run *run, const struct addr *addr);
/** Something ended or was planned: see what comes next. */
void pub_run_check(struct pub_run *run);

/** Begin; ends in IT_PLANNED or IT_DONE. */
void pub_item_start(struct pub_item *it);
/** The journal is written (or not: run->journal_failed): go on from IT_PLANNED. */
void pub_item_go(struct pub_item *it);
/** End soon, with @p err: nothing is waited for that can be cancelled. Harmless when done. */
void pub_item_stop(struct pub_item *it, int err);
void pub_item_done(struct pub_item *it);
/** The result is there: take leave of the run. */
void pub_item_end(struct pub_item *it);

/* item_ad.c */
/** Whether the result may come from an AD-integrated zone, so that this is found out before the
 * item ends; it then ends itself. */
bool pub_item_ad_start(struct pub_item *it);
/** In IT_AD: end soon, with the result that is there. */
void pub_item_ad_stop(struct pub_item *it);

/* item_plan.c */
int pub_item_plan(struct pub_item *it);
/** Bring the journal's memory up to date with marks of one kind. */
void pub_item_mark(struct pub_item *it, enum pub_mark_when when);
/** Whether what was read may come from a wildcard, and matters: then a sibling is asked for. */
bool pub_item_may_be_wildcard(const struct pub_item *it);
/** A name beside the owner that nobody has. 0, ERR_LIMIT. */
int pub_item_sibling(const struct pub_item *it, struct dns_name *ret);
/** Take in the answer to the question for it. 0, ERR_NOMEM. */
int pub_item_judge_sibling(struct pub_item *it, const struct dns_msg *m,
			   const struct dns_name *sibling);
/** The rows of this target; NULL: none, or no journal. */
struct pub_set *pub_item_set(const struct pub_item *it);

/* item_result.c */
/** Whether an UPDATE of the set is known to have been taken. */
bool pub_item_worked_before(const struct pub_item *it);
/** Put down how it failed; the facts that are missing in @p f are filled in. */
void pub_item_fail(struct pub_item *it, const struct pub_failure *f);
void pub_item_fail_zone(struct pub_item *it, const struct pub_zone_outcome *o);
/** Put down what the proof says; takes the list of servers. */
void pub_item_prove(struct pub_item *it, struct pub_proof_outcome *o);
/** Names, findings and the event: once, at the end. */
void pub_item_finish_result(struct pub_item *it);

#endif
