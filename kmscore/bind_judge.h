/**
 * What a new connection to a host says about it: one judge for the health check and for the relay.
 * Pure.
 */
#ifndef KMSBEACON_KMSCORE_BIND_JUDGE_H
#define KMSBEACON_KMSCORE_BIND_JUDGE_H

#include <stddef.h>

#include "kmscore/kms_client.h"
#include "net/prober.h"

/**
 * @p k: of a bind, that is without a request. @p syntaxes: the transfer syntaxes that were offered,
 * as a person reads them ("NDR32"). @p detail: one clause for a person, cut at @p size.
 */
enum probe_state kms_bind_judge(const struct kms_client_result *k, const char *syntaxes,
				char *detail, size_t size);
/** The same for a failure below RPC. @p connected: the connection was made. */
enum probe_state kms_connect_judge(int err, bool connected, char *detail, size_t size);
/** Is the failure one of this machine (memory, file descriptors, ports), or of a cancel, so that it
 * says nothing about the host? */
bool kms_connect_is_local(int err);

#endif
