#include "publisher/targets.h"

#include <stdlib.h>
#include <string.h>

#include "publisher/journal.h"

struct key {
	char *handle;
	struct tsig_key *key;
};

struct pub_targets {
	unsigned refs;
	struct pub_target *list;
	size_t n;
	struct key *keys;
	size_t n_keys;
};

/* The lists of a target are const to all others; here they are made and freed. */
static void free_const(const void *p)
{
	void *m;

	memcpy(&m, &p, sizeof(m));
	free(m);
}

static void target_done(struct pub_target *t)
{
	for (size_t i = 0; t->servers != NULL && i < t->n_servers; i++)
		free_const(t->servers[i]);
	for (size_t i = 0; t->wanted != NULL && i < t->n_wanted; i++)
		free_const(t->wanted[i].host);
	free_const(t->servers);
	free_const(t->wanted);
	free_const(t->view);
	free_const(t->key_handle);
	tsig_key_unref(t->key);
}

static void targets_free(struct pub_targets *t)
{
	for (size_t i = 0; t->list != NULL && i < t->n; i++)
		target_done(&t->list[i]);
	for (size_t i = 0; t->keys != NULL && i < t->n_keys; i++) {
		free(t->keys[i].handle);
		tsig_key_unref(t->keys[i].key);
	}
	free(t->list);
	free(t->keys);
	free(t);
}

struct pub_targets *pub_targets_ref(struct pub_targets *t)
{
	t->refs++;
	return t;
}

void pub_targets_unref(struct pub_targets *t)
{
	if (t != NULL && --t->refs == 0)
		targets_free(t);
}

_Static_assert(CONFIG_HOSTS_MAX <= PUB_WANTED_MAX, "each host may be wanted in a domain");

static int fill_wanted(struct pub_target *t, const struct config *cfg,
		       const struct config_domain *d, uint16_t local_port, struct err_info *info)
{
	struct pub_wanted *list = calloc(d->n_hosts > 0 ? d->n_hosts : 1, sizeof(*list));

	if (list == NULL)
		return ERR_NOMEM;
	t->wanted = list;
	for (size_t i = 0; i < d->n_hosts; i++) {
		const struct config_host *h = &cfg->hosts[d->hosts[i]];
		struct dns_srv *srv = &list[i].srv;

		list[i].host = strdup(h->name);
		if (list[i].host == NULL)
			return ERR_NOMEM;
		t->n_wanted++;
		if (h->target == NULL || dns_name_parse(h->target, &srv->target) != ERR_OK ||
		    dns_name_is_root(&srv->target))
			return err_set(info, ERR_CONFIG,
				       "%s: host %s has no usable target name: set %s", d->domain,
				       h->name, h->is_local ? "node.target" : "its target");
		srv->port = h->port != 0 ? h->port : local_port;
		if (srv->port == 0)
			return err_set(info, ERR_CONFIG,
				       "%s: the port of host %s is known only while the daemon "
				       "runs: set a port for the host, or in service.listen",
				       d->domain, h->name);
		config_srv_values(d, h, &srv->priority, &srv->weight);
	}
	return ERR_OK;
}

static int fill(struct pub_target *t, const struct config *cfg, const struct config_domain *d,
		struct tsig_key *const *keys, uint16_t local_port, struct err_info *info)
{
	const char **servers = calloc(d->n_server > 0 ? d->n_server : 1, sizeof(*servers));
	struct dns_name owner;

	t->servers = servers;
	t->view = strdup(d->view);
	t->key_handle = strdup(d->key >= 0 ? cfg->keys[d->key].name : "");
	if (servers == NULL || t->view == NULL || t->key_handle == NULL)
		return ERR_NOMEM;
	for (; t->n_servers < d->n_server; t->n_servers++) {
		servers[t->n_servers] = strdup(d->server[t->n_servers]);
		if (servers[t->n_servers] == NULL)
			return ERR_NOMEM;
	}
	if (d->n_server > PUB_SERVERS_MAX)
		return err_set(info, ERR_CONFIG, "%s: more than %u servers", d->domain,
			       PUB_SERVERS_MAX);
	if (dns_name_parse(d->domain, &t->domain) != ERR_OK ||
	    dns_name_prefix(PUB_OWNER_LABELS, &t->domain, &owner) != ERR_OK)
		return err_set(info, ERR_CONFIG, "%s: too long with %s. in front", d->domain,
			       PUB_OWNER_LABELS);
	if (d->key >= 0)
		t->key = tsig_key_ref(keys[d->key]);
	t->source4 = d->source.v4;
	t->source6 = d->source.v6;
	t->ttl_s = d->ttl_s;
	t->ttl_policy =
		cfg->publish.ttl_policy == CONFIG_TTL_ENFORCE ? PUB_TTL_ENFORCE : PUB_TTL_ADOPT;
	t->lab = d->lab;
	return fill_wanted(t, cfg, d, local_port, info);
}

int pub_targets_from_config(const struct config *cfg, struct tsig_key *const *keys,
			    uint16_t local_port, struct pub_targets **ret, struct err_info *info)
{
	struct pub_targets *t = calloc(1, sizeof(*t));
	int err = ERR_NOMEM;

	*ret = NULL;
	if (t == NULL)
		return ERR_NOMEM;
	t->refs = 1;
	t->list = calloc(cfg->publish.n_domains > 0 ? cfg->publish.n_domains : 1, sizeof(*t->list));
	t->keys = calloc(cfg->n_keys > 0 ? cfg->n_keys : 1, sizeof(*t->keys));
	if (t->list == NULL || t->keys == NULL)
		goto out;
	for (; t->n_keys < cfg->n_keys; t->n_keys++) {
		t->keys[t->n_keys].key = tsig_key_ref(keys[t->n_keys]);
		t->keys[t->n_keys].handle = strdup(cfg->keys[t->n_keys].name);
		if (t->keys[t->n_keys].handle == NULL) {
			t->n_keys++; /* its key is to be released */
			goto out;
		}
	}
	for (err = ERR_OK; err == ERR_OK && t->n < cfg->publish.n_domains; t->n++)
		err = fill(&t->list[t->n], cfg, &cfg->publish.domains[t->n], keys, local_port,
			   info);
out:
	if (err != ERR_OK)
		targets_free(t);
	else
		*ret = t;
	return err;
}

/* The servers stand in one text, separated by blanks (journal.h). */
static int split_servers(struct pub_target *t, const char *text)
{
	const char **servers = calloc(PUB_SERVERS_MAX, sizeof(*servers));

	t->servers = servers;
	if (servers == NULL)
		return ERR_NOMEM;
	while (*text != '\0' && t->n_servers < PUB_SERVERS_MAX) {
		size_t len = strcspn(text, " ");

		if (len > 0) {
			servers[t->n_servers] = strndup(text, len);
			if (servers[t->n_servers] == NULL)
				return ERR_NOMEM;
			t->n_servers++;
		}
		text += len;
		text += *text == ' ';
	}
	return ERR_OK;
}

static int fill_orphan(struct pub_target *t, const struct pub_set *set,
		       const struct pub_targets *base)
{
	struct tsig_key *key = pub_targets_key(base, set->key_handle);

	t->domain = set->domain;
	t->view = strdup(set->view);
	t->key_handle = strdup(set->key_handle);
	if (key != NULL)
		t->key = tsig_key_ref(key);
	if (t->view == NULL || t->key_handle == NULL)
		return ERR_NOMEM;
	return split_servers(t, set->servers);
}

bool pub_targets_is_orphan(const struct pub_targets *t, const struct pub_set *set)
{
	return pub_set_is_live(set) && pub_targets_find(t, &set->domain, set->view) == NULL;
}

int pub_targets_from_orphans(const struct pub_targets *base, struct pub_journal *j,
			     struct pub_targets **ret)
{
	struct pub_targets *t = calloc(1, sizeof(*t));
	size_t n = j != NULL ? pub_journal_count(j) : 0;
	int err = ERR_OK;

	*ret = NULL;
	if (t == NULL)
		return ERR_NOMEM;
	t->refs = 1;
	t->list = calloc(n > 0 ? n : 1, sizeof(*t->list));
	if (t->list == NULL)
		err = ERR_NOMEM;
	for (size_t i = 0; i < n && err == ERR_OK; i++) {
		const struct pub_set *set = pub_journal_at(j, i);

		if (pub_targets_is_orphan(base, set))
			err = fill_orphan(&t->list[t->n++], set, base);
	}
	if (err != ERR_OK)
		targets_free(t);
	else
		*ret = t;
	return err;
}

size_t pub_targets_count(const struct pub_targets *t)
{
	return t->n;
}

const struct pub_target *pub_targets_at(const struct pub_targets *t, size_t i)
{
	return i < t->n ? &t->list[i] : NULL;
}

bool pub_targets_has_domain(const struct pub_targets *t, const struct dns_name *domain)
{
	for (size_t i = 0; i < t->n; i++)
		if (dns_name_equal(&t->list[i].domain, domain))
			return true;
	return false;
}

bool pub_targets_has_host(const struct pub_targets *t, const char *host)
{
	for (size_t i = 0; i < t->n; i++)
		for (size_t k = 0; k < t->list[i].n_wanted; k++)
			if (strcmp(t->list[i].wanted[k].host, host) == 0)
				return true;
	return false;
}

const struct pub_target *pub_targets_find(const struct pub_targets *t,
					  const struct dns_name *domain, const char *view)
{
	for (size_t i = 0; i < t->n; i++)
		if (dns_name_equal(&t->list[i].domain, domain) &&
		    strcmp(t->list[i].view, view) == 0)
			return &t->list[i];
	return NULL;
}

struct tsig_key *pub_targets_key(const struct pub_targets *t, const char *handle)
{
	for (size_t i = 0; i < t->n_keys; i++)
		if (strcmp(t->keys[i].handle, handle) == 0)
			return t->keys[i].key;
	return NULL;
}
