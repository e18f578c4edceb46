/** What tsig.c and tsig_key.c share: the names of the algorithms, and making a key. */
#ifndef KMSBEACON_NET_TSIG_PRIV_H
#define KMSBEACON_NET_TSIG_PRIV_H

#include "net/tsig.h"

struct tsig_alg_row {
	const char *name; /* in key files */
	const char *wire; /* RFC 8945 §6, as text */
	const char *digest;
	size_t mac_len;
};

extern const struct tsig_alg_row tsig_algs[TSIG_ALG_COUNT_];

/** @p mac_len: shorter than the algorithm's for truncated MACs. The secret is copied into the MAC
 * context only. 0, ERR_NOMEM, or ERR_NOT_FOUND where this libcrypto does not do the digest (MD5
 * under FIPS). */
int tsig_key_new(const struct dns_name *name, enum tsig_alg alg, size_t mac_len,
		 const struct secret *secret, struct tsig_key **ret);

#endif
