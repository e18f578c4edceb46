/* RFC 2136 §3, with BIND's choices where the text leaves any. */

#include <string.h>

#include "tests/sim/dns_priv.h"

static bool is_meta(uint16_t type)
{
	return type == T_OPT || type == T_TSIG || (type >= T_IXFR && type <= T_ANY);
}

/** A name without records, be there names below it, is not in use (failure-modes U11). */
static unsigned check_presence(const struct sim_copy *c, const struct sim_rr *rr)
{
	bool has = sim_copy_has(c, rr->r.owner, rr->r.type);

	if (rr->r.ttl != 0 || rr->rdlen != 0)
		return R_FORMERR;
	if (rr->rclass == C_ANY)
		return has ? 0 : rr->r.type == T_ANY ? R_NXDOMAIN : R_NXRRSET;
	return !has ? 0 : rr->r.type == T_ANY ? R_YXDOMAIN : R_YXRRSET;
}

static size_t set_size(const struct sim_copy *c, const char *owner, uint16_t type)
{
	size_t n = 0, from = 0;

	while (sim_copy_next(c, owner, type, &from) != NULL)
		n++;
	return n;
}

/** §3.2.3: the sets named by the prerequisites of the zone's class are these records and no other.
 */
static unsigned check_values(const struct sim_copy *c, const struct sim_msg *m)
{
	for (size_t i = 0; i < m->n_rrs; i++) {
		const struct sim_rr *rr = &m->rrs[i];
		size_t distinct = 0, from = 0;
		bool has = false;

		if (rr->section != S_ANSWER || rr->rclass != C_IN)
			continue;
		for (size_t k = 0; k < m->n_rrs; k++) {
			const struct sim_rr *o = &m->rrs[k];
			bool again = false;

			if (o->section != S_ANSWER || o->rclass != C_IN ||
			    o->r.type != rr->r.type || strcmp(o->r.owner, rr->r.owner) != 0)
				continue;
			for (size_t b = 0; b < k; b++)
				again = again || (m->rrs[b].section == S_ANSWER &&
						  m->rrs[b].r.type == o->r.type &&
						  strcmp(m->rrs[b].r.owner, o->r.owner) == 0 &&
						  strcmp(m->rrs[b].r.rdata, o->r.rdata) == 0);
			distinct += !again;
		}
		for (const struct sim_record *r;
		     (r = sim_copy_next(c, rr->r.owner, rr->r.type, &from)) != NULL;)
			has = has || strcmp(r->rdata, rr->r.rdata) == 0;
		if (!has || distinct != set_size(c, rr->r.owner, rr->r.type))
			return R_NXRRSET;
	}
	return 0;
}

static unsigned check_prerequisites(const struct sim_copy *c, const struct sim_msg *m)
{
	for (size_t i = 0; i < m->n_rrs; i++) {
		const struct sim_rr *rr = &m->rrs[i];
		unsigned rcode = 0;

		if (rr->section != S_ANSWER)
			continue;
		if (!sim_name_in(rr->r.owner, c->zone->apex))
			return R_NOTZONE;
		if (rr->rclass == C_ANY || rr->rclass == C_NONE)
			rcode = check_presence(c, rr);
		else if (rr->rclass != C_IN || rr->r.ttl != 0 || is_meta(rr->r.type))
			rcode = R_FORMERR;
		if (rcode != 0)
			return rcode;
	}
	return check_values(c, m);
}

/** §3.4.1 */
static unsigned check_changes(const struct sim_copy *c, const struct sim_msg *m)
{
	for (size_t i = 0; i < m->n_rrs; i++) {
		const struct sim_rr *rr = &m->rrs[i];
		bool good;

		if (rr->section != S_AUTHORITY)
			continue;
		if (!sim_name_in(rr->r.owner, c->zone->apex))
			return R_NOTZONE;
		if (rr->rclass == C_IN)
			good = !is_meta(rr->r.type) && rr->rdlen != 0;
		else if (rr->rclass == C_ANY)
			good = rr->r.ttl == 0 && rr->rdlen == 0 &&
			       (rr->r.type == T_ANY || !is_meta(rr->r.type));
		else
			good = rr->rclass == C_NONE && rr->r.ttl == 0 && !is_meta(rr->r.type);
		if (!good)
			return R_FORMERR;
	}
	return 0;
}

static bool is_in(const struct sim_record *r, const struct sim_record *set, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (set[i].type == r->type && set[i].ttl == r->ttl &&
		    strcmp(set[i].owner, r->owner) == 0 && strcmp(set[i].rdata, r->rdata) == 0)
			return true;
	}
	return false;
}

static bool is_other(const struct sim_copy *c, const struct sim_record *before, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!is_in(&before[i], c->records, c->n))
			return true;
	}
	return c->n != n;
}

static void change(struct sim_copy *c, const struct sim_rr *rr)
{
	uint32_t cap = c->server->ways.ttl_max;
	struct sim_record r = rr->r;

	if (cap != 0 && r.ttl > cap)
		r.ttl = cap;
	if (rr->rclass == C_ANY)
		sim_copy_remove(c, r.owner, r.type, NULL);
	else if (rr->rclass == C_NONE)
		sim_copy_remove(c, r.owner, r.type, r.rdata);
	else
		sim_copy_add(c, &r);
}

unsigned sim_update_apply(struct sim_copy *c, const struct sim_msg *m, bool *ret_changed)
{
	static struct sim_record before[SIM_DNS_RECORDS_MAX];
	unsigned rcode = check_prerequisites(c, m);
	size_t n = c->n;

	*ret_changed = false;
	if (rcode == 0)
		rcode = check_changes(c, m);
	if (rcode != 0)
		return rcode;
	memcpy(before, c->records, n * sizeof(before[0]));
	for (size_t i = 0; i < m->n_rrs; i++) {
		if (m->rrs[i].section == S_AUTHORITY)
			change(c, &m->rrs[i]);
	}
	*ret_changed = is_other(c, before, n); /* taken away and added again is no change */
	if (*ret_changed)
		sim_copy_set_serial(c, sim_serial_next(c->serial));
	return R_NOERROR;
}

void sim_update_diff(const struct sim_record *before, size_t n_before, const struct sim_copy *now,
		     void (*each)(void *ctx, bool added, const struct sim_record *r), void *ctx)
{
	for (size_t i = 0; i < n_before; i++) {
		if (before[i].type != T_SOA && !is_in(&before[i], now->records, now->n))
			each(ctx, false, &before[i]);
	}
	for (size_t i = 0; i < now->n; i++) {
		if (now->records[i].type != T_SOA && !is_in(&now->records[i], before, n_before))
			each(ctx, true, &now->records[i]);
	}
}
