#include "tests/lib/kms_vectors.h"

#include <stdlib.h>

static unsigned digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	abort();
}

struct bytes vec(const char *hex)
{
	struct bytes v = { 0 };

	for (; *hex != '\0'; hex += 2) {
		if (*hex == ' ')
			hex++;
		if (v.len == sizeof(v.b))
			abort();
		v.b[v.len++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
	}
	return v;
}
