#include "cli/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/discover_options.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/verify_text.h"
#include "common/mem.h"
#include "kmscore/probe.h"
#include "resolver/audit_report.h"

#define AUDITS_PARALLEL 32 /* domains in work at once: bounds memory and sockets */
#define DOMAIN_LINE_MAX 1100

static const struct cli_option options[] = {
	CLI_OPT_CONFIG,
	CLI_OPT_JSON,
	{ 'd', "domain", "DOMAIN", true, "domain to audit (default: publish.domains)" },
	{ 'f', "domains-file", "FILE", false,
	  "one domain a line, - for standard input; results come one a line with --json" },
	{ 's', "server", "A[:PORT]", true, "ask this server too, beside those of the zone" },
	{ 0, "expect", "RECORD", true,
	  "TARGET:PORT[:PRIO[:WEIGHT]]: the complete expected set; missing is critical, extra a "
	  "warning" },
	{ 0, "nagios", NULL, false, "one status line, for Nagios and its relatives" },
	CLI_OPT_END,
};

enum verify_form { FORM_TEXT, FORM_JSON, FORM_JSON_LINES, FORM_NAGIOS };

struct verify {
	const struct cli_args *args;
	struct session *session;
	enum verify_form form;
	struct dns_server servers[DNS_CLIENT_SERVERS_MAX];
	size_t n_servers;
	struct rsv_expect expect[RSV_EXPECT_MAX];
	size_t n_expect;
	struct rsv_targets *targets;
	/* where domains come from */
	const char *const *domains;
	size_t n_domains;
	size_t next_domain;
	FILE *file; /* NULL: the list above, else the configuration */
	/* how it goes */
	unsigned running;
	size_t started;
	enum rsv_status status;
	json_t *reports; /* FORM_JSON */
	struct verify_summary summary;
	int exit_code; /* of a failure that ends all; else -1 */
};

struct audit_slot {
	struct verify *v;
	struct rsv_audit op;
};

static void start_more(struct verify *v);

/* ---- the next domain ---- */

static bool next_line(struct verify *v, char line[DOMAIN_LINE_MAX])
{
	while (fgets(line, DOMAIN_LINE_MAX, v->file) != NULL) {
		size_t n = strcspn(line, "#\r\n");

		while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
			n--;
		line[n] = '\0';
		memmove(line, line + strspn(line, " \t"), strlen(line + strspn(line, " \t")) + 1);
		if (line[0] != '\0')
			return true;
	}
	return false;
}

/* The next domain as text, or NULL at the end. */
static const char *next_text(struct verify *v, char line[DOMAIN_LINE_MAX])
{
	const struct config_publish *p = &v->session->config->publish;

	if (v->next_domain < v->n_domains)
		return v->domains[v->next_domain++];
	if (v->file != NULL)
		return next_line(v, line) ? line : NULL;
	if (v->n_domains > 0)
		return NULL;
	while (v->next_domain < p->n_domains) {
		size_t i = v->next_domain++;
		bool seen = false;

		/* Several views of one domain are one audit: the audit sees what this machine sees.
		 */
		for (size_t j = 0; j < i; j++)
			seen = seen || strcmp(p->domains[j].domain, p->domains[i].domain) == 0;
		if (!seen)
			return p->domains[i].domain;
	}
	return NULL;
}

/* What the configuration publishes in @p domain, over all views. */
static size_t own_records(const struct config *cfg, const struct dns_name *domain,
			  struct rsv_expect ret[RSV_EXPECT_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < cfg->publish.n_domains; i++) {
		const struct config_domain *d = &cfg->publish.domains[i];
		struct dns_name name;

		if (dns_name_parse(d->domain, &name) != 0 || !dns_name_equal(&name, domain))
			continue;
		for (size_t k = 0; k < d->n_hosts && n < RSV_EXPECT_MAX; k++) {
			const struct config_host *h = &cfg->hosts[d->hosts[k]];
			struct rsv_expect *e = &ret[n];

			*e = (struct rsv_expect){ .port = h->port != 0 ? h->port : CONFIG_KMS_PORT,
						  .has_priority = true,
						  .has_weight = true };
			config_srv_values(d, h, &e->priority, &e->weight);
			if (h->target != NULL && dns_name_parse(h->target, &e->target) == 0)
				n++;
		}
	}
	return n;
}

/* ---- results ---- */

static void take_report(struct verify *v, enum rsv_status status, json_t *report)
{
	v->status = rsv_status_worst(v->status, status);
	verify_summary_add(&v->summary, report);
	switch (v->form) {
	case FORM_JSON:
		(void)json_array_append_new(v->reports, report);
		return;
	case FORM_JSON_LINES:
		print_json(report);
		return;
	case FORM_TEXT:
		verify_print_domain(report, v->started > 1);
		break;
	case FORM_NAGIOS:
		break;
	}
	json_decref(report);
}

static void on_audited(struct rsv_audit *a, const struct rsv_audit_result *r)
{
	struct audit_slot *slot = a->owner;
	struct verify *v = slot->v;
	json_t *report = rsv_audit_report(r);

	v->running--;
	free(slot);
	if (report == NULL || r->err != 0) {
		(void)fprintf(stderr, "kmsbeacon verify: %s\n",
			      err_text(r->err != 0 ? r->err : ERR_NOMEM));
		v->status = rsv_status_worst(v->status, RSV_UNKNOWN_);
		json_decref(report);
	} else {
		take_report(v, r->status, report);
	}
	start_more(v);
}

static void start_one(struct verify *v, const struct dns_name *domain)
{
	struct audit_slot *slot = mem_must(calloc(1, sizeof(*slot)));
	struct rsv_expect own[RSV_EXPECT_MAX];
	struct rsv_audit_params p = {
		.domain = *domain,
		.servers = v->servers,
		.n_servers = v->n_servers,
		/* Who names servers asks about what the machine's resolv.conf may not know. */
		.skip_resolvers =
			v->n_servers > 0 && v->session->config->discovery.n_resolvers == 0,
		.expect = v->expect,
		.n_expect = v->n_expect,
		.own = own,
		.n_own = own_records(v->session->config, domain, own),
		.targets = v->targets,
	};

	slot->v = v;
	slot->op.owner = slot;
	v->running++;
	v->started++;
	rsv_audit_start(&slot->op, &v->session->env.net, &p, on_audited);
}

static void start_more(struct verify *v)
{
	char line[DOMAIN_LINE_MAX];
	const char *text;
	struct dns_name domain;

	while (v->exit_code < 0 && v->running < AUDITS_PARALLEL &&
	       (text = next_text(v, line)) != NULL) {
		if (dns_name_parse(text, &domain) == 0)
			start_one(v, &domain);
		else
			v->exit_code = cli_usage_error(v->args, "'%s' is no domain name", text);
	}
	if (v->running == 0 && v->targets != NULL) {
		rsv_targets_free(v->targets, NULL, NULL);
		v->targets = NULL;
	}
}

static int finish(struct verify *v)
{
	int code = rsv_status_exit_code(v->status);

	if (v->exit_code >= 0)
		code = v->exit_code;
	else if (v->started == 0)
		code = cli_usage_error(v->args,
				       "no domain: give --domain, or publish.domains in the "
				       "configuration");
	else if (v->form == FORM_JSON)
		print_json(rsv_verify_report(v->status, json_incref(v->reports)));
	else if (v->form == FORM_NAGIOS)
		verify_print_nagios(rsv_status_name(v->status), &v->summary);
	json_decref(v->reports);
	verify_summary_done(&v->summary);
	if (v->file != NULL && v->file != stdin)
		(void)fclose(v->file);
	return code;
}

static int parse(const struct cli_args *a, struct verify *v)
{
	const char *path = cli_get(a, "domains-file");
	const char *const *texts;
	struct err_info info;
	int code = parse_servers(a, v->servers, DNS_CLIENT_SERVERS_MAX, &v->n_servers);

	if (code != 0)
		return code;
	v->n_expect = cli_list(a, "expect", &texts);
	if (v->n_expect > RSV_EXPECT_MAX)
		return cli_usage_error(a, "at most %d --expect", RSV_EXPECT_MAX);
	for (size_t i = 0; i < v->n_expect; i++)
		if (rsv_expect_parse(texts[i], &v->expect[i], &info) != 0)
			return cli_usage_error(a, "--expect: %s", info.text);
	v->n_domains = cli_list(a, "domain", &v->domains);
	v->form = cli_has(a, "nagios")  ? FORM_NAGIOS
		  : !cli_has(a, "json") ? FORM_TEXT
		  : path != NULL        ? FORM_JSON_LINES
					: FORM_JSON;
	if (path == NULL)
		return 0;
	v->file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	if (v->file == NULL)
		return cli_usage_error(a, "--domains-file %s cannot be opened: %m", path);
	return 0;
}

static int verify_with(struct verify *v)
{
	const struct net *net = &v->session->env.net;
	struct dns_server servers[DNS_CLIENT_SERVERS_MAX] = { 0 };
	struct rsv_targets_params tp = {
		.prober = kms_prober_rpc(),
		.servers = servers,
		.n_servers = v->n_servers,
	};

	/* The servers given know names that the resolvers may not know; the rest is for those. */
	memcpy(servers, v->servers, v->n_servers * sizeof(*servers));
	for (size_t i = 0; i < net->n_resolvers && tp.n_servers < DNS_CLIENT_SERVERS_MAX; i++)
		servers[tp.n_servers++].addr = net->resolvers[i];

	v->targets = rsv_targets_new(&v->session->env.net, &tp);
	v->reports = json_array();
	if (v->targets == NULL || v->reports == NULL) {
		(void)fprintf(stderr, "kmsbeacon verify: %s\n", err_text(ERR_NOMEM));
		return NAGIOS_UNKNOWN;
	}
	start_more(v);
	(void)uv_run(&v->session->env.loop, UV_RUN_DEFAULT);
	return finish(v);
}

static int run(const struct cli_args *a)
{
	struct verify *v = mem_must(calloc(1, sizeof(*v)));
	struct session s;
	int code = parse(a, v);

	if (code == 0)
		code = session_open(&s, a, true);
	if (code == 0) {
		v->args = a;
		v->session = &s;
		v->exit_code = -1;
		code = verify_with(v);
		session_close(&s);
	}
	free(v);
	return code;
}

const struct cli_command cmd_verify = {
	.name = "verify",
	.operands = "",
	.summary = "audit the KMS records of domains on every server",
	.text = "Asks every authoritative server of the zone and the configured resolvers for the "
		"records of\n"
		"_vlmcs._tcp.DOMAIN, looks up and probes every target, and lists what is wrong: "
		"records that\n"
		"are missing, unexpected or lead nowhere, servers that differ, lag or do not "
		"answer.\n"
		"Nothing is changed. Exit codes are those of Nagios: 0 ok, 1 warning, 2 critical, "
		"3 unknown;\n"
		"with several domains the worst counts.",
	.examples =
		"  kmsbeacon verify --domain corp.example --expect kms1.corp.example:1688:0:10\n"
		"  kmsbeacon verify --domains-file domains.txt --json",
	.options = options,
	.run = run,
	.usage_exit = NAGIOS_UNKNOWN,
};
