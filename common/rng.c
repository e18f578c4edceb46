#include "common/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void rng_init_system(struct rng *r)
{
	*r = (struct rng){ .seeded = false };
}

/* splitmix64, which the authors of xoshiro name for spreading a seed over its state. */
static uint64_t splitmix64(uint64_t *x)
{
	uint64_t z = (*x += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void rng_init_seed(struct rng *r, uint64_t seed)
{
	*r = (struct rng){ .seeded = true };
	for (size_t i = 0; i < 4; i++)
		r->state[i] = splitmix64(&seed);
}

static uint64_t rotl(uint64_t x, unsigned k)
{
	return (x << k) | (x >> (64 - k));
}

static uint64_t xoshiro256ss(uint64_t s[4])
{
	uint64_t result = rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

static void fill_pool(struct rng *r)
{
	size_t have = 0;

	while (have < RNG_POOL) {
		ssize_t n = getrandom(r->pool + have, RNG_POOL - have, 0);

		if (n > 0)
			have += (size_t)n;
		else if (errno != EINTR)
			abort(); /* a kernel without getrandom: nothing here would be safe */
	}
	r->left = RNG_POOL;
}

/* Used bytes are cleared: a later look at memory must not tell a DNS id or nonce of before. */
static void pool_bytes(struct rng *r, uint8_t *out, size_t len)
{
	while (len > 0) {
		size_t n;
		uint8_t *at;

		if (r->left == 0)
			fill_pool(r);
		n = len < r->left ? len : r->left;
		at = r->pool + (RNG_POOL - r->left);
		memcpy(out, at, n);
		memset(at, 0, n);
		r->left -= n;
		out += n;
		len -= n;
	}
}

uint32_t rng_u32(struct rng *r)
{
	uint32_t v;

	if (r->seeded) /* the high half: the better one of xoshiro's output */
		return (uint32_t)(xoshiro256ss(r->state) >> 32);
	pool_bytes(r, (uint8_t *)&v, sizeof(v));
	return v;
}

uint32_t rng_below(struct rng *r, uint32_t bound)
{
	/* Lemire: the product's high half is uniform once a few low halves are turned away. */
	uint64_t m = (uint64_t)rng_u32(r) * bound;

	if ((uint32_t)m < bound) {
		uint32_t threshold = (0u - bound) % bound;

		while ((uint32_t)m < threshold)
			m = (uint64_t)rng_u32(r) * bound;
	}
	return (uint32_t)(m >> 32);
}

void rng_bytes(struct rng *r, void *out, size_t len)
{
	uint8_t *p = out;

	if (!r->seeded) {
		pool_bytes(r, p, len);
		return;
	}
	while (len > 0) { /* byte by byte from the value, so that byte order does not matter */
		uint32_t v = rng_u32(r);

		for (int i = 0; i < 4 && len > 0; i++, len--, v >>= 8)
			*p++ = (uint8_t)v;
	}
}
