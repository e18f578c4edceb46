#include "daemon/probe_memo.h"

#include <stdlib.h>

enum entry_state { ENTRY_QUEUED, ENTRY_RUNNING, ENTRY_KNOWN };

struct entry {
	struct probe_memo *memo;
	struct entry *next;
	struct addr addr;
	uint32_t timeout_ms;
	enum entry_state state;
	bool forgotten; /* freed when its probe has ended */
	struct probe_op op;
	struct probe_result result;
	struct waiter *waiting;
};

/** One who asked: op->impl, from start until done(). Its op->late brings the answer. */
struct waiter {
	struct probe_op *op;
	struct entry *entry; /* NULL: no longer waiting, the answer is on its way */
	struct waiter *next;
	struct probe_result result;
};

struct probe_memo {
	struct prober prober;
	const struct prober *real;
	struct net *net;
	struct entry *entries; /* in the order they were asked for */
	struct entry **end;
	size_t n;
	unsigned running;
	bool freeing;
	uv_timer_t last; /* brings done() of probe_memo_free() from the loop */
	void (*done)(void *ctx);
	void *done_ctx;
};

/* ---- answers ---- */

static void on_late_closed(uv_handle_t *h)
{
	static const struct probe_result nothing = { .state = PROBE_TIMEOUT,
						     .detail = "not asked: out of memory" };
	struct probe_op *op = h->data;
	struct waiter *w = op->impl;
	struct probe_result r = w != NULL ? w->result : nothing;

	free(w);
	op->impl = NULL;
	op->done(op, &r);
}

static void on_late(uv_timer_t *t)
{
	uv_close((uv_handle_t *)t, on_late_closed);
}

/* The answer comes with the next turn of the loop. */
static void answer(struct waiter *w, const struct probe_result *r)
{
	w->entry = NULL;
	w->result = *r;
	(void)uv_timer_start(&w->op->late, on_late, 0, 0);
}

/* ---- asking ---- */

static void on_last_closed(uv_handle_t *h)
{
	struct probe_memo *m = h->data;
	void (*done)(void *ctx) = m->done;
	void *ctx = m->done_ctx;

	free(m);
	done(ctx);
}

static void sweep(struct probe_memo *m)
{
	struct entry **at = &m->entries;

	while (*at != NULL) {
		struct entry *e = *at;

		if (!e->forgotten || e->state == ENTRY_RUNNING) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		free(e);
	}
	m->end = at;
	if (m->freeing && m->entries == NULL && !uv_is_closing((uv_handle_t *)&m->last))
		uv_close((uv_handle_t *)&m->last, on_last_closed);
}

static void start_more(struct probe_memo *m);

static void on_probed(struct probe_op *op, const struct probe_result *r)
{
	struct entry *e = op->owner;
	struct probe_memo *m = e->memo;
	struct waiter *w;

	m->running--;
	e->state = ENTRY_KNOWN;
	e->result = *r;
	while ((w = e->waiting) != NULL) {
		e->waiting = w->next;
		answer(w, r);
	}
	sweep(m);
	if (!m->freeing)
		start_more(m);
}

static void start_more(struct probe_memo *m)
{
	for (struct entry *e = m->entries; e != NULL && m->running < PROBE_MEMO_PARALLEL;
	     e = e->next) {
		if (e->state != ENTRY_QUEUED)
			continue;
		e->state = ENTRY_RUNNING;
		m->running++;
		e->op = (struct probe_op){ .owner = e };
		m->real->start(m->real, &e->op, m->net, &e->addr, e->timeout_ms, on_probed);
	}
}

static struct entry *find_or_add(struct probe_memo *m, const struct addr *addr, uint32_t timeout_ms)
{
	struct entry *e;

	for (e = m->entries; e != NULL; e = e->next)
		if (!e->forgotten && addr_equal(&e->addr, addr))
			return e;
	e = m->n < PROBE_MEMO_MAX ? calloc(1, sizeof(*e)) : NULL;
	if (e == NULL)
		return NULL;
	e->memo = m;
	e->addr = *addr;
	e->timeout_ms = timeout_ms;
	*m->end = e;
	m->end = &e->next;
	m->n++;
	return e;
}

static void memo_start(const struct prober *p, struct probe_op *op, struct net *net,
		       const struct addr *addr, uint32_t timeout_ms, probe_done_fn *done)
{
	struct probe_memo *m = p->ctx;
	struct waiter *w = calloc(1, sizeof(*w));
	struct entry *e = find_or_add(m, addr, timeout_ms);

	op->done = done;
	op->impl = w;
	(void)uv_timer_init(net->loop, &op->late);
	op->late.data = op;
	if (w == NULL) {
		(void)uv_timer_start(&op->late, on_late, 0, 0);
		return;
	}
	w->op = op;
	if (e == NULL || e->state == ENTRY_KNOWN) {
		static const struct probe_result too_many = { .state = PROBE_TIMEOUT,
							      .detail =
								      "not asked: too many hosts" };

		answer(w, e != NULL ? &e->result : &too_many);
		return;
	}
	w->entry = e;
	w->next = e->waiting;
	e->waiting = w;
	start_more(m);
}

static void memo_cancel(struct probe_op *op)
{
	struct waiter *w = op->impl;

	if (uv_is_closing((uv_handle_t *)&op->late))
		return;
	if (w != NULL && w->entry != NULL) {
		struct waiter **at = &w->entry->waiting;

		while (*at != w)
			at = &(*at)->next;
		*at = w->next;
		w->entry = NULL;
		w->result = (struct probe_result){ .state = PROBE_TIMEOUT, .detail = "canceled" };
	}
	uv_close((uv_handle_t *)&op->late, on_late_closed);
}

/* ---- life ---- */

struct probe_memo *probe_memo_new(struct net *net, const struct prober *real)
{
	struct probe_memo *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->prober = (struct prober){ .start = memo_start, .cancel = memo_cancel, .ctx = m };
	m->real = real;
	m->net = net;
	m->end = &m->entries;
	(void)uv_timer_init(net->loop, &m->last);
	m->last.data = m;
	return m;
}

const struct prober *probe_memo_prober(const struct probe_memo *m)
{
	return &m->prober;
}

void probe_memo_forget(struct probe_memo *m)
{
	for (struct entry *e = m->entries; e != NULL; e = e->next)
		e->forgotten = true;
	m->n = 0;
	sweep(m);
}

void probe_memo_free(struct probe_memo *m, void (*done)(void *ctx), void *ctx)
{
	m->freeing = true;
	m->done = done;
	m->done_ctx = ctx;
	for (struct entry *e = m->entries; e != NULL; e = e->next) {
		e->forgotten = true;
		if (e->state == ENTRY_RUNNING)
			m->real->cancel(&e->op);
	}
	sweep(m);
}
