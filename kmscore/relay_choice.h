/**
 * Which host gets a client's request: the order of hosts (relay.h). Pure.
 *
 * Among hosts of one class of health and one priority, the client's network and the host's name
 * decide (rendezvous hashing): the same on every machine, and a host that goes away moves its own
 * clients only.
 */
#ifndef KMSBEACON_KMSCORE_RELAY_CHOICE_H
#define KMSBEACON_KMSCORE_RELAY_CHOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "kmscore/upstream_health.h"

/** Of the client's network: an IPv4 address, or the first 64 bits of an IPv6 one; IPv4-mapped as
 * IPv4. The port does not matter. */
uint64_t relay_hash_network(const struct addr *client);
/** Of the client's whole address, without port. */
uint64_t relay_hash_address(const struct addr *client);
/** Of a host's name, case and all. */
uint64_t relay_hash_name(const char *name);

/** A host, as far as the choice goes. */
struct relay_candidate {
	uint64_t name_hash;
	uint32_t priority;
	enum upstream_class class;
	bool lab;
	bool draining;
	bool maybe_relay; /* another relay, or not known yet whether it is */
};

struct relay_query {
	uint64_t network; /* relay_hash_network() */
	bool lab;         /* the message is a lab's */
	bool from_relay;  /* it came through a relay */
	uint64_t tried;   /* bit i: not candidate i, which had its turn */
};

/** May this host get the message at all, whether it is well or not? */
bool relay_may_serve(const struct relay_candidate *c, const struct relay_query *q);
/** @return an index, or -1: none. @p n is at most 64. */
int relay_choose(const struct relay_candidate *list, size_t n, const struct relay_query *q);

#endif
