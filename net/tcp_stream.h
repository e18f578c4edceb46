/**
 * One TCP connection that we open: connect, write, receive, with one total deadline and one end.
 *
 * Bytes that arrive are gathered and offered to on_data(), which says how many it used. As long as
 * it uses some it is called again at once with the rest; after 0 the rest is kept and comes again
 * with more behind it. The buffer's maximum bounds what a peer can make us hold (max_in >= the
 * largest message).
 *
 * Lifetime as udp_exchange: done() exactly once, from the loop, never inside start, write or
 * cancel, with all handles closed. A peer's orderly close is done(ERR_CLOSED); our own
 * tcp_stream_finish() decides otherwise.
 */
#ifndef KMSBEACON_NET_TCP_STREAM_H
#define KMSBEACON_NET_TCP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/addr.h"
#include "common/mem.h"
#include "net/net.h"

struct tcp_stream;

typedef void tcp_stream_open_fn(struct tcp_stream *s);
/** @return bytes used, 0 .. len; the callback may write, finish or cancel. */
typedef size_t tcp_stream_data_fn(struct tcp_stream *s, const uint8_t *data, size_t len);
typedef void tcp_stream_done_fn(struct tcp_stream *s, int err);

struct tcp_stream_params {
	struct addr peer;
	struct addr source;  /* unset: the kernel's choice; its port is ignored */
	uint32_t timeout_ms; /* for the whole life, or until tcp_stream_clear_deadline() */
	size_t max_in;       /* bytes held unread at most */
	tcp_stream_open_fn *on_open;
	tcp_stream_data_fn *on_data;
	tcp_stream_done_fn *done;
};

enum tcp_stream_state { TS_IDLE, TS_CONNECTING, TS_OPEN, TS_CLOSING, TS_DONE };

struct tcp_stream {
	void *owner; /* the caller's */
	/* private */
	enum tcp_stream_state state;
	struct tcp_stream_params p;
	struct net *net;
	uv_tcp_t tcp;
	uv_timer_t timer;
	uv_connect_t connect;
	unsigned open_handles;
	int result;
	struct buf in;
	struct buf out;    /* what uv_try_write could not take at once */
	struct buf flying; /* the part of it that libuv holds; empty: no write is under way */
	uv_write_t write;
};

#define TCP_STREAM_OUT_MAX (1u << 20)

void tcp_stream_start(struct tcp_stream *s, struct net *net, const struct tcp_stream_params *p);
/** Bytes are copied; before the connection is open they wait for it. A failure (LIMIT, NOMEM, a
 * write error) ends the stream through done(). Without effect on a stream that is ending. */
void tcp_stream_write(struct tcp_stream *s, const void *data, size_t len);
/** No deadline from here on: the owner has one of its own. */
void tcp_stream_clear_deadline(struct tcp_stream *s);
/** Connected, and not ending. */
bool tcp_stream_is_open(const struct tcp_stream *s);
/** End with @p result (0: all is well), at once: unsent bytes are dropped. First call wins. */
void tcp_stream_finish(struct tcp_stream *s, int result);
/** tcp_stream_finish(s, ERR_CANCELED), harmless in any state. */
void tcp_stream_cancel(struct tcp_stream *s);

#endif
