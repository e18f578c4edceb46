/**
 * What the audits of one run need not learn twice: addresses of name servers, the name servers of
 * zones, and who does not answer at all. Every table is bounded; what was not asked for the longest
 * is forgotten. A run takes seconds to minutes, so nothing in it grows old: a new run begins with a
 * new one.
 */
#ifndef KMSBEACON_RESOLVER_SHARED_H
#define KMSBEACON_RESOLVER_SHARED_H

#include "resolver/targets.h"

#define RSV_SHARED_ZONES_MAX 256
#define RSV_SHARED_PEERS_MAX 1024
/** Operations in a row in which a server was silent, after which it is left alone... */
#define RSV_SILENT_AFTER 3
/** ... but for one question in so many, which notices when it is back. */
#define RSV_SILENT_RETRY 64

struct rsv_shared;

/** @p servers: who is asked for addresses of name servers. Copied. NULL without memory. */
struct rsv_shared *rsv_shared_new(struct net *net, const struct dns_server *servers, size_t n);
/** @p done runs once, from the loop. Who waits at a table is answered with NULL. */
void rsv_shared_free(struct rsv_shared *s, void (*done)(void *ctx), void *ctx);

/** Addresses of name servers, by name and port. */
struct rsv_targets *rsv_shared_hosts(struct rsv_shared *s);

/** The names in the NS set of @p zone, borrowed until the next call; NULL: not known. */
const struct dns_name *rsv_shared_zone(struct rsv_shared *s, const struct dns_name *zone,
				       size_t *ret_n);
/** Remember them; without memory it is not remembered. */
void rsv_shared_zone_add(struct rsv_shared *s, const struct dns_name *zone,
			 const struct dns_name *ns, size_t n);

/** Whether to ask the server at @p a: false while it is known to be silent, and its time for a
 * retry has not come. */
bool rsv_shared_worth_asking(struct rsv_shared *s, const struct addr *a);
/** Silent servers behind the others, else in their order: for a list of which one is enough. The
 * arrange() of a table of targets; @p shared is the struct rsv_shared. */
void rsv_shared_arrange(void *shared, struct dns_server *list, size_t n);
/** An operation with it ended: in silence, or in any other way. */
void rsv_shared_heard(struct rsv_shared *s, const struct addr *a, bool silent);

#endif
