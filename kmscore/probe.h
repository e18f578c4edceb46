/**
 * The keyless health check of a KMS host (behaviour §8.3) behind net/prober.h.
 *
 * rpc: connect and bind to the KMS interface, offering NDR32 and, where the host wants another
 * transfer syntax, NDR64 on a fresh connection. No request is sent: a bind carries no client id, so
 * it moves no count and writes no event on the host. tcp: connect only; says nothing about KMS.
 *
 * Everything happens within the timeout given to start. cancel() is legal in any state; done() then
 * comes with PROBE_TIMEOUT and the detail "canceled". done() always runs exactly once, from the
 * loop, never inside start or cancel.
 */
#ifndef KMSBEACON_KMSCORE_PROBE_H
#define KMSBEACON_KMSCORE_PROBE_H

#include "net/prober.h"

/** Static, without state; usable from any number of operations at once. */
const struct prober *kms_prober_rpc(void);
const struct prober *kms_prober_tcp(void);

#endif
