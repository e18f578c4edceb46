#include "resolver/targets.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS  1024
#define PROBE_MS 3000
#define FAMILIES 2

enum target_state { TARGET_QUEUED, TARGET_RESOLVING, TARGET_PROBING, TARGET_KNOWN };

/** What is needed until the host is known. */
struct target_work {
	struct host_lookup lookup;
	struct probe_op probe;
	size_t at;      /* address being probed */
	size_t further; /* probed since one was up */
	bool up[FAMILIES], failed[FAMILIES];
	struct probe_result failure[FAMILIES]; /* the first one of each */
	struct rsv_target_result result;
};

/** What is kept of rsv_target_result. */
struct target_facts {
	int resolve_err;
	bool is_alias;
	bool probed;
	struct probe_result probe;
	bool has_dead;
	struct probe_result dead;
	size_t n_addrs;
	struct addr addrs[];
};

struct rsv_target {
	struct rsv_targets *table;
	struct dns_name name;
	uint16_t port;
	enum target_state state;
	unsigned refs; /* who waits, or has an answer on the way */
	struct rsv_target *bucket_next;
	struct rsv_target *prev, *next; /* in the queue of work, or the list of known ones */
	struct rsv_target_wait *waiting;
	struct target_work *work;   /* of one that is being looked at */
	struct target_facts *facts; /* of a known one; NULL: no memory for them */
};

struct target_list {
	struct rsv_target *first, *last;
};

struct wait_list {
	struct rsv_target_wait *first, **end;
};

struct rsv_targets {
	struct net *net;
	struct rsv_targets_params p;
	struct dns_server servers[DNS_CLIENT_SERVERS_MAX];
	struct rsv_target *bucket[BUCKETS];
	size_t count;
	unsigned running;
	struct target_list queue;
	struct target_list known; /* the one not asked for the longest comes first */
	struct wait_list ready;
	uv_timer_t kick; /* answers come from the loop, not from inside rsv_targets_ask() */
	bool freeing, kick_closed;
	void (*freed)(void *ctx);
	void *freed_ctx;
};

/* ---- lists ----------------------------------------------------------------------------------- */

static void list_push(struct target_list *l, struct rsv_target *x)
{
	x->next = NULL;
	x->prev = l->last;
	if (l->last != NULL)
		l->last->next = x;
	else
		l->first = x;
	l->last = x;
}

static void list_remove(struct target_list *l, struct rsv_target *x)
{
	if (x->prev != NULL)
		x->prev->next = x->next;
	else
		l->first = x->next;
	if (x->next != NULL)
		x->next->prev = x->prev;
	else
		l->last = x->prev;
}

static void on_kick(uv_timer_t *k);

/** Answer @p w from the loop. */
static void make_ready(struct rsv_targets *t, struct rsv_target_wait *w)
{
	w->ready = true;
	w->next = NULL;
	*t->ready.end = w;
	t->ready.end = &w->next;
	if (!t->freeing)
		uv_timer_start(&t->kick, on_kick, 0, 0);
}

static size_t bucket_of(const struct dns_name *name, uint16_t port)
{
	uint32_t h = 2166136261u ^ port; /* FNV-1a */

	for (size_t i = 0; i < name->len; i++)
		h = (h ^ name->wire[i]) * 16777619u;
	return h % BUCKETS;
}

static void target_free(struct rsv_target *x)
{
	free(x->work);
	free(x->facts);
	free(x);
}

/** Forget the one that nobody asked for the longest. @return false where all are in use. */
static bool make_room(struct rsv_targets *t)
{
	struct rsv_target *x = t->known.first, **at;

	while (x != NULL && x->refs > 0)
		x = x->next;
	if (x == NULL)
		return false;
	list_remove(&t->known, x);
	at = &t->bucket[bucket_of(&x->name, x->port)];
	while (*at != x)
		at = &(*at)->bucket_next;
	*at = x->bucket_next;
	t->count--;
	target_free(x);
	return true;
}

/* ---- work ------------------------------------------------------------------------------------ */

static void start_more(struct rsv_targets *t);

static void maybe_freed(struct rsv_targets *t)
{
	struct rsv_target *x, *next;
	void (*freed)(void *ctx) = t->freed;
	void *ctx = t->freed_ctx;

	if (!t->freeing || t->running > 0 || !t->kick_closed)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (x = t->bucket[i]; x != NULL; x = next) {
			next = x->bucket_next;
			target_free(x);
		}
	}
	free(t);
	if (freed != NULL)
		freed(ctx);
}

static struct target_facts *facts_of(const struct rsv_target_result *r)
{
	struct target_facts *f = malloc(sizeof(*f) + r->n_addrs * sizeof(r->addrs[0]));

	if (f == NULL)
		return NULL;
	f->resolve_err = r->resolve_err;
	f->is_alias = r->is_alias;
	f->probed = r->probed;
	f->probe = r->probe;
	f->has_dead = r->has_dead;
	f->dead = r->dead;
	f->n_addrs = r->n_addrs;
	memcpy(f->addrs, r->addrs, r->n_addrs * sizeof(r->addrs[0]));
	return f;
}

/** Only called from the callback of its lookup or probe, which are closed then. */
static void target_known(struct rsv_target *x)
{
	struct rsv_targets *t = x->table;
	struct rsv_target_wait *w;

	x->state = TARGET_KNOWN;
	x->facts = facts_of(&x->work->result);
	free(x->work);
	x->work = NULL;
	t->running--;
	list_push(&t->known, x);
	while ((w = x->waiting) != NULL) {
		x->waiting = w->next;
		make_ready(t, w);
	}
	start_more(t);
}

/** A child of @p x ended. @return false: the table is going away, do nothing more. */
static bool goes_on(struct rsv_target *x)
{
	struct rsv_targets *t = x->table;

	if (!t->freeing)
		return true;
	t->running--;
	maybe_freed(t);
	return false;
}

static void probe_next(struct rsv_target *x);

/* What answered says more than what did not: it stays the result. */
static void note_probe(struct target_work *k, const struct addr *addr, const struct probe_result *r)
{
	size_t family = addr->u.sa.sa_family == AF_INET6;
	bool first = !k->up[0] && !k->up[1];

	k->result.probed = true;
	if (first)
		k->result.probe = *r;
	else
		k->further++;
	if (r->state == PROBE_UP) {
		k->up[family] = true;
	} else if (!k->failed[family] && !addr_is_link_local(addr)) {
		k->failed[family] = true;
		k->failure[family] = *r;
	}
}

static void all_probed(struct rsv_target *x)
{
	struct target_work *k = x->work;

	for (size_t i = 0; i < FAMILIES; i++) {
		if (!k->up[i] || !k->failed[i])
			continue;
		k->result.has_dead = true;
		k->result.dead = k->failure[i];
	}
	target_known(x);
}

static void on_probe(struct probe_op *op, const struct probe_result *r)
{
	struct rsv_target *x = op->owner;
	struct target_work *k = x->work;

	if (!goes_on(x))
		return;
	note_probe(k, &k->result.addrs[k->at], r);
	k->at++;
	probe_next(x);
}

static void probe_next(struct rsv_target *x)
{
	struct rsv_targets *t = x->table;
	struct target_work *k = x->work;

	if (k->at >= k->result.n_addrs || k->further >= RSV_TARGETS_FURTHER) {
		all_probed(x);
		return;
	}
	x->state = TARGET_PROBING;
	memset(&k->probe, 0, sizeof(k->probe));
	k->probe.owner = x;
	t->p.prober->start(t->p.prober, &k->probe, t->net, &k->result.addrs[k->at], t->p.probe_ms,
			   on_probe);
}

static void on_lookup(struct host_lookup *h, const struct host_lookup_result *r)
{
	struct rsv_target *x = h->owner;
	struct rsv_target_result *to;

	if (!goes_on(x))
		return;
	to = &x->work->result;
	to->resolve_err = r->err;
	to->is_alias = r->is_alias;
	to->n_addrs = r->err == 0 ? r->n_addrs : 0;
	memcpy(to->addrs, r->addrs, to->n_addrs * sizeof(r->addrs[0]));
	if (x->table->p.prober == NULL || r->err != 0)
		target_known(x);
	else
		probe_next(x);
}

static void target_start(struct rsv_target *x)
{
	struct rsv_targets *t = x->table;
	struct dns_server servers[DNS_CLIENT_SERVERS_MAX];
	char host[DNSNAME_TEXT_MAX];
	struct host_lookup_params p = {
		.host = dns_name_format(&x->name, host),
		.port = x->port,
		.servers = servers,
		.n_servers = t->p.n_servers,
		.total_ms = t->p.resolve_ms,
		.any_order = t->p.prober == NULL && !t->p.in_order,
	};

	memcpy(servers, t->servers, sizeof(servers));
	if (t->p.arrange != NULL)
		t->p.arrange(t->p.arrange_ctx, servers, t->p.n_servers);
	t->running++;
	x->state = TARGET_RESOLVING;
	x->work->lookup.owner = x;
	host_lookup_start(&x->work->lookup, t->net, &p, on_lookup);
}

static void start_more(struct rsv_targets *t)
{
	struct rsv_target *x;

	while (t->running < t->p.parallel && (x = t->queue.first) != NULL) {
		list_remove(&t->queue, x);
		target_start(x);
	}
}

/* ---- answers --------------------------------------------------------------------------------- */

static bool unpack(const struct rsv_target *x, struct rsv_target_result *ret)
{
	const struct target_facts *f = x->facts;

	if (f == NULL)
		return false;
	ret->resolve_err = f->resolve_err;
	ret->is_alias = f->is_alias;
	ret->probed = f->probed;
	ret->probe = f->probe;
	ret->has_dead = f->has_dead;
	ret->dead = f->dead;
	ret->n_addrs = f->n_addrs;
	memcpy(ret->addrs, f->addrs, f->n_addrs * sizeof(f->addrs[0]));
	return true;
}

/** Answer who is ready now; who becomes ready meanwhile comes with the next pass. */
static void answer_ready(struct rsv_targets *t)
{
	struct rsv_target_wait *w = t->ready.first, *next;
	struct rsv_target_result result = { 0 };

	t->ready.first = NULL;
	t->ready.end = &t->ready.first;
	for (; w != NULL; w = next) {
		struct rsv_target *x = w->target;

		next = w->next;
		w->table = NULL;
		w->done(w, x != NULL && unpack(x, &result) ? &result : NULL);
		/* w may be freed memory now */
		if (x != NULL)
			x->refs--;
	}
}

static void on_kick(uv_timer_t *k)
{
	answer_ready(k->data);
}

static struct rsv_target *target_find(struct rsv_targets *t, const struct dns_name *name,
				      uint16_t port)
{
	struct rsv_target *x = t->bucket[bucket_of(name, port)];

	while (x != NULL && !(x->port == port && dns_name_equal(&x->name, name)))
		x = x->bucket_next;
	return x;
}

static struct rsv_target *target_new(struct rsv_targets *t, const struct dns_name *name,
				     uint16_t port)
{
	struct rsv_target **bucket = &t->bucket[bucket_of(name, port)];
	struct rsv_target *x;

	if (t->count >= RSV_TARGETS_MAX && !make_room(t))
		return NULL;
	x = calloc(1, sizeof(*x));
	if (x != NULL)
		x->work = calloc(1, sizeof(*x->work));
	if (x == NULL || x->work == NULL) {
		free(x);
		return NULL;
	}
	x->table = t;
	x->name = *name;
	x->port = port;
	x->bucket_next = *bucket;
	*bucket = x;
	t->count++;
	list_push(&t->queue, x);
	return x;
}

void rsv_targets_ask(struct rsv_targets *t, const struct dns_name *target, uint16_t port,
		     struct rsv_target_wait *w, rsv_target_done_fn *done)
{
	struct rsv_target *x = t->freeing ? NULL : target_find(t, target, port);

	if (x == NULL && !t->freeing)
		x = target_new(t, target, port);
	w->done = done;
	w->table = t;
	w->target = x;
	w->ready = false;
	w->next = NULL;
	if (x == NULL) {
		make_ready(t, w);
		return;
	}
	x->refs++;
	if (x->state == TARGET_KNOWN) {
		list_remove(&t->known, x);
		list_push(&t->known, x);
		make_ready(t, w);
		return;
	}
	w->next = x->waiting;
	x->waiting = w;
	start_more(t);
}

/** Its answer will be NULL. */
static void detach(struct rsv_target_wait *w)
{
	if (w->target != NULL)
		w->target->refs--;
	w->target = NULL;
}

void rsv_targets_cancel(struct rsv_target_wait *w)
{
	struct rsv_target_wait **at;

	if (w->table == NULL)
		return;
	if (!w->ready) {
		at = &w->target->waiting;
		while (*at != w)
			at = &(*at)->next;
		*at = w->next;
		make_ready(w->table, w);
	}
	detach(w);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct rsv_targets *rsv_targets_new(struct net *net, const struct rsv_targets_params *p)
{
	struct rsv_targets *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->net = net;
	t->p = *p;
	if (t->p.probe_ms == 0)
		t->p.probe_ms = PROBE_MS;
	if (t->p.parallel == 0)
		t->p.parallel = RSV_TARGETS_PARALLEL;
	if (t->p.n_servers > DNS_CLIENT_SERVERS_MAX)
		t->p.n_servers = DNS_CLIENT_SERVERS_MAX;
	if (t->p.n_servers > 0)
		memcpy(t->servers, p->servers, t->p.n_servers * sizeof(*t->servers));
	t->ready.end = &t->ready.first;
	uv_timer_init(net->loop, &t->kick);
	t->kick.data = t;
	return t;
}

static void on_kick_closed(uv_handle_t *h)
{
	struct rsv_targets *t = h->data;

	while (t->ready.first != NULL)
		answer_ready(t);
	t->kick_closed = true;
	maybe_freed(t);
}

void rsv_targets_free(struct rsv_targets *t, void (*done)(void *ctx), void *ctx)
{
	if (t->freeing)
		return;
	t->freeing = true;
	t->freed = done;
	t->freed_ctx = ctx;
	for (struct rsv_target_wait *w = t->ready.first; w != NULL; w = w->next)
		detach(w);
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct rsv_target *x = t->bucket[i]; x != NULL; x = x->bucket_next) {
			while (x->waiting != NULL)
				rsv_targets_cancel(x->waiting);
			if (x->state == TARGET_RESOLVING)
				host_lookup_cancel(&x->work->lookup);
			else if (x->state == TARGET_PROBING)
				t->p.prober->cancel(&x->work->probe);
		}
	}
	uv_close((uv_handle_t *)&t->kick, on_kick_closed);
}
