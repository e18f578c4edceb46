/**
 * Many deadlines under one timer: a heap that is lazy about deadlines that move away. Pure.
 *
 * An idle deadline moves with every byte. Moving it later only notes the new time, O(1); the heap
 * finds out when the old time comes. So each member costs one O(log n) step per idle time at most.
 */
#ifndef KMSBEACON_NET_DEADLINES_H
#define KMSBEACON_NET_DEADLINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Embedded by its owner; zeroed before use. */
struct deadline {
	uint64_t at; /* milliseconds on the caller's clock */
	/* private */
	uint64_t key; /* where it stands in the heap: never later than at */
	size_t pos;   /* index in the heap + 1; 0: not in it */
};

/** Zeroed before use. */
struct deadlines {
	/* private */
	struct deadline **heap;
	size_t n;
	size_t cap;
};

void deadlines_done(struct deadlines *d);
/** Add, or move where it is in already. 0 or ERR_NOMEM (only when adding). */
int deadlines_set(struct deadlines *d, struct deadline *e, uint64_t at);
static inline bool deadline_is_set(const struct deadline *e)
{
	return e->pos != 0;
}
/** Harmless for one that is not in. */
void deadlines_remove(struct deadlines *d, struct deadline *e);
/** Remove and return one whose time has come; NULL: none. */
struct deadline *deadlines_pop(struct deadlines *d, uint64_t now);
/** Remove and return any one; NULL: empty. */
struct deadline *deadlines_take(struct deadlines *d);
/** When to look again, at the latest; false: empty. */
bool deadlines_next(const struct deadlines *d, uint64_t *ret_at);

#endif
