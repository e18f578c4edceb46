#include "tests/lib/fake_tsig.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#define SECRET_LEN 32
#define FUDGE      300
static const uint8_t alg_wire[] = "\13hmac-sha256"; /* its terminator is the root label */

struct out {
	size_t len;
	uint8_t data[70000];
};

static void put(struct out *o, const void *data, size_t len)
{
	assert_true(o->len + len <= sizeof(o->data));
	memcpy(o->data + o->len, data, len);
	o->len += len;
}

static void put_uint(struct out *o, uint64_t v, size_t bytes)
{
	while (bytes-- > 0) {
		uint8_t b = (uint8_t)(v >> (8 * bytes));

		put(o, &b, 1);
	}
}

static void put_name(struct out *o, const char *label)
{
	uint8_t n = (uint8_t)strlen(label);

	put(o, &n, 1);
	put(o, label, (size_t)n + 1);
}

static void digest(const struct out *o, uint8_t mac[32])
{
	uint8_t secret[SECRET_LEN];
	unsigned n = 32;

	for (uint8_t i = 0; i < SECRET_LEN; i++)
		secret[i] = i;
	assert_non_null(HMAC(EVP_sha256(), secret, SECRET_LEN, o->data, o->len, mac, &n));
}

struct tsig_key *fake_tsig_client_key(void)
{
	struct tsig_key *k;

	assert_int_equal(
		tsig_key_parse(FAKE_TSIG_KEY_TEXT, strlen(FAKE_TSIG_KEY_TEXT), "test", &k, NULL),
		0);
	return k;
}

static uint64_t get(const uint8_t *at, size_t bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | *at++;
	return v;
}

/** Past a name. */
static size_t skip_name(const struct fake_dns_request *rq, size_t at)
{
	while (at < rq->len && rq->data[at] != 0) {
		if (rq->data[at] >= 0xc0)
			return at + 2;
		at += (size_t)rq->data[at] + 1;
	}
	return at + 1;
}

/** Where the last record begins, if it is the only TSIG; 0 otherwise. */
static size_t find(const struct fake_dns_request *rq)
{
	size_t at = 12, tsig = 0, rrs = 0;

	if (rq->len < 12)
		return 0;
	for (uint64_t i = get(rq->data + 4, 2); i > 0; i--)
		at = skip_name(rq, at) + 4;
	for (size_t s = 6; s < 12; s += 2)
		rrs += get(rq->data + s, 2);
	for (size_t i = 0; i < rrs; i++) {
		size_t begin = at;

		at = skip_name(rq, at);
		if (at + 10 > rq->len)
			return 0;
		if (get(rq->data + at, 2) == DNS_TYPE_TSIG) {
			if (tsig != 0)
				return 0;
			tsig = begin;
		} else if (tsig != 0) {
			return 0;
		}
		at += 10 + get(rq->data + at + 8, 2);
	}
	return at == rq->len ? tsig : 0;
}

/** RFC 8945 §4.3.3: the variables of a TSIG, in digest form. */
static void put_variables(struct out *o, const char *key, uint64_t time, unsigned error,
			  const void *other, size_t other_len)
{
	put_name(o, key);
	put_uint(o, DNS_CLASS_ANY, 2);
	put_uint(o, 0, 4);
	put(o, alg_wire, sizeof(alg_wire));
	put_uint(o, time, 6);
	put_uint(o, FUDGE, 2);
	put_uint(o, error, 2);
	put_uint(o, other_len, 2);
	put(o, other, other_len);
}

struct fake_tsig fake_tsig_check(const struct fake_dns_request *rq)
{
	static struct out o;
	struct fake_tsig t = { 0 };
	size_t begin = find(rq), at;
	uint8_t mac[32];

	if (begin == 0)
		return t;
	at = skip_name(rq, begin) + 10;
	if (at + sizeof(alg_wire) + 10 > rq->len ||
	    memcmp(rq->data + at, alg_wire, sizeof(alg_wire)) != 0)
		return t;
	at += sizeof(alg_wire);
	t.time_signed = get(rq->data + at, 6);
	t.mac_len = get(rq->data + at + 8, 2);
	if (t.mac_len != sizeof(mac) || at + 10 + t.mac_len + 6 != rq->len)
		return t;
	memcpy(t.mac, rq->data + at + 10, t.mac_len);
	t.original_id = (uint16_t)get(rq->data + at + 10 + t.mac_len, 2);
	o.len = 0;
	put(&o, rq->data, begin);
	o.data[10] = (uint8_t)((get(rq->data + 10, 2) - 1) >> 8);
	o.data[11] = (uint8_t)(get(rq->data + 10, 2) - 1);
	put_variables(&o, FAKE_TSIG_KEY_NAME, t.time_signed, 0, "", 0);
	digest(&o, mac);
	t.valid = memcmp(mac, t.mac, sizeof(mac)) == 0;
	return t;
}

void fake_tsig_sign(struct fake_reply *r, const struct fake_dns_request *rq,
		    const struct fake_tsig_flaws *flaws)
{
	static struct out o;
	struct fake_tsig t = fake_tsig_check(rq);
	const char *key = flaws->key_name != NULL ? flaws->key_name : FAKE_TSIG_KEY_NAME;
	uint64_t time = (uint64_t)((int64_t)t.time_signed + flaws->time_off_s);
	size_t other_len = flaws->error == DNS_RCODE_BADTIME ? 6 : 0;
	bool without = flaws->error == DNS_RCODE_BADSIG || flaws->error == DNS_RCODE_BADKEY;
	struct out other = { 0 };
	uint8_t mac[32];

	put_uint(&other, (uint64_t)((int64_t)t.time_signed + flaws->server_off_s), 6);
	o.len = 0;
	if (!flaws->forget_request) {
		put_uint(&o, t.mac_len, 2);
		put(&o, t.mac, t.mac_len);
	}
	put(&o, r->data, r->len);
	put_variables(&o, key, time, flaws->error, other.data, other_len);
	digest(&o, mac);
	if (flaws->bad_mac)
		mac[31] ^= 1;

	o.len = 0;
	put(&o, alg_wire, sizeof(alg_wire));
	put_uint(&o, time, 6);
	put_uint(&o, FUDGE, 2);
	put_uint(&o, without ? 0 : sizeof(mac), 2);
	put(&o, mac, without ? 0 : sizeof(mac));
	put_uint(&o, t.original_id, 2);
	put_uint(&o, flaws->error, 2);
	put_uint(&o, other_len, 2);
	put(&o, other.data, other_len);
	fake_reply_rr(r, DNS_ADDITIONAL, key, DNS_TYPE_TSIG, DNS_CLASS_ANY, 0, o.data, o.len);
}
