/**
 * Which zone holds a name, and which servers answer for it, as the resolvers tell it.
 *
 * The walk begins at the name itself, which may be an apex, and follows a CNAME there. A root zone
 * is no answer: it means that nobody knows the domain. Lifetime as net/udp_exchange.h.
 */
#ifndef KMSBEACON_RESOLVER_ZONE_H
#define KMSBEACON_RESOLVER_ZONE_H

#include "net/host_lookup.h"
#include "resolver/lookup.h"
#include "resolver/shared.h"

#define RSV_NS_MAX       32   /* name servers of one zone that are looked at */
#define RSV_NS_LOOKUP_MS 5000 /* for the addresses of one of them */

struct rsv_ns {
	struct dns_name name;
	bool is_primary;                          /* the MNAME of the SOA */
	struct addr addrs[HOST_LOOKUP_ADDRS_MAX]; /* with net->dns_port */
	size_t n_addrs;
	int err; /* why there is no address */
};

struct rsv_zone_result {
	int err;               /* 0, ERR_DNS_NO_ZONE, ERR_RCODE_*, TIMEOUT, CANCELED ... */
	struct dns_name owner; /* where the CNAMEs of the name end */
	bool aliased;
	struct dns_name zone;
	struct dns_name mname;
	struct rsv_ns ns[RSV_NS_MAX]; /* the primary first, then by name */
	size_t n_ns;
	int ns_err; /* why only the primary is there: the NS set was asked for in vain */
};

struct rsv_zone_params {
	struct dns_name name;
	const struct dns_server *servers; /* asked with RD=1. Copied */
	size_t n_servers;
	struct rsv_queries *queries; /* NULL: not recorded. Borrowed until done() */
	/** Of the run: NS sets and addresses that it has need no question, and are not recorded.
	 * NULL: none. Borrowed until done(). */
	struct rsv_shared *shared;
};

struct rsv_zone_op;
/** @p r is borrowed during the call. */
typedef void rsv_zone_done_fn(struct rsv_zone_op *z, const struct rsv_zone_result *r);

struct rsv_ns_lookup {
	struct rsv_zone_op *z;
	struct host_lookup lookup;
	struct rsv_target_wait wait;
	bool running; /* one of the two */
	bool waiting; /* for the shared table */
};

enum rsv_zone_state {
	RSV_ZONE_IDLE,
	RSV_ZONE_SOA,
	RSV_ZONE_NS,
	RSV_ZONE_ADDRS,
	RSV_ZONE_CANCELING,
	RSV_ZONE_DONE,
};

struct rsv_zone_op {
	void *owner; /* the caller's */
	/* private */
	enum rsv_zone_state state;
	struct net *net;
	rsv_zone_done_fn *done;
	struct dns_server servers[DNS_CLIENT_SERVERS_MAX];
	size_t n_servers;
	struct rsv_queries *queries;
	struct rsv_shared *shared;
	struct dns_question question;
	unsigned questions; /* SOA questions put */
	struct dns_client client;
	bool asking; /* the client runs */
	struct rsv_ns_lookup lookups[RSV_NS_MAX];
	unsigned open; /* lookups that run */
	struct rsv_zone_result result;
};

void rsv_zone_op_start(struct rsv_zone_op *z, struct net *net, const struct rsv_zone_params *p,
		       rsv_zone_done_fn *done);
void rsv_zone_op_cancel(struct rsv_zone_op *z);

/**
 * What an answer to an SOA question says. Pure. @p owner: in, the name whose zone is sought; out,
 * the end of its CNAME chain.
 * @return 0 with zone and mname; -EAGAIN: nothing yet (ask the new owner where it changed, else a
 *         parent); ERR_DNS_NO_ZONE: only the root knows; ERR_DNS_CNAME_LOOP; ERR_RCODE_*.
 */
int rsv_zone_read(const struct dns_msg *m, struct dns_name *owner, struct dns_name *ret_zone,
		  struct dns_name *ret_mname);

#endif
