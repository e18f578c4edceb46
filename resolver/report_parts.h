/** JSON values that the reports of discover and verify share. Each returns a new reference, or NULL
 * without memory. */
#ifndef KMSBEACON_RESOLVER_REPORT_PARTS_H
#define KMSBEACON_RESOLVER_REPORT_PARTS_H

#include <jansson.h>

#include "net/prober.h"
#include "resolver/lookup.h"

/** null for a name that is not set. */
json_t *rsv_json_name(const struct dns_name *n);
/** "192.0.2.1"; null where unset. */
json_t *rsv_json_host(const struct addr *a);
/** "192.0.2.1:53"; null where unset. */
json_t *rsv_json_addr(const struct addr *a);
json_t *rsv_json_hosts(const struct addr *a, size_t n);
/** {state, rtt_ms, address, detail}; null where @p r is NULL. */
json_t *rsv_json_probe(const struct probe_result *r);
json_t *rsv_json_queries(const struct rsv_queries *q);
/** {target, port, priority, weight, ttl}: to be extended. */
json_t *rsv_json_record(const struct rsv_record *r);
/** A time or probability, not negative, in steps of 1/per_unit: no digits that mean nothing. */
json_t *rsv_json_rounded(double v, unsigned per_unit);

/**
 * Put @p value (stolen) under @p key; false without memory or where value is NULL, so that calls
 * can be chained with &&.
 */
bool rsv_json_set(json_t *o, const char *key, json_t *value);
/** The same for an array. */
bool rsv_json_append(json_t *a, json_t *value);

#endif
