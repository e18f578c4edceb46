#include "net/udp_pool.h"

#include <stdlib.h>

#include "common/err.h"
#include "net/gather.h"
#include "net/udp_exchange.h"

#define GROUP_BUCKETS 256
#define NEVER         UINT64_MAX

struct udp_group {
	struct udp_group *next; /* in its bucket */
	struct addr peer, source;
	size_t n_sockets;
	size_t turn; /* who was chosen last */
	struct udp_socket *sockets[UDP_POOL_SOCKETS];
};

enum udp_socket_state {
	US_OPEN,
	US_RETIRED, /* takes no more exchanges; closes when the last one has left */
	US_CLOSING, /* out of its group */
};

struct udp_socket {
	uv_udp_t udp;
	struct udp_pool *pool;
	struct udp_group *group;
	enum udp_socket_state state;
	uint64_t born_ms;
	unsigned uses;
	unsigned n_seated;
	struct udp_exchange *seats[UDP_POOL_SEATS];
};

struct udp_pool {
	uv_loop_t *loop;
	uv_timer_t timer;
	uint64_t armed_at; /* when the timer comes, at the latest; or NEVER */
	uint64_t sweep_at; /* when old sockets are looked for; NEVER: there is none */
	struct deadlines deadlines;
	struct udp_exchange *first, *last; /* ended, to be told */
	size_t n_waiting;                  /* exchanges */
	size_t n_sockets;
	size_t open; /* handles */
	struct udp_group *buckets[GROUP_BUCKETS];
};

/* ---- time ---- */

static void on_timer(uv_timer_t *t);

static void arm(struct udp_pool *p)
{
	uint64_t now = uv_now(p->loop), at = p->sweep_at, next;

	if (deadlines_next(&p->deadlines, &next) && next < at)
		at = next;
	if (p->first != NULL)
		at = now;
	if (at < p->armed_at) {
		p->armed_at = at;
		(void)uv_timer_start(&p->timer, on_timer, at > now ? at - now : 0, 0);
	}
	/* A socket that nobody needs keeps no loop alive. */
	if (p->n_waiting > 0 || p->first != NULL)
		uv_ref((uv_handle_t *)&p->timer);
	else
		uv_unref((uv_handle_t *)&p->timer);
}

/* ---- groups ---- */

static bool same_addr(const struct addr *a, const struct addr *b)
{
	if (!addr_is_set(a) || !addr_is_set(b))
		return addr_is_set(a) == addr_is_set(b);
	return addr_equal(a, b);
}

static struct udp_group **bucket_of(struct udp_pool *p, const struct addr *peer)
{
	return &p->buckets[addr_hash(peer) % GROUP_BUCKETS];
}

static struct udp_group *need_group(struct udp_pool *p, const struct addr *peer,
				    const struct addr *source)
{
	struct udp_group **bucket = bucket_of(p, peer);
	struct udp_group *g;

	for (g = *bucket; g != NULL; g = g->next)
		if (same_addr(&g->peer, peer) && same_addr(&g->source, source))
			return g;
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return NULL;
	g->peer = *peer;
	g->source = *source;
	g->next = *bucket;
	*bucket = g;
	return g;
}

static void drop_if_empty(struct udp_pool *p, struct udp_group *g)
{
	struct udp_group **at = bucket_of(p, &g->peer);

	if (g->n_sockets > 0)
		return;
	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	free(g);
}

/* ---- sockets ---- */

static void handle_closed(struct udp_pool *p)
{
	if (--p->open > 0)
		return;
	deadlines_done(&p->deadlines);
	free(p);
}

static void on_socket_closed(uv_handle_t *h)
{
	struct udp_socket *s = h->data;
	struct udp_pool *p = s->pool;

	free(s);
	handle_closed(p);
}

/* Its memory stays until the loop has closed it; its group may be gone at once. */
static void close_socket(struct udp_socket *s)
{
	struct udp_group *g = s->group;

	s->state = US_CLOSING;
	for (size_t i = 0; i < g->n_sockets; i++)
		if (g->sockets[i] == s)
			g->sockets[i] = g->sockets[--g->n_sockets];
	s->pool->n_sockets--;
	drop_if_empty(s->pool, g);
	uv_close((uv_handle_t *)&s->udp, on_socket_closed);
}

static void take_seat(struct udp_socket *s, struct udp_exchange *x)
{
	unsigned i = 0;

	while (s->seats[i] != NULL) /* has_room() */
		i++;
	s->seats[i] = x;
	x->socket = s;
	x->seat = i;
	s->uses++;
	if (s->n_seated++ == 0)
		uv_ref((uv_handle_t *)&s->udp);
}

static void leave_seat(struct udp_exchange *x)
{
	struct udp_socket *s = x->socket;

	if (s == NULL)
		return;
	x->socket = NULL;
	s->seats[x->seat] = NULL;
	if (--s->n_seated > 0)
		return;
	if (s->state == US_RETIRED || s->uses >= UDP_POOL_USES)
		close_socket(s);
	else
		uv_unref((uv_handle_t *)&s->udp);
}

/* It takes no more, and who sits there has no hope. */
static void fail_socket(struct udp_socket *s, int err)
{
	s->state = US_RETIRED;
	if (s->n_seated == 0)
		close_socket(s);
	for (size_t i = 0; i < UDP_POOL_SEATS && s->state != US_CLOSING; i++)
		if (s->seats[i] != NULL)
			udp_pool_end(s->pool, s->seats[i], err);
}

/* ---- the end of an exchange ---- */

static void tell(struct udp_exchange *x, int err, const uint8_t *reply, size_t len)
{
	x->state = UX_DONE;
	x->done(x, err, reply, len);
	/* x may be freed memory now */
}

static void leave(struct udp_pool *p, struct udp_exchange *x)
{
	deadlines_remove(&p->deadlines, &x->deadline);
	leave_seat(x);
	p->n_waiting--;
}

void udp_pool_end(struct udp_pool *p, struct udp_exchange *x, int err)
{
	leave(p, x);
	x->state = UX_ENDED;
	x->result = err;
	x->next = NULL;
	if (p->first == NULL)
		p->first = x;
	else
		p->last->next = x;
	p->last = x;
	arm(p);
}

static void tell_ended(struct udp_pool *p)
{
	struct udp_exchange *x = p->first, *next;

	p->first = NULL; /* who ends meanwhile is told in another turn */
	for (; x != NULL; x = next) {
		next = x->next;
		tell(x, x->result, NULL, 0);
	}
}

static void sweep(struct udp_pool *p, uint64_t now)
{
	struct udp_group *next;

	for (size_t b = 0; b < GROUP_BUCKETS; b++) {
		for (struct udp_group *g = p->buckets[b]; g != NULL; g = next) {
			next = g->next;
			for (size_t i = g->n_sockets; i-- > 0;) {
				struct udp_socket *s = g->sockets[i];

				if (s->n_seated == 0 && now - s->born_ms >= UDP_POOL_AGE_MS)
					close_socket(s); /* the last one takes g with it */
			}
		}
	}
	p->sweep_at = p->n_sockets > 0 ? now + UDP_POOL_AGE_MS : NEVER;
}

static void on_timer(uv_timer_t *t)
{
	struct udp_pool *p = t->data;
	uint64_t now = uv_now(p->loop);
	struct deadline *d;

	p->armed_at = NEVER;
	while ((d = deadlines_pop(&p->deadlines, now)) != NULL)
		udp_pool_end(p, udp_exchange_of(d), ERR_TIMEOUT);
	if (now >= p->sweep_at)
		sweep(p, now);
	tell_ended(p);
	arm(p);
}

/* ---- I/O ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	(void)h;
	(void)suggested;
	*buf = uv_buf_init((char *)net_rx_buffer(), NET_RX_SIZE);
}

static void on_datagram(uv_udp_t *h, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
			unsigned flags)
{
	struct udp_socket *s = h->data;
	struct udp_pool *p = s->pool;
	const uint8_t *data = (const uint8_t *)buf->base;

	(void)flags; /* never partial: NET_RX_SIZE */
	if (n < 0)
		fail_socket(s, (int)n); /* ICMP, which only the connected peer's path sends */
	if (n < 0 || from == NULL)
		return;
	/* Who is offered it may start and end others, here too: each seat is looked at anew. */
	for (size_t i = 0; i < UDP_POOL_SEATS && s->state != US_CLOSING; i++) {
		struct udp_exchange *x = s->seats[i];

		if (x == NULL || !x->p.match(x->p.match_ctx, data, (size_t)n))
			continue;
		if (x->state == UX_WAITING) { /* not if its owner has ended it just now */
			leave(p, x);
			arm(p);
			tell(x, ERR_OK, data, (size_t)n);
		}
		return;
	}
}

/** A socket with its source address and peer; the caller closes it where that fails. */
static int open_socket(struct udp_pool *p, struct udp_group *g, struct udp_socket **ret)
{
	struct udp_socket *s;
	int err = 0;

	if (g->n_sockets == UDP_POOL_SOCKETS)
		return ERR_LIMIT;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return ERR_NOMEM;
	(void)uv_udp_init(p->loop, &s->udp); /* opens nothing yet */
	s->udp.data = s;
	s->pool = p;
	s->group = g;
	s->born_ms = uv_now(p->loop);
	g->sockets[g->n_sockets++] = s;
	p->n_sockets++;
	p->open++;
	*ret = s;
	if (addr_is_set(&g->source)) {
		struct addr local = g->source;

		addr_set_port(&local, 0); /* the kernel picks one at random */
		err = uv_udp_bind(&s->udp, &local.u.sa, 0);
	}
	if (err == 0)
		err = uv_udp_connect(&s->udp, &g->peer.u.sa);
	if (err == 0)
		err = uv_udp_recv_start(&s->udp, on_alloc, on_datagram);
	uv_unref((uv_handle_t *)&s->udp);
	if (p->sweep_at == NEVER)
		p->sweep_at = s->born_ms + UDP_POOL_AGE_MS;
	return err;
}

static bool has_room(const struct udp_socket *s)
{
	return s->state == US_OPEN && s->n_seated < UDP_POOL_SEATS && s->uses < UDP_POOL_USES &&
	       uv_now(s->pool->loop) - s->born_ms < UDP_POOL_AGE_MS;
}

static struct udp_socket *choose(struct udp_group *g)
{
	if (g->n_sockets < UDP_POOL_SPREAD)
		return NULL;
	for (size_t i = 0; i < g->n_sockets; i++) {
		g->turn = (g->turn + 1) % g->n_sockets;
		if (has_room(g->sockets[g->turn]))
			return g->sockets[g->turn];
	}
	return NULL;
}

static int send_request(struct udp_socket *s, const struct udp_exchange *x)
{
	/* libuv's buffer type has no const form; try_send only reads. */
	uv_buf_t out = uv_buf_init((char *)(uintptr_t)x->p.request, (unsigned)x->p.request_len);
	int n = uv_udp_try_send(&s->udp, &out, 1, NULL);

	return n < 0 ? n : ERR_OK;
}

/** Send from a socket of the group, else from a new one. */
static int place(struct udp_pool *p, struct udp_exchange *x, const struct addr *source)
{
	for (;;) { /* ends, since sockets that fail leave the group */
		struct udp_group *g = need_group(p, &x->p.peer, source);
		struct udp_socket *s = g != NULL ? choose(g) : NULL;
		bool fresh = s == NULL;
		int err = g != NULL ? ERR_OK : ERR_NOMEM;

		if (fresh && err == ERR_OK)
			err = open_socket(p, g, &s);
		if (err == ERR_OK)
			err = send_request(s, x);
		if (err == ERR_OK) {
			take_seat(s, x);
			return ERR_OK;
		}
		if (s == NULL && g != NULL)
			drop_if_empty(p, g);
		if (s != NULL)
			fail_socket(s, err); /* what came of an earlier request is told here */
		if (fresh)
			return err;
	}
}

void udp_pool_start(struct udp_pool *p, struct udp_exchange *x, const struct net *net)
{
	bool v6 = x->p.peer.u.sa.sa_family == AF_INET6;
	int err;

	uv_update_time(p->loop); /* the loop's time may be old after long work */
	p->n_waiting++;
	err = deadlines_set(&p->deadlines, &x->deadline, uv_now(p->loop) + x->p.timeout_ms);
	if (err == ERR_OK)
		err = place(p, x, v6 ? &net->source6 : &net->source4);
	if (err != ERR_OK)
		udp_pool_end(p, x, err);
	else
		arm(p);
}

/* ---- the pool ---- */

struct udp_pool *udp_pool_new(uv_loop_t *loop)
{
	struct udp_pool *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->loop = loop;
	p->armed_at = NEVER;
	p->sweep_at = NEVER;
	p->open = 1;
	(void)uv_timer_init(loop, &p->timer);
	p->timer.data = p;
	return p;
}

static void on_timer_closed(uv_handle_t *h)
{
	handle_closed(h->data);
}

void udp_pool_close(struct udp_pool *p)
{
	struct udp_group *next;

	if (p == NULL)
		return;
	if (p->n_waiting > 0 || p->first != NULL)
		abort(); /* our bug: an owner has not waited for the end of what it began */
	for (size_t b = 0; b < GROUP_BUCKETS; b++) {
		for (struct udp_group *g = p->buckets[b]; g != NULL; g = next) {
			next = g->next;
			for (size_t i = g->n_sockets; i-- > 0;)
				close_socket(g->sockets[i]); /* the last one takes g with it */
		}
	}
	uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}
