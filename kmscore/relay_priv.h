/** The inside of the relay, for relay.c (its life, the list of hosts), upstream.c (one host:
 * health, probes, trials, counters) and relay_call.c (one call). */
#ifndef KMSBEACON_KMSCORE_RELAY_PRIV_H
#define KMSBEACON_KMSCORE_RELAY_PRIV_H

#include "common/log.h"
#include "kmscore/kms_client.h"
#include "kmscore/latency.h"
#include "kmscore/relay.h"
#include "kmscore/relay_choice.h"
#include "kmscore/relay_judge.h"
#include "kmscore/relay_routes.h"

/** A copy of a client's request, sent to a host that fails requests to see whether it still does.
 * The client itself is served by another host and does not wait for it. */
struct upstream_trial {
	bool running;
	uint8_t *stub;
	struct addr client;
	uint64_t started_ns;
	struct kms_pool_call pool_call;
};

struct upstream {
	struct relay *relay;
	char name[RELAY_NAME_MAX];
	size_t index; /* in relay.up; of no meaning with `gone` */
	bool started; /* health and pool know its addresses */
	bool gone;    /* not in the list any more: freed when nothing needs it */
	bool freeing; /* its pool is on its way out */
	size_t refs;  /* calls that point here */
	struct addr addrs[KMS_POOL_ADDRS_MAX];
	size_t n_addrs;
	size_t probe_turn; /* the address that the next probe goes to */
	bool probing;
	struct kms_client probe;
	struct kms_pool *pool;
	struct upstream_health health;
	struct upstream_trial trial;
	int64_t since_ms; /* wall clock */
	uint64_t requests, failed;
	struct latency latency;
	struct relay_hresult hresults[RELAY_HRESULTS_MAX];
	size_t n_hresults;
	uint64_t other_hresults;
	char last_error[RELAY_DETAIL_MAX];
	int64_t last_error_ms;
	struct upstream *next; /* among those that are gone */
};

/** What relay_params.changed() is about. */
struct relay_shows {
	bool available;
	bool available_to_relays;
	bool up;
	bool known;
};

struct relay {
	struct net *net;
	struct relay_params p; /* its rules are `rules` */
	struct relay_rules rules;
	struct upstream_rules health; /* the part of them that health takes */
	struct log_ctx log;
	struct upstream *up[RELAY_UPSTREAMS_MAX];
	struct relay_candidate candidate[RELAY_UPSTREAMS_MAX]; /* of the same index */
	size_t n_up;
	bool listed;      /* relay_set_upstreams() was called */
	size_t n_failing; /* hosts whose class depends on the time */
	struct upstream *gone;
	struct relay_routes *routes;
	struct relay_call *first,
		*last; /* calls that have time left, in the order of their start */
	struct relay_call *due, *due_last; /* calls whose end is to be told */
	size_t n_calls;
	uv_timer_t timer;
	uint64_t timer_ms; /* when it fires; UINT64_MAX: not set */
	struct relay_shows shows;
	bool freeing;
	void (*freed)(void *ctx);
	void *freed_ctx;
};

/* relay.c */

/** Look at everything at @p at_ms, at the latest. */
void relay_wake(struct relay *r, uint64_t at_ms);
uint64_t relay_now(const struct relay *r);
/** Tell the owner, if what it sees is another. */
void relay_tell_changed(struct relay *r);

/* upstream.c */

/** NULL: no memory. */
struct upstream *upstream_new(struct relay *r, const struct relay_upstream *p);
/** New addresses, where they are others. */
void upstream_set_addrs(struct upstream *u, const struct addr *addrs, size_t n);
/** It is not in the list any more: upstream_free() when upstream_is_idle(). */
void upstream_leave(struct upstream *u);
bool upstream_is_idle(const struct upstream *u);
void upstream_free(struct upstream *u, void (*done)(void *ctx), void *ctx);
/** Its class by the present time. */
void upstream_refresh(struct upstream *u);
void upstream_probe(struct upstream *u);
uint64_t upstream_probe_at(const struct upstream *u);
void upstream_ref(struct upstream **at, struct upstream *u);
void upstream_unref(struct upstream **at);
/** A request came to this there: counters. @p ms: how long it took. */
void upstream_count(struct upstream *u, const struct relay_judgement *j,
		    const struct kms_pool_outcome *o, double ms);
/** A request came to this there: health. */
void upstream_tell(struct upstream *u, enum upstream_result result, uint32_t status,
		   const struct addr *client, bool proven);
/** Begin a trial with a copy of this call's request. Without effect where there is no memory. */
void upstream_try(struct upstream *u, const struct relay_call *c);
void upstream_status(const struct upstream *u, struct relay_upstream_status *ret);

/* relay_call.c */

/** Time is up for it. */
void relay_call_expire(struct relay_call *c);
/** Tell its end, which is due. */
void relay_call_deliver(struct relay_call *c);
/** A host went down: calls that wait there go to another one, where there is one. */
void relay_calls_leave(struct relay *r, const struct upstream *u);

#endif
