#include "tests/lib/fake_rpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "tests/lib/test_net.h"

static void conn_close_now(struct fake_rpc_conn *c)
{
	if (c->open)
		uv_close((uv_handle_t *)&c->tcp, NULL);
	c->open = false;
}

static void send_bytes(struct fake_rpc_conn *c, const uint8_t *data, size_t len)
{
	uv_buf_t b = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);

	if (len > 0)
		assert_int_equal(uv_try_write((uv_stream_t *)&c->tcp, &b, 1), (int)len);
}

static void on_pdu(struct fake_rpc_conn *c, size_t len)
{
	struct fake_rpc *f = c->f;
	const struct fake_rpc_step *s;

	memcpy(f->last_pdu.b, c->in.b, len);
	f->last_pdu.len = len;
	c->in.len -= len;
	memmove(c->in.b, c->in.b + len, c->in.len);
	if (f->n_pdus++ >= f->n_steps)
		return;
	s = &f->step[f->n_pdus - 1];
	for (size_t i = 0; s->drip && i < s->reply.len; i++)
		send_bytes(c, s->reply.b + i, 1);
	if (!s->drip)
		send_bytes(c, s->reply.b, s->reply.len);
	if (s->close)
		conn_close_now(c);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
	struct fake_rpc_conn *c = h->data;

	(void)suggested;
	*b = uv_buf_init(c->f->rx, sizeof(c->f->rx));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct fake_rpc_conn *c = s->data;
	size_t len;

	if (n < 0) {
		conn_close_now(c);
		return;
	}
	assert_true(c->in.len + (size_t)n <= sizeof(c->in.b));
	memcpy(c->in.b + c->in.len, b->base, (size_t)n);
	c->in.len += (size_t)n;
	while (c->open) {
		assert_int_equal(rpc_frame_length(c->in.b, c->in.len, RPC_FRAG_MAX, &len), 0);
		if (len == 0 || len > c->in.len)
			break;
		on_pdu(c, len);
	}
}

static void on_connection(uv_stream_t *server, int status)
{
	struct fake_rpc *f = server->data;
	struct fake_rpc_conn *c = &f->conn[f->n_conns];

	assert_int_equal(status, 0);
	assert_true(f->n_conns < FAKE_RPC_CONNS);
	f->n_conns++;
	c->f = f;
	c->open = true;
	assert_int_equal(uv_tcp_init(server->loop, &c->tcp), 0);
	c->tcp.data = c;
	assert_int_equal(uv_accept(server, (uv_stream_t *)&c->tcp), 0);
	(void)uv_tcp_nodelay(&c->tcp, 1);
	if (f->close_on_accept)
		conn_close_now(c);
	else
		assert_int_equal(uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read), 0);
}

void fake_rpc_start(struct fake_rpc *f, uv_loop_t *loop)
{
	struct sockaddr_storage ss;
	int len = sizeof(ss);

	memset(f, 0, sizeof(*f));
	f->addr = test_addr("127.0.0.1:0");
	assert_int_equal(uv_tcp_init(loop, &f->server), 0);
	f->server.data = f;
	assert_int_equal(uv_tcp_bind(&f->server, &f->addr.u.sa, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&f->server, 16, on_connection), 0);
	assert_int_equal(uv_tcp_getsockname(&f->server, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&f->addr, (struct sockaddr *)&ss), 0);
}

void fake_rpc_stop(struct fake_rpc *f)
{
	for (size_t i = 0; i < f->n_conns; i++)
		conn_close_now(&f->conn[i]);
	uv_close((uv_handle_t *)&f->server, NULL);
}

struct fake_rpc_step *fake_rpc_add(struct fake_rpc *f)
{
	assert_true(f->n_steps < FAKE_RPC_STEPS);
	return &f->step[f->n_steps++];
}

void fake_rpc_add_hex(struct fake_rpc *f, const char *hex)
{
	fake_rpc_add(f)->reply = vec(hex);
}

void fake_rpc_add_ack(struct fake_rpc *f, uint16_t result, uint16_t reason,
		      const struct rpc_syntax *transfer)
{
	struct rpc_hdr h = { .ptype = RPC_BIND_ACK, .call_id = 1 };
	struct rpc_bind_ack a = { .max_xmit = 5840,
				  .max_recv = 5840,
				  .assoc_group = 7,
				  .sec_addr = "1688",
				  .n_results = 1 };
	struct fake_rpc_step *s = fake_rpc_add(f);
	struct buf b;

	a.result[0].result = result;
	a.result[0].reason = reason;
	if (transfer != NULL)
		a.result[0].transfer = *transfer;
	buf_init(&b, sizeof(s->reply.b));
	assert_int_equal(rpc_bind_ack_encode(&b, &h, &a), 0);
	memcpy(s->reply.b, b.data, b.len);
	s->reply.len = b.len;
	buf_done(&b);
}
