/**
 * What is known of the health of a KMS host: the seam through which probes gate publishing.
 *
 * daemon/ fills a table from kmscore's probes (rise, fall and minimum stay applied there) and hands
 * this interface over; without one, nothing is gated.
 */
#ifndef KMSBEACON_PUBLISHER_HEALTH_H
#define KMSBEACON_PUBLISHER_HEALTH_H

#include "net/dnsname.h"

enum pub_health_state {
	PUB_HEALTH_UNKNOWN, /* not probed (yet): is neither a reason to withdraw nor one to allow it
			     */
	PUB_HEALTH_UP,
	PUB_HEALTH_DOWN,
};

struct pub_health {
	/** One answer for each distinct (target, port), ours or foreign. Must be quick. */
	enum pub_health_state (*state)(void *ctx, const struct dns_name *target, uint16_t port);
	/** A foreign record was seen, so its target should be probed. May be NULL. */
	void (*want)(void *ctx, const struct dns_name *target, uint16_t port);
	bool withdraw_last; /* health.all_down: withdraw */
	void *ctx;
};

#endif
