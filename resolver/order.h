/**
 * The order in which a client contacts the hosts of an SRV set (RFC 2782), and how likely each one
 * is to be first. Pure: randomness is passed in.
 *
 * The draw, within the lowest priority not yet used: shuffle, move zero weights to the front
 * (keeping their order), r uniform in 0..S inclusive where S is the sum of the weights left, take
 * the first record whose running sum reaches r, and again for each further pick.
 *
 * The set is brought into canonical order first, so that one seed gives one order whatever order
 * the records came in (failure-modes S16).
 */
#ifndef KMSBEACON_RESOLVER_ORDER_H
#define KMSBEACON_RESOLVER_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/rng.h"
#include "net/dnsmsg.h"

enum rsv_profile {
	RSV_MODERN, /* Windows 7 and later: priority, then weight */
	RSV_VISTA,  /* Vista and Server 2008: a plain shuffle */
	RSV_PROFILE_COUNT_,
};
const char *rsv_profile_name(enum rsv_profile p); /* "modern", "vista" */
bool rsv_profile_parse(const char *text, enum rsv_profile *ret);

struct rsv_record {
	struct dns_srv srv;
	uint32_t ttl; /* seconds */
};

/** Priority, target (canonical), port, weight, TTL. For qsort and comparisons. */
int rsv_record_compare(const void *a, const void *b);
/** Same target and port: one host, though perhaps two records (failure-modes S13). */
bool rsv_record_same_host(const struct rsv_record *a, const struct rsv_record *b);
/** Sort canonically and drop repeated RDATA. @return how many are left. */
size_t rsv_record_canonicalize(struct rsv_record *r, size_t n);

/** Put @p r into the order of contact; records are permuted, never dropped. */
void rsv_order(struct rsv_record *r, size_t n, enum rsv_profile profile, struct rng *rng);
/** @p ret[i]: the probability that r[i] is contacted first; they add up to 1. */
void rsv_probability(const struct rsv_record *r, size_t n, enum rsv_profile profile, double *ret);

#endif
