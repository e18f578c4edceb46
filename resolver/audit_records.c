/* Part of audit_judge.h: names, the records and their classes, and the verdict. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/audit_judge.h"

/* ---- names ----------------------------------------------------------------------------------- */

const char *rsv_class_name(enum rsv_class c)
{
	static const char *const names[RSV_CLASS_COUNT_] = {
		[RSV_C_MINE_HEALTHY] = "mine-healthy",
		[RSV_C_MINE_DOWN] = "mine-down",
		[RSV_C_EXPECTED] = "expected",
		[RSV_C_FOREIGN_KNOWN] = "foreign-known",
		[RSV_C_FOREIGN_UNKNOWN] = "foreign-unknown",
		[RSV_C_DEAD_TARGET] = "dead-target",
		[RSV_C_TARGET_CNAME] = "target-cname",
		[RSV_C_ABSENT_BY_DOT] = "absent-by-dot",
	};

	return c < RSV_CLASS_COUNT_ ? names[c] : "unknown";
}

const char *rsv_journal_state_name(enum rsv_journal_state s)
{
	static const char *const names[RSV_J_STATE_COUNT_] = {
		[RSV_J_NONE] = "none",
		[RSV_J_PUBLISHED] = "published",
		[RSV_J_ADOPTED] = "adopted",
		[RSV_J_WITHDRAWN] = "withdrawn",
	};

	return s < RSV_J_STATE_COUNT_ ? names[s] : "unknown";
}

const char *rsv_server_role_name(enum rsv_server_role r)
{
	static const char *const names[RSV_ROLE_COUNT_] = {
		[RSV_ROLE_NS] = "ns",
		[RSV_ROLE_SERVER] = "server",
		[RSV_ROLE_RESOLVER] = "resolver",
	};

	return r < RSV_ROLE_COUNT_ ? names[r] : "unknown";
}

const char *rsv_server_state_name(enum rsv_server_state s)
{
	static const char *const names[RSV_S_STATE_COUNT_] = {
		[RSV_S_OK] = "ok",           [RSV_S_LAGGING] = "lagging",
		[RSV_S_DIFFERS] = "differs", [RSV_S_STALE] = "stale",
		[RSV_S_LAME] = "lame",       [RSV_S_UNREACHABLE] = "unreachable",
	};

	return s < RSV_S_STATE_COUNT_ ? names[s] : "unknown";
}

const char *rsv_status_name(enum rsv_status s)
{
	static const char *const names[RSV_STATUS_COUNT_] = {
		[RSV_OK_] = "ok",
		[RSV_WARN_] = "warning",
		[RSV_CRIT_] = "critical",
		[RSV_UNKNOWN_] = "unknown",
	};

	return s < RSV_STATUS_COUNT_ ? names[s] : "unknown";
}

int rsv_status_exit_code(enum rsv_status s)
{
	return s < RSV_STATUS_COUNT_ ? (int)s : (int)RSV_UNKNOWN_;
}

enum rsv_status rsv_status_worst(enum rsv_status a, enum rsv_status b)
{
	static const unsigned rank[RSV_STATUS_COUNT_] = {
		[RSV_OK_] = 0,
		[RSV_WARN_] = 1,
		[RSV_UNKNOWN_] = 2,
		[RSV_CRIT_] = 3,
	};

	return rank[a] >= rank[b] ? a : b;
}

/* ---- records --------------------------------------------------------------------------------- */

int rsv_judge_records(struct rsv_audit_result *r, size_t reference)
{
	const struct rsv_set *set = &r->servers[reference].set;
	size_t n = set->n + (set->absent ? 1 : 0);
	double *p;

	if (n == 0)
		return 0;
	p = calloc(n, sizeof(*p));
	r->records = calloc(n, sizeof(*r->records));
	if (p == NULL || r->records == NULL) {
		free(p);
		return ERR_NOMEM;
	}
	rsv_probability(set->rec, set->n, RSV_MODERN, p);
	for (size_t i = 0; i < set->n; i++) {
		r->records[i].rec = set->rec[i];
		r->records[i].probability = p[i];
	}
	if (set->absent) {
		struct rsv_record *dot = &r->records[set->n].rec;

		dot->srv.target.len = 1; /* the root */
		dot->ttl = set->ttl;
	}
	r->n_records = n;
	free(p);
	return 0;
}

const char *rsv_describe(const struct dns_srv *s, char buf[RSV_DESCRIBE_MAX])
{
	char name[DNSNAME_TEXT_MAX];

	snprintf(buf, RSV_DESCRIBE_MAX, "%.200s:%u (priority %u, weight %u)",
		 dns_name_format(&s->target, name), (unsigned)s->port, (unsigned)s->priority,
		 (unsigned)s->weight);
	return buf;
}

/* ---- matching -------------------------------------------------------------------------------- */

bool rsv_same_host(const struct rsv_expect *e, const struct dns_srv *s)
{
	return e->port == s->port && dns_name_equal(&e->target, &s->target);
}

bool rsv_matches(const struct rsv_expect *e, const struct dns_srv *s)
{
	return rsv_same_host(e, s) && (!e->has_priority || e->priority == s->priority) &&
	       (!e->has_weight || e->weight == s->weight);
}

bool rsv_any_matches(const struct rsv_expect *e, size_t n, const struct dns_srv *s)
{
	for (size_t i = 0; i < n; i++)
		if (rsv_matches(&e[i], s))
			return true;
	return false;
}

const struct rsv_expect *rsv_for_host(const struct rsv_expect *e, size_t n, const struct dns_srv *s)
{
	for (size_t i = 0; i < n; i++)
		if (rsv_same_host(&e[i], s))
			return &e[i];
	return NULL;
}

bool rsv_is_absence(const struct rsv_audit_record *c)
{
	return dns_name_is_root(&c->rec.srv.target);
}

bool rsv_is_down(const struct rsv_audit_record *c)
{
	return c->rec.srv.port == 0 ||
	       (c->known && (c->target.resolve_err != 0 ||
			     (c->target.probed && c->target.probe.state != PROBE_UP)));
}

static bool is_up(const struct rsv_audit_record *c)
{
	return c->known && c->target.probed && c->target.probe.state == PROBE_UP;
}

/** How many of these have no record of their host at all, and how many have one, but another. */
static size_t misfit(const struct rsv_audit_result *r, const struct rsv_expect *e, size_t n)
{
	size_t missing = 0, other = 0;

	for (size_t i = 0; i < n; i++) {
		bool host = false, exact = false;

		for (size_t k = 0; k < r->n_records; k++) {
			host |= rsv_same_host(&e[i], &r->records[k].rec.srv);
			exact |= rsv_matches(&e[i], &r->records[k].rec.srv);
		}
		missing += !host;
		other += !exact;
	}
	return missing * (RSV_EXPECT_MAX + 1) + other;
}

static struct rsv_wanted wanted_of(const struct rsv_audit_result *r,
				   const struct rsv_judge_input *in)
{
	struct rsv_wanted best = { in->own, 0, false };
	size_t least = SIZE_MAX;

	if (in->n_expect > 0)
		return (struct rsv_wanted){ in->expect, in->n_expect, true };
	for (size_t i = 0, end; i < in->n_own; i = end) {
		size_t bad;

		for (end = i + 1; end < in->n_own && in->own[end].view == in->own[i].view;)
			end++;
		bad = misfit(r, &in->own[i], end - i);
		if (bad < least) {
			least = bad;
			best.e = &in->own[i];
			best.n = end - i;
		}
	}
	return best;
}

const struct rsv_journal_row *rsv_journal_row(const struct rsv_judge_input *in,
					      const struct dns_srv *s)
{
	for (size_t i = 0; i < in->n_journal; i++)
		if (dns_srv_equal(&in->journal[i].srv, s))
			return &in->journal[i];
	return NULL;
}

static enum rsv_class classify(struct rsv_audit_record *c, const struct rsv_judge_input *in,
			       struct rsv_wanted w)
{
	const struct dns_srv *s = &c->rec.srv;
	const struct rsv_journal_row *row = rsv_journal_row(in, s);

	if (rsv_is_absence(c))
		return RSV_C_ABSENT_BY_DOT;
	c->journal = row != NULL ? row->state : RSV_J_NONE;
	/* what we withdrew is not ours when it is back */
	c->mine = c->journal == RSV_J_PUBLISHED ||
		  (c->journal != RSV_J_WITHDRAWN && rsv_any_matches(in->own, in->n_own, s));
	if (c->known && c->target.is_alias)
		return RSV_C_TARGET_CNAME;
	if (c->mine && rsv_is_down(c))
		return RSV_C_MINE_DOWN;
	if (c->mine && is_up(c))
		return RSV_C_MINE_HEALTHY;
	if (!c->mine && !rsv_any_matches(w.e, w.n, s) &&
	    (rsv_for_host(w.e, w.n, s) != NULL || rsv_for_host(in->own, in->n_own, s) != NULL))
		return RSV_C_FOREIGN_KNOWN;
	if (rsv_is_down(c))
		return RSV_C_DEAD_TARGET;
	if (c->journal == RSV_J_WITHDRAWN)
		return RSV_C_FOREIGN_KNOWN;
	return c->mine || w.n == 0 || rsv_any_matches(w.e, w.n, s) ? RSV_C_EXPECTED
								   : RSV_C_FOREIGN_UNKNOWN;
}

/* ---- verdict --------------------------------------------------------------------------------- */

static int about_records(struct rsv_audit_result *r, const struct rsv_judge_input *in)
{
	struct rsv_wanted w = wanted_of(r, in);
	int err = 0;

	for (size_t i = 0; err == 0 && i < r->n_records; i++) {
		r->records[i].cls = classify(&r->records[i], in, w);
		if (rsv_is_absence(&r->records[i]))
			continue;
		err = rsv_judge_wanted(r, i, in, &w);
		if (err == 0)
			err = rsv_judge_target(r, i, in);
	}
	if (err == 0)
		err = rsv_judge_missing(r, in, &w);
	return err == 0 ? rsv_judge_set(r, in) : err;
}

/** Most severe first, otherwise in the order found. */
static int sort_findings(struct rsv_audit_result *r)
{
	struct rsv_finding *sorted;
	size_t n = 0;

	if (r->n_findings < 2)
		return 0;
	sorted = calloc(r->n_findings, sizeof(*sorted));
	if (sorted == NULL)
		return ERR_NOMEM;
	for (unsigned s = FINDING_SEVERITY_COUNT_; s-- > 0;)
		for (size_t i = 0; i < r->n_findings; i++)
			if (finding_info(r->findings[i].id)->severity == s)
				sorted[n++] = r->findings[i];
	free(r->findings);
	r->findings = sorted;
	return 0;
}

static enum rsv_status status_of(const struct rsv_audit_result *r, size_t reference)
{
	if (reference == RSV_NO_SERVER)
		return RSV_UNKNOWN_;
	if (r->n_findings == 0 || r->worst == FINDING_INFO)
		return RSV_OK_;
	return r->worst == FINDING_CRITICAL ? RSV_CRIT_ : RSV_WARN_;
}

/** What was not looked at may be anything: nobody is told that all is well. */
static int about_time(struct rsv_audit_result *r, uint32_t out_of_time_ms)
{
	size_t hosts = 0, left = 0;

	if (out_of_time_ms == 0)
		return 0;
	for (size_t i = 0; i < r->n_records; i++) {
		hosts += !rsv_is_absence(&r->records[i]);
		left += !rsv_is_absence(&r->records[i]) && !r->records[i].known;
	}
	return rsv_finding_add(r, FINDING_UNFINISHED,
			       "%g s were not enough: %zu of %zu hosts have not been looked at to "
			       "the end",
			       (double)out_of_time_ms / 1000, left, hosts);
}

int rsv_judge_findings(struct rsv_audit_result *r, const struct rsv_judge_input *in)
{
	char text[DNSNAME_TEXT_MAX];
	int err;

	if (in->reference == RSV_NO_SERVER)
		err = rsv_finding_add(r, FINDING_NO_ANSWER, "no server answers for %.200s",
				      dns_name_format(&r->domain, text));
	else
		err = about_records(r, in);
	/* That there is none may be so: a resolver may make up a name. */
	if (err == 0 && r->zone_err != 0 && r->zone_err != ERR_DNS_NO_ZONE &&
	    in->reference != RSV_NO_SERVER)
		err = rsv_finding_add(
			r, FINDING_ZONE_UNKNOWN,
			r->has_zone ? "not all name servers of %.200s are known and were asked: %s"
				    : "the zone of %.200s was not found, so its name servers were "
				      "not asked: %s",
			dns_name_format(&r->domain, text), err_text(r->zone_err));
	if (err == 0)
		err = rsv_judge_server_findings(r, in->reference);
	if (err == 0)
		err = about_time(r, in->out_of_time_ms);
	if (err == 0)
		err = sort_findings(r);
	if (err == 0)
		r->status = status_of(r, in->reference);
	if (err == 0 && in->out_of_time_ms != 0)
		r->status = rsv_status_worst(r->status, RSV_UNKNOWN_);
	return err;
}
