/* What arrives at an end of a connection, and what is taken from it. */
#include <errno.h>
#include <string.h>

#include "tests/sim/machine.h"

size_t conn_take(struct sim_conn *c, uint8_t *ret, size_t size, bool peek)
{
	size_t n = 0;

	for (struct piece *p = c->rx.head; p != NULL && n < size;) {
		size_t part = p->len - p->taken < size - n ? p->len - p->taken : size - n;

		memcpy(ret + n, p->data + p->taken, part);
		n += part;
		if (peek) {
			p = p->next;
			continue;
		}
		p->taken += part;
		if (p->taken == p->len)
			block_put(pieces_take(&c->rx));
		p = c->rx.head;
	}
	if (peek)
		return n;
	c->rx_bytes -= n;
	c->other->outstanding -= n;
	conn_launch(c->other);
	return n;
}

/* A model takes all of it, and may close the connection meanwhile. */
void conn_take_model(struct sim_conn *c)
{
	struct piece *p;

	c->n_events++;
	while (c->owner == OWNER_MODEL && !c->held && (p = pieces_take(&c->rx)) != NULL) {
		c->rx_bytes -= p->len;
		c->other->outstanding -= p->len;
		conn_launch(c->other);
		c->ops->data(c, p->data, p->len);
		block_put(p);
	}
	c->n_events--;
	if (c->owner == OWNER_MODEL && !c->held && c->rx_end)
		conn_end_model(c, 0);
}

static void reset_other(struct sim_conn *c)
{
	if (c->state != CONN_DEAD)
		conn_die(c, ECONNRESET);
	conn_push(c, PIECE_RST, NULL, 0);
}

/* @return false: the queue of the listener is full, and the kernel says nothing */
static bool arrived_syn(struct sim_conn *c)
{
	struct sim_socket *s = socket_listening(&c->local);
	const struct tcp_port *p = s == NULL ? tcp_port_of(&c->local) : NULL;

	if (c->other->owner == OWNER_NOBODY)
		return true; /* given up meanwhile */
	if (s != NULL && s->n_queue >= s->backlog)
		return false;
	if (s == NULL && p == NULL) {
		reset_other(c);
		return true;
	}
	c->state = CONN_OPEN;
	conn_push(c, PIECE_SYNACK, NULL, 0);
	if (s != NULL) {
		c->owner = OWNER_QUEUE;
		c->socket = s;
		s->queue[s->n_queue++] = c;
		return true;
	}
	c->owner = OWNER_MODEL;
	c->ops = p->ops;
	c->ctx = p->ctx;
	if (c->ops->open != NULL)
		c->ops->open(c);
	return true;
}

static void arrived_synack(struct sim_conn *c)
{
	if (c->state != CONN_CONNECTING)
		return;
	c->state = CONN_OPEN;
	if (c->owner == OWNER_MODEL && c->ops->open != NULL) {
		c->n_events++;
		c->ops->open(c);
		c->n_events--;
	}
	conn_launch(c);
}

static void arrived_data(struct sim_conn *c, const struct piece *p)
{
	struct piece *copy;

	digest_add("stream", p->data, p->len);
	if (c->owner == OWNER_NOBODY || c->state == CONN_DEAD ||
	    (c->owner == OWNER_SOCKET && c->socket->shut_read)) {
		c->other->outstanding -= p->len;
		if (c->owner == OWNER_NOBODY)
			reset_other(c);
		return;
	}
	copy = block_get(sizeof(*copy) + p->len);
	memcpy(copy, p, sizeof(*copy) + p->len);
	pieces_put(&c->rx, copy);
	c->rx_bytes += p->len;
	conn_take_model(c);
}

static void arrived_reset(struct sim_conn *c)
{
	if (c->state == CONN_CONNECTING)
		conn_die(c, ECONNREFUSED);
	else
		conn_die(c, c->rx_end ? EPIPE : ECONNRESET); /* Linux: EPIPE in CLOSE_WAIT */
}

bool conn_arrived(struct sim_conn *c, struct piece *p)
{
	c->heard_us = world->now_us;
	c->keep.missed = 0;
	if (c->owner == OWNER_NOBODY && p->kind == PIECE_SYNACK && c->state == CONN_DEAD) {
		conn_push(c, PIECE_RST, NULL, 0);
		return true;
	}
	switch (p->kind) {
	case PIECE_SYN:
		return arrived_syn(c);
	case PIECE_SYNACK:
		arrived_synack(c);
		break;
	case PIECE_DATA:
		arrived_data(c, p);
		break;
	case PIECE_FIN:
		c->rx_end = true;
		conn_take_model(c);
		break;
	case PIECE_RST:
		arrived_reset(c);
		break;
	}
	return true;
}

/* ---- keep-alive ---- */

static void on_keep_alive(void *ctx, uint64_t id)
{
	struct sim_conn *c = ctx;
	const struct keepalive *k = &c->keep;
	uint64_t due = c->heard_us + k->idle_s * UINT64_C(1000000);

	if (!c->used || c->id != id || c->state != CONN_OPEN || k->idle_s == 0)
		return;
	if (due > world->now_us) {
		event_at_us(due, on_keep_alive, c, id);
		return;
	}
	if (!rule_for(&c->local, &c->peer)->cut && !rule_for(&c->peer, &c->local)->cut) {
		if (c->other->owner == OWNER_NOBODY && c->other->state == CONN_DEAD) {
			conn_die(c, ECONNRESET);
			return;
		}
		c->heard_us = world->now_us;
		c->keep.missed = 0;
		event_at_us(world->now_us + k->idle_s * UINT64_C(1000000), on_keep_alive, c, id);
	} else if (++c->keep.missed > k->tries) {
		conn_die(c, ETIMEDOUT);
	} else {
		event_at_us(world->now_us + k->every_s * UINT64_C(1000000), on_keep_alive, c, id);
	}
}

void conn_keep_alive(struct sim_conn *c, const struct keepalive *k)
{
	bool begun = c->keep.idle_s != 0;

	c->keep = *k;
	c->heard_us = world->now_us;
	if (begun)
		return;
	event_at_us(world->now_us + c->keep.idle_s * UINT64_C(1000000), on_keep_alive, c, c->id);
}
