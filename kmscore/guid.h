/**
 * GUIDs as 16 bytes in the order in which their text shows them (RFC 9562). Which order goes onto a
 * wire is the codec's matter: DCE/RPC turns the first three fields by its byte order, the lab does
 * not.
 */
#ifndef KMSBEACON_KMSCORE_GUID_H
#define KMSBEACON_KMSCORE_GUID_H

#include <stdbool.h>
#include <stdint.h>

#include "common/rng.h"

struct guid {
	uint8_t b[16];
};

#define GUID_TEXT_MAX 37

bool guid_equal(const struct guid *a, const struct guid *b);
bool guid_is_zero(const struct guid *g);
/** Lower case, without braces. */
void guid_format(const struct guid *g, char buf[GUID_TEXT_MAX]);
/** 36 characters, either case, without braces. @return 0 or ERR_PARSE. */
int guid_parse(const char *text, struct guid *ret);
/** A random one (version 4). */
void guid_random(struct rng *rng, struct guid *ret);

#endif
