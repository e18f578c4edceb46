#include "kmscore/relay_choice.h"

#include <string.h>

#define FNV_OFFSET UINT64_C(0xCBF29CE484222325)
#define FNV_PRIME  UINT64_C(0x100000001B3)

static uint64_t fnv1a(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * FNV_PRIME;
	return h;
}

/** Every bit of the input moves every bit of the output (the finalizer of SplitMix64). */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

static uint64_t hash_addr(const struct addr *a, size_t v6_octets)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *ip = a->u.in6.sin6_addr.s6_addr;

	if (a->u.sa.sa_family == AF_INET)
		return fnv1a(FNV_OFFSET, &a->u.in.sin_addr, 4);
	if (a->u.sa.sa_family != AF_INET6)
		return FNV_OFFSET;
	if (memcmp(ip, mapped, sizeof(mapped)) == 0)
		return fnv1a(FNV_OFFSET, ip + 12, 4);
	return fnv1a(FNV_OFFSET, ip, v6_octets);
}

uint64_t relay_hash_network(const struct addr *client)
{
	return hash_addr(client, 8);
}

uint64_t relay_hash_address(const struct addr *client)
{
	return hash_addr(client, 16);
}

uint64_t relay_hash_name(const char *name)
{
	return fnv1a(FNV_OFFSET, name, strlen(name));
}

bool relay_may_serve(const struct relay_candidate *c, const struct relay_query *q)
{
	return c->lab == q->lab && !c->draining && !(q->from_relay && c->maybe_relay);
}

int relay_choose(const struct relay_candidate *list, size_t n, const struct relay_query *q)
{
	uint64_t best_score = 0;
	int best = -1;

	for (size_t i = 0; i < n; i++) {
		const struct relay_candidate *c = &list[i];
		uint64_t score;

		if ((q->tried >> i & 1) != 0 || c->class == UPSTREAM_NO || !relay_may_serve(c, q))
			continue;
		if (best >= 0) {
			const struct relay_candidate *b = &list[best];

			if (c->class != b->class ? c->class > b->class : c->priority > b->priority)
				continue;
		}
		score = mix(q->network ^ mix(c->name_hash));
		if (best >= 0 && c->class == list[best].class &&
		    c->priority == list[best].priority && score <= best_score)
			continue;
		best = (int)i;
		best_score = score;
	}
	return best;
}
