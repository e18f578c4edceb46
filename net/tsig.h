/**
 * TSIG (RFC 8945) over the bytes that are sent and received: sign one request, verify its reply.
 *
 * Our own, because libldns ignores the time, the error field and the original ID, cannot sign twice
 * and knows neither sha224 nor sha384 (failure-modes T07, T10, T13, L02 to L04). Key name and
 * algorithm are pinned to the configured ones; MACs are compared in constant time. Pure: the time
 * is passed in.
 */
#ifndef KMSBEACON_NET_TSIG_H
#define KMSBEACON_NET_TSIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"
#include "net/dnsname.h"

#define TSIG_FUDGE_S      300
#define TSIG_MAC_MAX      64
#define TSIG_KEY_FILE_MAX 65536 /* bytes */

enum tsig_alg {
	TSIG_HMAC_SHA1,
	TSIG_HMAC_SHA224,
	TSIG_HMAC_SHA256,
	TSIG_HMAC_SHA384,
	TSIG_HMAC_SHA512,
	TSIG_HMAC_MD5, /* hmac-md5.sig-alg.reg.int, which old zones still use */
	TSIG_ALG_COUNT_,
};

/** A key with a reference count: a reload may replace it while an exchange still needs it. One
 * thread. */
struct tsig_key;

/**
 * Read one key from a BIND key file: `key "name" { algorithm hmac-sha256; secret "base64"; };` with
 * C, C++ and shell comments. Refused, each with its sentence: readable by others, no key, several
 * keys, unknown algorithm, bad base64, an empty secret. `hmac-sha256-128` cuts signatures to so
 * many bits, of ours and as the least that replies must have. @p info never holds any part of the
 * secret. @return 0, ERR_PARSE, ERR_NOMEM, or what secret_read_file() says.
 */
int tsig_key_load(const char *path, struct tsig_key **ret, struct err_info *info);
/** The parser behind it, for tests and fuzzing: @p text need not be terminated; @p origin names it
 * in errors. */
int tsig_key_parse(const char *text, size_t len, const char *origin, struct tsig_key **ret,
		   struct err_info *info);
struct tsig_key *tsig_key_ref(struct tsig_key *k);
void tsig_key_unref(struct tsig_key *k); /* the last one wipes and frees; NULL is fine */
const struct dns_name *tsig_key_name(const struct tsig_key *k);
const char *tsig_key_alg_name(const struct tsig_key *k); /* "hmac-sha256", "hmac-sha256-128" */

/** What a request's signature leaves for the check of its reply. */
struct tsig_request {
	uint16_t id; /* as sent: the original ID */
	uint64_t time_signed;
	size_t mac_len;
	uint8_t mac[TSIG_MAC_MAX];
};

/**
 * Append exactly one TSIG RR to the message in @p msg, which must not have one: what is sent again
 * is built again (failure-modes L04). 0, ERR_LIMIT, ERR_NOMEM, ERR_INTERNAL. On failure @p msg is
 * as it was.
 */
int tsig_sign(struct tsig_key *k, uint64_t now_s, struct buf *msg, struct tsig_request *ret_req);

/** What a reply's TSIG says, filled as far as it could be read, on failure too. */
struct tsig_result {
	bool present;
	bool verified;  /* the MAC is right: the key's owner said this, in answer to our request */
	uint16_t error; /* DNS_RCODE_BADSIG, BADKEY, BADTIME, BADTRUNC; 0 */
	/** Server's clock minus ours: from BADTIME (a guess, unless verified), and from each reply
	 * that verifies without an error, be it in time or not. */
	int64_t skew_s;
	bool has_skew;
};

/**
 * Verify a reply to the request that left @p req. The TSIG must be the last record and nothing may
 * follow it; its MAC must have full length, or at least what the key file allows.
 *
 * @return 0: signed by the key, in time, no TSIG error.
 *         ERR_TSIG_UNSIGNED, _KEY, _BADSIG, _TIME, ERR_DNS_MALFORMED: not the answer.
 *         ERR_TSIG_PEER_*: the server's own complaint. BADKEY and BADSIG come unsigned (RFC 8945
 *         §5.3.2), BADTIME and BADTRUNC from some servers too: unless ret->verified, they explain,
 *         but prove nothing.
 *         ERR_RCODE_OTHER: verified, with a TSIG error that RFC 8945 does not know.
 */
int tsig_verify(struct tsig_key *k, const struct tsig_request *req, uint64_t now_s,
		const uint8_t *reply, size_t len, struct tsig_result *ret);

#endif
