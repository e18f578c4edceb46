/**
 * Connected UDP sockets that exchanges with the same server share (design §6: up to 64 for each).
 *
 * Glossary: a group is the sockets to one peer from one source address; a seat is the place of one
 * exchange at a socket. What udp_exchange promises holds all the same: sockets are connected, so
 * that the kernel drops what others send; their ports are the kernel's random choice; a datagram is
 * offered to each exchange at its socket and ends at most one. A socket takes few exchanges at
 * once, few in its life and none when it is old, so that ports do not stay the same long enough to
 * be found by trying. It closes when nobody needs it.
 *
 * An error that the kernel reports for a socket (ICMP: port closed, no route) is the peer's: it
 * ends all exchanges at that socket, and no other.
 *
 * One for a loop, in struct net. Not for use but through udp_exchange.
 */
#ifndef KMSBEACON_NET_UDP_POOL_H
#define KMSBEACON_NET_UDP_POOL_H

#include <uv.h>

struct net;
struct udp_exchange;
struct udp_pool;

#define UDP_POOL_SOCKETS 64  /* to one peer; further exchanges end with ERR_LIMIT */
#define UDP_POOL_SEATS   16  /* exchanges at one socket at the same time */
#define UDP_POOL_USES    128 /* exchanges in its life */
#define UDP_POOL_AGE_MS  1000
/** Sockets to one peer before any takes a second exchange: servers spread their work by port. */
#define UDP_POOL_SPREAD 4

/** NULL: out of memory. */
struct udp_pool *udp_pool_new(uv_loop_t *loop);
/** Every exchange must have ended. The loop frees it, when it has closed the sockets. NULL is fine.
 */
void udp_pool_close(struct udp_pool *p);

/* udp_exchange.c */

/** @p x is in state UX_WAITING and its parameters are set; failures end it, but not in this call.
 */
void udp_pool_start(struct udp_pool *p, struct udp_exchange *x, const struct net *net);
/** End @p x, which waits, with @p err, from a later turn of the loop. */
void udp_pool_end(struct udp_pool *p, struct udp_exchange *x, int err);

#endif
