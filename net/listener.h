/**
 * TCP listener: accepts, refuses what the rules refuse before a byte is read, holds the
 * connections.
 *
 * It knows bytes, addresses, limits and deadlines; what the bytes mean is the owner's (struct
 * conn_ops). One uv_tcp_t for each client and no timer of its own: deadlines stand in one heap that
 * one timer serves. All connections share one read buffer; a connection keeps bytes only while a
 * message is incomplete.
 *
 * Out of file descriptors: waiting clients are accepted with a spare one and closed at once, so
 * they go to another host instead of hanging, and accepting pauses for LISTENER_PAUSE_MS.
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
#define LISTENER_PAUSE_MS  100
/** After our last byte the peer gets this long to take it, its own further bytes being dropped:
 * closing with unread input would reset the connection and could destroy what we wrote. */
#define LISTENER_LINGER_MS 1000
#define LISTENER_READ_MAX  8192 /* of one connection at a time */

/** What the owner does with a connection. Each callback may call conn_write, conn_close,
 * conn_set_deadline. */
struct conn_ops {
	/** A connection that passed the rules. Set conn_data() here if you need state. */
	void (*open)(struct conn *c, void *ctx);
	/** Bytes so far not used. @return bytes used. After a non-zero result it is called again at
	 * once with the rest; after 0 the rest comes again with more behind it. */
	size_t (*data)(struct conn *c, void *ctx, const uint8_t *data, size_t len);
	/** The peer sends no more but may still read (half-close). @return true to go on until
	 * conn_close() or the deadline, because an answer is under way; else what was written is
	 * sent and closed() follows with ERR_CLOSED. Of a connection that is paused data()
	 * may still get what came before, at conn_resume(). */
	bool (*half_closed)(struct conn *c, void *ctx);
	/** Last call for this connection, always, once: free your state. @p err: 0 closed by us,
	 * ERR_CLOSED by the peer, TIMEOUT, LIMIT, or what the kernel said. */
	void (*closed)(struct conn *c, void *ctx, int err);
	/** A connection that was refused: @p why is ERR_LIMIT (max_conns, max_per_address), -EACCES
	 * (not in `allow`), -ESHUTDOWN (listener_stop), or what the machine lacked (-EMFILE,
	 * ERR_NOMEM ...). For the log. Must not end the listener. */
	void (*refused)(void *ctx, const struct addr *peer, int why);
};

struct listener_params {
	const struct addr *listen; /* copied; [::] means IPv6 only */
	size_t n_listen;
	/** NULL, or for each of `listen` a TCP socket that is bound and listens already (systemd
	 * hands them in), or -1: opened here. It is duplicated: the caller keeps its own, and with
	 * it the queue of clients that nobody has accepted. */
	const int *sockets;
	const struct cidr *allow; /* empty: everyone. Borrowed for the listener's life, replaced by
				     set_rules */
	size_t n_allow;
	size_t max_conns;
	size_t max_per_address;
	size_t max_in;    /* unused bytes of one connection: at least the largest message */
	size_t max_out;   /* unsent bytes of one connection; beyond it ends with LIMIT */
	uint32_t idle_ms; /* without a byte either way */
	const struct conn_ops *ops; /* borrowed for the listener's life */
	void *ctx;
};

/** Bind and listen on all addresses, or on none: then @p info names the one that failed and why,
 * and the loop has to run once more before it can be closed. */
int listener_new(struct net *net, const struct listener_params *p, struct listener **ret,
		 struct err_info *info);
/** Local address @p i as bound: a port 0 was replaced by the kernel's choice. */
const struct addr *listener_addr(const struct listener *l, size_t i);
/**
 * Clients are to go elsewhere; what is open goes on. Idempotent. Our own sockets are closed, so
 * clients are refused by the kernel. A socket that was handed in listens on in its other owner, and
 * nobody but that one can end it; clients that come there are accepted and closed at once, unread,
 * as long as the listener lives.
 */
void listener_stop(struct listener *l);
/** The end: clients that wait already are taken, nothing more is accepted. Who comes to a socket
 * that was handed in waits for whoever takes it next. Idempotent, and after listener_stop() too. */
void listener_release(struct listener *l);
size_t listener_addr_count(const struct listener *l);
/** Close everything, dropping what is unsent; @p done (may be NULL) runs once, from the loop, when
 * all closed() have run and l is freed. */
void listener_free(struct listener *l, void (*done)(void *ctx), void *ctx);
void listener_set_rules(struct listener *l, const struct cidr *allow, size_t n_allow,
			size_t max_conns, size_t max_per_address, uint32_t idle_ms);
size_t listener_count(const struct listener *l);

const struct addr *conn_peer(const struct conn *c);
void *conn_data(const struct conn *c);
void conn_set_data(struct conn *c, void *data);
/**
 * No further data() until conn_resume(). Nothing is asked of the kernel: only a peer that sends all
 * the same is read once more, LISTENER_READ_MAX at most beyond `max_in`, and then stopped by TCP;
 * so that the peer closes or resets is noticed in time, unless it was stopped. half_closed() comes
 * at once. Of what the peer had sent before its end nothing is lost.
 */
void conn_pause(struct conn *c);
/** What has come meanwhile goes to data(), from within. Harmless where nothing is paused. */
void conn_resume(struct conn *c);
/** Copied; sent at once where the socket takes it. Without effect after conn_close(). */
void conn_write(struct conn *c, const void *data, size_t len);
/** Close when what was written is sent (bounded by the idle time and LISTENER_LINGER_MS). No
 * further data(); closed() follows later, from the loop. Idempotent. */
void conn_close(struct conn *c);
/** From now; 0: back to the idle time. */
void conn_set_deadline(struct conn *c, uint32_t ms);

#endif
