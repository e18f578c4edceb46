/**
 * One RPC association to a host as an operation: connect, bind, calls, one end (rpc_client.h on
 * net/tcp_stream.h).
 *
 * Lifetime: the caller owns struct kms_link; it stays put until done(), which runs exactly once,
 * from the loop, never inside start, call or finish, with all handles closed, and so may free it.
 * Calls that are open then are the owner's to end: kms_link_take().
 */
#ifndef KMSBEACON_KMSCORE_LINK_H
#define KMSBEACON_KMSCORE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/mem.h"
#include "kmscore/rpc_client.h"
#include "net/net.h"
#include "net/tcp_stream.h"

struct kms_link;
struct kms_client_result;

struct kms_link_params {
	struct addr peer;    /* with port */
	struct addr source;  /* unset: the kernel's choice */
	uint32_t timeout_ms; /* from the start */
	bool lives_on;       /* timeout_ms ends when bound: from there it lives on */
	bool gathers;        /* where it multiplexes, requests wait for kms_link_flush() */
	struct rpc_client_params rpc;
	/* From the loop; may call, drop and finish. */
	void (*bound)(struct kms_link *l);
	void (*answer)(struct kms_link *l, const struct rpc_client_answer *a);
	/** @p err: RPC_*, CLOSED, TIMEOUT, CANCELED, LIMIT, the kernel's; or of kms_link_finish().
	 */
	void (*done)(struct kms_link *l, int err);
};

struct kms_link {
	void *owner; /* the caller's */
	/* to be read */
	struct rpc_client rpc;
	bool connected, bound;
	bool half;   /* a part of a PDU has come; of which call is not known */
	bool silent; /* nothing has come since the caller set it */
	/* private */
	struct kms_link_params p;
	struct tcp_stream stream;
	uint64_t started_ns, heard_ns;
	struct buf out;
};

void kms_link_start(struct kms_link *l, struct net *net, const struct kms_link_params *p);
/** Can calls be made: bound, and not ending? */
bool kms_link_is_open(const struct kms_link *l);
/** As rpc_client_request(); the stub is copied. 0 means sent, or that done() is on its way, or that
 * it waits for kms_link_flush(); CLOSED: not open. */
int kms_link_call(struct kms_link *l, void *tag, const uint8_t *stub, size_t len, bool be);
/** Are there requests that wait for kms_link_flush()? */
bool kms_link_has_unsent(const struct kms_link *l);
/** Send them, in one write. */
void kms_link_flush(struct kms_link *l);
void kms_link_drop(struct kms_link *l, const void *tag);
/** An open call, which is then forgotten; NULL: there is none (more). *ret_begun: a part of its
 * answer may have come. */
void *kms_link_take(struct kms_link *l, bool *ret_begun);
bool kms_link_has_begun(const struct kms_link *l, const void *tag);
/** End; done() follows with @p err. The first end wins. Harmless in any state. */
void kms_link_finish(struct kms_link *l, int err);
/** How far it came, as a result without body; the end's code is @p err. */
void kms_link_result(const struct kms_link *l, int err, struct kms_client_result *ret);

#endif
