#include "net/deadlines.h"

#include <stdlib.h>

#include "common/err.h"

#define DEADLINES_FIRST 64

static void put(struct deadlines *d, size_t i, struct deadline *e)
{
	d->heap[i] = e;
	e->pos = i + 1;
}

static void sift_up(struct deadlines *d, size_t i)
{
	struct deadline *e = d->heap[i];

	while (i > 0) {
		size_t parent = (i - 1) / 2;

		if (d->heap[parent]->key <= e->key)
			break;
		put(d, i, d->heap[parent]);
		i = parent;
	}
	put(d, i, e);
}

static void sift_down(struct deadlines *d, size_t i)
{
	struct deadline *e = d->heap[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= d->n)
			break;
		if (child + 1 < d->n && d->heap[child + 1]->key < d->heap[child]->key)
			child++;
		if (e->key <= d->heap[child]->key)
			break;
		put(d, i, d->heap[child]);
		i = child;
	}
	put(d, i, e);
}

void deadlines_done(struct deadlines *d)
{
	free(d->heap);
	*d = (struct deadlines){ 0 };
}

int deadlines_set(struct deadlines *d, struct deadline *e, uint64_t at)
{
	e->at = at;
	if (e->pos != 0) {
		if (at < e->key) {
			e->key = at;
			sift_up(d, e->pos - 1);
		}
		return ERR_OK;
	}
	if (d->n == d->cap) {
		size_t cap = d->cap != 0 ? d->cap * 2 : DEADLINES_FIRST;
		struct deadline **heap = reallocarray(d->heap, cap, sizeof(struct deadline *));

		if (heap == NULL)
			return ERR_NOMEM;
		d->heap = heap;
		d->cap = cap;
	}
	e->key = at;
	put(d, d->n++, e);
	sift_up(d, d->n - 1);
	return ERR_OK;
}

void deadlines_remove(struct deadlines *d, struct deadline *e)
{
	size_t i = e->pos - 1;
	struct deadline *last;

	if (e->pos == 0)
		return;
	e->pos = 0;
	last = d->heap[--d->n];
	if (last == e)
		return;
	put(d, i, last);
	sift_up(d, i);
	sift_down(d, last->pos - 1);
}

struct deadline *deadlines_pop(struct deadlines *d, uint64_t now)
{
	while (d->n > 0 && d->heap[0]->key <= now) {
		struct deadline *e = d->heap[0];

		if (e->at <= now) {
			deadlines_remove(d, e);
			return e;
		}
		e->key = e->at;
		sift_down(d, 0);
	}
	return NULL;
}

struct deadline *deadlines_take(struct deadlines *d)
{
	struct deadline *e = d->n > 0 ? d->heap[d->n - 1] : NULL;

	if (e != NULL)
		deadlines_remove(d, e);
	return e;
}

bool deadlines_next(const struct deadlines *d, uint64_t *ret_at)
{
	if (d->n == 0)
		return false;
	*ret_at = d->heap[0]->key;
	return true;
}
