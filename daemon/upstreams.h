/**
 * The hosts behind the relay: what the configuration and relay.srv name, with their addresses.
 *
 * A name is looked up at once and again when its TTL is over, within bounds. A lookup that fails
 * keeps the addresses that are known, and is said; literal addresses are never looked up.
 * The records of relay.srv are further hosts, each known as "target:port", with the priority of its
 * record; one that is also in the configuration is that one. Whether there are no such records
 * (then their hosts are dropped, and it is said) or nobody could tell (then they stay) makes the
 * difference.
 *
 * A host is in the list once its first lookup has ended, well or not: no host is "unresolved"
 * before anybody looked.
 */
#ifndef KMSBEACON_DAEMON_UPSTREAMS_H
#define KMSBEACON_DAEMON_UPSTREAMS_H

#include <jansson.h>
#include <uv.h>

#include "common/config.h"
#include "kmscore/relay.h"
#include "net/net.h"

#define UPSTREAMS_TTL_MIN_MS 5000u    /* a shorter TTL counts as this */
#define UPSTREAMS_TTL_MAX_MS 3600000u /* a longer one as this */
#define UPSTREAMS_RETRY_MS   15000u   /* after a lookup that failed */

struct upstreams;

struct upstreams_params {
	struct net *net;                           /* borrowed for the whole life */
	uint32_t ttl_min_ms, ttl_max_ms, retry_ms; /* 0: as above */
	/** Whether the host of this name gets no new requests; NULL: none is. */
	bool (*draining)(void *ctx, const char *name);
	/** The whole list, where it is another than before. From the loop, or from
	 * upstreams_configure() and upstreams_tell(). Borrowed during the call. */
	void (*changed)(void *ctx, const struct relay_upstream *list, size_t n);
	/** What an earlier process learned, borrowed during upstreams_new(): so addresses are known
	 * before anybody was asked, and also where nobody answers. NULL: nothing. */
	const json_t *known;
	/** What this one has learned, the callee's; NULL where memory is out. May be NULL. */
	void (*learned)(void *ctx, json_t *known);
	void *ctx;
};

int upstreams_new(const struct upstreams_params *p, struct upstreams **ret); /* 0 or ERR_NOMEM */
/**
 * At start and at a reload. Hosts that stay (by name, address and port) keep what is known of them,
 * and all names are looked up again. Records of another relay.srv than before stay until the new
 * one was asked. Without memory hosts are left out, which is logged.
 */
void upstreams_configure(struct upstreams *u, const struct config_relay *c);
/** Look all names up now: the resolvers are others. */
void upstreams_look_again(struct upstreams *u);
/** Tell the list again: draining() says something else. */
void upstreams_tell(struct upstreams *u);
/** The list as it is; what it points to is borrowed until the next change. @return how many. */
size_t upstreams_list(const struct upstreams *u, struct relay_upstream list[RELAY_UPSTREAMS_MAX]);
/** Every first lookup has ended, so the list is whole. */
bool upstreams_settled(const struct upstreams *u);

struct upstream_info {
	const char *name;
	const char *host; /* as configured: a name or a literal */
	uint16_t port;
	uint32_t priority;
	bool lab;
	bool from_srv;
};
size_t upstreams_n(const struct upstreams *u);
/** Borrowed until the next change. */
void upstreams_get(const struct upstreams *u, size_t i, struct upstream_info *ret);
/** Whether there is one of this name; *ret may be NULL. */
bool upstreams_find(const struct upstreams *u, const char *name, struct upstream_info *ret);

/** Cancel what runs; @p done runs once, from the loop, when all is closed and freed. */
void upstreams_free(struct upstreams *u, void (*done)(void *ctx), void *ctx);

#endif
