/**
 * `client ato`: one activation attempt of a lab client over a list of hosts (behaviour §2.4).
 *
 * Hosts are tried in the order given until one gives a final answer: success, "count too low" or
 * "not this product". Any other error of a host is recorded and the next is tried; when all have
 * failed the code is 0xC004F074. A caller who gave only the cached host then discovers others and
 * starts again. The client's state and its next attempt are set in every case but a cancel.
 *
 * Lifetime as kms_client.h: owned by the caller, zeroed before start, done() exactly once from the
 * loop. The client and the key are borrowed until then.
 */
#ifndef KMSBEACON_KMSCORE_LAB_ATO_H
#define KMSBEACON_KMSCORE_LAB_ATO_H

#include "kmscore/kms_client.h"
#include "kmscore/lab_client.h"

#define LAB_ATO_HOSTS_MAX 32

struct lab_candidate {
	char host[HOST_TEXT_MAX];
	struct addr addr; /* with port */
	enum lab_source source;
};

/** One host that was tried. */
struct lab_attempt {
	struct lab_candidate at;
	uint32_t hresult;
	int err; /* of the exchange; 0 where the host answered */
	double rtt_ms;
	int64_t sent_ms, ended_ms;         /* wall clock */
	uint32_t sent_hresult;             /* of the 12288 line, its first field */
	uint32_t response_hresult;         /* of the 12289 line */
	char sent[KMS_EVENT_TEXT_MAX];     /* the 12288 line */
	char response[KMS_EVENT_TEXT_MAX]; /* the 12289 line; "" where no answer was processed */
};

struct lab_ato;
typedef void lab_ato_done_fn(struct lab_ato *a);

struct lab_ato_params {
	struct lab_client *client;
	const struct lab_key *key;
	const struct lab_candidate *hosts; /* copied */
	size_t n_hosts;                    /* beyond LAB_ATO_HOSTS_MAX they are not tried */
	uint32_t host_timeout_ms;
	lab_ato_done_fn *done;
};

enum lab_ato_state { LA_IDLE, LA_ASKING, LA_CANCELING, LA_DONE };

struct lab_ato {
	void *owner; /* the caller's */

	/* the result, valid in done() */
	int err;       /* 0; or CANCELED, NO_SERVER (no hosts), INTERNAL: nothing was learned */
	uint32_t code; /* 0: activated; else what slmgr would print */
	bool answered; /* a host gave a valid answer */
	size_t n_attempts;
	struct lab_attempt attempt[LAB_ATO_HOSTS_MAX];

	/* private */
	enum lab_ato_state state;
	struct lab_ato_params p;
	struct net *net;
	struct lab_candidate host[LAB_ATO_HOSTS_MAX];
	struct lab_pending pending;
	int64_t sent_ms;
	struct kms_client rpc;
};

void lab_ato_start(struct lab_ato *a, struct net *net, const struct lab_ato_params *p);
void lab_ato_cancel(struct lab_ato *a);

#endif
