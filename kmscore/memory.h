/**
 * What a KMS host remembers of its clients: the count, who they are, and counters. It outlives the
 * service that fills it (a drain closes that one, a resume opens another), and is kept in the state
 * file, so that neither a resume nor a restart begins anew.
 *
 * Saving is grouped (KMS_SAVE_MS after a change, what has changed since, in one transaction), in
 * the store's thread, and never waited for. Where the file cannot be written that is said once, and
 * everything goes on in memory; it is tried again every KMS_SAVE_RETRY_MS.
 */
#ifndef KMSBEACON_KMSCORE_MEMORY_H
#define KMSBEACON_KMSCORE_MEMORY_H

#include <uv.h>

#include "common/clock.h"
#include "common/rng.h"
#include "common/store.h"
#include "kmscore/clients.h"
#include "kmscore/count.h"
#include "kmscore/kms.h"

#define KMS_SAVE_MS       1000
#define KMS_SAVE_RETRY_MS 60000

/** What a client's id is made of; each kind has its own rows in the state file. */
enum kms_client_kind {
	KMS_CLIENT_CMID,    /* its machine id */
	KMS_CLIENT_ADDRESS, /* its address (16 bytes, IPv4 mapped): who forwards cannot read more */
};

struct kms_totals {
	uint64_t requests;
	uint64_t failed;
	uint64_t by_licence[KMS_LICENCE_COUNT_];
};

struct kms_memory {
	struct kms_count count;
	struct kms_clients clients;
	struct kms_totals totals;
	/* private */
	enum kms_client_kind kind;
	struct kms_saver *saver; /* NULL: kept in memory only */
	bool short_of_memory;    /* there was no room for the latest client; told */
};

/** For store_new(). */
extern const struct store_schema kms_memory_schema;

void kms_memory_init(struct kms_memory *m, enum kms_client_kind kind, struct rng *rng);
/** Frees; after kms_memory_stop(). */
void kms_memory_done(struct kms_memory *m);

/**
 * Take up what the state file has, which is waited for (start-up only), and save from now on. The
 * pointers are borrowed until kms_memory_stop().
 * @return 0; else why it is kept in memory only.
 */
int kms_memory_keep(struct kms_memory *m, uv_loop_t *loop, const struct clock *clock,
		    struct store *store);
/**
 * One client was served (kms_clients_add()). Where there is no room to remember it, that is told
 * once, until there is again.
 * @return whether it is remembered.
 */
bool kms_memory_client(struct kms_memory *m, const struct guid *id, const char *name,
		       int64_t now_ms, struct kms_clients_seen *ret);
/** Something was changed: it is saved soon. */
void kms_memory_changed(struct kms_memory *m);
/** Hand the store what is not saved yet, and end; store_free() must follow before the loop ends.
 * Harmless where nothing is kept. */
void kms_memory_stop(struct kms_memory *m);

#endif
