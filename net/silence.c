#include "net/silence.h"

#include <stdlib.h>
#include <string.h>

struct slot {
	struct addr addr;
	unsigned misses; /* in a row */
	uint64_t last_ms;
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
	return e->misses > 0 && addr_equal(&e->addr, a);
}

void silence_missed(struct silence *s, const struct addr *a, uint64_t now_ms)
{
	struct slot *e;

	if (s == NULL)
		return;
	e = &s->slots[slot_of(a)];
	if (!is_for(e, a) || now_ms - e->last_ms > SILENCE_MS)
		*e = (struct slot){ .addr = *a };
	e->misses++;
	e->last_ms = now_ms;
}

void silence_heard(struct silence *s, const struct addr *a)
{
	if (s != NULL && is_for(&s->slots[slot_of(a)], a))
		memset(&s->slots[slot_of(a)], 0, sizeof(struct slot));
}

bool silence_is_silent(const struct silence *s, const struct addr *a, uint64_t now_ms)
{
	const struct slot *e;

	if (s == NULL)
		return false;
	e = &s->slots[slot_of(a)];
	return is_for(e, a) && e->misses >= SILENCE_MISSES && now_ms - e->last_ms <= SILENCE_MS;
}
