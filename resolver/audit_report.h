/** JSON of `verify` (design §3), and its Nagios line. */
#ifndef KMSBEACON_RESOLVER_AUDIT_REPORT_H
#define KMSBEACON_RESOLVER_AUDIT_REPORT_H

#include <jansson.h>

#include "resolver/audit.h"

/** One element of `domains[]` - in bulk, one line. A new reference; NULL without memory. */
json_t *rsv_audit_report(const struct rsv_audit_result *r);
/** The whole object; @p domains is stolen, also on failure. */
json_t *rsv_verify_report(enum rsv_status status, json_t *domains);

/** Sums over the domains of one `verify`. Zeroed is empty. */
struct rsv_verify_totals {
	enum rsv_status status; /* the worst */
	size_t domains;
	size_t by_status[RSV_STATUS_COUNT_];
	size_t records, hosts_up, hosts_down;
	size_t findings[FINDING_SEVERITY_COUNT_];
	char worst[RSV_FINDING_TEXT_MAX]; /* the first finding of the worst domain; "" none */
};
void rsv_verify_totals_add(struct rsv_verify_totals *t, const struct rsv_audit_result *r);

#define RSV_NAGIOS_MAX 1024
/** "KMS OK - 2 domains ok | domains=2 ...": the line of `--nagios`, without newline. */
void rsv_verify_nagios(const struct rsv_verify_totals *t, char buf[RSV_NAGIOS_MAX]);

#endif
