#include "net/tsig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "net/dnsmsg.h"
#include "tests/data/tsig_vectors.h"
#include "tests/lib/hex.h"

#define N(a)     (sizeof(a) / sizeof((a)[0]))
#define WIRE_MAX 1024
#define NOW      TSIG_VECTOR_NOW

static struct tsig_key *make_key(const char *alg, const char *secret)
{
	struct err_info info;
	struct tsig_key *k = NULL;
	char text[512];

	(void)snprintf(text, sizeof(text), "key \"%s\" { algorithm %s; secret \"%s\"; };",
		       TSIG_VECTOR_KEY_NAME, alg, secret);
	if (tsig_key_parse(text, strlen(text), "vector", &k, &info) != 0)
		fail_msg("%s", info.text);
	return k;
}

/* The request of one algorithm, signed by us, with the key. */
static struct tsig_key *make_request(const char *alg, struct tsig_request *ret)
{
	for (size_t i = 0; i < N(tsig_request_vectors); i++) {
		const struct tsig_request_vector *v = &tsig_request_vectors[i];
		struct tsig_key *k;
		uint8_t plain[WIRE_MAX];
		struct buf msg;

		if (strcmp(v->alg, alg) != 0)
			continue;
		k = make_key(v->alg, v->secret);
		buf_init(&msg, DNSMSG_MAX);
		assert_int_equal(
			buf_append(&msg, plain, hex_decode(v->plain, plain, sizeof(plain))), 0);
		assert_int_equal(tsig_sign(k, NOW, &msg, ret), 0);
		buf_done(&msg);
		return k;
	}
	fail_msg("no request for %s", alg);
	return NULL;
}

static const char *secret_of(const char *alg)
{
	for (size_t i = 0; i < N(tsig_request_vectors); i++)
		if (strcmp(tsig_request_vectors[i].alg, alg) == 0)
			return tsig_request_vectors[i].secret;
	return "";
}

static const struct tsig_reply_vector *find_reply(const char *alg, const char *label)
{
	for (size_t i = 0; i < N(tsig_reply_vectors); i++)
		if (strcmp(tsig_reply_vectors[i].alg, alg) == 0 &&
		    strcmp(tsig_reply_vectors[i].label, label) == 0)
			return &tsig_reply_vectors[i];
	fail_msg("no vector %s %s", alg, label);
	return NULL;
}

static int verify_bytes(const uint8_t *wire, size_t len, struct tsig_result *ret)
{
	struct tsig_request req;
	struct tsig_key *k = make_request("hmac-sha256", &req);
	/* exactly as long as it is, so that ASan sees any read past the end */
	uint8_t *exact = malloc(len > 0 ? len : 1);
	int err;

	memcpy(exact, wire, len);
	err = tsig_verify(k, &req, NOW, exact, len, ret);
	free(exact);
	tsig_key_unref(k);
	return err;
}

static int verify_label(const char *label, uint64_t now, struct tsig_result *ret)
{
	struct tsig_request req;
	struct tsig_key *k = make_request("hmac-sha256", &req);
	uint8_t wire[WIRE_MAX];
	size_t len = hex_decode(find_reply("hmac-sha256", label)->wire, wire, sizeof(wire));
	int err = tsig_verify(k, &req, now, wire, len, ret);

	tsig_key_unref(k);
	return err;
}

static void t_T13_L02_all_six_algorithms_sign_as_dnspython_does(void **state)
{
	(void)state;
	assert_int_equal(N(tsig_request_vectors), TSIG_ALG_COUNT_);
	for (size_t i = 0; i < N(tsig_request_vectors); i++) {
		const struct tsig_request_vector *v = &tsig_request_vectors[i];
		struct tsig_key *k = make_key(v->alg, v->secret);
		uint8_t plain[WIRE_MAX], wire[WIRE_MAX], mac[TSIG_MAC_MAX];
		size_t plain_len = hex_decode(v->plain, plain, sizeof(plain));
		size_t wire_len = hex_decode(v->wire, wire, sizeof(wire));
		size_t mac_len = hex_decode(v->mac, mac, sizeof(mac));
		struct tsig_request req;
		struct buf msg;

		assert_string_equal(tsig_key_alg_name(k), v->alg);
		buf_init(&msg, DNSMSG_MAX);
		/* twice with one key: the keyed context is copied, not used up */
		for (int round = 0; round < 2; round++) {
			buf_clear(&msg);
			assert_int_equal(buf_append(&msg, plain, plain_len), 0);
			assert_int_equal(tsig_sign(k, NOW, &msg, &req), 0);
			assert_int_equal(msg.len, wire_len);
			assert_memory_equal(msg.data, wire, wire_len);
			assert_int_equal(req.id, 0x2a17);
			assert_int_equal(req.time_signed, NOW);
			assert_int_equal(req.mac_len, mac_len);
			assert_memory_equal(req.mac, mac, mac_len);
		}
		buf_done(&msg);
		tsig_key_unref(k);
	}
}

/* An error that RFC 8945 does not know, and no signature: it could be from anybody. */
static void t_unknown_error_unsigned(void **state)
{
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < N(tsig_reply_vectors); i++) {
		const struct tsig_reply_vector *v = &tsig_reply_vectors[i];
		struct tsig_request req;
		struct tsig_key *k = make_request(v->alg, &req);
		struct tsig_result res;
		uint8_t wire[WIRE_MAX];
		size_t len = hex_decode(v->wire, wire, sizeof(wire));

		if (v->error == DNS_RCODE_BADKEY && !v->verified) {
			assert_int_equal(wire[len - 3],
					 DNS_RCODE_BADKEY); /* before other-data's length */
			wire[len - 3] = 99;
			assert_int_not_equal(tsig_verify(k, &req, NOW, wire, len, &res),
					     ERR_RCODE_OTHER);
			assert_int_equal(res.error, 99);
			assert_false(res.verified);
			n++;
		}
		tsig_key_unref(k);
	}
	assert_true(n > 0);
}

static void t_L03_L08_replies_are_judged_as_expected(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(tsig_reply_vectors); i++) {
		const struct tsig_reply_vector *v = &tsig_reply_vectors[i];
		struct tsig_request req;
		struct tsig_key *k = make_request(v->alg, &req);
		struct tsig_result res;
		uint8_t wire[WIRE_MAX];
		size_t len = hex_decode(v->wire, wire, sizeof(wire));
		int err = tsig_verify(k, &req, NOW, wire, len, &res);
		/* a reply that is in order tells its time too */
		bool skew_ok = err == 0 ? res.has_skew && llabs(res.skew_s) <= TSIG_FUDGE_S
					: res.has_skew == v->has_skew && res.skew_s == v->skew_s;

		if (err != v->expect || res.error != v->error || res.verified != v->verified ||
		    !skew_ok || !res.present)
			fail_msg("%s %s: %s error=%u verified=%d skew=%lld", v->alg, v->label,
				 err_name(err), res.error, res.verified, (long long)res.skew_s);
		tsig_key_unref(k);
	}
}

static void t_T01_badtime_tells_the_skew(void **state)
{
	struct tsig_result res;

	(void)state;
	assert_int_equal(verify_label("badtime", NOW, &res), ERR_TSIG_PEER_BADTIME);
	assert_true(res.verified && res.has_skew);
	assert_int_equal(res.skew_s, -4000);
	/* a reply that took long: the distance is to our clock as it is now */
	assert_int_equal(verify_label("badtime", NOW + 5, &res), ERR_TSIG_PEER_BADTIME);
	assert_int_equal(res.skew_s, -4005);
}

static void t_T07_forwarded_reply_with_another_id(void **state)
{
	struct tsig_result res;
	uint8_t wire[WIRE_MAX];
	size_t len = hex_decode(find_reply("hmac-sha256", "plain")->wire, wire, sizeof(wire));

	(void)state;
	assert_int_equal(verify_label("forwarded", NOW, &res), 0);
	/* the header's ID is not under the signature, the original ID is */
	wire[0] ^= 0xff;
	assert_int_equal(verify_bytes(wire, len, &res), 0);
	wire[len - 6] ^= 0xff;
	assert_int_equal(verify_bytes(wire, len, &res), ERR_TSIG_BADSIG);
}

static void t_T08_request_mac_is_part_of_the_digest(void **state)
{
	struct tsig_request req;
	struct tsig_key *k = make_request("hmac-sha256", &req);
	struct tsig_result res;
	uint8_t wire[WIRE_MAX];
	size_t len = hex_decode(find_reply("hmac-sha256", "plain")->wire, wire, sizeof(wire));

	(void)state;
	assert_int_equal(tsig_verify(k, &req, NOW, wire, len, &res), 0);
	req.mac[0] ^= 1;
	assert_int_equal(tsig_verify(k, &req, NOW, wire, len, &res), ERR_TSIG_BADSIG);
	assert_int_equal(verify_label("without-request-mac", NOW, &res), ERR_TSIG_BADSIG);
	tsig_key_unref(k);
}

static void t_T09_every_byte_received_is_under_the_signature(void **state)
{
	struct tsig_result res;
	uint8_t wire[WIRE_MAX];
	size_t len = hex_decode(find_reply("hmac-sha256", "edns-and-compression")->wire, wire,
				sizeof(wire));

	(void)state;
	assert_int_equal(verify_bytes(wire, len, &res), 0);
	for (size_t i = 2; i < len; i++) { /* but the ID, see T07 */
		wire[i] ^= 0x01;
		if (verify_bytes(wire, len, &res) == 0)
			fail_msg("octet %zu can be changed", i);
		assert_false(res.verified && res.error == 0);
		wire[i] ^= 0x01;
	}
}

static void t_T10_L03_stale_reply_time(void **state)
{
	static const struct {
		int64_t now;
		int err;
	} rows[] = {
		{ NOW + 1, 0 },
		{ NOW + 301, 0 },
		{ NOW + 302, ERR_TSIG_TIME },
		{ NOW - 299, 0 },
		{ NOW - 300, ERR_TSIG_TIME },
		{ NOW + 600, ERR_TSIG_TIME },
		{ 0, ERR_TSIG_TIME },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) { /* signed at NOW + 1 */
		struct tsig_result res;

		assert_int_equal(verify_label("plain", (uint64_t)rows[i].now, &res), rows[i].err);
		assert_true(res.has_skew);
		assert_int_equal(res.skew_s, (int64_t)NOW + 1 - rows[i].now);
	}
}

static void t_T11_truncated_mac_is_refused(void **state)
{
	struct tsig_result res;

	(void)state;
	assert_int_equal(verify_label("half-mac", NOW, &res), ERR_TSIG_BADSIG);
	assert_int_equal(verify_label("whole-mac", NOW, &res), 0);
	assert_int_equal(verify_label("long-mac", NOW, &res), ERR_TSIG_BADSIG);
	assert_int_equal(verify_label("empty-mac", NOW, &res), ERR_TSIG_BADSIG);
}

/* The key file decides: what it does not name is refused, what it names is taken and made. */
static void t_T11_truncated_mac_is_taken_where_configured(void **state)
{
	static const struct {
		const char *alg, *reply;
		int err;
	} rows[] = {
		{ "hmac-sha256-128", "half-mac", 0 },
		{ "hmac-sha256-128", "plain", 0 },
		{ "hmac-sha256-136", "half-mac", ERR_TSIG_BADSIG },
		{ "hmac-sha256-128", "empty-mac", ERR_TSIG_BADSIG },
		{ "hmac-sha256-128", "long-mac", ERR_TSIG_BADSIG },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const struct tsig_reply_vector *v = find_reply("hmac-sha256", rows[i].reply);
		struct tsig_request req, cut;
		struct tsig_key *full = make_request("hmac-sha256", &req);
		struct tsig_key *k = make_key(rows[i].alg, secret_of("hmac-sha256"));
		struct tsig_result res;
		uint8_t wire[WIRE_MAX];
		struct buf msg;

		assert_string_equal(tsig_key_alg_name(k), rows[i].alg);
		assert_int_equal(tsig_verify(k, &req, NOW, wire,
					     hex_decode(v->wire, wire, sizeof(wire)), &res),
				 rows[i].err);
		buf_init(&msg, DNSMSG_MAX);
		assert_int_equal(buf_append(&msg, wire, 12), 0);
		memset(msg.data, 0, 12);
		assert_int_equal(tsig_sign(k, NOW, &msg, &cut), 0);
		assert_int_equal(cut.mac_len, i == 2 ? 17 : 16);
		buf_done(&msg);
		tsig_key_unref(k);
		tsig_key_unref(full);
	}
}

/* A reply with a TSIG in parts that a row can bend. */
struct bent {
	uint16_t qd, an, ar;
	const char *sections; /* what is before the TSIG */
	const char *tsig;     /* and what is at its place */
	const char *after;
	int expect;
};

#define QUESTION "04636f7270076578616d706c650000060001"
#define NAME     "08686f73742d6b6d7304636f7270076578616d706c6500"
#define ALG      "0b686d61632d73686132353600"
#define MAC      "0000000000000000000000000000000000000000000000000000000000000000"
#define OWNER    NAME "00fa00ff00000000"
#define TSIG_RR  OWNER "003d" ALG "00006553f100 012c 0020" MAC "2a17 0000 0000"
#define A_RR     "00 0001 0001 00000000 0004 7f000001"

static void t_malformed_and_misplaced_signatures(void **state)
{
	static const struct bent rows[] = {
		{ 1, 0, 1, QUESTION, TSIG_RR, "", ERR_TSIG_BADSIG }, /* well-formed, wrong MAC */
		{ 0, 0, 1, "", TSIG_RR, "", ERR_TSIG_BADSIG },
		{ 0, 1, 1, A_RR, TSIG_RR, "", ERR_TSIG_BADSIG },
		{ 0, 0, 0, "", "", "", ERR_TSIG_UNSIGNED },
		{ 1, 0, 0, QUESTION, "", "", ERR_TSIG_UNSIGNED },
		{ 0, 0, 1, "", A_RR, "", ERR_TSIG_UNSIGNED },
		{ 0, 1, 0, "", TSIG_RR, "", ERR_DNS_MALFORMED },      /* in the answer section */
		{ 0, 0, 2, "", TSIG_RR, A_RR, ERR_DNS_MALFORMED },    /* not last */
		{ 0, 0, 2, TSIG_RR, TSIG_RR, "", ERR_DNS_MALFORMED }, /* twice */
		{ 0, 0, 1, "", TSIG_RR, "00", ERR_DNS_MALFORMED },    /* more bytes */
		{ 0, 0, 0, "", TSIG_RR, "", ERR_DNS_MALFORMED },      /* not counted */
		{ 0, 0, 2, "", TSIG_RR, "", ERR_DNS_MALFORMED },      /* counted twice */
		{ 9, 0, 1, QUESTION, TSIG_RR, "", ERR_DNS_MALFORMED },
		{ 0, 65535, 65535, A_RR, TSIG_RR, "", ERR_DNS_MALFORMED },
		/* class IN, TTL 1 */
		{ 0, 0, 1, "",
		  NAME "00fa000100000000 003d" ALG "00006553f100 012c 0020" MAC "2a17 0000 0000",
		  "", ERR_DNS_MALFORMED },
		{ 0, 0, 1, "",
		  NAME "00fa00ff00000001 003d" ALG "00006553f100 012c 0020" MAC "2a17 0000 0000",
		  "", ERR_DNS_MALFORMED },
		/* RDATA: empty, only a name, cut before other length, MAC and other data too long
		 */
		{ 0, 0, 1, "", OWNER "0000", "", ERR_DNS_MALFORMED },
		{ 0, 0, 1, "", OWNER "000d" ALG, "", ERR_DNS_MALFORMED },
		{ 0, 0, 1, "", OWNER "001c" ALG "00006553f100 012c 0000 2a17 0000 00", "",
		  ERR_DNS_MALFORMED },
		{ 0, 0, 1, "", OWNER "001d" ALG "00006553f100 012c 0000 2a17 0000 0000", "",
		  ERR_TSIG_BADSIG },
		{ 0, 0, 1, "", OWNER "001d" ALG "00006553f100 012c 0001 2a17 0000 0000", "",
		  ERR_DNS_MALFORMED },
		{ 0, 0, 1, "", OWNER "001d" ALG "00006553f100 012c ffff 2a17 0000 0000", "",
		  ERR_DNS_MALFORMED },
		{ 0, 0, 1, "", OWNER "001d" ALG "00006553f100 012c 0000 2a17 0000 0001", "",
		  ERR_DNS_MALFORMED },
		{ 0, 0, 1, "", OWNER "001e" ALG "00006553f100 012c 0000 2a17 0000 0000 00", "",
		  ERR_DNS_MALFORMED },
		{ 0, 0, 1, "", OWNER "001d" ALG "00006553f100 012c 0000 2a17 0012 0000", "",
		  ERR_TSIG_PEER_BADTIME }, /* without the server's time: no skew, no crash */
		/* a name that points at itself, forwards, past the end */
		{ 0, 0, 1, "", "c00c 00fa00ff00000000 0000", "", ERR_DNS_MALFORMED },
		{ 0, 0, 1, "", "c00e 00fa00ff00000000 0000", "", ERR_DNS_MALFORMED },
		{ 0, 0, 1, "", "ffff 00fa00ff00000000 0000", "", ERR_DNS_MALFORMED },
		{ 0, 0, 1, "",
		  OWNER "001d c02b"
			"0000000000000000000000"
			"00006553f100 012c 0000 2a17 0000 0000",
		  "", ERR_DNS_MALFORMED },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		const struct bent *r = &rows[i];
		struct tsig_result res;
		uint8_t wire[WIRE_MAX] = { 0x2a, 0x17, 0xa8, 0x00 };
		size_t len = 12;
		int err;

		wire[4] = (uint8_t)(r->qd >> 8), wire[5] = (uint8_t)r->qd;
		wire[6] = (uint8_t)(r->an >> 8), wire[7] = (uint8_t)r->an;
		wire[10] = (uint8_t)(r->ar >> 8), wire[11] = (uint8_t)r->ar;
		len += hex_decode(r->sections, wire + len, sizeof(wire) - len);
		len += hex_decode(r->tsig, wire + len, sizeof(wire) - len);
		len += hex_decode(r->after, wire + len, sizeof(wire) - len);
		err = verify_bytes(wire, len, &res);
		if (err != r->expect || res.has_skew)
			fail_msg("row %zu: %s", i, err_name(err));
	}
}

static void t_any_cut_reply_is_malformed(void **state)
{
	struct tsig_result res;
	uint8_t wire[WIRE_MAX];
	size_t len = hex_decode(find_reply("hmac-sha256", "badtime")->wire, wire, sizeof(wire));

	(void)state;
	for (size_t n = 0; n < len; n++)
		assert_int_equal(verify_bytes(wire, n, &res), ERR_DNS_MALFORMED);
}

static void t_L04_no_second_signature(void **state)
{
	static const uint8_t plain[12] = { 1, 2 };
	struct tsig_request req, again;
	struct tsig_key *k = make_request("hmac-sha256", &req);
	struct buf msg;
	size_t len;

	(void)state;
	buf_init(&msg, DNSMSG_MAX);
	assert_int_equal(buf_append(&msg, plain, sizeof(plain)), 0);
	assert_int_equal(tsig_sign(k, NOW, &msg, &req), 0);
	assert_int_equal(msg.data[11], 1);
	len = msg.len;
	assert_int_equal(tsig_sign(k, NOW, &msg, &again), ERR_INTERNAL);
	assert_int_equal(msg.len, len);
	buf_done(&msg);
	tsig_key_unref(k);
}

static void t_no_room_for_the_signature(void **state)
{
	static const uint8_t plain[12] = { 1, 2 };
	/* one record of an unknown type, with 65450 octets of RDATA */
	static uint8_t large[12 + 11 + 65450] = { 1, 2, [11] = 1, [21] = 0xff, [22] = 0xaa };
	struct tsig_request req;
	struct tsig_key *k = make_request("hmac-sha256", &req);
	struct buf msg;

	(void)state;
	buf_init(&msg, 50);
	assert_int_equal(tsig_sign(k, NOW, &msg, &req), ERR_INTERNAL); /* empty */
	assert_int_equal(buf_append(&msg, plain, sizeof(plain)), 0);
	assert_int_equal(tsig_sign(k, NOW, &msg, &req), ERR_LIMIT);
	assert_int_equal(msg.len, sizeof(plain));
	assert_int_equal(msg.data[11], 0);
	buf_done(&msg);

	/* a message that fits TCP's length field, and would not with the signature */
	buf_init(&msg, 2 * DNSMSG_MAX);
	assert_int_equal(buf_append(&msg, large, sizeof(large)), 0);
	assert_int_equal(tsig_sign(k, NOW, &msg, &req), ERR_LIMIT);
	assert_int_equal(msg.len, sizeof(large));
	buf_done(&msg);
	tsig_key_unref(k);
}

static void t_time_past_32_bits(void **state)
{
	static const uint8_t plain[12] = { 1, 2 };
	const uint64_t late = 0x123456789aull;
	struct tsig_request req;
	struct tsig_key *k = make_request("hmac-sha256", &req);
	struct buf msg;

	(void)state;
	buf_init(&msg, DNSMSG_MAX);
	assert_int_equal(buf_append(&msg, plain, sizeof(plain)), 0);
	assert_int_equal(tsig_sign(k, late, &msg, &req), 0);
	assert_int_equal(req.time_signed, late);
	/* header, owner, fixed part, algorithm: then 48 bits of time */
	assert_memory_equal(msg.data + 12 + 23 + 10 + 13, "\x00\x12\x34\x56\x78\x9a", 6);
	buf_done(&msg);
	tsig_key_unref(k);
}

static void t_T15_a_referenced_key_outlives_its_owner(void **state)
{
	struct tsig_request req;
	struct tsig_key *k = make_request("hmac-sha256", &req);
	struct tsig_key *held = tsig_key_ref(k);
	char buf[DNSNAME_TEXT_MAX];

	(void)state;
	tsig_key_unref(k);
	assert_string_equal(dns_name_format(tsig_key_name(held), buf), TSIG_VECTOR_KEY_NAME);
	tsig_key_unref(held);
	tsig_key_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_T13_L02_all_six_algorithms_sign_as_dnspython_does),
		cmocka_unit_test(t_L03_L08_replies_are_judged_as_expected),
		cmocka_unit_test(t_unknown_error_unsigned),
		cmocka_unit_test(t_T01_badtime_tells_the_skew),
		cmocka_unit_test(t_T07_forwarded_reply_with_another_id),
		cmocka_unit_test(t_T08_request_mac_is_part_of_the_digest),
		cmocka_unit_test(t_T09_every_byte_received_is_under_the_signature),
		cmocka_unit_test(t_T10_L03_stale_reply_time),
		cmocka_unit_test(t_T11_truncated_mac_is_refused),
		cmocka_unit_test(t_T11_truncated_mac_is_taken_where_configured),
		cmocka_unit_test(t_malformed_and_misplaced_signatures),
		cmocka_unit_test(t_any_cut_reply_is_malformed),
		cmocka_unit_test(t_L04_no_second_signature),
		cmocka_unit_test(t_no_room_for_the_signature),
		cmocka_unit_test(t_time_past_32_bits),
		cmocka_unit_test(t_T15_a_referenced_key_outlives_its_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
