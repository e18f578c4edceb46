/**
 * The SRV set `_vlmcs._tcp.DOMAIN`, asked of given servers.
 *
 * CNAMEs are followed within the answer and by further questions, with a bound (failure-modes S05).
 * Every question that was put is recorded for reports. Lifetime as net/udp_exchange.h.
 */
#ifndef KMSBEACON_RESOLVER_LOOKUP_H
#define KMSBEACON_RESOLVER_LOOKUP_H

#include "net/dns_client.h"
#include "resolver/order.h"

struct rsv_lookup;

#define RSV_SRV_LABELS  "_vlmcs._tcp"
#define RSV_CNAME_MAX   8
#define RSV_RECORDS_MAX 1024 /* records of one set that are kept, lowest priority first */
#define RSV_QUERIES_MAX 4096 /* questions recorded of one operation */

/** One question and how it ended: a row of the report's `queries[]`. */
struct rsv_query {
	struct dns_name name;
	uint16_t type;
	struct addr server; /* who answered or failed last; unset where nothing was sent */
	int err;            /* as struct dns_outcome */
	bool answered;      /* rcode and answers mean something */
	uint16_t rcode;
	size_t answers; /* records in the answer section */
	double rtt_ms;
	bool tcp;
};

/** A growing list of them, with the bound above. Zeroed is empty. */
struct rsv_queries {
	struct rsv_query *q;
	size_t n;
	size_t cap;
	size_t left_out; /* past the bound, or without memory */
};
/** Record one, or count that it is left out. */
void rsv_queries_add(struct rsv_queries *l, const struct dns_question *q,
		     const struct dns_outcome *o);
void rsv_queries_done(struct rsv_queries *l);

/** What an answer says about the set. */
struct rsv_set {
	struct rsv_record *rec; /* canonical order, without "." targets; owned by the set */
	size_t n;
	bool absent;    /* a record with the target ".": "no such service here" (RFC 2782, S04) */
	bool aliased;   /* reached through a CNAME */
	bool truncated; /* more than RSV_RECORDS_MAX: the rest was dropped */
	bool mixed_ttl; /* the TTLs of the set differ, against RFC 2181 §5.2 */
	struct dns_name owner;         /* of the records: the end of the CNAME chain */
	unsigned hops;                 /* CNAMEs followed */
	uint32_t ttl;                  /* seconds; the smallest of chain and set */
	uint32_t negative_ttl;         /* seconds that a resolver may keep the "no"; 0: not told */
	struct dns_name negative_zone; /* whose SOA came with the "no"; unset: none */
};
void rsv_set_done(struct rsv_set *s);

/**
 * Read the set for @p qname out of one answer. Pure.
 * @return 0: @p ret is filled (n may be 0 with `absent`). ERR_DNS_NODATA: no record of the type.
 *         ERR_DNS_NOT_AUTH: a referral, which says nothing. ERR_DNS_CNAME_LOOP. ERR_RCODE_*: what
 *         the message says. -EAGAIN: the chain leads to ret->owner, about which the message says
 *         nothing: ask again. ERR_NOMEM. Always, with an ERR_RCODE_* too: aliased, owner, hops, ttl
 *         and negative_ttl as far as they are known; rsv_set_done() is harmless.
 */
int rsv_set_read(const struct dns_msg *m, const struct dns_name *qname, struct rsv_set *ret);

struct rsv_lookup_result {
	/** 0: set.n > 0 or set.absent. ERR_RCODE_NXDOMAIN, ERR_DNS_NODATA, ERR_RCODE_SERVFAIL,
	 * TIMEOUT, ERR_NO_SERVER, ERR_DNS_CNAME_LOOP ... */
	int err;
	struct rsv_set set;
	bool aa;            /* of the last answer */
	struct addr server; /* who gave it */
};

struct rsv_lookup_params {
	struct dns_name name; /* the owner name itself, with its _vlmcs._tcp labels */
	/** Copied; net->resolvers where there is none. */
	const struct dns_server *servers;
	size_t n_servers;
	bool rd;                     /* recursion desired: true for resolvers */
	uint32_t total_ms;           /* 0: DNS_CLIENT_TOTAL_MS */
	struct rsv_queries *queries; /* appended to; NULL: not recorded. Borrowed until done() */
};

/** @p r is borrowed during the call; who wants to keep r->set copies the struct and zeroes r's. */
typedef void rsv_lookup_done_fn(struct rsv_lookup *l, struct rsv_lookup_result *r);

enum rsv_lookup_state {
	RSV_LOOKUP_IDLE,
	RSV_LOOKUP_ASKING,
	RSV_LOOKUP_CANCELING,
	RSV_LOOKUP_DONE,
};

struct rsv_lookup {
	void *owner; /* the caller's */
	/* private */
	enum rsv_lookup_state state;
	struct net *net;
	rsv_lookup_done_fn *done;
	struct dns_server servers[DNS_CLIENT_SERVERS_MAX];
	size_t n_servers;
	struct dns_question question;
	struct rsv_queries *queries;
	struct dns_client client;
	uint64_t end_ms; /* loop time */
	unsigned hops;   /* of the CNAME chain, over all questions */
	uint32_t chain_ttl;
	struct rsv_lookup_result result;
};

void rsv_lookup_start(struct rsv_lookup *l, struct net *net, const struct rsv_lookup_params *p,
		      rsv_lookup_done_fn *done);
void rsv_lookup_cancel(struct rsv_lookup *l);

/** `_vlmcs._tcp` before @p domain. 0 or ERR_LIMIT. */
int rsv_srv_name(const struct dns_name *domain, struct dns_name *ret);

#endif
