/**
 * The count of a KMS host (behaviour §3.1). Pure; the time is passed in.
 *
 * A host remembers client machine ids (CMID) for 30 days, in a table that holds twice the largest
 * threshold any client has named: 10, and 50 once a Windows client was seen. It grows and never
 * shrinks; where it is full the newest win. What clients are told is the number of ids in it.
 */
#ifndef KMSBEACON_KMSCORE_COUNT_H
#define KMSBEACON_KMSCORE_COUNT_H

#include <stddef.h>
#include <stdint.h>

#include "kmscore/guid.h"
#include "kmscore/kms.h"

#define KMS_COUNT_SMALL (2 * KMS_THRESHOLD_SERVER)
#define KMS_COUNT_LARGE (2 * KMS_THRESHOLD_CLIENT)

struct kms_count_entry {
	struct guid cmid;
	int64_t seen_ms;
};

struct kms_count {
	/* private */
	size_t n;
	size_t cap;                                /* 0 until the first client */
	struct kms_count_entry e[KMS_COUNT_LARGE]; /* oldest first */
};

void kms_count_init(struct kms_count *c);
/**
 * A valid request. @p n_policy, the threshold the client names, sizes the table: up to
 * KMS_THRESHOLD_SERVER the small one, else the large one, whatever it claims.
 * @return the count that the client is told, itself included.
 */
uint32_t kms_count_add(struct kms_count *c, const struct guid *cmid, uint32_t n_policy,
		       int64_t now_ms);
/** What an earlier process had: @p cap as it was, entries oldest first. What does not fit together
 * is left out. */
void kms_count_restore(struct kms_count *c, size_t cap, const struct kms_count_entry *e, size_t n);
/** The count now; ids whose 30 days are over leave first. */
uint32_t kms_count_now(struct kms_count *c, int64_t now_ms);

#endif
