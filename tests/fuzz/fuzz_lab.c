/*
 * The lab envelope: bytes from outside never open (they would have to forge AES-GCM); fields made
 * of them survive sealing and opening; one changed bit of a sealed message is noticed, and so is
 * one that is cut off.
 */
#include <string.h>

#include "common/err.h"
#include "kmscore/kms.h"
#include "kmscore/lab.h"
#include "tests/fuzz/fuzz.h"

static const uint8_t raw_key[LAB_KEY_LEN] = "the key of the fuzzer, no secret";
static const uint8_t nonce[LAB_NONCE_LEN] = { 1, 2, 3 };

static void check_outside(const struct lab_key *k, const uint8_t *data, size_t size)
{
	uint8_t body[LAB_REQUEST_LEN], got_nonce[LAB_NONCE_LEN];
	struct lab_response rs;
	struct lab_request rq;

	FUZZ_CHECK(lab_request_open(k, data, size, &rq, got_nonce) != 0);
	FUZZ_CHECK(lab_response_open(k, data, size, &rs) != 0);
	if (size < sizeof(body))
		return;
	/* and with the header that it would have to guess */
	memcpy(body, data, sizeof(body));
	memcpy(body, "\x01\x00\x42\x4c", 4);
	memcpy(body + 4, k->id, sizeof(k->id));
	FUZZ_CHECK(lab_request_open(k, body, sizeof(body), &rq, got_nonce) == ERR_LAB_AUTH);
	FUZZ_CHECK(lab_response_open(k, body, LAB_RESPONSE_LEN, &rs) == ERR_LAB_AUTH);
}

/** Fields from @p data; the name is any bytes, so opening may give it back changed, but only once.
 */
static void check_fields(const struct lab_key *k, const uint8_t *data, size_t size)
{
	struct lab_request rq = { .licence = size > 0 ? data[0] % KMS_LICENCE_COUNT_ : 0 };
	uint8_t body[LAB_REQUEST_LEN], again[LAB_REQUEST_LEN], got_nonce[LAB_NONCE_LEN];
	size_t name = size < sizeof(rq.machine) - 1 ? size : sizeof(rq.machine) - 1;
	struct lab_request a, b;

	memcpy(rq.cmid.b, data, size < 16 ? size : 16);
	memcpy(rq.machine, data, name);
	rq.client_time = size;
	rq.vm = size % 2 != 0;
	FUZZ_CHECK(lab_request_seal(k, nonce, &rq, body) == 0);
	FUZZ_CHECK(lab_request_open(k, body, sizeof(body), &a, got_nonce) == 0);
	FUZZ_CHECK(memcmp(nonce, got_nonce, sizeof(nonce)) == 0);
	FUZZ_CHECK(guid_equal(&a.cmid, &rq.cmid) && a.licence == rq.licence && a.vm == rq.vm);
	FUZZ_CHECK(a.client_time == rq.client_time);
	FUZZ_CHECK(lab_request_seal(k, nonce, &a, again) == 0);
	FUZZ_CHECK(lab_request_open(k, again, sizeof(again), &b, got_nonce) == 0);
	FUZZ_CHECK(strcmp(a.machine, b.machine) == 0);
	FUZZ_CHECK(lab_request_open(k, body, size % sizeof(body), &b, got_nonce) != 0);
	if (size >= 2) {
		size_t bit = (size_t)(data[0] << 8 | data[1]) % (8 * sizeof(body));

		body[bit / 8] ^= (uint8_t)(1u << bit % 8);
		FUZZ_CHECK(lab_request_open(k, body, sizeof(body), &a, got_nonce) != 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lab_key k;

	FUZZ_CHECK(lab_key_derive(raw_key, &k) == 0);
	check_outside(&k, data, size);
	if (size > 0)
		check_fields(&k, data, size);
	FUZZ_CHECK(lab_filetime_ms(lab_filetime((int64_t)size)) == (int64_t)size);
	return 0;
}
