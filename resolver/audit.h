/**
 * The audit of one domain (design §6): what every authoritative server and resolver says about
 * `_vlmcs._tcp.DOMAIN`, what each record is worth, and what is wrong.
 *
 * The zone and its NS set are learned through `servers`, then net->resolvers. An NS is one server
 * with all its addresses; it is asked at net->dns_port; where that is not set, at the port of an
 * entry of `servers` or net->resolvers with the same address; else at 53. Nothing counts as late
 * before settle_ms, since BIND waits 5 s before it notifies (failure-modes Z07): servers that lag
 * are asked again until then, servers that contradict each other at one serial a few times.
 *
 * Lifetime as net/udp_exchange.h.
 */
#ifndef KMSBEACON_RESOLVER_AUDIT_H
#define KMSBEACON_RESOLVER_AUDIT_H

#include "net/dns_client.h"
#include "resolver/findings.h"
#include "resolver/lookup.h"
#include "resolver/targets.h"
#include "resolver/zone.h"

#define RSV_AUDIT_TOTAL_MS  60000
#define RSV_AUDIT_SETTLE_MS 8000
#define RSV_AUDIT_SERVER_MS 6000 /* for one server to answer one question */
#define RSV_EXPECT_MAX      256
#define RSV_JOURNAL_MAX     1024

/** ok, warning, critical, unknown: the Nagios codes are the values (design §3). */
enum rsv_status { RSV_OK_, RSV_WARN_, RSV_CRIT_, RSV_UNKNOWN_, RSV_STATUS_COUNT_ };
const char *rsv_status_name(enum rsv_status s);
/** 0..3. */
int rsv_status_exit_code(enum rsv_status s);
/** Of several domains: critical before unknown before warning before ok. */
enum rsv_status rsv_status_worst(enum rsv_status a, enum rsv_status b);

/** What the journal of this machine's publisher says of a record. */
enum rsv_journal_state {
	RSV_J_NONE, /* nothing */
	RSV_J_PUBLISHED,
	RSV_J_ADOPTED,   /* was there before us */
	RSV_J_WITHDRAWN, /* taken back by us: by a person, or by the health gate */
	RSV_J_STATE_COUNT_,
};
const char *rsv_journal_state_name(enum rsv_journal_state s); /* "published" ... */

struct rsv_journal_row {
	struct dns_srv srv;
	enum rsv_journal_state state;
	int64_t since_ms; /* wall clock */
};

/** A record that should be there. */
struct rsv_expect {
	struct dns_name target;
	uint16_t port;
	bool has_priority, has_weight; /* false: any */
	uint16_t priority, weight;
	/** Of what is configured: records of one view follow each other. Only one view is to be
	 * seen from here, and nobody knows which. */
	unsigned view;
};
/** "TARGET:PORT[:PRIO[:WEIGHT]]"; PORT may be left out with all that follows (1688). 0 or
 * ERR_PARSE, with a sentence. */
int rsv_expect_parse(const char *text, struct rsv_expect *ret, struct err_info *info);

/** What a record is. */
enum rsv_class {
	RSV_C_MINE_HEALTHY,    /* as configured, and up */
	RSV_C_MINE_DOWN,       /* as configured, and not up */
	RSV_C_EXPECTED,        /* in the expected set, or nothing is expected at all */
	RSV_C_FOREIGN_KNOWN,   /* a configured or expected host with other numbers */
	RSV_C_FOREIGN_UNKNOWN, /* a host of which nobody told us */
	RSV_C_DEAD_TARGET,     /* not ours, and not up */
	RSV_C_TARGET_CNAME,    /* the target is an alias */
	RSV_C_ABSENT_BY_DOT,   /* the target is "." */
	RSV_CLASS_COUNT_,
};
const char *rsv_class_name(enum rsv_class c); /* "mine-healthy" ... */

enum rsv_server_role { RSV_ROLE_NS, RSV_ROLE_SERVER, RSV_ROLE_RESOLVER, RSV_ROLE_COUNT_ };
const char *rsv_server_role_name(enum rsv_server_role r); /* "ns", "server", "resolver" */

enum rsv_server_state {
	RSV_S_OK,
	RSV_S_LAGGING,     /* an older serial and another set */
	RSV_S_DIFFERS,     /* another set, though the serial is not older */
	RSV_S_STALE,       /* a resolver with an answer from before */
	RSV_S_LAME,        /* answers without authority, or refuses */
	RSV_S_UNREACHABLE, /* no answer */
	RSV_S_STATE_COUNT_,
};
const char *rsv_server_state_name(enum rsv_server_state s);

/** One server and what it said last. */
struct rsv_server_view {
	enum rsv_server_role role;
	struct dns_name name; /* of an NS; unset for the others */
	bool is_primary;      /* the MNAME of the SOA */
	struct addr addrs[HOST_LOOKUP_ADDRS_MAX];
	size_t n_addrs;
	struct addr addr; /* who answered; else the first */
	bool aa;          /* of the SRV answer */
	bool has_serial;
	uint32_t serial;
	struct dns_name mname; /* of its SOA, with has_serial */
	int srv_err;           /* as rsv_lookup_result.err */
	struct rsv_set set;    /* with srv_err 0 */
	/** Its serial is older than one that another server had settle_ms ago. */
	bool late;
	bool inconsistent; /* a resolver that answers now this, now that */
	bool other_zone;   /* it said "no" in the name of another zone: it does not have this one */
	enum rsv_server_state state;
};

struct rsv_audit_record {
	struct rsv_record rec; /* target "." for an absence */
	enum rsv_class cls;
	bool mine;
	enum rsv_journal_state journal;
	double probability;
	bool known; /* target was looked at: `target` means something */
	struct rsv_target_result target;
};

/** What a signed question to the primary showed. */
struct rsv_key_check {
	bool asked;
	int err;
	bool has_skew;
	int64_t skew_s; /* its clock minus ours */
	struct addr server;
};

/** The set of another domain of the search list. */
struct rsv_suffix_view {
	struct dns_name domain;
	int err; /* as rsv_lookup_result.err */
	struct rsv_set set;
};
#define RSV_AUDIT_SUFFIXES_MAX 16

struct rsv_audit_result {
	/** 0: the audit came to its end. ERR_CANCELED, ERR_NOMEM: it did not. */
	int err;
	struct dns_name domain;
	enum rsv_status status;
	bool has_zone;
	int zone_err; /* why there is none, or not all of its name servers are known */
	struct dns_name zone;
	struct dns_name primary; /* MNAME; unset without zone */
	struct rsv_server_view *servers;
	size_t n_servers;
	struct rsv_audit_record *records; /* of the reference server, canonical order */
	size_t n_records;
	bool wildcard; /* a name that nobody made up before has the same answer */
	struct rsv_key_check key;
	struct dns_name ad_domain; /* the primary is a domain controller of it; unset: none */
	struct rsv_suffix_view suffixes[RSV_AUDIT_SUFFIXES_MAX]; /* in the order of the list */
	size_t n_suffixes;
	size_t suffix_at;             /* how many of them come before the domain */
	struct rsv_finding *findings; /* most severe first */
	size_t n_findings;
	size_t findings_dropped;
	enum finding_severity worst; /* of the findings, kept or dropped */
	struct rsv_queries queries;
};

struct rsv_audit_params {
	struct dns_name domain;
	const struct dns_server *servers; /* `--server`: asked beside those of the zone. Copied */
	size_t n_servers;
	/** Do not audit net->resolvers; they still serve to find the zone, and are asked where none
	 * is found. */
	bool skip_resolvers;
	/** The complete expected set (`--expect`). Copied. */
	const struct rsv_expect *expect;
	size_t n_expect;
	/** What the configuration publishes in this domain. Copied. */
	const struct rsv_expect *own;
	size_t n_own;
	/** What this machine's publisher has in its journal about the domain. Copied. */
	const struct rsv_journal_row *journal;
	size_t n_journal;
	bool lab; /* loopback targets are meant */
	/** Nobody asked for this domain in particular: without records it is no fault, unless it is
	 * configured. */
	bool unasked;
	/** Of the zone's updates: a signed question to the primary shows whether it is accepted and
	 * how far the clocks differ. NULL: not asked. Referenced while the audit runs. */
	struct tsig_key *key;
	struct addr key_server; /* the primary, where it is configured; unset: the MNAME */
	/** A search list that the domain is part of, all of it; at most RSV_AUDIT_SUFFIXES_MAX.
	 * Copied. */
	const struct dns_name *suffixes;
	size_t n_suffixes;
	unsigned resolver_samples;   /* questions to each resolver; 0: 1 */
	struct rsv_targets *targets; /* borrowed until done() */
	/** What the audits of one run have learned of name servers. NULL: nothing is shared.
	 * Borrowed until done(). */
	struct rsv_shared *shared;
	uint32_t settle_ms; /* 0: RSV_AUDIT_SETTLE_MS */
	uint32_t total_ms;  /* 0: RSV_AUDIT_TOTAL_MS */
};

struct rsv_audit;
/** @p r is borrowed during the call. */
typedef void rsv_audit_done_fn(struct rsv_audit *a, const struct rsv_audit_result *r);

struct rsv_audit {
	void *owner; /* the caller's */
	/* private */
	struct rsv_audit_impl *impl; /* gone before done() returns */
	rsv_audit_done_fn *done;
	uv_timer_t deadline;
};

void rsv_audit_start(struct rsv_audit *a, struct net *net, const struct rsv_audit_params *p,
		     rsv_audit_done_fn *done);
void rsv_audit_cancel(struct rsv_audit *a);

#endif
