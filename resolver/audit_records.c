/* Half of audit_judge.h: what each record is worth, what is missing, and the verdict. */
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

#define REC_MAX 300

static const char *describe(const struct dns_srv *s, char buf[REC_MAX])
{
	char name[DNSNAME_TEXT_MAX];

	snprintf(buf, REC_MAX, "%.200s:%u (priority %u, weight %u)",
		 dns_name_format(&s->target, name), (unsigned)s->port, (unsigned)s->priority,
		 (unsigned)s->weight);
	return buf;
}

static bool same_host(const struct rsv_expect *e, const struct dns_srv *s)
{
	return e->port == s->port && dns_name_equal(&e->target, &s->target);
}

static bool matches(const struct rsv_expect *e, const struct dns_srv *s)
{
	return same_host(e, s) && (!e->has_priority || e->priority == s->priority) &&
	       (!e->has_weight || e->weight == s->weight);
}

static bool any_matches(const struct rsv_expect *e, size_t n, const struct dns_srv *s)
{
	for (size_t i = 0; i < n; i++)
		if (matches(&e[i], s))
			return true;
	return false;
}

/** The expectation for the host of @p s; NULL: none. */
static const struct rsv_expect *for_host(const struct rsv_expect *e, size_t n,
					 const struct dns_srv *s)
{
	for (size_t i = 0; i < n; i++)
		if (same_host(&e[i], s))
			return &e[i];
	return NULL;
}

/** Whether the set has a record that fulfils @p e. */
static bool fulfilled(const struct rsv_audit_result *r, const struct rsv_expect *e)
{
	for (size_t i = 0; i < r->n_records; i++)
		if (matches(e, &r->records[i].rec.srv))
			return true;
	return false;
}

static bool is_absence(const struct rsv_audit_record *c)
{
	return dns_name_is_root(&c->rec.srv.target);
}

/** Nobody can be reached through it, as far as was looked. */
static bool is_down(const struct rsv_audit_record *c)
{
	return c->rec.srv.port == 0 ||
	       (c->known && (c->target.resolve_err != 0 ||
			     (c->target.probed && c->target.probe.state != PROBE_UP)));
}

static bool is_up(const struct rsv_audit_record *c)
{
	return c->known && c->target.probed && c->target.probe.state == PROBE_UP;
}

/** What is wanted of the domain: the complete set where one was given, else the configuration. */
struct wanted {
	const struct rsv_expect *e;
	size_t n;
	bool complete;
};

static struct wanted wanted(const struct rsv_judge_input *in)
{
	if (in->n_expect > 0)
		return (struct wanted){ in->expect, in->n_expect, true };
	return (struct wanted){ in->own, in->n_own, false };
}

static enum rsv_class classify(struct rsv_audit_record *c, const struct rsv_judge_input *in)
{
	struct wanted w = wanted(in);
	const struct dns_srv *s = &c->rec.srv;

	if (is_absence(c))
		return RSV_C_ABSENT_BY_DOT;
	c->mine = any_matches(in->own, in->n_own, s);
	if (c->known && c->target.is_alias)
		return RSV_C_TARGET_CNAME;
	if (c->mine && is_down(c))
		return RSV_C_MINE_DOWN;
	if (c->mine && is_up(c))
		return RSV_C_MINE_HEALTHY;
	if (!c->mine && !any_matches(w.e, w.n, s) &&
	    (for_host(w.e, w.n, s) != NULL || for_host(in->own, in->n_own, s) != NULL))
		return RSV_C_FOREIGN_KNOWN;
	if (is_down(c))
		return RSV_C_DEAD_TARGET;
	return c->mine || w.n == 0 || any_matches(w.e, w.n, s) ? RSV_C_EXPECTED
							       : RSV_C_FOREIGN_UNKNOWN;
}

/* ---- findings about records ------------------------------------------------------------------ */

/** A record of a wanted host with numbers that nobody wants. */
static int numbers_differ(struct rsv_audit_result *r, const struct dns_srv *s,
			  const struct rsv_expect *e)
{
	char text[REC_MAX];
	int err = 0;

	if (fulfilled(r, e))
		return rsv_finding_add(r, FINDING_HOST_SELF_PUBLISHES,
				       "%s stands beside the expected record of the same host",
				       describe(s, text));
	if (e->has_priority && e->priority != s->priority)
		err = rsv_finding_add(r, FINDING_PRIORITY_DIFFERS, "%s: priority %u is expected",
				      describe(s, text), (unsigned)e->priority);
	if (err == 0 && e->has_weight && e->weight != s->weight)
		err = rsv_finding_add(r, FINDING_WEIGHT_DIFFERS, "%s: weight %u is expected",
				      describe(s, text), (unsigned)e->weight);
	return err;
}

/** Two records of one host, one of them as Windows writes it: 0 0. */
static int self_published(struct rsv_audit_result *r, size_t i)
{
	const struct dns_srv *s = &r->records[i].rec.srv;
	char text[REC_MAX];

	if (s->priority != 0 || s->weight != 0)
		return 0;
	for (size_t k = 0; k < r->n_records; k++)
		if (k != i && rsv_record_same_host(&r->records[k].rec, &r->records[i].rec))
			return rsv_finding_add(r, FINDING_HOST_SELF_PUBLISHES,
					       "%s stands beside another record of the same host",
					       describe(s, text));
	return 0;
}

static int against_wanted(struct rsv_audit_result *r, size_t i, const struct wanted *w)
{
	const struct dns_srv *s = &r->records[i].rec.srv;
	const struct rsv_expect *e = for_host(w->e, w->n, s);
	char text[REC_MAX];

	if (w->n == 0)
		return self_published(r, i);
	if (any_matches(w->e, w->n, s))
		return 0;
	if (e != NULL)
		return numbers_differ(r, s, e);
	if (w->complete)
		return rsv_finding_add(r, FINDING_EXTRA, "%s is not expected", describe(s, text));
	return rsv_finding_add(r, FINDING_FOREIGN_UNKNOWN, "%s is not a host of the configuration",
			       describe(s, text));
}

static int host_down(struct rsv_audit_result *r, const struct rsv_audit_record *c,
		     enum finding_id id)
{
	const struct probe_result *p = &c->target.probe;
	char name[DNSNAME_TEXT_MAX], addr[ADDR_TEXT_MAX] = "";

	if (addr_is_set(&p->addr))
		addr_format(&p->addr, addr);
	return rsv_finding_add(r, id, "%.200s:%u%s%s: %s%s%s",
			       dns_name_format(&c->rec.srv.target, name), (unsigned)c->rec.srv.port,
			       addr[0] != '\0' ? " at " : "", addr, probe_state_name(p->state),
			       p->detail[0] != '\0' ? ", " : "", p->detail);
}

static int about_probe(struct rsv_audit_result *r, const struct rsv_audit_record *c)
{
	switch (c->target.probe.state) {
	case PROBE_UP:
	case PROBE_STATE_COUNT_:
		return 0;
	case PROBE_NO_KMS_INTERFACE:
		return host_down(r, c, FINDING_NOT_KMS);
	case PROBE_RPC_REFUSED:
	case PROBE_NOT_RPC:
		return host_down(r, c, FINDING_NO_RPC);
	case PROBE_REFUSED:
	case PROBE_TIMEOUT:
	case PROBE_UNRESOLVED:
		return host_down(r, c, FINDING_DEAD_TARGET);
	}
	return 0;
}

/** About the host behind the record, once for each host. */
static int about_target(struct rsv_audit_result *r, size_t i)
{
	const struct rsv_audit_record *c = &r->records[i];
	char name[DNSNAME_TEXT_MAX];
	int err = 0;

	dns_name_format(&c->rec.srv.target, name);
	if (c->rec.srv.port == 0)
		return rsv_finding_add(r, FINDING_PORT_ZERO, "%.200s has port 0", name);
	for (size_t k = 0; k < i; k++)
		if (rsv_record_same_host(&r->records[k].rec, &c->rec))
			return 0;
	if (!c->known)
		return 0;
	if (c->target.is_alias)
		err = rsv_finding_add(r, FINDING_TARGET_CNAME, "%.200s is an alias", name);
	if (err == 0 && c->target.resolve_err != 0)
		err = rsv_finding_add(r, FINDING_TARGET_NO_ADDRESS, "%.200s has no address: %s",
				      name, err_text(c->target.resolve_err));
	else if (err == 0 && c->target.probed)
		err = about_probe(r, c);
	return err;
}

static int about_missing(struct rsv_audit_result *r, const struct wanted *w)
{
	char name[DNSNAME_TEXT_MAX], domain[DNSNAME_TEXT_MAX];
	int err = 0;

	for (size_t i = 0; err == 0 && i < w->n; i++) {
		bool there = false;

		for (size_t k = 0; k < r->n_records; k++)
			there |= same_host(&w->e[i], &r->records[k].rec.srv);
		if (!there)
			err = rsv_finding_add(
				r, FINDING_MISSING, "%.200s:%u is not published in %.200s",
				dns_name_format(&w->e[i].target, name), (unsigned)w->e[i].port,
				dns_name_format(&r->domain, domain));
	}
	return err;
}

/** About the set as a whole. */
static int about_set(struct rsv_audit_result *r, const struct wanted *w)
{
	size_t hosts = 0, down = 0;
	char text[DNSNAME_TEXT_MAX];

	dns_name_format(&r->domain, text);
	for (size_t i = 0; i < r->n_records; i++) {
		bool again = false;

		for (size_t k = 0; k < i; k++)
			again |= rsv_record_same_host(&r->records[k].rec, &r->records[i].rec);
		if (again || is_absence(&r->records[i]))
			continue;
		hosts++;
		down += is_down(&r->records[i]);
	}
	if (r->n_records == 0 && w->n == 0)
		return rsv_finding_add(r, FINDING_NO_RECORDS,
				       "no SRV record for _vlmcs._tcp.%.200s", text);
	if (hosts == 1 && down == 1)
		return rsv_finding_add(r, FINDING_ALL_DOWN, "the only host of %.200s is not up",
				       text);
	if (hosts > 0 && down == hosts)
		return rsv_finding_add(r, FINDING_ALL_DOWN, "none of the %zu hosts of %.200s is up",
				       hosts, text);
	if (hosts == 1)
		return rsv_finding_add(r, FINDING_SINGLE_HOST, "%.200s has one host", text);
	return 0;
}

static int about_records(struct rsv_audit_result *r, const struct rsv_judge_input *in)
{
	const struct rsv_set *set = &r->servers[in->reference].set;
	struct wanted w = wanted(in);
	char text[DNSNAME_TEXT_MAX];
	int err = 0;

	dns_name_format(&r->domain, text);
	for (size_t i = 0; err == 0 && i < r->n_records; i++) {
		r->records[i].cls = classify(&r->records[i], in);
		if (is_absence(&r->records[i]))
			continue;
		err = against_wanted(r, i, &w);
		if (err == 0)
			err = about_target(r, i);
	}
	if (err == 0 && set->absent)
		err = rsv_finding_add(r, FINDING_ABSENT_BY_DOT,
				      "_vlmcs._tcp.%.200s has a record with the target \".\"",
				      text);
	if (err == 0 && in->aliased)
		err = rsv_finding_add(r, FINDING_ALIASED, "_vlmcs._tcp.%.200s is an alias", text);
	if (err == 0 && set->truncated)
		err = rsv_finding_add(r, FINDING_TOO_MANY,
				      "only the first %d records are looked at", RSV_RECORDS_MAX);
	if (err == 0)
		err = about_missing(r, &w);
	return err == 0 ? about_set(r, &w) : err;
}

/* ---- verdict --------------------------------------------------------------------------------- */

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

int rsv_judge_findings(struct rsv_audit_result *r, const struct rsv_judge_input *in)
{
	char text[DNSNAME_TEXT_MAX];
	int err;

	if (in->reference == RSV_NO_SERVER)
		err = rsv_finding_add(r, FINDING_NO_ANSWER, "no server answers for %.200s",
				      dns_name_format(&r->domain, text));
	else
		err = about_records(r, in);
	if (err == 0)
		err = rsv_judge_server_findings(r, in->reference);
	if (err == 0)
		err = sort_findings(r);
	if (err == 0)
		r->status = status_of(r, in->reference);
	return err;
}
