/**
 * What a host behind the relay is, by what it did: evidence in, state out, and when to ask it next.
 * Pure: the time is a parameter.
 *
 * Evidence is of two kinds. A new connection was bound, or not: that is what "up" and "down" are
 * about. A request sent over a bound one was answered, or not: a host that binds and fails `fall`
 * requests in a row is `faults` or `slow`, and only an answer clears that. An answer is news of a
 * host that is up as well.
 *
 * Down at once: refused, bind_nak, no KMS interface, no RPC, the relay itself (where a host has
 * several addresses: each of them in a row). After `fall` in a row: no connection or no bind in
 * time, or closed instead of a bind; but where requests fail as well, one such result is enough.
 * After the first bad result a probe is due at once, so that this takes little time. Connections
 * that are closed instead of a bind shortly after one another count as one: that is what a host, or
 * a firewall, does that takes so many connections of one address and no more.
 *
 * A fault may be the request's own: it counts where another host answered the same request
 * (proven), or where it comes from another client than the one counted last, so that a single
 * client with bad requests takes no host out. That a host is too busy counts always.
 */
#ifndef KMSBEACON_KMSCORE_UPSTREAM_HEALTH_H
#define KMSBEACON_KMSCORE_UPSTREAM_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "kmscore/kin.h"
#include "kmscore/kms_client.h"

#define RELAY_DETAIL_MAX 160

/** What a host is. The text forms are the JSON's. */
enum relay_state {
	RELAY_UNKNOWN,      /* "unknown": no news yet */
	RELAY_UP,           /* "up" */
	RELAY_FAULTS,       /* "faults": binds, and answers requests with faults or not at all */
	RELAY_SLOW,         /* "slow": binds, and answers requests too late */
	RELAY_NO_INTERFACE, /* "no-kms-interface", and so on: as a probe says it (net/prober.h) */
	RELAY_RPC_REFUSED,  /* "rpc-refused" */
	RELAY_NOT_RPC,      /* "not-rpc" */
	RELAY_REFUSED,      /* "refused" */
	RELAY_TIMEOUT,      /* "timeout" */
	RELAY_UNRESOLVED,   /* "unresolved": its name has no address */
	RELAY_LOOP,         /* "loop": it is this relay itself */
	RELAY_STATE_COUNT_,
};
const char *relay_state_name(enum relay_state s);

struct upstream_rules {
	uint32_t interval_ms; /* of probes, without other news */
	uint32_t rise, fall;  /* results in a row; 0 is 1 */
	uint32_t request_ms;  /* for the texts: what is too late */
};

/** Of what use is a host now? In this order hosts are asked. */
enum upstream_class {
	UPSTREAM_GOOD,
	UPSTREAM_DOUBTFUL, /* no news yet, or first signs that it hangs */
	UPSTREAM_TRIAL,    /* fails requests; one may find out whether it still does */
	UPSTREAM_NO,
};

/** What a request came to on a bound connection. */
enum upstream_result {
	UPSTREAM_ANSWERED, /* with whatever HRESULT */
	UPSTREAM_FAULT,
	UPSTREAM_BUSY,   /* fault "server too busy" */
	UPSTREAM_LATE,   /* no answer in time */
	UPSTREAM_BROKEN, /* closed before, or malformed */
};

/** Zeroed before init. Read `state`, `detail` and `kin` only. */
struct upstream_health {
	enum relay_state state;
	char detail[RELAY_DETAIL_MAX]; /* one clause for a person */
	enum kms_kin kin;              /* what it said in its last bind_ack */
	bool kin_known;
	/* private */
	bool hangs;     /* the last news was what a host that hangs gives */
	bool confirmed; /* bound since the first of bad_requests failed */
	bool probed;
	enum upstream_result last; /* of bad_requests */
	uint32_t last_status;      /* of a fault */
	uint32_t n_addrs;
	uint32_t bad_connects; /* in a row, as the next two */
	uint32_t bad_requests;
	uint32_t good_connects;  /* while it is down */
	struct addr blamed;      /* the client of the fault counted last */
	uint64_t turned_away_ms; /* of bad_connects: the last */
	uint64_t probed_ms;      /* when the last probe started */
	uint64_t probe_ms;       /* when the next is due */
	uint64_t trial_ms;       /* when a request may be tried again */
};

#define UPSTREAM_PROBE_NEVER UINT64_MAX

/** @p n_addrs: 0 makes it unresolved. */
void upstream_health_init(struct upstream_health *h, size_t n_addrs, uint64_t now_ms);
/** Its addresses have changed: it is probed at once. */
void upstream_health_set_addrs(struct upstream_health *h, size_t n_addrs, uint64_t now_ms);
/** A probe, or a connection made for requests, came to this. @p alone: no host is up, so that the
 * first success is enough. */
void upstream_health_connect(struct upstream_health *h, const struct upstream_rules *rules,
			     const struct kms_client_result *r, enum kms_kin kin, bool alone,
			     uint64_t now_ms);
/** A request came to this. @p status: of a fault. @p proven: of a fault: see above. */
void upstream_health_request(struct upstream_health *h, const struct upstream_rules *rules,
			     enum upstream_result result, uint32_t status,
			     const struct addr *client, bool proven, uint64_t now_ms);

enum upstream_class upstream_health_class(const struct upstream_health *h, uint64_t now_ms);
/** A trial has begun; the next one may an interval later. */
void upstream_health_trial(struct upstream_health *h, const struct upstream_rules *rules,
			   uint64_t now_ms);
/** At a reload: a shorter interval counts from now, it does not begin when a longer one is over. */
void upstream_health_new_rules(struct upstream_health *h, const struct upstream_rules *rules,
			       uint64_t now_ms);
/** When a probe is due, where none is under way; UPSTREAM_PROBE_NEVER. */
uint64_t upstream_health_probe_at(const struct upstream_health *h,
				  const struct upstream_rules *rules);
/** A probe has begun. Its result goes to upstream_health_connect(). */
void upstream_health_probing(struct upstream_health *h, const struct upstream_rules *rules,
			     uint64_t now_ms);

#endif
