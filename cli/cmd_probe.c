#include "cli/commands.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/session.h"
#include "cli/table.h"
#include "common/mem.h"
#include "kmscore/probe.h"
#include "net/host_lookup.h"

#define PROBE_HOSTS_MAX  1024
#define PROBE_PORT       1688
#define PROBE_TIMEOUT_MS 3000

static const struct cli_option options[] = {
	CLI_OPT_CONFIG,
	CLI_OPT_JSON,
	{ 0, "timeout", "DURATION", false, "for each address of a host (default: 3s)" },
	CLI_OPT_END,
};

/* One host: its addresses are asked in order until one is up; the last answer stands otherwise. */
struct probing {
	struct net *net;
	char host[HOST_TEXT_MAX];
	uint16_t port;
	uint32_t timeout_ms;
	struct host_lookup lookup;
	struct host_lookup_result found;
	size_t next;
	struct probe_op op;
	struct probe_result result;
};

static void probe_next(struct probing *p);

static void on_probed(struct probe_op *op, const struct probe_result *r)
{
	struct probing *p = op->owner;

	p->result = *r;
	if (r->state != PROBE_UP && p->next < p->found.n_addrs)
		probe_next(p);
}

static void probe_next(struct probing *p)
{
	const struct prober *prober = kms_prober_rpc();

	p->op = (struct probe_op){ .owner = p };
	prober->start(prober, &p->op, p->net, &p->found.addrs[p->next++], p->timeout_ms, on_probed);
}

static void on_found(struct host_lookup *h, const struct host_lookup_result *r)
{
	struct probing *p = h->owner;

	p->found = *r;
	if (r->err == 0) {
		probe_next(p);
		return;
	}
	p->result.state = PROBE_UNRESOLVED;
	(void)snprintf(p->result.detail, sizeof(p->result.detail), "no address: %s",
		       err_text(r->err));
}

static json_t *report_host(const struct probing *p)
{
	char address[ADDR_TEXT_MAX] = "";

	if (addr_is_set(&p->result.addr))
		addr_format_host(&p->result.addr, address);
	return json_pack("{s:s, s:s*, s:i, s:s, s:s, s:o}", "host", p->host, "address",
			 address[0] != '\0' ? address : NULL, "port", (int)p->port, "state",
			 probe_state_name(p->result.state), "detail", p->result.detail, "rtt_ms",
			 p->result.rtt_ms > 0 ? json_real(p->result.rtt_ms) : json_null());
}

static void print_hosts(const struct probing *hosts, size_t n)
{
	static const char *const headings[] = {
		"HOST", "PORT", "STATE", "ADDRESS", "TIME", "DETAIL"
	};
	struct table *t = table_new(6, headings);

	for (size_t i = 0; i < n; i++) {
		const struct probing *p = &hosts[i];
		const char *state = probe_state_name(p->result.state);
		char address[ADDR_TEXT_MAX] = "-";

		if (addr_is_set(&p->result.addr))
			addr_format_host(&p->result.addr, address);
		table_cell(t, TONE_PLAIN, "%s", p->host);
		table_cell(t, TONE_PLAIN, "%u", (unsigned)p->port);
		table_cell(t, tone_of(state), "%s", state);
		table_cell(t, TONE_PLAIN, "%s", address);
		if (p->result.rtt_ms > 0)
			table_cell(t, TONE_PLAIN, "%.1f ms", p->result.rtt_ms);
		else
			table_cell(t, TONE_PLAIN, "-");
		table_cell(t, TONE_PLAIN, "%s", p->result.detail);
	}
	table_print(t, stdout, 0);
}

/* Ask all of @p hosts at once; @return whether every one is up. */
static bool probe_all(struct net *net, struct probing *hosts, size_t n)
{
	bool all_up = true;

	for (size_t i = 0; i < n; i++) {
		struct probing *p = &hosts[i];
		const struct host_lookup_params lp = { .host = p->host, .port = p->port };

		p->net = net;
		p->lookup.owner = p;
		host_lookup_start(&p->lookup, net, &lp, on_found);
	}
	(void)uv_run(net->loop, UV_RUN_DEFAULT);
	for (size_t i = 0; i < n; i++)
		all_up = all_up && hosts[i].result.state == PROBE_UP;
	return all_up;
}

static int run_with(const struct cli_args *a, struct probing *hosts, const char *const *words,
		    size_t n)
{
	struct session s;
	uint64_t timeout_ms;
	bool all_up;
	int code = session_duration(a, "timeout", PROBE_TIMEOUT_MS, &timeout_ms);

	for (size_t i = 0; code == 0 && i < n; i++) {
		hosts[i].timeout_ms = timeout_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)timeout_ms;
		if (hostport_parse(words[i], PROBE_PORT, hosts[i].host, &hosts[i].port) != 0)
			code = cli_usage_error(a, "'%s' is no HOST[:PORT]", words[i]);
	}
	if (code == 0)
		code = session_open(&s, a, true);
	if (code != 0)
		return code;
	all_up = probe_all(&s.env.net, hosts, n);
	if (cli_has(a, "json")) {
		json_t *list = json_array();

		for (size_t i = 0; i < n; i++)
			(void)json_array_append_new(list, report_host(&hosts[i]));
		print_json(json_pack("{s:o}", "hosts", list));
	} else {
		print_hosts(hosts, n);
	}
	session_close(&s);
	return all_up ? CLI_YES : CLI_NO;
}

static int run(const struct cli_args *a)
{
	const char *const *words;
	size_t n = cli_operands(a, &words);
	struct probing *hosts;
	int code;

	if (n == 0 || n > PROBE_HOSTS_MAX)
		return cli_usage_error(a, "wants 1 to %d hosts", PROBE_HOSTS_MAX);
	hosts = mem_must(calloc(n, sizeof(*hosts)));
	code = run_with(a, hosts, words, n);
	free(hosts);
	return code;
}

const struct cli_command cmd_probe = {
	.name = "probe",
	.operands = "HOST[:PORT]...",
	.summary = "ask hosts whether they are KMS hosts, without a key",
	.text = "Connects to each host (port 1688 unless given) and binds to the KMS interface by "
		"RPC. No\n"
		"activation request is sent, so nothing is counted and no event is written on the "
		"host.\n"
		"States: up; no-kms-interface, rpc-refused, not-rpc, refused, timeout, unresolved "
		"are down.\n"
		"It cannot tell whether the host is activated or which products it serves.\n"
		"Exit code 0: all are up, 1: at least one is not.",
	.examples = "  kmsbeacon probe kms1.corp.example\n"
		    "  kmsbeacon probe --json 192.0.2.10:1688 [2001:db8::10]:1688",
	.options = options,
	.run = run,
	.usage_exit = CLI_USAGE,
};
