#include "publisher/policy.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "publisher/policy_priv.h"

#define PART_MAX 1200

static const char *const words[PUB_POLICY_COUNT_] = {
	[PUB_POLICY_BIND] = "bind",
	[PUB_POLICY_KNOT] = "knot",
	[PUB_POLICY_PDNS] = "pdns",
};

bool pub_policy_for_parse(const char *text, enum pub_policy_for *ret)
{
	for (int i = 0; i < PUB_POLICY_COUNT_; i++) {
		if (strcmp(words[i], text) == 0) {
			*ret = (enum pub_policy_for)i;
			return true;
		}
	}
	return false;
}

const char *pub_policy_for_list(void)
{
	return "bind|knot|pdns";
}

/* An address in `server:` names no name server; a name may. */
static void ns_from_servers(const struct pub_target *t, struct policy_names *n)
{
	char host[HOST_TEXT_MAX];
	struct dns_name name;
	struct addr literal;
	uint16_t port;

	for (size_t i = 0; i < t->n_servers && n->n_ns < PUB_POLICY_NS_MAX; i++)
		if (hostport_parse(t->servers[i], 0, host, &port) == ERR_OK &&
		    addr_parse(host, 0, &literal) != ERR_OK &&
		    dns_name_parse(host, &name) == ERR_OK)
			dns_name_format(&name, n->ns[n->n_ns++]);
}

static void fill_ns(const struct pub_policy_params *p, struct policy_names *n)
{
	struct dns_name invented;

	for (; n->n_ns < p->n_ns && n->n_ns < PUB_POLICY_NS_MAX; n->n_ns++)
		dns_name_format(&p->ns[n->n_ns], n->ns[n->n_ns]);
	if (n->n_ns == 0)
		ns_from_servers(n->target, n);
	if (n->n_ns > 0)
		return;
	n->ns_invented = true;
	/* never too long: _vlmcs._tcp. in front of the same domain is longer, and fits */
	if (dns_name_prefix("ns1", &n->target->domain, &invented) == ERR_OK)
		dns_name_format(&invented, n->ns[n->n_ns++]);
}

static void fill_id(struct policy_names *n)
{
	(void)snprintf(n->id, sizeof(n->id), "kmsbeacon_%s%s%.64s", n->domain,
		       n->view[0] != '\0' ? "_" : "", n->view);
	for (char *c = n->id; *c != '\0'; c++)
		if (!isalnum((unsigned char)*c))
			*c = '_';
}

int policy_names_init(const struct pub_policy_params *p, const struct pub_target *t,
		      struct policy_names *ret, struct err_info *info)
{
	struct dns_name owner;
	int key, err;

	*ret = (struct policy_names){ .target = t, .view = t->view };
	dns_name_format(&t->domain, ret->domain);
	if (t->key == NULL)
		return err_set(
			info, ERR_CONFIG,
			"%s has no key: make one (tsig-keygen -a hmac-sha256 NAME), name its "
			"file under `keys:` and give the domain `key:`",
			ret->domain);
	err = dns_name_prefix(PUB_OWNER_LABELS, &t->domain, &owner);
	if (err != ERR_OK)
		return err;
	dns_name_format(&owner, ret->owner);
	dns_name_format(tsig_key_name(t->key), ret->key);
	ret->alg = tsig_key_alg_name(t->key);
	key = config_find_key(p->config, t->key_handle);
	ret->key_file = key >= 0 ? p->config->keys[key].file : "";
	fill_id(ret);
	fill_ns(p, ret);
	return ERR_OK;
}

int policy_part(const char *lead, struct buf *out, const char *fmt, ...)
{
	char where[PART_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(where, sizeof(where), fmt, ap);
	va_end(ap);
	return buf_printf(out, "%s ---- %s ----\n", lead, where);
}

int policy_delegation(const struct policy_names *n, struct buf *out)
{
	int err = policy_part(";", out, "the file %s.zone", n->owner);

	if (err == ERR_OK && n->ns_invented)
		err = buf_printf(out,
				 "; replace %s. here and below by the servers that will serve the "
				 "zone, or\n; give their names: kmsbeacon policy --delegate --ns "
				 "NAME\n",
				 n->ns[0]);
	if (err == ERR_OK)
		err = buf_printf(
			out, "$TTL 3600\n%s. IN SOA %s. hostmaster.%s. 1 3600 900 1209600 300\n",
			n->owner, n->ns[0], n->domain);
	for (size_t i = 0; err == ERR_OK && i < n->n_ns; i++)
		err = buf_printf(out, "%s. IN NS %s.\n", n->owner, n->ns[i]);
	if (err == ERR_OK)
		err = policy_part(";", out, "the zone above: %s", n->domain);
	if (err == ERR_OK)
		err = buf_printf(out,
				 "; SRV records at %s. go from here into the new zone:\n"
				 "; below a delegation nobody sees them.\n",
				 n->owner);
	for (size_t i = 0; err == ERR_OK && i < n->n_ns; i++)
		err = buf_printf(out, "%s. 3600 IN NS %s.\n", n->owner, n->ns[i]);
	return err;
}

bool policy_wants(const struct pub_policy_params *p, const struct pub_target *t)
{
	return p->domain == NULL || dns_name_equal(p->domain, &t->domain);
}

static int write_one(const struct pub_policy_params *p, const struct pub_target *t,
		     struct policy_names *n, struct buf *out, struct err_info *info)
{
	int err = policy_names_init(p, t, n, info);

	if (err == ERR_OK)
		err = p->server == PUB_POLICY_KNOT ? policy_knot(p, n, out)
						   : policy_bind(p, n, out);
	return err;
}

int pub_policy_write(const struct pub_policy_params *p, struct buf *out, struct err_info *info)
{
	struct policy_names *n;
	int err = ERR_OK;

	if (p->server == PUB_POLICY_PDNS)
		return policy_pdns(p, out, info);
	n = malloc(sizeof(*n));
	if (n == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; err == ERR_OK && i < pub_targets_count(p->targets); i++) {
		const struct pub_target *t = pub_targets_at(p->targets, i);

		if (policy_wants(p, t))
			err = write_one(p, t, n, out, info);
	}
	free(n);
	return err;
}
