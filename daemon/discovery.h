/**
 * The daemon's own discovery: at an interval it looks what the clients of each configured suffix
 * see, with each configured profile, and logs a line when that has changed.
 *
 * Each suffix is looked at as if it were the client's only one. A look at one (profile, suffix) is:
 * the set and the addresses as a client without memory finds them, left out while a resolver would
 * only repeat itself; a probe of every host, each address once in a round however many looks lead
 * to it, and none where the health table knows the host; then, with `discovery.cache`, what a
 * client does that remembers its host, in a file of its own in state_dir/discovery. What counts as
 * changed is decided in discovery_view.h. With a manual host there is one look for each profile, at
 * that host.
 *
 * Bounded: DISCOVERY_ROWS_MAX looks, DISCOVERY_PARALLEL at once, DISCOVERY_ROUND_MS a round.
 */
#ifndef KMSBEACON_DAEMON_DISCOVERY_H
#define KMSBEACON_DAEMON_DISCOVERY_H

#include <jansson.h>

#include "common/config.h"
#include "daemon/discovery_view.h"
#include "daemon/events.h"
#include "net/prober.h"
#include "resolver/discover.h"

#define DISCOVERY_ROWS_MAX        (RSV_SUFFIXES_MAX * RSV_PROFILE_COUNT_)
#define DISCOVERY_PARALLEL        4 /* looks at once */
#define DISCOVERY_HOSTS_AT_A_TIME 8 /* probes of one look at once */
#define DISCOVERY_ROUND_MS        60000
#define DISCOVERY_MIN_MS          200 /* between two looks at the same, whoever asks for them */
#define DISCOVERY_TARGETS_MAX                                                                      \
	1024 /* hosts whose state is kept; of further ones the last probe counts */

struct discovery;

/** What to look at; plain data. */
struct discovery_setup {
	uint32_t interval_ms; /* 0: off */
	struct config_health rule;
	enum rsv_profile profiles[RSV_PROFILE_COUNT_];
	size_t n_profiles;
	struct dns_name suffixes[RSV_SUFFIXES_MAX]; /* or the lookup domain alone */
	size_t n_suffixes;
	char manual_host[HOST_TEXT_MAX]; /* "": none; else it is looked at in place of suffixes */
	uint16_t manual_port;            /* 0: 1688 */
	uint16_t lone_port;              /* 0: that of the records */
	bool cache;
	enum rsv_cache_write cache_write;
};
/** The suffixes of resolv.conf do not stand in for those that are not given: who wants a network
 * watched says so. */
void discovery_setup_from_config(const struct config *c, struct discovery_setup *ret);

struct discovery_params {
	struct net *net; /* borrowed for the whole life, as the next */
	const struct prober *prober;
	struct events *events; /* borrowed too; NULL: nobody keeps them */
	const char *state_dir; /* NULL: remembered hosts are not kept on disk. Copied */
	/** What the health table says; UNKNOWN: it does not know, so the host is probed. May be
	 * NULL. */
	enum pub_health_state (*known)(void *ctx, const struct dns_name *target, uint16_t port);
	void *ctx;
};

/** 0 or ERR_NOMEM. Nothing runs before discovery_configure(). */
int discovery_new(const struct discovery_params *p, struct discovery **ret);
/** At start and at a reload. What stays configured keeps what is known of it; a round under way is
 * cancelled, and a new one begins at once. */
void discovery_configure(struct discovery *d, const struct discovery_setup *s);
/**
 * Something has happened: look again now at @p domain (NULL: at all). @p dns: also where a resolver
 * would repeat itself, since what it said no longer counts.
 */
void discovery_poke(struct discovery *d, const struct dns_name *domain, bool dns);
/** `discovery[]` of status; a new reference, NULL without memory. */
json_t *discovery_status(const struct discovery *d);
/** Cancel what runs; @p done runs once, from the loop, when all is closed and freed. */
void discovery_free(struct discovery *d, void (*done)(void *ctx), void *ctx);

#endif
