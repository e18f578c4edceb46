/**
 * Which name servers have stopped answering, remembered for all questions of a process (RFC 9520
 * §3): thousands of domains with one dead server among theirs must not wait for it as often. Pure.
 *
 * A server counts as silent after SILENCE_MISSES attempts in a row that nobody answered, until it
 * answers one or SILENCE_MS have passed without a further miss. What follows from that is
 * dns_client's: a silent server is asked on, but once for each question, and not for long.
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
#define SILENCE_MS     30000

struct silence;

struct silence *silence_new(void); /* NULL: out of memory */
void silence_free(struct silence *s);

/* Each may be given NULL for @p s: then nothing is remembered, and nobody is silent. */

/** An attempt at @p a got no answer in its time. */
void silence_missed(struct silence *s, const struct addr *a, uint64_t now_ms);
/** It sent something that answers. */
void silence_heard(struct silence *s, const struct addr *a);
bool silence_is_silent(const struct silence *s, const struct addr *a, uint64_t now_ms);

#endif
