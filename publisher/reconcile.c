#include "publisher/reconcile.h"

#include <stdlib.h>
#include <string.h>

#include "publisher/item.h"

uint32_t pub_run_left_ms(const struct pub_run *run, uint32_t max_ms)
{
	uint64_t now = uv_now(run->net->loop);
	uint64_t left = run->deadline_ms > now ? run->deadline_ms - now : 1;

	return left < max_ms ? (uint32_t)left : max_ms;
}

struct pub_turns *pub_run_updates_at(struct pub_run *run, const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];
	struct pub_key k = { 0 };
	struct pub_turns *turns;

	addr_format(addr, text);
	pub_key_text(&k, text);
	turns = pub_index_get(&run->updating, &k);
	if (turns != NULL)
		return turns;
	turns = malloc(sizeof(*turns));
	if (turns == NULL)
		return NULL;
	pub_turns_init(turns, PUB_UPDATES_PER_SERVER);
	if (pub_index_put(&run->updating, &k, turns) != ERR_OK) {
		free(turns);
		return NULL;
	}
	return turns;
}

/* ---- the end ---- */

static void run_free(struct pub_run *run)
{
	for (size_t i = 0; run->items != NULL && i < run->n_items; i++)
		pub_item_done(&run->items[i]);
	free(run->items);
	free(run->results);
	pub_index_each(&run->updating, free);
	pub_index_done(&run->updating);
	pub_ad_cache_free(run->own_ad);
	pub_targets_unref(run->targets);
	free(run->host);
	free(run);
}

static void deliver(struct pub_run *run)
{
	struct pub_reconcile *r = run->r;
	bool ok = run->err == ERR_OK;

	if (run->open > 0)
		return;
	r->impl = NULL;
	run->done(r, run->err, ok ? run->results : NULL, ok ? run->n_items : 0);
	run_free(run);
}

static void on_hosts_closed(void *ctx)
{
	struct pub_run *run = ctx;

	run->open--;
	deliver(run);
}

static void on_timer_closed(uv_handle_t *h)
{
	struct pub_reconcile *r = h->data;

	r->impl->open--;
	deliver(r->impl);
}

/* Start had no memory: both timers close, the last one tells. */
static void on_no_memory(uv_handle_t *h)
{
	struct pub_reconcile *r = h->data;

	if (++r->closed == 2)
		r->done(r, ERR_NOMEM, NULL, 0);
}

static void close_run(struct pub_run *run)
{
	run->state = RUN_CLOSING;
	uv_close((uv_handle_t *)&run->r->timer, on_timer_closed);
	uv_close((uv_handle_t *)&run->r->wave, on_timer_closed);
	if (run->hosts != NULL)
		pub_hosts_close(run->hosts, on_hosts_closed, run);
}

/* ---- the journal ---- */

static void on_settled(struct pub_sync *s, int err)
{
	struct pub_run *run = s->owner;

	run->busy = false;
	if (err != ERR_OK)
		log_error(&run->log, "publisher.journal", "err=%s text=%s", err_name(err),
			  "the outcome could not be journaled; it is written with the next change");
	close_run(run);
}

static bool has_outcomes(const struct pub_run *run)
{
	return run->p.journal != NULL && !run->p.request.dry_run &&
	       pub_journal_is_dirty(run->p.journal);
}

static void settle(struct pub_run *run)
{
	run->state = RUN_SETTLING;
	run->sync.owner = run;
	if (!has_outcomes(run)) {
		close_run(run);
		return;
	}
	run->busy = true;
	if (pub_journal_sync(run->p.journal, &run->sync, on_settled) != ERR_OK)
		on_settled(&run->sync, ERR_NOMEM);
}

/* A failure is no matter here: what is not written goes with the next write, which tells. */
static void on_outcomes(struct pub_sync *s, int err)
{
	struct pub_run *run = s->owner;

	(void)err;
	run->busy = false;
	pub_run_check(run);
}

/* While the last updates are out, so that the end has little to wait for. */
static void write_outcomes(struct pub_run *run)
{
	run->n_unsettled = 0;
	if (!has_outcomes(run))
		return;
	run->busy = true;
	run->sync.owner = run;
	if (pub_journal_sync(run->p.journal, &run->sync, on_outcomes) != ERR_OK)
		run->busy = false;
}

/* Without a journal nothing may be deleted, because a crash would leave what we no longer know. */
static void drop_deletes(struct pub_item *it)
{
	for (size_t i = 0; i < it->plan.n_marks; i++) {
		struct pub_mark *m = &it->plan.marks[i];

		if (m->when == PUB_MARK_REVERT && !pub_plan_adds(&it->plan, &m->srv))
			m->when = PUB_MARK_NOW; /* the intent is taken back */
	}
	pub_item_mark(it, PUB_MARK_NOW);
	pub_plan_drop_deletes(&it->plan);
}

static void go_on(struct pub_run *run, bool journaled)
{
	run->busy = true;
	for (size_t i = 0; i < run->n_items; i++) {
		struct pub_item *it = &run->items[i];

		if (it->state != IT_PLANNED || !it->in_wave)
			continue; /* planned since: it goes with the next one */
		it->in_wave = false;
		if (!journaled)
			drop_deletes(it);
		pub_item_go(it);
	}
	run->busy = false;
	pub_run_check(run);
}

static void on_intents(struct pub_sync *s, int err)
{
	struct pub_run *run = s->owner;

	run->busy = false;
	if (err != ERR_OK) {
		run->journal_failed = true;
		log_error(&run->log, "publisher.journal", "err=%s text=%s", err_name(err),
			  "the journal cannot be written: configured records are still added, "
			  "deletes wait");
	}
	go_on(run, err == ERR_OK);
}

/* One transaction for all that is planned by now. */
static void start_wave(struct pub_run *run)
{
	bool updates = false;

	(void)uv_timer_stop(&run->r->wave);
	for (size_t i = 0; i < run->n_items; i++) {
		struct pub_item *it = &run->items[i];

		if (it->state != IT_PLANNED)
			continue;
		it->in_wave = true;
		pub_item_mark(it, PUB_MARK_NOW);
		pub_item_mark(it, PUB_MARK_INTENT);
		updates = updates || it->plan.n_changes > 0;
	}
	if (run->p.request.dry_run || !updates) {
		go_on(run, true);
		return;
	}
	if (run->p.journal == NULL) {
		run->journal_failed = true;
		go_on(run, false);
		return;
	}
	run->busy = true;
	run->n_unsettled = 0;
	run->sync.owner = run;
	if (pub_journal_sync(run->p.journal, &run->sync, on_intents) != ERR_OK)
		on_intents(&run->sync, ERR_NOMEM);
}

static void on_wave(uv_timer_t *t)
{
	struct pub_reconcile *r = t->data;
	struct pub_run *run = r->impl;

	if (run->state == RUN_WORKING && !run->busy && run->n_planned > 0)
		start_wave(run);
}

/* Servers have little left to do, and enough is planned to be worth a transaction. */
static bool updates_run_dry(const struct pub_run *run)
{
	return run->n_updating < PUB_UPDATES_PER_SERVER && run->n_planned >= PUB_WAVE_LEAST;
}

void pub_run_check(struct pub_run *run)
{
	if (run->state != RUN_WORKING || run->busy)
		return;
	if (run->n_done == run->n_items)
		settle(run);
	else if (run->n_planned == 0 && run->n_reading == 0 && run->n_unsettled >= PUB_WAVE_SIZE)
		write_outcomes(run);
	else if (run->n_planned == 0)
		return;
	else if (run->n_reading == 0 || run->n_planned >= PUB_WAVE_SIZE || updates_run_dry(run))
		start_wave(run);
	else if (!uv_is_active((uv_handle_t *)&run->r->wave)) /* a dead server holds nobody up */
		(void)uv_timer_start(&run->r->wave, on_wave, PUB_WAVE_WAIT_MS, 0);
}

/* ---- the beginning ---- */

static void on_deadline(uv_timer_t *t)
{
	struct pub_reconcile *r = t->data;
	struct pub_run *run = r->impl;

	/* A proof ends by itself at the same time, with what it has seen. */
	for (size_t i = 0; i < run->n_items; i++)
		if (run->items[i].state != IT_PROOF)
			pub_item_stop(&run->items[i], ERR_TIMEOUT);
}

static bool wants_host(const struct pub_target *t, const char *host)
{
	for (size_t i = 0; i < t->n_wanted; i++)
		if (strcmp(t->wanted[i].host, host) == 0)
			return true;
	return false;
}

static bool is_chosen(const struct pub_run *run, const struct pub_target *t)
{
	const struct pub_request *rq = &run->p.request;

	if (rq->domain != NULL && !dns_name_equal(rq->domain, &t->domain))
		return false;
	if (run->host != NULL && !wants_host(t, run->host))
		return false;
	return run->p.pick == NULL || run->p.pick(run->p.ctx, t);
}

/* What is held back, or no longer: written with the first transaction. */
static int apply_holds(struct pub_run *run, const struct pub_target *t)
{
	struct pub_journal *j = run->p.journal;

	if (j == NULL || run->p.request.dry_run || run->p.request.orphans)
		return ERR_OK;
	if (run->p.request.mode == PUB_PUBLISH)
		(void)pub_journal_release(j, &t->domain, t->view, NULL);
	if (run->p.request.mode == PUB_WITHDRAW)
		return pub_journal_hold(j, &t->domain, t->view, run->host != NULL ? run->host : "",
					clock_wall_ms(run->net->clock));
	return ERR_OK;
}

static int add_items(struct pub_run *run)
{
	size_t n = pub_targets_count(run->targets);

	run->items = calloc(n > 0 ? n : 1, sizeof(*run->items));
	run->results = calloc(n > 0 ? n : 1, sizeof(*run->results));
	if (run->items == NULL || run->results == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct pub_target *t = pub_targets_at(run->targets, i);
		struct pub_item *it = &run->items[run->n_items];

		if (!is_chosen(run, t))
			continue;
		if (apply_holds(run, t) != ERR_OK)
			return ERR_NOMEM;
		it->run = run;
		it->result = &run->results[run->n_items];
		it->target = t;
		it->net = *run->net;
		if (addr_is_set(&t->source4))
			it->net.source4 = t->source4;
		if (addr_is_set(&t->source6))
			it->net.source6 = t->source6;
		it->reading = true;
		run->n_reading++;
		run->n_items++;
	}
	return ERR_OK;
}

static int prepare(struct pub_run *run)
{
	const struct pub_request *rq = &run->p.request;

	if (rq->host != NULL) {
		run->host = strdup(rq->host);
		if (run->host == NULL)
			return ERR_NOMEM;
	}
	if (rq->mode == PUB_DRAIN && !rq->dry_run && run->p.journal != NULL && run->host != NULL &&
	    !pub_journal_drained(run->p.journal, run->host, NULL) &&
	    pub_journal_drain(run->p.journal, run->host, clock_wall_ms(run->net->clock), 0) !=
		    ERR_OK)
		return ERR_NOMEM;
	run->hosts = pub_hosts_new();
	if (run->hosts == NULL)
		return ERR_NOMEM;
	run->open++;
	if (run->p.zones == NULL)
		run->own_ad = pub_ad_cache_new();
	run->ad = run->p.zones != NULL ? pub_zone_cache_ad(run->p.zones) : run->own_ad;
	if (run->ad == NULL)
		return ERR_NOMEM;
	if (rq->orphans)
		return pub_targets_from_orphans(run->p.targets, run->p.journal, &run->targets);
	run->targets = pub_targets_ref(run->p.targets);
	return ERR_OK;
}

void pub_reconcile_start(struct pub_reconcile *r, struct net *net,
			 const struct pub_reconcile_params *p, pub_reconcile_done_fn *done)
{
	static uint64_t runs;
	struct pub_run *run = calloc(1, sizeof(*run));
	uint32_t timeout_ms = p->request.timeout_ms != 0 ? p->request.timeout_ms : PUB_TIMEOUT_MS;

	r->done = done;
	r->impl = run;
	r->closed = 0;
	(void)uv_timer_init(net->loop, &r->timer);
	(void)uv_timer_init(net->loop, &r->wave);
	r->timer.data = r;
	r->wave.data = r;
	if (run == NULL) {
		uv_close((uv_handle_t *)&r->wave, on_no_memory);
		uv_close((uv_handle_t *)&r->timer, on_no_memory);
		return;
	}
	run->r = r;
	run->net = net;
	run->p = *p;
	run->done = done;
	run->open = 2;
	run->log = (struct log_ctx){ "publisher", ++runs };
	run->deadline_ms = uv_now(net->loop) + timeout_ms;
	pub_turns_init(&run->asking, PUB_ACTIVE_MAX);
	run->err = prepare(run);
	if (run->err == ERR_OK)
		run->err = add_items(run);
	run->p.request.domain = NULL; /* borrowed until here */
	run->p.request.host = NULL;
	if (run->err != ERR_OK) {
		close_run(run);
		return;
	}
	(void)uv_timer_start(&r->timer, on_deadline, timeout_ms, 0);
	run->busy = true; /* no wave before all have begun */
	for (size_t i = 0; i < run->n_items; i++)
		pub_item_start(&run->items[i]);
	run->busy = false;
	pub_run_check(run);
}

void pub_reconcile_cancel(struct pub_reconcile *r)
{
	struct pub_run *run = r->impl;

	if (run == NULL || run->state == RUN_CLOSING)
		return;
	run->err = ERR_CANCELED;
	for (size_t i = 0; i < run->n_items; i++)
		pub_item_stop(&run->items[i], ERR_CANCELED);
}
