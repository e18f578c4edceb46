#include "cli/verify_run.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/verify_known.h"
#include "cli/verify_pass.h"
#include "cli/verify_text.h"
#include "cli/verify_watch.h"
#include "common/mem.h"
#include "kmscore/probe.h"
#include "resolver/audit_report.h"

enum { SIGNALS = 2, RESOLVER_SAMPLES = 3 };

struct verify {
	struct session *session;
	const struct verify_options *o;
	struct own_records *own;
	struct verify_known *known;
	struct rsv_expect own_scratch[RSV_EXPECT_MAX];
	struct rsv_audit_params audit; /* what all have in common */
	struct domain_source *source;
	struct verify_pass pass;
	struct progress progress;
	uv_signal_t signals[SIGNALS];
	uv_prepare_t idle; /* before the loop waits, what was printed leaves */
	bool bulk;         /* only what is not ok is shown, and the sum */
	FILE *out;         /* stdout, or what gathers one object, so that it comes whole */
	char *object;
	size_t object_len;
	bool printed;  /* something is on stdout */
	int write_err; /* errno */
	int err;       /* of the pass */
	bool interrupted;
	uint64_t began_ms;
	/* --watch */
	char **list; /* of a file; NULL: the domains are elsewhere */
	const char *const *domains;
	size_t n_domains;
	json_t **states;         /* of each domain, from the round before */
	enum rsv_status *latest; /* of each domain */
	uv_timer_t next_round;
	bool first_over; /* the first round, which is told in full */
};

static void start_pass(struct verify *v);

/* ---- one domain, as text --------------------------------------------------------------------- */

static json_t *bad_line_report(const struct domain_item *d)
{
	char text[sizeof(d->text) + sizeof(d->problem) + 8];
	json_t *o = json_object();

	(void)snprintf(text, sizeof(text), "'%s' %s", d->text, d->problem);
	(void)json_object_set_new(o, "domain", json_string(d->text));
	(void)json_object_set_new(o, "line", json_integer((json_int_t)d->line));
	(void)json_object_set_new(o, "status", json_string(rsv_status_name(RSV_UNKNOWN_)));
	(void)json_object_set_new(o, "error",
				  json_pack("{s:s, s:s}", "code", "PARSE", "text", text));
	return o;
}

static void render_bad_line(const struct verify *v, const struct domain_item *d, FILE *out)
{
	json_t *report;

	if (v->o->form == FORM_TEXT) {
		(void)fprintf(out, "%s%s%s  line %zu: '%.80s' %s\n",
			      tone_on(out, tone_of("unknown")), "unknown", tone_off(out), d->line,
			      d->text, d->problem);
		return;
	}
	report = bad_line_report(d);
	print_json_to(out, report);
	json_decref(report);
}

static void render_changes(struct verify *v, const struct verify_item *it, const json_t *now,
			   FILE *out)
{
	json_t *changes = watch_changes(v->states[it->index], now);
	char stamp[CLOCK_TEXT_MAX], name[DNSNAME_TEXT_MAX];
	size_t i;
	json_t *c;

	clock_format_rfc3339(clock_wall_ms(v->session->env.net.clock), stamp);
	dns_name_format(&it->domain->name, name);
	json_array_foreach(changes, i, c)
	{
		if (v->o->form == FORM_TEXT) {
			(void)fprintf(out, "%s  %s  ", stamp, name);
			watch_print(out, c);
			continue;
		}
		(void)json_object_set_new(c, "time", json_string(stamp));
		(void)json_object_set_new(c, "domain", json_string(name));
		print_json_to(out, c);
		if (i + 1 < json_array_size(changes))
			(void)fputc('\n', out);
	}
	json_decref(changes);
}

/** @return whether this was a round after the first: nothing but changes is told then. */
static bool watch(struct verify *v, const struct verify_item *it, const json_t *report, FILE *out)
{
	json_t *now = watch_state(report);
	bool again = v->states[it->index] != NULL;

	v->latest[it->index] = it->r->status;
	if (again && now != NULL)
		render_changes(v, it, now, out);
	if (now != NULL) {
		json_decref(v->states[it->index]);
		v->states[it->index] = now;
	}
	return again;
}

static void render(void *ctx, const struct verify_item *it, FILE *out)
{
	struct verify *v = ctx;
	json_t *report;

	if (v->o->form == FORM_NAGIOS)
		return;
	if (it->r == NULL) {
		render_bad_line(v, it->domain, out);
		return;
	}
	if (v->bulk && v->states == NULL && v->o->form == FORM_TEXT && it->r->status == RSV_OK_)
		return;
	report = rsv_audit_report(it->r);
	if (report == NULL)
		(void)fprintf(stderr, "kmsbeacon verify: %s\n", err_text(ERR_NOMEM));
	else if (v->states != NULL && watch(v, it, report, out))
		;
	else if (v->o->form != FORM_TEXT)
		print_json_to(out, report);
	else if (!v->bulk || it->r->status != RSV_OK_)
		verify_print_domain(out, report);
	json_decref(report);
}

/* ---- to stdout ------------------------------------------------------------------------------- */

static void flush(struct verify *v)
{
	if (v->write_err != 0)
		return;
	errno = 0; /* an EPIPE of a connection, say, is none of stdout, and would not be told */
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return;
	v->write_err = errno != 0 ? errno : EIO;
	verify_pass_cancel(&v->pass);
}

static void on_idle(uv_prepare_t *p)
{
	flush(p->data);
}

/** What goes before the text of a domain. */
static void separate(struct verify *v)
{
	if (v->o->form == FORM_JSON)
		(void)fputs(v->printed ? "," : "{\"domains\":[", v->out);
	else if (v->o->form == FORM_TEXT && v->printed && !v->first_over)
		(void)fputc('\n', stdout);
	v->printed = true;
}

static bool take(void *ctx, const char *text, size_t len)
{
	struct verify *v = ctx;

	if (v->write_err != 0)
		return false;
	progress_hide(&v->progress);
	errno = 0;
	separate(v);
	(void)fwrite(text, 1, len, v->out);
	if (v->o->form == FORM_JSON_LINES)
		(void)fputc('\n', stdout);
	return true;
}

static void put_object(struct verify *v)
{
	bool whole = ferror(v->out) == 0;

	whole = fclose(v->out) == 0 && whole;
	v->out = stdout;
	(void)mem_must(whole ? v->object : NULL);
	(void)fwrite(v->object, 1, v->object_len, stdout);
}

static void print_end(struct verify *v)
{
	uint64_t took_ms = uv_now(&v->session->env.loop) - v->began_ms;
	const struct rsv_verify_totals *t = &v->pass.totals;
	char line[RSV_NAGIOS_MAX];

	switch (v->o->form) {
	case FORM_NAGIOS:
		(void)puts(rsv_verify_nagios(t, took_ms, line));
		break;
	case FORM_JSON:
		(void)fprintf(v->out, "%s],\"status\":\"%s\"}\n",
			      v->printed ? "" : "{\"domains\":[", rsv_status_name(t->status));
		put_object(v);
		break;
	case FORM_TEXT:
		if (t->domains > 1) {
			if (v->printed)
				(void)fputc('\n', stdout);
			verify_print_totals(stdout, t, took_ms);
		}
		break;
	case FORM_JSON_LINES:
		break;
	}
	v->printed = true;
}

static void say_progress(void *ctx, char text[PROGRESS_TEXT_MAX])
{
	struct verify *v = ctx;
	const struct rsv_verify_totals *t = &v->pass.totals;
	uint64_t took = uv_now(&v->session->env.loop) - v->began_ms, done, all;
	char share[32] = "";

	if (domain_source_progress(v->source, &done, &all))
		(void)snprintf(share, sizeof(share), " (%u%%)", (unsigned)(done * 100 / all));
	(void)snprintf(text, PROGRESS_TEXT_MAX,
		       "%zu domains%s, %.0f/s: %zu ok, %zu critical, %zu warning, %zu unknown",
		       t->domains, share,
		       took > 0 ? (double)t->domains * 1000.0 / (double)took : 0.0,
		       t->by_status[RSV_OK_], t->by_status[RSV_CRIT_], t->by_status[RSV_WARN_],
		       t->by_status[RSV_UNKNOWN_]);
}

/* ---- passes ---------------------------------------------------------------------------------- */

static void close_all(struct verify *v)
{
	for (size_t i = 0; i < SIGNALS; i++)
		if (!uv_is_closing((uv_handle_t *)&v->signals[i]))
			uv_close((uv_handle_t *)&v->signals[i], NULL);
	uv_close((uv_handle_t *)&v->idle, NULL);
	uv_close((uv_handle_t *)&v->next_round, NULL);
}

static void on_next_round(uv_timer_t *t)
{
	start_pass(t->data);
}

/** Whether the next round is to come. */
static bool goes_on(const struct verify *v)
{
	return v->o->watch_ms > 0 && !v->interrupted && v->write_err == 0 && v->err == 0;
}

static void on_pass_done(struct verify_pass *pass, int err)
{
	struct verify *v = (struct verify *)((char *)pass - offsetof(struct verify, pass));
	uint64_t now = uv_now(&v->session->env.loop), due = v->began_ms + v->o->watch_ms;

	domain_source_free(v->source);
	v->source = NULL;
	progress_stop(&v->progress);
	v->err = err == ERR_CANCELED ? 0 : err;
	if (v->write_err == 0 && !v->first_over)
		print_end(v);
	v->first_over = true;
	if (goes_on(v))
		(void)uv_timer_start(&v->next_round, on_next_round, due > now ? due - now : 0, 0);
	else
		close_all(v);
}

static void prepare(void *ctx, struct rsv_audit_params *p)
{
	struct verify *v = ctx;

	p->own = v->own_scratch;
	p->n_own = own_records_get(v->own, &p->domain, v->own_scratch);
	verify_known_fill(v->known, p);
}

static void on_source_ready(void *ctx)
{
	struct verify *v = ctx;

	verify_pass_wake(&v->pass);
}

static void start_pass(struct verify *v)
{
	const struct net *net = &v->session->env.net;
	struct dns_server servers[DNS_CLIENT_SERVERS_MAX] = { 0 };
	struct verify_pass_params p = {
		.audit = &v->audit,
		.prepare = prepare,
		.lookup_only = v->o->lookup_only,
		.prober = v->o->lookup_only ? NULL : kms_prober_rpc(),
		.servers = servers,
		.n_servers = v->o->n_servers,
		.render = render,
		.take = take,
		.done = on_pass_done,
		.ctx = v,
	};

	/* The servers given know names that the resolvers may not know; the rest is for those. */
	memcpy(servers, v->o->servers, p.n_servers * sizeof(*servers));
	for (size_t i = 0; i < net->n_resolvers && p.n_servers < DNS_CLIENT_SERVERS_MAX; i++)
		servers[p.n_servers++].addr = net->resolvers[i];
	v->began_ms = uv_now(net->loop);
	if (v->domains != NULL)
		v->source = mem_must(domain_source_list(v->domains, v->n_domains));
	else
		v->source = mem_must(domain_source_fd(net->loop, v->o->fd, on_source_ready, v));
	p.source = v->source;
	if (v->bulk && v->o->watch_ms == 0 && v->o->form != FORM_NAGIOS)
		progress_start(&v->progress, net->loop, say_progress, v);
	verify_pass_start(&v->pass, &v->session->env.net, &p);
}

static void on_signal(uv_signal_t *s, int number)
{
	struct verify *v = s->data;

	(void)number;
	v->interrupted = true;
	/* the next one finds the default action, should we be stuck */
	for (size_t i = 0; i < SIGNALS; i++)
		(void)uv_signal_stop(&v->signals[i]);
	if (uv_is_active((uv_handle_t *)&v->next_round))
		close_all(v);
	else
		verify_pass_cancel(&v->pass);
}

static void open_handles(struct verify *v)
{
	static const int numbers[SIGNALS] = { SIGINT, SIGTERM };
	uv_loop_t *loop = &v->session->env.loop;

	for (size_t i = 0; i < SIGNALS; i++) {
		(void)uv_signal_init(loop, &v->signals[i]);
		v->signals[i].data = v;
		(void)uv_signal_start(&v->signals[i], on_signal, numbers[i]);
		uv_unref((uv_handle_t *)&v->signals[i]);
	}
	(void)uv_prepare_init(loop, &v->idle);
	v->idle.data = v;
	(void)uv_prepare_start(&v->idle, on_idle);
	uv_unref((uv_handle_t *)&v->idle);
	(void)uv_timer_init(loop, &v->next_round);
	v->next_round.data = v;
}

/* ---- domains --------------------------------------------------------------------------------- */

static void wake_nobody(void *ctx)
{
	(void)ctx; /* the loop returns, which is all that is wanted */
}

/** A round needs the domains of the round before: the whole file. 0 or the exit code. */
static int read_list(const struct cli_args *a, struct verify *v)
{
	uv_loop_t *loop = &v->session->env.loop;
	struct domain_source *s = mem_must(domain_source_fd(loop, v->o->fd, wake_nobody, NULL));
	enum domain_next what;
	struct domain_item it;
	int code = 0;

	while (code == 0 && (what = domain_source_next(s, &it)) != DOMAIN_END) {
		if (what == DOMAIN_WAIT) {
			(void)uv_run(loop, UV_RUN_ONCE);
			continue;
		}
		if (what == DOMAIN_BAD)
			code = cli_usage_error(a, "--domains-file, line %zu: '%.80s' %s", it.line,
					       it.text, it.problem);
		else if (v->n_domains == VERIFY_WATCH_DOMAINS)
			code = cli_usage_error(a, "--watch: at most %d domains",
					       VERIFY_WATCH_DOMAINS);
		else
			v->list[v->n_domains++] = mem_must(strdup(it.text));
	}
	if (code == 0 && domain_source_error(s) != 0)
		code = cli_usage_error(a, "--domains-file: %s", err_text(domain_source_error(s)));
	domain_source_free(s);
	return code;
}

/** Which domains, and how they are shown. 0 or the exit code. */
static int choose_domains(const struct cli_args *a, struct verify *v)
{
	const struct verify_options *o = v->o;
	int code = 0;

	if (o->fd >= 0 && o->watch_ms > 0) {
		v->list = mem_must(calloc(VERIFY_WATCH_DOMAINS, sizeof(*v->list)));
		code = read_list(a, v);
		v->domains = (const char *const *)v->list;
	} else if (o->n_domains > 0) {
		v->domains = o->domains;
		v->n_domains = o->n_domains;
	} else if (o->fd < 0) {
		v->domains = verify_known_domains(v->known, &v->n_domains);
	}
	if (code == 0 && v->domains != NULL && v->n_domains == 0)
		code = cli_usage_error(a, "no domain: give --domain, or publish.domains in the "
					  "configuration");
	if (code == 0 && v->n_domains > VERIFY_WATCH_DOMAINS && o->watch_ms > 0)
		code = cli_usage_error(a, "--watch: at most %d domains", VERIFY_WATCH_DOMAINS);
	if (code == 0 && o->watch_ms > 0 && v->n_domains > 0) {
		v->states = mem_must(calloc(v->n_domains, sizeof(json_t *)));
		v->latest = mem_must(calloc(v->n_domains, sizeof(*v->latest)));
		for (size_t i = 0; i < v->n_domains; i++)
			v->latest[i] = RSV_UNKNOWN_;
	}
	v->bulk = v->domains == NULL || v->n_domains > VERIFY_SHOWN_MAX;
	return code;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/** The worst of what each domain was when it was looked at last. */
static enum rsv_status latest(const struct verify *v)
{
	enum rsv_status worst = RSV_OK_;

	for (size_t i = 0; i < v->n_domains; i++)
		worst = rsv_status_worst(worst, v->latest[i]);
	return worst;
}

static int exit_code(const struct cli_args *a, struct verify *v)
{
	flush(v);
	if (v->write_err != 0 && v->write_err != EPIPE)
		(void)fprintf(stderr, "kmsbeacon verify: cannot write: %s\n",
			      strerror(v->write_err));
	if (v->err != 0)
		(void)fprintf(stderr, "kmsbeacon verify: reading the domains: %s\n",
			      err_text(v->err));
	if (v->write_err != 0 || v->err != 0)
		return NAGIOS_UNKNOWN;
	if (v->interrupted && v->o->watch_ms == 0) {
		(void)fprintf(stderr, "kmsbeacon verify: interrupted, %zu domains were looked at\n",
			      v->pass.totals.domains);
		return NAGIOS_UNKNOWN;
	}
	if (v->pass.totals.domains == 0 && v->o->watch_ms == 0)
		return cli_usage_error(a, "the file names no domain");
	return rsv_status_exit_code(v->o->watch_ms == 0 ? v->pass.totals.status : latest(v));
}

static void verify_free(struct verify *v)
{
	for (size_t i = 0; i < v->n_domains; i++) {
		if (v->list != NULL)
			free(v->list[i]);
		if (v->states != NULL)
			json_decref(v->states[i]);
	}
	if (v->out != stdout)
		(void)fclose(v->out);
	free(v->object);
	free(v->list);
	free(v->states);
	free(v->latest);
	verify_known_free(v->known);
	own_records_free(v->own);
	free(v);
}

int verify_run(const struct cli_args *a, struct session *s, struct verify_options *o)
{
	struct verify *v = mem_must(calloc(1, sizeof(*v)));
	int code;

	v->session = s;
	v->o = o;
	v->out = o->form == FORM_JSON ? mem_must(open_memstream(&v->object, &v->object_len))
				      : stdout;
	v->own = own_records_new(s->config);
	v->known = verify_known_new(s->config, v->own, s->env.net.dns_port);
	v->audit = (struct rsv_audit_params){
		.servers = o->servers,
		.n_servers = o->n_servers,
		/* Who names servers asks about what the machine's resolv.conf may not know. */
		.skip_resolvers = o->n_servers > 0 && s->config->discovery.n_resolvers == 0,
		.expect = o->expect,
		.n_expect = o->n_expect,
		/* Caches behind one address show only when they are asked more than once. */
		.unasked = o->n_domains == 0 && o->fd < 0,
		.resolver_samples = o->fd >= 0 ? 1 : RESOLVER_SAMPLES,
	};
	code = choose_domains(a, v);
	if (code == 0) {
		open_handles(v);
		start_pass(v);
		(void)uv_run(&s->env.loop, UV_RUN_DEFAULT);
		code = exit_code(a, v);
	}
	(void)uv_run(&s->env.loop, UV_RUN_DEFAULT); /* what is still closing is part of v */
	verify_free(v);
	return code;
}
