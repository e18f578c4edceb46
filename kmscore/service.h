/**
 * The KMS service on its listening addresses: listener, RPC associations, and what answers.
 *
 * Mode `lab` answers kmsbeacon's own lab clients (design §7.3); a Windows client gets a well-formed
 * refusal. Mode `relay` has licensed hosts answer (relay.h).
 *
 * A request that is relayed is told once: in the log (`relay.request`; of more than LINES_BUDGET in
 * a second the rest is one line, `relay.requests`), to on_event, and in the file request_log, which
 * gets every one.
 */
#ifndef KMSBEACON_KMSCORE_SERVICE_H
#define KMSBEACON_KMSCORE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/err.h"
#include "kmscore/guid.h"
#include "kmscore/kms.h"
#include "kmscore/lab_host.h"
#include "kmscore/relay.h"
#include "net/listener.h"
#include "net/net.h"

enum kms_mode { KMS_MODE_OFF, KMS_MODE_LAB, KMS_MODE_RELAY };

/** What clients may take. A member that is 0 gets its default. */
struct kms_limits {
	size_t conns;
	size_t per_address;  /* one /64 of IPv6 counts as one address */
	uint32_t idle_ms;    /* a client without a request under way */
	uint32_t request_ms; /* from connecting to the bind; from the first byte of a PDU or the
				first fragment of a request to its last. Never moved by further
				bytes. */
};

/** All pointers are borrowed during the call only. */
struct kms_service_params {
	enum kms_mode mode;
	const struct addr *listen; /* a port 0 becomes the kernel's choice: kms_service_addr() */
	size_t n_listen;
	const int *sockets;       /* as listener_params.sockets */
	const struct cidr *allow; /* empty: everyone */
	size_t n_allow;
	struct kms_limits limits;
	/* mode lab */
	const char *lab_key_file;
	struct lab_rules lab; /* intervals of 0: the defaults of kms.h */
	/* mode relay */
	struct relay_rules relay;
	const struct relay_upstream *upstreams;
	size_t n_upstreams;
	const char *request_log; /* file with a line for each request; NULL: none */
	/** What kms_service_relay() says may be another now: availability, or whether a host is
	 * up. From the loop; may be NULL, as the next one. */
	void (*relay_changed)(void *ctx);
	/** As relay_params has it. */
	void (*upstream_changed)(void *ctx, const char *name, enum relay_state from,
				 enum relay_state to, const char *detail);
	/* both */
	struct guid node_id; /* kin.h; zero: a random one */
	/** What is remembered of clients; borrowed for the service's life. NULL: nothing outlives
	 * it. */
	struct kms_memory *memory;
	/** Each request: event 12290 of a lab host, "relay.request" (id 0) of a relay; NULL:
	 * nobody. From the loop, borrowed. */
	lab_host_event_fn *on_event;
	void *ctx;
};

#define KMS_CONNS_DEFAULT       20000
#define KMS_PER_ADDRESS_DEFAULT 200
#define KMS_IDLE_DEFAULT_MS     30000u
#define KMS_REQUEST_DEFAULT_MS  10000u
#define KMS_ALLOW_MAX           1024
#define KMS_DRAIN_QUIET_MS      500u

struct kms_service_status {
	enum kms_mode mode;
	bool listening;    /* false after kms_service_stop() */
	uint64_t requests; /* of all that is remembered */
	uint64_t failed;   /* of these, answered with another result than success, or a fault;
			      clients that did not wait for their answer are not among them */
	uint64_t by_licence[KMS_LICENCE_COUNT_]; /* lab requests served, by the client's status */
	uint32_t count;                          /* what clients are told */
	size_t clients_30d;                      /* distinct CMIDs; addresses of a relay */
	size_t clients_7d;                       /* of these, seen in the last 7 days */
	size_t duplicates;                       /* CMIDs seen with more than one machine name */
	size_t connections;                      /* open now */
	uint64_t refused;                        /* connections closed before a byte was read */
};

struct kms_service;

/**
 * Read the lab key, bind, listen. All or nothing: on failure @p info has the sentence and the next
 * step. @p net is borrowed for the service's life. Not for KMS_MODE_OFF (ERR_USAGE).
 */
int kms_service_new(struct net *net, const struct kms_service_params *p, struct kms_service **ret,
		    struct err_info *info);
/** Accept nothing more; open associations go on (listener_stop). Idempotent. */
void kms_service_stop(struct kms_service *s);
/**
 * The end of the process, with nobody cut off: accept nothing more (listener_release), let requests
 * finish, close connections that are quiet (no call, nothing half sent) for KMS_DRAIN_QUIET_MS.
 * @p done runs once, from the loop, when no connection is left or @p ms are over, or, at the
 * latest, from kms_service_free(), which then drops what is left. Once for a service.
 */
void kms_service_drain(struct kms_service *s, uint32_t ms, void (*done)(void *ctx), void *ctx);
/** Close all and free; @p done runs once, from the loop. NULL is not allowed. */
void kms_service_free(struct kms_service *s, void (*done)(void *ctx), void *ctx);

size_t kms_service_n_listen(const struct kms_service *s);
/** As bound. */
const struct addr *kms_service_addr(const struct kms_service *s, size_t i);
/** Reload: @p allow is copied. @return 0 or ERR_LIMIT, ERR_NOMEM (then nothing has changed). */
int kms_service_set_rules(struct kms_service *s, const struct cidr *allow, size_t n_allow,
			  const struct kms_limits *limits);
/** Reload, mode lab. Intervals of 0: the defaults. */
void kms_service_set_lab(struct kms_service *s, const struct lab_rules *rules);
/** Reload, mode relay; as relay_set_rules() and relay_set_upstreams(). ERR_USAGE in another mode.
 */
void kms_service_set_relay(struct kms_service *s, const struct relay_rules *rules);
int kms_service_set_upstreams(struct kms_service *s, const struct relay_upstream *list, size_t n);
/** Reload, mode relay: the file is opened anew, so that it can be rotated; NULL: none. What cannot
 * be opened is logged. */
void kms_service_set_request_log(struct kms_service *s, const char *path);
/** For relay_available(), relay_is_up(), relay_upstream_status(); NULL in another mode. */
const struct relay *kms_service_relay(const struct kms_service *s);
/** Not const: clients whose 30 days are over leave the tables first. */
void kms_service_status(struct kms_service *s, struct kms_service_status *ret);
/** Machine ids used by several machines, the one seen last first; up to @p max. @return how many.
 */
size_t kms_service_duplicates(const struct kms_service *s, struct kms_duplicate *ret, size_t max);
#endif
