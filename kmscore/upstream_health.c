#include "kmscore/upstream_health.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/err.h"
#include "kmscore/bind_judge.h"

#define RECHECK_MS 1000u /* between probes of a host that is down, at most */

/** Between two probes at least, whatever evidence there is: clients can make it. */
static uint64_t gap_ms(const struct upstream_rules *rules)
{
	uint32_t gap = rules->interval_ms / 10;

	return gap < RECHECK_MS ? gap : RECHECK_MS;
}

static uint32_t at_least_one(uint32_t n)
{
	return n > 0 ? n : 1;
}

static bool binds(const struct upstream_health *h)
{
	return h->state == RELAY_UP || h->state == RELAY_FAULTS || h->state == RELAY_SLOW;
}

static bool fails_requests(const struct upstream_health *h)
{
	return h->state == RELAY_FAULTS || h->state == RELAY_SLOW;
}

static void probe_after(struct upstream_health *h, const struct upstream_rules *rules,
			uint64_t now_ms)
{
	uint32_t wait = rules->interval_ms;

	if (!binds(h) && wait > RECHECK_MS)
		wait = RECHECK_MS;
	h->probe_ms = now_ms + wait;
}

void upstream_health_init(struct upstream_health *h, size_t n_addrs, uint64_t now_ms)
{
	h->state = RELAY_UNKNOWN;
	(void)snprintf(h->detail, sizeof(h->detail), "not asked yet");
	upstream_health_set_addrs(h, n_addrs, now_ms);
}

void upstream_health_set_addrs(struct upstream_health *h, size_t n_addrs, uint64_t now_ms)
{
	h->n_addrs = (uint32_t)n_addrs;
	h->bad_connects = 0;
	h->probe_ms = now_ms;
	if (n_addrs == 0) {
		h->state = RELAY_UNRESOLVED;
		(void)snprintf(h->detail, sizeof(h->detail), "its name has no address");
	} else if (h->state == RELAY_UNRESOLVED) {
		h->state = RELAY_UNKNOWN;
		(void)snprintf(h->detail, sizeof(h->detail), "not asked yet");
	}
}

static enum relay_state state_of_probe(enum probe_state s)
{
	switch (s) {
	case PROBE_UP:
		return RELAY_UP;
	case PROBE_NO_KMS_INTERFACE:
		return RELAY_NO_INTERFACE;
	case PROBE_RPC_REFUSED:
		return RELAY_RPC_REFUSED;
	case PROBE_NOT_RPC:
		return RELAY_NOT_RPC;
	case PROBE_REFUSED:
		return RELAY_REFUSED;
	case PROBE_TIMEOUT:
	case PROBE_UNRESOLVED:
	case PROBE_STATE_COUNT_:
		break;
	}
	return RELAY_TIMEOUT;
}

/** Failures that a network or a host in trouble gives now and then; others are what the host is. */
static bool is_passing(enum relay_state s, int err)
{
	return s == RELAY_TIMEOUT || (s == RELAY_REFUSED && err != -ECONNREFUSED);
}

static bool is_down(const struct upstream_health *h)
{
	return !binds(h) && h->state != RELAY_UNKNOWN;
}

static void enter(struct upstream_health *h, enum relay_state state, const char *detail)
{
	h->state = state;
	h->good_connects = 0;
	(void)snprintf(h->detail, sizeof(h->detail), "%s", detail);
}

static void become_up(struct upstream_health *h, const char *detail)
{
	enter(h, RELAY_UP, detail);
	h->bad_connects = 0;
	h->bad_requests = 0;
	h->hangs = false;
	memset(&h->blamed, 0, sizeof(h->blamed));
}

/** The state of a host that binds and fails requests. */
static void enter_failing(struct upstream_health *h, const struct upstream_rules *rules)
{
	char text[RELAY_DETAIL_MAX], limit[CLOCK_TEXT_MAX];

	if (h->last == UPSTREAM_LATE) {
		duration_format(rules->request_ms, limit);
		(void)snprintf(text, sizeof(text),
			       "binds, but answered none of the last %u requests within %s",
			       h->bad_requests, limit);
	} else if (h->last == UPSTREAM_BROKEN) {
		(void)snprintf(text, sizeof(text),
			       "binds, but broke off the last %u requests without a whole answer",
			       h->bad_requests);
	} else {
		(void)snprintf(text, sizeof(text),
			       "binds, but answered the last %u requests with faults: 0x%08X, %s",
			       h->bad_requests, h->last_status, rpc_fault_text(h->last_status));
	}
	enter(h, h->last == UPSTREAM_LATE ? RELAY_SLOW : RELAY_FAULTS, text);
}

/** Enough requests have failed, and a connection was bound since the first of them did: so the host
 * does not hang altogether, and it is not the network. */
static void judge_requests(struct upstream_health *h, const struct upstream_rules *rules,
			   uint64_t now_ms)
{
	if (h->state != RELAY_UP || !h->confirmed || h->bad_requests < at_least_one(rules->fall))
		return;
	enter_failing(h, rules);
	h->trial_ms = now_ms + rules->interval_ms;
}

static void on_bound(struct upstream_health *h, const struct upstream_rules *rules,
		     const char *detail, bool alone, uint64_t now_ms)
{
	h->bad_connects = 0;
	h->hangs = false;
	h->confirmed = true;
	if (h->kin == KMS_KIN_SELF) {
		if (h->state != RELAY_LOOP)
			enter(h, RELAY_LOOP, "it is this relay itself: an upstream must be a host");
	} else if (binds(h)) {
		judge_requests(h, rules, now_ms);
	} else {
		h->good_connects++;
		if (alone || h->state == RELAY_UNKNOWN ||
		    h->good_connects >= at_least_one(rules->rise))
			become_up(h, detail);
	}
	probe_after(h, rules, now_ms);
}

static void on_not_bound(struct upstream_health *h, const struct upstream_rules *rules,
			 enum relay_state state, bool passing, const char *detail, uint64_t now_ms)
{
	uint32_t enough = 1;

	/* Of a host without news there is nothing to defend; and failed requests beside a failed
	 * connection are two kinds of evidence. */
	if (passing && binds(h) && h->bad_requests == 0)
		enough = at_least_one(rules->fall);
	if (enough < h->n_addrs)
		enough = h->n_addrs;
	h->good_connects = 0;
	/* A host that has as many connections as it takes turns away all that are made at once. */
	if (enough > 1 && state == RELAY_REFUSED && passing && h->bad_connects > 0 &&
	    now_ms - h->turned_away_ms < gap_ms(rules))
		return;
	h->turned_away_ms = now_ms;
	h->bad_connects++;
	h->hangs = true;
	if (!is_down(h) && h->bad_connects < enough) {
		h->probe_ms = now_ms;
		return;
	}
	enter(h, state, detail);
	probe_after(h, rules, now_ms);
}

void upstream_health_connect(struct upstream_health *h, const struct upstream_rules *rules,
			     const struct kms_client_result *r, enum kms_kin kin, bool alone,
			     uint64_t now_ms)
{
	char detail[RELAY_DETAIL_MAX];
	enum relay_state state;

	if (h->state == RELAY_UNRESOLVED)
		return; /* of an address that it had before */
	if (kms_connect_is_local(r->err)) {
		probe_after(h, rules, now_ms);
		return;
	}
	state = state_of_probe(kms_bind_judge(r, "NDR32", detail, sizeof(detail)));
	if (state != RELAY_UP) {
		on_not_bound(h, rules, state, is_passing(state, r->err), detail, now_ms);
		return;
	}
	h->kin = kin;
	h->kin_known = true;
	on_bound(h, rules, detail, alone, now_ms);
}

static void on_answered(struct upstream_health *h, const struct upstream_rules *rules,
			uint64_t now_ms)
{
	if (is_down(h))
		return; /* an old connection: what counts is whether it takes a new one */
	h->bad_connects = 0;
	h->bad_requests = 0;
	h->hangs = false;
	if (h->state != RELAY_UP)
		become_up(h, "answers requests");
	probe_after(h, rules, now_ms);
}

void upstream_health_request(struct upstream_health *h, const struct upstream_rules *rules,
			     enum upstream_result result, uint32_t status,
			     const struct addr *client, bool proven, uint64_t now_ms)
{
	if (result == UPSTREAM_ANSWERED) {
		on_answered(h, rules, now_ms);
		return;
	}
	if (result == UPSTREAM_FAULT) {
		if (!proven && addr_is_set(&h->blamed) && addr_same_peer(&h->blamed, client))
			return;
		h->blamed = *client;
	}
	if (is_down(h))
		return;
	if (h->bad_requests++ == 0)
		h->confirmed = false;
	h->last = result;
	h->last_status = status;
	if (result == UPSTREAM_LATE)
		h->hangs = true;
	if (fails_requests(h))
		return;
	h->probe_ms = now_ms;
	judge_requests(h, rules, now_ms);
}

enum upstream_class upstream_health_class(const struct upstream_health *h, uint64_t now_ms)
{
	switch (h->state) {
	case RELAY_UP:
		return h->hangs ? UPSTREAM_DOUBTFUL : UPSTREAM_GOOD;
	case RELAY_UNKNOWN:
		return UPSTREAM_DOUBTFUL;
	case RELAY_FAULTS:
	case RELAY_SLOW:
		return now_ms >= h->trial_ms ? UPSTREAM_TRIAL : UPSTREAM_NO;
	default:
		return UPSTREAM_NO;
	}
}

void upstream_health_trial(struct upstream_health *h, const struct upstream_rules *rules,
			   uint64_t now_ms)
{
	h->trial_ms = now_ms + rules->interval_ms;
}

void upstream_health_new_rules(struct upstream_health *h, const struct upstream_rules *rules,
			       uint64_t now_ms)
{
	uint64_t latest = now_ms + rules->interval_ms;

	if (h->probe_ms > latest)
		h->probe_ms = latest;
	if (h->trial_ms > latest)
		h->trial_ms = latest;
}

uint64_t upstream_health_probe_at(const struct upstream_health *h,
				  const struct upstream_rules *rules)
{
	uint64_t earliest = h->probed ? h->probed_ms + gap_ms(rules) : 0;

	if (h->state == RELAY_UNRESOLVED)
		return UPSTREAM_PROBE_NEVER;
	return h->probe_ms > earliest ? h->probe_ms : earliest;
}

void upstream_health_probing(struct upstream_health *h, const struct upstream_rules *rules,
			     uint64_t now_ms)
{
	h->probed = true;
	h->probed_ms = now_ms;
	/* Where its result is one that tells nothing. */
	h->probe_ms = now_ms + rules->interval_ms;
}

const char *relay_state_name(enum relay_state s)
{
	static const char *const name[RELAY_STATE_COUNT_] = {
		[RELAY_UNKNOWN] = "unknown",
		[RELAY_UP] = "up",
		[RELAY_FAULTS] = "faults",
		[RELAY_SLOW] = "slow",
		[RELAY_NO_INTERFACE] = "no-kms-interface",
		[RELAY_RPC_REFUSED] = "rpc-refused",
		[RELAY_NOT_RPC] = "not-rpc",
		[RELAY_REFUSED] = "refused",
		[RELAY_TIMEOUT] = "timeout",
		[RELAY_UNRESOLVED] = "unresolved",
		[RELAY_LOOP] = "loop",
	};

	return (unsigned)s < RELAY_STATE_COUNT_ ? name[s] : "unknown";
}
