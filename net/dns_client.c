#include "net/dns_client.h"

#include <stdlib.h>

#include "common/err.h"
#include "net/dns_client_priv.h"
#include "net/silence.h"

static void on_timer(uv_timer_t *t);
static void begin(struct dns_client_impl *c, size_t server);
static void next_attempt(struct dns_client_impl *c);

/* The end */

static void impl_free(struct dns_client_impl *c)
{
	for (size_t i = 0; i < c->n_attempts; i++) {
		dnsmsg_free(c->attempts[i]->j.msg);
		free(c->attempts[i]);
	}
	for (size_t i = 0; i < c->turns.n_servers; i++)
		tsig_key_unref(c->servers[i].key);
	dnsmsg_free(c->msg);
	buf_done(&c->plain);
	buf_done(&c->edns);
	free(c);
}

/** One handle or attempt less; after the last one, the caller is told. */
static void release(struct dns_client_impl *c)
{
	if (--c->open > 0)
		return;
	c->c->impl = NULL;
	c->outcome.msg = c->msg;
	c->c->done(c->c, &c->outcome);
	/* c->c may be freed memory now */
	impl_free(c);
}

static void on_timer_closed(uv_handle_t *h)
{
	struct dns_client *client = h->data;
	const struct dns_outcome no_memory = { .err = ERR_NOMEM };

	if (client->impl != NULL)
		release(client->impl);
	else
		client->done(client, &no_memory);
}

static bool is_open(const struct dns_attempt *a)
{
	return a->tcp ? a->io.tcp.state != TS_DONE : a->io.udp.state != UX_DONE;
}

/** End with what c->outcome says; once, while DC_RUNNING. */
static void finish(struct dns_client_impl *c)
{
	c->state = DC_CLOSING;
	c->current = NULL;
	for (size_t i = 0; i < c->n_attempts; i++)
		if (is_open(c->attempts[i]))
			dns_attempt_cancel(c->attempts[i]);
	uv_close((uv_handle_t *)&c->c->timer, on_timer_closed);
}

/** End with an error that is ours, whatever servers said. */
static void finish_with(struct dns_client_impl *c, int err)
{
	if (c->state != DC_RUNNING)
		return;
	dnsmsg_free(c->msg);
	c->msg = NULL;
	c->outcome.err = err;
	finish(c);
}

/* What was heard */

/** Remember how @p a came out, where that tells more than what is known. @p msg, which may be NULL,
 * becomes ours. */
static void record(struct dns_attempt *a, int err, struct dns_msg *msg)
{
	struct dns_client_impl *c = a->c;

	if (err != ERR_OK && c->outcome.err != ERR_OK &&
	    dns_err_rank(err) <= dns_err_rank(c->outcome.err)) {
		dnsmsg_free(msg);
		return;
	}
	dnsmsg_free(c->msg);
	c->msg = msg;
	c->outcome.err = err;
	c->outcome.server = c->servers[a->server].addr;
	c->outcome.tcp = a->tcp;
	c->outcome.rtt_ms = 0;
	if (msg != NULL) {
		c->outcome.rtt_ms = (double)(uv_hrtime() - a->began_ns) / 1e6;
		c->outcome.tsig = a->j.tsig;
	}
}

static void remember_hint(struct dns_client_impl *c, const struct dns_judgement *j)
{
	unsigned rank = dns_err_rank(j->err);

	if (rank <= c->hint_rank)
		return;
	c->hint_rank = rank;
	c->outcome.hint_rcode = j->rcode;
	if (c->msg == NULL)
		c->outcome.tsig = j->tsig;
}

static void arm(struct dns_client_impl *c)
{
	uint64_t now = uv_now(c->net->loop);
	uint64_t at = c->step_at < c->deadline ? c->step_at : c->deadline;

	uv_timer_start(&c->c->timer, on_timer, at > now ? at - now : 0, 0);
}

/** Whether the current attempt goes to the server of @p a. */
static bool is_current_server(const struct dns_attempt *a)
{
	return a->c->current->server == a->server;
}

/** Old servers refuse OPT in several ways; RCODE 16 is BADVERS (RFC 6891 §9). Then they are asked
 * again, once, without it. */
static bool ask_without_edns(struct dns_attempt *a, unsigned rcode)
{
	struct dns_client_impl *c = a->c;

	if (!a->edns || c->no_edns[a->server] || c->n_attempts == DNS_CLIENT_ATTEMPTS_MAX)
		return false;
	if (rcode != DNS_RCODE_FORMERR && rcode != DNS_RCODE_NOTIMP && rcode != 16)
		return false;
	c->no_edns[a->server] = true;
	begin(c, a->server);
	return true;
}

void dns_client_heard(struct dns_attempt *a, const struct dns_judgement *j)
{
	struct dns_client_impl *c = a->c;
	uint64_t until = uv_now(c->net->loop) + DNS_CLIENT_GRACE_MS;

	if (j->err == ERR_NOMEM) {
		finish_with(c, ERR_NOMEM);
		return;
	}
	a->heard = true;
	silence_heard(c->net->silence, &c->servers[a->server].addr, uv_now(c->net->loop));
	record(a, j->err, NULL);
	if (j->verdict != DNS_UNPROVEN)
		return;
	remember_hint(c, j);
	if (j->err == ERR_TSIG_UNSIGNED && ask_without_edns(a, j->rcode))
		return;
	if (!dns_err_rules_out(j->err))
		return;
	c->turns.out[a->server] = true;
	if (is_current_server(a) && until < c->step_at) {
		c->step_at = until;
		arm(c);
	}
}

void dns_client_changed_to_tcp(struct dns_attempt *a)
{
	struct dns_client_impl *c = a->c;

	c->use_tcp[a->server] = true;
	/* It is the most promising one now, even where its turn was over. */
	c->current = a;
	c->step_at = uv_now(c->net->loop) + c->attempt_ms;
	arm(c);
}

/** Go on after @p a failed for good with @p err. */
static void failed(struct dns_attempt *a, int err)
{
	struct dns_client_impl *c = a->c;

	if (dns_err_ends_all(err)) {
		finish(c);
		return;
	}
	if (dns_err_rules_out(err))
		c->turns.out[a->server] = true;
	if (a == c->current || (is_current_server(a) && c->turns.out[a->server]))
		next_attempt(c);
}

static void answered(struct dns_attempt *a)
{
	struct dns_client_impl *c = a->c;
	struct dns_judgement *j = &a->j;
	struct dns_msg *msg = j->msg;

	j->msg = NULL;
	silence_heard(c->net->silence, &c->servers[a->server].addr, uv_now(c->net->loop));
	if (j->verdict == DNS_COMPLAINT)
		remember_hint(c, j);
	if (j->err == ERR_DNS_NOT_AUTH) {
		dnsmsg_free(msg);
		msg = NULL;
	}
	if (j->err == ERR_OK || dns_err_ends_all(j->err)) {
		c->outcome.err = ERR_OK; /* this one is final, whatever was heard before */
		record(a, ERR_OK, msg);
		c->outcome.err = j->err;
		finish(c);
		return;
	}
	record(a, j->err, msg);
	if (j->verdict != DNS_COUNTS || !ask_without_edns(a, j->rcode))
		failed(a, j->err);
}

void dns_client_attempt_over(struct dns_attempt *a, int err)
{
	struct dns_client_impl *c = a->c;

	if (c->state == DC_RUNNING) {
		if (err == ERR_OK) {
			answered(a);
		} else {
			record(a, err, NULL);
			failed(a, err);
		}
	}
	release(c);
}

/* Turns */

/** Whether the attempt that runs is one after which another server, not yet asked, comes soon. It
 * stays open, so nothing is lost where it is only slow. */
static bool is_staggered(const struct dns_client_impl *c)
{
	return c->is_question && c->turns.round == 0 && c->turns.next < c->turns.n_servers;
}

/** Whether there is nobody in the list from whom an answer can be hoped for. */
static bool is_hopeless(const struct dns_client_impl *c)
{
	bool silent = c->is_question;

	for (size_t i = 0; silent && i < c->turns.n_servers; i++)
		silent = silence_is_silent(c->net->silence, &c->servers[i].addr,
					   uv_now(c->net->loop));
	return silent;
}

static uint32_t patience_ms(const struct dns_client_impl *c)
{
	uint32_t ms = c->attempt_ms;

	if (is_staggered(c) && ms > DNS_CLIENT_STAGGER_MS)
		ms = DNS_CLIENT_STAGGER_MS;
	if (ms > DNS_CLIENT_SILENT_MS && is_hopeless(c))
		ms = DNS_CLIENT_SILENT_MS;
	return ms;
}

static void begin(struct dns_client_impl *c, size_t server)
{
	struct dns_attempt *a = calloc(1, sizeof(*a));
	int err;

	if (a == NULL) {
		finish_with(c, ERR_NOMEM);
		return;
	}
	a->c = c;
	a->server = server;
	a->began_ms = uv_now(c->net->loop);
	a->tcp = c->use_tcp[server];
	a->edns = c->edns.len > 0 && !c->no_edns[server];
	err = dns_attempt_start(a);
	if (err != ERR_OK) {
		free(a);
		finish_with(c, err);
		return;
	}
	c->attempts[c->n_attempts++] = a;
	c->open++;
	c->current = a;
	c->step_at = uv_now(c->net->loop) + patience_ms(c);
	arm(c);
}

static void next_attempt(struct dns_client_impl *c)
{
	size_t server;

	if (c->turns.next == c->turns.n_servers && is_hopeless(c))
		finish(c); /* all have been asked once, and those before us as well */
	else if (c->n_attempts < DNS_CLIENT_ATTEMPTS_MAX && dns_turns_next(&c->turns, &server))
		begin(c, server);
	else
		finish(c);
}

static void on_timer(uv_timer_t *t)
{
	struct dns_client *client = t->data;
	struct dns_client_impl *c = client->impl;
	struct dns_attempt *a = c->current;

	if (!a->heard) {
		record(a, ERR_TIMEOUT, NULL);
		/* Some paths drop what they do not know: ask more plainly the next time. */
		if (!is_staggered(c)) {
			c->no_edns[a->server] = true;
			silence_missed(c->net->silence, &c->servers[a->server].addr, a->began_ms,
				       uv_now(c->net->loop));
		}
	}
	if (uv_now(c->net->loop) >= c->deadline)
		finish(c);
	else
		next_attempt(c);
}

/* Start */

static int build(struct dns_client_impl *c, const struct dns_client_params *p)
{
	int err;

	if (p->update != NULL)
		return dnsmsg_build_update(p->update, 0, &c->plain);
	err = dnsmsg_build_query(p->question, 0, false, &c->plain);
	if (err != ERR_OK)
		return err;
	return dnsmsg_build_query(p->question, 0, true, &c->edns);
}

static int set_up(struct dns_client_impl *c, const struct dns_client_params *p)
{
	uint32_t total = p->total_ms != 0 ? p->total_ms : DNS_CLIENT_TOTAL_MS;

	if (p->n_servers == 0)
		return ERR_NO_SERVER;
	if (p->n_servers > DNS_CLIENT_SERVERS_MAX)
		return ERR_LIMIT;
	if ((p->question != NULL) == (p->update != NULL))
		return ERR_USAGE;
	for (size_t i = 0; i < p->n_servers; i++) {
		c->servers[i] = p->servers[i];
		if (c->servers[i].key != NULL)
			tsig_key_ref(c->servers[i].key);
		c->use_tcp[i] = p->tcp_only;
	}
	c->turns.n_servers = p->n_servers;
	c->turns.tries = p->tries != 0 ? p->tries : DNS_CLIENT_TRIES;
	c->attempt_ms = p->attempt_ms != 0 ? p->attempt_ms : DNS_CLIENT_ATTEMPT_MS;
	c->require_aa = p->require_aa;
	c->is_question = p->question != NULL;
	uv_update_time(c->net->loop);
	c->deadline = uv_now(c->net->loop) + total;
	return build(c, p);
}

void dns_client_start(struct dns_client *client, struct net *net, const struct dns_client_params *p,
		      dns_client_done_fn *done)
{
	struct dns_client_impl *c = calloc(1, sizeof(*c));
	int err;

	client->done = done;
	client->impl = c;
	uv_timer_init(net->loop, &client->timer);
	client->timer.data = client;
	if (c == NULL) {
		uv_close((uv_handle_t *)&client->timer, on_timer_closed);
		return;
	}
	c->c = client;
	c->net = net;
	c->open = 1;
	buf_init(&c->plain, DNSMSG_MAX);
	buf_init(&c->edns, DNSMSG_MAX);
	err = set_up(c, p);
	if (err != ERR_OK)
		finish_with(c, err);
	else
		next_attempt(c);
}

void dns_client_cancel(struct dns_client *client)
{
	if (client->impl != NULL)
		finish_with(client->impl, ERR_CANCELED);
}
