/**
 * Addresses of host names for one run over many targets: each name is looked up once, and all who
 * ask meanwhile wait for the same lookup.
 *
 * Not an operation of its own for each question: a known answer is given at once, and who waits can
 * leave without a trace. Lookups belong to the table, which ends with pub_hosts_close().
 */
#ifndef KMSBEACON_PUBLISHER_HOSTS_H
#define KMSBEACON_PUBLISHER_HOSTS_H

#include "net/host_lookup.h"

#define PUB_HOSTS_MAX 65536 /* names of one run */

struct pub_hosts;
struct pub_hosts_wait;
/** @p r is borrowed; it stays until pub_hosts_close(). */
typedef void pub_hosts_fn(struct pub_hosts_wait *w, const struct host_lookup_result *r);

struct pub_hosts_wait {
	void *owner; /* the caller's */
	/* private */
	struct pub_hosts_entry *entry;
	struct pub_hosts_wait *next;
	pub_hosts_fn *done;
};

/** NULL: out of memory. */
struct pub_hosts *pub_hosts_new(void);

/**
 * @p servers: NULL asks net->resolvers, else these (the primary of a zone, for a name inside it).
 * @return the answer where it is known (done() does not run), else NULL: done() runs later, once,
 * unless pub_hosts_leave() comes first. A table that is full or out of memory answers at once.
 */
const struct host_lookup_result *pub_hosts_get(struct pub_hosts *h, struct net *net,
					       const char *host, uint16_t port,
					       const struct dns_server *servers, size_t n_servers,
					       uint32_t total_ms, struct pub_hosts_wait *w,
					       pub_hosts_fn *done);
/** Harmless where @p w does not wait. */
void pub_hosts_leave(struct pub_hosts_wait *w);

/** End all lookups; @p done runs once, from the loop or, where nothing runs, inside the call; the
 * table is freed by then. Nobody may wait any more. */
void pub_hosts_close(struct pub_hosts *h, void (*done)(void *ctx), void *ctx);

#endif
