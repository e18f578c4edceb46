#include "net/silence.h"

#include <stdlib.h>

struct slot {
	struct addr addr;  /* unset: free */
	unsigned misses;   /* in a row */
	uint64_t since_ms; /* the first of them began */
	uint64_t last_ms;
	uint64_t heard_ms;
};

struct silence {
	struct slot slots[SILENCE_SLOTS];
};

struct silence *silence_new(void)
{
	return calloc(1, sizeof(struct silence));
}

void silence_free(struct silence *s)
{
	free(s);
}

static size_t slot_of(const struct addr *a)
{
	return addr_hash(a) % SILENCE_SLOTS;
}

static bool is_for(const struct slot *e, const struct addr *a)
{
	return addr_is_set(&e->addr) && addr_equal(&e->addr, a);
}

static bool is_silent_at(const struct slot *e, uint64_t at_ms)
{
	return e->misses >= SILENCE_MISSES && at_ms >= e->last_ms &&
	       at_ms - e->since_ms >= SILENCE_MIN_MS && at_ms - e->last_ms <= SILENCE_MS;
}

void silence_missed(struct silence *s, const struct addr *a, uint64_t began_ms, uint64_t now_ms)
{
	struct slot *e;
	uint64_t pause_ms;

	if (s == NULL)
		return;
	e = &s->slots[slot_of(a)];
	if (!is_for(e, a))
		*e = (struct slot){ .addr = *a };
	if (e->heard_ms != 0 && e->heard_ms >= began_ms)
		return;
	if (is_silent_at(e, began_ms))
		return; /* asked in a hurry, which says nothing of one that is slow */
	pause_ms = now_ms - e->last_ms;
	if (e->misses == 0 ||
	    pause_ms > (e->misses >= SILENCE_MISSES ? 2 * SILENCE_MS : SILENCE_MS)) {
		e->misses = 0;
		e->since_ms = began_ms;
	}
	e->misses++;
	e->last_ms = now_ms;
}

void silence_heard(struct silence *s, const struct addr *a, uint64_t now_ms)
{
	if (s != NULL)
		s->slots[slot_of(a)] = (struct slot){ .addr = *a, .heard_ms = now_ms };
}

bool silence_is_silent(const struct silence *s, const struct addr *a, uint64_t now_ms)
{
	const struct slot *e;

	if (s == NULL)
		return false;
	e = &s->slots[slot_of(a)];
	return is_for(e, a) && is_silent_at(e, now_ms);
}
