/**
 * Ask every authoritative server of a zone until each shows what was published, or the time is over
 * (design §5).
 *
 * The primary is asked signed, the others unsigned. Servers that do not show it yet are asked again
 * after growing intervals; BIND tells its secondaries after 5 s, so nothing is late before
 * PUB_NOTIFY_DELAY_MS. A primary that has accepted an update and does not show it by then never
 * will.
 *
 * Serials are asked for only where they are wanted, or where a set differs, so that a steady state
 * costs one question for each server.
 */
#ifndef KMSBEACON_PUBLISHER_PROOF_H
#define KMSBEACON_PUBLISHER_PROOF_H

#include "publisher/read.h"
#include "publisher/result.h"
#include "publisher/turns.h"
#include "publisher/zone.h"

#define PUB_NOTIFY_DELAY_MS 6000
#define PUB_POLL_FIRST_MS   200
#define PUB_POLL_MAX_MS     1000

/** RFC 1982: whether @p a is before @p b. */
bool pub_serial_before(uint32_t a, uint32_t b);

struct pub_proof_params {
	const struct pub_target *target; /* all borrowed until done */
	const struct pub_zone *zone;
	const struct dns_srv *present; /* must be shown ... */
	size_t n_present;
	const struct dns_srv *absent; /* ... and must not */
	size_t n_absent;
	const struct pub_read *primary_read; /* the primary was just read; NULL: ask it */
	const struct addr *updated_at; /* who took the update is asked first; NULL: nobody did */
	bool want_serial;
	const uint32_t *primary_serial; /* it was just read; NULL: ask for it too, where wanted */
	struct pub_turns *turns;        /* one for each round of questions */
	uint32_t timeout_ms;
};

struct pub_proof_outcome {
	int err; /* 0, ERR_CANCELED, ERR_NOMEM */
	bool proven;
	/** Why the primary does not show it: one of the two, or neither. */
	enum pub_block block;
	int primary_err;
	unsigned hint_rcode;
	struct tsig_result tsig;
	struct dns_name other; /* with block */
	uint32_t ttl_s;        /* of the set at the primary; 0: empty, or not known */
	bool has_serial;       /* of the zone at the primary */
	uint32_t serial;
	struct pub_proof *servers; /* the receiver's to free */
	size_t n_servers;
};

struct pub_proof_op;
typedef void pub_proof_done_fn(struct pub_proof_op *op, struct pub_proof_outcome *o);

enum pub_proof_op_state {
	PS_IDLE,
	PS_TURN,   /* waits for its turn */
	PS_ASKING, /* a round of questions is out */
	PS_PAUSE,  /* until the next round */
	PS_CLOSING,
	PS_DONE,
};

struct pub_proof_server;

/** Zeroed before start; lifetime as udp_exchange. */
struct pub_proof_op {
	void *owner; /* the caller's */
	/* private */
	enum pub_proof_op_state state;
	struct net *net;
	struct pub_proof_params p;
	pub_proof_done_fn *done;
	uv_timer_t timer;
	unsigned open;  /* the timer and the clients that run */
	unsigned asked; /* clients of this round */
	uint64_t begin_ms;
	uint32_t pause_ms;
	bool want_serial;
	struct pub_turn turn;
	struct pub_proof_server *servers;
	size_t n_servers;
	size_t primary; /* index */
	struct pub_proof_outcome out;
};

void pub_proof_start(struct pub_proof_op *op, struct net *net, const struct pub_proof_params *p,
		     pub_proof_done_fn *done);
void pub_proof_cancel(struct pub_proof_op *op);

#endif
