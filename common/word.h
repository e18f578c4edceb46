/** "Did you mean ...": how far two words are apart. Pure. */
#ifndef KMSBEACON_COMMON_WORD_H
#define KMSBEACON_COMMON_WORD_H

#define WORD_MAX 160 /* bytes; longer words are far from everything */

/** Letters missing, added, changed, or two swapped, at the least; UINT32_MAX beyond WORD_MAX. */
unsigned word_distance(const char *a, const char *b);

#endif
