/**
 * Everything that `verify` can find: a closed table of stable ids with severity and hint.
 *
 * The text of a finding is made where it is found, since it names servers and records; the hint
 * belongs to the id.
 */
#ifndef KMSBEACON_RESOLVER_FINDINGS_H
#define KMSBEACON_RESOLVER_FINDINGS_H

#include <stddef.h>

enum rsv_severity { RSV_INFO, RSV_WARNING, RSV_CRITICAL, RSV_SEVERITY_COUNT_ };
const char *rsv_severity_name(enum rsv_severity s); /* "info", "warning", "critical" */

/* clang-format off */
/* X(NAME, "id", SEVERITY, "what it means", "hint") */
#define RSV_FINDING_MAP(X) \
	X(NO_RECORDS, "no-records", CRITICAL, \
	  "the domain publishes no KMS host: its clients find none", \
	  "publish one (kmsbeacon publish), or check the spelling of the domain") \
	X(MISSING, "missing", CRITICAL, \
	  "an expected record is not published", \
	  "publish it (kmsbeacon publish), or correct the expectation") \
	X(EXTRA, "extra", WARNING, \
	  "a record is not in the expected set", \
	  "remove the record if nobody answers for it, or add it to the expectation") \
	X(FOREIGN_UNKNOWN, "foreign-unknown", WARNING, \
	  "a record points to a host that the configuration does not know", \
	  "find its owner: an unapproved KMS host is stopped with a client key and a restart, then " \
	  "its record is deleted; an approved one is added under hosts:") \
	X(PRIORITY_DIFFERS, "priority-differs", WARNING, \
	  "a record is published with another priority than expected", \
	  "run kmsbeacon publish, or correct the expectation") \
	X(WEIGHT_DIFFERS, "weight-differs", WARNING, \
	  "a record is published with another weight than expected", \
	  "run kmsbeacon publish, or correct the expectation") \
	X(HOST_SELF_PUBLISHES, "host-self-publishes", WARNING, \
	  "a host publishes itself beside the configured record, with other numbers", \
	  "run slmgr /cdns on that host and delete its own record; a Windows host repeats it " \
	  "every 24 hours") \
	X(ALL_DOWN, "all-down", CRITICAL, \
	  "no published host answers: clients fail with 0xC004F074", \
	  "start a host, or check TCP 1688 between here and there") \
	X(DEAD_TARGET, "dead-target", WARNING, \
	  "a published host does not answer", \
	  "start the host, open its port, or delete the record; clients lose seconds on it") \
	X(NO_RPC, "no-rpc", WARNING, \
	  "the port of a published host answers, but not as an RPC server", \
	  "something else owns the port, or a proxy stands before it: check target and port") \
	X(NOT_KMS, "not-kms", WARNING, \
	  "a published host is an RPC server without the KMS interface", \
	  "the machine is no KMS host, or its host key or service is not active") \
	X(UNRESOLVED_TARGET, "unresolved-target", WARNING, \
	  "the target of a record has no address", \
	  "add an A or AAAA record for the target, or delete the SRV record") \
	X(TARGET_CNAME, "target-cname", WARNING, \
	  "the target of a record is an alias, which RFC 2782 forbids", \
	  "publish the canonical name as the target") \
	X(PORT_ZERO, "port-zero", WARNING, \
	  "a record has port 0, which no client can use", \
	  "publish the port that the host listens on (1688)") \
	X(ABSENT_BY_DOT, "absent-by-dot", CRITICAL, \
	  "a record with the target \".\" says that the domain has no KMS host", \
	  "delete that record if the domain is meant to have one") \
	X(SERVERS_DIFFER, "servers-differ", WARNING, \
	  "authoritative servers answer with different sets at the same serial", \
	  "compare the zone on the servers; two primaries, or views, can be the cause") \
	X(LAG, "lag", WARNING, \
	  "a secondary still has an older zone after the usual time", \
	  "look for failed transfers and NOTIFY in the logs of both servers (allow-transfer, keys)") \
	X(SERVER_UNREACHABLE, "server-unreachable", WARNING, \
	  "a name server of the zone gives no answer", \
	  "start it, open port 53, or remove it from the NS set") \
	X(SERVER_LAME, "server-lame", WARNING, \
	  "a name server of the zone does not answer with authority", \
	  "let it serve the zone, or remove it from the NS set") \
	X(RESOLVER_DIFFERS, "resolver-differs", WARNING, \
	  "a resolver gives another set than the zone, and longer than an old copy would last", \
	  "look for a local zone, a forwarder or a view on that resolver") \
	X(RESOLVER_STALE, "resolver-stale", INFO, \
	  "a resolver still has an older answer", \
	  "nothing to do: it ends with the TTL; flush the cache of the resolver if it hurries") \
	X(RESOLVER_UNREACHABLE, "resolver-unreachable", WARNING, \
	  "a resolver gives no answer", \
	  "check that it runs and that this machine may ask it") \
	X(TTL_MISMATCH, "ttl-mismatch", WARNING, \
	  "the records of the set have different TTLs, on one server or between servers", \
	  "publish all records of the set with one TTL (RFC 2181 section 5.2)") \
	X(ALIASED, "aliased", INFO, \
	  "the name is an alias, and the records stand elsewhere", \
	  "nothing to do if that is meant; updates must go to the zone of the target") \
	X(SINGLE_HOST, "single-point-of-failure", INFO, \
	  "only one host serves the domain", \
	  "publish a second host where more than 50 clients depend on it") \
	X(TOO_MANY, "too-many-records", WARNING, \
	  "the set has more records than are looked at", \
	  "delete the stale ones") \
	X(NO_ANSWER, "no-answer", CRITICAL, \
	  "no server gave an answer, so nothing can be said about the domain", \
	  "check the name, the resolvers and the way to the servers")
/* clang-format on */

enum rsv_finding_id {
#define X(name, id, severity, text, hint) RSV_F_##name,
	RSV_FINDING_MAP(X)
#undef X
		RSV_FINDING_COUNT_
};

struct rsv_finding_info {
	const char *id;
	enum rsv_severity severity;
	const char *meaning;
	const char *hint;
};
/** Static. */
const struct rsv_finding_info *rsv_finding_info(enum rsv_finding_id id);

#define RSV_FINDINGS_MAX     512 /* of one domain; the rest is counted, not kept */
#define RSV_FINDING_TEXT_MAX 512

struct rsv_finding {
	enum rsv_finding_id id;
	char text[RSV_FINDING_TEXT_MAX]; /* one sentence */
};

#endif
