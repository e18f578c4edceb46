#include "kmscore/utf16.h"

#include <string.h>

#include "kmscore/wire.h"

#define REPLACEMENT 0xfffdu

/** One character of @p *text, which moves on by at least a byte. */
static uint32_t utf8_next(const char **text)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *s = (const unsigned char *)*text;
	size_t len = s[0] < 0x80 ? 1 : (s[0] >> 5) == 6 ? 2 : (s[0] >> 4) == 14 ? 3 : 4;
	uint32_t c = s[0];

	*text += 1;
	if (len == 1)
		return c;
	if (len == 4 && (s[0] >> 3) != 30)
		return REPLACEMENT;
	c &= 0xffu >> (len + 1);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80) /* also the NUL at the end */
			return REPLACEMENT;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return REPLACEMENT;
	*text += len - 1;
	return c;
}

void utf16_put(uint8_t *ret, size_t units, const char *text)
{
	size_t n = 0;

	memset(ret, 0, units * 2);
	while (*text != '\0') {
		uint32_t c = utf8_next(&text);

		if (n + (c > 0xffff ? 2 : 1) > units)
			return;
		if (c > 0xffff) {
			c -= 0x10000;
			wire_put_u16(ret + 2 * n++, (uint16_t)(0xd800 | c >> 10), false);
			c = 0xdc00 | (c & 0x3ff);
		}
		wire_put_u16(ret + 2 * n++, (uint16_t)c, false);
	}
}

static char *utf8_put(char *p, uint32_t c)
{
	if (c < 0x80) {
		*p++ = (char)c;
		return p;
	}
	if (c < 0x800) {
		*p++ = (char)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*p++ = (char)(0xe0 | c >> 12);
		} else {
			*p++ = (char)(0xf0 | c >> 18);
			*p++ = (char)(0x80 | (c >> 12 & 0x3f));
		}
		*p++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*p++ = (char)(0x80 | (c & 0x3f));
	return p;
}

void utf16_get(const uint8_t *data, size_t units, char *ret)
{
	for (size_t i = 0; i < units; i++) {
		uint32_t c = wire_get_u16(data + 2 * i, false);
		uint32_t low = i + 1 < units ? wire_get_u16(data + 2 * i + 2, false) : 0;

		if (c == 0)
			break;
		if (c >= 0xd800 && c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
			c = 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
			i++;
		} else if (c >= 0xd800 && c < 0xe000) {
			c = REPLACEMENT;
		}
		ret = utf8_put(ret, c);
	}
	*ret = '\0';
}
