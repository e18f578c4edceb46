/**
 * What peers can make us log, held down: one line for each address (/64 of IPv6) and minute.
 * Bounded: of more addresses than the table holds, the one that was quiet longest is forgotten.
 * Pure.
 */
#ifndef KMSBEACON_KMSCORE_LOG_LIMIT_H
#define KMSBEACON_KMSCORE_LOG_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"

#define LOG_LIMIT_ADDRS 64
#define LOG_LIMIT_MS    60000u

struct log_limit {
	/* private */
	size_t n;
	struct {
		struct addr addr; /* its port does not matter */
		uint64_t logged_ms;
		uint32_t held;
	} e[LOG_LIMIT_ADDRS];
};

/** May a line about @p peer be written now? *ret_held (may be NULL): how many were held back since
 * the last one. */
bool log_limit_pass(struct log_limit *l, const struct addr *peer, uint64_t mono_ms,
		    uint32_t *ret_held);

#endif
