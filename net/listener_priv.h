/** What listener.c (sockets that listen, rules) and conn.c (connections) share. Nobody else's. */
#ifndef KMSBEACON_NET_LISTENER_PRIV_H
#define KMSBEACON_NET_LISTENER_PRIV_H

#include <uv.h>

#include "common/mem.h"
#include "net/deadlines.h"
#include "net/listener.h"
#include "net/peer_count.h"

struct listen_socket {
	struct listener *l;
	struct addr addr; /* as bound */
	int fd;           /* -1: closed */
	bool handed_in;   /* somebody else has it, too */
	uv_poll_t poll;   /* poll.data NULL: not initialised */
};

struct listener {
	struct net *net;
	struct listener_params p;
	struct listen_socket sockets[LISTENER_ADDRS_MAX];
	size_t n_sockets;
	size_t n_conns;      /* with an open socket; closed() may be due for more */
	size_t open_handles; /* everything libuv still knows of */
	int spare_fd;        /* given up to accept and shed when there are no others */
	bool stopped;
	bool freeing;
	struct deadlines deadlines; /* of all connections, and `pause` */
	struct deadline pause;      /* while in the heap: nothing is accepted */
	uv_timer_t timer;
	uint64_t armed_at; /* when the timer fires; 0: it does not */
	struct peer_count peers;
	void (*done)(void *ctx);
	void *done_ctx;
};

enum conn_state {
	CONN_OPEN,
	CONN_FLUSH,  /* to be closed; output is under way */
	CONN_LINGER, /* our side is shut down; waiting for the peer to close its own */
	CONN_CLOSING,
};

/** A write that libuv holds. Allocated only when the socket took less than was given. */
struct conn_flight {
	uv_write_t req;
	struct buf data;
};

struct conn {
	uv_tcp_t tcp;
	struct listener *l;
	struct deadline deadline;
	struct peer_entry *peer_entry;
	void *data;
	enum conn_state state;
	int result;
	bool announced;    /* open() was called, so closed() is due */
	bool own_deadline; /* conn_set_deadline: bytes do not move it */
	bool eof;          /* the peer sends no more */
	bool wrote;
	bool paused;  /* conn_pause */
	bool stopped; /* the kernel was told: nothing more is read */
	bool feeding; /* data() is being called */
	struct addr peer;
	struct buf in; /* of an incomplete message */
	struct buf out;
	struct conn_flight *flight;
};

/** Take over an accepted socket that passed the rules, and its count. On failure @p fd is closed,
 * @p entry dropped, and open() was not called. */
int conn_new(struct listener *l, int fd, const struct addr *peer, struct peer_entry *entry);
/** Close at once; closed(@p result) follows. */
void conn_end(struct conn *c, int result);
/** The deadline of @p c has come (it is out of the heap). */
void conn_expired(struct conn *c);

/** Set a deadline from now and see that the timer fires in time. 0 or ERR_NOMEM. */
int listener_deadline(struct listener *l, struct deadline *e, uint64_t ms);
/** A handle has closed; the last one of a freed listener frees it. */
void listener_handle_closed(struct listener *l);

#endif
