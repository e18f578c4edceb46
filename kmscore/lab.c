#include "kmscore/lab.h"

#include <openssl/evp.h>
#include <string.h>

#include "kmscore/kms.h"
#include "kmscore/utf16.h"
#include "kmscore/wire.h"

#define NONCE_AT LAB_HEADER_LEN
#define PLAIN_AT (LAB_HEADER_LEN + LAB_NONCE_LEN)

#define RQ_PLAIN (LAB_REQUEST_LEN - PLAIN_AT - LAB_TAG_LEN)
#define RS_PLAIN (LAB_RESPONSE_LEN - PLAIN_AT - LAB_TAG_LEN)

#define FLAG_VM 1u

_Static_assert(RQ_PLAIN == 104 + 2 * LAB_MACHINE_UNITS, "offset table of lab.h");
_Static_assert(RS_PLAIN == 48 + LAB_PID_MAX - 1, "offset table of lab.h");

#define FILETIME_UNIX   UINT64_C(116444736000000000) /* 1970-01-01 */
#define FILETIME_PER_MS 10000u

uint64_t lab_filetime(int64_t wall_ms)
{
	if (wall_ms <= -(int64_t)(FILETIME_UNIX / FILETIME_PER_MS))
		return 0;
	if (wall_ms >= INT64_MAX / FILETIME_PER_MS - (int64_t)(FILETIME_UNIX / FILETIME_PER_MS))
		return INT64_MAX;
	return (uint64_t)(wall_ms * FILETIME_PER_MS + (int64_t)FILETIME_UNIX);
}

int64_t lab_filetime_ms(uint64_t filetime)
{
	if (filetime > INT64_MAX)
		filetime = INT64_MAX;
	/* In milliseconds first: rounding must be the same on both sides of 1970. */
	return (int64_t)(filetime / FILETIME_PER_MS) - (int64_t)(FILETIME_UNIX / FILETIME_PER_MS);
}

/** The associated data: the header and the direction. */
static void make_aad(uint8_t aad[LAB_HEADER_LEN + 1], const uint8_t *body, char direction)
{
	memcpy(aad, body, LAB_HEADER_LEN);
	aad[LAB_HEADER_LEN] = (uint8_t)direction;
}

/** Header and nonce stand in @p body; encrypt @p plain behind them and add the tag. */
static int seal(const struct secret *key, char direction, const uint8_t *plain, int len,
		uint8_t *body)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t aad[LAB_HEADER_LEN + 1];
	int n, err = ERR_INTERNAL;

	if (ctx == NULL)
		return ERR_NOMEM;
	make_aad(aad, body, direction);
	if (EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, body + NONCE_AT) == 1 &&
	    EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)sizeof(aad)) == 1 &&
	    EVP_EncryptUpdate(ctx, body + PLAIN_AT, &n, plain, len) == 1 && n == len &&
	    EVP_EncryptFinal_ex(ctx, body + PLAIN_AT + len, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, LAB_TAG_LEN, body + PLAIN_AT + len) == 1)
		err = 0;
	EVP_CIPHER_CTX_free(ctx);
	return err;
}

static int open_sealed(const struct secret *key, char direction, const uint8_t *body, int len,
		       uint8_t *plain)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t aad[LAB_HEADER_LEN + 1], tag[LAB_TAG_LEN];
	int n, err = ERR_INTERNAL;

	if (ctx == NULL)
		return ERR_NOMEM;
	make_aad(aad, body, direction);
	memcpy(tag, body + PLAIN_AT + len, sizeof(tag));
	if (EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, body + NONCE_AT) == 1 &&
	    EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)sizeof(aad)) == 1 &&
	    EVP_DecryptUpdate(ctx, plain, &n, body + PLAIN_AT, len) == 1 && n == len &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, LAB_TAG_LEN, tag) == 1)
		err = EVP_DecryptFinal_ex(ctx, plain + len, &n) == 1 ? 0 : ERR_LAB_AUTH;
	EVP_CIPHER_CTX_free(ctx);
	return err;
}

static void put_header(uint8_t *body, const struct lab_key *k, const uint8_t *nonce)
{
	wire_put_u16(body, LAB_VERSION_MINOR, false);
	wire_put_u16(body + 2, LAB_VERSION_MAJOR, false);
	memcpy(body + 4, k->id, LAB_KEY_ID_LEN);
	memcpy(body + NONCE_AT, nonce, LAB_NONCE_LEN);
}

static int check_header(const struct lab_key *k, const uint8_t *body, size_t len, size_t want)
{
	if (len < 4 || wire_get_u16(body + 2, false) != LAB_VERSION_MAJOR)
		return ERR_LAB_NOT_LAB;
	if (wire_get_u16(body, false) != LAB_VERSION_MINOR || len != want)
		return ERR_LAB_MALFORMED;
	return memcmp(body + 4, k->id, LAB_KEY_ID_LEN) == 0 ? 0 : ERR_LAB_KEY;
}

int lab_request_seal(const struct lab_key *k, const uint8_t nonce[LAB_NONCE_LEN],
		     const struct lab_request *rq, uint8_t ret[LAB_REQUEST_LEN])
{
	uint8_t p[RQ_PLAIN];

	memcpy(p, rq->cmid.b, 16);
	memcpy(p + 16, rq->previous_cmid.b, 16);
	memcpy(p + 32, rq->application_id.b, 16);
	memcpy(p + 48, rq->activation_id.b, 16);
	memcpy(p + 64, rq->kms_id.b, 16);
	wire_put_u64le(p + 80, rq->client_time);
	wire_put_u32(p + 88, rq->licence, false);
	wire_put_u32(p + 92, rq->minutes_left, false);
	wire_put_u32(p + 96, rq->n_policy, false);
	wire_put_u32(p + 100, rq->vm ? FLAG_VM : 0, false);
	utf16_put(p + 104, LAB_MACHINE_UNITS, rq->machine);
	put_header(ret, k, nonce);
	return seal(&k->c2s, 'C', p, sizeof(p), ret);
}

int lab_request_open(const struct lab_key *k, const uint8_t *body, size_t len,
		     struct lab_request *ret, uint8_t ret_nonce[LAB_NONCE_LEN])
{
	uint8_t p[RQ_PLAIN];
	int err = check_header(k, body, len, LAB_REQUEST_LEN);

	if (err == 0)
		err = open_sealed(&k->c2s, 'C', body, sizeof(p), p);
	if (err != 0)
		return err;
	if (wire_get_u32(p + 88, false) >= KMS_LICENCE_COUNT_)
		return ERR_LAB_MALFORMED;
	memcpy(ret->cmid.b, p, 16);
	memcpy(ret->previous_cmid.b, p + 16, 16);
	memcpy(ret->application_id.b, p + 32, 16);
	memcpy(ret->activation_id.b, p + 48, 16);
	memcpy(ret->kms_id.b, p + 64, 16);
	ret->client_time = wire_get_u64le(p + 80);
	ret->licence = wire_get_u32(p + 88, false);
	ret->minutes_left = wire_get_u32(p + 92, false);
	ret->n_policy = wire_get_u32(p + 96, false);
	ret->vm = (wire_get_u32(p + 100, false) & FLAG_VM) != 0;
	utf16_get(p + 104, LAB_MACHINE_UNITS, ret->machine);
	memcpy(ret_nonce, body + NONCE_AT, LAB_NONCE_LEN);
	return 0;
}

int lab_response_seal(const struct lab_key *k, const uint8_t nonce[LAB_NONCE_LEN],
		      const struct lab_response *rs, uint8_t ret[LAB_RESPONSE_LEN])
{
	uint8_t p[RS_PLAIN];

	memset(p, 0, sizeof(p));
	memcpy(p, rs->cmid.b, 16);
	wire_put_u64le(p + 16, rs->client_time);
	memcpy(p + 24, rs->request_nonce, LAB_NONCE_LEN);
	wire_put_u32(p + 36, rs->count, false);
	wire_put_u32(p + 40, rs->activation_min, false);
	wire_put_u32(p + 44, rs->renewal_min, false);
	memcpy(p + 48, rs->host_pid, strnlen(rs->host_pid, LAB_PID_MAX - 1));
	put_header(ret, k, nonce);
	return seal(&k->s2c, 'S', p, sizeof(p), ret);
}

int lab_response_open(const struct lab_key *k, const uint8_t *body, size_t len,
		      struct lab_response *ret)
{
	uint8_t p[RS_PLAIN];
	int err = check_header(k, body, len, LAB_RESPONSE_LEN);

	if (err == 0)
		err = open_sealed(&k->s2c, 'S', body, sizeof(p), p);
	if (err != 0)
		return err;
	for (size_t i = 48; i < RS_PLAIN && p[i] != 0; i++)
		if (p[i] < 0x20 || p[i] > 0x7e)
			return ERR_LAB_MALFORMED;
	memcpy(ret->cmid.b, p, 16);
	ret->client_time = wire_get_u64le(p + 16);
	memcpy(ret->request_nonce, p + 24, LAB_NONCE_LEN);
	ret->count = wire_get_u32(p + 36, false);
	ret->activation_min = wire_get_u32(p + 40, false);
	ret->renewal_min = wire_get_u32(p + 44, false);
	memset(ret->host_pid, 0, sizeof(ret->host_pid));
	memcpy(ret->host_pid, p + 48, strnlen((const char *)p + 48, LAB_PID_MAX - 1));
	return 0;
}
