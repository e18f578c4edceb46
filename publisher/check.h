/**
 * Whether a target may be published: it has an address, is no alias (RFC 2782), and does not lead
 * to loopback, which no client could use (design §5).
 *
 * A name inside the zone is asked of the primary first, because only it may know this view, then of
 * the resolvers; other names the other way round. Only a definite answer speaks against a target:
 * where nobody answers it is published, with a warning.
 */
#ifndef KMSBEACON_PUBLISHER_CHECK_H
#define KMSBEACON_PUBLISHER_CHECK_H

#include "publisher/findings.h"
#include "publisher/hosts.h"
#include "publisher/plan.h"
#include "publisher/zone.h"

enum pub_check_verdict {
	PUB_CHECK_OK,
	PUB_CHECK_NO_ADDRESS,
	PUB_CHECK_CNAME,
	PUB_CHECK_LOOPBACK,
	PUB_CHECK_UNKNOWN, /* nobody answered */
};

struct pub_check;
typedef void pub_check_done_fn(struct pub_check *c);

struct pub_check_name {
	struct pub_check *check;
	struct pub_hosts_wait wait;
	size_t wanted; /* index */
	bool second;   /* the other place is being asked */
	enum pub_check_verdict verdict;
};

/** Zeroed before start. Has no handle of its own: pub_check_leave() ends it at once. */
struct pub_check {
	void *owner;                  /* the caller's */
	struct pub_check_name *names; /* the verdicts, once done */
	size_t n_names;
	/* private */
	struct net *net;
	struct pub_hosts *hosts;
	const struct pub_target *target;
	const struct pub_zone *zone;
	size_t waiting;
	pub_check_done_fn *done;
};

/**
 * Check the targets of what @p plan adds. All borrowed until the end.
 * @return 0: all is known already, or nothing is to be checked, and done() does not run; 1: done()
 * runs later; ERR_NOMEM.
 */
int pub_check_start(struct pub_check *c, struct net *net, struct pub_hosts *hosts,
		    const struct pub_target *target, const struct pub_zone *zone,
		    const struct pub_plan *plan, pub_check_done_fn *done);
/** Set PUB_WANT_BAD in @p want (one for each wanted of the target) and tell why. 0, ERR_NOMEM. */
int pub_check_apply(const struct pub_check *c, enum pub_want *want, struct pub_findings *findings,
		    bool *ret_bad);
/** In any state, also zeroed. */
void pub_check_leave(struct pub_check *c);

#endif
