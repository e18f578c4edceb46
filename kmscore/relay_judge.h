/** What the outcome at one host means for a call, and for the host. Pure. */
#ifndef KMSBEACON_KMSCORE_RELAY_JUDGE_H
#define KMSBEACON_KMSCORE_RELAY_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kmscore/pool.h"
#include "kmscore/upstream_health.h"

enum relay_verdict {
	RELAY_GIVE, /* a response that goes to the client */
	RELAY_HOLD, /* a response that another host may better: this host cannot serve the client */
	RELAY_FAIL, /* no whole response */
};

struct relay_judgement {
	enum relay_verdict verdict;
	uint32_t hresult;            /* unless RELAY_FAIL */
	int err;                     /* with RELAY_FAIL: why */
	bool free;                   /* with RELAY_FAIL: costs no retry, since no host had it */
	bool tells;                  /* `result` is evidence about the host's health */
	enum upstream_result result; /* a queue of ours that is full or slow tells nothing */
};

/** @p holding: an answer is held already, so that only success is better. */
void relay_judge(const struct kms_pool_outcome *o, bool holding, struct relay_judgement *ret);

/** May a further host be asked? @p failures: hosts that failed so far; while an answer is held each
 * host is offered the request once. */
bool relay_may_ask_next(bool holding, uint32_t failures, uint32_t retry);

/** How far a failed request came, and why, as one clause; cut at @p size. */
void relay_error_text(const struct kms_pool_outcome *o, int err, char *text, size_t size);

#endif
