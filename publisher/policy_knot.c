/* Knot DNS 3: an ACL that ends updates by key, type and owner name (knot.conf(5), "acl section").
 */
#include "publisher/policy_priv.h"

static int head(const struct policy_names *n, struct buf *out)
{
	return buf_printf(out,
			  "# %s: what Knot DNS must allow, and no more.\n"
			  "#\n"
			  "# Among the other keys of knot.conf, as in %s\n"
			  "# on the machine of kmsbeacon (keymgr -t %s %s makes a new one):\n"
			  "#    key:\n"
			  "#      - id: \"%s\"\n"
			  "#        algorithm: %s\n"
			  "#        secret: ...\n"
			  "#\n",
			  n->domain, n->key_file, n->key, n->alg, n->key, n->alg);
}

static int acl(const struct policy_names *n, struct buf *out)
{
	int err = policy_part("#", out, "knot.conf, before the section `zone`");

	if (err != ERR_OK)
		return err;
	return buf_printf(
		out,
		"acl:\n"
		"  - id: \"%s\"\n"
		"    key: [\"%s\"]\n"
		"    action: [update]\n"
		"    update-type: [SRV]\n"
		"    update-owner: name\n"
		"    update-owner-match: equal\n"
		"    update-owner-name: [\"%s.\"]\n"
		"# Reading: nothing to add. Unsigned queries are open in Knot; signed ones need an "
		"ACL of\n"
		"# the zone that knows the key, and this is one. An update beyond it is answered "
		"BADKEY.\n"
		"# Zone transfers are not used.\n",
		n->id, n->key, n->owner);
}

static int in_zone(const struct policy_names *n, struct buf *out)
{
	int err = policy_part("#", out,
			      "knot.conf, in the entry of the zone that holds %s (%s, or a zone "
			      "above or below it)",
			      n->owner, n->domain);

	if (err == ERR_OK)
		err = buf_printf(out,
				 "# An `acl` that is there already gets the name in its list.\n"
				 "    acl: [\"%s\"]\n",
				 n->id);
	return err;
}

static int new_zone(const struct policy_names *n, struct buf *out)
{
	int err = policy_part("#", out, "knot.conf, in the section `zone`");

	if (err == ERR_OK)
		err = buf_printf(
			out,
			"# A zone of its own for the name, so that zone %s stays as it is. For "
			"further\n"
			"# servers of it add `notify`, and an ACL with `action: transfer`.\n"
			"zone:\n"
			"  - domain: \"%s.\"\n"
			"    file: \"%s.zone\"\n"
			"    acl: [\"%s\"]\n",
			n->domain, n->owner, n->owner, n->id);
	return err;
}

int policy_knot(const struct pub_policy_params *p, const struct policy_names *n, struct buf *out)
{
	int err = head(n, out);

	if (err == ERR_OK)
		err = acl(n, out);
	if (err == ERR_OK)
		err = p->delegate ? new_zone(n, out) : in_zone(n, out);
	if (err == ERR_OK && p->delegate)
		err = policy_delegation(n, out);
	return err;
}
