/**
 * How one kmsbeacon knows another over RPC, so that relays in a circle are found out (design §7.4).
 *
 * Our binds carry one more context item: abstract syntax kms_kin_syntax, transfer syntax the node's
 * id, with version 0. Whoever is no kmsbeacon rejects it, as any interface it does not know. A
 * kmsbeacon accepts it and answers, as the transfer syntax, its own id with its role as the major
 * version; that the role is never 0 tells it from a server that accepts and echoes whatever it is
 * offered. An answer with our own id: the host that we bound to is ourselves. A bind that came with
 * the item came from a relay, and its requests go to hosts only, not to a further relay: so no
 * circle of any length turns more than once.
 *
 * The context has no operation: a request on it is a request on a context that does not exist.
 */
#ifndef KMSBEACON_KMSCORE_KIN_H
#define KMSBEACON_KMSCORE_KIN_H

#include "kmscore/guid.h"
#include "kmscore/rpc.h"

/** What answers behind an RPC port. */
enum kms_kin {
	KMS_KIN_NONE,  /* no kmsbeacon: a licensed host, or something else */
	KMS_KIN_LAB,   /* kmsbeacon in mode lab */
	KMS_KIN_RELAY, /* kmsbeacon in mode relay, another one */
	KMS_KIN_SELF,  /* this very process */
};

/* Roles, as the answer's major version. One that we do not know counts as a relay. */
#define KMS_KIN_ROLE_LAB   1
#define KMS_KIN_ROLE_RELAY 2

/** kmsbeacon's own interface: ed9ec1e3-6a0d-4c2a-9c5f-0a36b7f0d6c1 v1.0. It has no operation. */
extern const struct rpc_syntax kms_kin_syntax;

/** The client's item. */
void kms_kin_offer(struct rpc_ctx_item *ret, uint16_t id, const struct guid *node_id);
/** The server's: is this the item? */
bool kms_kin_is_offer(const struct rpc_ctx_item *item);
/** The server's answer to it. */
void kms_kin_accept(struct rpc_ctx_answer *ret, const struct guid *node_id, uint16_t role);
/** What the answer to our item says; @p node_id: our own. */
enum kms_kin kms_kin_judge(const struct rpc_ctx_answer *a, const struct guid *node_id);

#endif
