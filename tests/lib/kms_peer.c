#include "tests/lib/kms_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "kmscore/kms_msg.h"
#include "tests/lib/test_net.h"

static void on_conn_closed(uv_handle_t *h)
{
	struct kms_peer_conn *c = h->data;

	kms_assoc_done(&c->a);
	buf_done(&c->in);
	c->used = false;
}

static void conn_close(struct kms_peer_conn *c)
{
	if (c->open)
		uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
	c->open = false;
}

static void send_bytes(struct kms_peer_conn *c, const uint8_t *data, size_t len)
{
	uv_buf_t b = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);

	if (len > 0) /* whoever is gone meanwhile gets nothing */
		(void)uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
}

static void respond(struct kms_peer_conn *c, struct buf *out)
{
	const uint8_t body[4] = { (uint8_t)c->f->tag, 0, 0, 0 };
	struct kms_response rs = { .hresult = c->f->hresult };
	struct buf stub;

	if (c->f->hresult == 0) {
		rs.body = body;
		rs.body_len = sizeof(body);
	}
	buf_init(&stub, RPC_STUB_MAX);
	assert_int_equal(kms_response_encode(&stub, false, &rs), 0);
	assert_int_equal(kms_assoc_respond(&c->a, stub.data, stub.len, false, out), 0);
	buf_done(&stub);
}

/** @return false: the connection is at its end. */
static bool on_call(struct kms_peer_conn *c, struct buf *out)
{
	struct kms_peer *f = c->f;

	f->n_calls++;
	switch (f->way) {
	case KMS_PEER_FAULTS:
		assert_int_equal(kms_assoc_fault(&c->a, f->fault, out), 0);
		return true;
	case KMS_PEER_DROPS:
		return false;
	case KMS_PEER_HALF:
		respond(c, out);
		out->len /= 2;
		return false;
	default:
		respond(c, out);
		return true;
	}
}

static void on_bytes(struct kms_peer_conn *c)
{
	struct err_info info;
	enum kms_assoc_event ev = KMS_ASSOC_MORE;
	bool open = true;
	struct buf out;
	size_t used;

	buf_init(&out, 1u << 18);
	do {
		ev = kms_assoc_feed(&c->a, c->in.data, c->in.len, &used, &out, &info);
		buf_consume(&c->in, used);
		if (ev != KMS_ASSOC_CALL)
			break;
		if (c->f->way == KMS_PEER_SILENT) {
			c->f->n_calls++;
			break;
		}
		open = on_call(c, &out);
	} while (open);
	send_bytes(c, out.data, out.len);
	buf_done(&out);
	if (!open || ev == KMS_ASSOC_END || ev == KMS_ASSOC_REFUSED)
		conn_close(c);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
	struct kms_peer_conn *c = h->data;

	(void)suggested;
	*b = uv_buf_init(c->f->rx, sizeof(c->f->rx));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct kms_peer_conn *c = s->data;

	if (n < 0) {
		conn_close(c);
		return;
	}
	assert_int_equal(buf_append(&c->in, b->base, (size_t)n), 0);
	on_bytes(c);
}

static void on_connection(uv_stream_t *server, int status)
{
	struct kms_peer *f = server->data;
	struct kms_peer_conn *c = f->conn;

	assert_int_equal(status, 0);
	while (c < f->conn + KMS_PEER_CONNS && c->used)
		c++;
	assert_true(c < f->conn + KMS_PEER_CONNS);
	f->n_conns++;
	c->f = f;
	c->used = c->open = true;
	kms_assoc_init(&c->a, &f->self, (uint32_t)f->n_conns);
	buf_init(&c->in, 1u << 16);
	assert_int_equal(uv_tcp_init(server->loop, &c->tcp), 0);
	c->tcp.data = c;
	assert_int_equal(uv_accept(server, (uv_stream_t *)&c->tcp), 0);
	(void)uv_tcp_nodelay(&c->tcp, 1);
	if (f->way == KMS_PEER_CLOSES)
		conn_close(c);
	else if (f->way != KMS_PEER_MUTE)
		assert_int_equal(uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read), 0);
}

static bool is_congested(void *ctx, bool from_relay)
{
	(void)from_relay;
	return ((struct kms_peer *)ctx)->way == KMS_PEER_NAKS;
}

static void start_listening(struct kms_peer *f, uv_loop_t *loop)
{
	assert_int_equal(uv_tcp_init(loop, &f->server), 0);
	f->server.data = f;
	assert_int_equal(uv_tcp_bind(&f->server, &f->addr.u.sa, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&f->server, 128, on_connection), 0);
	f->listening = true;
	f->closed = false;
}

void kms_peer_start(struct kms_peer *f, uv_loop_t *loop, char tag, uint16_t role, uint8_t id)
{
	struct sockaddr_storage ss;
	int len = sizeof(ss);

	memset(f, 0, sizeof(*f));
	f->tag = tag;
	f->self.role = role;
	f->self.node_id.b[0] = id;
	f->self.congested = is_congested;
	f->self.ctx = f;
	f->addr = test_addr("127.0.0.1:0");
	start_listening(f, loop);
	assert_int_equal(uv_tcp_getsockname(&f->server, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&f->addr, (struct sockaddr *)&ss), 0);
	f->self.port = addr_port(&f->addr);
}

void kms_peer_close_conns(struct kms_peer *f)
{
	for (size_t i = 0; i < KMS_PEER_CONNS; i++)
		conn_close(&f->conn[i]);
}

static void on_server_closed(uv_handle_t *h)
{
	((struct kms_peer *)h->data)->closed = true;
}

void kms_peer_down(struct kms_peer *f)
{
	kms_peer_close_conns(f);
	if (f->listening)
		uv_close((uv_handle_t *)&f->server, on_server_closed);
	f->listening = false;
}

void kms_peer_again(struct kms_peer *f)
{
	uv_loop_t *loop = f->server.loop;

	while (uv_is_closing((uv_handle_t *)&f->server) && !f->closed)
		uv_run(loop, UV_RUN_NOWAIT);
	start_listening(f, loop);
}

void kms_peer_stop(struct kms_peer *f)
{
	kms_peer_down(f);
}
