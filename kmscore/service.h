/**
 * The KMS service on its listening addresses: listener, RPC associations, and what answers.
 *
 * Mode `lab` answers kmsbeacon's own lab clients (design §7.3); a Windows client gets a well-formed
 * refusal. Mode `relay` is refused by kms_service_new with ERR_CONFIG as long as this build has no
 * relay.
 */
#ifndef KMSBEACON_KMSCORE_SERVICE_H
#define KMSBEACON_KMSCORE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/err.h"
#include "kmscore/kms.h"
#include "kmscore/lab_host.h"
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
	const struct cidr *allow; /* empty: everyone */
	size_t n_allow;
	struct kms_limits limits;
	/* mode lab */
	const char *lab_key_file;
	struct lab_rules lab; /* intervals of 0: the defaults of kms.h */
	/** What is remembered of clients; borrowed for the service's life. NULL: nothing outlives
	 * it. */
	struct kms_memory *memory;
	/** Each request that was served, as event 12290; NULL: nobody. From the loop, borrowed. */
	lab_host_event_fn *on_event;
	void *ctx;
};

#define KMS_CONNS_DEFAULT       20000
#define KMS_PER_ADDRESS_DEFAULT 200
#define KMS_IDLE_DEFAULT_MS     30000u
#define KMS_REQUEST_DEFAULT_MS  10000u
#define KMS_ALLOW_MAX           1024

struct kms_service_status {
	enum kms_mode mode;
	bool listening;    /* false after kms_service_stop() */
	uint64_t requests; /* of all that is remembered */
	uint64_t failed;   /* of these, answered with another result than success, or a fault */
	uint64_t by_licence[KMS_LICENCE_COUNT_]; /* lab requests served, by the client's status */
	uint32_t count;                          /* what clients are told */
	size_t clients_30d;                      /* distinct CMIDs */
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
/** Accept nothing more; open associations go on. Idempotent. */
void kms_service_stop(struct kms_service *s);
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
/** Not const: clients whose 30 days are over leave the tables first. */
void kms_service_status(struct kms_service *s, struct kms_service_status *ret);
/** Machine ids used by several machines, the one seen last first; up to @p max. @return how many.
 */
size_t kms_service_duplicates(const struct kms_service *s, struct kms_duplicate *ret, size_t max);
#endif
