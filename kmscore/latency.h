/**
 * How long answers took: quantiles of the last LATENCY_KEEP / 2 to LATENCY_KEEP of them, within 7 %
 * (sixteen steps to each doubling), from 1 us to an hour. Fixed memory, no loop where one is added.
 * Pure.
 */
#ifndef KMSBEACON_KMSCORE_LATENCY_H
#define KMSBEACON_KMSCORE_LATENCY_H

#include <stdint.h>

#define LATENCY_KEEP    10000u
#define LATENCY_STEPS   16u /* to a doubling */
#define LATENCY_OCTAVES 29u /* the first 16 us, then each doubling to 2^32 us, over an hour */
#define LATENCY_BUCKETS (LATENCY_STEPS * LATENCY_OCTAVES)

/** Zeroed before use. */
struct latency {
	/* private */
	uint32_t n[2]; /* answers in each half */
	uint8_t now;   /* the half that grows; when it is full the other one is emptied */
	uint16_t count[2][LATENCY_BUCKETS];
};

void latency_add(struct latency *l, double ms);
/** @p q in 0 .. 1: 0.5 is the median. In milliseconds; 0 where there is none. */
double latency_quantile(const struct latency *l, double q);

#endif
