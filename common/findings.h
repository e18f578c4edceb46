/**
 * What publisher and audit can find wrong or worth telling: one closed table of stable ids. The two
 * share an entry where they mean the same thing.
 *
 * The text of a finding is made where it is found, since it names servers and records. Severity and
 * hint belong to the id. docs/findings.md has an entry for each; a test compares the two.
 */
#ifndef KMSBEACON_COMMON_FINDINGS_H
#define KMSBEACON_COMMON_FINDINGS_H

enum finding_severity { FINDING_INFO, FINDING_WARNING, FINDING_CRITICAL, FINDING_SEVERITY_COUNT_ };
const char *finding_severity_name(enum finding_severity s); /* "info", "warning", "critical" */

/* clang-format off */
/* X(NAME, "id", SEVERITY, "what it means", "next step") */
#define FINDING_MAP(X) \
	/* the set */ \
	X(NO_RECORDS, "no-records", CRITICAL, \
	  "the domain publishes no KMS host: its clients find none", \
	  "publish one (kmsbeacon publish), check the spelling of the domain, or name a server of the " \
	  "view that has it (--server)") \
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
	  "let one of the two publish: on a Windows host slmgr /cdns and a restart of sppsvc stop " \
	  "its own; then delete the record that it left") \
	X(DUPLICATE_RECORD, "duplicate-record", WARNING, \
	  "one host and port stands in the set more than once, with different numbers", \
	  "keep one of the records and delete the others") \
	X(ANOTHER_PUBLISHER, "another-publisher", WARNING, \
	  "a record that kmsbeacon withdrew came back without it", \
	  "find what publishes it (a Windows host, another kmsbeacon) and stop it there") \
	X(ORPHAN, "orphan", WARNING, \
	  "a record that kmsbeacon published is no longer configured", \
	  "kmsbeacon withdraw --orphans removes records of domains that are no longer configured, " \
	  "kmsbeacon publish those of hosts") \
	X(WITHDRAWN, "withdrawn", INFO, \
	  "kmsbeacon has withdrawn a configured record", \
	  "nothing to do while that is meant; kmsbeacon publish publishes it again, after a drain " \
	  "kmsbeacon resume") \
	X(ADOPTED, "adopted", INFO, \
	  "a configured record was there before kmsbeacon published it", \
	  "nothing to do; withdraw --adopted would remove it too") \
	X(WILDCARD, "wildcard", WARNING, \
	  "a wildcard answers for the name, which has no record of its own", \
	  "publish records under the name itself; what other names below the same parent had from " \
	  "the wildcard must then be added by hand") \
	X(ALIASED, "aliased", INFO, \
	  "the name is an alias, and the records stand where it leads", \
	  "nothing to do if that is meant; updates must go to the zone of the target") \
	X(ABSENT_BY_DOT, "absent-by-dot", CRITICAL, \
	  "a record with the target \".\" says that the domain has no KMS host (RFC 2782)", \
	  "delete that record if the domain is meant to have one") \
	X(TTL_MISMATCH, "ttl-mismatch", WARNING, \
	  "the records of the set have different TTLs, on one server or between servers", \
	  "publish all records of the set with one TTL (RFC 2181 section 5.2)") \
	X(TTL_ZERO, "ttl-zero", INFO, \
	  "the set has TTL 0, or one above 2147483647 that counts as 0 (RFC 2181 section 8)", \
	  "set a TTL of minutes to an hour, so that resolvers can answer while the zone is away") \
	X(TTL_LONG, "ttl-long", INFO, \
	  "the set has a TTL of more than a day", \
	  "lower it to an hour before a host is moved or retired: caches show the old set that long") \
	X(TTL_ADOPTED, "ttl-adopted", INFO, \
	  "the TTL of foreign records in the set is kept instead of the configured one", \
	  "nothing to do; ttl_policy: enforce would change the TTL of the others' records too") \
	X(TTL_LIMITED, "ttl-limited", WARNING, \
	  "the server gives the set another TTL than the configured one", \
	  "look for max-zone-ttl (or its like) on the server, or configure the TTL that it allows") \
	X(SINGLE_HOST, "single-point-of-failure", INFO, \
	  "only one host serves the domain", \
	  "publish a second host where more than 50 clients depend on it") \
	X(EQUAL_PRIORITIES, "equal-priorities", INFO, \
	  "all hosts stand at one priority, so clients are spread over them and then stay", \
	  "with few clients give one host the lowest priority number; either way clients move only " \
	  "when their host fails, or with slmgr /ckhc, since they cache it") \
	X(SUFFIXES_DIFFER, "suffixes-differ", INFO, \
	  "domains of one search list publish different hosts", \
	  "nothing to do if that is meant: a client takes the first domain of its list that has " \
	  "records, and never the others") \
	X(TOO_MANY, "too-many-records", WARNING, \
	  "the set has more records than are looked at", \
	  "delete the stale ones") \
	/* hosts behind records */ \
	X(ALL_DOWN, "all-down", CRITICAL, \
	  "no published host answers: clients fail with 0xC004F074", \
	  "start a host, or check TCP 1688 between here and there") \
	X(DEAD_TARGET, "dead-target", WARNING, \
	  "a published host does not answer", \
	  "start the host, open its port, or delete the record; clients lose seconds on it") \
	X(DEAD_ADDRESS, "dead-address", WARNING, \
	  "a published host answers, but not on all its addresses", \
	  "delete the A or AAAA record if it is stale, else let the host answer there; clients that " \
	  "take it first lose seconds") \
	X(NO_RPC, "no-rpc", WARNING, \
	  "the port of a published host answers, but not as an RPC server", \
	  "something else owns the port, or a proxy stands before it: check target and port") \
	X(NOT_KMS, "not-kms", WARNING, \
	  "a published host is an RPC server without the KMS interface", \
	  "the machine is no KMS host, or its host key or service is not active") \
	X(HOST_DOWN, "host-down", WARNING, \
	  "a configured host does not answer, so its record is withheld or withdrawn", \
	  "start the KMS service on the host, or see what blocks its port (kmsbeacon probe)") \
	X(LAST_KEPT, "last-kept", CRITICAL, \
	  "a host is down, but its record is the last one of the set and stays", \
	  "no other host of the set is up, so this one stays published: repair a host") \
	X(TARGET_NO_ADDRESS, "target-no-address", WARNING, \
	  "the target of a record has no address", \
	  "give the host an A or AAAA record, or correct the target; a stale record is deleted") \
	X(TARGET_CNAME, "target-cname", WARNING, \
	  "the target of a record is an alias, which RFC 2782 forbids", \
	  "use the canonical name as target") \
	X(TARGET_LOOPBACK, "target-loopback", WARNING, \
	  "the target of a record leads to a loopback address", \
	  "use a name that leads to an address clients can reach, or mark the domain lab: true") \
	X(TARGET_LINK_LOCAL, "target-link-local", WARNING, \
	  "the target of a record has a link-local address, which works on one link only", \
	  "remove that A or AAAA record from DNS; the host has got no address by DHCP or registers " \
	  "too much") \
	X(TARGET_UNCHECKED, "target-unchecked", WARNING, \
	  "the target of a record could not be looked up", \
	  "check that the resolvers answer for the name of the host") \
	X(PRIVATE_ADDRESS, "private-address", INFO, \
	  "name servers on public addresses publish a host on a private one", \
	  "nothing to do where clients are inside; a view or an internal zone would hide the address") \
	X(PORT_ZERO, "port-zero", WARNING, \
	  "a record has port 0, which no client can use", \
	  "publish the port that the host listens on (1688)") \
	/* servers */ \
	X(SERVERS_DIFFER, "servers-differ", WARNING, \
	  "authoritative servers answer with different sets, and not because one is behind", \
	  "compare the zone on the servers; two primaries, or views, can be the cause") \
	X(LAG, "lag", WARNING, \
	  "a secondary still has an older zone after the usual time", \
	  "look for failed transfers and NOTIFY in the logs of both servers (allow-transfer, keys); or " \
	  "the server has another view of the zone") \
	X(SERIAL_BACKWARDS, "serial-backwards", WARNING, \
	  "the primary has an older serial than a secondary, which takes no change until it is newer", \
	  "raise the serial of the primary above that of the secondaries (restored from a backup?); or " \
	  "the other server has another view of the zone") \
	X(SERVER_UNREACHABLE, "server-unreachable", WARNING, \
	  "a name server of the zone gives no answer", \
	  "start it, open port 53 to here, or remove it from the NS set") \
	X(SERVER_LAME, "server-lame", WARNING, \
	  "a name server of the zone does not answer with authority", \
	  "let it serve the zone to this machine too, or remove it from the NS set") \
	X(SERVER_UNKNOWN, "server-unknown", WARNING, \
	  "a name server neither confirmed nor denied what was published", \
	  "check that the server runs and answers this machine; in another view it may not show the " \
	  "record") \
	X(RESOLVER_DIFFERS, "resolver-differs", WARNING, \
	  "a resolver gives another set than the zone, and longer than an old copy would last", \
	  "look for a local zone, a forwarder or a view on that resolver") \
	X(RESOLVER_STALE, "resolver-stale", INFO, \
	  "a resolver still has an older answer", \
	  "nothing to do: it ends with the TTL; flush the cache of the resolver if it hurries") \
	X(NEGATIVE_CACHED, "negative-cached", INFO, \
	  "a resolver still remembers that there was no record", \
	  "nothing to do: it ends with the time of the zone's SOA minimum; flush the cache if it " \
	  "hurries") \
	X(RESOLVER_INCONSISTENT, "resolver-inconsistent", INFO, \
	  "a resolver gives different sets from one question to the next", \
	  "nothing to do if it lasts no longer than the TTL: several caches stand behind one address") \
	X(RESOLVER_UNREACHABLE, "resolver-unreachable", WARNING, \
	  "a resolver gives no answer", \
	  "check that it runs and that this machine may ask it") \
	X(NO_ANSWER, "no-answer", CRITICAL, \
	  "no server gave an answer, so nothing can be said about the domain", \
	  "check the name, the resolvers and the way to the servers") \
	X(ZONE_UNKNOWN, "zone-unknown", WARNING, \
	  "which zone holds the records, or its name servers, could not be found out, so not all of " \
	  "them were asked", \
	  "ask again; where that does not help, look at the resolvers") \
	X(UNFINISHED, "unfinished", WARNING, \
	  "the audit had no time left for all that is to be looked at", \
	  "audit again; where it is so each time, look for hosts with many addresses that lead " \
	  "nowhere, and for slow resolvers") \
	/* what publishing needs */ \
	X(CLOCK_SKEW, "clock-skew", WARNING, \
	  "the clocks of this machine and of the primary differ", \
	  "set both by NTP: beyond 300 s the server refuses every signed update (BADTIME)") \
	X(KEY_REFUSED, "key-refused", WARNING, \
	  "the primary does not accept the configured key", \
	  "compare name, algorithm and secret of the key on both sides (kmsbeacon policy prints the " \
	  "stub)") \
	X(AD_INTEGRATED, "ad-integrated", INFO, \
	  "the primary of the zone is a domain controller, which takes secure updates only (GSS-TSIG)", \
	  "kmsbeacon publish --print powershell writes what to paste there; kmsbeacon policy " \
	  "--delegate makes the name a zone of its own on another server") \
	X(JOURNAL, "journal-failed", WARNING, \
	  "what was published could not be written to the state file", \
	  "make room on the disk of state_dir; until then nothing is deleted")
/* clang-format on */

enum finding_id {
#define X(name, id, severity, meaning, hint) FINDING_##name,
	FINDING_MAP(X)
#undef X
		FINDING_COUNT_,
};

struct finding_info {
	const char *id;
	enum finding_severity severity;
	const char *meaning;
	const char *hint; /* the next step, without full stop */
};
/** Static; @p id is one of the table. */
const struct finding_info *finding_info(enum finding_id id);

#endif
