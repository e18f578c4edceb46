/* The connections of a listener. See listener.h; the listening sockets are in listener.c. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/gather.h"
#include "net/listener_priv.h"

static void on_closed(uv_handle_t *h)
{
	struct conn *c = h->data;
	struct listener *l = c->l;

	if (c->announced)
		l->p.ops->closed(c, l->p.ctx, c->result);
	buf_done(&c->in);
	buf_done(&c->out);
	if (c->flight != NULL) {
		buf_done(&c->flight->data);
		free(c->flight);
	}
	free(c);
	listener_handle_closed(l);
}

void conn_end(struct conn *c, int result)
{
	if (c->state == CONN_CLOSING)
		return;
	c->state = CONN_CLOSING;
	c->result = result;
	deadlines_remove(&c->l->deadlines, &c->deadline);
	peer_count_drop(&c->l->peers, c->peer_entry);
	c->l->n_conns--;
	uv_close((uv_handle_t *)&c->tcp, on_closed);
}

void conn_expired(struct conn *c)
{
	conn_end(c, c->state == CONN_LINGER ? c->result : ERR_TIMEOUT);
}

/** The deadline is in the heap already, so moving it cannot fail. */
static void set_deadline(struct conn *c, uint64_t ms)
{
	(void)listener_deadline(c->l, &c->deadline, ms);
}

static void active(struct conn *c)
{
	if (c->state == CONN_OPEN && !c->own_deadline)
		set_deadline(c, c->l->p.idle_ms);
}

static void start_reading(struct conn *c);

/** All that was written is with the kernel: shut down our side, or close where nothing can be lost.
 */
static void flushed(struct conn *c)
{
	uv_os_fd_t fd;

	if (c->eof || !c->wrote || uv_fileno((uv_handle_t *)&c->tcp, &fd) < 0 ||
	    shutdown(fd, SHUT_WR) < 0) {
		conn_end(c, c->result);
		return;
	}
	c->state = CONN_LINGER;
	set_deadline(c, LISTENER_LINGER_MS);
	if (c->stopped)
		start_reading(c); /* or the peer's end would never be seen */
}

static void close_when_flushed(struct conn *c, int result)
{
	c->state = CONN_FLUSH;
	c->result = result;
	set_deadline(c, c->l->p.idle_ms);
	if (c->flight == NULL && c->out.len == 0)
		flushed(c);
}

void conn_close(struct conn *c)
{
	if (c->state == CONN_OPEN)
		close_when_flushed(c, ERR_OK);
}

/* Writing */

static void flush(struct conn *c);

static void on_written(uv_write_t *req, int status)
{
	struct conn *c = req->data;

	if (c->state == CONN_CLOSING)
		return;
	buf_done(&c->flight->data);
	free(c->flight);
	c->flight = NULL;
	if (status < 0) {
		conn_end(c, status);
		return;
	}
	active(c);
	if (c->out.len > 0)
		flush(c);
	else if (c->state == CONN_FLUSH)
		flushed(c);
}

/** Hand what waits to libuv; it moves to memory of its own, because `out` may grow meanwhile. */
static void flush(struct conn *c)
{
	struct conn_flight *f;
	uv_buf_t b;
	int err;

	if (c->flight != NULL)
		return;
	f = calloc(1, sizeof(*f));
	if (f == NULL) {
		conn_end(c, ERR_NOMEM);
		return;
	}
	f->data = c->out;
	f->req.data = c;
	buf_init(&c->out, c->l->p.max_out);
	c->flight = f;
	b = uv_buf_init((char *)f->data.data, (unsigned)f->data.len);
	err = uv_write(&f->req, (uv_stream_t *)&c->tcp, &b, 1, on_written);
	if (err < 0)
		conn_end(c, err);
}

void conn_write(struct conn *c, const void *data, size_t len)
{
	size_t held = c->out.len + (c->flight != NULL ? c->flight->data.len : 0);
	int err;

	if (c->state != CONN_OPEN || len == 0)
		return;
	if (held == 0 && len <= INT32_MAX) {
		/* libuv's buffer type has no const form; try_write only reads. */
		uv_buf_t b = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
		int n = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);

		if (n < 0 && n != UV_EAGAIN) {
			conn_end(c, n);
			return;
		}
		if (n > 0) {
			data = (const uint8_t *)data + n;
			len -= (size_t)n;
			c->wrote = true;
			active(c);
		}
		if (len == 0)
			return;
	}
	err = held + len > c->l->p.max_out ? ERR_LIMIT : buf_append(&c->out, data, len);
	if (err != ERR_OK) {
		conn_end(c, err);
		return;
	}
	c->wrote = true;
	flush(c);
}

/* Reading */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	(void)h;
	(void)suggested;
	*buf = uv_buf_init((char *)net_rx_buffer(), LISTENER_READ_MAX);
}

static size_t use(void *ctx, const uint8_t *data, size_t len)
{
	struct conn *c = ctx;
	size_t used;

	if (c->paused)
		return 0;
	used = c->l->p.ops->data(c, c->l->p.ctx, data, len);
	return c->state == CONN_OPEN ? used : GATHER_STOP;
}

/** @p data NULL: only what is held. */
static void feed(struct conn *c, const uint8_t *data, size_t len)
{
	int err = 0;

	c->feeding = true;
	if (data != NULL)
		err = gather_feed(&c->in, data, len, use, c);
	else
		gather_again(&c->in, use, c);
	c->feeding = false;
	if (err != ERR_OK)
		conn_end(c, err);
	else if (c->state != CONN_OPEN)
		buf_done(&c->in);
}

/** While the owner takes nothing, all that one read brings is held. */
static void set_room(struct conn *c)
{
	c->in.max = c->l->p.max_in + (c->paused ? LISTENER_READ_MAX : 0);
}

void conn_pause(struct conn *c)
{
	c->paused = true;
	set_room(c);
}

static void stop_reading(struct conn *c)
{
	c->stopped = true;
	uv_read_stop((uv_stream_t *)&c->tcp);
}

static void on_eof(struct conn *c)
{
	const struct conn_ops *ops = c->l->p.ops;

	c->eof = true;
	uv_read_stop((uv_stream_t *)&c->tcp);
	if (c->state == CONN_LINGER) {
		conn_end(c, c->result);
		return;
	}
	if (c->state != CONN_OPEN)
		return;
	if (!c->paused)
		buf_done(&c->in);
	if (ops->half_closed(c, c->l->p.ctx))
		return;
	if (c->state == CONN_OPEN)
		close_when_flushed(c, ERR_CLOSED);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct conn *c = s->data;

	if (n == UV_EOF) {
		on_eof(c);
		return;
	}
	if (n < 0) {
		conn_end(c, c->state == CONN_LINGER ? c->result : (int)n);
		return;
	}
	if (c->state != CONN_OPEN)
		return; /* dropped, so that closing does not reset the connection */
	active(c);
	feed(c, (const uint8_t *)buf->base, (size_t)n);
	/* Only now, and not in conn_pause(): hardly a peer sends while it waits for its answer, and
	 * to stop and start reading costs two system calls for each. */
	if (c->paused && c->state == CONN_OPEN && c->in.len > 0)
		stop_reading(c);
}

static void start_reading(struct conn *c)
{
	int err = uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);

	c->stopped = false;
	if (err < 0)
		conn_end(c, err);
}

void conn_resume(struct conn *c)
{
	if (!c->paused)
		return;
	c->paused = false;
	set_room(c);
	if (c->state != CONN_OPEN || c->feeding)
		return; /* feed() goes on by itself */
	if (c->in.len > 0)
		feed(c, NULL, 0);
	if (c->paused || c->state != CONN_OPEN)
		return;
	if (c->in.len > c->in.max)
		conn_end(c, ERR_LIMIT);
	else if (c->eof)
		buf_done(&c->in); /* of a message whose end never comes */
	else if (c->stopped)
		start_reading(c);
}

int conn_new(struct listener *l, int fd, const struct addr *peer, struct peer_entry *entry)
{
	struct conn *c = calloc(1, sizeof(*c));
	int err;

	if (c == NULL) {
		peer_count_drop(&l->peers, entry);
		close(fd);
		return ERR_NOMEM;
	}
	c->l = l;
	c->peer = *peer;
	c->peer_entry = entry;
	buf_init(&c->in, l->p.max_in);
	buf_init(&c->out, l->p.max_out);
	err = uv_tcp_init(l->net->loop, &c->tcp);
	if (err < 0) {
		peer_count_drop(&l->peers, entry);
		free(c);
		close(fd);
		return err;
	}
	c->tcp.data = c;
	l->open_handles++;
	l->n_conns++;
	err = uv_tcp_open(&c->tcp, fd);
	if (err < 0)
		close(fd); /* not the handle's yet */
	if (err == 0)
		err = listener_deadline(l, &c->deadline, l->p.idle_ms);
	if (err == 0)
		err = uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
	if (err != 0) {
		conn_end(c, err);
		return err;
	}
	c->announced = true;
	l->p.ops->open(c, l->p.ctx);
	return ERR_OK;
}

const struct addr *conn_peer(const struct conn *c)
{
	return &c->peer;
}

void *conn_data(const struct conn *c)
{
	return c->data;
}

void conn_set_data(struct conn *c, void *data)
{
	c->data = data;
}

void conn_set_deadline(struct conn *c, uint32_t ms)
{
	if (c->state != CONN_OPEN)
		return;
	c->own_deadline = ms != 0;
	set_deadline(c, ms != 0 ? ms : c->l->p.idle_ms);
}
