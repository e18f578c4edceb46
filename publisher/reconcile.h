/**
 * Make DNS as the targets say, or withdraw it, and prove the result: one operation over many
 * targets (design §5).
 *
 * Targets go in waves: all are read and planned, one journal transaction writes what is intended,
 * updates go out with at most PUB_UPDATES_PER_SERVER in flight at one server, and every
 * authoritative server is asked until each shows the result or the time is over. Each target fails
 * for itself. An UPDATE holds exact-RDATA deletes and adds only.
 *
 * Events: 12294 (published, withdrawn) and 12293 (failed) are logged here, once for each target.
 *
 * Lifetime as udp_exchange: the caller owns struct pub_reconcile, zeroed before start; done() runs
 * exactly once, from the loop, never inside start or cancel.
 */
#ifndef KMSBEACON_PUBLISHER_RECONCILE_H
#define KMSBEACON_PUBLISHER_RECONCILE_H

#include "net/net.h"
#include "publisher/health.h"
#include "publisher/journal.h"
#include "publisher/target.h"
#include "publisher/targets.h"
#include "publisher/zone.h"

#define PUB_UPDATES_PER_SERVER 32  /* named drops above its update-quota of 100 */
#define PUB_ACTIVE_MAX         128 /* targets that ask something at the same time */
#define PUB_TIMEOUT_MS         60000
#define PUB_NOTIFY_DELAY_MS    6000 /* BIND tells its secondaries after 5 s: nothing is late before \
				     */
#define PUB_CHANGES_MAX     512     /* of one target in one message */
#define PUB_SEEN_MAX        2048 /* records at one name; a larger set is refused, not guessed at */
#define PUB_HINT_MAX        512
#define PUB_SERVER_TEXT_MAX DNSNAME_TEXT_MAX

enum pub_mode {
	PUB_PUBLISH,  /* asked for by a person: lifts what an earlier withdraw holds back */
	PUB_REFRESH,  /* the daemon's own cycle: leaves withdrawn what was withdrawn */
	PUB_WITHDRAW, /* remove our records, and hold them back from now on */
	PUB_STOP,     /* on_stop: withdraw: remove our records, but hold nothing back */
};

struct pub_request {
	enum pub_mode mode;
	bool dry_run;                  /* plan only: no UPDATE, nothing written */
	const struct dns_name *domain; /* NULL: all */
	const char *host;              /* withdraw: records of this host only; NULL: all */
	bool adopted;                  /* withdraw: also records that were there before us */
	bool orphans; /* withdraw: of domains that are no longer configured, and only those */
	uint32_t timeout_ms; /* for everything; 0: PUB_TIMEOUT_MS */
};

enum pub_state {
	PUB_PROVEN,      /* changed, and shown by the servers */
	PUB_UNCHANGED,   /* nothing to change, and shown by the servers */
	PUB_PLANNED,     /* dry run: what would be done */
	PUB_LAGGING,     /* right on the primary; another server does not show it (yet) */
	PUB_REFUSED,     /* a server said no: rcode says how */
	PUB_UNREACHABLE, /* no answer that counts */
	PUB_BLOCKED,     /* something in the way that a person must settle */
	PUB_STATE_COUNT_,
};
const char *pub_state_name(enum pub_state s); /* as in the JSON */

enum pub_op { PUB_ADD, PUB_DELETE };

struct pub_change {
	enum pub_op op;
	struct dns_srv srv;
	uint32_t ttl_s;
	const char *host; /* "" where no host of the configuration has it any more. Borrowed */
};

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

/** Things worth telling that do not decide the state. A closed table: pub_finding_name(). */
enum pub_finding_id {
	PUB_F_HOST_SELF_PUBLISHES,
	PUB_F_ABSENT_BY_DOT,
	PUB_F_ANOTHER_PUBLISHER,
	PUB_F_ALIASED,
	PUB_F_TTL_ADOPTED,
	PUB_F_TTL_LIMITED,
	PUB_F_TARGET_NO_ADDRESS,
	PUB_F_TARGET_CNAME,
	PUB_F_TARGET_LOOPBACK,
	PUB_F_TARGET_UNCHECKED,
	PUB_F_HOST_DOWN,
	PUB_F_LAST_KEPT,
	PUB_F_WITHDRAWN,
	PUB_F_ADOPTED,
	PUB_F_ORPHAN,
	PUB_F_JOURNAL,
	PUB_F_SERVER_UNKNOWN,
	PUB_F_COUNT_,
};
const char *pub_finding_name(enum pub_finding_id id);     /* "host-self-publishes" */
const char *pub_finding_severity(enum pub_finding_id id); /* "info", "warning", "critical" */
const char *pub_finding_hint(enum pub_finding_id id);     /* next step; "" for none */

struct pub_finding {
	enum pub_finding_id id;
	char *text; /* one clause with the facts */
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
	uint32_t ttl_s;          /* of the set as shown last; 0: empty set */
	const struct pub_change *changes;
	size_t n_changes;
	const struct pub_proof *proof;
	size_t n_proof;
	const struct pub_finding *findings;
	size_t n_findings;
};

/** Whether the command can say yes: proven, unchanged, planned. */
bool pub_result_ok(const struct pub_result *r);

struct pub_reconcile_params {
	struct pub_targets *targets; /* a reference is taken */
	struct pub_request request;  /* its pointers are borrowed during start only */
	/** NULL: nothing is known to be ours, and nothing is deleted. Borrowed until done. */
	struct pub_journal *journal;
	/** Zones known from earlier runs; NULL: learn them anew. Borrowed until done. */
	struct pub_zone_cache *zones;
	const struct pub_health *health; /* NULL: no gate. Borrowed until done */
	/** Further choice of targets (the engine's: which are due); NULL: all. */
	bool (*pick)(void *ctx, const struct pub_target *t);
	void *pick_ctx;
};

struct pub_reconcile;
/** @p err: 0 (also when targets failed: see each), ERR_CANCELED, ERR_NOMEM. Results are borrowed
 * during the call, in the order of the targets; with ERR_CANCELED there are none. */
typedef void pub_reconcile_done_fn(struct pub_reconcile *r, int err,
				   const struct pub_result *results, size_t n);

struct pub_reconcile {
	void *owner; /* the caller's */
	/* private */
	struct pub_reconcile_impl *impl;
};

void pub_reconcile_start(struct pub_reconcile *r, struct net *net,
			 const struct pub_reconcile_params *p, pub_reconcile_done_fn *done);
/** What was sent may still take effect; the journal knows it, and the next run reads it. */
void pub_reconcile_cancel(struct pub_reconcile *r);

#endif
