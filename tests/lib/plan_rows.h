/**
 * The planner's cases as rows of a table. Records are written as `PRIO WEIGHT PORT TARGET`, lists
 * separated by ` | `.
 */
#ifndef KMSBEACON_TESTS_LIB_PLAN_ROWS_H
#define KMSBEACON_TESTS_LIB_PLAN_ROWS_H

#include "publisher/plan.h"

#define PLAN_MAX 16

#define K1 "0 10 1688 kms1.corp.test"
#define K2 "10 0 1688 kms2.corp.test"
#define F1 "0 0 1688 other.corp.test"

struct plan_row {
	const char *name;
	const char *wanted;  /* host[!|-] RECORD; ! bad target, - held */
	const char *ours;    /* state[*returns] host RECORD */
	const char *seen;    /* TTL RECORD */
	const char *changes; /* +RECORD @TTL, -RECORD, in order */
	const char *classes; /* of seen: O A F K D */
	const char *marks;   /* now/intent/proven/revert:state[*returns] RECORD */
	const char *findings;
	/* what differs from: publish, adopt, TTL 3600, no limit, everything up */
	bool withdraw, adopted, enforce, forget, drain, keep_last, cautious;
	const char *only_host;
	uint32_t limit_asked, limit_got;
	const char *health; /* "+target" up, "-target" down; others unknown; NULL: no gate */
	bool withdraw_last;
	uint32_t ttl; /* expected of the plan */
	bool prereq;
	bool settles;
	bool would_empty;
	size_t absent; /* expected of a drain, as the next */
	bool elsewhere;
};

/** A row as the planner takes it. Its texts are the row's, or live until 64 more were read. */
struct plan_input {
	struct pub_plan_in in;
	struct pub_wanted wanted[PLAN_MAX];
	enum pub_want want[PLAN_MAX];
	struct pub_seen seen[PLAN_MAX];
	struct pub_rec recs[PLAN_MAX];
	struct pub_set set;
	struct pub_health health;
};

void plan_row_read(const struct plan_row *r, struct plan_input *x);
/** Plan it; the test fails where anything is not as the row says. */
void plan_row_check(const struct plan_row *r);
void plan_row_check_changes(const struct plan_row *r, const struct pub_plan *plan);
/**
 * Plan again on the result of the row's plan: nothing may be left to do, or a loop of updates could
 * begin. Rows that withdraw are passed over.
 */
void plan_row_check_again(const struct plan_row *r);

#endif
