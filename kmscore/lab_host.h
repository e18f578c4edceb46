/**
 * A lab host: a lab request in, its answer out, with the model of a KMS host behind it (count,
 * counters, clients, event 12290). Pure but for its log lines; time and randomness are passed in.
 *
 * What is no lab message, above all the request of a real Windows client, is answered with HRESULT
 * 0xC004F042 and no body, and the log says what happened and what to do: a lab host activates
 * nobody.
 */
#ifndef KMSBEACON_KMSCORE_LAB_HOST_H
#define KMSBEACON_KMSCORE_LAB_HOST_H

#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/rng.h"
#include "kmscore/clients.h"
#include "kmscore/count.h"
#include "kmscore/events.h"
#include "kmscore/kms.h"
#include "kmscore/lab.h"
#include "kmscore/log_limit.h"

/** Where events go beside log and ring; for the state file. Borrowed during the call. */
typedef void lab_host_event_fn(void *ctx, const struct kms_event *e);

struct lab_host_params {
	const struct lab_key *key; /* copied */
	uint32_t activation_min;   /* minutes, handed to clients */
	uint32_t renewal_min;
	const struct clock *clock; /* these two are borrowed for the host's life */
	struct rng *rng;
	lab_host_event_fn *on_event; /* NULL: nobody */
	void *ctx;
};

struct lab_host {
	/* read by the service's status */
	uint64_t requests;
	uint64_t failed;
	uint64_t by_licence[KMS_LICENCE_COUNT_];
	struct kms_count count;
	struct kms_clients clients;
	struct kms_event_ring events;
	/* private */
	struct lab_host_params p;
	struct lab_key key;
	char host_pid[LAB_PID_MAX];
	struct log_ctx log;
	struct log_limit limit;
};

void lab_host_init(struct lab_host *h, const struct lab_host_params *p);
/** Frees the tables, wipes the key. */
void lab_host_done(struct lab_host *h);

struct lab_answer {
	uint32_t hresult;
	size_t body_len; /* 0: no body */
	uint8_t body[LAB_RESPONSE_LEN];
};
void lab_host_request(struct lab_host *h, const struct addr *peer, const uint8_t *body, size_t len,
		      struct lab_answer *ret);

#endif
