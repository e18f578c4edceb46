/** A table from bytes to a pointer, for lists that grow to thousands: hashed, chained, never
 * shrinking. Keys are copied, values are the caller's. Zeroed is empty. */
#ifndef KMSBEACON_PUBLISHER_INDEX_H
#define KMSBEACON_PUBLISHER_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/dnsname.h"

struct pub_index_entry;
struct pub_index {
	struct pub_index_entry **slots;
	size_t n_slots;
	size_t n;
};

/** A key made of names and texts, each with its end, so that no two different lists make the same
 * bytes. */
#define PUB_KEY_MAX 1024
struct pub_key {
	size_t len;
	uint8_t bytes[PUB_KEY_MAX];
	bool cut; /* something did not fit: the key must not be used */
};
void pub_key_name(struct pub_key *k, const struct dns_name *n);
void pub_key_text(struct pub_key *k, const char *text);

/** NULL where there is none. */
void *pub_index_get(const struct pub_index *ix, const struct pub_key *k);
/** @p value must not be NULL, the key not there yet. 0, ERR_NOMEM, ERR_LIMIT (a key that was cut).
 */
int pub_index_put(struct pub_index *ix, const struct pub_key *k, void *value);
/** @p fn for each value. */
void pub_index_each(const struct pub_index *ix, void (*fn)(void *value));
void pub_index_done(struct pub_index *ix);

#endif
