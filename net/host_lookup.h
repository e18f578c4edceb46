/**
 * The addresses of a host name: A and AAAA at once, through the resolvers, CNAMEs followed.
 *
 * A literal address is its own answer. Addresses come in RFC 6724 order as far as a connected UDP
 * socket can tell (reachable families first, IPv6 before IPv4 among those), ports set to the wanted
 * one. Lifetime as udp_exchange.
 */
#ifndef KMSBEACON_NET_HOST_LOOKUP_H
#define KMSBEACON_NET_HOST_LOOKUP_H

#include "net/dns_client.h"

#define HOST_LOOKUP_ADDRS_MAX 16
#define HOST_LOOKUP_CNAME_MAX 8

struct host_lookup_result {
	/** 0 with at least one address; ERR_RCODE_NXDOMAIN, ERR_DNS_NODATA, ERR_DNS_CNAME_LOOP,
	 * TIMEOUT ... */
	int err;
	struct addr addrs[HOST_LOOKUP_ADDRS_MAX];
	size_t n_addrs;
	uint32_t ttl;  /* seconds; the smallest of what was used */
	bool is_alias; /* the name is a CNAME, which RFC 2782 forbids for an SRV target */
	struct dns_name canonical;
};

struct host_lookup;
typedef void host_lookup_done_fn(struct host_lookup *h, const struct host_lookup_result *r);

struct host_lookup {
	void *owner; /* the caller's */
	/* private */
	struct host_lookup_impl *impl;
};

struct host_lookup_params {
	const char *host; /* name or literal; copied */
	uint16_t port;
	/** Ask these instead of net->resolvers (RD=1); copied. */
	const struct dns_server *servers;
	size_t n_servers;
	uint32_t total_ms; /* 0: DNS_CLIENT_TOTAL_MS */
	/** For reports: called for each question that ended, before done(). May be NULL. */
	void (*on_query)(void *ctx, const struct dns_question *q, const struct dns_outcome *o);
	void *on_query_ctx;
};

void host_lookup_start(struct host_lookup *h, struct net *net, const struct host_lookup_params *p,
		       host_lookup_done_fn *done);
void host_lookup_cancel(struct host_lookup *h);

#endif
