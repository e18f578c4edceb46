/**
 * Send one datagram to one peer and wait for one acceptable reply.
 *
 * The socket is connected, so the kernel drops other sources (failure-modes U17); its port is the
 * kernel's random choice. Junk does not end the wait and costs no retry (U16).
 *
 * Lifetime: the caller owns struct udp_exchange, zeroed before start. From start until done() runs
 * it must stay put. done() runs exactly once, from the loop, never inside start or cancel; every
 * handle is closed by then, so it may free x.
 */
#ifndef KMSBEACON_NET_UDP_EXCHANGE_H
#define KMSBEACON_NET_UDP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/addr.h"
#include "net/net.h"

struct udp_exchange;

/** Whether this datagram is the reply. Called for each one; must not change the exchange. */
typedef bool udp_match_fn(void *ctx, const uint8_t *data, size_t len);
/** @p reply is borrowed during the call; NULL unless err is 0. */
typedef void udp_exchange_done_fn(struct udp_exchange *x, int err, const uint8_t *reply,
				  size_t len);

struct udp_exchange_params {
	struct addr peer;
	const uint8_t *request; /* borrowed during start only */
	size_t request_len;
	uint32_t timeout_ms;
	udp_match_fn *match;
	void *match_ctx;
};

enum udp_exchange_state { UX_IDLE, UX_WAITING, UX_CLOSING, UX_DONE };

struct udp_exchange {
	void *owner; /* the caller's */
	/* private */
	enum udp_exchange_state state;
	struct udp_exchange_params p;
	udp_exchange_done_fn *done;
	uv_udp_t udp;
	uv_timer_t timer;
	unsigned open_handles;
	int result;
	uint8_t *reply; /* allocated to the datagram's size when it matched */
	size_t reply_len;
};

/** Start. Cannot fail: every error arrives through @p done (TIMEOUT, ECONNREFUSED, NOMEM ...). */
void udp_exchange_start(struct udp_exchange *x, struct net *net,
			const struct udp_exchange_params *p, udp_exchange_done_fn *done);
/** End early. done() still runs once, with ERR_CANCELED. Harmless in any state. */
void udp_exchange_cancel(struct udp_exchange *x);

#endif
