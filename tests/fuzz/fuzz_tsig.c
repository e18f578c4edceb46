/*
 * tsig: any reply is judged without a crash, and only a right MAC makes it verified; a message that
 * we sign is well-formed to us, and not a right reply to itself.
 */
#include <string.h>

#include "net/dnsmsg.h"
#include "net/tsig.h"
#include "tests/data/tsig_vectors.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/hex.h"

static struct tsig_key *key;
static struct tsig_request request;

/* The request of the vectors, whose replies are the first inputs. */
static void set_up(void)
{
	for (size_t i = 0; i < sizeof(tsig_request_vectors) / sizeof(tsig_request_vectors[0]);
	     i++) {
		const struct tsig_request_vector *v = &tsig_request_vectors[i];
		char text[512];
		int n;

		if (strcmp(v->alg, "hmac-sha256") != 0)
			continue;
		n = snprintf(text, sizeof(text), "key %s { algorithm %s; secret \"%s\"; };",
			     TSIG_VECTOR_KEY_NAME, v->alg, v->secret);
		FUZZ_CHECK(tsig_key_parse(text, (size_t)n, "vector", &key, NULL) == 0);
		request.id = 0x2a17;
		request.time_signed = TSIG_VECTOR_NOW;
		request.mac_len = hex_decode(v->mac, request.mac, sizeof(request.mac));
		return;
	}
	abort();
}

static void check_verify(const uint8_t *data, size_t size)
{
	struct tsig_result res;
	int err = tsig_verify(key, &request, TSIG_VECTOR_NOW, data, size, &res);

	switch (err) {
	case 0:
		FUZZ_CHECK(res.verified && res.error == 0 && res.has_skew);
		break;
	case ERR_TSIG_TIME:
	case ERR_RCODE_OTHER:
		FUZZ_CHECK(res.verified);
		break;
	case ERR_TSIG_KEY:
	case ERR_TSIG_BADSIG:
		FUZZ_CHECK(res.present && !res.verified);
		break;
	case ERR_TSIG_UNSIGNED:
	case ERR_DNS_MALFORMED:
		FUZZ_CHECK(!res.present && !res.verified && !res.has_skew);
		break;
	default:
		FUZZ_CHECK(err <= ERR_TSIG_PEER_BADSIG && err >= ERR_TSIG_PEER_BADTRUNC);
		FUZZ_CHECK(res.present && res.error != 0);
	}
	FUZZ_CHECK(!res.verified || res.present);
}

static void check_sign(const uint8_t *data, size_t size)
{
	struct tsig_request req;
	struct tsig_result res;
	struct buf msg;
	int err;

	buf_init(&msg, DNSMSG_MAX);
	FUZZ_CHECK(buf_append(&msg, data, size) == 0);
	err = tsig_sign(key, TSIG_VECTOR_NOW, &msg, &req);
	if (err == 0) {
		FUZZ_CHECK(msg.len > size && req.mac_len == 32);
		/* the digest of a reply begins with the request's MAC */
		FUZZ_CHECK(tsig_verify(key, &req, TSIG_VECTOR_NOW, msg.data, msg.len, &res) ==
			   ERR_TSIG_BADSIG);
		FUZZ_CHECK(tsig_sign(key, TSIG_VECTOR_NOW, &msg, &req) == ERR_INTERNAL);
	} else {
		FUZZ_CHECK(err == ERR_INTERNAL || err == ERR_LIMIT);
		FUZZ_CHECK(msg.len == size && (size == 0 || memcmp(msg.data, data, size) == 0));
	}
	buf_done(&msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > DNSMSG_MAX)
		return 0;
	if (key == NULL)
		set_up();
	check_verify(data, size);
	check_sign(data, size);
	return 0;
}
