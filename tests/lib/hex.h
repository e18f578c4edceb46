/** Hexadecimal text of test vectors, to bytes. */
#ifndef KMSBEACON_TESTS_LIB_HEX_H
#define KMSBEACON_TESTS_LIB_HEX_H

#include <stddef.h>
#include <stdint.h>

/** Blanks are skipped. Fails the test on anything else, and past @p max. @return the length. */
size_t hex_decode(const char *text, uint8_t *out, size_t max);

#endif
