#include "tests/lib/fake_dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

struct fake_conn {
	uv_tcp_t tcp;
	struct fake_dns *f;
	struct fake_conn *next;
	uint64_t id;
	size_t have;
	uint8_t in[DNSMSG_MAX + 2];
};

struct fake_later {
	uv_timer_t timer;
	struct fake_dns_peer to;
	struct fake_later *next;
	size_t len;
	uint8_t data[];
};

struct fake_dns {
	struct test_net *t;
	struct fake_dns_params p;
	struct addr addr;
	uv_udp_t udp, other; /* `other` sends from another port */
	uv_tcp_t tcp;
	struct fake_conn *conns;
	struct fake_later *later;
	uint64_t last_conn;
	size_t handles;
	bool closing;
	unsigned n_udp, n_tcp;
	uint8_t rx[65536];
};

static void handle_closed(struct fake_dns *f)
{
	if (--f->handles == 0 && f->closing)
		free(f);
}

static void on_closed(uv_handle_t *h)
{
	handle_closed(h->data);
}

static void deliver(struct fake_dns *f, const uint8_t *data, size_t len,
		    const struct fake_dns_peer *from)
{
	struct fake_dns_request rq = { .data = data, .len = len, .tcp = from->tcp, .from = *from };

	rq.n = f->n_udp + f->n_tcp;
	if (from->tcp)
		f->n_tcp++;
	else
		f->n_udp++;
	if (dnsmsg_parse(data, len, &rq.msg) != 0)
		rq.msg = NULL;
	if (f->p.on_message != NULL)
		f->p.on_message(f, &rq, f->p.ctx);
	dnsmsg_free(rq.msg);
}

/* UDP */

static void on_udp_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
	struct fake_dns *f = h->data;

	(void)suggested;
	*b = uv_buf_init((char *)f->rx, sizeof(f->rx));
}

static void on_datagram(uv_udp_t *h, ssize_t n, const uv_buf_t *b, const struct sockaddr *sa,
			unsigned flags)
{
	struct fake_dns *f = h->data;
	struct fake_dns_peer from = { .f = f };

	(void)flags;
	if (n < 0 || sa == NULL || f->closing)
		return;
	assert_int_equal(addr_from_sockaddr(&from.addr, sa), 0);
	deliver(f, (const uint8_t *)b->base, (size_t)n, &from);
}

/* TCP */

static struct fake_conn *find_conn(const struct fake_dns_peer *to)
{
	struct fake_conn *c = to->f->conns;

	while (c != NULL && c->id != to->conn)
		c = c->next;
	return c;
}

static void on_conn_closed(uv_handle_t *h)
{
	struct fake_conn *c = h->data;
	struct fake_dns *f = c->f;

	free(c);
	handle_closed(f);
}

static void drop_conn(struct fake_conn *c, bool reset)
{
	struct fake_conn **at = &c->f->conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	if (reset)
		uv_tcp_close_reset(&c->tcp, on_conn_closed);
	else
		uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
}

static void on_conn_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
	struct fake_conn *c = h->data;

	(void)suggested;
	*b = uv_buf_init((char *)c->in + c->have, (unsigned)(sizeof(c->in) - c->have));
}

static void on_conn_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct fake_conn *c = s->data;
	struct fake_dns *f = c->f;
	struct fake_dns_peer from = { .f = f, .tcp = true, .conn = c->id };

	if (n == 0 || f->closing)
		return;
	if (n < 0) {
		drop_conn(c, false);
		return;
	}
	if (f->p.on_bytes != NULL) {
		f->p.on_bytes(f, &from, (const uint8_t *)b->base, (size_t)n, f->p.ctx);
		return;
	}
	c->have += (size_t)n;
	while (c->have >= 2) {
		size_t len = (size_t)c->in[0] << 8 | c->in[1];

		if (c->have < len + 2)
			break;
		deliver(f, c->in + 2, len, &from);
		if (find_conn(&from) == NULL)
			return; /* the test closed it; c is gone */
		c->have -= len + 2;
		memmove(c->in, c->in + len + 2, c->have);
	}
}

static void on_connection(uv_stream_t *s, int status)
{
	struct fake_dns *f = s->data;
	struct fake_conn *c = calloc(1, sizeof(*c));
	struct fake_dns_peer from = { .f = f, .tcp = true };
	struct sockaddr_storage ss;
	int len = sizeof(ss);

	assert_non_null(c);
	assert_int_equal(status, 0);
	assert_int_equal(uv_tcp_init(&f->t->loop, &c->tcp), 0);
	assert_int_equal(uv_accept(s, (uv_stream_t *)&c->tcp), 0);
	c->tcp.data = c;
	c->f = f;
	c->id = ++f->last_conn;
	c->next = f->conns;
	f->conns = c;
	f->handles++;
	from.conn = c->id;
	if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&ss, &len) == 0)
		assert_int_equal(addr_from_sockaddr(&from.addr, (struct sockaddr *)&ss), 0);
	if (f->p.on_connect != NULL)
		f->p.on_connect(f, &from, f->p.ctx);
	if (find_conn(&from) != NULL)
		assert_int_equal(uv_read_start((uv_stream_t *)&c->tcp, on_conn_alloc, on_conn_read),
				 0);
}

/* Life */

/* Below the kernel's ephemeral range: a socket that some other process is about to connect holds
 * its port on every address for a moment, and a second server of a test that wants our port
 * elsewhere would fail. */
#define PORT_FIRST 12000u
#define PORT_COUNT 20000u
#define PORT_TRIES 100

static uint16_t some_port(void)
{
	return (uint16_t)(PORT_FIRST + arc4random_uniform(PORT_COUNT));
}

/** Both protocols on one port; false: the port that was drawn is taken. */
static bool bind_both(struct fake_dns *f)
{
	struct addr a = test_addr(f->p.ip != NULL ? f->p.ip : "127.0.0.1");

	addr_set_port(&a, f->p.port != 0 ? f->p.port : some_port());
	f->addr = a;
	assert_int_equal(uv_tcp_init(&f->t->loop, &f->tcp), 0);
	assert_int_equal(uv_udp_init(&f->t->loop, &f->udp), 0);
	f->tcp.data = f->udp.data = f;
	f->handles += 2;
	if (uv_tcp_bind(&f->tcp, &a.u.sa, UV_TCP_IPV6ONLY * (a.u.sa.sa_family == AF_INET6)) == 0 &&
	    ((f->p.without & FAKE_NO_TCP) != 0 ||
	     uv_listen((uv_stream_t *)&f->tcp, 128, on_connection) == 0) &&
	    ((f->p.without & FAKE_NO_UDP) != 0 || uv_udp_bind(&f->udp, &a.u.sa, 0) == 0)) {
		if ((f->p.without & FAKE_NO_UDP) == 0)
			assert_int_equal(uv_udp_recv_start(&f->udp, on_udp_alloc, on_datagram), 0);
		return true;
	}
	assert_int_equal(f->p.port, 0);
	uv_close((uv_handle_t *)&f->tcp, on_closed);
	uv_close((uv_handle_t *)&f->udp, on_closed);
	while (f->handles > 1)
		uv_run(&f->t->loop, UV_RUN_NOWAIT);
	return false;
}

struct fake_dns *fake_dns_new(struct test_net *t, const struct fake_dns_params *p)
{
	struct fake_dns *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->t = t;
	f->p = *p;
	assert_int_equal(uv_udp_init(&t->loop, &f->other), 0);
	f->other.data = f;
	f->handles = 1;
	for (int tries = 0; !bind_both(f); tries++)
		assert_true(tries < PORT_TRIES);
	return f;
}

static void on_later_closed(uv_handle_t *h)
{
	struct fake_later *l = h->data;
	struct fake_dns *f = l->to.f;

	free(l);
	handle_closed(f);
}

void fake_dns_free(struct fake_dns *f)
{
	f->closing = true;
	while (f->conns != NULL)
		drop_conn(f->conns, false);
	for (struct fake_later *l = f->later; l != NULL; l = l->next)
		uv_close((uv_handle_t *)&l->timer, on_later_closed);
	f->later = NULL;
	uv_close((uv_handle_t *)&f->tcp, on_closed);
	uv_close((uv_handle_t *)&f->udp, on_closed);
	uv_close((uv_handle_t *)&f->other, on_closed);
}

const struct addr *fake_dns_addr(const struct fake_dns *f)
{
	return &f->addr;
}

unsigned fake_dns_udp_count(const struct fake_dns *f)
{
	return f->n_udp;
}

/* Sending */

static void udp_send(uv_udp_t *from, const struct addr *to, const void *data, size_t len)
{
	uv_buf_t b = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);

	/* The receiver may be gone already: a refusal is no failure of the test. */
	(void)uv_udp_try_send(from, &b, 1, &to->u.sa);
}

void fake_dns_send_raw(const struct fake_dns_peer *to, const void *data, size_t len)
{
	struct fake_conn *c;
	const char *at = data;

	if (!to->tcp) {
		udp_send(&to->f->udp, &to->addr, data, len);
		return;
	}
	c = find_conn(to);
	while (c != NULL && len > 0) {
		uv_buf_t b = uv_buf_init((char *)(uintptr_t)at, (unsigned)len);
		int n = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);

		if (n < 0)
			return; /* gone, or it does not read */
		at += n;
		len -= (size_t)n;
	}
}

void fake_dns_send(const struct fake_dns_peer *to, const void *data, size_t len)
{
	if (to->tcp)
		fake_dns_send_raw(to, (const uint8_t[]){ (uint8_t)(len >> 8), (uint8_t)len }, 2);
	fake_dns_send_raw(to, data, len);
}

void fake_dns_send_reply(const struct fake_dns_peer *to, const struct fake_reply *r)
{
	fake_dns_send(to, r->data, r->len);
}

void fake_dns_send_elsewhere(const struct fake_dns_peer *to, const struct fake_reply *r)
{
	udp_send(&to->f->other, &to->addr, r->data, r->len);
}

static void on_later(uv_timer_t *t)
{
	struct fake_later *l = t->data;
	struct fake_later **at = &l->to.f->later;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	fake_dns_send(&l->to, l->data, l->len);
	uv_close((uv_handle_t *)t, on_later_closed);
}

void fake_dns_send_after(const struct fake_dns_peer *to, const struct fake_reply *r, uint32_t ms)
{
	struct fake_later *l = calloc(1, sizeof(*l) + r->len);

	assert_non_null(l);
	l->to = *to;
	l->len = r->len;
	memcpy(l->data, r->data, r->len);
	l->next = to->f->later;
	to->f->later = l;
	to->f->handles++;
	uv_timer_init(&to->f->t->loop, &l->timer);
	l->timer.data = l;
	uv_update_time(&to->f->t->loop);
	uv_timer_start(&l->timer, on_later, ms, 0);
}

void fake_dns_close(const struct fake_dns_peer *to)
{
	struct fake_conn *c = find_conn(to);

	if (c != NULL)
		drop_conn(c, false);
}

void fake_dns_reset(const struct fake_dns_peer *to)
{
	struct fake_conn *c = find_conn(to);

	if (c != NULL)
		drop_conn(c, true);
}
