/** JSON of `verify` (design §3). */
#ifndef KMSBEACON_RESOLVER_AUDIT_REPORT_H
#define KMSBEACON_RESOLVER_AUDIT_REPORT_H

#include <jansson.h>

#include "resolver/audit.h"

/** One element of `domains[]` - in bulk, one line. A new reference; NULL without memory. */
json_t *rsv_audit_report(const struct rsv_audit_result *r);

#endif
