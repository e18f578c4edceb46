/**
 * The quick look at one domain (`verify --lookup-only`): what its clients get, no more. The SRV set
 * as each resolver gives it, the addresses of the targets through the table that all domains share,
 * and the findings that can be made of that. No zone is sought, no name server is asked by itself,
 * and nothing is probed unless the table probes.
 *
 * The result has the form of an audit's, without zone and with resolvers for servers.
 *
 * Lifetime as net/udp_exchange.h.
 */
#ifndef KMSBEACON_RESOLVER_SURVEY_H
#define KMSBEACON_RESOLVER_SURVEY_H

#include "resolver/audit.h"

#define RSV_SURVEY_SERVERS_MAX DNS_CLIENT_SERVERS_MAX

struct rsv_survey;
/** @p r is borrowed during the call. */
typedef void rsv_survey_done_fn(struct rsv_survey *s, const struct rsv_audit_result *r);

struct rsv_survey {
	void *owner; /* the caller's */
	/* private */
	struct rsv_survey_impl *impl; /* gone before done() returns */
	rsv_survey_done_fn *done;
	uv_timer_t late; /* brings done() where nothing could be begun */
};

/**
 * Of @p p: domain, expect, own, lab, targets and shared, all as for an audit; servers are
 * resolvers, all of them asked (none: net->resolvers). expect is borrowed until done() here.
 */
void rsv_survey_start(struct rsv_survey *s, struct net *net, const struct rsv_audit_params *p,
		      rsv_survey_done_fn *done);
void rsv_survey_cancel(struct rsv_survey *s);

#endif
