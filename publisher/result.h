/** How the reconcile of one target ended: plain data that reports and explanations are made from.
 */
#ifndef KMSBEACON_PUBLISHER_RESULT_H
#define KMSBEACON_PUBLISHER_RESULT_H

#include "common/addr.h"
#include "publisher/findings.h"
#include "publisher/plan.h"

#define PUB_HINT_MAX        512
#define PUB_SERVER_TEXT_MAX DNSNAME_TEXT_MAX

enum pub_state {
	PUB_PROVEN,      /* changed, now or by an earlier run, and shown by the servers */
	PUB_UNCHANGED,   /* nothing to change, and shown by the servers */
	PUB_PLANNED,     /* dry run: what would be done */
	PUB_LAGGING,     /* right on the primary; another server does not show it (yet) */
	PUB_REFUSED,     /* a server said no: rcode says how */
	PUB_UNREACHABLE, /* no answer that counts */
	PUB_BLOCKED,     /* something in the way that a person must settle */
	PUB_STATE_COUNT_,
};
const char *pub_state_name(enum pub_state s); /* as in the JSON */

enum pub_proof_state { PUB_PROOF_OK, PUB_PROOF_LAGGING, PUB_PROOF_DIFFERS, PUB_PROOF_UNKNOWN };
const char *pub_proof_state_name(enum pub_proof_state s);

/** What one authoritative server showed last. */
struct pub_proof {
	struct dns_name name; /* of the NS record; not set for a server known by address only */
	struct addr addr;     /* who answered; unset where the name has no address */
	bool is_primary;
	bool is_ns; /* counts for "half of all NS" */
	bool has_serial;
	uint32_t serial;
	enum pub_proof_state state;
	int err; /* why it is unknown */
};

/** How one target ended. */
struct pub_result {
	struct dns_name domain;
	const char *view;
	struct dns_name zone;  /* not set where it was not found */
	struct dns_name owner; /* of the records: _vlmcs._tcp.D, or where its CNAME leads */
	char server[PUB_SERVER_TEXT_MAX]; /* the primary, by name or as configured; "" unknown */
	struct addr addr;                 /* the primary; may be unset */
	enum pub_state state;
	int err;        /* 0 when proven, unchanged, planned */
	unsigned rcode; /* where an UPDATE or the refused read was answered; TSIG error included */
	bool has_rcode;
	uint32_t hresult;
	char hint[PUB_HINT_MAX]; /* one sentence and the next step; "" where all is well */
	bool would_empty;        /* a drain was blocked: no other record is in the set */
	uint32_t ttl_s;          /* of the set as shown last; 0: empty set */
	/** The set was empty, and records are added: for so long resolvers that were asked before
	 * may go on saying that there is none (RFC 2308). 0: not so. */
	uint32_t negative_ttl_s;
	const struct pub_change *changes;
	size_t n_changes;
	const struct pub_proof *proof;
	size_t n_proof;
	const struct pub_finding *findings;
	size_t n_findings;
};

/** Whether the command can say yes: proven, unchanged, planned. */
bool pub_result_ok(const struct pub_result *r);

#endif
