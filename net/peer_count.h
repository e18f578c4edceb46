/**
 * How many connections each client address has (each /64 of IPv6, addr_same_peer()): a hash table
 * with one entry for each that has any, so it is bounded by the connections themselves. Pure.
 *
 * The hash is keyed at random: who chooses addresses, as anybody can within an IPv6 network, cannot
 * choose collisions.
 */
#ifndef KMSBEACON_NET_PEER_COUNT_H
#define KMSBEACON_NET_PEER_COUNT_H

#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/rng.h"

#define PEER_COUNT_BUCKETS 4096 /* a power of two; 20,000 addresses: chains of 5 */

/** One address. Borrowed by each connection from it, from peer_count_add to peer_count_drop. */
struct peer_entry;

struct peer_count {
	/* private */
	uint64_t seed[2];
	struct peer_entry **buckets;
	size_t n_entries;
};

/** 0 or ERR_NOMEM. */
int peer_count_init(struct peer_count *p, struct rng *rng);
/** All entries must have been dropped. */
void peer_count_done(struct peer_count *p);
/** Count one more from @p a (its port does not matter), where it has fewer than @p max. 0,
 * ERR_LIMIT, ERR_NOMEM. */
int peer_count_add(struct peer_count *p, const struct addr *a, size_t max, struct peer_entry **ret);
void peer_count_drop(struct peer_count *p, struct peer_entry *e);
/** Distinct addresses. */
size_t peer_count_addresses(const struct peer_count *p);

#endif
