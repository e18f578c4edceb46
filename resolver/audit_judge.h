/**
 * The judgement of an audit: pure code that turns what servers and probes said into states,
 * classes, findings and a status. audit.c asks, this decides.
 *
 * Order: rsv_judge_servers() after each round of answers; rsv_judge_records() once they have
 * settled; then, with `target` of each record filled in, rsv_judge_findings().
 */
#ifndef KMSBEACON_RESOLVER_AUDIT_JUDGE_H
#define KMSBEACON_RESOLVER_AUDIT_JUDGE_H

#include "resolver/audit.h"

#define RSV_NO_SERVER SIZE_MAX

/** How far servers with authority agree, by what may still come of it. */
enum rsv_agreement {
	RSV_AGREE,
	RSV_DIFFER, /* at one serial: only a question that fell between two answers heals it */
	RSV_LAG,    /* some have an older zone: a transfer may be on its way */
};

/**
 * Choose the server whose set is the truth - authoritative, with the newest serial (RFC 1982), the
 * primary among equals; a resolver where nobody has authority - and compare the others with it.
 * Sets .state of each. @p zone may be NULL or unset: not known. @p ret_unsettled: servers disagree
 * in a way that time may heal.
 * @return its index, or RSV_NO_SERVER where nobody answered.
 */
size_t rsv_judge_servers(struct rsv_server_view *v, size_t n, const struct dns_name *zone,
			 enum rsv_agreement *ret_agreement);

/** Fill r->records from r->servers[reference]: records, "." and probabilities. 0 or ERR_NOMEM. */
int rsv_judge_records(struct rsv_audit_result *r, size_t reference);

struct rsv_judge_input {
	size_t reference; /* or RSV_NO_SERVER */
	bool aliased;     /* _vlmcs._tcp.DOMAIN is a CNAME */
	const struct rsv_expect *expect;
	size_t n_expect;
	const struct rsv_expect *own;
	size_t n_own;
};
/** Classes, findings (most severe first) and status. 0 or ERR_NOMEM. */
int rsv_judge_findings(struct rsv_audit_result *r, const struct rsv_judge_input *in);

/** Whether serial @p a is older than @p b (RFC 1982; false where that is undefined). */
bool rsv_serial_older(uint32_t a, uint32_t b);

/* audit_servers.c, for audit_records.c */
int rsv_finding_add(struct rsv_audit_result *r, enum finding_id id, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int rsv_judge_server_findings(struct rsv_audit_result *r, size_t reference);

#endif
