#include "resolver/client.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/skms.h"

/* ---- options ---- */

int rsv_client_set_manual(struct rsv_client *c, const char *arg, enum config_lone_port lone,
			  struct err_info *info)
{
	struct skms set;
	int err = skms_parse(arg, &set, info);

	if (err != 0)
		return err;
	c->params.manual_host = NULL;
	c->params.manual_port = 0;
	c->params.lone_port = 0;
	if (set.host[0] != '\0') {
		skms_bare_host(set.host, c->manual_host);
		c->params.manual_host = c->manual_host;
		c->params.manual_port = set.port;
	} else if (lone == CONFIG_LONE_PORT_USE) {
		c->params.lone_port = set.port;
	}
	return 0;
}

int rsv_client_set_lookup_domain(struct rsv_client *c, const char *domain, struct err_info *info)
{
	if (!skms_is_domain(domain) || dns_name_parse(domain, &c->lookup_domain) != 0)
		return err_set(info, ERR_USAGE, "'%s' is no domain name", domain);
	c->params.lookup_domain = &c->lookup_domain;
	return 0;
}

void rsv_client_clear_suffixes(struct rsv_client *c)
{
	c->params.n_suffixes = 0;
}

static void add_name(struct rsv_client *c, const struct dns_name *name, enum rsv_suffix_from from)
{
	if (c->params.n_suffixes == RSV_SUFFIXES_MAX)
		return;
	c->from[c->params.n_suffixes] = from;
	c->suffixes[c->params.n_suffixes++] = *name;
}

int rsv_client_add_suffix(struct rsv_client *c, const char *domain, enum rsv_suffix_from from,
			  struct err_info *info)
{
	struct dns_name name;

	if (c->params.n_suffixes == RSV_SUFFIXES_MAX)
		return err_set(info, ERR_LIMIT, "at most %d suffixes", RSV_SUFFIXES_MAX);
	if (dns_name_parse(domain, &name) != 0 || dns_name_is_root(&name))
		return err_set(info, ERR_USAGE, "'%s' is no domain name", domain);
	add_name(c, &name, from);
	return 0;
}

/* ---- the configuration ---- */

static const char *application_id(const char *name)
{
	if (strcasecmp(name, "windows") == 0)
		return RSV_APP_WINDOWS;
	if (strcasecmp(name, "office") == 0)
		return RSV_APP_OFFICE;
	return name;
}

static bool is_application(const struct config_product *p, const char *id)
{
	return p->application != NULL && strcasecmp(application_id(p->application), id) == 0;
}

/** The rows of the product and of its application; NULL where there is none. */
static void find_rows(const struct config_discovery *d, const char *id,
		      const struct config_product **ret_product,
		      const struct config_product **ret_app)
{
	const char *app = id;

	*ret_product = *ret_app = NULL;
	for (size_t i = 0; i < d->n_products; i++) {
		const struct config_product *p = &d->products[i];

		if (p->activation_id == NULL || strcasecmp(p->activation_id, id) != 0)
			continue;
		*ret_product = p;
		app = p->application != NULL ? application_id(p->application) : id;
	}
	for (size_t i = 0; i < d->n_products; i++)
		if (d->products[i].activation_id == NULL && is_application(&d->products[i], app))
			*ret_app = &d->products[i];
}

static int take_manual(struct rsv_client *c, const struct config_discovery *d,
		       const struct config_product *product, const struct config_product *app,
		       struct err_info *info)
{
	const char *arg = d->manual_host;

	if (product != NULL && product->manual_host != NULL) {
		arg = product->manual_host;
		c->params.manual_scope = "this product";
	} else if (app != NULL && app->manual_host != NULL) {
		arg = app->manual_host;
		c->params.manual_scope = "its application";
	}
	return arg != NULL ? rsv_client_set_manual(c, arg, d->lone_port, info) : 0;
}

static int take_lookup_domain(struct rsv_client *c, const struct config_discovery *d,
			      const struct config_product *product,
			      const struct config_product *app, struct err_info *info)
{
	const char *domain = d->lookup_domain;

	if (product != NULL && product->lookup_domain != NULL)
		domain = product->lookup_domain;
	else if (app != NULL && app->lookup_domain != NULL)
		domain = app->lookup_domain;
	return domain != NULL ? rsv_client_set_lookup_domain(c, domain, info) : 0;
}

static enum config_activation activation_of(const struct config_discovery *d,
					    const struct config_product *product,
					    const struct config_product *app)
{
	if (product != NULL && product->activation != CONFIG_PRODUCT_AS_ALL)
		return (enum config_activation)(product->activation - 1);
	if (app != NULL && app->activation != CONFIG_PRODUCT_AS_ALL)
		return (enum config_activation)(app->activation - 1);
	return d->activation;
}

static int add_all(struct rsv_client *c, char *const *list, size_t n, enum rsv_suffix_from from,
		   struct err_info *info)
{
	int err = 0;

	for (size_t i = 0; i < n && err == 0; i++)
		err = rsv_client_add_suffix(c, list[i], from, info);
	return err;
}

static int take_suffixes(struct rsv_client *c, const struct config_discovery *d,
			 const struct resolv_conf *rc, struct err_info *info)
{
	int err = add_all(c, d->suffixes, d->n_suffixes, RSV_SUFFIX_LIST, info);

	if (d->n_suffixes > 0 || err != 0)
		return err;
	err = add_all(c, &d->primary_suffix, d->primary_suffix != NULL, RSV_SUFFIX_PRIMARY, info);
	if (err == 0)
		err = add_all(c, &d->ad_domain, d->ad_domain != NULL, RSV_SUFFIX_AD, info);
	if (err == 0)
		err = add_all(c, d->connection_suffixes, d->n_connection_suffixes,
			      RSV_SUFFIX_CONNECTION, info);
	if (err == 0)
		err = add_all(c, d->search_list, d->n_search_list, RSV_SUFFIX_SEARCH, info);
	if (err != 0 || c->params.n_suffixes > 0 || rc == NULL)
		return err;
	for (size_t i = 0; i < rc->n_suffixes; i++)
		add_name(c, &rc->suffixes[i], RSV_SUFFIX_RESOLV_CONF);
	return 0;
}

static int take_product(struct rsv_client *c, const char *product, struct err_info *info)
{
	const char *id = product != NULL ? application_id(product) : "";
	size_t len = strlen(id);

	/* 36 hexadecimal digits and dashes: a GUID, or a name that matches no setting */
	if (len != 0 && (len != 36 || strspn(id, "0123456789abcdefABCDEF-") != len))
		return err_set(info, ERR_USAGE,
			       "'%s' is no product: windows, office, the GUID of an application "
			       "or an Activation ID (slmgr /dlv shows them)",
			       product);
	for (size_t i = 0; i < len; i++)
		c->product[i] = (char)tolower((unsigned char)id[i]);
	return 0;
}

int rsv_client_init(struct rsv_client *c, const struct config_discovery *d, const char *product,
		    const struct resolv_conf *rc, struct err_info *info)
{
	const struct config_product *row, *app;
	int err;

	memset(c, 0, sizeof(*c));
	c->params.suffixes = c->suffixes;
	c->params.suffix_from = c->from;
	c->params.profile = d->profiles[0] == CONFIG_PROFILE_VISTA ? RSV_VISTA : RSV_MODERN;
	c->params.merge_suffixes = d->suffix_answers == CONFIG_SUFFIX_MERGED;
	c->params.cache_write =
		d->cache_write == CONFIG_CACHE_ACTIVATED ? RSV_CACHE_ACTIVATED : RSV_CACHE_ANSWERED;
	err = take_product(c, product, info);
	if (err != 0)
		return err;
	find_rows(d, c->product, &row, &app);
	switch (activation_of(d, row, app)) {
	case CONFIG_ACTIVATION_AD:
	case CONFIG_ACTIVATION_TOKEN:
		c->params.no_kms = true;
		break;
	case CONFIG_ACTIVATION_ANY:
	case CONFIG_ACTIVATION_KMS:
		break;
	}
	err = take_manual(c, d, row, app, info);
	if (err == 0)
		err = take_lookup_domain(c, d, row, app, info);
	return err != 0 ? err : take_suffixes(c, d, rc, info);
}
