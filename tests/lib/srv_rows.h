/** SRV sets for tests of what is done with them. */
#ifndef KMSBEACON_TESTS_LIB_SRV_ROWS_H
#define KMSBEACON_TESTS_LIB_SRV_ROWS_H

#include "resolver/order.h"

struct rsv_record srv_row(unsigned priority, unsigned weight, const char *target, unsigned port);
/** One priority, targets a.example, b.example ... in the order of @p weights. @return n. */
size_t srv_group(const unsigned *weights, size_t n, struct rsv_record *ret);
/** Which one of a group it is. */
size_t srv_index(const struct rsv_record *r);

#endif
