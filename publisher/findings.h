/** Things worth telling about a target that do not decide its state: a closed table of ids. */
#ifndef KMSBEACON_PUBLISHER_FINDINGS_H
#define KMSBEACON_PUBLISHER_FINDINGS_H

#include <stddef.h>

/* clang-format off */
/* X(ID, "name", "severity", "next step") */
#define PUB_FINDING_MAP(X) \
	X(HOST_SELF_PUBLISHES, "host-self-publishes", "warning", \
	  "let one of the two publish: on a Windows host `slmgr /cdns` and a restart of sppsvc stop its own") \
	X(ABSENT_BY_DOT, "absent-by-dot", "critical", \
	  "a record with target \".\" declares that there is no KMS here (RFC 2782): delete it to publish") \
	X(ANOTHER_PUBLISHER, "another-publisher", "warning", \
	  "find what publishes it (a Windows host, another kmsbeacon) and stop it there") \
	X(ALIASED, "aliased", "info", \
	  "nothing to do; the records are kept where the CNAME leads") \
	X(TTL_ADOPTED, "ttl-adopted", "info", \
	  "nothing to do; `ttl_policy: enforce` would change the TTL of the others' records too") \
	X(TTL_LIMITED, "ttl-limited", "warning", \
	  "look for max-zone-ttl (or its like) on the server, or configure the TTL that it allows") \
	X(TARGET_NO_ADDRESS, "target-no-address", "critical", \
	  "give the host an A or AAAA record, or correct its target in the configuration") \
	X(TARGET_CNAME, "target-cname", "critical", \
	  "use the canonical name as target (RFC 2782 allows no alias there)") \
	X(TARGET_LOOPBACK, "target-loopback", "critical", \
	  "publish a name that leads to an address clients can reach, or mark the domain `lab: true`") \
	X(TARGET_UNCHECKED, "target-unchecked", "warning", \
	  "check that the resolvers answer for the name of the host") \
	X(HOST_DOWN, "host-down", "warning", \
	  "start the KMS service on the host, or see what blocks its port (kmsbeacon probe)") \
	X(LAST_KEPT, "last-kept", "critical", \
	  "no other host of the set is up, so this one stays published: repair a host") \
	X(WITHDRAWN, "withdrawn", "info", \
	  "`kmsbeacon publish` publishes it again, after a drain `kmsbeacon resume`") \
	X(ADOPTED, "adopted", "info", \
	  "nothing to do; `withdraw --adopted` would remove it too") \
	X(ORPHAN, "orphan", "warning", \
	  "`kmsbeacon withdraw --orphans` removes records of domains that are no longer configured") \
	X(JOURNAL, "journal-failed", "warning", \
	  "make room on the disk of state_dir; until then nothing is deleted") \
	X(WILDCARD, "wildcard", "warning", \
	  "records for other names that relied on the wildcard must be added by hand; `publish --dry-run` changes nothing") \
	X(SERVER_UNKNOWN, "server-unknown", "warning", \
	  "check that the server runs and answers this machine; in another view it may not show the record")
/* clang-format on */

enum pub_finding_id {
#define X(id, name, severity, hint) PUB_F_##id,
	PUB_FINDING_MAP(X)
#undef X
		PUB_F_COUNT_,
};

const char *pub_finding_name(enum pub_finding_id id);     /* "host-self-publishes" */
const char *pub_finding_severity(enum pub_finding_id id); /* "info", "warning", "critical" */
const char *pub_finding_hint(enum pub_finding_id id);     /* the next step, without full stop */

struct pub_finding {
	enum pub_finding_id id;
	char *text; /* one clause with the facts */
};

#define PUB_FINDINGS_MAX 64 /* of one target; further ones are dropped */

struct pub_findings {
	struct pub_finding *list;
	size_t n;
};

/** 0 or ERR_NOMEM. The same id with the same text is kept once. */
int pub_findings_add(struct pub_findings *f, enum pub_finding_id id, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void pub_findings_done(struct pub_findings *f);

#endif
