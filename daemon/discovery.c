#include "daemon/discovery_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "resolver/client.h"

const struct log_ctx discovery_log = { .module = "discovery" };

static uint64_t now_ms(const struct discovery *d)
{
	return clock_mono_ms(d->p.net->clock);
}

/* ---- hosts, each with one state ---- */

static struct tracked *find_track(const struct discovery *d, const struct dns_name *target,
				  uint16_t port)
{
	for (size_t i = 0; i < d->n_tracked; i++)
		if (d->tracked[i].port == port && dns_name_equal(&d->tracked[i].target, target))
			return &d->tracked[i];
	return NULL;
}

enum pub_health_state discovery_state_of(const struct discovery *d, const struct dns_name *target,
					 uint16_t port)
{
	const struct tracked *t = find_track(d, target, port);

	return t != NULL ? t->track.state : PUB_HEALTH_UNKNOWN;
}

static struct tracked *track_of(struct discovery *d, const struct dns_name *target, uint16_t port)
{
	struct tracked *t = find_track(d, target, port);

	if (t != NULL)
		return t;
	if (d->n_tracked == DISCOVERY_TARGETS_MAX)
		return NULL;
	d->tracked[d->n_tracked] = (struct tracked){ .target = *target, .port = port };
	return &d->tracked[d->n_tracked++];
}

enum pub_health_state discovery_observe(struct discovery *d, const struct dns_name *target,
					uint16_t port, bool up, bool *ret_doubted)
{
	struct tracked *t = track_of(d, target, port);

	*ret_doubted = false;
	if (t == NULL)
		return up ? PUB_HEALTH_UP : PUB_HEALTH_DOWN;
	t->used_ms = now_ms(d);
	if (t->round != d->round) { /* several rows name it: one probe, one word */
		t->round = d->round;
		(void)health_observe(&t->track, up, &d->setup.rule, t->used_ms);
	}
	*ret_doubted = t->track.against > 0;
	return t->track.state;
}

/* Hosts that no set names any more. */
static void forget_tracked(struct discovery *d)
{
	uint64_t keep = 3 * (uint64_t)d->setup.interval_ms;
	size_t n = 0;

	if (keep < HEALTH_FORGET_MS)
		keep = HEALTH_FORGET_MS;
	for (size_t i = 0; i < d->n_tracked; i++)
		if (now_ms(d) - d->tracked[i].used_ms <= keep)
			d->tracked[n++] = d->tracked[i];
	d->n_tracked = n;
}

/* ---- rows ---- */

static void row_free(struct row *r)
{
	if (r == NULL)
		return;
	discovery_view_done(&r->track.view);
	discovery_view_done(&r->pending);
	free(r->host);
	free(r);
}

static struct row *take_row(struct discovery *d, enum rsv_profile profile,
			    const struct dns_name *domain)
{
	for (size_t i = 0; i < d->n_rows; i++) {
		struct row *r = d->rows[i];

		if (r == NULL || r->profile != profile || !dns_name_equal(&r->domain, domain))
			continue;
		d->rows[i] = NULL;
		return r;
	}
	return NULL;
}

static struct row *make_row(struct discovery *d, enum rsv_profile profile,
			    const struct dns_name *domain)
{
	struct row *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->d = d;
	r->profile = profile;
	r->domain = *domain;
	rsv_cache_init(&r->cache);
	if (dns_name_is_set(domain))
		discovery_cache_load(r);
	return r;
}

static void set_caching(struct row *r, bool on)
{
	rsv_cache_set_enabled(&r->cache, on);
	if (!on)
		r->client = (struct client_view){ 0 };
	discovery_cache_save(r);
}

/* The one that was there, else a new one; it is due now. */
static void add_row(struct discovery *d, enum rsv_profile profile, const struct dns_name *domain,
		    struct row **rows, size_t *n)
{
	struct row *r = take_row(d, profile, domain);

	if (r == NULL)
		r = make_row(d, profile, domain);
	if (r == NULL)
		log_error(&discovery_log, "discovery.config", "text=%s",
			  "out of memory: a domain is not looked at before the next reload");
	if (r == NULL || *n == DISCOVERY_ROWS_MAX) {
		row_free(r);
		return;
	}
	if (dns_name_is_set(domain))
		set_caching(r, d->setup.cache);
	r->due_ms = now_ms(d);
	r->keep_until_ms = 0;
	rows[(*n)++] = r;
}

/* Nothing is under way. */
static void apply_setup(struct discovery *d)
{
	const struct discovery_setup *s = &d->next;
	struct row **rows = calloc(DISCOVERY_ROWS_MAX, sizeof(struct row *));
	const struct dns_name manual = { 0 };
	size_t n = 0;

	d->has_next = false;
	if (rows == NULL) {
		log_error(&discovery_log, "discovery.config", "text=%s",
			  "out of memory: the old settings stay");
		return;
	}
	d->setup = *s;
	for (size_t p = 0; p < s->n_profiles && s->interval_ms > 0; p++) {
		if (s->manual_host[0] != '\0')
			add_row(d, s->profiles[p], &manual, rows, &n);
		for (size_t i = 0; i < s->n_suffixes; i++)
			add_row(d, s->profiles[p], &s->suffixes[i], rows, &n);
	}
	for (size_t i = 0; i < d->n_rows; i++)
		row_free(d->rows[i]);
	free(d->rows);
	d->rows = rows;
	d->n_rows = n;
}

/* ---- rounds ---- */

static void start_looks(struct discovery *d);
static void on_deadline(uv_timer_t *t);

static void on_timer(uv_timer_t *t)
{
	struct discovery *d = t->data;
	uint64_t now = now_ms(d);

	for (size_t i = 0; i < d->n_rows; i++)
		if (d->rows[i]->due_ms <= now)
			d->rows[i]->state = LOOK_QUEUED;
	d->in_round = true;
	d->round++;
	d->round_ms = now;
	d->jitter = rng_u32(d->p.net->rng); /* one for all, so that rows stay in one round */
	probe_memo_forget(d->memo);
	(void)uv_timer_start(&d->deadline, on_deadline, DISCOVERY_ROUND_MS, 0);
	start_looks(d);
}

static void schedule(struct discovery *d)
{
	uint64_t first = UINT64_MAX, now = now_ms(d);

	for (size_t i = 0; i < d->n_rows; i++)
		if (d->rows[i]->due_ms < first)
			first = d->rows[i]->due_ms;
	if (d->stopping || d->in_round)
		return;
	if (first == UINT64_MAX)
		(void)uv_timer_stop(&d->timer);
	else
		(void)uv_timer_start(&d->timer, on_timer, first > now ? first - now : 0, 0);
}

static void close_all(struct discovery *d);

static void round_ended(struct discovery *d)
{
	d->in_round = false;
	(void)uv_timer_stop(&d->deadline);
	forget_tracked(d);
	if (d->has_next)
		apply_setup(d);
	if (d->stopping)
		close_all(d);
	else
		schedule(d);
}

static void cancel_round(struct discovery *d)
{
	for (size_t i = 0; i < d->n_rows; i++) {
		if (d->rows[i]->state == LOOK_QUEUED)
			d->rows[i]->state = LOOK_NONE;
		else if (d->rows[i]->state != LOOK_NONE)
			discovery_look_cancel(d->rows[i]);
	}
}

static void on_deadline(uv_timer_t *t)
{
	struct discovery *d = t->data;

	log_warning(&discovery_log, "discovery.unfinished", "after=%ums text=%s",
		    (unsigned)DISCOVERY_ROUND_MS,
		    "DNS or hosts are too slow; what was known stays until the next round");
	for (size_t i = 0; i < d->n_rows; i++)
		if (d->rows[i]->state == LOOK_QUEUED)
			d->rows[i]->due_ms = now_ms(d) + d->setup.interval_ms;
	cancel_round(d);
}

static void start_looks(struct discovery *d)
{
	d->starting = true;
	for (size_t i = 0; i < d->n_rows && d->active < DISCOVERY_PARALLEL; i++) {
		if (d->rows[i]->state != LOOK_QUEUED)
			continue;
		d->active++;
		discovery_look_start(d->rows[i]);
	}
	d->starting = false;
	if (d->active == 0)
		round_ended(d);
}

void discovery_look_ended(struct row *r)
{
	struct discovery *d = r->d;

	d->active--;
	if (r->again) {
		r->again = false;
		r->due_ms = now_ms(d) + DISCOVERY_MIN_MS;
	}
	if (!d->starting) /* else it had nothing to wait for, and start_looks() goes on */
		start_looks(d);
}

/* ---- from outside ---- */

static void take_client(const struct rsv_client *c, struct discovery_setup *ret)
{
	const struct rsv_discover_params *p = &c->params;

	ret->cache_write = p->cache_write;
	ret->lone_port = p->lone_port;
	if (p->manual_host != NULL) {
		(void)snprintf(ret->manual_host, sizeof(ret->manual_host), "%s", p->manual_host);
		ret->manual_port = p->manual_port;
	} else if (p->lookup_domain != NULL) {
		ret->suffixes[ret->n_suffixes++] = *p->lookup_domain;
	} else {
		for (size_t i = 0; i < p->n_suffixes; i++)
			ret->suffixes[ret->n_suffixes++] = p->suffixes[i];
	}
}

void discovery_setup_from_config(const struct config *c, struct discovery_setup *ret)
{
	const struct config_discovery *s = &c->discovery;
	struct rsv_client client;

	*ret = (struct discovery_setup){ .interval_ms = s->interval_ms,
					 .rule = c->health,
					 .cache = s->cache };
	for (size_t i = 0; i < s->n_profiles && i < RSV_PROFILE_COUNT_; i++)
		ret->profiles[ret->n_profiles++] =
			s->profiles[i] == CONFIG_PROFILE_VISTA ? RSV_VISTA : RSV_MODERN;
	/* what it refuses, reading the configuration has refused before */
	if (rsv_client_init(&client, s, NULL, NULL, NULL) == 0 && !client.params.no_kms)
		take_client(&client, ret);
}

void discovery_configure(struct discovery *d, const struct discovery_setup *s)
{
	if (d->stopping)
		return;
	d->next = *s;
	d->has_next = true;
	if (d->in_round) {
		cancel_round(d);
		return;
	}
	apply_setup(d);
	schedule(d);
}

void discovery_poke(struct discovery *d, const struct dns_name *domain, bool dns)
{
	uint64_t now = now_ms(d);

	for (size_t i = 0; i < d->n_rows; i++) {
		struct row *r = d->rows[i];
		uint64_t soonest = r->last_ms != 0 ? r->last_ms + DISCOVERY_MIN_MS : now;

		if (domain != NULL && !dns_name_equal(&r->domain, domain))
			continue;
		r->quick = 0;
		if (dns)
			r->keep_until_ms = 0;
		r->due_ms = soonest > now ? soonest : now;
		r->again = r->state != LOOK_NONE && r->state != LOOK_QUEUED;
	}
	schedule(d);
}

int discovery_new(const struct discovery_params *p, struct discovery **ret)
{
	struct discovery *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return ERR_NOMEM;
	d->p = *p;
	d->tracked = calloc(DISCOVERY_TARGETS_MAX, sizeof(*d->tracked));
	d->state_dir = p->state_dir != NULL ? strdup(p->state_dir) : NULL;
	d->p.state_dir = d->state_dir;
	if (d->tracked != NULL && (d->state_dir != NULL || p->state_dir == NULL))
		d->memo = probe_memo_new(p->net, p->prober);
	if (d->memo == NULL) {
		free(d->state_dir);
		free(d->tracked);
		free(d);
		return ERR_NOMEM;
	}
	(void)uv_timer_init(p->net->loop, &d->timer);
	(void)uv_timer_init(p->net->loop, &d->deadline);
	d->timer.data = d->deadline.data = d;
	*ret = d;
	return 0;
}

static void one_closed(struct discovery *d)
{
	if (--d->open > 0)
		return;
	for (size_t i = 0; i < d->n_rows; i++)
		row_free(d->rows[i]);
	free(d->rows);
	free(d->tracked);
	free(d->state_dir);
	d->done(d->done_ctx);
	free(d);
}

static void on_closed(uv_handle_t *h)
{
	one_closed(h->data);
}

static void on_memo_freed(void *ctx)
{
	one_closed(ctx);
}

static void close_all(struct discovery *d)
{
	d->open = 3;
	uv_close((uv_handle_t *)&d->timer, on_closed);
	uv_close((uv_handle_t *)&d->deadline, on_closed);
	probe_memo_free(d->memo, on_memo_freed, d);
}

void discovery_free(struct discovery *d, void (*done)(void *ctx), void *ctx)
{
	d->stopping = true;
	d->has_next = false;
	d->done = done;
	d->done_ctx = ctx;
	if (d->in_round)
		cancel_round(d);
	else
		close_all(d);
}
