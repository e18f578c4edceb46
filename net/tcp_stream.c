#include "net/tcp_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "common/err.h"
#include "net/gather.h"

static bool is_live(const struct tcp_stream *s)
{
	return s->state == TS_CONNECTING || s->state == TS_OPEN;
}

static void on_closed(uv_handle_t *h)
{
	struct tcp_stream *s = h->data;

	if (--s->open_handles > 0)
		return;
	buf_done(&s->in);
	buf_done(&s->out);
	buf_done(&s->flying);
	s->state = TS_DONE;
	s->p.done(s, s->result);
	/* s may be freed memory now */
}

void tcp_stream_finish(struct tcp_stream *s, int result)
{
	if (!is_live(s))
		return;
	s->state = TS_CLOSING;
	s->result = result;
	if (s->tcp.data != NULL)
		uv_close((uv_handle_t *)&s->tcp, on_closed);
	uv_close((uv_handle_t *)&s->timer, on_closed);
}

void tcp_stream_cancel(struct tcp_stream *s)
{
	tcp_stream_finish(s, ERR_CANCELED);
}

static void on_timeout(uv_timer_t *t)
{
	tcp_stream_finish(t->data, ERR_TIMEOUT);
}

static void flush(struct tcp_stream *s);

static void on_written(uv_write_t *w, int status)
{
	struct tcp_stream *s = w->data;

	if (s->state != TS_OPEN)
		return;
	buf_done(&s->flying);
	if (status < 0) {
		tcp_stream_finish(s, status);
		return;
	}
	flush(s);
}

/** Hand what waits to libuv. It moves to a buffer of its own: the one that grows may move in
 * memory. */
static void flush(struct tcp_stream *s)
{
	uv_buf_t b;
	int err;

	if (s->out.len == 0 || s->flying.len > 0)
		return;
	s->flying = s->out;
	buf_init(&s->out, TCP_STREAM_OUT_MAX);
	b = uv_buf_init((char *)s->flying.data, (unsigned)s->flying.len);
	s->write.data = s;
	err = uv_write(&s->write, (uv_stream_t *)&s->tcp, &b, 1, on_written);
	if (err < 0)
		tcp_stream_finish(s, err);
}

void tcp_stream_write(struct tcp_stream *s, const void *data, size_t len)
{
	int err;

	if (!is_live(s) || len == 0)
		return;
	if (s->state == TS_OPEN && s->out.len == 0 && s->flying.len == 0 && len <= INT32_MAX) {
		/* libuv's buffer type has no const form; try_write only reads. */
		uv_buf_t b = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
		int n = uv_try_write((uv_stream_t *)&s->tcp, &b, 1);

		if (n < 0 && n != UV_EAGAIN) {
			tcp_stream_finish(s, n);
			return;
		}
		if (n > 0) {
			data = (const uint8_t *)data + n;
			len -= (size_t)n;
		}
		if (len == 0)
			return;
	}
	if (s->flying.len + s->out.len + len > TCP_STREAM_OUT_MAX) {
		tcp_stream_finish(s, ERR_LIMIT);
		return;
	}
	err = buf_append(&s->out, data, len);
	if (err != ERR_OK)
		tcp_stream_finish(s, err);
	else if (s->state == TS_OPEN)
		flush(s);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	(void)h;
	(void)suggested;
	*buf = uv_buf_init((char *)net_rx_buffer(), NET_RX_SIZE);
}

static size_t use(void *ctx, const uint8_t *data, size_t len)
{
	struct tcp_stream *s = ctx;
	size_t used = s->p.on_data(s, data, len);

	return s->state == TS_OPEN ? used : GATHER_STOP;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct tcp_stream *s = stream->data;
	int err;

	if (n < 0) {
		tcp_stream_finish(s, n == UV_EOF ? ERR_CLOSED : (int)n);
		return;
	}
	err = gather_feed(&s->in, (const uint8_t *)buf->base, (size_t)n, use, s);
	if (err != ERR_OK)
		tcp_stream_finish(s, err);
}

static void on_connected(uv_connect_t *req, int status)
{
	struct tcp_stream *s = req->data;

	if (s->state != TS_CONNECTING)
		return;
	if (status == 0)
		status = uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read);
	if (status < 0) {
		tcp_stream_finish(s, status);
		return;
	}
	s->state = TS_OPEN;
	flush(s);
	if (s->state == TS_OPEN)
		s->p.on_open(s);
}

static int open_and_connect(struct tcp_stream *s)
{
	int err;

	if (addr_is_set(&s->p.source)) {
		struct addr local = s->p.source;

		addr_set_port(&local, 0);
		err = uv_tcp_bind(&s->tcp, &local.u.sa, 0);
		if (err < 0)
			return err;
	}
	s->connect.data = s;
	err = uv_tcp_connect(&s->connect, &s->tcp, &s->p.peer.u.sa, on_connected);
	if (err < 0)
		return err;
	/* Messages are written whole; waiting for more to send along would only delay them. */
	return uv_tcp_nodelay(&s->tcp, 1);
}

void tcp_stream_start(struct tcp_stream *s, struct net *net, const struct tcp_stream_params *p)
{
	int err;

	s->p = *p;
	s->net = net;
	s->state = TS_CONNECTING;
	s->result = ERR_OK;
	buf_init(&s->in, p->max_in);
	buf_init(&s->out, TCP_STREAM_OUT_MAX);
	buf_init(&s->flying, TCP_STREAM_OUT_MAX);
	s->tcp.data = NULL;
	uv_timer_init(net->loop, &s->timer);
	s->timer.data = s;
	s->open_handles = 1;
	err = uv_tcp_init(net->loop, &s->tcp);
	if (err == 0) {
		s->tcp.data = s;
		s->open_handles++;
		uv_update_time(net->loop); /* the loop's time may be old after long work */
		err = uv_timer_start(&s->timer, on_timeout, p->timeout_ms, 0);
	}
	if (err == 0)
		err = open_and_connect(s);
	if (err < 0)
		tcp_stream_finish(s, err);
}

#define KEEPALIVE_S 20 /* of silence; then the kernel asks the peer whether it is there */

/** A peer that is gone without a word, or a firewall that has forgotten the connection, ends it
 * before somebody relies on it. Where the kernel does not have it, it is as it was. */
static void keep_alive(const struct tcp_stream *s)
{
	static const int on = 1, idle_s = KEEPALIVE_S, every_s = 5, tries = 4;
	uv_os_fd_t fd;

	if (uv_fileno((const uv_handle_t *)&s->tcp, &fd) != 0)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof(tries));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

void tcp_stream_clear_deadline(struct tcp_stream *s)
{
	if (!is_live(s))
		return;
	uv_timer_stop(&s->timer);
	keep_alive(s);
}

bool tcp_stream_is_open(const struct tcp_stream *s)
{
	return s->state == TS_OPEN;
}
