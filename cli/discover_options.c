#include "cli/discover_options.h"

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

static int add_suffix(const struct cli_args *a, struct discover_options *o, const char *text)
{
	if (o->params.n_suffixes == RSV_SUFFIXES_MAX)
		return cli_usage_error(a, "at most %d suffixes", RSV_SUFFIXES_MAX);
	if (dns_name_parse(text, &o->suffixes[o->params.n_suffixes]) != 0)
		return cli_usage_error(a, "'%s' is no domain name", text);
	o->params.n_suffixes++;
	return 0;
}

int discover_suffixes(const struct cli_args *a, const struct session *s, struct discover_options *o)
{
	const char *const *domains;
	size_t n = cli_list(a, "domain", &domains);
	int code = 0;

	o->params.suffixes = o->suffixes;
	for (size_t i = 0; code == 0 && i < n; i++)
		code = add_suffix(a, o, domains[i]);
	if (n > 0)
		return code;
	for (size_t i = 0; code == 0 && i < s->config->discovery.n_suffixes; i++)
		code = add_suffix(a, o, s->config->discovery.suffixes[i]);
	if (s->config->discovery.n_suffixes == 0) {
		struct resolv_conf rc;

		(void)resolv_conf_read(s->config->discovery.resolv_conf, &rc);
		for (size_t i = 0; i < rc.n_suffixes && i < RSV_SUFFIXES_MAX; i++)
			o->suffixes[o->params.n_suffixes++] = rc.suffixes[i];
	}
	return code;
}

int discover_servers(const struct cli_args *a, struct discover_options *o)
{
	o->params.servers = o->servers;
	return parse_servers(a, o->servers, DNS_CLIENT_SERVERS_MAX, &o->params.n_servers);
}

static int parse_seed(const struct cli_args *a, struct discover_options *o)
{
	const char *text = cli_get(a, "seed");
	char *end;
	unsigned long long seed;

	if (text == NULL)
		return 0;
	seed = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0')
		return cli_usage_error(a, "--seed '%s' is no whole number", text);
	rng_init_seed(&o->rng, seed);
	o->params.rng = &o->rng;
	return 0;
}

static int parse_probe(const struct cli_args *a, struct discover_options *o)
{
	const char *kind = cli_get(a, "probe");

	if (kind == NULL || strcmp(kind, "rpc") == 0)
		o->params.prober = kms_prober_rpc();
	else if (strcmp(kind, "tcp") == 0)
		o->params.prober = kms_prober_tcp();
	else if (strcmp(kind, "none") != 0)
		return cli_usage_error(a, "--probe is rpc, tcp or none, not '%s'", kind);
	return 0;
}

static int parse_cache(const struct cli_args *a, struct discover_options *o)
{
	struct err_info info;

	o->cache_file = cli_get(a, "cache");
	if (o->cache_file == NULL)
		return 0;
	if (rsv_cache_load(&o->cache, o->cache_file, &info) != 0)
		(void)fprintf(stderr, "kmsbeacon discover: %s\n", info.text);
	rsv_cache_set_enabled(&o->cache, !cli_has(a, "no-cache"));
	o->params.cache = &o->cache;
	return 0;
}

int discover_options_parse(const struct cli_args *a, const struct session *s,
			   struct discover_options **ret)
{
	struct discover_options *o = mem_must(calloc(1, sizeof(*o)));
	const char *profile = cli_get(a, "profile");
	int code = 0;

	*ret = o;
	o->params.resolve_all = true;
	o->params.profile =
		s->config->discovery.profiles[0] == CONFIG_PROFILE_VISTA ? RSV_VISTA : RSV_MODERN;
	if (profile != NULL && !rsv_profile_parse(profile, &o->params.profile))
		code = cli_usage_error(a, "--profile is modern or vista, not '%s'", profile);
	if (code == 0)
		code = discover_suffixes(a, s, o);
	if (code == 0)
		code = discover_servers(a, o);
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
