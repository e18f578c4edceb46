/**
 * Random numbers: unpredictable ones from the kernel (DNS ids, source ports, nonces), or a sequence
 * that a seed repeats (`discover --seed N`, tests). One struct, so that the user of it need not
 * know which.
 */
#ifndef KMSBEACON_COMMON_RNG_H
#define KMSBEACON_COMMON_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RNG_POOL 256 /* bytes fetched from the kernel at a time */

struct rng {
	/* private */
	bool seeded;
	uint64_t state[4]; /* xoshiro256** when seeded */
	size_t left;
	uint8_t pool[RNG_POOL];
};

/** From getrandom(2). */
void rng_init_system(struct rng *r);
/** The same seed gives the same numbers, on every machine. */
void rng_init_seed(struct rng *r, uint64_t seed);

uint32_t rng_u32(struct rng *r);
/** Uniform in 0 .. bound-1 without bias; @p bound must not be 0. */
uint32_t rng_below(struct rng *r, uint32_t bound);
void rng_bytes(struct rng *r, void *out, size_t len);

#endif
