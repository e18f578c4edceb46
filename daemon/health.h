/**
 * The health table: what our own probes say of each (target, port), with rise, fall and minimum
 * stay applied. It fills publisher/health.h, which gates publishing, and the hosts of `status`.
 *
 * Configured hosts are probed at every interval for as long as they are configured. Targets of
 * foreign records are probed once the publisher has seen them, each (target, port) once however
 * many domains name it, and forgotten HEALTH_FORGET_MS after it saw them last. `local` is not
 * probed: its state is the service's own.
 *
 * When a host goes down, the others are probed anew before that is told, and for the gate none of
 * them is up before a probe from after the loss says so: who is cut off from all hosts finds out
 * host by host, and must not take away the first while the last still seems to be there. When one
 * comes up, those that are down are probed anew, and none of them is down for the gate before that
 * says so: the first to be there again must not cost the others the records that they kept.
 */
#ifndef KMSBEACON_DAEMON_HEALTH_H
#define KMSBEACON_DAEMON_HEALTH_H

#include "common/config.h"
#include "daemon/events.h"
#include "net/host_lookup.h"
#include "net/prober.h"
#include "publisher/health.h"

/** Targets of foreign records beyond it are not probed, and gate nothing. Configured hosts always
 * have their place: one that was withdrawn comes back only once it is known to be up. */
#define HEALTH_ENTRIES_MAX  4096
#define HEALTH_PARALLEL_MAX 64
#define HEALTH_FORGET_MS    (2u * 3600u * 1000u)

/* ---- the rule, pure ---- */

/** How results become a state: the state changes after `rise` or `fall` results in a row against
 * it, and not before it has stood for `min_stay_ms`. The first state of all needs one success, or
 * `fall` failures. */
struct health_track {
	enum pub_health_state state;
	uint64_t since_ms; /* monotonic */
	uint32_t against;  /* results in a row against the state */
};
/** Take one result. @return whether the state has changed. */
bool health_observe(struct health_track *t, bool up, const struct config_health *rule,
		    uint64_t now_ms);

/* ---- the table ---- */

struct health;

struct health_host {
	struct dns_name target;
	uint16_t port;
	bool is_local;
};

struct health_params {
	struct net *net; /* borrowed for the table's life, as the next */
	const struct prober *prober;
	struct events *events; /* borrowed too; NULL: nobody keeps them */
	struct config_health rule;
	void (*changed)(void *ctx); /* a state has changed; from the loop */
	void *ctx;
};

int health_new(const struct health_params *p, struct health **ret); /* 0 or ERR_NOMEM */
/** The configured hosts and rule, at start and at a reload. States of hosts that stay are kept. */
void health_configure(struct health *h, const struct config_health *rule,
		      const struct health_host *hosts, size_t n);
/**
 * What the service says of itself; UNKNOWN at first. @p at_once: an order, such as a drain. Else it
 * is news that may come and go, and a state that is not unknown stands for `min_stay` at least, as
 * that of a host that is probed.
 */
void health_set_local(struct health *h, enum pub_health_state state, bool at_once);
/** For the publisher; valid for the table's life. */
const struct pub_health *health_gate(const struct health *h);
/** State of one, UNKNOWN where the table does not have it; *ret_since_ms is wall clock, 0: never
 * known. */
enum pub_health_state health_state(const struct health *h, const struct dns_name *target,
				   uint16_t port, int64_t *ret_since_ms);
const char *health_state_name(enum pub_health_state s); /* "up", "down", "unknown" */
/** Cancel what runs; @p done runs once, from the loop, when all is closed and freed. */
void health_free(struct health *h, void (*done)(void *ctx), void *ctx);

#endif
