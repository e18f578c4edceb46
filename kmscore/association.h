/**
 * The server's side of one RPC association: bytes in, bytes out, and calls for a handler. Pure: no
 * socket, no time (deadlines are the listener's), nothing but memory bounded by RPC_STUB_MAX.
 *
 * It answers bind and alter_context itself: the KMS interface with NDR32 is accepted, NDR64 and
 * other interfaces are rejected, bind-time feature negotiation is acknowledged with no bit set.
 * Requests are put together from their fragments and handed out one at a time: while a call is
 * unanswered nothing more is read, so a client that sends ahead is slowed by TCP. PFC_CONC_MPX is
 * never offered, so no client may expect more.
 *
 *   for (;;) {
 *           ev = kms_assoc_feed(a, data, len, &used, out, &info);   drop `used` bytes
 *           if (ev == KMS_ASSOC_CALL) answer, now or later;         else stop
 *   }
 *
 * A PDU that breaks the protocol ends the association: @p info has the sentence for the log, @p out
 * the bind_nak or fault that the client is still owed.
 */
#ifndef KMSBEACON_KMSCORE_ASSOCIATION_H
#define KMSBEACON_KMSCORE_ASSOCIATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"
#include "kmscore/rpc.h"

#define KMS_ASSOC_FRAGS_MAX 256 /* fragments of one request */

enum kms_assoc_event {
	KMS_ASSOC_MORE, /* all complete PDUs are used up */
	KMS_ASSOC_CALL, /* kms_assoc_call() waits for its answer */
	KMS_ASSOC_END,  /* send what is in `out`, then close */
};

/** A complete request to operation 0 of the KMS interface. */
struct kms_call {
	uint32_t call_id;
	uint16_t ctx_id;
	bool be;             /* byte order of the stub */
	const uint8_t *stub; /* until answered */
	size_t stub_len;
};

struct kms_assoc {
	/* private */
	bool bound;
	bool ended;
	bool call_ready; /* complete and unanswered */
	bool call_open;  /* a first fragment has come, the last has not */
	uint8_t minor;   /* of the protocol version, 5.x */
	uint8_t n_ctx;
	uint16_t ctx[RPC_CTX_MAX]; /* accepted context ids */
	uint16_t port;
	uint16_t max_xmit; /* what the client takes */
	uint16_t opnum;
	uint16_t n_frags;
	uint32_t n_calls; /* begun so far; wraps */
	uint32_t group;
	struct kms_call call;
	struct buf stub;
};

/** @p group: the association group id that the client gets, not 0. @p port: for the secondary
 * address. */
void kms_assoc_init(struct kms_assoc *a, uint32_t group, uint16_t port);
void kms_assoc_done(struct kms_assoc *a);

/**
 * Use as many bytes as make complete PDUs, until a call is complete. *ret_used is what may be
 * dropped. Answers are appended to @p out; where it cannot grow the association ends.
 */
enum kms_assoc_event kms_assoc_feed(struct kms_assoc *a, const uint8_t *data, size_t len,
				    size_t *ret_used, struct buf *out, struct err_info *info);
/** Has a bind been accepted? */
bool kms_assoc_is_bound(const struct kms_assoc *a);
/** The number of a request that has begun and is not complete; 0: there is none. Another one has
 * another number. */
uint32_t kms_assoc_half_call(const struct kms_assoc *a);
/** The call that waits, or NULL. */
const struct kms_call *kms_assoc_call(const struct kms_assoc *a);
/** Answer it: a response in fragments the client can take, or a fault. @return 0, or why @p out
 * could not grow: then close. USAGE where no call waits. */
int kms_assoc_respond(struct kms_assoc *a, const uint8_t *stub, size_t len, struct buf *out);
int kms_assoc_fault(struct kms_assoc *a, uint32_t status, struct buf *out);

#endif
