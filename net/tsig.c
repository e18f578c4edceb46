#include "net/tsig.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/dnsmsg.h"
#include "net/dnswire.h"
#include "net/tsig_priv.h"

#define OFFSET_ARCOUNT 10
#define TIME_LEN       6
#define VARS_MAX       (2 * DNSNAME_WIRE_MAX + 18)
#define RR_MAX         (2 * DNSNAME_WIRE_MAX + 26 + TSIG_MAC_MAX)
#define SLICES_MAX     6

const struct tsig_alg_row tsig_algs[TSIG_ALG_COUNT_] = {
	[TSIG_HMAC_SHA1] = { "hmac-sha1", "hmac-sha1", "SHA1", 20 },
	[TSIG_HMAC_SHA224] = { "hmac-sha224", "hmac-sha224", "SHA224", 28 },
	[TSIG_HMAC_SHA256] = { "hmac-sha256", "hmac-sha256", "SHA256", 32 },
	[TSIG_HMAC_SHA384] = { "hmac-sha384", "hmac-sha384", "SHA384", 48 },
	[TSIG_HMAC_SHA512] = { "hmac-sha512", "hmac-sha512", "SHA512", 64 },
	[TSIG_HMAC_MD5] = { "hmac-md5", "hmac-md5.sig-alg.reg.int", "MD5", 16 },
};

struct tsig_key {
	unsigned refs;
	enum tsig_alg alg;
	size_t mac_len; /* of what we sign, and the least that we take */
	struct dns_name name;
	struct dns_name alg_name;
	char text[32];      /* the algorithm as a key file has it */
	EVP_MAC_CTX *keyed; /* never used itself: each MAC is made by a copy */
};

/* RDATA as received (RFC 8945 §4.2); pointers into the message. */
struct tsig_rdata {
	struct dns_name alg_name;
	uint64_t time_signed;
	uint16_t fudge, orig_id, error;
	const uint8_t *mac, *other;
	size_t mac_len, other_len;
};

/* A writer into an array that is large enough by its declaration. */
struct cursor {
	uint8_t *at;
};

static void put_bytes(struct cursor *c, const void *bytes, size_t len)
{
	if (len > 0)
		memcpy(c->at, bytes, len);
	c->at += len;
}

static void put_uint(struct cursor *c, uint64_t v, unsigned octets)
{
	while (octets-- > 0)
		*c->at++ = (uint8_t)(v >> (8 * octets));
}

static void put_name(struct cursor *c, const struct dns_name *n)
{
	put_bytes(c, n->wire, n->len);
}

static EVP_MAC_CTX *new_keyed_ctx(const char *digest, const struct secret *secret)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
	char digest_name[16];
	OSSL_PARAM params[2];

	(void)strncpy(digest_name, digest, sizeof(digest_name) - 1);
	digest_name[sizeof(digest_name) - 1] = '\0';
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name, 0);
	params[1] = OSSL_PARAM_construct_end();
	if (ctx != NULL && EVP_MAC_init(ctx, secret->bytes, secret->len, params) != 1) {
		EVP_MAC_CTX_free(ctx);
		ctx = NULL;
	}
	EVP_MAC_free(mac); /* the context holds its own reference */
	return ctx;
}

int tsig_key_new(const struct dns_name *name, enum tsig_alg alg, size_t mac_len,
		 const struct secret *secret, struct tsig_key **ret)
{
	struct tsig_key *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return ERR_NOMEM;
	k->refs = 1;
	k->alg = alg;
	k->mac_len = mac_len;
	(void)snprintf(k->text, sizeof(k->text), "%s", tsig_algs[alg].name);
	if (mac_len < tsig_algs[alg].mac_len)
		(void)snprintf(k->text, sizeof(k->text), "%s-%zu", tsig_algs[alg].name,
			       8 * mac_len);
	k->name = *name;
	k->keyed = new_keyed_ctx(tsig_algs[alg].digest, secret);
	if (k->keyed == NULL || dns_name_parse(tsig_algs[alg].wire, &k->alg_name) != 0) {
		tsig_key_unref(k);
		return ERR_NOT_FOUND;
	}
	*ret = k;
	return 0;
}

struct tsig_key *tsig_key_ref(struct tsig_key *k)
{
	k->refs++;
	return k;
}

void tsig_key_unref(struct tsig_key *k)
{
	if (k == NULL || --k->refs > 0)
		return;
	EVP_MAC_CTX_free(k->keyed); /* which wipes its copy of the secret */
	free(k);
}

const struct dns_name *tsig_key_name(const struct tsig_key *k)
{
	return &k->name;
}

const char *tsig_key_alg_name(const struct tsig_key *k)
{
	return k->text;
}

struct slice {
	const uint8_t *at;
	size_t len;
};

static int compute_mac(const struct tsig_key *k, const struct slice *slices, size_t n,
		       uint8_t out[TSIG_MAC_MAX])
{
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(k->keyed);
	size_t len = 0;
	int ok = ctx != NULL;

	for (size_t i = 0; ok == 1 && i < n; i++)
		if (slices[i].len > 0)
			ok = EVP_MAC_update(ctx, slices[i].at, slices[i].len);
	if (ok == 1)
		ok = EVP_MAC_final(ctx, out, &len, TSIG_MAC_MAX);
	EVP_MAC_CTX_free(ctx);
	return ok == 1 && len == tsig_algs[k->alg].mac_len ? 0 : ERR_NOMEM;
}

/* The TSIG variables (RFC 8945 §4.3.3), other data left out: name and algorithm are the key's own,
 * which the caller found equal to the received ones, so they are canonical. */
static size_t put_variables(uint8_t out[VARS_MAX], const struct tsig_key *k, uint64_t time_signed,
			    uint16_t fudge, uint16_t error, size_t other_len)
{
	struct cursor c = { out };

	put_name(&c, &k->name);
	put_uint(&c, DNS_CLASS_ANY, 2);
	put_uint(&c, 0, 4); /* TTL */
	put_name(&c, &k->alg_name);
	put_uint(&c, time_signed, TIME_LEN);
	put_uint(&c, fudge, 2);
	put_uint(&c, error, 2);
	put_uint(&c, other_len, 2);
	return (size_t)(c.at - out);
}

/*
 * Find the TSIG record, which must be the last of all and end the message. 0, ERR_TSIG_UNSIGNED or
 * ERR_DNS_MALFORMED. Work is bounded by the length: a record takes at least DNSWIRE_RR_MIN bytes.
 */
static int find_tsig(const uint8_t *msg, size_t len, struct dnswire_rr *ret)
{
	struct dnswire w = { .msg = msg, .len = len };
	struct dnswire_header h;
	struct dns_name name;
	uint16_t type, rclass;
	uint32_t total;

	if (len > DNSMSG_MAX || dnswire_header(&w, &h) != 0)
		return ERR_DNS_MALFORMED;
	for (unsigned i = 0; i < h.qd; i++)
		if (dnswire_question(&w, &name, &type, &rclass) != 0)
			return ERR_DNS_MALFORMED;
	total = (uint32_t)h.an + h.ns + h.ar;
	for (uint32_t i = 1; i <= total; i++) {
		if (dnswire_rr(&w, ret) != 0)
			return ERR_DNS_MALFORMED;
		if (ret->type == DNS_TYPE_TSIG && (i < total || h.ar == 0))
			return ERR_DNS_MALFORMED; /* not last, or not in the additional section */
	}
	if (w.pos != len)
		return ERR_DNS_MALFORMED;
	return total > 0 && ret->type == DNS_TYPE_TSIG ? 0 : ERR_TSIG_UNSIGNED;
}

int tsig_sign(struct tsig_key *k, uint64_t now_s, struct buf *msg, struct tsig_request *ret_req)
{
	uint8_t vars[VARS_MAX], rr[RR_MAX];
	struct tsig_request req = { .time_signed = now_s, .mac_len = k->mac_len };
	struct cursor c = { rr };
	struct dnswire_rr frame;
	struct slice slices[2];
	int err;

	if (find_tsig(msg->data, msg->len, &frame) != ERR_TSIG_UNSIGNED)
		return ERR_INTERNAL;
	req.id = dnswire_u16(msg->data);
	slices[0] = (struct slice){ msg->data, msg->len };
	slices[1] = (struct slice){ vars, put_variables(vars, k, now_s, TSIG_FUDGE_S, 0, 0) };
	err = compute_mac(k, slices, 2, req.mac);
	if (err != 0)
		return err;

	put_name(&c, &k->name);
	put_uint(&c, DNS_TYPE_TSIG, 2);
	put_uint(&c, DNS_CLASS_ANY, 2);
	put_uint(&c, 0, 4); /* TTL */
	put_uint(&c, k->alg_name.len + req.mac_len + TIME_LEN + 10, 2);
	put_name(&c, &k->alg_name);
	put_uint(&c, now_s, TIME_LEN);
	put_uint(&c, TSIG_FUDGE_S, 2);
	put_uint(&c, req.mac_len, 2);
	put_bytes(&c, req.mac, req.mac_len);
	put_uint(&c, req.id, 2); /* original ID */
	put_uint(&c, 0, 2);      /* error */
	put_uint(&c, 0, 2);      /* other length */
	if (msg->len + (size_t)(c.at - rr) > DNSMSG_MAX)
		return ERR_LIMIT;
	err = buf_append(msg, rr, (size_t)(c.at - rr));
	if (err != 0)
		return err;
	c.at = msg->data + OFFSET_ARCOUNT;
	put_uint(&c, dnswire_u16(c.at) + 1u, 2); /* DNSMSG_MAX has no room for 65535 of them */
	*ret_req = req;
	return 0;
}

static int parse_rdata(const uint8_t *msg, const struct dnswire_rr *frame, struct tsig_rdata *ret)
{
	struct dnswire w = { .msg = msg, .len = frame->end, .pos = frame->rdata };
	const uint8_t *at;
	size_t left;

	if (frame->rclass != DNS_CLASS_ANY || frame->ttl != 0)
		return ERR_DNS_MALFORMED;
	if (dnswire_name(&w, &ret->alg_name) != 0)
		return ERR_DNS_MALFORMED;
	at = msg + w.pos;
	left = frame->end - w.pos;
	if (left < 16)
		return ERR_DNS_MALFORMED;
	ret->time_signed = (uint64_t)dnswire_u16(at) << 32 | dnswire_u32(at + 2);
	ret->fudge = dnswire_u16(at + 6);
	ret->mac_len = dnswire_u16(at + 8);
	ret->mac = at + 10;
	if (left - 16 < ret->mac_len)
		return ERR_DNS_MALFORMED;
	at += 10 + ret->mac_len;
	left -= 16 + ret->mac_len;
	ret->orig_id = dnswire_u16(at);
	ret->error = dnswire_u16(at + 2);
	ret->other_len = dnswire_u16(at + 4);
	ret->other = at + 6;
	return left == ret->other_len ? 0 : ERR_DNS_MALFORMED;
}

/* The server's complaint as an error; 0 where it has none, ERR_RCODE_OTHER where we know it not. */
static int peer_error(uint16_t error)
{
	switch (error) {
	case DNS_RCODE_NOERROR:
		return 0;
	case DNS_RCODE_BADSIG:
		return ERR_TSIG_PEER_BADSIG;
	case DNS_RCODE_BADKEY:
		return ERR_TSIG_PEER_BADKEY;
	case DNS_RCODE_BADTIME:
		return ERR_TSIG_PEER_BADTIME;
	case DNS_RCODE_BADTRUNC:
		return ERR_TSIG_PEER_BADTRUNC;
	default:
		return ERR_RCODE_OTHER;
	}
}

/* RFC 8945 §5.3: the digest of a reply begins with the request's MAC. */
static int check_mac(const struct tsig_key *k, const struct tsig_request *req, const uint8_t *reply,
		     const struct dnswire_rr *frame, const struct tsig_rdata *rd)
{
	uint8_t req_mac_len[2], header[DNSWIRE_HEADER], vars[VARS_MAX], mac[TSIG_MAC_MAX];
	struct cursor c = { req_mac_len };
	size_t vars_len;
	int err;

	if (rd->mac_len < k->mac_len || rd->mac_len > tsig_algs[k->alg].mac_len)
		return ERR_TSIG_BADSIG;
	put_uint(&c, req->mac_len, 2);
	/* as it was when the server signed: a forwarder may have put another ID in front since */
	memcpy(header, reply, sizeof(header));
	c.at = header;
	put_uint(&c, rd->orig_id, 2);
	c.at = header + OFFSET_ARCOUNT;
	put_uint(&c, dnswire_u16(reply + OFFSET_ARCOUNT) - 1u, 2);
	vars_len = put_variables(vars, k, rd->time_signed, rd->fudge, rd->error, rd->other_len);

	const struct slice slices[SLICES_MAX] = {
		{ req_mac_len, sizeof(req_mac_len) },
		{ req->mac, req->mac_len },
		{ header, sizeof(header) },
		{ reply + sizeof(header), frame->start - sizeof(header) },
		{ vars, vars_len },
		{ rd->other, rd->other_len },
	};
	err = compute_mac(k, slices, SLICES_MAX, mac);
	if (err != 0)
		return err;
	return CRYPTO_memcmp(mac, rd->mac, rd->mac_len) == 0 ? 0 : ERR_TSIG_BADSIG;
}

static void set_skew(struct tsig_result *ret, uint64_t server_s, uint64_t now_s)
{
	ret->has_skew = true;
	ret->skew_s = (int64_t)(server_s - now_s);
}

int tsig_verify(struct tsig_key *k, const struct tsig_request *req, uint64_t now_s,
		const uint8_t *reply, size_t len, struct tsig_result *ret)
{
	struct dnswire_rr frame;
	struct tsig_rdata rd;
	uint64_t off;
	int err, peer;

	*ret = (struct tsig_result){ 0 };
	err = find_tsig(reply, len, &frame);
	if (err == 0)
		err = parse_rdata(reply, &frame, &rd);
	if (err != 0)
		return err;
	ret->present = true;
	ret->error = rd.error;
	peer = peer_error(rd.error);
	if (rd.error == DNS_RCODE_BADTIME && rd.other_len == TIME_LEN)
		set_skew(ret, (uint64_t)dnswire_u16(rd.other) << 32 | dnswire_u32(rd.other + 2),
			 now_s);
	if (!dns_name_equal(&frame.owner, &k->name))
		return ERR_TSIG_KEY;
	/* a server that does not know our algorithm cannot repeat it with certainty */
	if (rd.mac_len == 0 && peer != 0 && peer != ERR_RCODE_OTHER)
		return peer;
	if (!dns_name_equal(&rd.alg_name, &k->alg_name))
		return ERR_TSIG_KEY;
	err = check_mac(k, req, reply, &frame, &rd);
	if (err != 0)
		return err;
	ret->verified = true;
	if (peer != 0)
		return peer; /* BADTIME repeats our time, not its own (RFC 8945 §5.2.3) */
	off = now_s > rd.time_signed ? now_s - rd.time_signed : rd.time_signed - now_s;
	set_skew(ret, rd.time_signed, now_s);
	return off > rd.fudge ? ERR_TSIG_TIME : 0;
}
