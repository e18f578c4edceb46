/**
 * The relay: requests of KMS clients, answered by licensed hosts behind it (design §7.4).
 *
 * It takes whole request stubs (association.h makes them) and gives back one answer or one fault
 * for each. What is protected in them stays opaque: all it reads is the version at a body's start
 * and the HRESULT of a response's stub.
 *
 * Which host: those that may serve the message (lab messages: upstreams marked `lab`; other
 * messages: the others; from another relay: no relay), not draining; in order of health (up, then
 * those that fail requests, never those that are down), priority, and among equals by rendezvous
 * hash of the client's address (/64 of IPv6), so that a client stays with its host and several
 * relays agree.
 *
 * A host that fails - too slow, a fault, half an answer - costs one of `retry` further hosts; one
 * that cannot be connected to, which shows at once, costs none. The request is sent again, which is
 * harmless because it is idempotent for its client. A response 0xC004F042, 0xC004F041, 0xC004F039
 * or 0xC004F06C (the clocks of host and client are apart) is held, and the request is offered once
 * to each further host; the first success wins, else the held answer goes out. Which host then
 * served the client is remembered for RELAY_ROUTE_MS. All together has (retry + 2) *
 * request_timeout.
 *
 * Health: a host is up while a new connection was bound, or a request answered, within the last
 * interval; without such news it is probed. A host that binds and fails requests (faults, too slow)
 * for `fall` requests in a row is told apart: it gets no requests but a copy of one each interval,
 * or, where nobody is better, that one request itself, to find out whether it is well again.
 */
#ifndef KMSBEACON_KMSCORE_RELAY_H
#define KMSBEACON_KMSCORE_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "kmscore/guid.h"
#include "kmscore/kms_msg.h"
#include "kmscore/pool.h"
#include "kmscore/upstream_health.h"
#include "net/net.h"

#define RELAY_UPSTREAMS_MAX 64
#define RELAY_NAME_MAX      264 /* of an upstream's name, with its NUL; "target:port" fits */
#define RELAY_ROUTE_MS      (24u * 3600u * 1000u)
#define RELAY_ROUTES_MAX    16384 /* beyond it the oldest are forgotten */
#define RELAY_HRESULTS_MAX  16    /* different results counted for each upstream; then "other" */

struct relay;
struct relay_call;
struct relay_held;
struct upstream;

struct relay_rules {
	struct kms_pool_rules pool; /* timeout_ms is relay.request_timeout */
	uint32_t retry;
	uint32_t interval_ms; /* of health, as the next three */
	uint32_t probe_ms;    /* time of a probe */
	uint32_t rise, fall;  /* results in a row */
};

/** Pointers are borrowed during the call only. */
struct relay_upstream {
	const char *name; /* what it is known by over a reload; at most RELAY_NAME_MAX - 1 octets */
	const struct addr *addrs; /* with port; none: RELAY_UNRESOLVED */
	size_t n_addrs;
	uint32_t priority; /* lower is asked first */
	bool lab;
	bool draining; /* gets no new requests */
};

/** What became of one request. Borrowed during the call. */
struct relay_record {
	const struct addr *client; /* with port */
	const char *upstream;      /* whose answer it was; NULL: none answered */
	const char *wrong_clock;   /* a host that refused the client for its clock (0xC004F06C) whom
				      `upstream` then served: so that clock is wrong; else NULL */
	struct kms_version version;
	unsigned attempts; /* requests sent or tried to send, on how many hosts soever */
	int err;          /* 0: a response; RPC_FAULT: a fault was passed on; else no host answered,
			     and the client got a fault of ours; CANCELED: the client was gone */
	uint32_t hresult; /* with 0 */
	uint32_t fault_status;      /* unless 0 */
	size_t bytes_in, bytes_out; /* of the stubs */
	double ms;
};

struct relay_params {
	struct net *net; /* borrowed for the relay's life */
	struct relay_rules rules;
	struct guid node_id;
	/** relay_available() or relay_is_up() has changed (the former not for hosts that fail
	 * requests). From the loop. */
	void (*changed)(void *ctx);
	/** A host's state has changed. From the loop. */
	void (*upstream_changed)(void *ctx, const char *name, enum relay_state from,
				 enum relay_state to, const char *detail);
	/** Each request, when it has ended. From the loop. */
	void (*record)(void *ctx, const struct relay_record *r);
	void *ctx;
};

int relay_new(const struct relay_params *p, struct relay **ret); /* 0 or ERR_NOMEM */
void relay_set_rules(struct relay *r, const struct relay_rules *rules);
/**
 * The whole list, at start, at a reload, and when names have other addresses. Hosts are the same by
 * their names: health, pool and counters of those that stay are kept. Requests at a host that is
 * not in the list any more finish. @return 0, ERR_LIMIT (too many), ERR_NOMEM: then nothing has
 * changed.
 */
int relay_set_upstreams(struct relay *r, const struct relay_upstream *list, size_t n);
/** Calls end with ERR_CANCELED first. @p done runs once, from the loop. */
void relay_free(struct relay *r, void (*done)(void *ctx), void *ctx);

/** Would a request be sent to a host now? @p from_relay: one that came through another relay; then
 * other relays do not count, nor hosts of which that is not known yet. Unknown hosts count: their
 * first connection is under way. Where there is no better host, one that fails requests counts once
 * an interval, so that it can show that it is well: ask for each client, and keep no copy. */
bool relay_available(const struct relay *r, bool from_relay);
/** A host is up: what `local` is for the publisher's gate. *ret_known: false before the first news.
 */
bool relay_is_up(const struct relay *r, bool *ret_known);

/** Borrowed during done(). */
struct relay_answer {
	int err;               /* 0: stub; CANCELED; else answer with the fault */
	uint32_t fault_status; /* unless 0; RPC_S_TOO_BUSY where no host answered */
	const uint8_t *stub;
	size_t stub_len;
	bool be;
};
typedef void relay_done_fn(struct relay_call *c, const struct relay_answer *a);

struct relay_call_params {
	const struct addr *client; /* copied */
	bool from_relay;           /* kin.h */
	const uint8_t *stub;       /* of the request; borrowed until done() */
	size_t stub_len;
	bool be;
};

/** Owned by the caller, zeroed before its first start; it stays put until done(), which runs
 * exactly once, from the loop, never inside start or cancel, and may free it or start it again. */
struct relay_call {
	void *owner;
	/* private */
	struct relay *relay;
	relay_done_fn *done;
	uint8_t state;
	bool be;
	bool from_relay;
	bool lab;            /* the message */
	bool canceled;       /* by the owner */
	bool moved;          /* its host went down while it waited there */
	bool fault_repeated; /* by another host: so the request is to blame */
	uint8_t end;         /* how, where it ends without a host */
	uint32_t fault_status;
	uint32_t accused_status;
	uint32_t attempts;
	uint32_t failures;
	int err; /* of the last host that failed */
	struct kms_version version;
	struct addr client;
	const uint8_t *stub;
	size_t stub_len;
	uint64_t network; /* relay_choice.h */
	uint64_t tried;
	uint64_t started_ms, started_ns, asked_ns;
	struct upstream *up;      /* that is asked now */
	struct upstream *faulty;  /* that answered with the fault that is passed on */
	struct upstream *accused; /* whose fault is to be judged by the next host's answer */
	struct relay_held *held;  /* the answer to give where no host has a better one */
	struct relay_call *prev, *next;
	struct kms_pool_call pool_call;
};
void relay_call_start(struct relay *r, struct relay_call *c, const struct relay_call_params *p,
		      relay_done_fn *done);
/** Harmless in any state. */
void relay_call_cancel(struct relay_call *c);
/** How long a call may take, all hosts together. */
uint32_t relay_call_ms(const struct relay *r);

struct relay_hresult {
	uint32_t hresult;
	uint64_t n;
};

struct relay_upstream_status {
	char name[RELAY_NAME_MAX];
	uint32_t priority;
	bool lab, draining;
	bool is_relay; /* another kmsbeacon relay */
	enum relay_state state;
	char detail[RELAY_DETAIL_MAX]; /* one clause for a person */
	int64_t since_ms;              /* wall clock; 0: never known */
	struct kms_pool_status pool;
	uint64_t requests;     /* answered or failed here */
	uint64_t failed;       /* of these, without an answer: no connection, fault, too late ... */
	double p50_ms, p99_ms; /* of the last answers (latency.h); 0: none */
	struct relay_hresult hresults[RELAY_HRESULTS_MAX];
	size_t n_hresults;
	uint64_t other_hresults;
	char last_error[RELAY_DETAIL_MAX]; /* of the last request that failed here; "" */
	int64_t last_error_ms;             /* wall clock */
};

size_t relay_n_upstreams(const struct relay *r);
void relay_upstream_status(const struct relay *r, size_t i, struct relay_upstream_status *ret);

#endif
