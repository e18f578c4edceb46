/** Machine names travel as UTF-16LE in a field of fixed length, and are UTF-8 here. */
#ifndef KMSBEACON_KMSCORE_UTF16_H
#define KMSBEACON_KMSCORE_UTF16_H

#include <stddef.h>
#include <stdint.h>

/**
 * Fill @p units 16-bit units at @p ret, zeros behind the text. What does not fit is cut between
 * characters; a byte that is no UTF-8 becomes U+FFFD.
 */
void utf16_put(uint8_t *ret, size_t units, const char *text);
/** Up to the first zero unit. Half surrogates become U+FFFD. @p ret has room for 3 bytes a unit and
 * a NUL. */
void utf16_get(const uint8_t *data, size_t units, char *ret);

#endif
