#include "net/peer_count.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"

struct peer_entry {
	struct peer_entry *next;
	size_t bucket;
	size_t count;
	struct addr addr;
};

/** Multiply and fold, as wyhash does. */
static size_t bucket_of(const struct peer_count *p, const struct addr *a)
{
	uint64_t part[2] = { 0, 0 };
	__uint128_t m;

	if (a->u.sa.sa_family == AF_INET6)
		memcpy(part, &a->u.in6.sin6_addr, sizeof(part[0])); /* its /64: addr_same_peer() */
	else
		memcpy(part, &a->u.in.sin_addr, sizeof(a->u.in.sin_addr));
	m = (__uint128_t)(part[0] ^ p->seed[0]) * (part[1] ^ p->seed[1]);
	m = (__uint128_t)((uint64_t)m ^ (uint64_t)(m >> 64) ^ p->seed[0]) * (p->seed[1] | 1);
	return (size_t)((uint64_t)m ^ (uint64_t)(m >> 64)) & (PEER_COUNT_BUCKETS - 1);
}

int peer_count_init(struct peer_count *p, struct rng *rng)
{
	rng_bytes(rng, p->seed, sizeof(p->seed));
	p->n_entries = 0;
	p->buckets = calloc(PEER_COUNT_BUCKETS, sizeof(struct peer_entry *));
	return p->buckets != NULL ? ERR_OK : ERR_NOMEM;
}

void peer_count_done(struct peer_count *p)
{
	free(p->buckets);
	p->buckets = NULL;
}

int peer_count_add(struct peer_count *p, const struct addr *a, size_t max, struct peer_entry **ret)
{
	size_t b = bucket_of(p, a);
	struct peer_entry *e = p->buckets[b];

	while (e != NULL && !addr_same_peer(&e->addr, a))
		e = e->next;
	if ((e != NULL ? e->count : 0) >= max)
		return ERR_LIMIT;
	if (e == NULL) {
		e = calloc(1, sizeof(*e));
		if (e == NULL)
			return ERR_NOMEM;
		e->addr = *a;
		e->bucket = b;
		e->next = p->buckets[b];
		p->buckets[b] = e;
		p->n_entries++;
	}
	e->count++;
	*ret = e;
	return ERR_OK;
}

void peer_count_drop(struct peer_count *p, struct peer_entry *e)
{
	struct peer_entry **at = &p->buckets[e->bucket];

	if (--e->count > 0)
		return;
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	p->n_entries--;
	free(e);
}

size_t peer_count_addresses(const struct peer_count *p)
{
	return p->n_entries;
}
