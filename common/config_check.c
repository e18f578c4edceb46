/* What is wrong between settings: each alone is allowed, together they cannot be meant. */
#include <stdlib.h>
#include <string.h>

#include "common/config_priv.h"

#define SRV_LABELS "_vlmcs._tcp."

static bool has_dot(const char *name)
{
	return strchr(name, '.') != NULL;
}

static void check_source(const struct addr *list, size_t n, struct cfg *cfg)
{
	if (n == 2 && list[0].u.sa.sa_family == list[1].u.sa.sa_family && addr_is_set(&list[0]))
		cfg_complain(cfg, false, &list[1],
			     "a second address of the same family; one IPv4 and one IPv6 address "
			     "are allowed");
}

static void check_host(const struct config *c, const struct config_host *h, struct cfg *cfg)
{
	if (h->name == NULL)
		return; /* that has been said */
	if (h->is_local) {
		if (h->target != NULL && c->node.target != NULL &&
		    strcmp(h->target, c->node.target) != 0)
			cfg_complain(cfg, false, &h->target,
				     "the target of `local` is node.target (%s); change that, and "
				     "leave this out",
				     c->node.target);
		return;
	}
	if (h->target == NULL)
		cfg_complain(cfg, false, &h->target,
			     "is missing: the name that the SRV record of '%s' points to", h->name);
	else if (!has_dot(h->target))
		cfg_complain(cfg, false, &h->target,
			     "'%s' has no dot; a full name such as %s.corp.example is needed",
			     h->target, h->target);
}

static void check_hosts(const struct config *c, struct cfg *cfg)
{
	const char *target = c->node.target;

	if (target != NULL && !has_dot(target))
		cfg_complain(cfg, false, &c->node.target,
			     "'%s' has no dot; a full name such as %s.corp.example is needed",
			     target, target);
	for (size_t i = 0; i < c->n_hosts && !cfg_is_bad(cfg, "hosts"); i++)
		check_host(c, &c->hosts[i], cfg);
}

/* ---- domains ---- */

static bool publishes_local(const struct config *c, const struct config_domain *d)
{
	for (size_t i = 0; i < d->n_hosts; i++)
		if (c->hosts[d->hosts[i]].is_local)
			return true;
	return false;
}

static void check_name(const struct config_domain *d, struct cfg *cfg)
{
	const size_t n = strlen(SRV_LABELS);

	if (d->domain == NULL)
		return;
	if (strncmp(d->domain, SRV_LABELS, n) == 0)
		cfg_complain(cfg, false, &d->domain,
			     "give the domain alone: %s; " SRV_LABELS " is put in front of it",
			     d->domain + n);
	else if (strlen(d->domain) + n > CONFIG_FQDN_MAX - 1)
		cfg_complain(cfg, false, &d->domain,
			     "is too long: with " SRV_LABELS " in front it has more than %d "
			     "characters",
			     CONFIG_FQDN_MAX - 1);
}

static void check_local(const struct config *c, const struct config_domain *d, struct cfg *cfg)
{
	bool local = publishes_local(c, d);

	if (!local && !cfg_is_bad(cfg, "hosts") && (d->priority >= 0 || d->weight >= 0))
		cfg_complain(cfg, false, d->priority >= 0 ? &d->priority : &d->weight,
			     "is for `local`, which is not published here; give it under `hosts`");
	if (!local || cfg_is_bad(cfg, "service.mode"))
		return;
	if (c->service.mode == CONFIG_SERVICE_OFF)
		cfg_complain(
			cfg, false, d,
			"`local` is published here, but service.mode is off: clients would find "
			"nothing; set the mode, or leave `local` out of the hosts");
	if (c->service.mode == CONFIG_SERVICE_LAB && !d->lab)
		cfg_complain(
			cfg, false, d,
			"`local` is published here and service.mode is lab, which refuses "
			"Windows for good; for a lab domain add `lab: true`, else leave `local` "
			"out of the hosts");
}

/* For each host the first that has the same target and port: itself, where it is alone. */
static void find_twins(const struct config *c, size_t twin[CONFIG_HOSTS_MAX])
{
	for (size_t i = 0; i < c->n_hosts; i++) {
		const struct config_host *h = &c->hosts[i];
		size_t j = 0;

		while (j < i &&
		       (h->target == NULL || c->hosts[j].target == NULL ||
			strcmp(h->target, c->hosts[j].target) != 0 || h->port != c->hosts[j].port))
			j++;
		twin[i] = j;
	}
}

static void check_twins(const struct config *c, const struct config_domain *d,
			const size_t twin[CONFIG_HOSTS_MAX], struct cfg *cfg)
{
	const struct config_host *seen[CONFIG_HOSTS_MAX] = { NULL };

	for (size_t i = 0; i < d->n_hosts; i++) {
		const struct config_host *h = &c->hosts[d->hosts[i]];
		size_t t = twin[d->hosts[i]];

		/* a host that is listed twice has been reported already */
		if (seen[t] != NULL && seen[t] != h) {
			cfg_complain(cfg, false, &d->domain,
				     "the hosts '%s' and '%s' both mean %s port %u; publish one of "
				     "them here",
				     seen[t]->name, h->name, h->target, h->port);
			return;
		}
		seen[t] = h;
	}
}

static void check_ttl(const struct config *c, const struct config_domain *d, struct cfg *cfg)
{
	if (d->ttl_s == 0 && c->publish.ttl_s != 0)
		cfg_complain(cfg, true, &d->ttl_s,
			     "a TTL of 0 lets nobody keep the answer: each discovery asks the "
			     "authoritative servers");
}

static void check_domains(const struct config *c, struct cfg *cfg)
{
	const struct config_publish *p = &c->publish;
	size_t twin[CONFIG_HOSTS_MAX];
	bool local = false;

	check_source(p->source_list, p->n_source_list, cfg);
	if (p->ttl_s == 0)
		cfg_complain(cfg, true, &p->ttl_s,
			     "a TTL of 0 lets nobody keep the answer: each discovery asks the "
			     "authoritative servers");
	if (p->n_domains > 0 && c->n_hosts == 0 && !cfg_is_bad(cfg, "hosts") &&
	    !cfg_is_bad(cfg, "service.mode"))
		cfg_complain(cfg, false, &p->domains,
			     "there is no host to publish; give `hosts`, or set service.mode");
	find_twins(c, twin);
	for (size_t i = 0; i < p->n_domains; i++) {
		const struct config_domain *d = &p->domains[i];

		check_name(d, cfg);
		check_source(d->source_list, d->n_source_list, cfg);
		check_local(c, d, cfg);
		check_ttl(c, d, cfg);
		if (!cfg_is_bad(cfg, "hosts"))
			check_twins(c, d, twin, cfg);
		local = local || publishes_local(c, d);
	}
	if (local && c->node.target == NULL && !cfg_is_bad(cfg, "node"))
		cfg_complain(cfg, false, &c->node.target,
			     "is needed, since `local` is published and this machine's name has no "
			     "domain: give its full name");
}

/* ---- domains among each other: sorted, so that equal ones are neighbours ---- */

static int by_place(const struct config_domain *a, const struct config_domain *b)
{
	return (a > b) - (a < b); /* entries of one array: the order of the file */
}

static int by_view(const void *a, const void *b)
{
	const struct config_domain *x = *(const struct config_domain *const *)a;
	const struct config_domain *y = *(const struct config_domain *const *)b;
	int order = strcmp(x->domain, y->domain);

	if (order == 0)
		order = strcmp(x->view, y->view);
	return order != 0 ? order : by_place(x, y);
}

static int compare_addr(const struct addr *a, const struct addr *b)
{
	char ta[ADDR_TEXT_MAX], tb[ADDR_TEXT_MAX];

	addr_format(a, ta);
	addr_format(b, tb);
	return strcmp(ta, tb);
}

/* By all that tells a server which view is asked for. */
static int compare_reach(const struct config_domain *x, const struct config_domain *y)
{
	int order = strcmp(x->domain, y->domain);

	if (order == 0)
		order = x->key - y->key;
	if (order == 0)
		order = (x->n_server > y->n_server) - (x->n_server < y->n_server);
	for (size_t i = 0; i < x->n_server && order == 0; i++)
		order = strcmp(x->server[i] != NULL ? x->server[i] : "",
			       y->server[i] != NULL ? y->server[i] : "");
	if (order == 0)
		order = compare_addr(&x->source.v4, &y->source.v4);
	if (order == 0)
		order = compare_addr(&x->source.v6, &y->source.v6);
	return order;
}

static int by_reach(const void *a, const void *b)
{
	const struct config_domain *x = *(const struct config_domain *const *)a;
	const struct config_domain *y = *(const struct config_domain *const *)b;
	int order = compare_reach(x, y);

	return order != 0 ? order : by_place(x, y);
}

static void check_duplicates(const struct config *c, struct cfg *cfg)
{
	const struct config_publish *p = &c->publish;
	const struct config_domain **d;
	size_t n = 0;

	if (p->n_domains < 2)
		return;
	d = calloc(p->n_domains, sizeof(const struct config_domain *));
	if (d == NULL) {
		cfg_complain(cfg, false, &p->domains, "out of memory while checking");
		return;
	}
	for (size_t i = 0; i < p->n_domains; i++)
		if (p->domains[i].domain != NULL)
			d[n++] = &p->domains[i];
	qsort(d, n, sizeof(const struct config_domain *), by_view);
	for (size_t i = 1; i < n; i++)
		if (strcmp(d[i]->domain, d[i - 1]->domain) == 0 &&
		    strcmp(d[i]->view, d[i - 1]->view) == 0)
			cfg_complain(cfg, false, &d[i]->domain, "%s%s%s is already in line %u",
				     d[i]->domain, d[i]->view[0] != '\0' ? " in view " : "",
				     d[i]->view, d[i - 1]->line);
	qsort(d, n, sizeof(const struct config_domain *), by_reach);
	for (size_t i = 1; i < n; i++)
		if (compare_reach(d[i], d[i - 1]) == 0 && strcmp(d[i]->view, d[i - 1]->view) != 0)
			cfg_complain(
				cfg, false, &d[i]->domain,
				"has the same server, key and source as %s in line %u: the "
				"server would show both the same view, since it chooses by key or "
				"source",
				d[i]->domain, d[i - 1]->line);
	free(d);
}

/* ---- what is allowed, but seldom meant ---- */

static void warn_host(const struct config *c, const struct config_host *h, struct cfg *cfg)
{
	if (h->port != CONFIG_KMS_PORT && h->port != 0)
		cfg_complain(
			cfg, true, &h->port,
			"port %u is published for '%s'; clients that are given a host without a "
			"port use %d",
			h->port, h->name, CONFIG_KMS_PORT);
	for (size_t i = 0; i < c->relay.n_upstreams; i++) {
		const struct config_upstream *u = &c->relay.upstreams[i];

		if (u->address == NULL || h->target == NULL || strcmp(u->address, h->target) != 0 ||
		    u->port != h->port)
			continue;
		cfg_complain(cfg, true, &h->name,
			     "'%s' is published and also the upstream '%s': clients reach it both "
			     "through the relay and beside it",
			     h->name, u->name);
	}
}

static void check_published(const struct config *c, struct cfg *cfg)
{
	bool published[CONFIG_HOSTS_MAX] = { false };

	for (size_t i = 0; i < c->publish.n_domains; i++) {
		const struct config_domain *d = &c->publish.domains[i];

		for (size_t j = 0; j < d->n_hosts && !d->lab; j++)
			published[d->hosts[j]] = true;
	}
	for (size_t i = 0; i < c->n_hosts; i++)
		if (published[i] && c->hosts[i].name != NULL)
			warn_host(c, &c->hosts[i], cfg);
}

void config_check(const struct config *c, struct cfg *cfg)
{
	config_check_relay(c, cfg);
	check_hosts(c, cfg);
	check_domains(c, cfg);
	check_duplicates(c, cfg);
	check_published(c, cfg);
	config_check_discovery(&c->discovery, cfg);
}
