/**
 * Where the record of a domain lives: zone, primary, authoritative servers (design §5).
 *
 * Without `server:` the walk asks the resolvers, unsigned, beginning at the owner name itself, and
 * a signed SOA query that must come back with AA confirms it at the primary (MNAME). With `server:`
 * the walk asks those servers, signed, and they are the primary. A CNAME at the owner is followed.
 */
#ifndef KMSBEACON_PUBLISHER_ZONE_H
#define KMSBEACON_PUBLISHER_ZONE_H

#include "net/dns_client.h"
#include "publisher/target.h"

#define PUB_NS_MAX       32      /* name servers of one zone that are asked */
#define PUB_NS_ADDRS_MAX 4       /* addresses of one of them */
#define PUB_PRIMARY_MAX  8       /* addresses of the primary */
#define PUB_ALIAS_MAX    8       /* CNAMEs followed */
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
	uint32_t negative_ttl_s;      /* SOA minimum: how long "no such record" is remembered */
	struct dns_name primary_name; /* not set where the primary is known by address only */
	struct addr primary[PUB_PRIMARY_MAX];
	size_t n_primary;
	struct pub_ns *ns;
	size_t n_ns;
};

/** Zones learned, by (domain, view), so that a steady state asks for nothing but the record. */
struct pub_zone_cache;

/** NULL: out of memory. */
struct pub_zone_cache *pub_zone_cache_new(void);
void pub_zone_cache_free(struct pub_zone_cache *c); /* NULL is fine */
void pub_zone_cache_clear(struct pub_zone_cache *c);

#endif
