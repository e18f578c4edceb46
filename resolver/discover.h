/**
 * One discovery as one Windows client does it (behaviour §2.7), with each decision explained.
 *
 * In this order: a manual host is used alone and no SRV question is asked; a cached host is tried
 * before DNS; a lookup domain is the only one asked; otherwise the suffixes in their order, and the
 * first with a usable answer wins (an assumption of ours: no source says whether several are
 * merged). Its hosts are tried in the order of the profile, each with all its addresses of both
 * families before the next host (failure-modes S14). Nobody answers: 0xC004F074.
 *
 * "Tried" means asked through the prober. Whoever wants the real thing (the lab client) hands in a
 * prober whose `up` is an activation that was answered.
 *
 * Lifetime as net/udp_exchange.h. Memory is bounded by RSV_RECORDS_MAX, RSV_QUERIES_MAX and
 * RSV_STEPS_MAX; time by total_ms.
 */
#ifndef KMSBEACON_RESOLVER_DISCOVER_H
#define KMSBEACON_RESOLVER_DISCOVER_H

#include "common/hresult.h"
#include "net/host_lookup.h"
#include "net/prober.h"
#include "resolver/cache.h"
#include "resolver/lookup.h"

#define RSV_SUFFIXES_MAX      32
#define RSV_STEPS_MAX         1024
#define RSV_DISCOVER_TOTAL_MS 60000
#define RSV_PROBE_MS          3000 /* each address */

struct rsv_discover_params {
	/** Name or literal; NULL or "": none. Copied. */
	const char *manual_host;
	uint16_t manual_port; /* 0: 1688 */
	/** Read first and written on success; NULL: neither. Borrowed until done(); saving is the
	 * owner's. */
	struct rsv_cache *cache;
	const struct dns_name
		*lookup_domain;          /* NULL: none; else the suffixes are ignored. Copied */
	const struct dns_name *suffixes; /* repeated ones are asked once. Copied */
	size_t n_suffixes;
	/** Resolvers asked with RD=1; none: net->resolvers. Copied. */
	const struct dns_server *servers;
	size_t n_servers;
	enum rsv_profile profile;
	/** NULL: nobody is asked, the first host with an address is selected. Borrowed. */
	const struct prober *prober;
	struct rng *rng;   /* of the draw (`--seed`); NULL: net->rng. Borrowed */
	uint32_t probe_ms; /* 0: RSV_PROBE_MS */
	uint32_t total_ms; /* 0: RSV_DISCOVER_TOTAL_MS */
	/** For reports: after the decision also look up the addresses of the hosts not tried. */
	bool resolve_all;
};

/** One decision, as a word and a sentence. */
struct rsv_step {
	const char *step; /* manual, cache, suffix, query, answer, order, resolve, probe, select,
			     remember, deadline, end */
	char *detail;
};

struct rsv_candidate {
	struct rsv_record rec;
	double probability; /* of being contacted first */
	bool resolved;      /* addrs and resolve_err mean something */
	int resolve_err;
	bool target_is_alias;
	struct addr addrs[HOST_LOOKUP_ADDRS_MAX]; /* in the order they are tried */
	size_t n_addrs;
	bool probed;
	struct probe_result probe; /* of the address that is up, else of the last one tried */
};

struct rsv_discovery {
	/** 0: the discovery came to its end, for good or bad. ERR_CANCELED, ERR_NOMEM: it did not.
	 */
	int err;
	uint32_t code; /* HR_OK with a selected host, else what a Windows client shows */
	char text[ERR_INFO_MAX];

	bool has_selected;
	struct {
		char target[DNSNAME_TEXT_MAX];
		uint16_t port;
		struct addr addr; /* with the port */
		enum rsv_source source;
	} selected;

	enum rsv_profile profile;
	bool probing;                              /* a prober was given */
	struct dns_name domains[RSV_SUFFIXES_MAX]; /* asked or to be asked, in order */
	size_t n_domains;
	struct dns_name domain;     /* whose answer was used; unset: none */
	struct rsv_candidate *cand; /* in the order of contact */
	size_t n_cand;
	struct rsv_step *steps;
	size_t n_steps;
	struct rsv_queries queries;
	/** Seconds in which the same questions get the same answers out of a resolver's cache: the
	 * smallest TTL of what was used. 0: an authoritative server answered, or one failed;
	 * UINT32_MAX: nothing was asked. */
	uint32_t keep_s;
};

struct rsv_discover;
/** @p r is borrowed during the call. */
typedef void rsv_discover_done_fn(struct rsv_discover *d, const struct rsv_discovery *r);

struct rsv_discover {
	void *owner; /* the caller's */
	/* private */
	struct rsv_discover_impl *impl; /* gone before done() returns */
	rsv_discover_done_fn *done;
	uv_timer_t deadline;
};

/** Start; every end arrives through @p done. */
void rsv_discover_start(struct rsv_discover *d, struct net *net,
			const struct rsv_discover_params *p, rsv_discover_done_fn *done);
void rsv_discover_cancel(struct rsv_discover *d);

/** What a client shows where the lookup of the SRV set ended with @p err (behaviour §2.3). */
uint32_t rsv_lookup_hresult(int err);

#endif
