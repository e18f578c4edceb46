#include "cli/verify_options.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/discover_options.h"
#include "cli/domain_source.h"
#include "common/mem.h"

/* ---- options --------------------------------------------------------------------------------- */

static int parse_expect(const struct cli_args *a, struct verify_options *o)
{
	const char *const *texts;
	struct err_info info;

	o->n_expect = cli_list(a, "expect", &texts);
	if (o->n_expect > RSV_EXPECT_MAX)
		return cli_usage_error(a, "at most %d --expect", RSV_EXPECT_MAX);
	for (size_t i = 0; i < o->n_expect; i++)
		if (rsv_expect_parse(texts[i], &o->expect[i], &info) != 0)
			return cli_usage_error(a, "--expect: %s", info.text);
	return 0;
}

static int parse_domains(const struct cli_args *a, struct verify_options *o)
{
	const char *path = cli_get(a, "domains-file");
	struct domain_item it;

	o->n_domains = cli_list(a, "domain", &o->domains);
	if (path != NULL && o->n_domains > 0)
		return cli_usage_error(a, "give --domain or --domains-file, not both");
	for (size_t i = 0; i < o->n_domains; i++)
		if (domain_item_parse(o->domains[i], strlen(o->domains[i]), &it) != DOMAIN_NAME)
			return cli_usage_error(a, "--domain '%s' %s", it.text, it.problem);
	if (path == NULL)
		return 0;
	o->fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	if (o->fd < 0)
		return cli_usage_error(a, "--domains-file %s cannot be opened: %m", path);
	return 0;
}

static int parse_form(const struct cli_args *a, struct verify_options *o)
{
	bool json = cli_has(a, "json"), nagios = cli_has(a, "nagios");
	int code = session_duration(a, "watch", 0, &o->watch_ms);

	if (code != 0)
		return code;
	if (cli_has(a, "watch") && o->watch_ms < VERIFY_WATCH_MIN_MS)
		return cli_usage_error(a, "--watch: at least 1s");
	if (nagios && json)
		return cli_usage_error(a, "give --nagios or --json, not both");
	if (nagios && o->watch_ms > 0)
		return cli_usage_error(a, "give --nagios or --watch, not both: the monitoring "
					  "system repeats by itself");
	o->lookup_only = cli_has(a, "lookup-only");
	o->form = nagios ? FORM_NAGIOS : FORM_TEXT;
	if (json)
		o->form =
			cli_has(a, "domains-file") || o->watch_ms > 0 ? FORM_JSON_LINES : FORM_JSON;
	return 0;
}

int verify_options_parse(const struct cli_args *a, struct verify_options *o)
{
	int code;

	memset(o, 0, sizeof(*o));
	o->fd = -1;
	code = parse_form(a, o);
	if (code == 0)
		code = parse_servers(a, o->servers, DNS_CLIENT_SERVERS_MAX, &o->n_servers);
	if (code == 0)
		code = parse_expect(a, o);
	if (code == 0)
		code = parse_domains(a, o);
	return code;
}

/* ---- what is configured ---------------------------------------------------------------------- */

struct own_domain {
	struct dns_name name;
	const struct config_domain *config;
};

struct own_records {
	const struct config *cfg;
	struct own_domain *list; /* by name, then in the order of the configuration */
	size_t n;
	const char **texts; /* each domain once */
	size_t n_texts;
};

static int compare(const void *a, const void *b)
{
	const struct own_domain *x = a, *y = b;
	int c = dns_name_compare(&x->name, &y->name);

	return c != 0 ? c : (x->config > y->config) - (x->config < y->config);
}

/** The first one of @p domain in the list, or where it would stand. */
static size_t find(const struct own_records *o, const struct dns_name *domain)
{
	size_t low = 0, high = o->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (dns_name_compare(&o->list[mid].name, domain) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct own_records *own_records_new(const struct config *cfg)
{
	struct own_records *o = mem_must(calloc(1, sizeof(*o)));
	size_t n = cfg->publish.n_domains;

	o->cfg = cfg;
	o->list = mem_must(calloc(n + 1, sizeof(*o->list)));
	o->texts = mem_must(calloc(n + 1, sizeof(*o->texts)));
	for (size_t i = 0; i < n; i++) {
		o->list[o->n].config = &cfg->publish.domains[i];
		if (dns_name_parse(cfg->publish.domains[i].domain, &o->list[o->n].name) == 0)
			o->n++;
	}
	qsort(o->list, o->n, sizeof(*o->list), compare);
	for (size_t i = 0; i < n; i++) {
		struct dns_name name;

		/* Several views of one domain are one audit. */
		if (dns_name_parse(cfg->publish.domains[i].domain, &name) == 0 &&
		    o->list[find(o, &name)].config == &cfg->publish.domains[i])
			o->texts[o->n_texts++] = cfg->publish.domains[i].domain;
	}
	return o;
}

void own_records_free(struct own_records *o)
{
	if (o == NULL)
		return;
	free(o->list);
	free(o->texts);
	free(o);
}

const char *const *own_records_domains(const struct own_records *o, size_t *ret_n)
{
	*ret_n = o->n_texts;
	return o->texts;
}

static size_t add_hosts(const struct own_records *o, const struct config_domain *d, size_t n,
			unsigned view, struct rsv_expect ret[RSV_EXPECT_MAX])
{
	for (size_t k = 0; k < d->n_hosts && n < RSV_EXPECT_MAX; k++) {
		const struct config_host *h = &o->cfg->hosts[d->hosts[k]];
		struct rsv_expect *e = &ret[n];

		*e = (struct rsv_expect){ .port = h->port != 0 ? h->port : CONFIG_KMS_PORT,
					  .has_priority = true,
					  .has_weight = true,
					  .view = view };
		config_srv_values(d, h, &e->priority, &e->weight);
		if (h->target != NULL && dns_name_parse(h->target, &e->target) == 0)
			n++;
	}
	return n;
}

const struct config_domain *own_records_entry(const struct own_records *o,
					      const struct dns_name *domain, size_t i)
{
	i += find(o, domain);
	return i < o->n && dns_name_equal(&o->list[i].name, domain) ? o->list[i].config : NULL;
}

size_t own_records_get(const struct own_records *o, const struct dns_name *domain,
		       struct rsv_expect ret[RSV_EXPECT_MAX])
{
	size_t n = 0;

	for (size_t i = find(o, domain); i < o->n && dns_name_equal(&o->list[i].name, domain); i++)
		n = add_hosts(o, o->list[i].config, n, (unsigned)i, ret);
	return n;
}
