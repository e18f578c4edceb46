/**
 * The clients a lab host has seen in the last 30 days, far beyond the few that its count needs: how
 * many there are, and which machine ids are used by more than one machine (images cloned without
 * `sysprep /generalize`, which hold the count down).
 *
 * Bounded: beyond the maximum given at init the client seen longest ago is forgotten. Memory grows
 * with the clients, at most about KMS_CLIENT_BYTES_MAX for each. Pure; the time is passed in. The
 * hash is keyed with a random number, so that nobody can choose ids that collide.
 */
#ifndef KMSBEACON_KMSCORE_CLIENTS_H
#define KMSBEACON_KMSCORE_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kmscore/guid.h"

#define KMS_CLIENTS_MAX      100000
#define KMS_CLIENT_NAME_MAX  64 /* bytes kept of a machine name, with its NUL */
#define KMS_CLIENT_BYTES_MAX 200

struct kms_client_entry {
	struct guid cmid;
	int64_t seen_ms;
	char name[KMS_CLIENT_NAME_MAX];   /* the machine that was seen last */
	char before[KMS_CLIENT_NAME_MAX]; /* the other machine, with `duplicate` */
	uint64_t name_hash;               /* of the whole name; 0: of one that may have been cut */
	bool duplicate;                   /* seen with more than one name */
	/* private */
	bool changed;          /* not taken by kms_clients_take_changed() since */
	uint32_t older, newer; /* in the order of seen_ms */
	uint32_t next;         /* in its hash chain */
};

struct kms_clients {
	/* private */
	struct kms_client_entry *e;
	uint32_t *bucket; /* a power of two */
	size_t n, cap, max, n_buckets;
	size_t duplicates;
	uint32_t oldest, newest;
	uint64_t hash_key;
	bool scattered; /* those that changed are not all at the newest end */
};

void kms_clients_init(struct kms_clients *t, size_t max, struct rng *rng);
void kms_clients_done(struct kms_clients *t);

struct kms_clients_seen {
	bool known;                          /* within the last 30 days */
	bool other_name;                     /* now with another name than last time */
	char last_name[KMS_CLIENT_NAME_MAX]; /* with other_name */
};
/**
 * A valid request of @p cmid from the machine @p name.
 * @return 0, or NOMEM: then it is not remembered, and the request is to be answered all the same.
 */
int kms_clients_add(struct kms_clients *t, const struct guid *cmid, const char *name,
		    int64_t now_ms, struct kms_clients_seen *ret);
/** Forget who was not seen for 30 days; @return how many are left. */
size_t kms_clients_count(struct kms_clients *t, int64_t now_ms);
/** Clients seen at @p since_ms or later. */
size_t kms_clients_since(const struct kms_clients *t, int64_t since_ms);
/** Of these, ids used by more than one machine. */
size_t kms_clients_duplicates(const struct kms_clients *t);

/** For whoever keeps them elsewhere, too: how many have changed; a copy of these, up to @p max,
 * that count as unchanged from then on; and, where that came to nothing, back again. */
size_t kms_clients_changed(const struct kms_clients *t);
size_t kms_clients_take_changed(struct kms_clients *t, struct kms_client_entry *ret, size_t max);
void kms_clients_put_back(struct kms_clients *t, const struct kms_client_entry *e, size_t n);
/** One that an earlier process had seen, in the order of seen_ms; id, time, names and `duplicate`
 * count. 0 or ERR_NOMEM. */
int kms_clients_restore(struct kms_clients *t, const struct kms_client_entry *e);

/** A machine id and the last two machines that used it. */
struct kms_duplicate {
	struct guid cmid;
	int64_t seen_ms;
	char machine[2][KMS_CLIENT_NAME_MAX];
};
/** Up to @p max of them, the one seen last first. @return how many. */
size_t kms_clients_list_duplicates(const struct kms_clients *t, struct kms_duplicate *ret,
				   size_t max);

#endif
