#include "tests/lib/kms_vectors.h"

#include "tests/lib/hex.h"

struct bytes vec(const char *hex)
{
	struct bytes v = { 0 };

	v.len = hex_decode(hex, v.b, sizeof(v.b));
	return v;
}
