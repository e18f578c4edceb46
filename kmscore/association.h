/**
 * The server's side of one RPC association: bytes in, bytes out, and calls for a handler. Pure: no
 * socket, no time (deadlines are the listener's), nothing but memory bounded by RPC_STUB_MAX.
 *
 * It answers bind and alter_context itself: the KMS interface with NDR32 is accepted, NDR64 and
 * other interfaces are rejected, bind-time feature negotiation is acknowledged with no bit set. The
 * item by which one kmsbeacon knows another (kin.h) is accepted, and remembered.
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
#include "kmscore/guid.h"
#include "kmscore/kin.h"
#include "kmscore/rpc.h"

#define KMS_ASSOC_FRAGS_MAX 256 /* fragments of one request */

enum kms_assoc_event {
	KMS_ASSOC_MORE,    /* all complete PDUs are used up */
	KMS_ASSOC_CALL,    /* kms_assoc_call() waits for its answer */
	KMS_ASSOC_END,     /* send what is in `out`, then close */
	KMS_ASSOC_REFUSED, /* likewise; a bind that the owner wants refused. @p info is empty */
};

/** Whom the clients reach: the same for all associations of a service. */
struct kms_assoc_host {
	struct guid node_id; /* kin.h, as the role */
	uint16_t role;
	uint16_t port; /* for the secondary address */
	/** Is a bind to be refused as "temporary congestion", so that the client goes elsewhere?
	 * Asked at each bind but our own (KMS_KIN_SELF); NULL: never. */
	bool (*congested)(void *ctx, bool from_relay);
	void *ctx;
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
	bool refused;
	uint8_t kin;
	uint8_t minor; /* of the protocol version, 5.x */
	uint8_t n_ctx;
	uint16_t ctx[RPC_CTX_MAX]; /* accepted context ids */
	uint16_t max_xmit;         /* what the client takes */
	uint16_t opnum;
	uint16_t n_frags;
	uint32_t n_calls; /* begun so far; wraps */
	uint32_t group;
	const struct kms_assoc_host *host;
	struct kms_call call;
	struct buf stub;
};

/** @p host is borrowed until done. @p group: the association group id that the client gets, not 0.
 */
void kms_assoc_init(struct kms_assoc *a, const struct kms_assoc_host *host, uint32_t group);
void kms_assoc_done(struct kms_assoc *a);

/**
 * Use as many bytes as make complete PDUs, until a call is complete. *ret_used is what may be
 * dropped. Answers are appended to @p out; where it cannot grow the association ends.
 */
enum kms_assoc_event kms_assoc_feed(struct kms_assoc *a, const uint8_t *data, size_t len,
				    size_t *ret_used, struct buf *out, struct err_info *info);
/** Has a bind been accepted? */
bool kms_assoc_is_bound(const struct kms_assoc *a);
/** KMS_KIN_RELAY: its bind came from another relay; KMS_KIN_SELF: from this one. */
enum kms_kin kms_assoc_kin(const struct kms_assoc *a);
/** The number of a request that has begun and is not complete; 0: there is none. Another one has
 * another number. */
uint32_t kms_assoc_half_call(const struct kms_assoc *a);
/** The call that waits, or NULL. */
const struct kms_call *kms_assoc_call(const struct kms_assoc *a);
/** Answer it: a response in fragments the client can take, or a fault. @p be: the octet order of
 * the stub, which is opaque; the PDUs say it. @return 0, or why @p out could not grow: then close.
 * USAGE where no call waits. */
int kms_assoc_respond(struct kms_assoc *a, const uint8_t *stub, size_t len, bool be,
		      struct buf *out);
int kms_assoc_fault(struct kms_assoc *a, uint32_t status, struct buf *out);

#endif
