#include "tests/lib/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the above, which it needs */
#include <cmocka.h>

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t hex_decode(const char *text, uint8_t *out, size_t max)
{
	size_t n = 0;

	while (*text != '\0') {
		if (*text == ' ') {
			text++;
			continue;
		}
		if (digit(text[0]) < 0 || digit(text[1]) < 0 || n == max)
			fail_msg("bad hexadecimal text at: %.20s", text);
		out[n++] = (uint8_t)(digit(text[0]) * 16 + digit(text[1]));
		text += 2;
	}
	return n;
}
