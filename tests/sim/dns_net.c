/* The ports of the name servers: datagrams, streams, and answers that come later. */

#include <string.h>

#include "tests/sim/dns_priv.h"

#define CONNS_MAX   256
#define PENDING_MAX 256

/** A connection, or a free place for one. */
struct stream {
	struct sim_conn *conn;
	struct sim_dns_server *server;
	uint64_t life; /* which connection had this place */
	size_t have;
	uint8_t data[2 + SIM_PACKET_MAX];
};

struct pending {
	bool used;
	struct sim_dns_server *server;
	struct addr to;
	struct stream *stream; /* NULL: a datagram */
	uint64_t life;
	size_t len;
	uint8_t data[2 + SIM_PACKET_MAX];
};

static struct places {
	struct stream streams[CONNS_MAX];
	struct pending pending[PENDING_MAX];
} * places;

static void send_now(const struct pending *p)
{
	if (p->stream == NULL)
		sim_udp_send(&p->server->at, &p->to, p->data + 2, p->len - 2);
	else if (p->stream->conn != NULL && p->stream->life == p->life)
		sim_conn_write(p->stream->conn, p->data, p->len);
}

static void on_later(void *ctx, uint64_t arg)
{
	struct pending *p = ctx;

	(void)arg;
	if (!p->server->ways.down)
		send_now(p);
	p->used = false;
}

static struct pending *free_place(void)
{
	for (size_t i = 0; i < PENDING_MAX; i++) {
		if (!places->pending[i].used)
			return &places->pending[i];
	}
	sim_fail("more than %d answers of name servers under way", PENDING_MAX);
}

static void serve(struct sim_dns_server *s, const struct addr *from, struct stream *stream,
		  const uint8_t *data, size_t len)
{
	struct pending *p = free_place();
	size_t n = sim_dns_serve(s, from, stream != NULL, data, len, sim_now(), p->data + 2,
				 SIM_PACKET_MAX);

	if (n == 0)
		return;
	p->server = s;
	p->to = *from;
	p->stream = stream;
	p->life = stream != NULL ? stream->life : 0;
	p->data[0] = (uint8_t)(n >> 8);
	p->data[1] = (uint8_t)n;
	p->len = n + 2;
	if (s->ways.answer_ms == 0) {
		send_now(p);
		return;
	}
	p->used = true;
	sim_after(s->ways.answer_ms, on_later, p, 0);
}

static void on_datagram(void *ctx, const struct addr *to, const struct addr *from,
			const uint8_t *data, size_t len)
{
	(void)to;
	serve(ctx, from, NULL, data, len);
}

/* ---- streams ---- */

static void on_open(struct sim_conn *c)
{
	struct sim_dns_server *s = sim_conn_ctx(c);

	for (size_t i = 0; i < CONNS_MAX; i++) {
		struct stream *t = &places->streams[i];

		if (t->conn != NULL)
			continue;
		t->conn = c;
		t->server = s;
		t->life++;
		t->have = 0;
		sim_conn_set_ctx(c, t);
		return;
	}
	sim_fail("%s: more than %d connections", s->name, CONNS_MAX);
}

static bool take_message(struct stream *t)
{
	size_t len = (size_t)t->data[0] << 8 | t->data[1];

	if (t->have < 2 || t->have < len + 2)
		return false;
	serve(t->server, sim_conn_peer(t->conn), t, t->data + 2, len);
	t->have -= len + 2;
	memmove(t->data, t->data + len + 2, t->have);
	return true;
}

static void on_data(struct sim_conn *c, const uint8_t *data, size_t len)
{
	struct stream *t = sim_conn_ctx(c);

	while (len > 0) {
		size_t n = sizeof(t->data) - t->have;

		n = n < len ? n : len;
		memcpy(t->data + t->have, data, n);
		t->have += n;
		data += n;
		len -= n;
		while (take_message(t))
			;
	}
}

static void on_closed(struct sim_conn *c, int err)
{
	(void)err;
	for (size_t i = 0; i < CONNS_MAX; i++) {
		if (places->streams[i].conn == c)
			places->streams[i].conn = NULL;
	}
}

static void drop_all(const struct sim_dns_server *s)
{
	for (size_t i = 0; i < CONNS_MAX; i++) {
		struct stream *t = &places->streams[i];

		if (t->conn == NULL || t->server != s)
			continue;
		sim_conn_reset(t->conn);
		t->conn = NULL;
	}
}

static const struct sim_conn_ops stream_ops = {
	.open = on_open,
	.data = on_data,
	.closed = on_closed,
};

void sim_dns_net_apply(struct sim_dns_server *s)
{
	bool udp = !s->ways.down, tcp = udp && !s->ways.no_tcp;

	places = sim_part(SIM_PART_DNS_NET, sizeof(*places));
	if (udp && !s->udp_open)
		sim_udp_open(&s->at, on_datagram, s);
	else if (!udp && s->udp_open)
		sim_udp_close(&s->at);
	if (tcp && !s->tcp_open)
		sim_tcp_listen(&s->at, &stream_ops, s);
	else if (!tcp && s->tcp_open)
		sim_tcp_unlisten(&s->at);
	if (s->udp_open && !udp)
		drop_all(s);
	s->udp_open = udp;
	s->tcp_open = tcp;
}
