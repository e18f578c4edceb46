#include "cli/client_fleet.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "common/hresult.h"
#include "common/mem.h"

struct code_count {
	uint32_t code;
	size_t n;
};

/* A host as clients have met it: by name and address. */
struct host_count {
	char host[HOST_TEXT_MAX];
	struct addr addr;
	size_t asked, activated, waiting, failed;
};

struct fleet {
	struct net *net;
	const struct fleet_params *p;
	size_t next; /* client to begin */
	size_t active;
	bool interrupted;
	uint64_t started_ms;
	uv_timer_t timer; /* of the rate */
	uv_signal_t sigint;
	struct progress progress;
	/* results */
	size_t activated, waiting, failed;
	double seconds;
	struct code_count code[FLEET_CODES_MAX];
	size_t n_codes;
	struct host_count host[FLEET_HOSTS_MAX];
	size_t n_hosts;
};

/* ---- counting ---- */

static void count_code(struct fleet *f, uint32_t code)
{
	size_t i;

	for (i = 0; i < f->n_codes && f->code[i].code != code; i++)
		continue;
	if (i == FLEET_CODES_MAX)
		return;
	if (i == f->n_codes)
		f->code[f->n_codes++].code = code;
	f->code[i].n++;
}

static void count_host(struct fleet *f, const struct lab_attempt *t)
{
	struct host_count *h = NULL;

	for (size_t i = 0; i < f->n_hosts && h == NULL; i++)
		if (addr_equal(&f->host[i].addr, &t->at.addr) &&
		    strcmp(f->host[i].host, t->at.host) == 0)
			h = &f->host[i];
	if (h == NULL) {
		if (f->n_hosts == FLEET_HOSTS_MAX)
			return;
		h = &f->host[f->n_hosts++];
		h->addr = t->at.addr;
		memcpy(h->host, t->at.host, sizeof(h->host));
	}
	h->asked++;
	if (t->hresult == HR_OK)
		h->activated++;
	else if (t->hresult == HR_NOT_ENOUGH_COUNT)
		h->waiting++;
	else
		h->failed++;
}

/* ---- running ---- */

static void begin_more(struct fleet *f);

static void on_ato_done(struct client_ato *a)
{
	struct fleet *f = a->owner;

	count_code(f, a->code);
	if (a->code == HR_OK)
		f->activated++;
	else if (a->code == HR_NOT_ENOUGH_COUNT)
		f->waiting++;
	else
		f->failed++;
	for (size_t i = 0; i < a->n_attempts; i++)
		count_host(f, &a->attempt[i]);
	client_ato_events(a, f->p->events);
	json_decref(a->discovery);
	free(a);
	f->active--;
	begin_more(f);
}

static void begin_one(struct fleet *f)
{
	struct client_ato *a = mem_must(calloc(1, sizeof(*a)));
	struct client_ato_params p = { .client = &f->p->clients[f->next++],
				       .key = f->p->key,
				       .discover = f->p->discover,
				       .done = on_ato_done };

	a->owner = f;
	f->active++;
	(void)lab_client_advance(p.client, clock_wall_ms(f->net->clock));
	client_ato_start(a, f->net, &p);
}

static void on_timer(uv_timer_t *t)
{
	begin_more(t->data);
}

static void close_all(struct fleet *f)
{
	if (uv_is_closing((uv_handle_t *)&f->timer))
		return;
	f->seconds = (double)(clock_mono_ms(f->net->clock) - f->started_ms) / 1e3;
	uv_close((uv_handle_t *)&f->timer, NULL);
	uv_close((uv_handle_t *)&f->sigint, NULL);
	progress_stop(&f->progress);
}

static void begin_more(struct fleet *f)
{
	uint64_t passed_ms = clock_mono_ms(f->net->clock) - f->started_ms;
	/* The first at once, then one each 1/rate second. */
	uint64_t due = f->p->rate > 0 ? 1 + passed_ms * f->p->rate / 1000 : SIZE_MAX;

	if (f->interrupted)
		due = f->next;
	while (f->next < f->p->n_clients && f->next < due && f->active < f->p->concurrency)
		begin_one(f);
	if (f->active == 0 && (f->interrupted || f->next == f->p->n_clients))
		close_all(f);
	else if (!f->interrupted && f->next == due && f->next < f->p->n_clients)
		(void)uv_timer_start(&f->timer, on_timer,
				     f->next * 1000 / f->p->rate + 1 - passed_ms, 0);
}

static void on_interrupt(uv_signal_t *s, int signum)
{
	struct fleet *f = s->data;

	(void)signum;
	f->interrupted = true;
	begin_more(f);
}

static void say_progress(void *ctx, char text[PROGRESS_TEXT_MAX])
{
	const struct fleet *f = ctx;

	(void)snprintf(text, PROGRESS_TEXT_MAX,
		       "%zu of %zu clients: %zu activated, %zu waiting for the count, %zu failed%s",
		       f->activated + f->waiting + f->failed, f->p->n_clients, f->activated,
		       f->waiting, f->failed, f->interrupted ? " (stopping)" : "");
}

/* ---- the summary ---- */

static json_t *summary_json(const struct fleet *f)
{
	json_t *codes = json_array(), *hosts = json_array();
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < f->n_codes; i++) {
		char code[HRESULT_TEXT_MAX];

		(void)json_array_append_new(codes, json_pack("{s:s, s:s, s:I}", "code",
							     hresult_format(f->code[i].code, code),
							     "text", hresult_text(f->code[i].code),
							     "clients", (json_int_t)f->code[i].n));
	}
	for (size_t i = 0; i < f->n_hosts; i++) {
		const struct host_count *h = &f->host[i];

		addr_format(&h->addr, text);
		(void)json_array_append_new(
			hosts, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "host", h->host,
					 "address", text, "requests", (json_int_t)h->asked,
					 "activated", (json_int_t)h->activated, "waiting",
					 (json_int_t)h->waiting, "failed", (json_int_t)h->failed));
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:f, s:b, s:o, s:o}", "count",
			 (json_int_t)f->p->n_clients, "activated", (json_int_t)f->activated,
			 "waiting", (json_int_t)f->waiting, "failed", (json_int_t)f->failed,
			 "seconds", f->seconds, "interrupted", f->interrupted, "codes", codes,
			 "hosts", hosts);
}

static void print_codes(const struct fleet *f)
{
	static const char *const headings[] = { "CLIENTS", "CODE", "MEANING" };
	struct table *t = table_new(3, headings);

	for (size_t i = 0; i < f->n_codes; i++) {
		uint32_t code = f->code[i].code;
		char text[HRESULT_TEXT_MAX];

		table_cell(t, TONE_PLAIN, "%zu", f->code[i].n);
		table_cell(t,
			   code == HR_OK                 ? TONE_GOOD
			   : code == HR_NOT_ENOUGH_COUNT ? TONE_WARN
							 : TONE_BAD,
			   "%s", hresult_format(code, text));
		table_cell(t, TONE_PLAIN, "%s", code == HR_OK ? "activated" : hresult_text(code));
	}
	table_print(t, stdout, 0);
}

static void print_hosts(const struct fleet *f)
{
	static const char *const headings[] = { "HOST",      "ADDRESS", "REQUESTS",
						"ACTIVATED", "WAITING", "FAILED" };
	struct table *t = table_new(6, headings);

	for (size_t i = 0; i < f->n_hosts; i++) {
		const struct host_count *h = &f->host[i];
		char at[ADDR_TEXT_MAX];

		addr_format(&h->addr, at);
		table_cell(t, TONE_PLAIN, "%s", h->host);
		table_cell(t, TONE_PLAIN, "%s", at);
		table_cell(t, TONE_PLAIN, "%zu", h->asked);
		table_cell(t, TONE_PLAIN, "%zu", h->activated);
		table_cell(t, TONE_PLAIN, "%zu", h->waiting);
		table_cell(t, h->failed > 0 ? TONE_BAD : TONE_PLAIN, "%zu", h->failed);
	}
	if (f->n_hosts > 0)
		(void)printf("\n");
	table_print(t, stdout, 0);
}

static void print_summary(const struct fleet *f)
{
	size_t done = f->activated + f->waiting + f->failed;

	(void)printf(
		"%zu clients in %.1f s (%.0f a second): %s%zu activated%s, %zu waiting for the "
		"count, %s%zu failed%s\n",
		done, f->seconds, f->seconds > 0 ? (double)done / f->seconds : 0.0,
		tone_on(stdout, TONE_GOOD), f->activated, tone_off(stdout), f->waiting,
		f->failed > 0 ? tone_on(stdout, TONE_BAD) : "", f->failed,
		f->failed > 0 ? tone_off(stdout) : "");
	if (f->interrupted)
		(void)printf("interrupted: %zu clients were not begun\n", f->p->n_clients - done);
	(void)printf("\n");
	print_codes(f);
	print_hosts(f);
}

bool fleet_run(struct net *net, const struct fleet_params *p)
{
	struct fleet f = { .net = net, .p = p, .started_ms = clock_mono_ms(net->clock) };

	(void)uv_timer_init(net->loop, &f.timer);
	(void)uv_signal_init(net->loop, &f.sigint);
	f.timer.data = f.sigint.data = &f;
	(void)uv_signal_start(&f.sigint, on_interrupt, SIGINT);
	uv_unref((uv_handle_t *)&f.sigint);
	progress_start(&f.progress, net->loop, say_progress, &f);
	begin_more(&f);
	(void)uv_run(net->loop, UV_RUN_DEFAULT);
	if (p->json)
		print_json(summary_json(&f));
	else
		print_summary(&f);
	return f.activated == p->n_clients;
}
