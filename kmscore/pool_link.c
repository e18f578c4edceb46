#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "kmscore/pool_priv.h"

_Static_assert(KMS_POOL_MPX_CALLS == RPC_CLIENT_CALLS_MAX, "a link takes as many calls");

static void free_remove(struct pool_link *l)
{
	struct kms_pool *p = l->pool;

	if (!l->is_free)
		return;
	if (l->free_prev != NULL)
		l->free_prev->free_next = l->free_next;
	else
		p->free_head = l->free_next;
	if (l->free_next != NULL)
		l->free_next->free_prev = l->free_prev;
	else
		p->free_tail = l->free_prev;
	l->is_free = false;
}

static void free_push(struct pool_link *l)
{
	struct kms_pool *p = l->pool;

	if (l->is_free)
		return;
	l->free_prev = NULL;
	l->free_next = p->free_head;
	if (p->free_head != NULL)
		p->free_head->free_prev = l;
	else
		p->free_tail = l;
	p->free_head = l;
	l->is_free = true;
}

static bool has_room(const struct pool_link *l)
{
	return l->state == PL_OPEN && !l->retiring && l->link.rpc.n_open < l->link.rpc.max_open &&
	       kms_link_is_open(&l->link);
}

/** Calls that somebody waits for. */
static unsigned n_live(const struct pool_link *l)
{
	return l->link.rpc.n_open - l->link.rpc.n_dropped;
}

struct pool_link *pool_link_free(struct kms_pool *p)
{
	struct pool_link *l;

	/* One that has just ended is still here until its end is told. */
	while ((l = p->free_head) != NULL && !has_room(l))
		free_remove(l);
	return l;
}

static void set_busy(struct pool_link *l, bool busy)
{
	if (l->busy == busy)
		return;
	l->busy = busy;
	if (busy)
		l->pool->n_busy++;
	else
		l->pool->n_busy--;
}

static void unsent_remove(struct pool_link *l)
{
	struct pool_link **at = &l->pool->unsent;

	if (!l->is_unsent)
		return;
	while (*at != l)
		at = &(*at)->unsent_next;
	*at = l->unsent_next;
	l->is_unsent = false;
}

/* Send what the links of `unsent` hold. */
static void on_prepare(uv_prepare_t *h)
{
	struct kms_pool *p = h->data;
	struct pool_link *l;

	while ((l = p->unsent) != NULL) {
		unsent_remove(l);
		kms_link_flush(&l->link);
	}
	(void)uv_prepare_stop(&p->prepare);
}

static void unsent_add(struct pool_link *l)
{
	struct kms_pool *p = l->pool;

	if (l->is_unsent)
		return;
	if (p->unsent == NULL)
		(void)uv_prepare_start(&p->prepare, on_prepare);
	l->is_unsent = true;
	l->unsent_next = p->unsent;
	p->unsent = l;
}

void pool_link_began(struct pool_link *l)
{
	if (kms_link_has_unsent(&l->link))
		unsent_add(l);
	if (!l->busy) {
		uint64_t now = clock_mono_ms(l->pool->p.net->clock);

		l->was_idle = now > l->used_ms + KMS_POOL_STALE_MS;
		l->link.silent = true;
		set_busy(l, true);
	}
	if (l->link.rpc.n_open >= l->link.rpc.max_open)
		free_remove(l);
}

static uint64_t loop_now(const struct kms_pool *p)
{
	return uv_now(p->p.net->loop);
}

/** It counts no more. */
static void leave(struct pool_link *l)
{
	struct kms_pool *p = l->pool;

	if (l->state == PL_CONNECTING)
		p->n_connecting--;
	else if (l->state == PL_OPEN)
		p->n_open--;
	set_busy(l, false);
	free_remove(l);
	unsent_remove(l);
	deadlines_remove(&p->link_deadlines, &l->deadline);
	l->state = PL_CLOSING;
}

void pool_link_close(struct pool_link *l)
{
	if (l->state == PL_CLOSING)
		return;
	leave(l);
	kms_link_finish(&l->link, ERR_CANCELED);
}

void pool_link_retire(struct pool_link *l)
{
	l->retiring = true;
	free_remove(l);
	if (n_live(l) == 0)
		pool_link_close(l);
}

static void set_deadline(struct pool_link *l, uint64_t at)
{
	if (deadlines_set(&l->pool->link_deadlines, &l->deadline, at) == 0)
		return;
	pool_link_retire(l); /* no memory to remember its end */
}

/** Associations that stay open without work. */
static uint32_t n_kept(const struct kms_pool *p)
{
	return p->warm ? p->p.rules.min : 0;
}

bool pool_link_is_wanted(const struct pool_link *l)
{
	const struct kms_pool *p = l->pool;

	return !l->retiring && p->n_open + p->n_connecting <= p->p.rules.max;
}

static bool may_have_more(const struct kms_pool *p)
{
	return p->n_open + p->n_connecting < p->p.rules.max;
}

/** The first call that waits and may go over @p l: a repeated one wants a fresh association, as
 * long as there is one to be had. */
static struct kms_pool_call *next_call(const struct pool_link *l)
{
	const struct kms_pool *p = l->pool;
	bool fresh_ones = p->n_connecting > 0 || may_have_more(p);
	struct kms_pool_call *c = p->queue.head;

	while (c != NULL && c->repeated && l->answered && fresh_ones)
		c = c->next;
	return c;
}

/* Give it calls that wait, or put it by; close it where it has no use any more. */
static void release(struct pool_link *l)
{
	struct kms_pool *p = l->pool;
	struct kms_pool_call *c;

	if (l->state != PL_OPEN || !kms_link_is_open(&l->link))
		return;
	if (!pool_link_is_wanted(l)) {
		pool_link_retire(l);
		return;
	}
	if (l->link.rpc.n_open == 0) {
		set_busy(l, false);
		l->used_ms = clock_mono_ms(p->p.net->clock);
	}
	while ((c = next_call(l)) != NULL && has_room(l))
		pool_call_put(c, l);
	if (has_room(l))
		free_push(l);
	/* One that is kept open has none, unless an old one is to be moved. */
	if (!l->busy && (p->n_open > n_kept(p) || deadline_is_set(&l->deadline)))
		set_deadline(l, loop_now(p) + p->p.rules.idle_ms);
}

/** Dropped calls are overdue: what has nothing else to do is closed. */
static void judge_dropped(struct pool_link *l)
{
	if (n_live(l) == 0) {
		pool_link_close(l);
		return;
	}
	if (l->link.rpc.n_dropped >= POOL_DROPPED_MAX)
		pool_link_retire(l);
	set_deadline(l, loop_now(l->pool) + l->pool->p.rules.timeout_ms);
}

void pool_link_drop(struct pool_link *l, struct kms_pool_call *c, uint64_t at)
{
	kms_link_drop(&l->link, c);
	if (l->state != PL_OPEN)
		return;
	if (at == 0) {
		judge_dropped(l);
		return;
	}
	if (at > l->dropped_at)
		l->dropped_at = at;
	if (l->retiring && n_live(l) == 0)
		pool_link_close(l);
	else
		set_deadline(l, l->dropped_at);
}

void pool_link_due(struct pool_link *l)
{
	struct kms_pool *p = l->pool;
	uint64_t now = loop_now(p);

	if (l->link.rpc.n_dropped > 0 && now >= l->dropped_at)
		judge_dropped(l);
	else if (l->link.rpc.n_dropped > 0)
		set_deadline(l, l->dropped_at);
	else if (!l->busy && p->n_open > n_kept(p))
		pool_link_close(l);
	/* One at work gets its time when it is free again; one that is kept open, when it no longer
	 * is: an idle daemon wakes for neither. */
}

void pool_link_age(struct pool_link *l)
{
	uint64_t at = loop_now(l->pool) + l->pool->p.rules.idle_ms;

	if (l->state == PL_OPEN && !l->busy &&
	    (!deadline_is_set(&l->deadline) || l->deadline.at > at))
		set_deadline(l, at);
}

static bool all_failed(const struct kms_pool *p)
{
	for (size_t i = 0; i < p->n_addrs; i++)
		if (!p->failed[i])
			return false;
	return true;
}

static void note_failed(struct kms_pool *p, const struct addr *a)
{
	for (size_t i = 0; i < p->n_addrs; i++)
		if (addr_equal(&p->addrs[i], a))
			p->failed[i] = true;
}

/** Calls that want a fresh association, where there is none to be had; they are first in the queue.
 */
static void fail_repeated(struct kms_pool *p, int err)
{
	while (p->queue.head != NULL && p->queue.head->repeated)
		pool_call_end(p->queue.head, err, KMS_POOL_WAITING);
}

/** The connection was not made, or the bind not accepted. */
static void on_failed(struct pool_link *l, int err)
{
	struct kms_pool *p = l->pool;
	struct kms_pool_bound b = { .addr = &l->addr };

	kms_link_result(&l->link, err, &b.r);
	note_failed(p, &l->addr);
	if (all_failed(p)) {
		p->grow_after = p->warm_after = loop_now(p) + POOL_PAUSE_MS;
		if (p->n_open == 0 && p->n_connecting == 0)
			pool_queue_fail(p, err);
		else if (p->n_connecting == 0)
			fail_repeated(p, err);
	}
	p->p.bound(p->p.ctx, &b);
}

/** An association has ended that we did not end. */
static void on_lost(struct pool_link *l, int err, bool idle)
{
	struct kms_pool *p = l->pool;
	bool stale = l->link.silent && (l->was_idle || l->answered), begun;
	struct kms_pool_call *c;

	p->warm_after = loop_now(p) + POOL_PAUSE_MS;
	if (idle)
		p->closed_idle++;
	while ((c = kms_link_take(&l->link, &begun)) != NULL) {
		if (stale && !c->repeated && p->n_addrs > 0)
			pool_call_repeat(c);
		else
			pool_call_end(c, err, begun ? KMS_POOL_PARTIAL : KMS_POOL_SENT);
	}
}

static void on_done(struct kms_link *k, int err)
{
	struct pool_link *l = k->owner;
	struct kms_pool *p = l->pool;
	enum pool_link_state state = l->state;
	bool busy = l->busy;

	if (l->prev != NULL)
		l->prev->next = l->next;
	else
		p->links = l->next;
	if (l->next != NULL)
		l->next->prev = l->prev;
	p->n_links--;
	if (state != PL_CLOSING)
		leave(l);
	if (state == PL_CONNECTING)
		on_failed(l, err);
	else if (state == PL_OPEN)
		on_lost(l, err, !busy);
	free(l);
	pool_grow(p);
	pool_settle(p);
}

static void on_bound(struct kms_link *k)
{
	struct pool_link *l = k->owner;
	struct kms_pool *p = l->pool;
	struct kms_pool_bound b = { .addr = &l->addr, .kin = k->rpc.kin };

	if (l->state != PL_CONNECTING)
		return;
	l->state = PL_OPEN;
	p->n_connecting--;
	p->n_open++;
	p->multiplexes = k->rpc.max_open > 1;
	memset(p->failed, 0, sizeof(p->failed));
	for (size_t i = 0; i < p->n_addrs; i++)
		if (addr_equal(&p->addrs[i], &l->addr))
			p->cur = i;
	kms_link_result(k, 0, &b.r);
	b.r.stage = KMS_CLIENT_DONE;
	release(l);
	p->p.bound(p->p.ctx, &b);
	pool_grow(p); /* it may take fewer calls than was expected */
	pool_settle(p);
}

static void on_answer(struct kms_link *k, const struct rpc_client_answer *a)
{
	struct pool_link *l = k->owner;
	struct kms_pool *p = l->pool;

	l->answered = true;
	release(l); /* first, so that those who wait come before those who are new */
	if (a->tag != NULL)
		pool_call_answer(a->tag, a);
	pool_settle(p);
}

static int connect_to(struct kms_pool *p, const struct addr *a)
{
	struct kms_link_params lp = { .peer = *a,
				      .timeout_ms = p->p.rules.connect_ms,
				      .lives_on = true,
				      .gathers = true,
				      .rpc = { .ctx = &rpc_client_kms_ctx,
					       .n_ctx = 1,
					       .ndr32 = true,
					       .multiplex = true,
					       .node_id = &p->p.node_id },
				      .bound = on_bound,
				      .answer = on_answer,
				      .done = on_done };
	struct pool_link *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return ERR_NOMEM;
	l->pool = p;
	l->addr = *a;
	l->state = PL_CONNECTING;
	l->used_ms = clock_mono_ms(p->p.net->clock);
	l->next = p->links;
	if (p->links != NULL)
		p->links->prev = l;
	p->links = l;
	p->n_links++;
	p->n_connecting++;
	l->link.owner = l;
	kms_link_start(&l->link, p->p.net, &lp);
	return 0;
}

static size_t calls_for_each(const struct kms_pool *p)
{
	return p->multiplexes ? KMS_POOL_MPX_CALLS : 1;
}

bool pool_has_room(const struct kms_pool *p)
{
	return p->n_queued <= p->p.rules.queue + p->n_connecting * calls_for_each(p);
}

/** Do calls wait that no connection is being made for? */
static bool calls_want_one(const struct kms_pool *p)
{
	return p->n_queued > p->n_connecting * calls_for_each(p);
}

static bool warmth_wants_one(const struct kms_pool *p)
{
	return p->warm && p->n_open + p->n_connecting < p->p.rules.min;
}

static const struct addr *next_addr(const struct kms_pool *p)
{
	for (size_t i = 0; i < p->n_addrs; i++) {
		size_t at = (p->cur + i) % p->n_addrs;

		if (!p->failed[at])
			return &p->addrs[at];
	}
	return NULL;
}

void pool_grow(struct kms_pool *p)
{
	uint64_t now = loop_now(p);
	const struct addr *a;
	int err;

	while (!p->freeing) {
		if (calls_want_one(p)) {
			if ((p->n_open > 0 && now < p->grow_after) || !may_have_more(p))
				return;
		} else if (!warmth_wants_one(p) || now < p->warm_after) {
			return;
		}
		/* A new round: after the pause, or because there is nothing else to wait for. */
		if (all_failed(p) && (now >= p->grow_after || p->n_open + p->n_connecting == 0))
			memset(p->failed, 0, sizeof(p->failed));
		a = next_addr(p);
		if (a == NULL)
			return;
		err = connect_to(p, a);
		if (err != 0) {
			if (p->n_open + p->n_connecting == 0)
				pool_queue_fail(p, err);
			p->grow_after = p->warm_after = now + POOL_PAUSE_MS;
			return;
		}
	}
}

uint64_t pool_grow_at(const struct kms_pool *p)
{
	if (p->freeing || p->n_addrs == 0)
		return UINT64_MAX;
	if (calls_want_one(p) && p->n_open > 0 && loop_now(p) < p->grow_after)
		return p->grow_after;
	if (warmth_wants_one(p) && loop_now(p) < p->warm_after)
		return p->warm_after;
	return UINT64_MAX;
}
