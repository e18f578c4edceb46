/*
 * Clients that have the lab key and ask what they like: each request gets one answer, which opens
 * where it has a body and is an answer to it; a body goes with success alone; a client that only
 * waits a month is forgotten.
 *
 * First octet: the rules of the host. Then requests: an octet of kind and of hours that pass, one
 * of length, and the fields in their order, or a body as it is.
 */
#include <string.h>

#include "common/hresult.h"
#include "kmscore/kms.h"
#include "kmscore/lab_host.h"
#include "tests/fuzz/fuzz.h"

#define REQUESTS_MAX 200
#define WALL_MS      INT64_C(1790000000000)

static const uint8_t raw_key[LAB_KEY_LEN] = "the key of the fuzzer, no secret";
static int64_t now_ms;

static uint64_t mono(void *ctx)
{
	(void)ctx;
	return (uint64_t)(now_ms - WALL_MS);
}

static int64_t wall(void *ctx)
{
	(void)ctx;
	return now_ms;
}

static void take(void *to, size_t n, const uint8_t **at, size_t *left)
{
	size_t some = n < *left ? n : *left;

	memset(to, 0, n);
	memcpy(to, *at, some);
	*at += some;
	*left -= some;
}

/* The clock of the client is near the host's, but for what the input says. */
static void fill(struct lab_request *rq, const uint8_t *at, size_t left)
{
	int16_t minutes_off;

	memset(rq, 0, sizeof(*rq));
	take(&minutes_off, sizeof(minutes_off), &at, &left);
	take(&rq->licence, 1, &at, &left);
	rq->licence %= KMS_LICENCE_COUNT_;
	take(&rq->cmid, sizeof(rq->cmid), &at, &left);
	take(&rq->n_policy, sizeof(rq->n_policy), &at, &left);
	take(&rq->minutes_left, sizeof(rq->minutes_left), &at, &left);
	take(&rq->vm, 1, &at, &left);
	rq->vm = left % 2 != 0;
	take(&rq->activation_id, sizeof(rq->activation_id), &at, &left);
	take(&rq->application_id, sizeof(rq->application_id), &at, &left);
	take(&rq->kms_id, sizeof(rq->kms_id), &at, &left);
	take(&rq->previous_cmid, sizeof(rq->previous_cmid), &at, &left);
	take(rq->machine, sizeof(rq->machine) - 1, &at, &left);
	rq->client_time = lab_filetime(now_ms + minutes_off * KMS_MINUTE_MS);
}

static void check_answer(const struct lab_key *k, const struct lab_request *rq,
			 const uint8_t nonce[LAB_NONCE_LEN], const struct lab_answer *a)
{
	struct lab_response rs;

	FUZZ_CHECK(a->body_len == 0 || a->body_len == LAB_RESPONSE_LEN);
	FUZZ_CHECK((a->hresult == HR_OK) == (a->body_len > 0));
	if (a->body_len == 0)
		return;
	FUZZ_CHECK(rq != NULL && lab_response_open(k, a->body, a->body_len, &rs) == 0);
	FUZZ_CHECK(guid_equal(&rs.cmid, &rq->cmid) && rs.client_time == rq->client_time);
	FUZZ_CHECK(memcmp(rs.request_nonce, nonce, LAB_NONCE_LEN) == 0);
	FUZZ_CHECK(rs.activation_min == 120 && rs.renewal_min == 10080 && rs.count > 0);
}

static void request(struct lab_host *h, const struct lab_key *k, unsigned kind, const uint8_t *data,
		    size_t len)
{
	static uint8_t nonce[LAB_NONCE_LEN];
	uint8_t body[LAB_REQUEST_LEN];
	struct lab_answer answer;
	struct lab_request rq;
	struct addr peer;

	FUZZ_CHECK(addr_parse("192.0.2.1:1024", 0, &peer) == 0);
	if (kind == 0) {
		lab_host_request(h, &peer, data, len, &answer);
		check_answer(k, NULL, nonce, &answer);
		return;
	}
	fill(&rq, data, len);
	nonce[0]++;
	FUZZ_CHECK(lab_request_seal(k, nonce, &rq, body) == 0);
	lab_host_request(h, &peer, body, sizeof(body), &answer);
	check_answer(k, &rq, nonce, &answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct clock clock = { mono, wall, NULL };
	struct lab_host_params p = { .clock = &clock };
	struct lab_host host;
	struct lab_key k;
	struct rng rng;

	if (size == 0)
		return 0;
	now_ms = WALL_MS;
	log_setup(LOG_ERROR, LOG_TEXT, 2);
	rng_init_seed(&rng, 1);
	FUZZ_CHECK(lab_key_derive(raw_key, &k) == 0);
	p.key = &k;
	p.rng = &rng;
	p.rules = (struct lab_rules){ 120, 10080, data[0] & 0x7f, (data[0] & 0x80) != 0 };
	lab_host_init(&host, &p);
	data++;
	size--;
	for (unsigned i = 0; size >= 2 && i < REQUESTS_MAX; i++) {
		unsigned kind = data[0] & 3;
		size_t len = data[1] < size - 2 ? data[1] : size - 2;

		now_ms += (data[0] >> 2) * (KMS_DAY_MS / 24);
		request(&host, &k, kind, data + 2, len);
		data += 2 + len;
		size -= 2 + len;
	}
	now_ms += KMS_CMID_LIFE_MS;
	FUZZ_CHECK(kms_clients_count(&host.memory->clients, now_ms) == 0);
	lab_host_done(&host);
	lab_key_wipe(&k);
	return 0;
}
