/**
 * How one kmsbeacon knows another over RPC, so that relays in a circle are found out (design §7.4).
 *
 * Our binds carry one more context item: abstract syntax kms_kin_syntax, transfer syntax the node's
 * id. Whoever is no kmsbeacon rejects it, as any interface it does not know. A kmsbeacon accepts it
 * and answers, as the transfer syntax, its own id with its role as the major version. An answer
 * with our own id: the host that we bound to is ourselves. A bind that came with the item came from
 * a relay, and its requests go to hosts only, not to a further relay: so no circle of any length
 * turns more than once.
 */
#ifndef KMSBEACON_KMSCORE_KIN_H
#define KMSBEACON_KMSCORE_KIN_H

#include "kmscore/rpc.h"

/** What answers behind an RPC port. */
enum kms_kin {
	KMS_KIN_NONE,  /* no kmsbeacon: a licensed host, or something else */
	KMS_KIN_LAB,   /* kmsbeacon in mode lab */
	KMS_KIN_RELAY, /* kmsbeacon in mode relay, another one */
	KMS_KIN_SELF,  /* this very process */
};

/** kmsbeacon's own interface: ed9ec1e3-6a0d-4c2a-9c5f-0a36b7f0d6c1 v1.0. It has no operation. */
extern const struct rpc_syntax kms_kin_syntax;

#endif
