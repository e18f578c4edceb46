/**
 * A lab host: a lab request in, its answer out, with the model of a KMS host behind it (count,
 * counters, clients, event 12290). Pure but for its log lines; time and randomness are passed in.
 *
 * As a real host it refuses a request for a product it does not serve (0xC004F042), one whose clock
 * is more than four hours away (0xC004F06C), and all of them while its own key is not activated
 * (0xC004F041). None of these reaches the count.
 *
 * What is no lab message, above all the request of a real Windows client, is answered with HRESULT
 * 0xC004F042 and no body, and the log says what happened and what to do: a lab host activates
 * nobody.
 */
#ifndef KMSBEACON_KMSCORE_LAB_HOST_H
#define KMSBEACON_KMSCORE_LAB_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/rng.h"
#include "kmscore/events.h"
#include "kmscore/lab.h"
#include "kmscore/line_budget.h"
#include "kmscore/log_limit.h"
#include "kmscore/memory.h"

/** Where events go beside the log; borrowed during the call. */
typedef void lab_host_event_fn(void *ctx, const struct kms_event *e);

/** What may change while the host runs. */
struct lab_rules {
	uint32_t activation_min; /* minutes, handed to clients */
	uint32_t renewal_min;
	uint32_t products;  /* bit i: the i th of enum config_lab_product is served; 0: whatever is
			       asked for */
	bool not_activated; /* answer as a host whose own key is not activated: 0xC004F041 */
};

struct lab_host_params {
	const struct lab_key *key; /* copied */
	struct lab_rules rules;
	const struct clock *clock; /* these two are borrowed for the host's life */
	struct rng *rng;
	struct kms_memory *memory;   /* likewise; NULL: one of its own, which ends with the host */
	lab_host_event_fn *on_event; /* NULL: nobody */
	void *ctx;
};

struct lab_host {
	/* for the service */
	struct kms_memory *memory;
	struct line_budget lines; /* of requests: events are recorded all the same */
	/* private */
	struct kms_memory own; /* what memory points to where none was given */
	struct lab_host_params p;
	struct lab_key key;
	char host_pid[LAB_PID_MAX];
	struct log_ctx log;
	struct log_limit limit;
};

void lab_host_init(struct lab_host *h, const struct lab_host_params *p);
/** Frees the tables, wipes the key. */
void lab_host_done(struct lab_host *h);

void lab_host_set_rules(struct lab_host *h, const struct lab_rules *r);

struct lab_answer {
	uint32_t hresult;
	size_t body_len; /* 0: no body */
	uint8_t body[LAB_RESPONSE_LEN];
};
void lab_host_request(struct lab_host *h, const struct addr *peer, const uint8_t *body, size_t len,
		      struct lab_answer *ret);

#endif
