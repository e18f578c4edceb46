/** What every network operation is given: the loop, the time, randomness, and how to reach DNS. */
#ifndef KMSBEACON_NET_NET_H
#define KMSBEACON_NET_NET_H

#include <uv.h>

#include "common/addr.h"
#include "common/clock.h"
#include "common/rng.h"

#define NET_RESOLVERS_MAX 8

struct udp_pool;
struct silence;

/**
 * One for a process, made by daemon/ or cli/, borrowed by every operation for the whole of its
 * life. The process ignores SIGPIPE: libuv writes to sockets without MSG_NOSIGNAL, and a peer that
 * is gone must be an error, not the end. Resolvers are recursive servers (RD=1), unsigned; from the
 * configuration or /etc/resolv.conf.
 */
struct net {
	uv_loop_t *loop;
	const struct clock *clock;
	struct rng *rng;
	struct addr
		source4; /* local address of DNS exchanges, by family; unset: the kernel's choice */
	struct addr source6;
	struct addr resolvers[NET_RESOLVERS_MAX];
	size_t n_resolvers;
	/** Port of the name servers that DNS itself names (NS, MNAME) and of those in resolv.conf,
	 * which carry none; 0: 53.
	 * Another one serves test set-ups, where several servers share one free port. */
	uint16_t dns_port;
	struct udp_pool *udp; /* sockets of udp_exchange; closed when all operations have ended */
	struct silence *silence; /* servers that do not answer; NULL: not remembered */
};

#define NET_DNS_PORT 53

#endif
