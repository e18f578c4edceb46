#include "kmscore/relay_routes.h"

#include <stdlib.h>

#define NONE UINT32_MAX

struct route {
	uint64_t client;
	uint64_t refused_by;
	uint64_t served_by;
	uint64_t put_ms;
	uint32_t chain; /* of the bucket; NONE: its end */
	uint32_t older, newer;
};

struct relay_routes {
	size_t max;
	size_t n;
	uint64_t life_ms;
	uint32_t oldest, newest;
	size_t n_buckets; /* a power of two */
	uint32_t *bucket;
	struct route route[];
};

struct relay_routes *relay_routes_new(size_t max, uint64_t life_ms)
{
	struct relay_routes *r = calloc(1, sizeof(*r) + max * sizeof(r->route[0]));
	size_t n_buckets = 1;

	while (n_buckets < max)
		n_buckets *= 2;
	if (r == NULL)
		return NULL;
	r->bucket = calloc(n_buckets, sizeof(r->bucket[0]));
	if (r->bucket == NULL) {
		free(r);
		return NULL;
	}
	r->max = max;
	r->life_ms = life_ms;
	r->n_buckets = n_buckets;
	r->oldest = r->newest = NONE;
	for (size_t i = 0; i < n_buckets; i++)
		r->bucket[i] = NONE;
	return r;
}

void relay_routes_free(struct relay_routes *r)
{
	if (r == NULL)
		return;
	free(r->bucket);
	free(r);
}

static uint32_t *bucket_of(const struct relay_routes *r, uint64_t client, uint64_t refused_by)
{
	uint64_t h = (client ^ refused_by << 32 ^ refused_by >> 32) * UINT64_C(0x9E3779B97F4A7C15);

	return &r->bucket[h >> 32 & (r->n_buckets - 1)];
}

static uint32_t find(const struct relay_routes *r, uint64_t client, uint64_t refused_by)
{
	uint32_t i = *bucket_of(r, client, refused_by);

	while (i != NONE && (r->route[i].client != client || r->route[i].refused_by != refused_by))
		i = r->route[i].chain;
	return i;
}

static void unlink_age(struct relay_routes *r, uint32_t i)
{
	struct route *e = &r->route[i];

	if (e->older != NONE)
		r->route[e->older].newer = e->newer;
	else
		r->oldest = e->newer;
	if (e->newer != NONE)
		r->route[e->newer].older = e->older;
	else
		r->newest = e->older;
}

static void link_newest(struct relay_routes *r, uint32_t i)
{
	r->route[i].older = r->newest;
	r->route[i].newer = NONE;
	if (r->newest != NONE)
		r->route[r->newest].newer = i;
	else
		r->oldest = i;
	r->newest = i;
}

static void unlink_chain(struct relay_routes *r, uint32_t i)
{
	uint32_t *at = bucket_of(r, r->route[i].client, r->route[i].refused_by);

	while (*at != i)
		at = &r->route[*at].chain;
	*at = r->route[i].chain;
}

/** A free place, which may be that of the oldest. */
static uint32_t take_place(struct relay_routes *r)
{
	uint32_t i = r->oldest;

	if (r->n < r->max)
		return (uint32_t)r->n++;
	unlink_age(r, i);
	unlink_chain(r, i);
	return i;
}

void relay_routes_put(struct relay_routes *r, uint64_t client, uint64_t refused_by,
		      uint64_t served_by, uint64_t now_ms)
{
	uint32_t i = find(r, client, refused_by);

	if (i != NONE) {
		unlink_age(r, i);
	} else {
		uint32_t *head = bucket_of(r, client, refused_by);

		i = take_place(r);
		r->route[i].client = client;
		r->route[i].refused_by = refused_by;
		r->route[i].chain = *head;
		*head = i;
	}
	r->route[i].served_by = served_by;
	r->route[i].put_ms = now_ms;
	link_newest(r, i);
}

bool relay_routes_get(const struct relay_routes *r, uint64_t client, uint64_t refused_by,
		      uint64_t now_ms, uint64_t *ret_served_by)
{
	uint32_t i = find(r, client, refused_by);

	if (i == NONE || now_ms - r->route[i].put_ms >= r->life_ms)
		return false;
	*ret_served_by = r->route[i].served_by;
	return true;
}

size_t relay_routes_count(const struct relay_routes *r)
{
	return r->n;
}
