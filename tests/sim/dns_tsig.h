/** TSIG (RFC 8945) as a name server does it, pure; written apart from net/tsig.c. */
#ifndef KMSBEACON_TESTS_SIM_DNS_TSIG_H
#define KMSBEACON_TESTS_SIM_DNS_TSIG_H

#include "tests/sim/dns_wire.h"

#define SIM_KEY_SECRET_MAX 256

struct sim_key {
	char name[SIM_DNS_NAME_MAX], alg[32];
	size_t len;
	uint8_t secret[SIM_KEY_SECRET_MAX];
};

/** From the text of a BIND key file with one key. False: cannot be read. */
bool sim_key_parse(struct sim_key *ret, const char *text);

/** Check the TSIG of @p m, which came as @p data, against the key of its name (NULL: there is
 * none). @p now: seconds since 1970, of the server's clock. 0, R_BADKEY, R_BADSIG or R_BADTIME. */
unsigned sim_tsig_check(const struct sim_msg *m, const uint8_t *data, const struct sim_key *key,
			uint64_t now);
/** Append a TSIG to the answer to @p m. BADKEY and BADSIG come without a MAC (§5.3.2), BADTIME
 * carries the time of the request and, as other data, the server's. @p key NULL: no MAC. */
void sim_tsig_sign(struct sim_out *o, const struct sim_msg *m, const struct sim_key *key,
		   unsigned error, uint64_t now);
/** How long it will be. */
size_t sim_tsig_room(const struct sim_msg *m);

#endif
