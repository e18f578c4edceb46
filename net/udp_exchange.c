#include "net/udp_exchange.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "net/gather.h"

static void on_closed(uv_handle_t *h)
{
	struct udp_exchange *x = h->data;
	uint8_t *reply;

	if (--x->open_handles > 0)
		return;
	x->state = UX_DONE;
	reply = x->reply;
	x->reply = NULL;
	x->done(x, x->result, reply, x->result == ERR_OK ? x->reply_len : 0);
	free(reply); /* x may be freed memory now */
}

static void finish(struct udp_exchange *x, int result)
{
	if (x->state != UX_WAITING)
		return;
	x->state = UX_CLOSING;
	x->result = result;
	if (x->udp.data != NULL)
		uv_close((uv_handle_t *)&x->udp, on_closed);
	uv_close((uv_handle_t *)&x->timer, on_closed);
}

static void on_timeout(uv_timer_t *t)
{
	finish(t->data, ERR_TIMEOUT);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	(void)h;
	(void)suggested;
	*buf = uv_buf_init((char *)net_rx_buffer(), NET_RX_SIZE);
}

static void on_datagram(uv_udp_t *h, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
			unsigned flags)
{
	struct udp_exchange *x = h->data;
	const uint8_t *data = (const uint8_t *)buf->base;
	size_t len = (size_t)n;

	if (x->state != UX_WAITING)
		return;
	if (n < 0) {
		finish(x, (int)n); /* an ICMP error, which only the connected peer's path sends */
		return;
	}
	if (from == NULL || (flags & UV_UDP_PARTIAL) != 0)
		return;
	if (!x->p.match(x->p.match_ctx, data, len))
		return;
	x->reply = malloc(len > 0 ? len : 1);
	if (x->reply == NULL) {
		finish(x, ERR_NOMEM);
		return;
	}
	if (len > 0)
		memcpy(x->reply, data, len);
	x->reply_len = len;
	finish(x, ERR_OK);
}

/** Socket, source address, peer, and the datagram on its way. */
static int open_and_send(struct udp_exchange *x, const struct net *net)
{
	const struct addr *source =
		x->p.peer.u.sa.sa_family == AF_INET6 ? &net->source6 : &net->source4;
	uv_buf_t out;
	int n;

	if (addr_is_set(source)) {
		struct addr local = *source;
		int err;

		addr_set_port(&local, 0); /* the kernel picks one at random */
		err = uv_udp_bind(&x->udp, &local.u.sa, 0);
		if (err < 0)
			return err;
	}
	n = uv_udp_connect(&x->udp, &x->p.peer.u.sa);
	if (n < 0)
		return n;
	n = uv_udp_recv_start(&x->udp, on_alloc, on_datagram);
	if (n < 0)
		return n;
	/* libuv's buffer type has no const form; try_send only reads. */
	out = uv_buf_init((char *)(uintptr_t)x->p.request, (unsigned)x->p.request_len);
	n = uv_udp_try_send(&x->udp, &out, 1, NULL);
	return n < 0 ? n : ERR_OK;
}

void udp_exchange_start(struct udp_exchange *x, struct net *net,
			const struct udp_exchange_params *p, udp_exchange_done_fn *done)
{
	int err;

	x->p = *p;
	x->done = done;
	x->state = UX_WAITING;
	x->result = ERR_OK;
	x->reply = NULL;
	x->reply_len = 0;
	x->udp.data = NULL;
	uv_timer_init(net->loop, &x->timer);
	x->timer.data = x;
	x->open_handles = 1;
	err = uv_udp_init(net->loop, &x->udp);
	if (err == 0) {
		x->udp.data = x;
		x->open_handles++;
		uv_update_time(net->loop); /* the loop's time may be old after long work */
		err = uv_timer_start(&x->timer, on_timeout, p->timeout_ms, 0);
	}
	if (err == 0)
		err = open_and_send(x, net);
	x->p.request = NULL;
	if (err < 0)
		finish(x, err);
}

void udp_exchange_cancel(struct udp_exchange *x)
{
	finish(x, ERR_CANCELED);
}
