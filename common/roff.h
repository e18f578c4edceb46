/** Text for a manual page, in roff: nothing in it is taken as a request or an escape. */
#ifndef KMSBEACON_COMMON_ROFF_H
#define KMSBEACON_COMMON_ROFF_H

#include <stddef.h>
#include <stdio.h>

/** @p len octets of one line. */
void roff_print(const char *text, size_t len, FILE *out);

#endif
