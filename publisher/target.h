/**
 * What the publisher is to keep right: one target for each (domain, view), with the records wanted
 * there and the way to its servers.
 *
 * Made from the configuration as one immutable, counted list (targets.h); a reload makes a new list
 * while an operation in flight keeps the old one.
 */
#ifndef KMSBEACON_PUBLISHER_TARGET_H
#define KMSBEACON_PUBLISHER_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "net/dnsmsg.h"
#include "net/dnsname.h"
#include "net/tsig.h"

#define PUB_OWNER_LABELS "_vlmcs._tcp" /* in front of the domain: behaviour §1.1 */

#define PUB_SERVERS_MAX 8   /* `server:` entries of one domain */
#define PUB_WANTED_MAX  256 /* hosts of one domain */

enum pub_ttl_policy { PUB_TTL_ADOPT, PUB_TTL_ENFORCE };

/** One record that should be in the set. */
struct pub_wanted {
	const char *host; /* name of the host in the configuration: "local" */
	struct dns_srv srv;
};

struct pub_target {
	struct dns_name domain;
	const char *view;           /* "" for none */
	const char *const *servers; /* "host", "host:port", "[v6]:port"; none: found through DNS */
	size_t n_servers;
	const char *key_handle; /* its name in the configuration; "" for none */
	struct tsig_key *key;   /* NULL: unsigned */
	struct addr source4;    /* where exchanges come from; unset: that of struct net */
	struct addr source6;
	uint32_t ttl_s;
	enum pub_ttl_policy ttl_policy;
	bool lab; /* loopback targets are allowed */
	const struct pub_wanted *wanted;
	size_t n_wanted;
};

#endif
