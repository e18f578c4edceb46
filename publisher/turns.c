#include "publisher/turns.h"

#include <string.h>

void pub_turns_init(struct pub_turns *ts, size_t limit)
{
	memset(ts, 0, sizeof(*ts));
	ts->limit = limit;
}

static void unlink_turn(struct pub_turn *t)
{
	struct pub_turns *ts = t->turns;

	if (t->prev != NULL)
		t->prev->next = t->next;
	else
		ts->first = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	else
		ts->last = t->prev;
	t->next = NULL;
	t->prev = NULL;
}

static void serve(struct pub_turns *ts)
{
	if (ts->serving)
		return;
	ts->serving = true;
	while (ts->first != NULL && ts->taken < ts->limit) {
		struct pub_turn *t = ts->first;

		unlink_turn(t);
		t->state = PUB_TURN_TAKEN;
		ts->taken++;
		t->go(t);
	}
	ts->serving = false;
}

void pub_turn_take(struct pub_turns *ts, struct pub_turn *t, pub_turn_fn *go)
{
	t->turns = ts;
	t->go = go;
	t->state = PUB_TURN_WAITING;
	t->next = NULL;
	t->prev = ts->last;
	if (ts->last != NULL)
		ts->last->next = t;
	else
		ts->first = t;
	ts->last = t;
	serve(ts);
}

void pub_turn_give(struct pub_turn *t)
{
	struct pub_turns *ts = t->turns;
	enum pub_turn_state was = t->state;

	t->state = PUB_TURN_NONE;
	if (was == PUB_TURN_WAITING)
		unlink_turn(t);
	if (was != PUB_TURN_TAKEN)
		return;
	ts->taken--;
	serve(ts);
}
