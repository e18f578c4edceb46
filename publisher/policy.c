#include "publisher/policy.h"

#include <string.h>

static const char *const words[PUB_POLICY_COUNT_] = { [PUB_POLICY_BIND] = "bind" };

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
	return "bind";
}

/** Names of one domain as text, made once. */
struct names {
	char domain[DNSNAME_TEXT_MAX];
	char owner[DNSNAME_TEXT_MAX];
	char key[DNSNAME_TEXT_MAX]; /* on the wire: what BIND calls it */
	const char *alg;
};

static int head(const struct names *n, const struct pub_target *t, struct buf *out)
{
	const char *view = t->view;

	return buf_printf(
		out,
		"// %s%s%s%s: what BIND 9 must allow, and no more.\n"
		"//\n"
		"// 1. Beside the other keys of named.conf, the key \"%s\" as in the key file:\n"
		"//    key \"%s\" { algorithm %s; secret \"...\"; };\n"
		"//    (tsig-keygen -a %s %s makes a new one; keep the file mode 0600)\n"
		"//\n",
		n->domain, view[0] != '\0' ? " (view " : "", view, view[0] != '\0' ? ")" : "",
		n->key, n->key, n->alg, n->alg, n->key);
}

static int granted(const struct names *n, struct buf *out)
{
	return buf_printf(
		out,
		"// 2. Inside the statement of the zone that holds %s (zone \"%s\",\n"
		"//    or a zone above or below it). update-policy takes the place of\n"
		"//    allow-update; a zone that has an update-policy gets the grant line.\n"
		"update-policy {\n"
		"\tgrant \"%s\" name %s. SRV;\n"
		"};\n",
		n->owner, n->domain, n->key, n->owner);
}

static int reading(const struct names *n, struct buf *out)
{
	return buf_printf(
		out,
		"// Reading: the primary is asked for SOA, NS and SRV signed with the key, the "
		"other\n"
		"// servers unsigned. Nothing to do where queries are open; where allow-query is\n"
		"// restricted, add the key on the primary, and this machine on the others:\n"
		"//    allow-query { ...; key \"%s\"; };\n"
		"// A view is chosen by match-clients: add key \"%s\" to the view that is meant, "
		"and\n"
		"// !key \"%s\" to the views before it. Zone transfers are not used.\n",
		n->key, n->key, n->key);
}

static int delegated(const struct names *n, struct buf *out)
{
	return buf_printf(
		out,
		"// 2. A zone of its own for the name, so that zone %s itself stays as it is:\n"
		"zone \"%s\" {\n"
		"\ttype primary;\n"
		"\tfile \"%s.zone\";\n"
		"\tupdate-policy {\n"
		"\t\tgrant \"%s\" name %s. SRV;\n"
		"\t};\n"
		"};\n"
		"// 3. Its first content, in that file (named must be able to write there); "
		"replace\n"
		"//    ns1.%s by the names of the servers that will serve it:\n"
		"//    $TTL 3600\n"
		"//    @ IN SOA ns1.%s. hostmaster.%s. 1 3600 900 1209600 300\n"
		"//    @ IN NS ns1.%s.\n"
		"// 4. In zone %s, the delegation, for each of those servers:\n"
		"//    %s. IN NS ns1.%s.\n",
		n->domain, n->owner, n->owner, n->key, n->owner, n->domain, n->domain, n->domain,
		n->domain, n->domain, n->owner, n->domain);
}

static int write_bind(const struct pub_policy_params *p, const struct pub_target *t,
		      struct buf *out, struct err_info *info)
{
	struct dns_name owner;
	struct names n;
	int err;

	dns_name_format(&t->domain, n.domain);
	if (t->key == NULL)
		return err_set(
			info, ERR_CONFIG,
			"%s has no key: make one (tsig-keygen -a hmac-sha256 NAME), name its "
			"file under `keys:` and give the domain `key:`",
			n.domain);
	err = dns_name_prefix(PUB_OWNER_LABELS, &t->domain, &owner);
	if (err != ERR_OK)
		return err;
	dns_name_format(&owner, n.owner);
	dns_name_format(tsig_key_name(t->key), n.key);
	n.alg = tsig_key_alg_name(t->key);
	err = head(&n, t, out);
	if (err == ERR_OK)
		err = p->delegate ? delegated(&n, out) : granted(&n, out);
	if (err == ERR_OK)
		err = reading(&n, out);
	return err;
}

int pub_policy_write(const struct pub_policy_params *p, struct buf *out, struct err_info *info)
{
	int err = ERR_OK;

	for (size_t i = 0; err == ERR_OK && i < pub_targets_count(p->targets); i++) {
		const struct pub_target *t = pub_targets_at(p->targets, i);

		if (p->domain != NULL && !dns_name_equal(p->domain, &t->domain))
			continue;
		switch (p->server) {
		case PUB_POLICY_BIND:
			err = write_bind(p, t, out, info);
			break;
		case PUB_POLICY_COUNT_:
			return ERR_USAGE;
		}
	}
	return err;
}
