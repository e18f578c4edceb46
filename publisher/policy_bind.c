/* BIND 9: update-policy in the zone statement (ARM, "Dynamic Update Policies"). */
#include "publisher/policy_priv.h"

static int head(const struct policy_names *n, struct buf *out)
{
	const char *view = n->view;

	return buf_printf(out,
			  "// %s%s%s%s: what BIND 9 must allow, and no more.\n"
			  "//\n"
			  "// Beside the other keys of named.conf, the key \"%s\", as in %s\n"
			  "// on the machine of kmsbeacon (tsig-keygen -a %s %s makes a new one):\n"
			  "//    key \"%s\" { algorithm %s; secret \"...\"; };\n"
			  "//\n",
			  n->domain, view[0] != '\0' ? " (view " : "", view,
			  view[0] != '\0' ? ")" : "", n->key, n->key_file, n->alg, n->key, n->key,
			  n->alg);
}

static int granted(const struct policy_names *n, struct buf *out)
{
	return buf_printf(out,
			  "// Inside the statement of the zone that holds %s (zone \"%s\",\n"
			  "// or a zone above or below it). update-policy takes the place of\n"
			  "// allow-update; a zone that has an update-policy gets the grant line.\n"
			  "update-policy {\n"
			  "\tgrant \"%s\" name %s. SRV;\n"
			  "};\n",
			  n->owner, n->domain, n->key, n->owner);
}

static int reading(const struct policy_names *n, struct buf *out)
{
	return buf_printf(
		out,
		"// Reading: the primary is asked for SOA, NS and SRV signed with the key, the "
		"other\n"
		"// servers unsigned. Nothing to do where queries are open; where allow-query is\n"
		"// restricted, add the key on the primary, and the machine of kmsbeacon on the "
		"others:\n"
		"//    allow-query { ...; key \"%s\"; };\n"
		"// A view is chosen by match-clients: add key \"%s\" to the view that is meant, "
		"and\n"
		"// !key \"%s\" to the views before it. Zone transfers are not used.\n",
		n->key, n->key, n->key);
}

static int new_zone(const struct policy_names *n, struct buf *out)
{
	int err = policy_part("//", out, "named.conf");

	if (err != ERR_OK)
		return err;
	return buf_printf(
		out,
		"// A zone of its own for the name, so that zone %s stays as it is.\n"
		"// named must be able to write in the folder of the file: updates make a journal "
		"there.\n"
		"zone \"%s\" {\n"
		"\ttype primary;\n"
		"\tfile \"%s.zone\";\n"
		"\tupdate-policy {\n"
		"\t\tgrant \"%s\" name %s. SRV;\n"
		"\t};\n"
		"};\n"
		"// On each further server of the zone (the primary's allow-transfer must let it "
		"in):\n"
		"//    zone \"%s\" { type secondary; primaries { ADDRESS; }; file "
		"\"%s.zone\"; };\n",
		n->domain, n->owner, n->owner, n->key, n->owner, n->owner, n->owner);
}

int policy_bind(const struct pub_policy_params *p, const struct policy_names *n, struct buf *out)
{
	int err = head(n, out);

	if (err == ERR_OK)
		err = p->delegate ? new_zone(n, out) : granted(n, out);
	if (err == ERR_OK)
		err = reading(n, out);
	if (err == ERR_OK && p->delegate)
		err = policy_delegation(n, out);
	return err;
}
