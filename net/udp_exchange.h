/**
 * Send one datagram to one peer and wait for one acceptable reply.
 *
 * The socket is connected, so the kernel drops other sources (failure-modes U17); its port is the
 * kernel's random choice. Junk does not end the wait and costs no retry (U16). Exchanges with one
 * peer share sockets (net/udp_pool.h): each datagram is offered to all that wait at its socket, so
 * match() must know its own reply from others.
 *
 * Lifetime: the caller owns struct udp_exchange. From start until done() runs it must stay put.
 * done() runs exactly once, from the loop, never inside start or cancel, and may free x.
 */
#ifndef KMSBEACON_NET_UDP_EXCHANGE_H
#define KMSBEACON_NET_UDP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "net/deadlines.h"
#include "net/net.h"
#include "net/udp_pool.h"

struct udp_exchange;

/** Whether this datagram is the reply. Called for each one. It may start other exchanges and cancel
 * any, this one too. */
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

enum udp_exchange_state { UX_IDLE, UX_WAITING, UX_ENDED, UX_DONE };

struct udp_exchange {
	void *owner; /* the caller's */
	/* private */
	enum udp_exchange_state state;
	struct udp_exchange_params p;
	udp_exchange_done_fn *done;
	struct udp_pool *pool;
	struct udp_socket *socket;
	unsigned seat; /* at the socket */
	struct deadline deadline;
	struct udp_exchange *next; /* UX_ENDED: who is told after it */
	int result;
};

/** Start. Cannot fail: every error arrives through @p done (TIMEOUT, ECONNREFUSED, NOMEM ...). */
void udp_exchange_start(struct udp_exchange *x, struct net *net,
			const struct udp_exchange_params *p, udp_exchange_done_fn *done);
/** End early. done() still runs once, with ERR_CANCELED. Harmless in any state. */
void udp_exchange_cancel(struct udp_exchange *x);

/** For the pool: whose deadline this is. */
struct udp_exchange *udp_exchange_of(struct deadline *d);

#endif
