#include "cli/discover_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "kmscore/probe.h"
#include "net/resolv_conf.h"

int parse_servers(const struct cli_args *a, struct dns_server *ret, size_t max, size_t *ret_n)
{
	const char *const *texts;
	size_t n = cli_list(a, "server", &texts);

	*ret_n = 0;
	if (n > max)
		return cli_usage_error(a, "at most %zu --server", max);
	for (size_t i = 0; i < n; i++) {
		ret[i] = (struct dns_server){ 0 };
		if (addr_parse(texts[i], NET_DNS_PORT, &ret[i].addr) != 0)
			return cli_usage_error(a,
					       "--server '%s' is no address, such as 192.0.2.53 or "
					       "[2001:db8::53]:5353",
					       texts[i]);
	}
	*ret_n = n;
	return 0;
}

/** The suffixes of one option; the first one given ends those of the configuration. */
static int take_suffixes(const struct cli_args *a, struct discover_options *o, const char *option,
			 enum rsv_suffix_from from, bool *ours)
{
	const char *const *domains;
	size_t n = cli_list(a, option, &domains);
	struct err_info info;

	if (n > 0 && !*ours)
		rsv_client_clear_suffixes(&o->client);
	*ours |= n > 0;
	for (size_t i = 0; i < n; i++)
		if (rsv_client_add_suffix(&o->client, domains[i], from, &info) != 0)
			return cli_usage_error(a, "--%s: %s", option, info.text);
	return 0;
}

int discover_client(const struct cli_args *a, const struct session *s, const char *product,
		    struct discover_options *o)
{
	struct resolv_conf rc;
	struct err_info info;
	bool ours = false;
	int code;

	(void)resolv_conf_read(s->config->discovery.resolv_conf, &rc);
	if (rsv_client_init(&o->client, &s->config->discovery, product, &rc, &info) != 0)
		return cli_usage_error(a, "%s", info.text);
	code = take_suffixes(a, o, "domain", RSV_SUFFIX_LIST, &ours);
	o->client.params.servers = o->servers;
	return code != 0 ? code
			 : parse_servers(a, o->servers, DNS_CLIENT_SERVERS_MAX,
					 &o->client.params.n_servers);
}

/** The kinds of suffix, in the order in which a client asks them. */
static int parse_suffixes(const struct cli_args *a, struct discover_options *o)
{
	static const struct {
		const char *option;
		enum rsv_suffix_from from;
	} kinds[] = {
		{ "primary-suffix", RSV_SUFFIX_PRIMARY },
		{ "ad-domain", RSV_SUFFIX_AD },
		{ "connection-suffix", RSV_SUFFIX_CONNECTION },
		{ "search-suffix", RSV_SUFFIX_SEARCH },
	};
	const char *const *domains;
	bool listed = cli_list(a, "domain", &domains) > 0, ours = false;
	int code = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && code == 0; i++)
		code = take_suffixes(a, o, kinds[i].option, kinds[i].from, &ours);
	if (code == 0 && ours && listed)
		return cli_usage_error(a,
				       "--domain is the whole list of suffixes: give either that "
				       "or the options for each kind");
	return code;
}

static int parse_manual(const struct cli_args *a, const struct session *s,
			struct discover_options *o)
{
	const char *host = cli_get(a, "manual-host"), *domain = cli_get(a, "lookup-domain");
	struct err_info info;

	if (domain != NULL && rsv_client_set_lookup_domain(&o->client, domain, &info) != 0)
		return cli_usage_error(a, "--lookup-domain: %s", info.text);
	if (host == NULL)
		return 0;
	o->client.params.manual_scope = NULL;
	if (rsv_client_set_manual(&o->client, host, s->config->discovery.lone_port, &info) != 0)
		return cli_usage_error(a, "--manual-host: %s", info.text);
	if (o->client.params.manual_host == NULL && o->client.params.lone_port == 0)
		(void)fprintf(
			stderr,
			"kmsbeacon discover: --manual-host '%s' is a port without a host, which "
			"is ignored (discovery.port_without_host)\n",
			host);
	return 0;
}

static int parse_seed(const struct cli_args *a, struct discover_options *o)
{
	const char *text = cli_get(a, "seed");
	char *end;
	unsigned long long seed;

	if (text == NULL)
		return 0;
	errno = 0;
	seed = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
		return cli_usage_error(a, "--seed '%s' is no whole number of 64 bits", text);
	rng_init_seed(&o->rng, seed);
	o->client.params.rng = &o->rng;
	return 0;
}

static int parse_probe(const struct cli_args *a, struct discover_options *o)
{
	const char *kind = cli_get(a, "probe");

	if (kind == NULL || strcmp(kind, "rpc") == 0)
		o->client.params.prober = kms_prober_rpc();
	else if (strcmp(kind, "tcp") == 0)
		o->client.params.prober = kms_prober_tcp();
	else if (strcmp(kind, "none") != 0)
		return cli_usage_error(a, "--probe is rpc, tcp or none, not '%s'", kind);
	return 0;
}

/* A file that is none of ours is never written: the path may be a mistake. */
static int parse_cache(const struct cli_args *a, struct discover_options *o)
{
	struct err_info info;
	int err;

	o->cache_file = cli_get(a, "cache");
	if (o->cache_file == NULL)
		return 0;
	err = rsv_cache_load(&o->cache, o->cache_file, &info);
	if (err != 0 && !o->cache.newer)
		return cli_usage_error(a, "--cache: %s; it is left as it is, name another file",
				       info.text);
	if (err != 0)
		(void)fprintf(stderr, "kmsbeacon discover: %s\n", info.text);
	rsv_cache_set_enabled(&o->cache, !cli_has(a, "no-cache"));
	rsv_cache_use(&o->cache, o->client.product);
	o->client.params.cache = &o->cache;
	return 0;
}

int discover_options_parse(const struct cli_args *a, const struct session *s,
			   struct discover_options **ret)
{
	struct discover_options *o = mem_must(calloc(1, sizeof(*o)));
	const char *profile = cli_get(a, "profile");
	int code;

	*ret = o;
	code = discover_client(a, s, cli_get(a, "product"), o);
	o->client.params.resolve_all = true;
	if (code == 0 && profile != NULL && !rsv_profile_parse(profile, &o->client.params.profile))
		code = cli_usage_error(a, "--profile is modern or vista, not '%s'", profile);
	if (code == 0)
		code = parse_suffixes(a, o);
	if (code == 0)
		code = parse_manual(a, s, o);
	if (code == 0)
		code = parse_seed(a, o);
	if (code == 0)
		code = parse_probe(a, o);
	if (code == 0)
		code = parse_cache(a, o);
	return code;
}

void discover_options_free(struct discover_options *o)
{
	free(o);
}
