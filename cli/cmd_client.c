#include "cli/commands.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client_ato.h"
#include "cli/client_fleet.h"
#include "cli/discover_options.h"
#include "cli/discover_text.h"
#include "cli/events_text.h"
#include "cli/output.h"
#include "cli/table.h"
#include "common/hresult.h"
#include "common/mem.h"
#include "kmscore/lab_clients.h"
#include "kmscore/lab_events.h"

#define DLV_TEXT_MAX (64u << 10)

static const struct cli_option options[] = {
	CLI_OPT_CONFIG,
	CLI_OPT_JSON,
	{ 0, "state", "FILE", false,
	  "what the clients remember (default: client.json in node.state_dir, fleet.json for "
	  "fleet)" },
	{ 0, "key", "FILE", false, "lab key shared with the lab host (default: lab.key_file)" },
	{ 0, "product", "NAME", false,
	  "for a new client: windows (needs a count of 25), server or office (5)" },
	{ 0, "name", "MACHINE", false,
	  "which client of the file (default: its only one, else this machine's name)" },
	{ 0, "clone-of", "MACHINE", false,
	  "for a new client: the machine id of this one, as a cloned image has it" },
	{ 'd', "domain", "DOMAIN", true,
	  "ato, fleet: suffix of the client, in order (default: discovery.suffixes, else "
	  "resolv.conf's)" },
	{ 's', "server", "A[:PORT]", true, "ato, fleet: resolver to ask" },
	{ 0, "explain", NULL, false, "ato: also print each decision and each DNS question" },
	{ 0, "since", "TIME", false,
	  "events: from when on, RFC 3339 or a duration ago (default: the last 1000 of the file)" },
	{ 0, "count", "N", false, "fleet: how many clients" },
	{ 0, "hosts-from", "SOURCE", false,
	  "fleet: dns (the default: each client looks for itself), or HOST[:PORT]" },
	{ 0, "concurrency", "N", false, "fleet: clients at work at once (default: 64)" },
	{ 0, "rate", "N", false, "fleet: clients begun in a second at most (default: no limit)" },
	CLI_OPT_END,
};

/* One call of the command. */
struct call {
	const struct cli_args *args;
	struct session session;
	struct discover_options discover;
	struct lab_client client;
	struct lab_clients all;   /* of the file, as it was */
	struct lab_clients fleet; /* those of the verb `fleet` */
	json_t *events;           /* what this call adds to them */
	char state_path[PATH_MAX];
	const char *operand; /* of the verb; NULL: none was given */
};

static int complain(const struct call *c, int err, const char *text)
{
	if (cli_has(c->args, "json"))
		print_json_error(err_name(err), text);
	(void)fprintf(stderr, "kmsbeacon client: %s\n", text);
	return err == ERR_USAGE || err == ERR_CONFIG || err == ERR_SECRET_READABLE ? CLI_USAGE
										   : CLI_NO;
}

/* ---- the verbs ---- */

static int verb_dlv(struct call *c)
{
	int64_t now = clock_wall_ms(c->session.env.net.clock);
	struct buf text;
	int err;

	(void)lab_client_advance(&c->client, now);
	if (cli_has(c->args, "json")) {
		print_json(lab_client_dlv_json(&c->client, now));
		return CLI_YES;
	}
	buf_init(&text, DLV_TEXT_MAX);
	err = lab_client_dlv(&c->client, now, &text);
	if (err == 0)
		(void)fwrite(text.data, 1, text.len, stdout);
	buf_done(&text);
	return err == 0 ? CLI_YES : complain(c, err, err_text(err));
}

static void on_ato_done(struct client_ato *a)
{
	(void)a; /* the result is read when the loop has ended */
}

static void print_attempts(const struct client_ato *a)
{
	for (size_t i = 0; i < a->n_attempts; i++) {
		const struct lab_attempt *t = &a->attempt[i];
		char at[ADDR_TEXT_MAX];
		char code[HRESULT_TEXT_MAX];

		addr_format(&t->at.addr, at);
		(void)printf("  %s (%s, from %s): %s %s\n", t->at.host, at,
			     lab_source_name(t->at.source), hresult_format(t->hresult, code),
			     hresult_text(t->hresult));
		(void)printf("    12288 %s\n", t->sent);
		if (t->response[0] != '\0')
			(void)printf("    12289 %s\n", t->response);
	}
}

static json_t *report_ato(const struct call *c, const struct client_ato *a)
{
	json_t *attempts = json_array();
	char code[HRESULT_TEXT_MAX];

	for (size_t i = 0; i < a->n_attempts; i++) {
		const struct lab_attempt *t = &a->attempt[i];
		char at[ADDR_TEXT_MAX];

		addr_format(&t->at.addr, at);
		(void)json_array_append_new(
			attempts,
			json_pack("{s:s, s:s, s:s, s:s, s:f, s:s, s:s}", "host", t->at.host,
				  "address", at, "source", lab_source_name(t->at.source), "code",
				  hresult_format(t->hresult, code), "rtt_ms", t->rtt_ms,
				  "event_12288", t->sent, "event_12289", t->response));
	}
	return json_pack("{s:{s:s, s:s}, s:b, s:i, s:o, s:o?, s:o}", "result", "code",
			 hresult_format(a->code, code), "text", hresult_text(a->code), "activated",
			 a->code == HR_OK, "count", (int)c->client.count, "attempts", attempts,
			 "discovery", a->discovery, "client",
			 lab_client_dlv_json(&c->client, clock_wall_ms(c->session.env.net.clock)));
}

static void print_indented(const char *text)
{
	(void)printf("  ");
	print_wrapped_from(stdout, 2, 0, text);
}

static void print_ato(const struct call *c, const struct client_ato *a)
{
	const struct hresult_info *info = hresult_find(a->code);
	char code[HRESULT_TEXT_MAX];

	(void)printf("Activating %s ...\n", c->client.product->name);
	print_attempts(a);
	if (a->code == HR_OK) {
		(void)printf("%sProduct activated successfully.%s\n", tone_on(stdout, TONE_GOOD),
			     tone_off(stdout));
		return;
	}
	(void)printf("%sError: %s %s%s\n", tone_on(stdout, TONE_BAD), hresult_format(a->code, code),
		     hresult_text(a->code), tone_off(stdout));
	if (a->code == HR_NOT_ENOUGH_COUNT)
		(void)printf("  The host's count is %u, this product needs %u.\n", c->client.count,
			     c->client.product->n_policy);
	else if (a->text[0] != '\0')
		print_indented(a->text);
	if (info != NULL)
		print_indented(info->next_step);
}

/* 0, or the exit code. */
static int read_key(const struct call *c, struct lab_key *ret)
{
	const char *path = cli_get(c->args, "key");
	struct err_info info;
	int err = lab_key_read(path != NULL ? path : c->session.config->lab.key_file, ret, &info);

	return err == 0 ? 0 : complain(c, err, info.text);
}

static int verb_ato(struct call *c)
{
	struct client_ato *a;
	struct client_ato_params p = { .client = &c->client,
				       .discover = &c->discover.client.params,
				       .done = on_ato_done };
	struct lab_key key;
	bool activated;
	int code = read_key(c, &key);

	if (code != 0)
		return code;
	a = mem_must(calloc(1, sizeof(*a)));
	p.key = &key;
	(void)lab_client_advance(&c->client, clock_wall_ms(c->session.env.net.clock));
	client_ato_start(a, &c->session.env.net, &p);
	(void)uv_run(&c->session.env.loop, UV_RUN_DEFAULT);
	lab_key_wipe(&key);
	client_ato_events(a, c->events);
	activated = a->code == HR_OK;
	if (cli_has(c->args, "json"))
		print_json(report_ato(c, a));
	else
		print_ato(c, a);
	if (!cli_has(c->args, "json")) {
		if (cli_has(c->args, "explain"))
			discover_print_decisions(a->discovery);
		json_decref(a->discovery);
	}
	free(a);
	return activated ? CLI_YES : CLI_NO;
}

/* Those of the file: there need be no client, and none is made. */
static int verb_events(struct call *c)
{
	const char *name = cli_get(c->args, "name"), *machine;
	int64_t since_ms = 0;
	size_t i, shown = 0;
	const json_t *o;
	int code = cli_has(c->args, "since") ? events_since(c->args, NULL, &since_ms) : 0;

	if (code != 0)
		return code;
	json_array_foreach(c->all.events, i, o)
	{
		json_t *ev;

		machine = json_string_value(json_object_get(o, "machine"));
		if (json_integer_value(json_object_get(o, "time_ms")) < since_ms ||
		    (name != NULL && strcmp(name, machine) != 0))
			continue;
		ev = lab_event_report(o);
		events_print(c->args, ev);
		json_decref(ev);
		shown++;
	}
	if (shown == 0)
		(void)fprintf(stderr, "kmsbeacon client: no such events in %s\n", c->state_path);
	return CLI_YES;
}

/* A port alone sets no host, so DNS goes on being asked. */
static int verb_skms(struct call *c)
{
	struct err_info info;
	int err = lab_client_skms(&c->client, c->operand, &info);
	uint16_t port = c->client.manual_port;

	if (err != 0)
		return complain(c, err, info.text);
	if (c->client.manual_name[0] != '\0')
		(void)printf("KMS host set to %s:%u; DNS is not asked any more (client ckms undoes "
			     "it)\n",
			     c->client.manual_name, port != 0 ? port : KMS_PORT);
	else
		(void)printf(
			"KMS port set to %u; no host is set, so hosts are found by DNS, with %s\n",
			port,
			c->session.config->discovery.lone_port == CONFIG_LONE_PORT_USE
				? "this port"
				: "the ports of their records");
	return CLI_YES;
}

static int verb_ckms(struct call *c)
{
	lab_client_ckms(&c->client);
	(void)printf(
		"KMS host cleared, the remembered one forgotten; hosts are found by DNS again\n");
	return CLI_YES;
}

static int verb_skms_domain(struct call *c)
{
	struct err_info info;
	int err = lab_client_set_lookup_domain(&c->client, c->operand, &info);

	if (err != 0)
		return complain(c, err, info.text);
	(void)printf("KMS hosts are looked up in %s alone%s\n", c->operand,
		     c->client.manual_name[0] != '\0' ? "; but the host set by skms overrides it"
						      : "");
	return CLI_YES;
}

static int verb_ckms_domain(struct call *c)
{
	(void)lab_client_set_lookup_domain(&c->client, NULL, NULL);
	(void)printf("lookup domain cleared\n");
	return CLI_YES;
}

static int verb_skhc(struct call *c)
{
	lab_client_set_caching(&c->client, true);
	(void)printf("KMS host caching is enabled\n");
	return CLI_YES;
}

static int verb_ckhc(struct call *c)
{
	lab_client_set_caching(&c->client, false);
	(void)printf("KMS host caching is disabled; DNS is asked at every attempt\n");
	return CLI_YES;
}

/* ---- loading and saving around a verb ---- */

/* What --product names, @p fallback where it is not given; NULL: no such product, and that was
 * said. */
static const struct lab_product *chosen_product(const struct call *c,
						const struct lab_product *fallback)
{
	const char *key = cli_get(c->args, "product");
	const struct lab_product *product = key != NULL ? lab_product_find(key) : fallback;

	if (product == NULL)
		(void)cli_usage_error(c->args, "--product '%s' is not windows, server or office",
				      key);
	return product;
}

/* The machine id that --clone-of names. 0, or the exit code. */
static int clone_id(const struct call *c, struct guid *ret)
{
	const char *name = cli_get(c->args, "clone-of");
	const struct lab_client *original = lab_clients_find(&c->all, name);

	if (original == NULL)
		return cli_usage_error(c->args, "--clone-of: %s has no client '%s'", c->state_path,
				       name);
	*ret = original->cmid;
	return 0;
}

static int new_client(struct call *c, const char *name)
{
	const struct lab_product *product = chosen_product(c, lab_product_find("windows"));

	if (product == NULL)
		return CLI_USAGE;
	lab_client_init(&c->client, product, name, c->session.env.net.rng,
			clock_wall_ms(c->session.env.net.clock));
	return cli_has(c->args, "clone-of") ? clone_id(c, &c->client.cmid) : 0;
}

/* The state file; none is an empty one. 0, or the exit code. */
static int load_file(struct call *c, const char *name)
{
	const char *state = cli_get(c->args, "state");
	struct err_info info;
	int n = state != NULL ? snprintf(c->state_path, sizeof(c->state_path), "%s", state)
			      : snprintf(c->state_path, sizeof(c->state_path), "%s/%s",
					 c->session.config->node.state_dir, name);
	int err;

	if (n < 0 || (size_t)n >= sizeof(c->state_path))
		return cli_usage_error(c->args, "--state: the path is too long");
	err = lab_clients_load(c->state_path, &c->all, &info);
	return err == 0 || err == ERR_NOT_FOUND ? 0 : complain(c, err, info.text);
}

static int load_client(struct call *c)
{
	const char *name = cli_get(c->args, "name");
	const struct lab_client *found;
	const struct lab_product *product;
	char host[256] = "lab-client";
	int code = load_file(c, "client.json");

	if (code != 0)
		return code;
	(void)gethostname(host, sizeof(host) - 1);
	if (name == NULL && c->all.n == 1)
		name = c->all.c[0].machine;
	found = lab_clients_find(&c->all, name != NULL ? name : host);
	if (found == NULL && name == NULL && c->all.n > 1)
		return cli_usage_error(c->args, "%s has %zu clients: --name says which",
				       c->state_path, c->all.n);
	if (found == NULL)
		return new_client(c, name != NULL ? name : host);
	c->client = *found;
	product = chosen_product(c, c->client.product);
	if (product == NULL)
		return CLI_USAGE;
	if (product != c->client.product)
		return cli_usage_error(c->args,
				       "%s is a %s already; --product is for a new client, so give "
				       "another --name",
				       c->client.machine, c->client.product->name);
	return 0;
}

/* ---- fleet ---- */

/* A number of at least 1; 0 and the exit code in *ret_code else. */
static size_t number_option(const struct call *c, const char *option, size_t fallback, size_t max,
			    int *ret_code)
{
	const char *text = cli_get(c->args, option);
	unsigned long v;
	char *end;

	if (text == NULL)
		return fallback;
	errno = 0;
	v = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || v < 1 || v > max) {
		*ret_code = cli_usage_error(c->args, "--%s '%s' is not a number from 1 to %zu",
					    option, text, max);
		return 0;
	}
	return v;
}

/* Client @p i of the fleet: that of the file, a new one where it has none. 0, or the exit code. */
static int fleet_client(struct call *c, size_t i, const struct lab_product *product)
{
	const char *prefix = cli_get(c->args, "name"), *from = cli_get(c->args, "hosts-from");
	const struct lab_client *found;
	char name[LAB_MACHINE_TEXT_MAX];
	struct err_info info;
	int code = 0;

	(void)snprintf(name, sizeof(name), "%.48s%05zu", prefix != NULL ? prefix : "lab", i);
	found = lab_clients_find(&c->all, name);
	if (found != NULL) {
		c->client = *found;
	} else {
		lab_client_init(&c->client, product, name, c->session.env.net.rng,
				clock_wall_ms(c->session.env.net.clock));
		if (cli_has(c->args, "clone-of"))
			code = clone_id(c, &c->client.cmid);
	}
	c->client.cache_activated_only =
		c->session.config->discovery.cache_write == CONFIG_CACHE_ACTIVATED;
	if (from == NULL || strcmp(from, "dns") == 0)
		c->client.manual_name[0] = '\0';
	else if (lab_client_skms(&c->client, from, &info) != 0)
		code = cli_usage_error(c->args, "--hosts-from: %s", info.text);
	return code;
}

/* PREFIX00001 and so on, into c->fleet; c->client is the last of them. */
static int load_fleet(struct call *c)
{
	const struct lab_product *product = chosen_product(c, lab_product_find("windows"));
	int code = product == NULL ? CLI_USAGE : load_file(c, "fleet.json");
	size_t count = code == 0 ? number_option(c, "count", 0, LAB_CLIENTS_MAX, &code) : 0;

	if (code == 0 && count == 0)
		code = cli_usage_error(c->args, "fleet wants --count N");
	for (size_t i = 1; code == 0 && i <= count; i++) {
		code = fleet_client(c, i, product);
		if (code == 0 && lab_clients_put(&c->fleet, &c->client) != 0)
			code = complain(c, ERR_NOMEM, err_text(ERR_NOMEM));
	}
	return code;
}

static int verb_fleet(struct call *c)
{
	struct fleet_params p = { .clients = c->fleet.c,
				  .n_clients = c->fleet.n,
				  .discover = &c->discover.client.params,
				  .json = cli_has(c->args, "json"),
				  .events = c->events };
	struct lab_key key;
	int code = 0;

	p.concurrency =
		number_option(c, "concurrency", FLEET_CONCURRENCY, FLEET_CONCURRENCY_MAX, &code);
	if (code == 0)
		p.rate = number_option(c, "rate", 0, FLEET_RATE_MAX, &code);
	if (code == 0)
		code = read_key(c, &key);
	if (code != 0)
		return code;
	p.key = &key;
	code = fleet_run(&c->session.env.net, &p) ? CLI_YES : CLI_NO;
	lab_key_wipe(&key);
	return code;
}

/* ---- a verb and what is around it ---- */

static const struct verb {
	const char *name;
	bool has_operand;
	bool of_many; /* works on c->fleet, not on c->client */
	bool reads;   /* works on c->all, and changes nothing */
	int (*run)(struct call *c);
} verbs[] = {
	{ "ato", false, false, false, verb_ato },
	{ "dlv", false, false, false, verb_dlv },
	{ "skms", true, false, false, verb_skms },
	{ "ckms", false, false, false, verb_ckms },
	{ "skms-domain", true, false, false, verb_skms_domain },
	{ "ckms-domain", false, false, false, verb_ckms_domain },
	{ "skhc", false, false, false, verb_skhc },
	{ "ckhc", false, false, false, verb_ckhc },
	{ "fleet", false, true, false, verb_fleet },
	{ "events", false, false, true, verb_events },
};

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int run_verb(struct call *c, const struct verb *verb)
{
	const struct config_discovery *d = &c->session.config->discovery;
	struct err_info info;
	int code;

	if (verb->reads) {
		code = load_file(c, "client.json");
		return code == 0 ? verb->run(c) : code;
	}
	code = verb->of_many ? load_fleet(c) : load_client(c);
	if (code == 0)
		code = discover_client(c->args, &c->session,
				       strcmp(c->client.product->key, "office") == 0 ? "office"
										     : "windows",
				       &c->discover);
	if (code != 0)
		return code;
	c->client.cache_activated_only = d->cache_write == CONFIG_CACHE_ACTIVATED;
	c->discover.client.params.lone_port =
		d->lone_port == CONFIG_LONE_PORT_USE ? c->client.manual_port : 0;
	code = verb->run(c);
	if (code == CLI_USAGE)
		return code;
	if (lab_clients_save(c->state_path, verb->of_many ? c->fleet.c : &c->client,
			     verb->of_many ? c->fleet.n : 1, c->events, &info) != 0)
		return complain(c, ERR_STORE_FAILED, info.text);
	return code;
}

static int run(const struct cli_args *a)
{
	const char *const *words;
	size_t n = cli_operands(a, &words);
	const struct verb *verb = n > 0 ? find_verb(words[0]) : NULL;
	struct call *c;
	int code;

	if (verb == NULL)
		return cli_usage_error(a, n > 0 ? "no such verb: '%s'" : "wants a verb",
				       n > 0 ? words[0] : "");
	if (n != (verb->has_operand ? 2u : 1u))
		return cli_usage_error(a, "%s takes %s operand", verb->name,
				       verb->has_operand ? "one" : "no");
	c = mem_must(calloc(1, sizeof(*c)));
	c->args = a;
	c->operand = verb->has_operand ? words[1] : NULL;
	c->events = mem_must(json_array());
	code = session_open(&c->session, a, true);
	if (code == 0) {
		code = run_verb(c, verb);
		session_close(&c->session);
	}
	lab_clients_done(&c->all);
	lab_clients_done(&c->fleet);
	json_decref(c->events);
	free(c);
	return code;
}

const struct cli_command cmd_client = {
	.name = "client",
	.operands = "VERB [OPERAND]",
	.words = "ato dlv skms ckms skms-domain ckms-domain skhc ckhc fleet events",
	.summary = "a lab client: rehearse activation, with the verbs of slmgr",
	.text = "A client of kmsbeacon's lab mode with a memory of its own (--state, several in "
		"one "
		"file by\n"
		"--name), a new one where there is none. It finds hosts as Windows does and "
		"speaks\n"
		"kmsbeacon's own lab messages: it cannot activate anything, and licensed hosts do "
		"not answer\n"
		"it.\n\n"
		"  ato                   attempt an activation now\n"
		"  dlv                   show the state, in the order of slmgr /dlv\n"
		"  skms NAME[:PORT]      use this host alone (also :PORT, [v6]:PORT); ckms clears "
		"it\n"
		"  skms-domain DOMAIN    look for hosts in this domain alone; ckms-domain clears "
		"it\n"
		"  skhc, ckhc            remember the host that answered (the default), or do "
		"not\n"
		"  fleet --count N       N clients (lab00001 ..., or from --name) attempt it, side "
		"by side\n"
		"  events                what the clients of the file have logged: events 12288 "
		"and 12289\n\n"
		"Exit code of ato and fleet 0: activated, 1: not (the code says why).",
	.examples = "  kmsbeacon client ato --state c1.json --key lab.key --domain lab.example\n"
		    "  kmsbeacon client fleet --count 100 --key lab.key --domain lab.example\n"
		    "  kmsbeacon client dlv --state c1.json",
	.options = options,
	.run = run,
	.usage_exit = CLI_USAGE,
};
