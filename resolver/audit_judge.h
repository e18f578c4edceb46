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
 * Choose the server whose set is the truth - the primary, since that is where changes are made;
 * where it has no answer, the authoritative one with the newest serial (RFC 1982); a resolver where
 * nobody has authority - and compare the others with it.
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
	/** Where the alias at _vlmcs._tcp.DOMAIN leads in the end; NULL: it is none. */
	const struct dns_name *alias_end;
	const struct rsv_expect *expect;
	size_t n_expect;
	const struct rsv_expect *own;
	size_t n_own;
	const struct rsv_journal_row *journal;
	size_t n_journal;
	bool lab;                /* loopback targets are meant */
	bool unasked;            /* no records are no fault */
	uint32_t out_of_time_ms; /* the audit ended after these, unfinished; 0: it is complete */
};
/** Classes, findings (most severe first) and status. 0 or ERR_NOMEM. */
int rsv_judge_findings(struct rsv_audit_result *r, const struct rsv_judge_input *in);

/** A definite answer: records, or that there are none. @p err: of a lookup. */
bool rsv_is_answer(int err);
/** Whether two answers say the same, or one of them nothing definite. */
bool rsv_same_answer(int err_a, const struct rsv_set *a, int err_b, const struct rsv_set *b);
/** The same records, of whatever TTL; an empty set is one, by NXDOMAIN or by NODATA. */
bool rsv_same_set(const struct rsv_set *a, const struct rsv_set *b);
/** Whether the servers do not all name one primary in the SOA, as with domain controllers, of which
 * each names itself: then their serials do not compare. */
bool rsv_many_primaries(const struct rsv_server_view *v, size_t n);

/** The newest serial (RFC 1982) of those with authority. false: there is none. */
bool rsv_newest_serial(const struct rsv_server_view *v, size_t n, uint32_t *ret);

/** Whether serial @p a is older than @p b (RFC 1982; false where that is undefined). */
bool rsv_serial_older(uint32_t a, uint32_t b);

/* ---- between the parts of the judgement ---- */

/** What is wanted of the domain: the complete set where one was given, else what is configured for
 * the view that fits the records best. */
struct rsv_wanted {
	const struct rsv_expect *e;
	size_t n;
	bool complete;
};

/* audit_records.c */
bool rsv_same_host(const struct rsv_expect *e, const struct dns_srv *s);
bool rsv_matches(const struct rsv_expect *e, const struct dns_srv *s);
bool rsv_any_matches(const struct rsv_expect *e, size_t n, const struct dns_srv *s);
/** The expectation for the host of @p s; NULL: none. */
const struct rsv_expect *rsv_for_host(const struct rsv_expect *e, size_t n,
				      const struct dns_srv *s);
/** NULL: the journal has nothing of it. */
const struct rsv_journal_row *rsv_journal_row(const struct rsv_judge_input *in,
					      const struct dns_srv *s);
bool rsv_is_absence(const struct rsv_audit_record *c); /* the target "." */
/** Nobody can be reached through it, as far as was looked. */
bool rsv_is_down(const struct rsv_audit_record *c);
#define RSV_DESCRIBE_MAX 300
/** "kms1.corp.example:1688 (priority 0, weight 10)" */
const char *rsv_describe(const struct dns_srv *s, char buf[RSV_DESCRIBE_MAX]);

/* audit_wanted.c: record i against what is wanted, and the host behind it */
int rsv_judge_wanted(struct rsv_audit_result *r, size_t i, const struct rsv_judge_input *in,
		     const struct rsv_wanted *w);
int rsv_judge_target(struct rsv_audit_result *r, size_t i, const struct rsv_judge_input *in);
int rsv_judge_missing(struct rsv_audit_result *r, const struct rsv_judge_input *in,
		      const struct rsv_wanted *w);

/* audit_set.c */
int rsv_judge_set(struct rsv_audit_result *r, const struct rsv_judge_input *in);

/* audit_servers.c */
int rsv_finding_add(struct rsv_audit_result *r, enum finding_id id, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int rsv_judge_server_findings(struct rsv_audit_result *r, size_t reference);

#endif
