/**
 * One discovery as one Windows client does it (behaviour §2.7), with each decision explained.
 *
 * In this order: a manual host is used alone and no SRV question is asked (a name without a dot is
 * looked for under the suffixes, as Windows' resolver does); a cached host is tried
 * before DNS; a lookup domain is the only one asked; otherwise the suffixes in their order, and the
 * first with a usable answer wins, or all are asked and their records put together (no source says
 * which Windows does). Its hosts are tried in the order of the profile, each with all its addresses
 * of both families before the next host (failure-modes S14). Each try leaves a line with its
 * HRESULT, as event 12288 does. Nobody answers: 0xC004F074 (profile vista: the code of the last
 * try). A parent domain is never asked in place of a suffix (no devolution).
 *
 * "Tried" means asked through the prober. Whoever wants the real thing (the lab client) hands in a
 * prober that activates: probe_result.activation and hresult then decide, so that a host which
 * answers "count too low" is the one, and "not this product" ends the search.
 *
 * Lifetime as net/udp_exchange.h. Memory is bounded by RSV_RECORDS_MAX, RSV_QUERIES_MAX,
 * RSV_ATTEMPTS_MAX and RSV_STEPS_MAX; time by total_ms.
 */
#ifndef KMSBEACON_RESOLVER_DISCOVER_H
#define KMSBEACON_RESOLVER_DISCOVER_H

#include "common/hresult.h"
#include "net/host_lookup.h"
#include "net/prober.h"
#include "resolver/cache.h"
#include "resolver/lookup.h"

#define RSV_SUFFIXES_MAX      32
#define RSV_HOSTPORT_MAX      (DNSNAME_TEXT_MAX + 8) /* "[host]:65535" */
#define RSV_STEPS_MAX         1024
#define RSV_ATTEMPTS_MAX      1024
#define RSV_DISCOVER_TOTAL_MS 60000
#define RSV_PROBE_MS          3000 /* each address */

/** Where a suffix comes from; the text forms are the JSON's. */
enum rsv_suffix_from {
	RSV_SUFFIX_LIST,        /* "list": given as a list of its own */
	RSV_SUFFIX_PRIMARY,     /* "primary": the primary DNS suffix */
	RSV_SUFFIX_AD,          /* "ad": the Active Directory domain */
	RSV_SUFFIX_CONNECTION,  /* "connection": of a connection (DHCP option 15) */
	RSV_SUFFIX_SEARCH,      /* "search": the suffix search list */
	RSV_SUFFIX_RESOLV_CONF, /* "resolv.conf": this machine's */
	RSV_SUFFIX_LOOKUP,      /* "lookup": the lookup domain (/skms-domain) */
	RSV_SUFFIX_FROM_COUNT_,
};
const char *rsv_suffix_from_name(enum rsv_suffix_from f);

/** When the host that was found is remembered (the sources disagree). */
enum rsv_cache_write {
	RSV_CACHE_ANSWERED,  /* once it has answered validly, even if the count is too low */
	RSV_CACHE_ACTIVATED, /* only where it activated the client: a mere probe never does */
};

struct rsv_discover_params {
	/** The activation type of the product (/act-type) leaves KMS out: nothing is done. */
	bool no_kms;
	/** Name or literal; NULL or "": none. Copied. */
	const char *manual_host;
	uint16_t manual_port;     /* 0: 1688 */
	const char *manual_scope; /* for the explanation: whose setting it is; NULL: all. Static */
	/** Used in place of the port of the SRV records; 0: theirs. */
	uint16_t lone_port;
	/** Read first and written on success; NULL: neither. Borrowed until done(); saving is the
	 * owner's. */
	struct rsv_cache *cache;
	const struct dns_name
		*lookup_domain;          /* NULL: none; else the suffixes are ignored. Copied */
	const struct dns_name *suffixes; /* repeated ones are asked once. Copied */
	size_t n_suffixes;
	const enum rsv_suffix_from *suffix_from; /* of each; NULL: RSV_SUFFIX_LIST. Copied */
	bool merge_suffixes;                     /* else the first with records wins */
	enum rsv_cache_write cache_write;
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
	const char *step; /* type, manual, cache, suffix, query, answer, order, resolve, probe,
			     select, remember, deadline, end */
	char *detail;
};

struct rsv_candidate {
	struct rsv_record rec;
	double probability; /* of being contacted first */
	bool resolved;      /* addrs and resolve_err mean something */
	int resolve_err;
	struct addr addrs[HOST_LOOKUP_ADDRS_MAX]; /* in the order they are tried */
	size_t n_addrs;
	bool probed;
	struct probe_result probe; /* of the address that is up, else of the last one tried */
};

/** One try at one address of a host, or at a host without one: what event 12288 is for Windows. */
struct rsv_attempt {
	char host[DNSNAME_TEXT_MAX];
	uint16_t port;
	struct addr addr; /* unset: the name has no address */
	enum rsv_source source;
	uint32_t hresult; /* 0: it is the one */
	enum probe_state state;
	double rtt_ms;
	char detail[PROBE_DETAIL_MAX];
};

/** What became of a suffix. */
struct rsv_suffix {
	enum rsv_suffix_from from;
	bool asked;
	uint32_t hresult; /* where asked; 0: it has records */
};

struct rsv_discovery {
	/** 0: the discovery came to its end, for good or bad. ERR_CANCELED, ERR_NOMEM: it did not.
	 */
	int err;
	/** HR_OK with a selected host (or the code of its valid answer, such as "count too low"),
	 * else what a Windows client shows. */
	uint32_t code;
	char text[ERR_INFO_MAX];

	bool has_selected;
	struct {
		char target[DNSNAME_TEXT_MAX];
		uint16_t port;
		struct addr addr; /* with the port */
		enum rsv_source source;
	} selected;

	enum rsv_profile profile;
	bool probing;                               /* a prober was given */
	struct dns_name domains[RSV_SUFFIXES_MAX];  /* asked or to be asked, in order */
	struct rsv_suffix suffix[RSV_SUFFIXES_MAX]; /* of each of the domains */
	size_t n_domains;
	struct dns_name domain;     /* whose answer was used, the first if several; unset: none */
	struct rsv_candidate *cand; /* in the order of contact */
	size_t n_cand;
	struct rsv_attempt *attempts; /* in the order they were made */
	size_t n_attempts;
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
/** What event 12288 shows of a host in this state. */
uint32_t rsv_probe_hresult(enum probe_state s);

#endif
