/* Connections: sending, and who holds an end. stream_rx.c: what arrives. */
#include <errno.h>
#include <string.h>

#include "tests/sim/machine.h"

#define RETRY_FIRST_US 200000u /* over a link that is cut, doubled each time */
#define RETRY_MAX_US   120000000u
#define GIVE_UP_TRIES  15 /* as tcp_retries2 */
#define SYN_RETRY_US   1000000u
#define SYN_TRIES      6 /* as tcp_syn_retries */

/* ---- queues of pieces ---- */

struct piece *pieces_take(struct pieces *p)
{
	struct piece *x = p->head;

	if (x == NULL)
		return NULL;
	p->head = x->next;
	if (p->head == NULL)
		p->tail = NULL;
	return x;
}

void pieces_put(struct pieces *p, struct piece *x)
{
	x->next = NULL;
	if (p->tail != NULL)
		p->tail->next = x;
	else
		p->head = x;
	p->tail = x;
}

void pieces_drop(struct pieces *p)
{
	struct piece *x;

	while ((x = pieces_take(p)) != NULL)
		block_put(x);
}

/* ---- both ends ---- */

static struct sim_conn *conn_new(void)
{
	struct sim_conn *c = world->free_conns;

	if (++world->n_conns > 2 * SIM_CONNS_MAX)
		sim_fail("too many connections (SIM_CONNS_MAX)");
	if (c != NULL) {
		world->free_conns = c->next;
		*c = (struct sim_conn){ 0 };
	} else {
		c = sim_alloc(sizeof(*c));
	}
	c->used = true;
	c->id = ++world->seq;
	c->next = world->conns;
	world->conns = c;
	return c;
}

static void forget(struct sim_conn *c)
{
	struct sim_conn **at = &world->conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	pieces_drop(&c->rx);
	pieces_drop(&c->tx);
	c->used = false;
	c->next = world->free_conns;
	world->free_conns = c;
	world->n_conns--;
}

/* Both go when nobody holds one and nothing is under way. */
static void forget_if_over(struct sim_conn *c)
{
	struct sim_conn *o = c->other;

	if (c->owner != OWNER_NOBODY || o->owner != OWNER_NOBODY || c->n_events > 0 ||
	    o->n_events > 0)
		return;
	forget(c);
	forget(o);
}

static void on_air(void *ctx, uint64_t arg);

static void air_event(struct sim_conn *c, uint64_t at_us)
{
	c->n_events++;
	event_at_us(at_us, on_air, c, 0);
}

static void drop_air(struct sim_conn *c)
{
	struct piece *p;

	while ((p = pieces_take(&c->air)) != NULL) {
		flight_ended();
		block_put(p);
	}
}

/* Has it been tried too often? Else when it is tried again. */
static bool again(struct sim_conn *c, struct piece *p)
{
	bool syn = p->kind == PIECE_SYN;
	uint64_t wait = (syn ? SYN_RETRY_US : RETRY_FIRST_US);

	if (++p->tries > (syn ? SYN_TRIES : GIVE_UP_TRIES))
		return false;
	for (unsigned i = 1; i < p->tries && wait < RETRY_MAX_US; i++)
		wait *= 2;
	p->at_us = world->now_us + (wait < RETRY_MAX_US ? wait : RETRY_MAX_US);
	air_event(c, p->at_us);
	return true;
}

static void on_air(void *ctx, uint64_t arg)
{
	struct sim_conn *c = ctx, *o = c->other;
	struct piece *p;

	(void)arg;
	while ((p = c->air.head) != NULL && p->at_us <= world->now_us) {
		bool gone = rule_for(&c->local, &c->peer)->cut;

		if (!gone) {
			(void)pieces_take(&c->air); /* what it causes may drop the others */
			gone = !conn_arrived(o, p);
			if (!gone) {
				flight_ended();
				block_put(p);
				continue;
			}
			p->next = c->air.head;
			c->air.head = p;
			if (c->air.tail == NULL)
				c->air.tail = p;
		}
		if (!again(c, p)) {
			drop_air(c);
			conn_die(c, ETIMEDOUT);
		}
		break;
	}
	c->n_events--;
	forget_if_over(c);
}

/* ---- sending ---- */

static struct piece *new_piece(enum piece_kind kind, const uint8_t *data, size_t len)
{
	struct piece *p = block_get(sizeof(*p) + len);

	p->kind = kind;
	p->len = len;
	if (len > 0)
		memcpy(p->data, data, len);
	return p;
}

static void into_air(struct sim_conn *c, struct piece *p)
{
	uint64_t at = world->now_us + rule_delay_us(rule_for(&c->local, &c->peer));

	if (at < c->last_at_us)
		at = c->last_at_us; /* in order */
	c->last_at_us = at;
	p->at_us = at;
	flight_began();
	pieces_put(&c->air, p);
	air_event(c, at);
}

void conn_push(struct sim_conn *c, enum piece_kind kind, const uint8_t *data, size_t len)
{
	into_air(c, new_piece(kind, data, len));
}

void conn_launch(struct sim_conn *c)
{
	struct piece *p;

	while (c->state == CONN_OPEN && (p = c->tx.head) != NULL &&
	       (p->len == 0 || c->outstanding + p->len <= WINDOW)) {
		(void)pieces_take(&c->tx);
		c->tx_bytes -= p->len;
		c->outstanding += p->len;
		into_air(c, p);
	}
}

void conn_send(struct sim_conn *c, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t n = len < PIECE_MAX ? len : PIECE_MAX;

		pieces_put(&c->tx, new_piece(PIECE_DATA, data, n));
		c->tx_bytes += n;
		data += n;
		len -= n;
	}
	conn_launch(c);
}

void conn_shut(struct sim_conn *c)
{
	if (c->tx_end || c->state == CONN_DEAD)
		return;
	c->tx_end = true;
	pieces_put(&c->tx, new_piece(PIECE_FIN, NULL, 0));
	conn_launch(c);
}

/* It takes part in nothing any more. */
void conn_die(struct sim_conn *c, int err)
{
	if (c->state == CONN_DEAD)
		return;
	c->state = CONN_DEAD;
	c->err = err;
	c->tx_bytes = 0;
	pieces_drop(&c->tx);
	if (c->owner == OWNER_MODEL)
		conn_end_model(c, -err);
}

void conn_release(struct sim_conn *c, bool reset)
{
	c->owner = OWNER_NOBODY;
	c->socket = NULL;
	c->ops = NULL;
	if (reset && c->state != CONN_DEAD) {
		conn_die(c, ECONNRESET);
		conn_push(c, PIECE_RST, NULL, 0);
	} else {
		conn_shut(c);
	}
	if (c->state == CONN_CONNECTING)
		conn_die(c, ECONNRESET); /* the answer to its SYN gets a reset */
	forget_if_over(c);
}

void conn_end_model(struct sim_conn *c, int err)
{
	const struct sim_conn_ops *ops = c->ops;

	if (c->owner != OWNER_MODEL)
		return;
	c->n_events++; /* it stays while the model is told */
	play_begin();
	ops->closed(c, err);
	play_end();
	c->n_events--;
	conn_release(c, false);
}

/* ---- beginning ---- */

struct sim_conn *conn_connect(const struct addr *from, const struct addr *to)
{
	struct sim_conn *c = conn_new(), *o = conn_new();

	c->other = o;
	o->other = c;
	c->local = o->peer = *from;
	c->peer = o->local = *to;
	c->state = CONN_CONNECTING;
	conn_push(c, PIECE_SYN, NULL, 0);
	return c;
}

struct sim_conn *sim_tcp_connect(const struct addr *from, const struct addr *to,
				 const struct sim_conn_ops *ops, void *ctx)
{
	struct addr local = *from;
	struct sim_conn *c;

	if (addr_port(&local) == 0)
		addr_set_port(&local, (uint16_t)(32768 + rng_below(&world->net_rng, 28000)));
	c = conn_connect(&local, to);
	c->owner = OWNER_MODEL;
	c->ops = ops;
	c->ctx = ctx;
	return c;
}

struct tcp_port *tcp_port_of(const struct addr *at)
{
	for (size_t i = 0; i < world->n_tcp_ports; i++)
		if (addr_equal(&world->tcp_ports[i].at, at))
			return &world->tcp_ports[i];
	return NULL;
}

void sim_tcp_listen(const struct addr *at, const struct sim_conn_ops *ops, void *ctx)
{
	struct tcp_port *p = tcp_port_of(at);

	if (p == NULL && world->n_tcp_ports == PORTS_MAX)
		sim_fail("too many ports are open");
	if (p == NULL)
		p = &world->tcp_ports[world->n_tcp_ports++];
	*p = (struct tcp_port){ *at, ops, ctx };
}

void sim_tcp_unlisten(const struct addr *at)
{
	struct tcp_port *p = tcp_port_of(at);

	if (p != NULL)
		*p = world->tcp_ports[--world->n_tcp_ports];
}

/* ---- as a model has it ---- */

void *sim_conn_ctx(const struct sim_conn *c)
{
	return c->ctx;
}

void sim_conn_set_ctx(struct sim_conn *c, void *ctx)
{
	c->ctx = ctx;
}

const struct addr *sim_conn_peer(const struct sim_conn *c)
{
	return &c->peer;
}

static void need_model(const struct sim_conn *c)
{
	if (!c->used || c->owner != OWNER_MODEL)
		sim_fail("a model uses a connection that is gone");
}

void sim_conn_write(struct sim_conn *c, const uint8_t *data, size_t len)
{
	need_model(c);
	if (c->tx_end)
		sim_fail("a model writes to a connection it has shut down");
	if (c->state != CONN_DEAD)
		conn_send(c, data, len);
}

void sim_conn_shutdown(struct sim_conn *c)
{
	need_model(c);
	conn_shut(c);
}

void sim_conn_close(struct sim_conn *c)
{
	need_model(c);
	conn_release(c, false);
}

void sim_conn_reset(struct sim_conn *c)
{
	need_model(c);
	conn_release(c, true);
}

void sim_conn_hold(struct sim_conn *c, bool hold)
{
	need_model(c);
	c->held = hold;
	if (!hold)
		conn_take_model(c);
}

/* ---- the end of a life ---- */

void conns_end_life(bool crash)
{
	struct sim_conn *c, *next;

	for (c = world->conns; c != NULL; c = c->next) {
		c->kept = true; /* none goes while we walk */
		c->n_events++;
	}
	for (c = world->conns; c != NULL; c = c->next) {
		bool program = c->owner == OWNER_SOCKET || c->owner == OWNER_QUEUE;

		if (program && crash) {
			c->owner = OWNER_NOBODY;
			c->socket = NULL;
			conn_die(c, ECONNRESET);
			drop_air(c);
			conn_die(c->other,
				 ECONNRESET); /* a power cut says nothing; but it must end */
			drop_air(c->other);
		} else if (program) {
			conn_release(c, c->rx_bytes > 0);
		}
	}
	for (c = world->conns; c != NULL; c = c->next) {
		c->n_events -= c->kept ? 1 : 0;
		c->kept = false;
	}
	/* one after the other: two go at once */
	for (c = world->conns; c != NULL; c = next) {
		next = c->next;
		if (next == c->other)
			next = next->next;
		forget_if_over(c);
	}
}
