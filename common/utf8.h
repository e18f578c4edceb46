/** Text as UTF-8 (RFC 3629), for who must not pass on anything else: logs, JSON, a terminal. */
#ifndef KMSBEACON_COMMON_UTF8_H
#define KMSBEACON_COMMON_UTF8_H

#include <stddef.h>

/** Bytes of the well-formed sequence of two to four at @p s, which ends with a NUL; 0 where there
 * is none. The C1 controls count as none: a terminal obeys them. */
size_t utf8_len(const unsigned char *s);
/** Each byte of @p text that is neither ASCII nor part of such a sequence becomes '?': what was cut
 * at a length may end within a character. */
void utf8_mend(char *text);

#endif
