#include "kmscore/pool.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "kmscore/pool_priv.h"

static void list_unlink(struct pool_call_list *list, struct kms_pool_call *c)
{
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		list->head = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	else
		list->tail = c->prev;
	c->prev = c->next = NULL;
}

static void list_append(struct pool_call_list *list, struct kms_pool_call *c)
{
	c->next = NULL;
	c->prev = list->tail;
	if (list->tail != NULL)
		list->tail->next = c;
	else
		list->head = c;
	list->tail = c;
}

static void list_prepend(struct pool_call_list *list, struct kms_pool_call *c)
{
	c->prev = NULL;
	c->next = list->head;
	if (list->head != NULL)
		list->head->prev = c;
	else
		list->tail = c;
	list->head = c;
}

/** Out of the queue, or away from its association, which has forgotten it already. */
static void leave(struct kms_pool_call *c)
{
	struct kms_pool *p = c->pool;

	if (c->state == PC_QUEUED) {
		list_unlink(&p->queue, c);
		p->n_queued--;
	} else if (c->state == PC_SENT) {
		p->n_outstanding--;
	}
	deadlines_remove(&p->call_deadlines, &c->deadline);
	c->link = NULL;
	c->state = PC_IDLE;
}

void pool_call_end(struct kms_pool_call *c, int err, enum kms_pool_stage stage)
{
	leave(c);
	c->state = PC_ENDING;
	c->result = err;
	c->stage = (uint8_t)stage;
	list_append(&c->pool->ending, c);
}

void pool_queue_fail(struct kms_pool *p, int err)
{
	while (p->queue.head != NULL)
		pool_call_end(p->queue.head, err, KMS_POOL_WAITING);
}

static int set_deadline(struct kms_pool_call *c)
{
	struct kms_pool *p = c->pool;

	return deadlines_set(&p->call_deadlines, &c->deadline,
			     uv_now(p->p.net->loop) + p->p.rules.timeout_ms);
}

void pool_call_put(struct kms_pool_call *c, struct pool_link *l)
{
	struct kms_pool *p = c->pool;
	int err;

	leave(c);
	err = set_deadline(c);
	if (err == 0)
		err = kms_link_call(&l->link, c, c->stub, c->stub_len, c->be);
	if (err != 0) {
		pool_call_end(c, err, KMS_POOL_WAITING);
		return;
	}
	c->state = PC_SENT;
	c->link = &l->link;
	p->n_outstanding++;
	pool_link_began(l);
}

static void enqueue(struct kms_pool_call *c, bool first)
{
	struct kms_pool *p = c->pool;

	if (set_deadline(c) != 0) {
		pool_call_end(c, ERR_NOMEM, KMS_POOL_WAITING);
		return;
	}
	c->state = PC_QUEUED;
	p->n_queued++;
	if (first)
		list_prepend(&p->queue, c);
	else
		list_append(&p->queue, c);
}

void pool_call_repeat(struct kms_pool_call *c)
{
	leave(c);
	c->repeated = true;
	c->pool->stale++;
	enqueue(c, true);
}

void pool_call_answer(struct kms_pool_call *c, const struct rpc_client_answer *a)
{
	struct kms_pool_outcome o = { .err = a->err,
				      .stage = KMS_POOL_SENT,
				      .fault_status = a->fault_status,
				      .stub = a->stub,
				      .stub_len = a->stub_len,
				      .be = a->be };

	leave(c);
	c->done(c, &o);
}

static void on_handle_closed(uv_handle_t *h)
{
	struct kms_pool *p = h->data;
	void (*done)(void *ctx) = p->done;
	void *ctx = p->done_ctx;

	if (--p->open_handles > 0)
		return;
	deadlines_done(&p->call_deadlines);
	deadlines_done(&p->link_deadlines);
	free(p);
	done(ctx);
}

static void close_handles(struct kms_pool *p)
{
	p->closing = true;
	uv_close((uv_handle_t *)&p->timer, on_handle_closed);
	uv_close((uv_handle_t *)&p->prepare, on_handle_closed);
}

/* Set the timer where something is due earlier than it knows. */
static void arm(struct kms_pool *p);

static void deliver(struct kms_pool *p)
{
	/* What ends inside these done() is the next turn's: nobody can keep us here. */
	struct kms_pool_call *last = p->ending.tail, *c;

	while (last != NULL && (c = p->ending.head) != NULL) {
		struct kms_pool_outcome o = { .err = c->result,
					      .stage = (enum kms_pool_stage)c->stage };
		bool is_last = c == last;

		list_unlink(&p->ending, c);
		c->state = PC_IDLE;
		c->done(c, &o); /* may free c */
		if (is_last)
			break;
	}
}

void pool_settle(struct kms_pool *p)
{
	deliver(p);
	if (p->freeing && p->n_links == 0 && p->ending.head == NULL && !p->closing) {
		close_handles(p);
		return;
	}
	arm(p);
}

static enum kms_pool_stage stage_of(const struct kms_pool_call *c)
{
	if (c->state != PC_SENT)
		return KMS_POOL_WAITING;
	return kms_link_has_begun(c->link, c) ? KMS_POOL_PARTIAL : KMS_POOL_SENT;
}

/** Its end before its answer; @p answer_at: when the answer is overdue, 0: it is. */
static void give_up(struct kms_pool_call *c, int err, uint64_t answer_at)
{
	enum kms_pool_stage stage = stage_of(c);

	if (c->state == PC_SENT)
		pool_link_drop(c->link->owner, c, answer_at);
	pool_call_end(c, err, stage);
}

static void on_timer(uv_timer_t *t)
{
	struct kms_pool *p = t->data;
	uint64_t now = uv_now(p->p.net->loop);
	struct deadline *d;

	p->armed_at = UINT64_MAX;
	p->in_timer = true;
	while ((d = deadlines_pop(&p->call_deadlines, now)) != NULL)
		give_up((struct kms_pool_call *)((char *)d -
						 offsetof(struct kms_pool_call, deadline)),
			ERR_TIMEOUT, 0);
	while ((d = deadlines_pop(&p->link_deadlines, now)) != NULL)
		pool_link_due(
			(struct pool_link *)((char *)d - offsetof(struct pool_link, deadline)));
	pool_grow(p);
	pool_settle(p);
	p->in_timer = false;
}

static void arm(struct kms_pool *p)
{
	uint64_t now = uv_now(p->p.net->loop), at = pool_grow_at(p), next;

	if (p->closing)
		return;
	if (p->ending.head != NULL)
		at = now;
	if (deadlines_next(&p->call_deadlines, &next) && next < at)
		at = next;
	if (deadlines_next(&p->link_deadlines, &next) && next < at)
		at = next;
	if (at >= p->armed_at)
		return; /* at the worst it wakes us for nothing */
	p->armed_at = at;
	/* libuv runs a timer that is due at once in the same turn, when a timer has set it. */
	if (at <= now && p->in_timer)
		at = now + 1;
	(void)uv_timer_start(&p->timer, on_timer, at > now ? at - now : 0, 0);
}

void kms_pool_call_start(struct kms_pool *p, struct kms_pool_call *c, const uint8_t *stub,
			 size_t stub_len, bool be, kms_pool_done_fn *done)
{
	struct pool_link *l;

	*c = (struct kms_pool_call){ .owner = c->owner,
				     .pool = p,
				     .done = done,
				     .stub = stub,
				     .stub_len = stub_len,
				     .be = be };
	if (p->freeing) {
		pool_call_end(c, ERR_CANCELED, KMS_POOL_WAITING);
	} else if (p->n_addrs == 0) {
		pool_call_end(c, ERR_DNS_NODATA, KMS_POOL_WAITING);
	} else if ((l = pool_link_free(p)) != NULL) {
		pool_call_put(c, l);
	} else {
		uv_update_time(p->p.net->loop); /* it may be old after long work */
		enqueue(c, false);
		pool_grow(p);
		/* Those that a connection is being made for do not wait for others. */
		if (c->state == PC_QUEUED && !pool_has_room(p))
			pool_call_end(c, ERR_LIMIT, KMS_POOL_WAITING);
	}
	arm(p);
}

void kms_pool_call_cancel(struct kms_pool_call *c)
{
	switch ((enum pool_call_state)c->state) {
	case PC_IDLE:
		return;
	case PC_ENDING:
		c->result = ERR_CANCELED;
		return;
	case PC_SENT:
	case PC_QUEUED:
		give_up(c, ERR_CANCELED, c->deadline.at);
		break;
	}
	arm(c->pool);
}

static uint32_t bound_u32(uint32_t v, uint32_t low, uint32_t high)
{
	return v < low ? low : v > high ? high : v;
}

static void take_rules(struct kms_pool *p, const struct kms_pool_rules *rules)
{
	struct kms_pool_rules *r = &p->p.rules;

	*r = *rules;
	r->max = bound_u32(r->max, 1, KMS_POOL_LINKS_MAX);
	r->min = bound_u32(r->min, 0, r->max);
	r->queue = bound_u32(r->queue, 0, KMS_POOL_QUEUE_MAX);
	r->idle_ms = bound_u32(r->idle_ms, 1, UINT32_MAX);
	r->timeout_ms = bound_u32(r->timeout_ms, 1, UINT32_MAX);
	if (r->connect_ms == 0)
		r->connect_ms = KMS_POOL_CONNECT_MS;
}

int kms_pool_new(const struct kms_pool_params *params, struct kms_pool **ret)
{
	struct kms_pool *p = calloc(1, sizeof(*p));

	*ret = p;
	if (p == NULL)
		return ERR_NOMEM;
	p->p = *params;
	take_rules(p, &params->rules);
	p->armed_at = UINT64_MAX;
	uv_timer_init(p->p.net->loop, &p->timer);
	p->timer.data = p;
	uv_prepare_init(p->p.net->loop, &p->prepare);
	p->prepare.data = p;
	p->open_handles = 2;
	return 0;
}

void kms_pool_set_rules(struct kms_pool *p, const struct kms_pool_rules *rules)
{
	struct pool_link *l, *next;

	take_rules(p, rules);
	for (l = p->links; l != NULL; l = next) {
		next = l->next;
		if (l->state != PL_OPEN || l->busy)
			continue;
		if (!pool_link_is_wanted(l))
			pool_link_close(l);
		else
			pool_link_age(l);
	}
	pool_grow(p);
	arm(p);
}

static bool has_addr(const struct addr *list, size_t n, const struct addr *a, size_t *ret)
{
	for (size_t i = 0; i < n; i++) {
		if (addr_equal(&list[i], a)) {
			*ret = i;
			return true;
		}
	}
	return false;
}

void kms_pool_set_addrs(struct kms_pool *p, const struct addr *addrs, size_t n)
{
	struct pool_link *l, *next;
	size_t cur = 0;

	n = n < KMS_POOL_ADDRS_MAX ? n : KMS_POOL_ADDRS_MAX;
	if (p->n_addrs == 0 || !has_addr(addrs, n, &p->addrs[p->cur], &cur))
		cur = 0;
	if (n > 0)
		memcpy(p->addrs, addrs, n * sizeof(addrs[0]));
	memset(p->failed, 0, sizeof(p->failed));
	p->n_addrs = n;
	p->cur = cur;
	for (l = p->links; l != NULL; l = next) {
		size_t unused;

		next = l->next;
		if (l->state == PL_CLOSING || has_addr(p->addrs, n, &l->addr, &unused))
			continue;
		pool_link_retire(l);
	}
	if (n == 0)
		pool_queue_fail(p, ERR_DNS_NODATA);
	pool_grow(p);
	arm(p);
}

void kms_pool_keep_warm(struct kms_pool *p, bool warm)
{
	struct pool_link *l, *next;

	for (l = p->links; l != NULL && p->warm && !warm; l = next) {
		next = l->next;
		pool_link_age(l);
	}
	p->warm = warm;
	pool_grow(p);
	arm(p);
}

void kms_pool_make_room(struct kms_pool *p)
{
	struct pool_link *l = p->free_tail;

	if (p->n_open <= (p->warm ? p->p.rules.min : 0))
		return;
	while (l != NULL && l->busy)
		l = l->free_prev;
	if (l != NULL)
		pool_link_close(l);
	arm(p);
}

void kms_pool_free(struct kms_pool *p, void (*done)(void *ctx), void *ctx)
{
	struct pool_link *l, *next;
	struct kms_pool_call *c;
	bool begun;

	p->freeing = true;
	p->done = done;
	p->done_ctx = ctx;
	pool_queue_fail(p, ERR_CANCELED);
	for (l = p->links; l != NULL; l = next) {
		next = l->next;
		if (l->state == PL_CLOSING)
			continue;
		while ((c = kms_link_take(&l->link, &begun)) != NULL)
			pool_call_end(c, ERR_CANCELED, KMS_POOL_SENT);
		pool_link_close(l);
	}
	for (c = p->ending.head; c != NULL; c = c->next)
		c->result = ERR_CANCELED;
	if (p->n_links == 0 && p->ending.head == NULL) {
		close_handles(p);
		return;
	}
	arm(p);
}

void kms_pool_status(const struct kms_pool *p, struct kms_pool_status *ret)
{
	*ret = (struct kms_pool_status){ .open = p->n_open,
					 .connecting = p->n_connecting,
					 .busy = p->n_busy,
					 .queued = p->n_queued,
					 .outstanding = p->n_outstanding,
					 .stale = p->stale,
					 .closed_idle = p->closed_idle };
	if (p->n_addrs > 0)
		ret->addr = p->addrs[p->cur];
}
