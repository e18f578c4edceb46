/* What happens: to servers, hosts, clients, the network, the clock, and the program. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/dnsmsg.h"
#include "tests/replay/replay.h"

#define STOP_MS   60000  /* the daemon's own limits are shorter */
#define ANSWER_MS 240000 /* a drain looks at DNS, and then withdraws: 60 s each */

static bool unknown(const struct stmt *st, char why[WHY_MAX], const char *ways)
{
	(void)snprintf(why, WHY_MAX, "`%s` is nothing that %s can do: %s", st->text, st->word[0],
		       ways);
	return false;
}

/* ---- name servers ---- */

#define SERVER_WAYS                                                                                \
	"well, down, silent, up, no-tcp, only-tcp, unsigned, update RCODE|ignored|answer-lost|"    \
	"well, query RCODE|well, mute TYPE, tsig badkey|badsig|badtime|well, clock +-T, transfer " \
	"T|never, answer T, ttl-max T|none, notify ZONE ADDRESS:PORT"

static bool rcode_of(const char *word, uint16_t *ret)
{
	for (unsigned i = 1; i < 24; i++) {
		const char *name = dns_rcode_name(i);

		if (strcasecmp(name, word) == 0) {
			*ret = (uint16_t)i;
			return true;
		}
	}
	return false;
}

static bool server_word(struct sim_dns_ways *w, const char *way)
{
	if (strcmp(way, "well") == 0)
		*w = (struct sim_dns_ways){ 0 };
	else if (strcmp(way, "down") == 0)
		w->down = true;
	else if (strcmp(way, "silent") == 0)
		w->silent = true;
	else if (strcmp(way, "up") == 0)
		w->down = w->silent = false;
	else if (strcmp(way, "no-tcp") == 0)
		w->no_tcp = true;
	else if (strcmp(way, "only-tcp") == 0)
		w->only_tcp = true;
	else if (strcmp(way, "unsigned") == 0)
		w->unsigned_answers = true;
	else
		return false;
	return true;
}

static bool server_update(struct sim_dns_ways *w, const char *how)
{
	w->update_rcode = 0;
	w->update_ignored = w->update_answer_lost = false;
	if (strcmp(how, "ignored") == 0)
		w->update_ignored = true;
	else if (strcmp(how, "answer-lost") == 0)
		w->update_answer_lost = true;
	else if (strcmp(how, "well") != 0)
		return rcode_of(how, &w->update_rcode);
	return true;
}

static bool tsig_error(struct sim_dns_ways *w, const char *how)
{
	static const char *const errors[] = { "badsig", "badkey", "badtime" };

	w->tsig_error = 0;
	for (uint16_t i = 0; i < 3; i++)
		if (strcmp(how, errors[i]) == 0)
			w->tsig_error = (uint16_t)(16 + i);
	return w->tsig_error != 0 || strcmp(how, "well") == 0;
}

static bool mute_type(struct sim_dns_ways *w, const char *type)
{
	static const struct {
		const char *name;
		uint16_t type;
	} types[] = {
		{ "A", DNS_TYPE_A },     { "AAAA", DNS_TYPE_AAAA }, { "SRV", DNS_TYPE_SRV },
		{ "SOA", DNS_TYPE_SOA }, { "NS", DNS_TYPE_NS },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(types[i].name, type) == 0) {
			w->mute_type = types[i].type;
			return true;
		}
	}
	return false;
}

static bool server_value(struct sim_dns_ways *w, const char *what, const char *how)
{
	uint64_t ms;
	int64_t off;

	if (strcmp(what, "update") == 0)
		return server_update(w, how);
	if (strcmp(what, "query") == 0) {
		w->query_rcode = 0;
		return strcmp(how, "well") == 0 || rcode_of(how, &w->query_rcode);
	}
	if (strcmp(what, "mute") == 0)
		return mute_type(w, how);
	if (strcmp(what, "tsig") == 0)
		return tsig_error(w, how);
	if (strcmp(what, "clock") == 0 && text_signed_ms(how, &off)) {
		w->clock_off_s = (int32_t)(off / 1000);
		return true;
	}
	if (strcmp(what, "transfer") == 0 && strcmp(how, "never") == 0) {
		w->no_transfer = true;
		return true;
	}
	if (strcmp(what, "ttl-max") == 0 && strcmp(how, "none") == 0) {
		w->ttl_max = 0;
		return true;
	}
	if (!text_ms(how, &ms) || ms > UINT32_MAX)
		return false;
	if (strcmp(what, "transfer") == 0) {
		w->no_transfer = false;
		w->transfer_ms = (uint32_t)ms;
	} else if (strcmp(what, "answer") == 0) {
		w->answer_ms = (uint32_t)ms;
	} else if (strcmp(what, "ttl-max") == 0) {
		w->ttl_max = (uint32_t)(ms / 1000);
	} else {
		return false;
	}
	return true;
}

static bool server_way(struct sim_dns_ways *w, const struct stmt *st)
{
	return st->n == 2 ? server_word(w, st->word[1]) : server_value(w, st->word[1], st->word[2]);
}

static bool server_notify(const struct stmt *st, struct addr *ret_to)
{
	return st->n == 4 && strcmp(st->word[1], "notify") == 0 &&
	       addr_parse(st->word[3], 53, ret_to) == 0;
}

static bool check_server(const struct stmt *st, char why[WHY_MAX])
{
	struct sim_dns_ways w = { 0 };
	struct addr to;

	return (st->n == 4 ? server_notify(st, &to) : server_way(&w, st)) ||
	       unknown(st, why, SERVER_WAYS);
}

static enum step do_server(struct play *p, const struct stmt *st)
{
	struct sim_dns_server *s = sim_dns_find(st->word[0]);
	struct sim_zone *z;
	struct addr to;

	if (!server_notify(st, &to)) {
		(void)server_way(sim_dns_ways(s), st);
		return STEP_DONE;
	}
	z = sim_zone_find(st->word[2]);
	if (z == NULL)
		return play_fail(p, "there is no zone '%s'", st->word[2]);
	sim_zone_notify(z, s, &to);
	return STEP_DONE;
}

const struct verb verb_server = { "server",  2,    4,    "NAME WAY [VALUE]", false, check_server,
				  do_server, NULL, false };

/* ---- KMS hosts ---- */

#define HOST_WAYS                                                                                  \
	"down, silent, deaf, naks, faults, closes, half, up, drop, reset, hresult N, answer T; "   \
	"of a lab host also clients N, intervals T T, clock +-T"

static const struct {
	const char *name;
	enum sim_kms_way way;
} host_ways[] = {
	{ "up", SIM_KMS_ANSWERS },    { "down", SIM_KMS_DOWN }, { "silent", SIM_KMS_SILENT },
	{ "deaf", SIM_KMS_DEAF },     { "naks", SIM_KMS_NAKS }, { "faults", SIM_KMS_FAULTS },
	{ "closes", SIM_KMS_CLOSES }, { "half", SIM_KMS_HALF },
};

static bool host_word(struct sim_kms_host *h, const char *word)
{
	for (size_t i = 0; i < sizeof(host_ways) / sizeof(host_ways[0]); i++) {
		if (strcmp(host_ways[i].name, word) != 0)
			continue;
		if (h != NULL)
			sim_kms_behave(h, host_ways[i].way);
		return true;
	}
	if (strcmp(word, "drop") != 0 && strcmp(word, "reset") != 0)
		return false;
	if (h != NULL)
		sim_kms_drop(h, *word == 'r');
	return true;
}

static bool host_value(struct sim_kms_host *h, const char *what, const char *value)
{
	uint64_t n;
	int64_t off;

	if (strcmp(what, "hresult") == 0 && text_number(value, UINT32_MAX, &n)) {
		if (h != NULL)
			sim_kms_set_hresult(h, (uint32_t)n);
	} else if (strcmp(what, "answer") == 0 && text_ms(value, &n)) {
		if (h != NULL)
			sim_kms_set_answer_ms(h, (uint32_t)n);
	} else if (strcmp(what, "clients") == 0 && text_number(value, 1000, &n)) {
		if (h != NULL)
			sim_kms_lab_clients(h, (size_t)n);
	} else if (strcmp(what, "clock") == 0 && text_signed_ms(value, &off)) {
		if (h != NULL)
			sim_kms_lab_clock(h, off);
	} else {
		return false;
	}
	return true;
}

static bool host_way(struct sim_kms_host *h, const struct stmt *st)
{
	uint64_t activation, renewal;

	if (st->n == 2)
		return host_word(h, st->word[1]);
	if (st->n == 3)
		return host_value(h, st->word[1], st->word[2]);
	if (strcmp(st->word[1], "intervals") != 0 || !text_ms(st->word[2], &activation) ||
	    !text_ms(st->word[3], &renewal))
		return false;
	if (h != NULL)
		sim_kms_lab_intervals(h, (uint32_t)(activation / 60000),
				      (uint32_t)(renewal / 60000));
	return true;
}

static bool check_host(const struct stmt *st, char why[WHY_MAX])
{
	return host_way(NULL, st) || unknown(st, why, HOST_WAYS);
}

static enum step do_host(struct play *p, const struct stmt *st)
{
	(void)p;
	(void)host_way(sim_kms_find(st->word[0]), st);
	return STEP_DONE;
}

const struct verb verb_host = { "host",  2,    4,    "NAME WAY [VALUE]...", false, check_host,
				do_host, NULL, false };

/* ---- KMS clients ---- */

/* "NAME ask ADDRESS:PORT times N" */
static bool is_many(const struct stmt *st, uint64_t *ret)
{
	return st->n == 5 && strcmp(st->word[1], "ask") == 0 && strcmp(st->word[3], "times") == 0 &&
	       text_number(st->word[4], 10000, ret) && *ret > 0;
}

static bool check_client(const struct stmt *st, char why[WHY_MAX])
{
	struct addr at;
	uint64_t n;

	if (st->n > 3 && !is_many(st, &n))
		return unknown(st, why, "ask ADDRESS:PORT times N");
	if ((strcmp(st->word[1], "ask") == 0 || strcmp(st->word[1], "connect") == 0) &&
	    addr_parse(st->word[2], 1688, &at) == 0)
		return true;
	if (strcmp(st->word[1], "keep") == 0 &&
	    (strcmp(st->word[2], "on") == 0 || strcmp(st->word[2], "off") == 0))
		return true;
	return unknown(st, why, "ask ADDRESS:PORT, connect ADDRESS:PORT, keep on|off");
}

static enum step do_client(struct play *p, const struct stmt *st)
{
	struct sim_kms_client *c = sim_kms_client_find(st->word[0]);
	struct addr at;
	uint64_t n = 1;

	if (strcmp(st->word[1], "keep") == 0) {
		sim_kms_keep(c, strcmp(st->word[2], "on") == 0);
		return STEP_DONE;
	}
	if (sim_kms_waits(c))
		return play_fail(p, "%s still waits for an answer", st->word[0]);
	(void)addr_parse(st->word[2], 1688, &at);
	(void)is_many(st, &n);
	sim_kms_ask_more(c, (uint32_t)n - 1);
	if (strcmp(st->word[1], "ask") == 0)
		sim_kms_ask(c, &at);
	else
		sim_kms_connect(c, &at);
	return STEP_DONE;
}

const struct verb verb_client = {
	"client",  3,    5,    "NAME ask ADDRESS:PORT [times N]", false, check_client,
	do_client, NULL, false
};

/* ---- the network and the clock ---- */

static bool host_address(const char *word, struct addr *ret)
{
	memset(ret, 0, sizeof(*ret)); /* any */
	return strcmp(word, "*") == 0 || addr_parse(word, 0, ret) == 0;
}

static bool permille(const char *word, uint16_t *ret)
{
	char digits[8];
	size_t n = strlen(word);
	uint64_t percent;

	if (n < 2 || n > 4 || word[n - 1] != '%')
		return false;
	(void)snprintf(digits, sizeof(digits), "%.*s", (int)n - 1, word);
	if (!text_number(digits, 100, &percent))
		return false;
	*ret = (uint16_t)(10 * percent);
	return true;
}

static bool link_rule(const struct stmt *st, struct sim_rule *ret)
{
	uint64_t ms;

	*ret = (struct sim_rule){ .latency_us = 200 };
	if (!host_address(st->word[1], &ret->from) || !host_address(st->word[2], &ret->to))
		return false;
	for (size_t i = 3; i < st->n; i++) {
		const char *what = st->word[i], *value = i + 1 < st->n ? st->word[i + 1] : "";

		if (strcmp(what, "cut") == 0) {
			ret->cut = true;
			continue;
		}
		i++;
		if (strcmp(what, "latency") == 0 && text_ms(value, &ms))
			ret->latency_us = (uint32_t)(1000 * ms);
		else if (strcmp(what, "jitter") == 0 && text_ms(value, &ms))
			ret->jitter_us = (uint32_t)(1000 * ms);
		else if (!(strcmp(what, "lose") == 0 && permille(value, &ret->lose)) &&
			 !(strcmp(what, "repeat") == 0 && permille(value, &ret->repeat)))
			return false;
	}
	return true;
}

static bool check_link(const struct stmt *st, char why[WHY_MAX])
{
	struct sim_rule r;

	return link_rule(st, &r) ||
	       unknown(st, why,
		       "A B [latency T] [jitter T] [lose N%] [repeat N%] [cut], A and B addresses");
}

static enum step do_link(struct play *p, const struct stmt *st)
{
	struct sim_rule r, back;

	(void)p;
	(void)link_rule(st, &r);
	back = r;
	back.from = r.to;
	back.to = r.from;
	sim_rule(&r);
	sim_rule(&back);
	return STEP_DONE;
}

static enum step do_unlink(struct play *p, const struct stmt *st)
{
	struct sim_rule r;

	(void)p;
	(void)link_rule(st, &r);
	sim_rule_drop(&r.from, &r.to);
	sim_rule_drop(&r.to, &r.from);
	return STEP_DONE;
}

static bool check_clock(const struct stmt *st, char why[WHY_MAX])
{
	int64_t ms;

	return text_signed_ms(st->word[1], &ms) || unknown(st, why, "+T or -T");
}

static enum step do_clock(struct play *p, const struct stmt *st)
{
	int64_t ms = 0;

	(void)p;
	(void)text_signed_ms(st->word[1], &ms);
	sim_step_clock(ms);
	return STEP_DONE;
}

static bool check_wait(const struct stmt *st, char why[WHY_MAX])
{
	uint64_t ms;

	return text_ms(st->word[1], &ms) || unknown(st, why, "a time such as 90s");
}

static enum step more_wait(struct play *p, const struct stmt *st);

static enum step do_wait(struct play *p, const struct stmt *st)
{
	p->base = sim_now(); /* whatever is still to be seen of before */
	return more_wait(p, st);
}

static enum step more_wait(struct play *p, const struct stmt *st)
{
	uint64_t ms;

	(void)text_ms(st->word[1], &ms);
	if (sim_now() < p->base + ms)
		return play_wake(p, p->base + ms);
	p->from = p->n_lines;
	return STEP_DONE;
}

/* ---- the program ---- */

static enum step need_daemon(struct play *p)
{
	return play_fail(p, "no daemon runs");
}

static void write_config(struct play *p)
{
	char path[TEXT_MAX];

	(void)snprintf(path, sizeof(path), "%s/kmsbeacon.yaml", p->dir);
	play_write_file(p, path, p->config, 0644);
}

static enum step do_start(struct play *p, const struct stmt *st)
{
	if (p->config == NULL && st->n == 1)
		return play_fail(p, "there is no `config` above");
	if (p->running)
		return play_fail(p, "it runs already");
	if (p->config != NULL)
		write_config(p);
	return STEP_LIFE;
}

static enum step do_reload(struct play *p, const struct stmt *st)
{
	(void)st;
	if (!p->running)
		return need_daemon(p);
	write_config(p);
	sim_signal(SIGHUP);
	return STEP_DONE;
}

static enum step do_stop(struct play *p, const struct stmt *st)
{
	(void)st;
	if (!p->running)
		return need_daemon(p);
	sim_signal(SIGTERM);
	p->base = sim_now();
	return play_wake(p, p->base + STOP_MS);
}

static enum step more_stop(struct play *p, const struct stmt *st)
{
	(void)st;
	if (!p->running)
		return STEP_DONE;
	if (sim_now() >= p->base + STOP_MS)
		return play_fail(p, "it did not end within %d s", STOP_MS / 1000);
	return play_wake(p, p->base + STOP_MS);
}

static enum step do_crash(struct play *p, const struct stmt *st)
{
	(void)st;
	if (!p->running)
		return need_daemon(p);
	p->pc++;
	p->begun = false;
	p->base = sim_now();
	sim_crash();
}

static enum step do_run(struct play *p, const struct stmt *st)
{
	(void)st;
	if (p->running)
		return play_fail(p, "the daemon runs: one program at a time");
	if (p->config != NULL)
		write_config(p);
	p->from = p->n_lines;
	return STEP_LIFE;
}

static enum step more_run(struct play *p, const struct stmt *st)
{
	(void)p;
	(void)st;
	return STEP_WAIT; /* for its end, which only the parent sees */
}

static void on_answer(void *ctx, const char *line)
{
	struct play *p = ctx;

	p->output_len = (size_t)snprintf(p->output, sizeof(p->output), "%s", line ? line : "");
	if (p->output_len >= sizeof(p->output))
		p->output_len = sizeof(p->output) - 1;
	p->answered = true;
	play_soon(p);
}

static enum step do_control(struct play *p, const struct stmt *st)
{
	char path[TEXT_MAX], args[TEXT_MAX], request[2 * TEXT_MAX];

	if (!p->running)
		return need_daemon(p);
	p->answered = false;
	text_join(st, 2, st->n, args);
	(void)snprintf(request, sizeof(request), "{\"command\": \"%s\"%s%s}", st->word[1],
		       args[0] != '\0' ? ", \"args\": " : "", args);
	(void)snprintf(path, sizeof(path), "%s/control.sock", p->dir);
	sim_control(path, request, on_answer, p);
	p->base = sim_now();
	return play_wake(p, p->base + ANSWER_MS);
}

/* The daemon's answer becomes the output, as that of the command that would have asked. */
static enum step more_control(struct play *p, const struct stmt *st)
{
	json_t *answer, *report;
	char *text;

	if (!p->answered) {
		if (sim_now() >= p->base + ANSWER_MS)
			return play_fail(p, "no answer within %d s", ANSWER_MS / 1000);
		return play_wake(p, p->base + ANSWER_MS);
	}
	answer = json_loads(p->output, 0, NULL);
	if (answer == NULL)
		return play_fail(p, "the control socket gave no answer");
	p->code = (int)json_integer_value(json_object_get(answer, "exit"));
	report = json_object_get(answer, "report");
	text = json_dumps(report != NULL ? report : answer, 0);
	(void)snprintf(p->output, sizeof(p->output), "%s", text);
	p->output_len = strlen(p->output);
	free(text);
	json_decref(answer);
	(void)st;
	return STEP_DONE;
}

const struct verb verb_control = { .begin = do_control, .more = more_control };

const struct verb verbs_act[] = {
	{ .name = "link",
	  .min = 4,
	  .form = "link A B WAY...",
	  .check = check_link,
	  .begin = do_link },
	{ "unlink", 3, 3, "unlink A B", false, check_link, do_unlink, NULL, false },
	{ "clock", 2, 2, "clock +T", false, check_clock, do_clock, NULL, false },
	{ "wait", 2, 2, "wait T", false, check_wait, do_wait, more_wait, false },
	{ .name = "start", .min = 1, .form = "start [COMMAND [ARGUMENT]...]", .begin = do_start },
	{ "reload", 1, 1, "reload", false, NULL, do_reload, NULL, false },
	{ .name = "stop",
	  .min = 1,
	  .max = 1,
	  .form = "stop",
	  .begin = do_stop,
	  .more = more_stop,
	  .keeps_time = true },
	{ "crash", 1, 1, "crash", false, NULL, do_crash, NULL, false },
	{ .name = "run",
	  .min = 2,
	  .form = "run COMMAND [ARGUMENT]...",
	  .begin = do_run,
	  .more = more_run },
	{ .name = "control",
	  .min = 2,
	  .form = "control COMMAND [ARGS as JSON]",
	  .begin = do_control,
	  .more = more_control },
	{ 0 },
};
