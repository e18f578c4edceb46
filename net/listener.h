/**
 * TCP listener: accepts, refuses what the rules refuse before a byte is read, holds the
 * connections.
 *
 * It knows bytes, addresses, limits and deadlines; what the bytes mean is the owner's (struct
 * conn_ops). One uv_tcp_t for each client and no timer of its own: deadlines stand in one list that
 * one timer walks. All connections share one read buffer; a connection keeps bytes only while a
 * message is incomplete.
 */
#ifndef KMSBEACON_NET_LISTENER_H
#define KMSBEACON_NET_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/err.h"
#include "net/net.h"

struct listener;
struct conn;

#define LISTENER_ADDRS_MAX 16

/** What the owner does with a connection. Each callback may call conn_write, conn_close,
 * conn_set_deadline. */
struct conn_ops {
	/** A connection that passed the rules. Set conn_data() here if you need state. */
	void (*open)(struct conn *c, void *ctx);
	/** Bytes so far not used. @return bytes used; the rest comes again with more behind it. */
	size_t (*data)(struct conn *c, void *ctx, const uint8_t *data, size_t len);
	/** Last call for this connection, always, once: free your state. @p err: 0 closed by us,
	 * ERR_CLOSED by the peer, TIMEOUT, LIMIT, or what the kernel said. */
	void (*closed)(struct conn *c, void *ctx, int err);
	/** A connection that was refused: @p why is ERR_LIMIT or -EACCES (not in `allow`). For the
	 * log; may be NULL. */
	void (*refused)(void *ctx, const struct addr *peer, int why);
};

struct listener_params {
	const struct addr *listen;
	size_t n_listen;
	const struct cidr *allow; /* empty: everyone. Borrowed for the listener's life, replaced by
				     set_rules */
	size_t n_allow;
	size_t max_conns;
	size_t max_per_address;
	size_t max_in;    /* unused bytes of one connection */
	size_t max_out;   /* unsent bytes of one connection; beyond it ends with LIMIT */
	uint32_t idle_ms; /* without a byte either way */
	const struct conn_ops *ops;
	void *ctx;
};

/** Bind and listen on all addresses, or on none: then @p info names the one that failed and why. */
int listener_new(struct net *net, const struct listener_params *p, struct listener **ret,
		 struct err_info *info);
/** Local address @p i as bound: a port 0 was replaced by the kernel's choice. */
const struct addr *listener_addr(const struct listener *l, size_t i);
/** Accept nothing more; what is open goes on. Idempotent. */
void listener_stop(struct listener *l);
/** Close everything; @p done runs once, from the loop, when all is closed and l is freed. */
void listener_free(struct listener *l, void (*done)(void *ctx), void *ctx);
void listener_set_rules(struct listener *l, const struct cidr *allow, size_t n_allow,
			size_t max_conns, size_t max_per_address, uint32_t idle_ms);
size_t listener_count(const struct listener *l);

const struct addr *conn_peer(const struct conn *c);
void *conn_data(const struct conn *c);
void conn_set_data(struct conn *c, void *data);
/** Copied; sent at once where the socket takes it. */
void conn_write(struct conn *c, const void *data, size_t len);
/** Close when what was written is sent (bounded by the idle time). closed() follows later, from the
 * loop. */
void conn_close(struct conn *c);
/** From now; 0: back to the idle time. */
void conn_set_deadline(struct conn *c, uint32_t ms);

#endif
