/**
 * One RPC exchange with a KMS host: connect, bind, one request or none, its answer, close.
 *
 * The request's body is opaque here. Contexts are offered as the caller lists them; the request
 * goes over the first that was accepted with NDR32. Without a body the operation ends after the
 * bind (that is the health probe).
 *
 * Lifetime: the caller owns struct kms_client, zeroed before start; it stays put until done(),
 * which runs exactly once, from the loop, never inside start or cancel, with all handles closed and
 * so may free it. The result is borrowed during done().
 */
#ifndef KMSBEACON_KMSCORE_KMS_CLIENT_H
#define KMSBEACON_KMSCORE_KMS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/mem.h"
#include "kmscore/kin.h"
#include "kmscore/kms_msg.h"
#include "kmscore/link.h"
#include "kmscore/rpc.h"
#include "net/net.h"

struct kms_client;

enum kms_client_stage {
	KMS_CLIENT_CONNECT, /* no connection */
	KMS_CLIENT_BIND,    /* connected; no bind_ack that we can use */
	KMS_CLIENT_CALL,    /* bound; no complete answer */
	KMS_CLIENT_DONE,
};

struct kms_client_result {
	/** 0, or why not: RPC_NAK, RPC_NO_INTERFACE, RPC_SYNTAX, RPC_FAULT, RPC_NOT_RPC,
	 * RPC_MALFORMED, TIMEOUT, CLOSED, CANCELED, LIMIT, the kernel's. */
	int err;
	enum kms_client_stage stage; /* how far it came */
	bool rejected;               /* with RPC_NAK: a context was rejected, not the bind */
	uint16_t reason;             /* with RPC_NAK, RPC_NO_INTERFACE and RPC_SYNTAX */
	uint32_t fault_status;       /* with RPC_FAULT */
	const char *why;             /* more about err, one clause, static; may be NULL */
	enum kms_kin kin;            /* who answered the bind, where kin_id was given */
	uint32_t hresult;            /* of the answer */
	const uint8_t *body;         /* of the answer; NULL where the host sent none */
	size_t body_len;
	double rtt_ms; /* start to the last byte that came; 0 where nothing did */
};

typedef void kms_client_done_fn(struct kms_client *c, const struct kms_client_result *r);

struct kms_client_params {
	struct addr peer;               /* with port */
	struct addr source;             /* unset: the kernel's choice */
	uint32_t timeout_ms;            /* for everything together */
	const struct rpc_ctx_item *ctx; /* copied; NULL: the KMS interface with NDR32 */
	size_t n_ctx;                   /* at most RPC_CTX_MAX, one less with kin_id */
	const struct guid *kin_id;      /* our node's id, to tell another kmsbeacon (kin.h); copied;
					   NULL: not asked */
	const uint8_t *body;            /* copied; NULL: bind only */
	size_t body_len;                /* at most KMS_BODY_MAX (kms_msg.h) */
	kms_client_done_fn *done;
};

enum kms_client_state { KC_IDLE, KC_RUNNING, KC_CLOSING, KC_DONE };

struct kms_client {
	void *owner; /* the caller's */
	/* private */
	enum kms_client_state state;
	struct kms_client_params p;
	struct kms_link link;
	struct rpc_ctx_item ctx[RPC_CTX_MAX];
	struct guid kin_id;
	uint8_t body[KMS_BODY_MAX]; /* of the request */
	struct buf stub;            /* of the answer */
	bool be;                    /* its octet order */
	uint32_t fault_status;      /* of the call */
};

void kms_client_start(struct kms_client *c, struct net *net, const struct kms_client_params *p);
/** done() still comes, with ERR_CANCELED. Harmless in any state. */
void kms_client_cancel(struct kms_client *c);

#endif
