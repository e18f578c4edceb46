/**
 * Taking turns: at most so many at the same time, first come, first served. What keeps the
 * questions in flight, and the updates at one server, within bounds.
 */
#ifndef KMSBEACON_PUBLISHER_TURNS_H
#define KMSBEACON_PUBLISHER_TURNS_H

#include <stdbool.h>
#include <stddef.h>

struct pub_turn;
typedef void pub_turn_fn(struct pub_turn *t);

struct pub_turns {
	size_t limit;
	size_t taken;
	bool serving; /* turns given meanwhile are served by the loop that runs, not by a deeper one
		       */
	struct pub_turn *first, *last; /* who waits */
};

enum pub_turn_state { PUB_TURN_NONE, PUB_TURN_WAITING, PUB_TURN_TAKEN };

/** Zeroed before its first use, then used as often as one likes. */
struct pub_turn {
	void *owner; /* the caller's */
	/* private */
	struct pub_turns *turns;
	enum pub_turn_state state;
	struct pub_turn *next, *prev;
	pub_turn_fn *go;
};

void pub_turns_init(struct pub_turns *ts, size_t limit);
/**
 * go() runs once: inside this call where there is room, else inside another one's pub_turn_give().
 * It may give the turn back at once.
 */
void pub_turn_take(struct pub_turns *ts, struct pub_turn *t, pub_turn_fn *go);
/** Leave: give back a turn, or the place in the queue. Harmless in any state. */
void pub_turn_give(struct pub_turn *t);

#endif
