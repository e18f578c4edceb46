/** JSON of `discover` (design §3). */
#ifndef KMSBEACON_RESOLVER_DISCOVER_REPORT_H
#define KMSBEACON_RESOLVER_DISCOVER_REPORT_H

#include <jansson.h>

#include "resolver/discover.h"

/** A new reference; NULL without memory. */
json_t *rsv_discover_report(const struct rsv_discovery *r);

#endif
