#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/dns_priv.h"

struct sim_copy *sim_zone_copy(struct sim_zone *z, const struct sim_dns_server *s)
{
	for (size_t i = 0; i < z->n_copies; i++) {
		if (z->copies[i].server == s)
			return &z->copies[i];
	}
	return NULL;
}

struct sim_record *sim_copy_next(const struct sim_copy *c, const char *owner, uint16_t type,
				 size_t *from)
{
	while (*from < c->n) {
		struct sim_record *r = &c->records[(*from)++];

		if ((type == T_ANY || r->type == type) && strcmp(r->owner, owner) == 0)
			return r;
	}
	return NULL;
}

bool sim_copy_has(const struct sim_copy *c, const char *owner, uint16_t type)
{
	size_t from = 0;

	return sim_copy_next(c, owner, type, &from) != NULL;
}

bool sim_copy_has_below(const struct sim_copy *c, const char *owner)
{
	for (size_t i = 0; i < c->n; i++) {
		if (sim_name_in(c->records[i].owner, owner))
			return true;
	}
	return false;
}

static bool cname_conflict(const struct sim_copy *c, const struct sim_record *r)
{
	size_t from = 0;

	for (const struct sim_record *q; (q = sim_copy_next(c, r->owner, T_ANY, &from)) != NULL;) {
		if ((q->type == T_CNAME) != (r->type == T_CNAME))
			return true;
	}
	return false;
}

bool sim_copy_add(struct sim_copy *c, const struct sim_record *r)
{
	bool changed = false, found = false;
	size_t from = 0;

	if (cname_conflict(c, r) || r->type == T_SOA)
		return false;
	for (struct sim_record *q; (q = sim_copy_next(c, r->owner, r->type, &from)) != NULL;) {
		bool same = strcmp(q->rdata, r->rdata) == 0;

		found = found || same;
		if (q->type == T_CNAME && !same) {
			memcpy(q->rdata, r->rdata, sizeof(q->rdata));
			changed = found = true;
		}
		changed = changed || q->ttl != r->ttl;
		q->ttl = r->ttl;
	}
	if (found)
		return changed;
	if (c->n == SIM_DNS_RECORDS_MAX)
		sim_fail("zone %s is full", c->zone->apex);
	c->records[c->n++] = *r;
	return true;
}

bool sim_copy_remove(struct sim_copy *c, const char *owner, uint16_t type, const char *rdata)
{
	bool at_apex = strcmp(owner, c->zone->apex) == 0, changed = false;
	size_t n_ns = 0;

	for (size_t i = 0; i < c->n; i++)
		n_ns += c->records[i].type == T_NS && strcmp(c->records[i].owner, owner) == 0;
	for (size_t i = 0; i < c->n;) {
		struct sim_record *r = &c->records[i];

		if (strcmp(r->owner, owner) != 0 || (type != T_ANY && r->type != type) ||
		    (rdata != NULL && strcmp(r->rdata, rdata) != 0) || r->type == T_SOA ||
		    (at_apex && r->type == T_NS && (rdata == NULL || n_ns == 1))) {
			i++;
			continue;
		}
		memmove(r, r + 1, (c->n - i - 1) * sizeof(*r));
		c->n--;
		changed = true;
	}
	return changed;
}

uint32_t sim_serial_next(uint32_t serial)
{
	return serial + 1 == 0 ? 1 : serial + 1;
}

/** A copy of the SOA's numbers from @p field on (0: mname). */
static const char *soa_field(const struct sim_record *soa, int field)
{
	const char *at = soa->rdata;

	for (; field > 0; field--)
		at = strchr(at, ' ') + 1;
	return at;
}

void sim_copy_set_serial(struct sim_copy *c, uint32_t serial)
{
	struct sim_record *soa = &c->records[0];
	const char *at = soa_field(soa, 2), *rest = soa_field(soa, 3);
	char rdata[SIM_DNS_RDATA_MAX];
	int n = snprintf(rdata, sizeof(rdata), "%.*s%u %s", (int)(at - soa->rdata), soa->rdata,
			 serial, rest);

	if (n < 0 || (size_t)n >= sizeof(rdata))
		sim_fail("the SOA of %s is too long", c->zone->apex);
	memcpy(soa->rdata, rdata, sizeof(rdata));
	c->serial = serial;
}

void sim_copy_negative_soa(const struct sim_copy *c, struct sim_record *ret)
{
	uint32_t minimum;

	*ret = c->records[0];
	minimum = (uint32_t)strtoul(soa_field(ret, 6), NULL, 10);
	if (minimum < ret->ttl)
		ret->ttl = minimum;
}
