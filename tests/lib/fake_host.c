#include "tests/lib/fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "kmscore/kin.h"
#include "tests/lib/test_net.h"

static void on_conn_closed(uv_handle_t *h)
{
	free(h->data);
}

static void conn_end(struct fake_host_conn *c, bool reset)
{
	struct fake_host *h = c->h;

	if (!c->open)
		return;
	c->open = false;
	h->n_open--;
	for (size_t i = 0; i < h->n_held;)
		if (h->held[i].c == c)
			h->held[i] = h->held[--h->n_held];
		else
			i++;
	for (size_t i = 0; i < FAKE_HOST_CONNS; i++)
		if (h->conn[i] == c)
			h->conn[i] = NULL;
	if (reset)
		assert_int_equal(uv_tcp_close_reset(&c->tcp, on_conn_closed), 0);
	else
		uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
}

static void say(struct fake_host_conn *c, const uint8_t *data, size_t len)
{
	uv_buf_t b = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
	int n = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);

	/* The pool may have gone, and we have not read of it yet. */
	if (n != UV_EPIPE && n != UV_ECONNRESET)
		assert_int_equal(n, (int)len);
}

static void say_and_done(struct fake_host_conn *c, struct buf *out)
{
	say(c, out->data, out->len);
	buf_done(out);
}

static void on_bind(struct fake_host_conn *c, const uint8_t *pdu, const struct rpc_hdr *h)
{
	struct fake_host *f = c->h;
	struct rpc_hdr rh = { .ptype = RPC_BIND_ACK,
			      .flags = f->multiplex ? RPC_FLAG_CONC_MPX : 0,
			      .call_id = h->call_id };
	struct rpc_bind_ack a = { .max_xmit = RPC_FRAG_MAX,
				  .max_recv = f->max_recv != 0 ? f->max_recv : RPC_FRAG_MAX,
				  .assoc_group = 7,
				  .sec_addr = "1688" };
	struct rpc_bind b;
	struct buf out;

	assert_int_equal(rpc_bind_decode(pdu, h, &b), 0);
	f->n_binds++;
	f->offered_mpx = (h->flags & RPC_FLAG_CONC_MPX) != 0;
	f->n_items = b.n_ctx;
	buf_init(&out, UINT16_MAX);
	switch (f->on_bind) {
	case FAKE_BIND_MUTE:
		return;
	case FAKE_BIND_CLOSE:
		conn_end(c, false);
		return;
	case FAKE_BIND_NAK:
		rh.ptype = RPC_BIND_NAK;
		assert_int_equal(rpc_bind_nak_encode(&out, &rh, RPC_NAK_CONGESTION), 0);
		break;
	case FAKE_BIND_ACK:
	case FAKE_BIND_REJECT:
		a.n_results = b.n_ctx;
		for (unsigned i = 0; i < b.n_ctx; i++) {
			a.result[i].result = RPC_CTX_PROVIDER_REJECT;
			a.result[i].reason = RPC_REASON_ABSTRACT;
			if (f->on_bind == FAKE_BIND_ACK &&
			    rpc_syntax_equal(&b.ctx[i].abstract, &rpc_syntax_kms))
				a.result[i] =
					(struct rpc_ctx_answer){ .transfer = rpc_syntax_ndr32 };
			else if (f->kin_role != 0 && kms_kin_is_offer(&b.ctx[i]))
				kms_kin_accept(&a.result[i], &f->kin_id, f->kin_role);
		}
		assert_int_equal(rpc_bind_ack_encode(&out, &rh, &a), 0);
		break;
	}
	say_and_done(c, &out);
}

static void answer_in(const struct fake_host_held *k, size_t frag_max, struct buf *out)
{
	struct rpc_hdr h = { .ptype = RPC_RESPONSE, .be = k->be, .call_id = k->call_id };
	struct rpc_response r = { .ctx_id = k->ctx_id, .stub = k->stub, .stub_len = k->stub_len };

	assert_int_equal(rpc_response_encode(out, &h, &r, frag_max), 0);
}

static void answer(struct fake_host *h, const struct fake_host_held *k)
{
	struct buf out;

	buf_init(&out, 65536);
	answer_in(k, h->frag != 0 ? h->frag : RPC_FRAG_MAX, &out);
	say_and_done(k->c, &out);
}

void fake_host_answer(struct fake_host *h, size_t i)
{
	assert_true(i < h->n_held);
	answer(h, &h->held[i]);
	h->n_held--;
	memmove(&h->held[i], &h->held[i + 1], (h->n_held - i) * sizeof(h->held[0]));
}

void fake_host_answer_mixed(struct fake_host *h)
{
	for (size_t at = 0, more = 1; more > 0; at += FAKE_HOST_MIX) {
		more = 0;
		for (size_t i = 0; i < h->n_held; i++) {
			struct fake_host_held k = h->held[i];
			struct buf out;

			if (at >= k.stub_len)
				continue;
			k.stub_len =
				k.stub_len - at < FAKE_HOST_MIX ? k.stub_len - at : FAKE_HOST_MIX;
			memmove(k.stub, h->held[i].stub + at, k.stub_len);
			buf_init(&out, 65536);
			answer_in(&k, RPC_FRAG_MAX, &out);
			out.data[3] =
				(uint8_t)((at == 0 ? RPC_FLAG_FIRST : 0) |
					  (at + k.stub_len == h->held[i].stub_len ? RPC_FLAG_LAST
										  : 0));
			say_and_done(k.c, &out);
			more++;
		}
	}
	h->n_held = 0;
}

static void half(struct fake_host_conn *c, const struct fake_host_held *k, bool fragment)
{
	struct buf out;

	buf_init(&out, 65536);
	answer_in(k, RPC_FRAG_MAX, &out);
	if (fragment)
		out.data[3] = RPC_FLAG_FIRST;
	else
		out.len /= 2;
	say_and_done(c, &out);
	conn_end(c, false);
}

static void on_call(struct fake_host_conn *c, const struct fake_host_held *k)
{
	struct rpc_hdr fh = { .ptype = RPC_FAULT, .call_id = k->call_id };
	struct rpc_fault f = { .ctx_id = k->ctx_id, .status = RPC_S_TOO_BUSY };
	struct fake_host_held other = *k;
	struct fake_host *h = c->h;
	enum fake_host_call what = h->on_call;
	struct buf out;
	size_t here = 1;

	h->n_calls++;
	if (h->call_once > 0 && h->n_calls > h->call_once)
		what = FAKE_CALL_ANSWER;
	switch (what) {
	case FAKE_CALL_ANSWER:
		answer(h, k);
		return;
	case FAKE_CALL_HOLD:
		assert_true(h->n_held < FAKE_HOST_CALLS);
		for (size_t i = 0; i < h->n_held; i++)
			here += h->held[i].c == c;
		if (here > h->max_at_once)
			h->max_at_once = here;
		h->held[h->n_held++] = *k;
		return;
	case FAKE_CALL_FAULT:
		buf_init(&out, 65536);
		assert_int_equal(rpc_fault_encode(&out, &fh, &f), 0);
		say_and_done(c, &out);
		return;
	case FAKE_CALL_CLOSE:
		conn_end(c, false);
		return;
	case FAKE_CALL_RESET:
		conn_end(c, true);
		return;
	case FAKE_CALL_HALF:
		half(c, k, false);
		return;
	case FAKE_CALL_FIRST:
		half(c, k, true);
		return;
	case FAKE_CALL_UNASKED:
		other.call_id += 1000;
		answer(h, &other);
		return;
	}
}

static void on_request(struct fake_host_conn *c, const uint8_t *pdu, const struct rpc_hdr *h)
{
	struct fake_host_held k = { .c = c, .call_id = h->call_id, .be = h->be };
	struct fake_host *f = c->h;
	struct rpc_request r;

	assert_int_equal(rpc_request_decode(pdu, h, &r), 0);
	if ((h->flags & RPC_FLAG_FIRST) != 0)
		c->stub_len = c->frags = 0;
	assert_true(c->stub_len + r.stub_len <= sizeof(c->stub));
	if (r.stub_len > 0)
		memcpy(c->stub + c->stub_len, r.stub, r.stub_len);
	c->stub_len += r.stub_len;
	c->frags++;
	if ((h->flags & RPC_FLAG_LAST) == 0)
		return;
	memcpy(f->request, c->stub, c->stub_len);
	f->request_len = c->stub_len;
	f->request_be = h->be;
	f->request_frags = c->frags;
	k.ctx_id = r.ctx_id;
	k.stub_len = c->stub_len < sizeof(k.stub) ? c->stub_len : sizeof(k.stub);
	memcpy(k.stub, c->stub, k.stub_len);
	on_call(c, &k);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
	struct fake_host_conn *c = h->data;

	(void)suggested;
	*b = uv_buf_init(c->h->rx, sizeof(c->h->rx));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct fake_host_conn *c = s->data;
	size_t at = 0, len;
	struct rpc_hdr h;

	if (!c->open)
		return;
	if (n < 0) {
		conn_end(c, false);
		return;
	}
	assert_true(c->in_len + (size_t)n <= sizeof(c->in));
	c->h->n_reads += n > 0;
	memcpy(c->in + c->in_len, b->base, (size_t)n);
	c->in_len += (size_t)n;
	while (c->open) {
		assert_int_equal(rpc_frame_length(c->in + at, c->in_len - at, RPC_FRAG_MAX, &len),
				 0);
		if (len == 0 || len > c->in_len - at)
			break;
		assert_int_equal(rpc_hdr_decode(c->in + at, len, &h), 0);
		if (h.ptype == RPC_BIND)
			on_bind(c, c->in + at, &h);
		else
			on_request(c, c->in + at, &h);
		at += len;
	}
	c->in_len -= at;
	memmove(c->in, c->in + at, c->in_len);
}

static void on_connection(uv_stream_t *server, int status)
{
	struct fake_host *h = server->data;
	struct fake_host_conn *c = calloc(1, sizeof(*c));
	size_t i = 0;

	assert_int_equal(status, 0);
	assert_non_null(c);
	while (i < FAKE_HOST_CONNS && h->conn[i] != NULL)
		i++;
	assert_true(i < FAKE_HOST_CONNS);
	h->conn[i] = c;
	h->n_conns++;
	h->n_open++;
	c->h = h;
	c->open = true;
	assert_int_equal(uv_tcp_init(server->loop, &c->tcp), 0);
	c->tcp.data = c;
	assert_int_equal(uv_accept(server, (uv_stream_t *)&c->tcp), 0);
	(void)uv_tcp_nodelay(&c->tcp, 1);
	assert_int_equal(uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read), 0);
}

void fake_host_start(struct fake_host *h, uv_loop_t *loop)
{
	struct sockaddr_storage ss;
	int len = sizeof(ss);

	memset(h, 0, sizeof(*h));
	h->addr = test_addr("127.0.0.1:0");
	assert_int_equal(uv_tcp_init(loop, &h->server), 0);
	h->server.data = h;
	assert_int_equal(uv_tcp_bind(&h->server, &h->addr.u.sa, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&h->server, 128, on_connection), 0);
	assert_int_equal(uv_tcp_getsockname(&h->server, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&h->addr, (struct sockaddr *)&ss), 0);
}

void fake_host_unlisten(struct fake_host *h)
{
	if (!uv_is_closing((uv_handle_t *)&h->server))
		uv_close((uv_handle_t *)&h->server, NULL);
}

void fake_host_drop(struct fake_host *h, bool reset)
{
	for (size_t i = 0; i < FAKE_HOST_CONNS; i++)
		if (h->conn[i] != NULL)
			conn_end(h->conn[i], reset);
}

void fake_host_say(struct fake_host *h, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < FAKE_HOST_CONNS; i++)
		if (h->conn[i] != NULL)
			say(h->conn[i], data, len);
}

void fake_host_stop(struct fake_host *h)
{
	fake_host_drop(h, false);
	fake_host_unlisten(h);
}
