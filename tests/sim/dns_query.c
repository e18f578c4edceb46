/* What an authoritative server answers (RFC 1034 §4.3.2). */

#include <stdio.h>
#include <string.h>

#include "tests/sim/dns_priv.h"

void sim_answer_put(struct sim_answer *a, unsigned section, const struct sim_record *r)
{
	if (a->n == SIM_ANSWER_MAX)
		return;
	a->records[a->n].section = (uint8_t)section;
	a->records[a->n++].r = *r;
}

size_t sim_answer_count(const struct sim_answer *a, unsigned section)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n; i++)
		n += a->records[i].section == section;
	return n;
}

const char *sim_answer_end(const struct sim_answer *a, const char *name)
{
	for (size_t i = 0; i < a->n; i++) {
		if (a->records[i].section == S_ANSWER && a->records[i].r.type == T_CNAME)
			name = a->records[i].r.rdata;
	}
	return name;
}

static const char *parent_of(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot != NULL ? dot + 1 : "";
}

static size_t put_set(const struct sim_copy *c, const char *owner, uint16_t type, unsigned section,
		      const char *as, struct sim_answer *ret)
{
	size_t from = 0, n = 0;

	for (const struct sim_record *q; (q = sim_copy_next(c, owner, type, &from)) != NULL; n++) {
		struct sim_record r = *q;

		memmove(r.owner, as, strlen(as) + 1);
		sim_answer_put(ret, section, &r);
	}
	return n;
}

/** The name that cuts @p name off this zone, or NULL. */
static const char *cut_above(const struct sim_copy *c, const char *name)
{
	const char *cut = NULL;

	for (; sim_name_in(name, c->zone->apex) && strcmp(name, c->zone->apex) != 0;
	     name = parent_of(name)) {
		if (sim_copy_has(c, name, T_NS))
			cut = name; /* the highest one */
	}
	return cut;
}

static void put_addresses(const struct sim_copy *c, unsigned of, struct sim_answer *ret)
{
	for (size_t i = 0, n = ret->n; i < n; i++) {
		const char *target = sim_record_target(&ret->records[i].r);
		bool again = false;

		if (ret->records[i].section != of || target == NULL ||
		    ret->records[i].r.type == T_CNAME)
			continue;
		for (size_t k = 0; k < ret->n; k++)
			again = again || (ret->records[k].section == S_ADDITIONAL &&
					  strcmp(ret->records[k].r.owner, target) == 0);
		if (again)
			continue;
		put_set(c, target, T_A, S_ADDITIONAL, target, ret);
		put_set(c, target, T_AAAA, S_ADDITIONAL, target, ret);
	}
}

/** The name whose records answer: itself, or the wildcard that covers it (RFC 4592); NULL: it does
 * not exist. */
static const char *source_of(const struct sim_copy *c, const char *name,
			     char wild[SIM_DNS_NAME_MAX + 2])
{
	const char *above = name;

	if (sim_copy_has_below(c, name))
		return name;
	while (!sim_copy_has_below(c, above))
		above = parent_of(above);
	memcpy(wild, "*.", 2);
	memcpy(wild + 2, above, strlen(above) + 1);
	return sim_copy_has(c, wild, T_ANY) ? wild : NULL;
}

static void put_negative(const struct sim_copy *c, unsigned rcode, struct sim_answer *ret)
{
	struct sim_record soa;

	sim_copy_negative_soa(c, &soa);
	ret->rcode = rcode;
	sim_answer_put(ret, S_AUTHORITY, &soa);
}

void sim_query_answer(const struct sim_copy *c, const char *name, uint16_t type, bool additional,
		      struct sim_answer *ret)
{
	char wild[SIM_DNS_NAME_MAX + 2], at[SIM_DNS_NAME_MAX];

	ret->aa = true;
	for (unsigned chain = 0; chain < SIM_CHAIN_MAX; chain++) {
		const char *cut = cut_above(c, name), *source;

		if (cut != NULL) {
			ret->referral = true;
			ret->aa = chain > 0; /* of the first owner */
			put_set(c, cut, T_NS, S_AUTHORITY, cut, ret);
			put_addresses(c, S_AUTHORITY, ret);
			return;
		}
		source = source_of(c, name, wild);
		if (source == NULL) {
			put_negative(c, R_NXDOMAIN, ret);
			return;
		}
		if (put_set(c, source, type, S_ANSWER, name, ret) > 0)
			break;
		if (put_set(c, source, T_CNAME, S_ANSWER, name, ret) == 0) {
			put_negative(c, R_NOERROR, ret);
			return;
		}
		snprintf(at, sizeof(at), "%.255s", ret->records[ret->n - 1].r.rdata);
		name = at;
		if (!sim_name_in(name, c->zone->apex))
			return;
	}
	if (additional) {
		if (type != T_NS || strcmp(name, c->zone->apex) != 0)
			put_set(c, c->zone->apex, T_NS, S_AUTHORITY, c->zone->apex, ret);
		put_addresses(c, S_ANSWER, ret);
		put_addresses(c, S_AUTHORITY, ret);
	}
}
