#include "kmscore/guid.h"

#include <stddef.h>
#include <string.h>

#include "common/err.h"

bool guid_equal(const struct guid *a, const struct guid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool guid_is_zero(const struct guid *g)
{
	static const struct guid zero;

	return guid_equal(g, &zero);
}

static bool dash_before(size_t byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void guid_format(const struct guid *g, char buf[GUID_TEXT_MAX])
{
	static const char hex[] = "0123456789abcdef";
	size_t at = 0;

	for (size_t i = 0; i < sizeof(g->b); i++) {
		if (dash_before(i))
			buf[at++] = '-';
		buf[at++] = hex[g->b[i] >> 4];
		buf[at++] = hex[g->b[i] & 15];
	}
	buf[at] = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int guid_parse(const char *text, struct guid *ret)
{
	struct guid g;
	size_t at = 0;

	for (size_t i = 0; i < sizeof(g.b); i++) {
		int hi, lo;

		if (dash_before(i) && text[at++] != '-')
			return ERR_PARSE;
		hi = hex_value(text[at]);
		lo = hi < 0 ? -1 : hex_value(text[at + 1]); /* never behind the end */
		if (lo < 0)
			return ERR_PARSE;
		g.b[i] = (uint8_t)(hi << 4 | lo);
		at += 2;
	}
	if (text[at] != '\0')
		return ERR_PARSE;
	*ret = g;
	return 0;
}

void guid_random(struct rng *rng, struct guid *ret)
{
	rng_bytes(rng, ret->b, sizeof(ret->b));
	ret->b[6] = (uint8_t)((ret->b[6] & 0x0f) | 0x40);
	ret->b[8] = (uint8_t)((ret->b[8] & 0x3f) | 0x80);
}
