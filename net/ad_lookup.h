/**
 * Ask whether a zone is AD-integrated: the questions of net/ad.h, one after the other, unsigned.
 *
 * Lifetime as udp_exchange: the caller owns struct ad_lookup, zeroed before start; done() runs
 * exactly once, from the loop, never inside start or cancel.
 */
#ifndef KMSBEACON_NET_AD_LOOKUP_H
#define KMSBEACON_NET_AD_LOOKUP_H

#include "net/ad.h"
#include "net/dns_client.h"

#define AD_LOOKUP_TOTAL_MS    3000
#define AD_LOOKUP_QUESTION_MS 2000

struct ad_lookup_params {
	struct dns_name name;        /* the zone is looked for with */
	struct dns_name zone, mname; /* unset: learned from the resolvers */
	/** Copied; keys are not used. */
	const struct dns_server *primary; /* none: the resolvers only */
	size_t n_primary;
	const struct dns_server *resolvers; /* none: net->resolvers */
	size_t n_resolvers;
};

struct ad_lookup;
/** @p ad, borrowed: where it is AD-integrated; else NULL. @p err: 0, or ERR_CANCELED; silence is no
 * error, it tells nothing. */
typedef void ad_lookup_done_fn(struct ad_lookup *l, int err, const struct net_ad *ad);

struct ad_lookup {
	void *owner; /* the caller's */
	/* private */
	enum { ADL_IDLE, ADL_ASKING, ADL_CLOSING, ADL_DONE } state;
	struct net *net;
	ad_lookup_done_fn *done;
	struct net_ad ad;
	bool found;
	int err;
	unsigned open; /* the timer, and the client that runs */
	uv_timer_t timer;
	struct dns_client client;
	struct dns_server primary[DNS_CLIENT_SERVERS_MAX], resolvers[DNS_CLIENT_SERVERS_MAX];
	size_t n_primary, n_resolvers;
};

void ad_lookup_start(struct ad_lookup *l, struct net *net, const struct ad_lookup_params *p,
		     ad_lookup_done_fn *done);
/** Harmless in any state. */
void ad_lookup_cancel(struct ad_lookup *l);

#endif
