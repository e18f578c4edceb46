#include "kmscore/latency.h"

#include <stddef.h>
#include <string.h>

_Static_assert(LATENCY_KEEP / 2 <= UINT16_MAX, "a bucket may hold all of a half");

/** Below LATENCY_STEPS microseconds each has a bucket; then sixteen to each doubling. */
static size_t bucket_of(double ms)
{
	double us = ms * 1000;
	uint64_t v = us < 0 ? 0 : us >= 4294967295.0 ? UINT32_MAX : (uint64_t)us;
	unsigned octave;

	if (v < LATENCY_STEPS)
		return (size_t)v;
	octave = 63u - (unsigned)__builtin_clzll(v); /* 4 or more */
	return (size_t)(octave - 3) * LATENCY_STEPS + (size_t)(v >> (octave - 4) & 15);
}

/** The middle of a bucket, in milliseconds. */
static double value_of(size_t bucket)
{
	size_t octave = bucket / LATENCY_STEPS + 3;
	uint64_t low, width;

	if (bucket < LATENCY_STEPS)
		return ((double)bucket + 0.5) / 1000;
	width = UINT64_C(1) << (octave - 4);
	low = (LATENCY_STEPS + bucket % LATENCY_STEPS) * width;
	return ((double)low + (double)width / 2) / 1000;
}

void latency_add(struct latency *l, double ms)
{
	if (l->n[l->now] >= LATENCY_KEEP / 2) {
		l->now ^= 1;
		l->n[l->now] = 0;
		memset(l->count[l->now], 0, sizeof(l->count[0]));
	}
	l->n[l->now]++;
	l->count[l->now][bucket_of(ms)]++;
}

double latency_quantile(const struct latency *l, double q)
{
	uint32_t total = l->n[0] + l->n[1];
	double want = q * total;
	uint32_t seen = 0;

	if (total == 0)
		return 0;
	for (size_t i = 0; i < LATENCY_BUCKETS - 1; i++) {
		seen += (uint32_t)l->count[0][i] + l->count[1][i];
		if (seen > 0 && seen >= want)
			return value_of(i);
	}
	return value_of(LATENCY_BUCKETS - 1); /* which has the rest */
}
