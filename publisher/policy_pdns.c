/*
 * PowerDNS 4: only a Lua script can tell names and types apart, and there is one for the server.
 *
 * Where a script is set, pdns_server asks neither ALLOW-DNSUPDATE-FROM nor TSIG-ALLOW-DNSUPDATE, so
 * it must decide about every update of every zone (rfc2136handler.cc; tests/itest/test_policy.py).
 */
#include <stdlib.h>
#include <string.h>

#include "publisher/policy_priv.h"

#define SCRIPT "/etc/powerdns/kmsbeacon-update.lua"

/* @p special: the characters that @p escape goes before. */
static int escaped(const char *text, const char *special, const char *escape, struct buf *out)
{
	int err = ERR_OK;

	for (; err == ERR_OK && *text != '\0'; text++) {
		if (strchr(special, *text) != NULL)
			err = buf_append(out, escape, strlen(escape));
		if (err == ERR_OK)
			err = buf_append(out, text, 1);
	}
	return err;
}

/* A word of the shell, whatever is in it: 'it'\''s'. */
static int shell_word(const char *text, struct buf *out)
{
	int err = buf_append(out, "'", 1);

	if (err == ERR_OK)
		err = escaped(text, "'", "'\\'", out);
	return err == ERR_OK ? buf_append(out, "'", 1) : err;
}

static int lua_name(const char *name, struct buf *out)
{
	int err = buf_append(out, "\"", 1);

	if (err == ERR_OK)
		err = escaped(name, "\\\"", "\\", out);
	return err == ERR_OK ? buf_append(out, ".\"", 2) : err;
}

static int config_part(struct buf *out)
{
	int err = buf_printf(out, "# What PowerDNS must allow, and no more.\n");

	if (err == ERR_OK)
		err = policy_part("#", out, "pdns.conf");
	if (err == ERR_OK)
		err = buf_printf(out, "dnsupdate=yes\nlua-dnsupdate-policy-script=" SCRIPT "\n");
	return err;
}

static int script_row(const struct policy_names *n, struct buf *out)
{
	int err = buf_append(out, "\t{ ", 3);

	if (err == ERR_OK)
		err = lua_name(n->key, out);
	if (err == ERR_OK)
		err = buf_append(out, ", ", 2);
	if (err == ERR_OK)
		err = lua_name(n->owner, out);
	return err == ERR_OK ? buf_append(out, " },\n", 4) : err;
}

static int script_head(struct buf *out)
{
	int err = policy_part("--", out, "the file " SCRIPT);

	if (err != ERR_OK)
		return err;
	return buf_printf(
		out,
		"-- There is one script for the whole server, and it decides about every update: "
		"with it\n"
		"-- the metadata ALLOW-DNSUPDATE-FROM and TSIG-ALLOW-DNSUPDATE count for nothing, "
		"here and\n"
		"-- in other zones. A server that takes other updates needs them allowed here "
		"too.\n"
		"-- What is refused is answered NOERROR and left out; the log says so.\n"
		"local allowed = { -- key, name\n");
}

static int script_tail(struct buf *out)
{
	return buf_printf(out, "}\n\n"
			       "function updatepolicy(input)\n"
			       "\tif input:getQType() ~= pdns.SRV then\n"
			       "\t\treturn false\n"
			       "\tend\n"
			       "\tfor _, a in ipairs(allowed) do\n"
			       "\t\tif input:getTsigName():equal(a[1]) and "
			       "input:getQName():equal(a[2]) then\n"
			       "\t\t\treturn true\n"
			       "\t\tend\n"
			       "\tend\n"
			       "\treturn false\n"
			       "end\n");
}

/* The secret goes from file to database; it is in no text of ours. */
static int import_key(const struct policy_names *n, struct buf *out)
{
	int err = buf_printf(out, "pdnsutil import-tsig-key ");

	if (err == ERR_OK)
		err = shell_word(n->key, out);
	if (err == ERR_OK)
		err = buf_printf(out, " %s \"$(sed -n 's/.*secret[ \\t]*\"*\\([^\";]*\\).*/\\1/p' ",
				 n->alg);
	if (err == ERR_OK)
		err = shell_word(n->key_file, out);
	return err == ERR_OK ? buf_append(out, ")\"\n", 3) : err;
}

static int zone_command(const char *verb, const char *zone, const char *more, struct buf *out)
{
	int err = buf_printf(out, "pdnsutil %s ", verb);

	if (err == ERR_OK)
		err = shell_word(zone, out);
	return err == ERR_OK ? buf_printf(out, " %s\n", more) : err;
}

static int commands_of(const struct pub_policy_params *p, const struct policy_names *n,
		       struct buf *out)
{
	const char *zone = p->delegate ? n->owner : n->domain;
	int err = ERR_OK;

	if (p->delegate) {
		err = buf_printf(out, "pdnsutil load-zone ");
		if (err == ERR_OK)
			err = shell_word(zone, out);
		if (err == ERR_OK)
			err = buf_append(out, " ", 1);
		if (err == ERR_OK)
			err = shell_word(n->owner, out);
		if (err == ERR_OK)
			err = buf_printf(out, ".zone\n");
		if (err == ERR_OK)
			err = zone_command("set-kind", zone, "primary", out);
	} else {
		err = buf_printf(out, "# the zone that holds %s: %s, or one above or below it\n",
				 n->owner, zone);
	}
	if (err == ERR_OK)
		err = zone_command("set-meta", zone, "SOA-EDIT-DNSUPDATE INCREASE", out);
	if (err == ERR_OK)
		err = zone_command("set-meta", zone, "NOTIFY-DNSUPDATE 1", out);
	return err;
}

static int commands_head(struct buf *out)
{
	int err = policy_part("#", out, "commands, as root");

	if (err != ERR_OK)
		return err;
	return buf_printf(
		out,
		"# Copy the key file here first, and remove it after. SOA-EDIT-DNSUPDATE raises "
		"the serial\n"
		"# by one with each change, NOTIFY-DNSUPDATE tells the secondaries. Do not set\n"
		"# TSIG-ALLOW-DNSUPDATE: without the script it would open the whole zone to the "
		"key.\n"
		"# Reading: nothing to add. Queries are open in PowerDNS, and one that is signed "
		"needs only\n"
		"# the key to be known. Zone transfers are not used.\n");
}

typedef int each_fn(const struct pub_policy_params *p, const struct policy_names *n,
		    struct buf *out);

static int each(const struct pub_policy_params *p, each_fn *fn, struct policy_names *n,
		struct buf *out, struct err_info *info)
{
	int err = ERR_OK;

	for (size_t i = 0; err == ERR_OK && i < pub_targets_count(p->targets); i++) {
		const struct pub_target *t = pub_targets_at(p->targets, i);

		if (!policy_wants(p, t))
			continue;
		err = policy_names_init(p, t, n, info);
		if (err == ERR_OK)
			err = fn(p, n, out);
	}
	return err;
}

static int each_row(const struct pub_policy_params *p, const struct policy_names *n,
		    struct buf *out)
{
	(void)p;
	return script_row(n, out);
}

/* Once for each key, however many domains it is for. */
static int each_key(const struct pub_policy_params *p, const struct policy_names *n,
		    struct buf *out)
{
	for (size_t i = 0; pub_targets_at(p->targets, i) != n->target; i++) {
		const struct pub_target *before = pub_targets_at(p->targets, i);

		if (policy_wants(p, before) && before->key == n->target->key)
			return ERR_OK;
	}
	return import_key(n, out);
}

static int each_delegation(const struct pub_policy_params *p, const struct policy_names *n,
			   struct buf *out)
{
	(void)p;
	return policy_delegation(n, out);
}

int policy_pdns(const struct pub_policy_params *p, struct buf *out, struct err_info *info)
{
	struct policy_names *n = malloc(sizeof(*n));
	int err;

	if (n == NULL)
		return ERR_NOMEM;
	err = config_part(out);
	if (err == ERR_OK)
		err = script_head(out);
	if (err == ERR_OK)
		err = each(p, each_row, n, out, info);
	if (err == ERR_OK)
		err = script_tail(out);
	if (err == ERR_OK && p->delegate)
		err = each(p, each_delegation, n, out, info);
	if (err == ERR_OK)
		err = commands_head(out);
	if (err == ERR_OK)
		err = each(p, each_key, n, out, info);
	if (err == ERR_OK)
		err = each(p, commands_of, n, out, info);
	if (err == ERR_OK)
		err = buf_printf(out, "systemctl restart pdns\n");
	free(n);
	return err;
}
