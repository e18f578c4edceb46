/**
 * The insides of a pool: what pool.c (calls, the queue, the outside) and pool_link.c (associations,
 * when to make and to close them) share.
 */
#ifndef KMSBEACON_KMSCORE_POOL_PRIV_H
#define KMSBEACON_KMSCORE_POOL_PRIV_H

#include "kmscore/link.h"
#include "kmscore/pool.h"

/* After every address has failed, and after a host has closed an association, for one that no call
 * needs at once. */
#define POOL_PAUSE_MS 1000
/* Calls of an association that multiplexes whose answers are overdue or not wanted any more: with
 * so many of them it gets no new calls. */
#define POOL_DROPPED_MAX 8

enum pool_link_state { PL_CONNECTING, PL_OPEN, PL_CLOSING };

struct pool_link {
	struct kms_link link;
	struct kms_pool *pool;
	struct addr addr;
	enum pool_link_state state;
	bool busy;     /* open, with a call at least; dropped ones count */
	bool retiring; /* gets no new calls */
	bool answered; /* a call, at some time */
	bool was_idle; /* for over KMS_POOL_STALE_MS, when the calls on it began */
	bool is_free;
	uint64_t used_ms;              /* net's clock: when it became idle */
	uint64_t dropped_at;           /* the loop's: when the dropped calls are overdue */
	struct deadline deadline;      /* of being idle, or of dropped calls */
	struct pool_link *prev, *next; /* of all */
	struct pool_link *free_prev, *free_next;
	struct pool_link *unsent_next;
	bool is_unsent;
};

struct pool_call_list {
	struct kms_pool_call *head, *tail;
};

struct kms_pool {
	struct kms_pool_params p;
	struct addr addrs[KMS_POOL_ADDRS_MAX];
	bool failed[KMS_POOL_ADDRS_MAX]; /* in this round */
	size_t n_addrs, cur;
	bool warm;
	bool multiplexes; /* the host did, when it was bound last */
	bool freeing;
	bool closing; /* the handles */
	struct pool_link *links;
	struct pool_link *free_head, *free_tail; /* with room for a call; used last is first */
	struct pool_link *unsent; /* with requests that go out when this turn of the loop ends */
	size_t n_links, n_connecting, n_open, n_busy, n_queued, n_outstanding;
	struct pool_call_list queue;
	struct pool_call_list ending; /* done() is due */
	struct deadlines call_deadlines, link_deadlines;
	uint64_t grow_after, warm_after; /* the loop's time */
	uv_prepare_t prepare;            /* runs while there is something unsent */
	uv_timer_t timer;
	unsigned open_handles;
	bool in_timer;
	uint64_t armed_at; /* UINT64_MAX: not */
	uint64_t stale, closed_idle;
	void (*done)(void *ctx);
	void *done_ctx;
};

enum pool_call_state { PC_IDLE, PC_QUEUED, PC_SENT, PC_ENDING };

/* pool.c */
/** done() is due, with @p err; from whatever state but PC_ENDING. */
void pool_call_end(struct kms_pool_call *c, int err, enum kms_pool_stage stage);
/** Send it over @p l, which has room. */
void pool_call_put(struct kms_pool_call *c, struct pool_link *l);
/** Wait again, before all others. */
void pool_call_repeat(struct kms_pool_call *c);
/** An answer, or a fault, has come. */
void pool_call_answer(struct kms_pool_call *c, const struct rpc_client_answer *a);
void pool_queue_fail(struct kms_pool *p, int err);
/** The end of each callback of the loop: done() of what is due, then the timer. */
void pool_settle(struct kms_pool *p);

/* pool_link.c */
/** An association with room; NULL: none. */
struct pool_link *pool_link_free(struct kms_pool *p);
/** It has one call more. */
void pool_link_began(struct pool_link *l);
/** The answer to @p c is not wanted any more, and due at @p at; 0: overdue. */
void pool_link_drop(struct pool_link *l, struct kms_pool_call *c, uint64_t at);
/** Without calls that are wanted; whoever has them has ended them. */
void pool_link_close(struct pool_link *l);
/** No new calls: it is closed at once, or when nobody waits for an answer from it any more. */
void pool_link_retire(struct pool_link *l);
void pool_link_due(struct pool_link *l);
/** It may end from idle_ms from now on, though it was kept open so far; nothing where it is at
 * work. May close it. */
void pool_link_age(struct pool_link *l);
/** Connect where calls wait or warmth wants it. */
void pool_grow(struct kms_pool *p);
/** When pool_grow() is to be called again; UINT64_MAX: no need. */
uint64_t pool_grow_at(const struct kms_pool *p);
/** May one more call wait? */
bool pool_has_room(const struct kms_pool *p);
bool pool_link_is_wanted(const struct pool_link *l);

#endif
