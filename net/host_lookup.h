/**
 * The addresses of a host name: A and AAAA at once, through the resolvers, CNAMEs followed.
 *
 * A literal address is its own answer, and so is "localhost" (RFC 6761 §6.3). Addresses come in the
 * order of RFC 6724 (addr_select.h), with the source address that a connected UDP socket shows;
 * ports set to the wanted one; no address comes twice.
 *
 * When one of A and AAAA has given addresses the other gets HOST_LOOKUP_OTHER_MS more, enough for
 * one lost packet: a server that drops one type must not hold up the other.
 *
 * Lifetime as udp_exchange: the caller owns struct host_lookup, which stays put from start until
 * done(); done() exactly once, from the loop, never inside start or cancel.
 */
#ifndef KMSBEACON_NET_HOST_LOOKUP_H
#define KMSBEACON_NET_HOST_LOOKUP_H

#include "net/dns_client.h"

#define HOST_LOOKUP_ADDRS_MAX 16
#define HOST_LOOKUP_CNAME_MAX 8
#define HOST_LOOKUP_OTHER_MS  (DNS_CLIENT_ATTEMPT_MS + 500)

struct host_lookup_result {
	/** 0 with at least one address; ERR_PARSE (no host name), ERR_RCODE_NXDOMAIN,
	 * ERR_DNS_NODATA, ERR_DNS_CNAME_LOOP, TIMEOUT ... NXDOMAIN and NODATA only where neither A
	 * nor AAAA failed in another way (failure-modes S08). */
	int err;
	struct addr addrs[HOST_LOOKUP_ADDRS_MAX];
	size_t n_addrs;
	uint32_t ttl;  /* seconds; the smallest of what was used; UINT32_MAX for a literal */
	bool is_alias; /* the name is a CNAME, which RFC 2782 forbids for an SRV target */
	struct dns_name canonical; /* the end of the chain; unset for a literal */
};

struct host_lookup;
typedef void host_lookup_done_fn(struct host_lookup *h, const struct host_lookup_result *r);

struct host_lookup {
	void *owner; /* the caller's */
	/* private */
	uv_timer_t timer;
	host_lookup_done_fn *done;
	struct host_lookup_impl
		*impl; /* from start until done(); NULL also where there is no memory */
};

struct host_lookup_params {
	const char *host; /* name or literal, without port; copied */
	uint16_t port;
	/** Ask these instead of net->resolvers (RD=1); copied. */
	const struct dns_server *servers;
	size_t n_servers;
	uint32_t total_ms; /* of it all; 0: DNS_CLIENT_TOTAL_MS */
	/** Nobody will connect: IPv6 first, else as they came, which spares a socket for each. */
	bool any_order;
	/** For reports: called for each question that ended, before done(). May be NULL. */
	void (*on_query)(void *ctx, const struct dns_question *q, const struct dns_outcome *o);
	void *on_query_ctx;
};

void host_lookup_start(struct host_lookup *h, struct net *net, const struct host_lookup_params *p,
		       host_lookup_done_fn *done);
void host_lookup_cancel(struct host_lookup *h);

#endif
