#include "kmscore/relay.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "kmscore/relay_priv.h"

uint64_t relay_now(const struct relay *r)
{
	return uv_now(r->net->loop);
}

static void on_timer(uv_timer_t *t);

void relay_wake(struct relay *r, uint64_t at_ms)
{
	uint64_t now = relay_now(r);

	if (at_ms >= r->timer_ms || uv_is_closing((uv_handle_t *)&r->timer))
		return;
	r->timer_ms = at_ms;
	(void)uv_timer_start(&r->timer, on_timer, at_ms > now ? at_ms - now : 0, 0);
}

uint32_t relay_call_ms(const struct relay *r)
{
	uint64_t ms = (uint64_t)(r->rules.retry + UINT64_C(2)) * r->rules.pool.timeout_ms;

	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static void deliver_due(struct relay *r)
{
	struct relay_call *c = r->due;

	r->due = r->due_last = NULL; /* what becomes due meanwhile has its turn the next time */
	while (c != NULL) {
		struct relay_call *next = c->next;

		relay_call_deliver(c); /* may free it */
		c = next;
	}
	if (r->due != NULL)
		relay_wake(r, relay_now(r));
}

static void expire_calls(struct relay *r)
{
	uint64_t now = relay_now(r);
	uint32_t life = relay_call_ms(r);

	while (r->first != NULL && now - r->first->started_ms >= life)
		relay_call_expire(r->first);
	if (r->first != NULL)
		relay_wake(r, r->first->started_ms + life);
}

static void probe_due(struct relay *r)
{
	uint64_t now = relay_now(r);

	for (size_t i = 0; i < r->n_up; i++) {
		if (upstream_probe_at(r->up[i]) <= now)
			upstream_probe(r->up[i]);
		relay_wake(r, upstream_probe_at(r->up[i]));
	}
}

static void on_upstream_freed(void *ctx)
{
	struct upstream *u = ctx, **at = &u->relay->gone;

	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	relay_wake(u->relay, relay_now(u->relay));
	free(u);
}

/** Pools are freed from here only: never inside a callback of theirs. */
static void free_gone(struct relay *r)
{
	for (struct upstream *u = r->gone; u != NULL; u = u->next)
		if (!u->freeing && upstream_is_idle(u))
			upstream_free(u, on_upstream_freed, u);
}

static void on_timer_closed(uv_handle_t *h)
{
	struct relay *r = h->data;
	void (*freed)(void *) = r->freed;
	void *ctx = r->freed_ctx;

	relay_routes_free(r->routes);
	free(r);
	freed(ctx);
}

static void leave(struct relay *r, struct upstream *u)
{
	upstream_leave(u);
	u->next = r->gone;
	r->gone = u;
}

static void go_on_freeing(struct relay *r)
{
	while (r->first != NULL)
		relay_call_cancel(r->first);
	while (r->n_up > 0)
		leave(r, r->up[--r->n_up]);
	free_gone(r);
	if (r->n_calls == 0 && r->gone == NULL)
		uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

static void on_timer(uv_timer_t *t)
{
	struct relay *r = t->data;

	r->timer_ms = UINT64_MAX;
	deliver_due(r);
	expire_calls(r);
	if (r->freeing) {
		go_on_freeing(r);
		return;
	}
	probe_due(r);
	free_gone(r);
}

static struct upstream_rules health_rules(const struct relay_rules *rules)
{
	return (struct upstream_rules){ .interval_ms = rules->interval_ms,
					.rise = rules->rise,
					.fall = rules->fall,
					.request_ms = rules->pool.timeout_ms };
}

int relay_new(const struct relay_params *p, struct relay **ret)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return ERR_NOMEM;
	r->routes = relay_routes_new(RELAY_ROUTES_MAX, RELAY_ROUTE_MS);
	if (r->routes == NULL) {
		free(r);
		return ERR_NOMEM;
	}
	r->net = p->net;
	r->p = *p;
	r->rules = p->rules;
	r->health = health_rules(&r->rules);
	r->log.module = "relay";
	r->timer_ms = UINT64_MAX;
	(void)uv_timer_init(r->net->loop, &r->timer);
	r->timer.data = r;
	*ret = r;
	return 0;
}

void relay_set_rules(struct relay *r, const struct relay_rules *rules)
{
	r->rules = *rules;
	r->health = health_rules(rules);
	for (size_t i = 0; i < r->n_up; i++) {
		kms_pool_set_rules(r->up[i]->pool, &rules->pool);
		upstream_health_new_rules(&r->up[i]->health, &r->health, relay_now(r));
	}
	relay_wake(r, relay_now(r));
}

void relay_free(struct relay *r, void (*done)(void *ctx), void *ctx)
{
	r->freeing = true;
	r->freed = done;
	r->freed_ctx = ctx;
	relay_wake(r, relay_now(r));
}

static struct upstream *find(struct upstream *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i]->name, name) == 0)
			return list[i];
	return NULL;
}

/** Bits of @p tried are positions in the list: those of the old one become those of the new one. */
static uint64_t move_tried(const struct relay *r, uint64_t tried, struct upstream *const *list,
			   size_t n)
{
	uint64_t moved = 0;

	for (size_t i = 0; i < n; i++)
		if (list[i]->started && !list[i]->gone && list[i]->index < r->n_up &&
		    r->up[list[i]->index] == list[i] && (tried >> list[i]->index & 1) != 0)
			moved |= UINT64_C(1) << i;
	return moved;
}

static void install(struct relay *r, struct upstream *const *list, size_t n)
{
	for (struct relay_call *c = r->first; c != NULL; c = c->next)
		c->tried = move_tried(r, c->tried, list, n);
	for (size_t i = 0; i < r->n_up; i++)
		if (find(list, n, r->up[i]->name) == NULL)
			leave(r, r->up[i]);
	for (size_t i = 0; i < n; i++) {
		r->up[i] = list[i];
		r->up[i]->index = i;
	}
	r->n_up = n;
	r->listed = true;
}

/** The hosts of @p p, by name; the first of each name. @return ERR_NOMEM: none was made. */
static int gather(struct relay *r, const struct relay_upstream *p, size_t n_p,
		  struct upstream **list, size_t *from, size_t *ret_n)
{
	size_t n = 0;

	for (size_t i = 0; i < n_p; i++) {
		if (find(list, n, p[i].name) != NULL)
			continue;
		list[n] = find(r->up, r->n_up, p[i].name);
		if (list[n] == NULL)
			list[n] = upstream_new(r, &p[i]);
		if (list[n] == NULL) {
			while (n-- > 0)
				if (!list[n]->started)
					leave(r, list[n]);
			relay_wake(r, relay_now(r));
			return ERR_NOMEM;
		}
		from[n++] = i;
	}
	*ret_n = n;
	return 0;
}

int relay_set_upstreams(struct relay *r, const struct relay_upstream *p, size_t n_p)
{
	struct upstream *list[RELAY_UPSTREAMS_MAX];
	size_t from[RELAY_UPSTREAMS_MAX], n;
	int err;

	if (n_p > RELAY_UPSTREAMS_MAX)
		return ERR_LIMIT;
	for (size_t i = 0; i < n_p; i++)
		if (strlen(p[i].name) >= RELAY_NAME_MAX)
			return ERR_LIMIT;
	err = gather(r, p, n_p, list, from, &n);
	if (err != 0)
		return err;
	install(r, list, n);
	for (size_t i = 0; i < n; i++) {
		const struct relay_upstream *q = &p[from[i]];

		r->candidate[i] = (struct relay_candidate){ .name_hash = relay_hash_name(q->name),
							    .priority = q->priority,
							    .lab = q->lab,
							    .draining = q->draining };
		upstream_refresh(r->up[i]);
	}
	for (size_t i = 0; i < n; i++)
		upstream_set_addrs(r->up[i], p[from[i]].addrs, p[from[i]].n_addrs);
	relay_tell_changed(r);
	relay_wake(r, relay_now(r));
	return 0;
}

static bool is_available(const struct relay *r, bool from_relay, enum upstream_class worst)
{
	for (size_t i = 0; i < r->n_up; i++)
		if (upstream_health_class(&r->up[i]->health, relay_now(r)) <= worst &&
		    !r->candidate[i].draining && !(from_relay && r->candidate[i].maybe_relay))
			return true;
	return false;
}

bool relay_available(const struct relay *r, bool from_relay)
{
	return is_available(r, from_relay, UPSTREAM_TRIAL);
}

/** Lab hosts stand for the relay only where there are no others: real clients get nothing there. */
bool relay_is_up(const struct relay *r, bool *ret_known)
{
	bool real = false, up = false, news = true;

	for (size_t i = 0; i < r->n_up; i++)
		real = real || !r->candidate[i].lab;
	for (size_t i = 0; i < r->n_up; i++) {
		if ((real && r->candidate[i].lab) || r->candidate[i].draining)
			continue;
		up = up || r->up[i]->health.state == RELAY_UP;
		news = news && r->up[i]->health.state != RELAY_UNKNOWN;
	}
	*ret_known = r->listed && (up || news);
	return up;
}

void relay_tell_changed(struct relay *r)
{
	struct relay_shows now = { .available = is_available(r, false, UPSTREAM_DOUBTFUL),
				   .available_to_relays =
					   is_available(r, true, UPSTREAM_DOUBTFUL) };

	now.up = relay_is_up(r, &now.known);
	if (r->shows.available == now.available &&
	    r->shows.available_to_relays == now.available_to_relays && r->shows.up == now.up &&
	    r->shows.known == now.known)
		return;
	r->shows = now;
	if (r->p.changed != NULL)
		r->p.changed(r->p.ctx);
}

size_t relay_n_upstreams(const struct relay *r)
{
	return r->n_up;
}

void relay_upstream_status(const struct relay *r, size_t i, struct relay_upstream_status *ret)
{
	upstream_status(r->up[i], ret);
}
