/**
 * What to change in one SRV set: wanted - seen, with respect for what is not ours. Pure.
 *
 * The rules are those of design §5. In short: ours is exact RDATA that the journal has; only ours
 * is deleted (adopted ones on request); foreign records are neither deleted nor given another TTL;
 * a
 * "." in the set is never joined; a host that is down leaves only while another record is up.
 */
#ifndef KMSBEACON_PUBLISHER_PLAN_H
#define KMSBEACON_PUBLISHER_PLAN_H

#include "publisher/findings.h"
#include "publisher/health.h"
#include "publisher/journal.h"
#include "publisher/target.h"

#define PUB_CHANGES_MAX 512  /* of one target in one message */
#define PUB_SEEN_MAX    2048 /* records at one name; a larger set is refused, not guessed at */
#define PUB_RETURNS_MAX 2    /* a removed record that came back this often is left alone */

/** One record as the primary showed it. */
struct pub_seen {
	struct dns_srv srv;
	uint32_t ttl_s;
};

enum pub_want {
	PUB_WANT_YES,
	PUB_WANT_BAD,  /* its target failed a check: not added; what is there stays */
	PUB_WANT_HELD, /* withdrawn on request: not wanted until published again */
};

struct pub_plan_in {
	const struct pub_wanted *wanted;
	size_t n_wanted;
	const enum pub_want *want; /* one for each wanted; NULL: PUB_WANT_YES */
	const struct pub_seen *seen;
	size_t n_seen;
	const struct pub_set *ours; /* from the journal; NULL: nothing is ours */
	uint32_t ttl_s;
	enum pub_ttl_policy ttl_policy;
	const struct pub_health *health; /* NULL: no gate */
	bool withdraw;                   /* remove, add nothing */
	const char *only_host;           /* withdraw: of this host; NULL: of all */
	bool adopted;                    /* withdraw: what was there before us, too */
	bool drain; /* with withdraw: every server must have lost what the primary lost earlier */
	bool keep_last; /* with withdraw: change nothing where the set would be left empty */
	bool cautious;  /* what was removed comes back only when its host is known to be up */
	bool remember;  /* what is removed may be brought back by others: watch for it */
};

enum pub_class {
	PUB_CLASS_OURS,
	PUB_CLASS_ADOPTED,
	PUB_CLASS_FOREIGN,
	PUB_CLASS_FOREIGN_KNOWN, /* a host of ours, published by itself with other numbers */
	PUB_CLASS_DOT,           /* "there is no such service here" */
};

enum pub_op { PUB_ADD, PUB_DELETE };

struct pub_change {
	enum pub_op op;
	struct dns_srv srv;
	uint32_t ttl_s;
	const char
		*host; /* "" where no host of the configuration has it. Borrowed from the input */
};

/** What the journal is to say of one record, and when. */
enum pub_mark_when {
	PUB_MARK_NOW,    /* DNS as read says so */
	PUB_MARK_INTENT, /* before the UPDATE leaves */
	PUB_MARK_UNDONE, /* when the server did it, and it is there again already */
	PUB_MARK_PROVEN, /* when the primary shows the change */
	PUB_MARK_REVERT, /* when the server verifiably did not do it */
};

struct pub_mark {
	enum pub_mark_when when;
	struct dns_srv srv;
	const char *host; /* as of a change */
	enum pub_rec_state state;
	unsigned returns;
};

struct pub_plan {
	struct pub_change *changes; /* deletes, then adds: one message */
	size_t n_changes;
	enum pub_class *classes; /* of in.seen */
	struct pub_mark *marks;
	size_t n_marks;
	/** What every server must show, and must not show, for the target to be proven. */
	struct dns_srv *present;
	size_t n_present;
	struct dns_srv *absent;
	size_t n_absent;
	uint32_t ttl_s;   /* of the set afterwards; 0: no set, or none of our business */
	bool ttl_is_wish; /* ttl_s was asked for: another one is the server's limit */
	bool need_prereq; /* the UPDATE must be refused if the set is no longer as read */
	/** What an earlier run sent and did not live to see proven (it was cut short by news, or
	 * the process ended) is done: the read shows it. Nobody was told yet. */
	bool settles;
	bool blocked_by_dot;
	bool would_empty; /* keep_last: so nothing is changed */
	/** drain: a record that is not ours leads to the drained host; of the input. NULL: none. */
	const struct pub_seen *elsewhere;
	size_t n_bad; /* wanted records left out because of PUB_WANT_BAD */
	struct pub_findings findings;
	/* private */
	char **hosts; /* copies of the rows' */
	size_t n_hosts;
};

/** 0, ERR_LIMIT (more than PUB_CHANGES_MAX or PUB_SEEN_MAX), ERR_NOMEM. pub_plan_done() in any
 * case. */
int pub_plan_make(const struct pub_plan_in *in, struct pub_plan *ret);
void pub_plan_done(struct pub_plan *p);
/**
 * The journal cannot be written: what is configured is still added, deletes wait (design §5). A
 * change of TTL needs no journal and stays.
 */
void pub_plan_drop_deletes(struct pub_plan *p);
bool pub_plan_adds(const struct pub_plan *p, const struct dns_srv *srv);

#endif
