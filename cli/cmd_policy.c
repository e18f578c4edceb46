#include "cli/commands.h"

#include <stdio.h>

#include "cli/ad_note.h"
#include "cli/session.h"
#include "daemon/keys.h"
#include "publisher/policy.h"

#define POLICY_TEXT_MAX (16u << 20)

static const struct cli_option options[] = {
	CLI_OPT_CONFIG,
	{ 'd', "domain", "DOMAIN", false, "only this domain (default: all that are configured)" },
	{ 0, "for", "SERVER", false, "whose language: bind (the default), knot, pdns" },
	{ 0, "delegate", NULL, false, "make _vlmcs._tcp.DOMAIN a zone of its own" },
	{ 0, "ns", "NAME", true, "with --delegate: a name server of that zone, the primary first" },
	CLI_OPT_END,
};

static int write_policy(const struct cli_args *a, struct session *s, struct pub_policy_params *p)
{
	const struct config *cfg = s->config;
	struct config_errors errs = { 0 };
	struct pub_targets *targets = NULL;
	struct err_info info = { "" };
	struct buf out;
	struct keys keys;
	int err = keys_load(cfg, &keys, &errs);

	print_config_messages(&errs, false);
	config_errors_done(&errs);
	if (err != 0)
		return CLI_USAGE;
	buf_init(&out, POLICY_TEXT_MAX);
	err = pub_targets_from_config(cfg, keys.list, CONFIG_KMS_PORT, &targets, &info);
	p->targets = targets;
	p->config = cfg;
	if (err == 0 && p->domain != NULL && !pub_targets_has_domain(targets, p->domain))
		err = err_set(&info, ERR_CONFIG, "%s is not among publish.domains",
			      cli_get(a, "domain"));
	if (err == 0)
		err = pub_policy_write(p, &out, &info);
	if (err == 0 && !p->delegate) /* that is the way out */
		ad_note("policy", s, targets, p->domain);
	if (err == 0)
		(void)fwrite(out.data, 1, out.len, stdout);
	else
		(void)cli_usage_error(a, "%s", info.text[0] != '\0' ? info.text : err_text(err));
	buf_done(&out);
	pub_targets_unref(targets);
	keys_done(&keys);
	return err == 0 ? CLI_YES : CLI_USAGE;
}

static int read_ns(const struct cli_args *a, struct dns_name *list, struct pub_policy_params *p)
{
	const char *const *names;
	size_t n = cli_list(a, "ns", &names);

	if (n > 0 && !p->delegate)
		return cli_usage_error(a, "--ns is for --delegate");
	if (n > PUB_POLICY_NS_MAX)
		return cli_usage_error(a, "--ns may be given %d times", PUB_POLICY_NS_MAX);
	for (size_t i = 0; i < n; i++)
		if (dns_name_parse(names[i], &list[i]) != 0 || dns_name_is_root(&list[i]))
			return cli_usage_error(a, "--ns: '%s' is no name of a server", names[i]);
	p->ns = list;
	p->n_ns = n;
	return 0;
}

static int run(const struct cli_args *a)
{
	struct pub_policy_params p = { .delegate = cli_has(a, "delegate") };
	struct dns_name ns[PUB_POLICY_NS_MAX];
	const char *server = cli_get(a, "for");
	const char *domain = cli_get(a, "domain");
	struct dns_name name;
	struct session s;
	int code = read_ns(a, ns, &p);

	if (code != 0)
		return code;
	if (server != NULL && !pub_policy_for_parse(server, &p.server))
		return cli_usage_error(a, "--for takes %s, not '%s'", pub_policy_for_list(),
				       server);
	if (domain != NULL && dns_name_parse(domain, &name) != 0)
		return cli_usage_error(a, "'%s' is no domain name", domain);
	p.domain = domain != NULL ? &name : NULL;
	code = session_open(&s, a, false);
	if (code != 0)
		return code;
	code = write_policy(a, &s, &p);
	session_close(&s);
	return code;
}

const struct cli_command cmd_policy = {
	.name = "policy",
	.operands = "",
	.summary = "print the least that the DNS server must allow, in its own language",
	.text = "Prints what to paste into the configuration of BIND, Knot DNS or PowerDNS: the "
		"key may "
		"change\n"
		"SRV records at _vlmcs._tcp.DOMAIN and nothing else; and what it must be able to "
		"read. Lines\n"
		"with ---- say what goes where. With --delegate the name becomes a zone of its "
		"own, so that\n"
		"the zone above it, static or Microsoft's, only gets NS lines. No secret is "
		"printed.\n"
		"What no policy can help, an AD-integrated zone, is said on stderr.",
	.examples = "  tsig-keygen corp > /etc/kmsbeacon/corp.key && chmod 600 "
		    "/etc/kmsbeacon/corp.key\n"
		    "  kmsbeacon policy --domain corp.example\n"
		    "  kmsbeacon policy --domain corp.example --for knot\n"
		    "  kmsbeacon policy --domain corp.example --delegate --ns ns1.corp.example",
	.options = options,
	.run = run,
	.usage_exit = CLI_USAGE,
};
