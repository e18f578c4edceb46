#include "tests/sim/dns_tsig.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

/* ---- key files ---- */

/** What follows @p word in the text, up to a blank, a quote, ';' or a brace. */
static bool value_of(const char *text, const char *word, char *ret, size_t size)
{
	const char *at = strstr(text, word);
	size_t n;

	if (at == NULL)
		return false;
	at += strlen(word);
	at += strspn(at, " \t\n\"");
	n = strcspn(at, " \t\n\";{");
	if (n == 0 || n >= size)
		return false;
	memcpy(ret, at, n);
	ret[n] = '\0';
	return true;
}

bool sim_key_parse(struct sim_key *ret, const char *text)
{
	char name[SIM_DNS_NAME_MAX], base64[4 * SIM_KEY_SECRET_MAX / 3];
	size_t n;
	int len;

	memset(ret, 0, sizeof(*ret));
	if (!value_of(text, "key ", name, sizeof(name)) || !sim_name_make(ret->name, name) ||
	    !value_of(text, "algorithm ", ret->alg, sizeof(ret->alg)) ||
	    !value_of(text, "secret ", base64, sizeof(base64)))
		return false;
	n = strlen(base64);
	len = EVP_DecodeBlock(ret->secret, (const unsigned char *)base64, (int)n);
	if (len <= 0)
		return false;
	ret->len = (size_t)len;
	while (n > 0 && base64[--n] == '=')
		ret->len--;
	return true;
}

/* ---- signatures ---- */

static const EVP_MD *digest_of(const char *alg)
{
	const EVP_MD *md = strncmp(alg, "hmac-", 5) == 0 ? EVP_get_digestbyname(alg + 5) : NULL;

	if (md == NULL && strcmp(alg, "hmac-md5.sig-alg.reg.int") == 0)
		md = EVP_md5();
	return md;
}

static bool same_alg(const struct sim_key *k, const char *alg)
{
	size_t n = strlen(k->alg);

	return strncmp(alg, k->alg, n) == 0 &&
	       (alg[n] == '\0' || strcmp(alg + n, ".sig-alg.reg.int") == 0);
}

static size_t mac_of(const struct sim_key *k, const struct sim_out *o, uint8_t ret[SIM_MAC_MAX])
{
	unsigned n = SIM_MAC_MAX;

	if (HMAC(digest_of(k->alg), k->secret, (int)k->len, o->data, o->len, ret, &n) == NULL)
		sim_fail("cannot compute a TSIG with %s", k->alg);
	return n;
}

/** §4.3.3 */
static void put_variables(struct sim_out *o, const struct sim_tsig_rr *t, uint64_t time,
			  unsigned error, uint64_t other, size_t other_len)
{
	sim_out_name(o, t->key, false);
	sim_out_uint(o, C_ANY, 2);
	sim_out_uint(o, 0, 4);
	sim_out_name(o, t->alg, false);
	sim_out_uint(o, time, 6);
	sim_out_uint(o, t->fudge, 2);
	sim_out_uint(o, error, 2);
	sim_out_uint(o, other_len, 2);
	sim_out_uint(o, other, other_len);
}

static void digest_begin(struct sim_out *o)
{
	o->len = o->n_names = 0;
	o->max = sizeof(o->data);
	o->full = false;
}

unsigned sim_tsig_check(const struct sim_msg *m, const uint8_t *data, const struct sim_key *key,
			uint64_t now)
{
	static struct sim_out o;
	const struct sim_tsig_rr *t = &m->tsig;
	unsigned count = (unsigned)(data[10] << 8 | data[11]) - 1;
	uint8_t mac[SIM_MAC_MAX];
	uint64_t off = now > t->time ? now - t->time : t->time - now;
	size_t n;

	if (key == NULL || !same_alg(key, t->alg))
		return R_BADKEY;
	digest_begin(&o);
	sim_out_uint(&o, t->original_id, 2);
	sim_out_bytes(&o, data + 2, 8);
	sim_out_uint(&o, count, 2);
	sim_out_bytes(&o, data + 12, t->at - 12);
	put_variables(&o, t, t->time, t->error, 0, 0);
	n = mac_of(key, &o, mac);
	if (n != t->mac_len || memcmp(mac, t->mac, n) != 0)
		return R_BADSIG;
	return off > t->fudge ? R_BADTIME : 0;
}

size_t sim_tsig_room(const struct sim_msg *m)
{
	return m->tsig.at == 0 ? 0
			       : strlen(m->tsig.key) + 2 + 10 + strlen(m->tsig.alg) + 2 + 16 +
					 SIM_MAC_MAX + 6;
}

void sim_tsig_sign(struct sim_out *o, const struct sim_msg *m, const struct sim_key *key,
		   unsigned error, uint64_t now)
{
	static struct sim_out digest;
	const struct sim_tsig_rr *t = &m->tsig;
	uint64_t time = error == R_BADTIME ? t->time : now;
	size_t other_len = error == R_BADTIME ? 6 : 0, n = 0, length_at;
	uint8_t mac[SIM_MAC_MAX];

	if (key != NULL && error != R_BADKEY && error != R_BADSIG) {
		digest_begin(&digest);
		sim_out_uint(&digest, t->mac_len, 2);
		sim_out_bytes(&digest, t->mac, t->mac_len);
		sim_out_uint(&digest, t->original_id, 2);
		sim_out_bytes(&digest, o->data + 2, o->len - 2);
		put_variables(&digest, t, time, error, now, other_len);
		n = mac_of(key, &digest, mac);
	}
	o->max += sim_tsig_room(m);
	sim_out_name(o, t->key, false);
	sim_out_uint(o, T_TSIG, 2);
	sim_out_uint(o, C_ANY, 2);
	sim_out_uint(o, 0, 4);
	length_at = o->len;
	sim_out_uint(o, 0, 2);
	sim_out_name(o, t->alg, false);
	sim_out_uint(o, time, 6);
	sim_out_uint(o, t->fudge, 2);
	sim_out_uint(o, n, 2);
	sim_out_bytes(o, mac, n);
	sim_out_uint(o, t->original_id, 2);
	sim_out_uint(o, error, 2);
	sim_out_uint(o, other_len, 2);
	sim_out_uint(o, now, other_len);
	o->data[length_at] = (uint8_t)((o->len - length_at - 2) >> 8);
	o->data[length_at + 1] = (uint8_t)(o->len - length_at - 2);
	sim_out_count(o, S_ADDITIONAL);
}
