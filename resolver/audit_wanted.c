/* Part of audit_judge.h: each record against what is wanted, the journal and its host. */
#include <string.h>

#include "common/clock.h"
#include "resolver/audit_judge.h"

/* ---- against what is wanted ------------------------------------------------------------------ */

/** Whether the set has a record that fulfils @p e. */
static bool fulfilled(const struct rsv_audit_result *r, const struct rsv_expect *e)
{
	for (size_t i = 0; i < r->n_records; i++)
		if (rsv_matches(e, &r->records[i].rec.srv))
			return true;
	return false;
}

/** A record of a wanted host with numbers that nobody wants. */
static int numbers_differ(struct rsv_audit_result *r, const struct dns_srv *s,
			  const struct rsv_expect *e)
{
	char text[RSV_DESCRIBE_MAX];
	int err = 0;

	if (fulfilled(r, e))
		return rsv_finding_add(r, FINDING_HOST_SELF_PUBLISHES,
				       "%s stands beside the expected record of the same host",
				       rsv_describe(s, text));
	if (e->has_priority && e->priority != s->priority)
		err = rsv_finding_add(r, FINDING_PRIORITY_DIFFERS, "%s: priority %u is expected",
				      rsv_describe(s, text), (unsigned)e->priority);
	if (err == 0 && e->has_weight && e->weight != s->weight)
		err = rsv_finding_add(r, FINDING_WEIGHT_DIFFERS, "%s: weight %u is expected",
				      rsv_describe(s, text), (unsigned)e->weight);
	return err;
}

static bool is_default(const struct dns_srv *s)
{
	return s->priority == 0 && s->weight == 0;
}

/**
 * Two records of one host that nobody asked for, or that are both allowed. Where one of them is as
 * Windows writes it, 0 0, that is the likely story.
 */
static int several_of_a_host(struct rsv_audit_result *r, size_t i, const struct rsv_wanted *w)
{
	const struct rsv_record *rec = &r->records[i].rec;
	size_t before = 0, others = 0;
	bool windows = is_default(&rec->srv);
	char text[RSV_DESCRIBE_MAX];

	for (size_t k = 0; k < r->n_records; k++) {
		const struct rsv_record *x = &r->records[k].rec;

		if (k == i || !rsv_record_same_host(x, rec) ||
		    (w->n > 0 && !rsv_any_matches(w->e, w->n, &x->srv)))
			continue;
		others++;
		before += k < i;
		windows = windows || is_default(&x->srv);
	}
	rsv_describe(&rec->srv, text);
	if (others > 0 && is_default(&rec->srv))
		return rsv_finding_add(r, FINDING_HOST_SELF_PUBLISHES,
				       "%s stands beside another record of the same host", text);
	if (before == 1 && !windows)
		return rsv_finding_add(r, FINDING_DUPLICATE_RECORD,
				       "%s stands beside another record of the same host", text);
	return 0;
}

/** Our own record that is no longer wanted. */
static int orphan(struct rsv_audit_result *r, const struct dns_srv *s, size_t n_own)
{
	char text[RSV_DESCRIBE_MAX];

	return rsv_finding_add(
		r, FINDING_ORPHAN, "%s was published from here, but %s", rsv_describe(s, text),
		n_own == 0 ? "the domain is no longer configured" : "it is no longer configured");
}

int rsv_judge_wanted(struct rsv_audit_result *r, size_t i, const struct rsv_judge_input *in,
		     const struct rsv_wanted *w)
{
	const struct rsv_audit_record *c = &r->records[i];
	const struct dns_srv *s = &c->rec.srv;
	const struct rsv_expect *e = rsv_for_host(w->e, w->n, s);
	char text[RSV_DESCRIBE_MAX];
	int err;

	rsv_describe(s, text);
	if (c->journal == RSV_J_WITHDRAWN) {
		err = rsv_finding_add(r, FINDING_ANOTHER_PUBLISHER,
				      "%s was withdrawn from here, and is back", text);
		if (err != 0 || !w->complete)
			return err;
	}
	if (rsv_any_matches(w->e, w->n, s))
		return several_of_a_host(r, i, w);
	if (!w->complete && rsv_any_matches(in->own, in->n_own, s))
		return 0; /* of another view */
	if (!w->complete && c->journal == RSV_J_PUBLISHED && (e == NULL || fulfilled(r, e)))
		return orphan(r, s, in->n_own);
	if (w->n == 0)
		return several_of_a_host(r, i, w);
	if (e != NULL)
		return numbers_differ(r, s, e);
	if (w->complete)
		return rsv_finding_add(r, FINDING_EXTRA, "%s is not expected", text);
	return rsv_finding_add(r, FINDING_FOREIGN_UNKNOWN, "%s is not a host of the configuration",
			       text);
}

/** What the journal knows of a host, whatever the numbers: the newest word. */
static const struct rsv_journal_row *host_row(const struct rsv_judge_input *in,
					      const struct rsv_expect *e)
{
	const struct rsv_journal_row *newest = NULL;

	for (size_t i = 0; i < in->n_journal; i++)
		if (rsv_same_host(e, &in->journal[i].srv) &&
		    (newest == NULL || in->journal[i].since_ms > newest->since_ms))
			newest = &in->journal[i];
	return newest;
}

static int missing(struct rsv_audit_result *r, const struct rsv_expect *e,
		   const struct rsv_journal_row *row)
{
	char name[DNSNAME_TEXT_MAX], domain[DNSNAME_TEXT_MAX], since[CLOCK_TEXT_MAX] = "";

	dns_name_format(&e->target, name);
	if (row != NULL)
		clock_format_rfc3339(row->since_ms, since);
	if (row != NULL && row->state == RSV_J_WITHDRAWN)
		return rsv_finding_add(r, FINDING_WITHDRAWN,
				       "%.200s:%u was withdrawn from here, %s", name,
				       (unsigned)e->port, since);
	return rsv_finding_add(r, FINDING_MISSING, "%.200s:%u is not published in %.200s%s%s", name,
			       (unsigned)e->port, dns_name_format(&r->domain, domain),
			       row != NULL ? ", though it was from here, " : "", since);
}

int rsv_judge_missing(struct rsv_audit_result *r, const struct rsv_judge_input *in,
		      const struct rsv_wanted *w)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < w->n; i++) {
		bool there = false;

		for (size_t k = 0; k < r->n_records; k++)
			there |= rsv_same_host(&w->e[i], &r->records[k].rec.srv);
		if (!there)
			err = missing(r, &w->e[i], w->complete ? NULL : host_row(in, &w->e[i]));
	}
	return err;
}

/* ---- the host -------------------------------------------------------------------------------- */

static int host_down(struct rsv_audit_result *r, const struct rsv_audit_record *c,
		     const struct probe_result *p, enum finding_id id)
{
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
	const struct probe_result *p = &c->target.probe;

	switch (p->state) {
	case PROBE_UP:
		return c->target.has_dead ? host_down(r, c, &c->target.dead, FINDING_DEAD_ADDRESS)
					  : 0;
	case PROBE_STATE_COUNT_:
		return 0;
	case PROBE_NO_KMS_INTERFACE:
		return host_down(r, c, p, FINDING_NOT_KMS);
	case PROBE_RPC_REFUSED:
	case PROBE_NOT_RPC:
		return host_down(r, c, p, FINDING_NO_RPC);
	case PROBE_REFUSED:
	case PROBE_TIMEOUT:
	case PROBE_UNRESOLVED:
		return host_down(r, c, p, FINDING_DEAD_TARGET);
	}
	return 0;
}

/** Addresses that clients cannot use. In a lab, and where the zone itself is on this machine only,
 * loopback is meant. */
static int about_addresses(struct rsv_audit_result *r, const struct rsv_audit_record *c,
			   const struct rsv_judge_input *in)
{
	const struct rsv_server_view *ref = &r->servers[in->reference];
	bool lab = in->lab || (ref->role != RSV_ROLE_RESOLVER && addr_is_loopback(&ref->addr));
	char name[DNSNAME_TEXT_MAX], addr[ADDR_TEXT_MAX];
	bool loopback = false, link_local = false;
	int err = 0;

	dns_name_format(&c->rec.srv.target, name);
	for (size_t i = 0; err == 0 && i < c->target.n_addrs; i++) {
		const struct addr *x = &c->target.addrs[i];

		addr_format_host(x, addr);
		if (addr_is_loopback(x) && !lab && !loopback) {
			loopback = true;
			err = rsv_finding_add(r, FINDING_TARGET_LOOPBACK,
					      "%.200s leads to %s, which is each client itself",
					      name, addr);
		} else if (addr_is_link_local(x) && !link_local) {
			link_local = true;
			err = rsv_finding_add(r, FINDING_TARGET_LINK_LOCAL,
					      "%.200s leads to %s, which works on one link only",
					      name, addr);
		}
	}
	return err;
}

/** About the host behind the record, once for each host. */
int rsv_judge_target(struct rsv_audit_result *r, size_t i, const struct rsv_judge_input *in)
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
	return err == 0 ? about_addresses(r, c, in) : err;
}
