/**
 * Where the record of a domain lives: zone, primary, authoritative servers (design §5).
 *
 * Without `server:` the walk asks the resolvers, unsigned, beginning at the owner name itself, and
 * a signed answer with AA confirms it at the primary (MNAME). With `server:` the walk asks those
 * servers, signed, and they are the primary. A CNAME at the owner is followed.
 *
 * The confirming question is the one for the set, because the answer that there is none names the
 * zone too (RFC 2308 §3), and so one question does for two. Any other answer is followed by the
 * question for the SOA. The name servers come with that one; where it was not needed they are
 * learned when the proof needs them (`known`), together with the serial of that time.
 */
#ifndef KMSBEACON_PUBLISHER_ZONE_H
#define KMSBEACON_PUBLISHER_ZONE_H

#include "net/dns_client.h"
#include "publisher/ad_cache.h"
#include "publisher/explain.h"
#include "publisher/hosts.h"
#include "publisher/read.h"
#include "publisher/target.h"
#include "publisher/walk.h"

#define PUB_NS_MAX       32      /* name servers of one zone that are asked */
#define PUB_NS_ADDRS_MAX 4       /* addresses of one of them */
#define PUB_PRIMARY_MAX  8       /* addresses of the primary */
#define PUB_ZONE_KEEP_MS 3600000 /* a zone is learned anew after this, or after any failure */

struct pub_ns {
	struct dns_name name;
	struct addr addrs[PUB_NS_ADDRS_MAX];
	size_t n_addrs;
	int err; /* why there is no address */
};

struct pub_zone {
	struct dns_name zone;
	struct dns_name owner; /* of the records */
	bool aliased;          /* the owner is not _vlmcs._tcp.D: a CNAME led here */
	struct dns_name mname;
	uint32_t serial;
	struct dns_name primary_name; /* not set where the primary is known by address only */
	struct addr primary[PUB_PRIMARY_MAX];
	size_t n_primary;
	bool by_server; /* the primary is what the configuration says */
	bool ns_known;
	struct pub_ns *ns;
	size_t n_ns;
};

void pub_zone_free(struct pub_zone *z); /* NULL is fine */
/** Addresses of the primary as dns_client wants them, with the target's key. @return how many. */
size_t pub_zone_primary(const struct pub_zone *z, const struct pub_target *t,
			struct dns_server ret[PUB_PRIMARY_MAX]);
/** Ask this address of the primary first from now on; one that is none of its changes nothing. */
void pub_zone_prefer(struct pub_zone *z, const struct addr *a);
/** Whether SOA and NS tell that the configured server is not the one that MNAME names: a hint for
 * an explanation, no proof, since primaries may be hidden. */
bool pub_zone_is_secondary(const struct pub_zone *z);

struct pub_zone_params {
	const struct pub_target *target; /* borrowed until done, as the hosts */
	struct pub_hosts *hosts;
	uint32_t total_ms; /* 0: PUB_ZONE_TOTAL_MS */
	/** A zone found before: ask its primary for the serial and the name servers, and fill them
	 * in. NULL: find the zone. Borrowed until done. */
	struct pub_zone *known;
};
#define PUB_ZONE_TOTAL_MS 20000

/** How it ended; borrowed during done(), but for the zone. */
struct pub_zone_outcome {
	struct pub_zone *zone; /* the receiver's to free; NULL: see below. Or `known` */
	bool has_read;         /* the set came with the confirmation: */
	bool exists;           /* NOERROR */
	struct pub_read read;  /* the receiver's to free, where has_read */
	struct addr addr;      /* who answered last */
	int err;               /* ERR_CANCELED, or as in pub_failure */
	enum pub_stage stage;
	enum pub_block block;
	unsigned hint_rcode;
	struct tsig_result tsig;
	char server[PUB_SERVER_TEXT_MAX]; /* who was asked last, for a person */
	struct dns_name found;            /* the zone, as far as it got; may be unset */
	struct dns_name owner;
	struct dns_name mname;
	struct dns_name other; /* as in pub_failure; may be unset */
};

struct pub_zone_op;
typedef void pub_zone_done_fn(struct pub_zone_op *op, const struct pub_zone_outcome *o);

enum pub_zone_state {
	ZS_IDLE,
	ZS_SERVERS, /* addresses of `server:` */
	ZS_WALK,    /* one SOA question after the other */
	ZS_MNAME,   /* addresses of the primary */
	ZS_CONFIRM, /* SRV, or SOA, NS and the addresses of the name servers */
	ZS_CLOSING,
	ZS_DONE,
};

#define PUB_ZONE_WAITS PUB_NS_MAX /* not less than PUB_SERVERS_MAX */

/** Zeroed before start; lifetime as udp_exchange. */
struct pub_zone_op {
	void *owner; /* the caller's */
	/* private */
	enum pub_zone_state state;
	struct net *net;
	struct pub_zone_params p;
	pub_zone_done_fn *done;
	struct pub_walk walk;
	struct dns_client soa, ns; /* owner is set while one runs */
	uv_timer_t timer;
	unsigned open;  /* the timer and the clients that run */
	size_t waiting; /* host names that are being looked up */
	bool soa_ok, ns_ok;
	bool ns_asked_primary[PUB_NS_MAX];
	struct pub_hosts_wait waits[PUB_ZONE_WAITS];
	size_t server_of[PUB_PRIMARY_MAX]; /* `server:`: which of them has this address */
	struct pub_zone *zone;
	struct pub_zone_outcome out;
};

void pub_zone_start(struct pub_zone_op *op, struct net *net, const struct pub_zone_params *p,
		    pub_zone_done_fn *done);
void pub_zone_cancel(struct pub_zone_op *op);

/** Zones learned, by (domain, view), so that a steady state asks for nothing but the record. */
struct pub_zone_cache;

/** NULL: out of memory. */
struct pub_zone_cache *pub_zone_cache_new(void);
void pub_zone_cache_free(struct pub_zone_cache *c); /* NULL is fine */
void pub_zone_cache_clear(struct pub_zone_cache *c);
/** What is known of domain controllers; as the cache itself, but kept when it is cleared. */
struct pub_ad_cache *pub_zone_cache_ad(struct pub_zone_cache *c);
/** Borrowed until it is dropped or replaced; NULL: unknown, or older than PUB_ZONE_KEEP_MS. */
const struct pub_zone *pub_zone_cache_get(struct pub_zone_cache *c, const struct pub_target *t,
					  uint64_t now_ms);
/** Takes the zone over in any case. */
void pub_zone_cache_put(struct pub_zone_cache *c, const struct pub_target *t, struct pub_zone *z,
			uint64_t now_ms);
void pub_zone_cache_drop(struct pub_zone_cache *c, const struct pub_target *t);

#endif
