#include "net/dns_chain.h"

#include <string.h>

#include "common/err.h"

static const struct dns_rr *find_alias(const struct dns_msg *m, const struct dns_name *name)
{
	size_t n;
	const struct dns_rr *rr = dnsmsg_section(m, DNS_ANSWER, &n), *dname = NULL;

	for (; n > 0; n--, rr++) {
		if (rr->rclass != DNS_CLASS_IN)
			continue;
		if (rr->type == DNS_TYPE_CNAME && dns_name_equal(&rr->owner, name))
			return rr; /* whatever DNAME it was made from */
		if (rr->type == DNS_TYPE_DNAME && !dns_name_equal(&rr->owner, name) &&
		    dns_name_is_within(name, &rr->owner))
			dname = rr;
	}
	return dname;
}

/** @p name with its end, the owner of @p dname, replaced. */
static int substitute(struct dns_name *name, const struct dns_rr *dname)
{
	size_t kept = (size_t)(name->len - dname->owner.len);
	const struct dns_name *target = &dname->data.name;

	if (kept + target->len > DNSNAME_WIRE_MAX)
		return ERR_RCODE_YXDOMAIN;
	memcpy(name->wire + kept, target->wire, target->len);
	name->len = (uint8_t)(kept + target->len);
	return 0;
}

int dns_chain_follow(struct dns_chain *c, const struct dns_msg *m, unsigned max)
{
	const struct dns_rr *rr;

	while ((rr = find_alias(m, &c->name)) != NULL) {
		int err = 0;

		if (++c->hops > max)
			return ERR_DNS_CNAME_LOOP;
		if (rr->ttl < c->ttl)
			c->ttl = rr->ttl;
		if (rr->type == DNS_TYPE_DNAME)
			err = substitute(&c->name, rr);
		else
			c->name = rr->data.name;
		if (err != 0)
			return err;
	}
	return 0;
}

const struct dns_rr *dns_chain_soa(const struct dns_msg *m, enum dns_section s,
				   const struct dns_name *name)
{
	size_t n;
	const struct dns_rr *rr = dnsmsg_section(m, s, &n);

	for (; n > 0; n--, rr++)
		if (rr->type == DNS_TYPE_SOA && rr->rclass == DNS_CLASS_IN &&
		    dns_name_is_within(name, &rr->owner))
			return rr;
	return NULL;
}
