/**
 * What the clients of one suffix see, as the daemon keeps it: when it counts as changed, and when
 * to look again. Pure: time and randomness are passed in.
 *
 * A view is the set with the health of each host and the code that a client would show. It does not
 * hold which host a draw picked, since that differs from client to client.
 *
 * Damped as the health gate is: a host changes its state after `rise` or `fall` probes in a row, a
 * lookup that fails in a passing way (silence, SERVFAIL) counts after `fall` of them, and after a
 * change the next one is not told before `min_stay`. While something is in doubt the next look
 * comes after health.interval, DISCOVERY_QUICK_MAX times; then at the usual interval again, however
 * long the doubt lasts.
 */
#ifndef KMSBEACON_DAEMON_DISCOVERY_VIEW_H
#define KMSBEACON_DAEMON_DISCOVERY_VIEW_H

#include "common/config.h"
#include "common/hresult.h"
#include "publisher/health.h"
#include "resolver/order.h"

#define DISCOVERY_HOSTS_MAX  64 /* of one view; of a larger set those of the lowest priority */
#define DISCOVERY_TEXT_MAX   512
#define DISCOVERY_QUICK_MAX  12
#define DISCOVERY_KEEP_MAX_S 3600 /* of a resolver's answer, whatever its TTL */

struct discovery_host {
	struct rsv_record rec;
	double probability; /* of being contacted first */
	enum pub_health_state state;
};

struct discovery_view {
	uint32_t code;               /* HR_OK: at least one host is up */
	struct discovery_host *host; /* canonical order (rsv_record_compare); owned */
	size_t n;
	size_t n_records; /* of the set; more than n where it was too large */
};
void discovery_view_done(struct discovery_view *v);
/** Same code, and the same hosts with the same numbers and states. TTLs and probabilities, which
 * follow from the rest, do not count. */
bool discovery_view_equal(const struct discovery_view *a, const struct discovery_view *b);
/** "0 10 1688 kms1.corp.example up, 10 0 1688 ... down" (cut to fit); without hosts "none". */
void discovery_view_text(const struct discovery_view *v, char ret[DISCOVERY_TEXT_MAX]);
/** Whether no host's state is unknown. */
bool discovery_view_settled(const struct discovery_view *v);
/** The code of a set by the states of its hosts. */
uint32_t discovery_view_code(const struct discovery_view *v);

/** Where a host that a client has cached stands in the set. */
enum discovery_standing {
	DISCOVERY_CACHED_BEST,  /* lowest priority of the hosts that are up: DNS could choose it */
	DISCOVERY_CACHED_LOWER, /* in the set, but a better one is up (failure-modes S10) */
	DISCOVERY_CACHED_GONE,  /* not in the set (S11) */
};
const char *discovery_standing_name(enum discovery_standing s); /* "best", "lower", "gone" */
/** @p name as text, compared without case. Vista goes by no priority: there is no "lower". */
enum discovery_standing discovery_standing(const struct discovery_view *v, enum rsv_profile profile,
					   const char *name, uint16_t port);

/* ---- what was told ---- */

enum discovery_news {
	DISCOVERY_SAME,
	DISCOVERY_DOUBT, /* different, but not yet to be believed */
	DISCOVERY_FIRST, /* the first that is to be told */
	DISCOVERY_CHANGED,
};

struct discovery_track {
	bool told;
	bool changed;        /* since it was told first */
	uint64_t changed_ms; /* monotonic, last */
	struct discovery_view view;
	uint32_t fails; /* lookups in a row that failed in a passing way */
};
/**
 * Take what was seen last; moves it into t->view unless it is DOUBT, and leaves @p seen empty then.
 * With CHANGED, *ret_was (empty before) gets what was told until now.
 */
enum discovery_news discovery_judge(struct discovery_track *t, struct discovery_view *seen,
				    const struct config_health *rule, uint64_t now_ms,
				    struct discovery_view *ret_was);
/** Whether a code may be gone with the next lookup: no word about what the zone holds. */
bool discovery_code_passes(uint32_t code);

/* ---- when ---- */

/**
 * When to look again. @p doubt: something is in doubt, and *quick looks have been spent on it (kept
 * here). @p random: 0 .. UINT32_MAX, spreads the looks of many daemons by a tenth of the interval.
 */
uint64_t discovery_next_ms(uint64_t now_ms, uint32_t interval_ms, uint32_t quick_ms, bool doubt,
			   unsigned *quick, uint32_t random);
/** Until when asking DNS again would tell nothing new, for an answer that may be kept @p keep_s. */
uint64_t discovery_keep_until_ms(uint64_t now_ms, uint32_t keep_s);

#endif
