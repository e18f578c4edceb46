/**
 * The bound RPC associations to one upstream host, and the calls that wait for one (design §7.4).
 *
 * A call takes a free association; else, below `max`, a new one is made; else it waits in order, as
 * one of `queue` at most and no longer than `timeout_ms`. On an association it has `timeout_ms`
 * again. An association takes one call at a time, or KMS_POOL_MPX_CALLS where the host's bind_ack
 * carried PFC_CONC_MPX. The one used last is used first, so that in quiet times the others grow
 * old: those beyond `min` are closed after `idle_ms`. A host that closes an idle one costs nothing
 * and is told to nobody.
 *
 * An association that was idle for over KMS_POOL_STALE_MS, or has answered before, and ends before
 * the first octet of an answer may have been dead before it was used (some hosts close after each
 * answer, and what is sent meanwhile is met by a reset): the call is repeated, once, on a fresh
 * association to the same host, and nobody is told. What that one does is the host's doing.
 *
 * Several addresses of one host are tried in turn: another one after a connection that could not be
 * made or bound. Calls that wait fail together when no association is left and every address has
 * failed.
 *
 * Calls: the caller owns struct kms_pool_call; done() exactly once, from the loop, never inside
 * start or cancel. Stubs are opaque and travel in the octet order they came in.
 */
#ifndef KMSBEACON_KMSCORE_POOL_H
#define KMSBEACON_KMSCORE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "kmscore/guid.h"
#include "kmscore/kin.h"
#include "kmscore/kms_client.h"
#include "net/deadlines.h"
#include "net/net.h"

#define KMS_POOL_ADDRS_MAX  8     /* of one host; further ones are left out */
#define KMS_POOL_LINKS_MAX  4096  /* bound of `max` */
#define KMS_POOL_QUEUE_MAX  65536 /* bound of `queue` */
#define KMS_POOL_MPX_CALLS  32    /* at a time on one association that multiplexes */
#define KMS_POOL_STALE_MS   1000
#define KMS_POOL_CONNECT_MS 3000 /* default of connect_ms */

struct kms_pool;
struct kms_pool_call;

struct kms_pool_rules {
	uint32_t min, max; /* associations; min are kept open while the host is wanted */
	uint32_t idle_ms;
	uint32_t queue;
	uint32_t timeout_ms; /* in the queue; and again for the answer */
	uint32_t connect_ms; /* for connecting and the bind; 0: KMS_POOL_CONNECT_MS */
};

/** What a new connection came to: evidence about the host. Borrowed during the call. */
struct kms_pool_bound {
	const struct addr *addr;
	struct kms_client_result r; /* err 0: bound; else stage, reason ... as kms_client.h says */
	enum kms_kin kin;           /* with err 0 */
};

struct kms_pool_params {
	struct net *net; /* borrowed for the pool's life */
	struct kms_pool_rules rules;
	struct guid node_id; /* our own: kin.h */
	/** From the loop; may start and cancel calls, not free the pool. */
	void (*bound)(void *ctx, const struct kms_pool_bound *b);
	void *ctx;
};

int kms_pool_new(const struct kms_pool_params *p, struct kms_pool **ret); /* 0 or ERR_NOMEM */
/** At a reload; more associations than the new `max` are closed when they are free. */
void kms_pool_set_rules(struct kms_pool *p, const struct kms_pool_rules *rules);
/** With ports; the one in use is kept where it is still among them. Associations to an address that
 * is not among them any more are closed when they are free. None: calls fail with
 * ERR_DNS_NODATA. */
void kms_pool_set_addrs(struct kms_pool *p, const struct addr *addrs, size_t n);
/** Whether `min` associations are to be kept open; false at first, and for a host that is down. */
void kms_pool_keep_warm(struct kms_pool *p, bool warm);
/** The host has turned a connection away, maybe because it has as many as it takes: of more than
 * are kept open, the association that was idle for longest is closed. */
void kms_pool_make_room(struct kms_pool *p);
/** Calls that have not ended end with ERR_CANCELED first. @p done runs once, from the loop. */
void kms_pool_free(struct kms_pool *p, void (*done)(void *ctx), void *ctx);

/** How far a call came that failed. */
enum kms_pool_stage {
	KMS_POOL_WAITING, /* nothing of it was sent */
	KMS_POOL_SENT,    /* no octet of an answer */
	KMS_POOL_PARTIAL, /* a part of one */
};

/** Borrowed during done(). */
struct kms_pool_outcome {
	int err; /* 0; RPC_FAULT; LIMIT: the queue is full; TIMEOUT; CLOSED; RPC_MALFORMED: what
		    came is no answer; CANCELED; what the last connection failed with ... */
	enum kms_pool_stage stage;
	uint32_t fault_status; /* with RPC_FAULT */
	const uint8_t *stub;   /* with 0: of the response, put together from its fragments */
	size_t stub_len;
	bool be; /* octet order of the stub */
};

typedef void kms_pool_done_fn(struct kms_pool_call *c, const struct kms_pool_outcome *o);

struct kms_pool_call {
	void *owner; /* the caller's */
	/* private */
	struct kms_pool *pool;
	kms_pool_done_fn *done;
	const uint8_t *stub;
	size_t stub_len;
	bool be;
	bool repeated; /* on a fresh association, after a stale one */
	uint8_t state;
	uint8_t stage;
	int result; /* of a call whose end is due */
	struct kms_link *link;
	struct kms_pool_call *prev, *next; /* in the queue, or among those whose end is due */
	struct deadline deadline;
};

/** @p stub is borrowed until done(): the request's, to be sent as it is. */
void kms_pool_call_start(struct kms_pool *p, struct kms_pool_call *c, const uint8_t *stub,
			 size_t stub_len, bool be, kms_pool_done_fn *done);
/** An answer that comes later is dropped, the association goes on. Harmless in any state. */
void kms_pool_call_cancel(struct kms_pool_call *c);

struct kms_pool_status {
	size_t open; /* bound associations */
	size_t connecting;
	size_t busy; /* of `open`, with a call at least */
	size_t queued;
	size_t outstanding;   /* calls at the host */
	struct addr addr;     /* that is used now; unset: none */
	uint64_t stale;       /* calls that were repeated */
	uint64_t closed_idle; /* associations that the host closed while they were idle */
};
void kms_pool_status(const struct kms_pool *p, struct kms_pool_status *ret);

#endif
