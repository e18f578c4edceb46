/** The server's side of TSIG (RFC 8945) for tests: checks requests, signs replies. Written apart
 * from net/tsig.c, over the bytes, so that a mistake there is not repeated here. hmac-sha256 only.
 */
#ifndef KMSBEACON_TESTS_LIB_FAKE_TSIG_H
#define KMSBEACON_TESTS_LIB_FAKE_TSIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/tsig.h"
#include "tests/lib/fake_dns.h"

/** The key all tests share, as the client holds it; the caller unrefs. */
struct tsig_key *fake_tsig_client_key(void);
#define FAKE_TSIG_KEY_NAME "fake-key"
#define FAKE_TSIG_KEY_TEXT                                                                         \
	"key \"fake-key\" { algorithm hmac-sha256; "                                               \
	"secret \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"; };"

/** What a request is signed with. */
struct fake_tsig {
	bool valid; /* exactly one TSIG, last, by our key, and its MAC is right */
	uint64_t time_signed;
	size_t mac_len;
	uint8_t mac[64];
	uint16_t original_id;
};
struct fake_tsig fake_tsig_check(const struct fake_dns_request *rq);

/** How to sign a reply wrongly; zero: rightly. */
struct fake_tsig_flaws {
	int64_t time_off_s; /* added to the request's time */
	uint16_t error; /* DNS_RCODE_BAD*; BADSIG and BADKEY leave the MAC out (RFC 8945 §5.3.2) */
	int64_t server_off_s; /* BADTIME: server's clock against the request's time, in other-data
			       */
	bool bad_mac;
	const char *key_name; /* another one */
	bool forget_request;  /* leaves the request's MAC out of the digest (failure-modes T08) */
};
/** Append a TSIG to @p r, the reply to @p rq. */
void fake_tsig_sign(struct fake_reply *r, const struct fake_dns_request *rq,
		    const struct fake_tsig_flaws *flaws);

#endif
