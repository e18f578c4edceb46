/**
 * The client's side of one RPC association, the mirror of association.h: makes the bind, judges its
 * answer, makes requests, puts responses together. Pure: no socket, no time; memory is bounded by
 * RPC_CLIENT_HELD_MAX.
 *
 *   rpc_client_bind(c, out)                                      send `out`
 *   for (;;) {
 *           ev = rpc_client_feed(c, data, len, &used, &answer)   drop `used` bytes
 *           if (ev == RPC_CLIENT_BOUND) rpc_client_request(c, ..., out), send `out`
 *           if (ev == RPC_CLIENT_ANSWER) use `answer`
 *           if (ev == RPC_CLIENT_END) close: c->err, c->why
 *           if (ev == RPC_CLIENT_MORE) wait for more
 *   }
 *
 * One call is open at a time, or RPC_CLIENT_CALLS_MAX where we offered PFC_CONC_MPX and the
 * bind_ack has it; then fragments of several answers may come mixed. A fault ends its call, not the
 * association. Whatever is no proper answer to something we sent ends the association.
 *
 * A call is known by its tag. A dropped one (rpc_client_drop) stays open without a tag, so that its
 * answer is known when it comes; nothing of it is kept.
 */
#ifndef KMSBEACON_KMSCORE_RPC_CLIENT_H
#define KMSBEACON_KMSCORE_RPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/mem.h"
#include "kmscore/guid.h"
#include "kmscore/kin.h"
#include "kmscore/rpc.h"

#define RPC_CLIENT_CALLS_MAX 32
#define RPC_CLIENT_FRAGS_MAX 256                /* of one answer */
#define RPC_CLIENT_HELD_MAX  (4 * RPC_STUB_MAX) /* of all half answers together */

enum rpc_client_event {
	RPC_CLIENT_MORE,   /* all complete PDUs are used up */
	RPC_CLIENT_BOUND,  /* the bind was accepted */
	RPC_CLIENT_ANSWER, /* a call has ended */
	RPC_CLIENT_END,    /* the association cannot go on */
};

struct rpc_client_params {
	const struct rpc_ctx_item *ctx; /* borrowed until bound */
	size_t n_ctx;                   /* 1 .. RPC_CTX_MAX, one less with node_id */
	bool ndr32;                     /* a context with another transfer syntax is no use to us */
	bool multiplex;                 /* offer it */
	const struct guid *node_id;     /* add the item of kin.h; borrowed; NULL: do not */
};

struct rpc_client_answer {
	void *tag; /* NULL: the call was dropped */
	int err;   /* 0 or RPC_FAULT */
	uint32_t fault_status;
	const uint8_t *stub; /* until the bytes fed go, or the next feed */
	size_t stub_len;
	bool be; /* octet order of the stub */
};

enum rpc_client_state { RPC_CLIENT_NEW, RPC_CLIENT_BINDING, RPC_CLIENT_OPEN, RPC_CLIENT_ENDED };

struct rpc_client {
	/* How it ended, or what became of the bind; to be read only. */
	int err; /* RPC_NAK, RPC_NO_INTERFACE, RPC_SYNTAX, RPC_FAULT (of the bind), RPC_NOT_RPC,
		    RPC_MALFORMED, LIMIT, CLOSED (the server asked for it), NOMEM */
	const char *why;       /* one clause for a person, static; NULL: err says it all */
	bool rejected;         /* with RPC_NAK: a context was rejected, not the bind */
	uint16_t reason;       /* with RPC_NAK, RPC_NO_INTERFACE, RPC_SYNTAX */
	uint32_t fault_status; /* with RPC_FAULT */
	enum kms_kin kin;      /* once bound */
	unsigned n_open;       /* calls, dropped ones too */
	unsigned n_dropped;    /* of these */
	unsigned max_open;     /* once bound */
	/* private */
	enum rpc_client_state state;
	struct rpc_client_params p;
	uint16_t ctx_id;
	uint16_t max_xmit; /* what the server takes */
	uint32_t last_id;
	size_t held;
	struct rpc_client_call *lent; /* that answered last */
	struct rpc_client_call {
		bool open;
		bool begun; /* its answer's first fragment has come */
		bool be;
		uint16_t n_frags;
		uint32_t id;
		void *tag;
		size_t held; /* bytes of its half answer */
		struct buf stub;
	} call[RPC_CLIENT_CALLS_MAX];
};

/** The KMS interface with NDR32, as context 0: what a client needs that has no other wish. */
extern const struct rpc_ctx_item rpc_client_kms_ctx;

void rpc_client_init(struct rpc_client *c, const struct rpc_client_params *p);
void rpc_client_done(struct rpc_client *c);
/** Append the bind to @p out. @return 0 or the buffer's error; USAGE: too many contexts. */
int rpc_client_bind(struct rpc_client *c, struct buf *out);
/**
 * Append a request to @p out, in fragments that the server takes. @p tag: not NULL, unlike that of
 * any other open call. @return 0; BUSY: as many calls as can be are open; USAGE: not bound, or a
 * stub above RPC_STUB_MAX; the buffer's error.
 */
int rpc_client_request(struct rpc_client *c, void *tag, uint16_t opnum, const uint8_t *stub,
		       size_t len, bool be, struct buf *out);
/** The answer to this call is not wanted any more. */
void rpc_client_drop(struct rpc_client *c, const void *tag);
/** Forget an open call that was not dropped; NULL: there is none. For the end: who has failed.
 * *ret_begun: a part of its answer had come. */
void *rpc_client_take(struct rpc_client *c, bool *ret_begun);
/** Has a part of this call's answer come? */
bool rpc_client_has_begun(const struct rpc_client *c, const void *tag);

/**
 * Use complete PDUs until something has happened. *ret_used is what may be dropped. @p ret_answer
 * is filled with RPC_CLIENT_ANSWER.
 */
enum rpc_client_event rpc_client_feed(struct rpc_client *c, const uint8_t *data, size_t len,
				      size_t *ret_used, struct rpc_client_answer *ret_answer);

#endif
