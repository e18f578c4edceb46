/** What one `verify` adds up over its domains, and the line of `--nagios` that is made of it. */
#ifndef KMSBEACON_RESOLVER_TOTALS_H
#define KMSBEACON_RESOLVER_TOTALS_H

#include "resolver/audit.h"

#define RSV_TOTALS_WORST_MAX 1200 /* a name and the text of a finding */

/** Sums over the domains of one `verify`. Zeroed is empty. */
struct rsv_verify_totals {
	enum rsv_status status; /* the worst */
	size_t domains;
	size_t by_status[RSV_STATUS_COUNT_];
	size_t records, hosts_up, hosts_down;
	size_t findings[FINDING_SEVERITY_COUNT_];
	size_t by_id[FINDING_COUNT_]; /* domains that have the finding */
	/** The first domain with the worst status: "DOMAIN: its first finding"; "" none. */
	char worst[RSV_TOTALS_WORST_MAX];
	size_t worst_index;
	size_t worst_more; /* further findings of that domain, information left out */
};
/** @p index: the place of the domain in the input. Audits end in any order, and what is told first
 * should not depend on that. */
void rsv_verify_totals_add(struct rsv_verify_totals *t, size_t index,
			   const struct rsv_audit_result *r);
/** A domain that could not be audited, as @p text says: unknown. */
void rsv_verify_totals_add_unknown(struct rsv_verify_totals *t, size_t index, const char *text);

#define RSV_NAGIOS_MAX 1024
/**
 * "KMS OK - corp.example: 2 records ... | domains=1;;;0 ...": the line of `--nagios`, without
 * newline, as the Monitoring Plugins' development guidelines have it: one line, the only bar before
 * the performance data, 'label'=value[UOM];[warn];[crit];[min];[max]. Whatever a peer sent is
 * printable ASCII here and has no bar.
 */
const char *rsv_verify_nagios(const struct rsv_verify_totals *t, uint64_t took_ms,
			      char buf[RSV_NAGIOS_MAX]);

#endif
