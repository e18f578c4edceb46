#include "publisher/check.h"

#include <stdlib.h>
#include <string.h>

/* What a lookup says. Pure. */
static enum pub_check_verdict judge(const struct host_lookup_result *r, bool lab)
{
	bool loopback = true;

	switch (r->err) {
	case ERR_OK:
		break;
	case ERR_RCODE_NXDOMAIN:
	case ERR_DNS_NODATA:
	case ERR_DNS_CNAME_LOOP:
		return PUB_CHECK_NO_ADDRESS;
	default:
		return PUB_CHECK_UNKNOWN;
	}
	if (r->is_alias)
		return PUB_CHECK_CNAME;
	for (size_t i = 0; i < r->n_addrs; i++)
		loopback = loopback && addr_is_loopback(&r->addrs[i]);
	return loopback && !lab ? PUB_CHECK_LOOPBACK : PUB_CHECK_OK;
}

static void on_host(struct pub_hosts_wait *w, const struct host_lookup_result *r);

static bool inside(const struct pub_check *c, const struct pub_check_name *n)
{
	return dns_name_is_within(&c->target->wanted[n->wanted].srv.target, &c->zone->zone);
}

/** @return whether the answer is still to come. */
static bool look_up(struct pub_check_name *n)
{
	struct pub_check *c = n->check;
	bool at_primary = inside(c, n) != n->second;
	struct dns_server servers[PUB_PRIMARY_MAX];
	size_t n_servers = at_primary ? pub_zone_primary(c->zone, c->target, servers) : 0;
	const struct host_lookup_result *r;
	char name[DNSNAME_TEXT_MAX];

	if (!at_primary && c->net->n_resolvers == 0)
		return false;
	n->wait.owner = n;
	dns_name_format(&c->target->wanted[n->wanted].srv.target, name);
	r = pub_hosts_get(c->hosts, c->net, name, c->target->wanted[n->wanted].srv.port,
			  at_primary ? servers : NULL, n_servers, 0, &n->wait, on_host);
	if (r == NULL)
		return true;
	/* A definite no is not undone by silence elsewhere. */
	if (!n->second || r->err == ERR_OK || n->verdict == PUB_CHECK_UNKNOWN)
		n->verdict = judge(r, c->target->lab);
	return false;
}

/* Both places, the better one first; the second only where the first has no address to give. */
static bool look_up_both(struct pub_check_name *n)
{
	if (look_up(n))
		return true;
	if (n->second || (n->verdict != PUB_CHECK_NO_ADDRESS && n->verdict != PUB_CHECK_UNKNOWN))
		return false;
	n->second = true;
	return look_up(n);
}

static void on_host(struct pub_hosts_wait *w, const struct host_lookup_result *r)
{
	struct pub_check_name *n = w->owner;
	struct pub_check *c = n->check;

	(void)r; /* look_up finds it in the table now */
	if (look_up_both(n))
		return;
	if (--c->waiting == 0)
		c->done(c);
}

static bool is_listed(const struct pub_check *c, const struct dns_name *target)
{
	for (size_t i = 0; i < c->n_names; i++)
		if (dns_name_equal(&c->target->wanted[c->names[i].wanted].srv.target, target))
			return true;
	return false;
}

int pub_check_start(struct pub_check *c, struct net *net, struct pub_hosts *hosts,
		    const struct pub_target *target, const struct pub_zone *zone,
		    const struct pub_plan *plan, pub_check_done_fn *done)
{
	c->net = net;
	c->hosts = hosts;
	c->target = target;
	c->zone = zone;
	c->done = done;
	c->n_names = 0;
	c->waiting = 0;
	c->names = calloc(target->n_wanted > 0 ? target->n_wanted : 1, sizeof(*c->names));
	if (c->names == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < target->n_wanted; i++) {
		struct pub_check_name *n = &c->names[c->n_names];

		if (!pub_plan_adds(plan, &target->wanted[i].srv) ||
		    is_listed(c, &target->wanted[i].srv.target))
			continue;
		n->check = c;
		n->wanted = i;
		n->verdict = PUB_CHECK_UNKNOWN;
		c->n_names++;
	}
	for (size_t i = 0; i < c->n_names; i++)
		c->waiting += look_up_both(&c->names[i]);
	return c->waiting > 0 ? 1 : 0;
}

static int tell(enum pub_check_verdict v, const char *name, struct pub_findings *f)
{
	switch (v) {
	case PUB_CHECK_OK:
		break;
	case PUB_CHECK_NO_ADDRESS:
		return pub_findings_add(f, FINDING_TARGET_NO_ADDRESS, "%s has no address", name);
	case PUB_CHECK_CNAME:
		return pub_findings_add(f, FINDING_TARGET_CNAME, "%s is an alias (CNAME)", name);
	case PUB_CHECK_LOOPBACK:
		return pub_findings_add(f, FINDING_TARGET_LOOPBACK,
					"%s leads to loopback, where no client finds it", name);
	case PUB_CHECK_UNKNOWN:
		return pub_findings_add(f, FINDING_TARGET_UNCHECKED,
					"nobody could say whether %s has an address", name);
	}
	return ERR_OK;
}

int pub_check_apply(const struct pub_check *c, enum pub_want *want, struct pub_findings *findings,
		    bool *ret_bad)
{
	char name[DNSNAME_TEXT_MAX];
	int err = ERR_OK;

	*ret_bad = false;
	for (size_t i = 0; i < c->n_names && err == ERR_OK; i++) {
		const struct pub_check_name *n = &c->names[i];
		const struct dns_name *target = &c->target->wanted[n->wanted].srv.target;

		err = tell(n->verdict, dns_name_format(target, name), findings);
		if (n->verdict == PUB_CHECK_OK || n->verdict == PUB_CHECK_UNKNOWN)
			continue;
		*ret_bad = true;
		for (size_t k = 0; k < c->target->n_wanted; k++)
			if (want[k] == PUB_WANT_YES &&
			    dns_name_equal(&c->target->wanted[k].srv.target, target))
				want[k] = PUB_WANT_BAD;
	}
	return err;
}

void pub_check_leave(struct pub_check *c)
{
	for (size_t i = 0; i < c->n_names; i++)
		pub_hosts_leave(&c->names[i].wait);
	free(c->names);
	memset(c, 0, sizeof(*c));
}
