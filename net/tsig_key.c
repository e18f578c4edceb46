/* BIND key files: `key "name" { algorithm hmac-sha256; secret "base64"; };` and comments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/tsig_priv.h"

#define NAMES_MAX 256 /* of the names of several keys, in the sentence that refuses them */

enum token_kind { TOK_END, TOK_WORD, TOK_STRING, TOK_PUNCT };

/* A slice of the text: a secret is never copied into a token. */
struct token {
	enum token_kind kind;
	const char *at; /* without the quotes */
	size_t len;
	unsigned line;
};

struct scanner {
	const char *p, *end;
	const char *origin;
	struct err_info *info;
	unsigned line;
};

/* What a file says so far. */
struct parsed_key {
	bool has_alg, has_secret;
	struct dns_name name;
	enum tsig_alg alg;
	size_t mac_len;
	struct secret secret;
};

static bool starts(const struct scanner *s, const char *what)
{
	size_t len = strlen(what);

	return (size_t)(s->end - s->p) >= len && memcmp(s->p, what, len) == 0;
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_punct(char c)
{
	return c == '{' || c == '}' || c == ';';
}

/* BIND takes a comment wherever it is not inside quotes, also right behind a word. */
static bool at_comment(const struct scanner *s)
{
	return starts(s, "#") || starts(s, "//") || starts(s, "/*");
}

static void step(struct scanner *s)
{
	if (*s->p++ == '\n')
		s->line++;
}

static int skip_comment(struct scanner *s)
{
	unsigned line = s->line;

	if (!starts(s, "/*")) {
		while (s->p < s->end && *s->p != '\n')
			s->p++;
		return 0;
	}
	s->p += 2;
	while (s->p < s->end && !starts(s, "*/"))
		step(s);
	if (s->p == s->end)
		return err_set(s->info, ERR_PARSE, "%s:%u: this comment has no end", s->origin,
			       line);
	s->p += 2;
	return 0;
}

static int scan_string(struct scanner *s, struct token *t)
{
	t->kind = TOK_STRING;
	t->at = ++s->p;
	while (s->p < s->end && *s->p != '"' && *s->p != '\n') {
		if (*s->p == '\\' && s->end - s->p > 1 && s->p[1] != '\n')
			s->p++; /* \" does not end it; the name parser reads the escape */
		s->p++;
	}
	if (s->p == s->end || *s->p != '"')
		return err_set(s->info, ERR_PARSE, "%s:%u: a closing \" is missing", s->origin,
			       t->line);
	t->len = (size_t)(s->p++ - t->at);
	return 0;
}

static int next_token(struct scanner *s, struct token *t)
{
	while (s->p < s->end && (is_blank(*s->p) || at_comment(s))) {
		if (is_blank(*s->p))
			step(s);
		else if (skip_comment(s) != 0)
			return ERR_PARSE;
	}
	*t = (struct token){ .kind = TOK_END, .at = s->p, .line = s->line };
	if (s->p == s->end)
		return 0;
	if (*s->p == '"')
		return scan_string(s, t);
	if (is_punct(*s->p)) {
		t->kind = TOK_PUNCT;
		t->len = 1;
		s->p++;
		return 0;
	}
	t->kind = TOK_WORD;
	while (s->p < s->end && !is_blank(*s->p) && !is_punct(*s->p) && *s->p != '"' &&
	       !at_comment(s))
		s->p++;
	t->len = (size_t)(s->p - t->at);
	return 0;
}

static bool token_is(const struct token *t, const char *word)
{
	return (t->kind == TOK_WORD || t->kind == TOK_PUNCT) && t->len == strlen(word) &&
	       strncasecmp(t->at, word, t->len) == 0;
}

static int expect(struct scanner *s, const char *punct, const char *after)
{
	struct token t;

	if (next_token(s, &t) != 0)
		return ERR_PARSE;
	if (t.kind == TOK_PUNCT && token_is(&t, punct))
		return 0;
	return err_set(s->info, ERR_PARSE, "%s:%u: '%s' is missing after %s", s->origin, t.line,
		       punct, after);
}

static int next_value(struct scanner *s, struct token *t, const char *what)
{
	if (next_token(s, t) != 0)
		return ERR_PARSE;
	if (t->kind == TOK_WORD || t->kind == TOK_STRING)
		return 0;
	return err_set(s->info, ERR_PARSE, "%s:%u: %s is missing", s->origin, t->line, what);
}

static int read_name(struct scanner *s, struct dns_name *ret)
{
	char text[DNSNAME_TEXT_MAX];
	struct token t;

	if (next_value(s, &t, "the name of the key") != 0)
		return ERR_PARSE;
	if (t.len < sizeof(text) && memchr(t.at, '\0', t.len) == NULL) {
		memcpy(text, t.at, t.len);
		text[t.len] = '\0';
		if (dns_name_parse(text, ret) == 0)
			return 0;
	}
	return err_set(s->info, ERR_PARSE, "%s:%u: the name of the key is not a domain name",
		       s->origin, t.line);
}

static size_t least_bits(int alg)
{
	size_t half = 4 * tsig_algs[alg].mac_len;

	return half > 80 ? half : 80;
}

/* hmac-sha256-128 and its like: whole octets, at least 80 bits and half of the hash (RFC 8945
 * §5.2.2.1). 0 where @p text is no such number. */
static size_t read_bits(const char *text, size_t len, int alg)
{
	size_t bits = 0;

	if (len == 0 || len > 3)
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		bits = 10 * bits + (size_t)(text[i] - '0');
	}
	if (bits % 8 != 0 || bits < least_bits(alg) || bits > 8 * tsig_algs[alg].mac_len)
		return 0;
	return bits / 8;
}

static int read_algorithm(struct scanner *s, struct parsed_key *k)
{
	struct token t;
	size_t len;

	if (next_value(s, &t, "the algorithm") != 0)
		return ERR_PARSE;
	len = t.len > 0 && t.at[t.len - 1] == '.' ? t.len - 1 : t.len;
	for (int i = 0; i < TSIG_ALG_COUNT_; i++) {
		const char *names[2] = { tsig_algs[i].name, tsig_algs[i].wire };

		for (size_t j = 0; j < 2; j++) {
			size_t n = strlen(names[j]);

			if (len < n || strncasecmp(t.at, names[j], n) != 0)
				continue;
			k->mac_len = tsig_algs[i].mac_len;
			if (len > n && t.at[n] == '-')
				k->mac_len = read_bits(t.at + n + 1, len - n - 1, i);
			else if (len > n)
				continue;
			if (k->mac_len == 0)
				return err_set(s->info, ERR_PARSE,
					       "%s:%u: %s can be cut to a multiple of 8 bits from "
					       "%zu to %zu (RFC 8945, 5.2.2.1)",
					       s->origin, t.line, names[j], least_bits(i),
					       8 * tsig_algs[i].mac_len);
			k->alg = (enum tsig_alg)i;
			k->has_alg = true;
			return 0;
		}
	}
	/* not repeated: a secret may stand here, or follow without a blank (failure-modes T14) */
	return err_set(s->info, ERR_PARSE,
		       "%s:%u: unknown algorithm; known are hmac-sha1, -sha224, -sha256, -sha384, "
		       "-sha512 and hmac-md5",
		       s->origin, t.line);
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Strict: padding required, unused bits zero; blanks inside are skipped, as BIND does. */
static int decode_base64(const char *text, size_t len, struct secret *ret)
{
	uint32_t bits = 0;
	unsigned digits = 0, pad = 0;

	for (size_t i = 0; i < len; i++) {
		int v = base64_value(text[i]);

		if (is_blank(text[i]))
			continue;
		if (text[i] == '=' && digits % 4 + pad >= 2 && digits % 4 + pad < 4) {
			pad++;
			continue;
		}
		if (v < 0 || pad > 0)
			return ERR_PARSE;
		bits = bits << 6 | (uint32_t)v;
		if (digits++ % 4 == 0)
			continue;
		if (ret->len == sizeof(ret->bytes))
			return ERR_LIMIT;
		ret->bytes[ret->len++] = (uint8_t)(bits >> (6 - (digits - 1) % 4 * 2));
	}
	if ((digits + pad) % 4 != 0)
		return ERR_PARSE;
	if ((pad == 1 && (bits & 0x3) != 0) || (pad == 2 && (bits & 0xf) != 0))
		return ERR_PARSE;
	return 0;
}

static int read_secret(struct scanner *s, struct parsed_key *k)
{
	struct token t;
	int err;

	if (next_value(s, &t, "the secret") != 0)
		return ERR_PARSE;
	secret_wipe(&k->secret);
	err = decode_base64(t.at, t.len, &k->secret);
	if (err == ERR_LIMIT)
		return err_set(s->info, ERR_PARSE, "%s:%u: the secret is longer than %d bytes",
			       s->origin, t.line, SECRET_MAX);
	if (err != 0)
		return err_set(s->info, ERR_PARSE,
			       "%s:%u: the secret is not base64; copy it whole, with any '=' at "
			       "its end",
			       s->origin, t.line);
	if (k->secret.len == 0)
		return err_set(s->info, ERR_PARSE, "%s:%u: the secret is empty", s->origin, t.line);
	k->has_secret = true;
	return 0;
}

static int read_setting(struct scanner *s, const struct token *t, struct parsed_key *k)
{
	bool alg = token_is(t, "algorithm");

	if (!alg && !token_is(t, "secret"))
		return err_set(s->info, ERR_PARSE,
			       "%s:%u: a key has 'algorithm NAME;' and 'secret \"BASE64\";', "
			       "nothing else",
			       s->origin, t->line);
	if (alg ? k->has_alg : k->has_secret)
		return err_set(s->info, ERR_PARSE, "%s:%u: the %s is given twice", s->origin,
			       t->line, alg ? "algorithm" : "secret");
	if ((alg ? read_algorithm(s, k) : read_secret(s, k)) != 0)
		return ERR_PARSE;
	return expect(s, ";", alg ? "the algorithm" : "the secret");
}

/* What follows the word "key". */
static int read_key(struct scanner *s, struct parsed_key *k)
{
	struct token t;

	if (read_name(s, &k->name) != 0 || expect(s, "{", "the name of the key") != 0)
		return ERR_PARSE;
	for (;;) {
		if (next_token(s, &t) != 0)
			return ERR_PARSE;
		if (t.kind == TOK_PUNCT && token_is(&t, "}"))
			break;
		if (t.kind == TOK_END)
			return err_set(s->info, ERR_PARSE, "%s:%u: the closing '}' is missing",
				       s->origin, t.line);
		if (read_setting(s, &t, k) != 0)
			return ERR_PARSE;
	}
	if (!k->has_alg || !k->has_secret)
		return err_set(s->info, ERR_PARSE, "%s:%u: the key has no %s", s->origin, t.line,
			       k->has_alg ? "secret" : "algorithm");
	return expect(s, ";", "'}'");
}

static void note_name(char names[NAMES_MAX], const struct dns_name *n)
{
	size_t used = strlen(names);
	char text[DNSNAME_TEXT_MAX];

	(void)snprintf(names + used, NAMES_MAX - used, "%s%s", used > 0 ? ", " : "",
		       dns_name_format(n, text));
}

static int read_file(struct scanner *s, struct parsed_key *ret)
{
	struct parsed_key further = { 0 };
	char names[NAMES_MAX] = "";
	unsigned count = 0;
	int err = 0;

	for (;;) {
		struct parsed_key *k = count == 0 ? ret : &further;
		struct token t;

		memset(k, 0, sizeof(*k));
		err = next_token(s, &t);
		if (err != 0 || t.kind == TOK_END)
			break;
		if (!token_is(&t, "key")) {
			err = err_set(s->info, ERR_PARSE,
				      "%s:%u: expected: key \"NAME\" { algorithm hmac-sha256; "
				      "secret \"BASE64\"; };",
				      s->origin, t.line);
			break;
		}
		err = read_key(s, k);
		if (err != 0)
			break;
		note_name(names, &k->name);
		count++;
	}
	secret_wipe(&further.secret);
	if (err == 0 && count == 0)
		err = err_set(s->info, ERR_PARSE, "%s holds no key; tsig-keygen writes one into it",
			      s->origin);
	if (err == 0 && count > 1)
		err = err_set(s->info, ERR_PARSE, "%s holds %u keys (%s); give each its own file",
			      s->origin, count, names);
	return err;
}

int tsig_key_parse(const char *text, size_t len, const char *origin, struct tsig_key **ret,
		   struct err_info *info)
{
	struct scanner s = {
		.p = text, .end = text + len, .origin = origin, .info = info, .line = 1
	};
	struct parsed_key k;
	int err;

	if (starts(&s, "\xef\xbb\xbf")) /* which editors on Windows put in front */
		s.p += 3;
	err = read_file(&s, &k);
	if (err == 0) {
		err = tsig_key_new(&k.name, k.alg, k.mac_len, &k.secret, ret);
		if (err == ERR_NOT_FOUND)
			err = err_set(info, ERR_PARSE,
				      "%s: this machine's libcrypto does not do %s", origin,
				      tsig_algs[k.alg].name);
		else if (err != 0)
			(void)err_set(info, err, "%s: %s", origin, err_text(err));
	}
	secret_wipe(&k.secret);
	return err;
}

int tsig_key_load(const char *path, struct tsig_key **ret, struct err_info *info)
{
	struct buf b;
	int err;

	buf_init(&b, TSIG_KEY_FILE_MAX);
	err = secret_read_file(path, &b, info);
	if (err == 0)
		err = tsig_key_parse((const char *)b.data, b.len, path, ret, info);
	if (b.data != NULL)
		mem_wipe(b.data, b.cap);
	buf_done(&b);
	return err;
}
