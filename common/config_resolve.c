/* Fills what the file left to be worked out. */
#include <stdlib.h>
#include <string.h>

#include "common/config_priv.h"

#define CONNECTED_MAX 64 /* networks of interfaces that the default of service.allow takes in */

static bool given(const struct cfg *cfg, const void *field)
{
	return cfg != NULL && cfg_given(cfg, field);
}

static int copy_text(char **ret, const char *text)
{
	*ret = strdup(text);
	return *ret != NULL ? 0 : ERR_NOMEM;
}

static int resolve_node(struct config_node *n)
{
	char fqdn[CONFIG_FQDN_MAX];

	if (n->target == NULL && config_machine_fqdn(fqdn))
		return copy_text(&n->target, fqdn);
	return 0;
}

static int default_listen(struct config_service *s)
{
	static const char *const everywhere[] = { "0.0.0.0", "::" };
	static const char *const loopback[] = { "127.0.0.1", "::1" };
	const char *const *text = s->mode == CONFIG_SERVICE_LAB ? loopback : everywhere;

	s->listen = calloc(2, sizeof(*s->listen));
	if (s->listen == NULL)
		return ERR_NOMEM;
	s->n_listen = 2;
	s->listen_is_default = true;
	for (size_t i = 0; i < 2; i++)
		(void)addr_parse(text[i], CONFIG_KMS_PORT, &s->listen[i]);
	return 0;
}

static bool has_net(const struct config_service *s, const struct cidr *net)
{
	for (size_t i = 0; i < s->n_allow; i++)
		if (s->allow[i].prefix <= net->prefix && cidr_contains(&s->allow[i], &net->net))
			return true;
	return false;
}

/* Clients of a network that is missing here would be turned away. */
static int default_allow(struct config_service *s, struct cfg *cfg)
{
	static const char *const text[] = { "127.0.0.0/8",    "::1",
					    "10.0.0.0/8",     "172.16.0.0/12",
					    "192.168.0.0/16", "fc00::/7" };
	const size_t n = sizeof(text) / sizeof(text[0]);
	struct cidr nets[CONNECTED_MAX];
	size_t connected = 0;
	int err = s->mode != CONFIG_SERVICE_OFF
			  ? config_connected_nets(nets, CONNECTED_MAX, &connected)
			  : 0;

	if (err != 0)
		cfg_complain(cfg, false, &s->allow,
			     "the networks of this machine's interfaces, which are its default, "
			     "cannot be read: %s; try again, or name the networks",
			     err_text(err));
	s->allow = calloc(n + connected, sizeof(*s->allow));
	if (s->allow == NULL)
		return ERR_NOMEM;
	s->allow_is_default = true;
	for (size_t i = 0; i < n; i++)
		(void)cidr_parse(text[i], &s->allow[s->n_allow++]);
	for (size_t i = 0; i < connected; i++)
		if (!has_net(s, &nets[i]))
			s->allow[s->n_allow++] = nets[i];
	return 0;
}

static int resolve_lab(struct config *c)
{
	if (c->lab.key_file != NULL)
		return 0;
	c->lab.key_file_is_default = true;
	if (asprintf(&c->lab.key_file, "%s/lab.key", c->node.state_dir) >= 0)
		return 0;
	c->lab.key_file = NULL; /* undefined until then, and config_free() frees it */
	return ERR_NOMEM;
}

static int resolve_discovery(struct config_discovery *d)
{
	if (d->n_profiles > 0)
		return 0;
	d->profiles = calloc(1, sizeof(*d->profiles)); /* modern */
	if (d->profiles == NULL)
		return ERR_NOMEM;
	d->n_profiles = 1;
	return 0;
}

static int resolve_hosts(struct config *c, const struct cfg *cfg)
{
	int err = 0;

	if (!given(cfg, &c->hosts) && c->service.mode != CONFIG_SERVICE_OFF) {
		c->hosts = calloc(1, sizeof(*c->hosts));
		if (c->hosts == NULL)
			return ERR_NOMEM;
		c->n_hosts = 1;
		err = copy_text(&c->hosts[0].name, CONFIG_LOCAL);
	}
	for (size_t i = 0; i < c->n_hosts && err == 0; i++) {
		struct config_host *h = &c->hosts[i];

		h->is_local = h->name != NULL && strcmp(h->name, CONFIG_LOCAL) == 0;
		if (h->is_local && h->target == NULL && c->node.target != NULL)
			err = copy_text(&h->target, c->node.target);
		h->port_is_default = h->port == 0; /* not given, since 0 may not be */
		if (h->port_is_default)
			h->port = h->is_local && c->service.mode != CONFIG_SERVICE_OFF
					  ? addr_port(&c->service.listen[0])
					  : CONFIG_KMS_PORT;
	}
	return err;
}

static void resolve_source(const struct addr *list, size_t n, const struct config_source *inherited,
			   struct config_source *ret)
{
	if (n == 0 && inherited != NULL)
		*ret = *inherited;
	for (size_t i = 0; i < n; i++) {
		if (list[i].u.sa.sa_family == AF_INET)
			ret->v4 = list[i];
		else
			ret->v6 = list[i];
	}
}

/* "local, office": what may be written, for a message. */
static void list_names(char *const *at, size_t stride, size_t n, char *buf, size_t size)
{
	size_t len = (size_t)snprintf(buf, size, "%s", n == 0 ? "none" : "");

	for (size_t i = 0; i < n && len < size; i++) {
		const char *name = *(char *const *)((const char *)at + i * stride);

		len += (size_t)snprintf(buf + len, size - len, "%s%s", i > 0 ? ", " : "",
					name != NULL ? name : "?");
	}
}

static void resolve_key(const struct config *c, struct config_domain *d, struct cfg *cfg)
{
	char names[200];

	d->key = -1;
	if (d->key_name == NULL)
		return;
	d->key = config_find_key(c, d->key_name);
	if (d->key >= 0 || cfg_is_bad(cfg, "keys"))
		return;
	list_names(c->n_keys > 0 ? &c->keys[0].name : NULL, sizeof(c->keys[0]), c->n_keys, names,
		   sizeof(names));
	cfg_complain(cfg, false, &d->key_name, "no key has the name '%s'; `keys` has: %s",
		     d->key_name, names);
}

static int resolve_domain_hosts(const struct config *c, struct config_domain *d, struct cfg *cfg)
{
	bool all = !given(cfg, &d->host_names);
	size_t n = all ? c->n_hosts : d->n_host_names;
	char names[200];

	if (n == 0)
		return 0;
	d->hosts = calloc(n, sizeof(*d->hosts));
	if (all)
		d->host_names = calloc(n, sizeof(*d->host_names));
	if (d->hosts == NULL || d->host_names == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		int h = (int)i;

		if (all) {
			d->n_host_names = i + 1;
			if (c->hosts[i].name != NULL &&
			    copy_text(&d->host_names[i], c->hosts[i].name) != 0)
				return ERR_NOMEM;
		} else {
			h = d->host_names[i] != NULL ? config_find_host(c, d->host_names[i]) : -1;
		}
		if (h >= 0) {
			d->hosts[d->n_hosts++] = (size_t)h;
		} else if (d->host_names[i] != NULL && !cfg_is_bad(cfg, "hosts")) {
			list_names(c->n_hosts > 0 ? &c->hosts[0].name : NULL, sizeof(c->hosts[0]),
				   c->n_hosts, names, sizeof(names));
			cfg_complain(cfg, false, &d->host_names[i],
				     "no host has the name '%s'; `hosts` has: %s", d->host_names[i],
				     names);
		}
	}
	return 0;
}

static int resolve_domain(const struct config *c, struct config_domain *d, struct cfg *cfg)
{
	resolve_key(c, d, cfg);
	resolve_source(d->source_list, d->n_source_list, &c->publish.source, &d->source);
	if (!given(cfg, &d->ttl_s))
		d->ttl_s = c->publish.ttl_s;
	if (d->view == NULL && copy_text(&d->view, "") != 0)
		return ERR_NOMEM;
	return resolve_domain_hosts(c, d, cfg);
}

int config_resolve(struct config *c, struct cfg *cfg)
{
	int err = resolve_node(&c->node);

	if (err == 0 && c->service.n_listen == 0)
		err = default_listen(&c->service);
	if (err == 0 && c->service.n_allow == 0)
		err = default_allow(&c->service, cfg);
	if (err == 0)
		err = resolve_lab(c);
	if (err == 0)
		err = resolve_discovery(&c->discovery);
	if (err == 0)
		err = resolve_hosts(c, cfg);
	resolve_source(c->publish.source_list, c->publish.n_source_list, NULL, &c->publish.source);
	for (size_t i = 0; i < c->publish.n_domains && err == 0; i++)
		err = resolve_domain(c, &c->publish.domains[i], cfg);
	return err;
}
