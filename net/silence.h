/**
 * Which name servers have stopped answering, remembered for all questions of a process (RFC 9520
 * §3): thousands of domains with one dead server among theirs must not wait for it as often. Pure.
 *
 * A server counts as silent when SILENCE_MISSES attempts in a row have been missed and nothing at
 * all came from it for SILENCE_MIN_MS (under a burst a good one may be slow, and many attempts end
 * at one moment), until it answers one or SILENCE_MS have passed. What follows from that is
 * dns_client's: a silent server is asked on, but once for each question, and not for long. Such an
 * attempt does not prolong its silence, or a slow server would never be heard again; the first one
 * after it has its full time, and where that is missed, too, the server is silent at once.
 *
 * Bounded: SILENCE_SLOTS servers, one for each slot; another one there takes its place.
 */
#ifndef KMSBEACON_NET_SILENCE_H
#define KMSBEACON_NET_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"

#define SILENCE_SLOTS  256
#define SILENCE_MISSES 8
#define SILENCE_MIN_MS 5000
#define SILENCE_MS     30000

struct silence;

struct silence *silence_new(void); /* NULL: out of memory */
void silence_free(struct silence *s);

/* Each may be given NULL for @p s: then nothing is remembered, and nobody is silent. */

/** An attempt at @p a that began at @p began_ms got no answer in its time. Where others did since
 * then, it is no miss. */
void silence_missed(struct silence *s, const struct addr *a, uint64_t began_ms, uint64_t now_ms);
/** It sent something that answers. */
void silence_heard(struct silence *s, const struct addr *a, uint64_t now_ms);
bool silence_is_silent(const struct silence *s, const struct addr *a, uint64_t now_ms);

#endif
