/**
 * Addresses and health of SRV targets, each distinct (target, port) looked up and probed once,
 * however many records and domains name it. Shared by all audits of one `verify`.
 */
#ifndef KMSBEACON_RESOLVER_TARGETS_H
#define KMSBEACON_RESOLVER_TARGETS_H

#include "net/host_lookup.h"
#include "net/prober.h"

#define RSV_TARGETS_MAX      1024 /* remembered; beyond it the one not asked for the longest goes */
#define RSV_TARGETS_PARALLEL 32   /* in work at once, unless told; the rest waits */
#define RSV_TARGETS_FURTHER  4    /* addresses probed after the first one that is up */

struct rsv_targets;

struct rsv_target_result {
	int resolve_err; /* 0: n_addrs > 0 */
	bool is_alias;
	struct addr addrs[HOST_LOOKUP_ADDRS_MAX];
	size_t n_addrs;
	bool probed; /* false without a prober */
	/** All addresses were tried until one was up; else that of the last one. */
	struct probe_result probe;
	/** Another address of the same family as one that is up is not up itself: clients that take
	 * it first lose time. Of another family it may be only this machine that has no way there.
	 */
	bool has_dead;
	struct probe_result dead;
};

struct rsv_target_wait;
/** @p r is borrowed during the call; NULL when it was canceled or memory ran out. */
typedef void rsv_target_done_fn(struct rsv_target_wait *w, const struct rsv_target_result *r);

/** One question to the table, owned by who asks; lifetime as net/udp_exchange.h. */
struct rsv_target_wait {
	void *owner; /* the caller's */
	/* private */
	rsv_target_done_fn *done;
	struct rsv_targets *table; /* NULL: not waiting */
	struct rsv_target *target; /* NULL: the answer is NULL */
	struct rsv_target_wait *next;
	bool ready;
};

struct rsv_targets_params {
	const struct prober *prober;      /* NULL: addresses only. Borrowed */
	uint32_t probe_ms;                /* 0: 3000, each address */
	uint32_t resolve_ms;              /* 0: DNS_CLIENT_TOTAL_MS */
	unsigned parallel;                /* in work at once; 0: RSV_TARGETS_PARALLEL */
	const struct dns_server *servers; /* none: net->resolvers. Copied */
	size_t n_servers;
	/** Called for each target with a copy of the servers, to change their order. NULL: none. */
	void (*arrange)(void *ctx, struct dns_server *list, size_t n);
	void *arrange_ctx;
	/** Addresses in the order to try them also where nobody is probed. */
	bool in_order;
};

/** NULL without memory. */
struct rsv_targets *rsv_targets_new(struct net *net, const struct rsv_targets_params *p);
/** Cancels what runs, answers who waits with NULL; @p done (may be NULL) runs once, from the loop,
 * when all is closed and freed. */
void rsv_targets_free(struct rsv_targets *t, void (*done)(void *ctx), void *ctx);
/** Ask. done() comes from the loop, never inside, also for what is known already. */
void rsv_targets_ask(struct rsv_targets *t, const struct dns_name *target, uint16_t port,
		     struct rsv_target_wait *w, rsv_target_done_fn *done);
/** done() still comes, with NULL. The work goes on for others that wait. */
void rsv_targets_cancel(struct rsv_target_wait *w);

#endif
