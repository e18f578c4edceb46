#include "publisher/engine.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#define JITTER_DIVISOR 10 /* daemons that started together part by up to a tenth of the time */

enum running { RUN_NOTHING, RUN_CYCLE, RUN_REQUEST, RUN_STOP };
enum phase { PH_NEW, PH_ON, PH_STOPPING, PH_OFF };

/** What is known of one target. */
struct row {
	const struct pub_target *target;
	enum pub_state state;
	bool has_state;
	bool picked; /* by the cycle that runs */
	unsigned failures;
	uint64_t due_ms;      /* monotonic, as the next two */
	uint64_t early_ms;    /* a NOTIFY wants a check then; 0: none does */
	uint64_t notified_ms; /* of the last such check; 0: never */
	int64_t last_proven_ms;
	char *last_error;
	uint64_t told; /* sum of the findings that were logged last */
};

struct request {
	struct request *next;
	struct pub_request r;
	struct dns_name domain; /* what r points to */
	char *host;
	pub_engine_done_fn *done; /* NULL: forgotten */
	void *ctx;
};

struct pub_engine {
	struct pub_engine_params p;
	enum phase phase;
	struct pub_targets *targets;
	struct row *rows;
	size_t n_rows;
	size_t pick_hint; /* targets are asked about in the order of the rows */
	size_t told_hint;
	bool poked;    /* during a run: everything is due again after it */
	bool reloaded; /* likewise: what is known of zones no longer counts */
	struct pub_zone_cache *zones;
	uv_timer_t timer;
	struct pub_reconcile reconcile;
	enum running running;
	struct request *first, *last; /* first: the one that runs, where one does */
	size_t n_requests;
	uint32_t stop_ms;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
	struct log_ctx log;
};

static void next_step(struct pub_engine *e);

static uint64_t now_ms(const struct pub_engine *e)
{
	return clock_mono_ms(e->p.net->clock);
}

/* ---- rows ---- */

static void rows_free(struct row *rows, size_t n)
{
	for (size_t i = 0; rows != NULL && i < n; i++)
		free(rows[i].last_error);
	free(rows);
}

static struct row *find_row(const struct pub_engine *e, const struct dns_name *domain,
			    const char *view, size_t hint)
{
	for (size_t k = 0; k < e->n_rows; k++) {
		struct row *row = &e->rows[(hint + k) % e->n_rows];

		if (dns_name_equal(&row->target->domain, domain) &&
		    strcmp(row->target->view, view) == 0)
			return row;
	}
	return NULL;
}

static int make_rows(struct pub_engine *e, struct pub_targets *targets)
{
	size_t n = pub_targets_count(targets);
	struct row *rows = calloc(n > 0 ? n : 1, sizeof(*rows));

	if (rows == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		struct row *old;

		rows[i].target = pub_targets_at(targets, i);
		old = find_row(e, &rows[i].target->domain, rows[i].target->view, i);
		if (old != NULL) {
			rows[i].state = old->state;
			rows[i].has_state = old->has_state;
			rows[i].last_proven_ms = old->last_proven_ms;
			rows[i].last_error = old->last_error;
			rows[i].told = old->told;
			old->last_error = NULL;
		}
		rows[i].due_ms = now_ms(e);
	}
	rows_free(e->rows, e->n_rows);
	e->rows = rows;
	e->n_rows = n;
	pub_targets_unref(e->targets);
	e->targets = pub_targets_ref(targets);
	return ERR_OK;
}

static uint64_t with_jitter(const struct pub_engine *e, uint64_t ms)
{
	uint64_t part = ms / JITTER_DIVISOR;

	return ms - (part > 0 ? rng_below(e->p.net->rng, (uint32_t)part) : 0);
}

static uint64_t retry_ms(const struct pub_engine *e, unsigned failures)
{
	uint32_t max = e->p.refresh_ms < PUB_RETRY_MAX_MS ? e->p.refresh_ms : PUB_RETRY_MAX_MS;
	uint64_t ms = PUB_RETRY_MIN_MS;

	while (failures-- > 1 && ms < max)
		ms *= 2;
	return ms < max ? ms : max;
}

static void take_result(struct pub_engine *e, struct row *row, const struct pub_result *r,
			uint64_t refresh_at, uint64_t retry_jitter)
{
	bool ok = pub_result_ok(r);

	row->state = r->state;
	row->has_state = true;
	free(row->last_error);
	row->last_error = ok ? NULL : strdup(r->hint);
	if (ok) {
		row->failures = 0;
		row->last_proven_ms = clock_wall_ms(e->p.net->clock);
		row->due_ms = refresh_at;
	} else {
		row->failures++;
		row->due_ms = now_ms(e) + retry_ms(e, row->failures) + retry_jitter;
	}
}

static void take_results(struct pub_engine *e, const struct pub_result *results, size_t n)
{
	/* One draw for all, so that what was checked together is checked together again. */
	uint64_t refresh_at = now_ms(e) + with_jitter(e, e->p.refresh_ms);
	uint64_t jitter = rng_below(e->p.net->rng, PUB_RETRY_MIN_MS / JITTER_DIVISOR);
	size_t hint = 0;

	for (size_t i = 0; i < n; i++) {
		struct row *row = find_row(e, &results[i].domain, results[i].view, hint);

		if (row != NULL) {
			take_result(e, row, &results[i], refresh_at, jitter);
			hint = (size_t)(row - e->rows) + 1;
		}
		if (e->p.result != NULL)
			e->p.result(e->p.result_ctx, &results[i]);
	}
}

/* ---- requests ---- */

static void request_free(struct request *rq)
{
	free(rq->host);
	free(rq);
}

/** Take the first one off the list and tell who asked. */
static void end_request(struct pub_engine *e, int err, const struct pub_result *results, size_t n)
{
	struct request *rq = e->first;

	e->first = rq->next;
	if (e->first == NULL)
		e->last = NULL;
	e->n_requests--;
	rq->done(rq->ctx, err, results, n);
	request_free(rq);
}

int pub_engine_request(struct pub_engine *e, const struct pub_request *r, pub_engine_done_fn *done,
		       void *ctx)
{
	struct request *rq;

	if (e->phase != PH_ON)
		return ERR_CANCELED;
	if (e->n_requests >= PUB_REQUESTS_MAX)
		return ERR_LIMIT;
	rq = calloc(1, sizeof(*rq));
	if (rq == NULL)
		return ERR_NOMEM;
	rq->r = *r;
	if (r->domain != NULL) {
		rq->domain = *r->domain;
		rq->r.domain = &rq->domain;
	}
	if (r->host != NULL) {
		rq->host = strdup(r->host);
		rq->r.host = rq->host;
		if (rq->host == NULL) {
			free(rq);
			return ERR_NOMEM;
		}
	}
	rq->done = done;
	rq->ctx = ctx;
	if (e->last != NULL)
		e->last->next = rq;
	else
		e->first = rq;
	e->last = rq;
	e->n_requests++;
	if (e->running == RUN_CYCLE)
		pub_reconcile_cancel(&e->reconcile); /* its targets stay due */
	else
		next_step(e);
	return ERR_OK;
}

/* ---- running ---- */

static void on_reconcile(struct pub_reconcile *r, int err, const struct pub_result *results,
			 size_t n)
{
	struct pub_engine *e = r->owner;
	enum running was = e->running;
	bool dry_run = was == RUN_REQUEST && e->first->r.dry_run;

	e->running = RUN_NOTHING;
	/* What might be done says nothing of how things are. */
	if (err == ERR_OK && !dry_run)
		take_results(e, results, n);
	if (err != ERR_OK && err != ERR_CANCELED)
		log_error(&e->log, "publisher.run", "err=%s text=%s", err_name(err),
			  "a check could not be made; it is tried again");
	for (size_t i = 0; i < e->n_rows; i++) {
		if (e->rows[i].picked && err != ERR_OK && err != ERR_CANCELED)
			e->rows[i].due_ms = now_ms(e) + PUB_RETRY_MIN_MS;
		e->rows[i].picked = false;
		if (e->poked)
			e->rows[i].due_ms = now_ms(e);
		/* A NOTIFY that came while this ran may tell of something newer. */
		if (e->rows[i].early_ms != 0 && e->rows[i].early_ms < e->rows[i].due_ms)
			e->rows[i].due_ms = e->rows[i].early_ms;
	}
	e->poked = false;
	if (e->reloaded)
		pub_zone_cache_clear(e->zones);
	e->reloaded = false;
	if (was == RUN_REQUEST)
		end_request(e, err, results, n);
	next_step(e);
}

static bool is_news(void *ctx, const struct pub_target *t, uint64_t findings)
{
	struct pub_engine *e = ctx;
	struct row *row = find_row(e, &t->domain, t->view, e->told_hint);

	if (row == NULL)
		return true; /* an orphan, or gone with a reload */
	e->told_hint = (size_t)(row - e->rows) + 1;
	if (row->told == findings)
		return false;
	row->told = findings;
	return true;
}

static void start(struct pub_engine *e, enum running what, const struct pub_request *request,
		  bool (*pick)(void *ctx, const struct pub_target *t))
{
	struct pub_reconcile_params p = { .targets = e->targets,
					  .request = *request,
					  .journal = e->p.journal,
					  .zones = e->zones,
					  .health = e->p.health,
					  .pick = pick,
					  .is_news = is_news,
					  .ctx = e };

	e->running = what;
	memset(&e->reconcile, 0, sizeof(e->reconcile));
	e->reconcile.owner = e;
	pub_reconcile_start(&e->reconcile, e->p.net, &p, on_reconcile);
}

static bool pick_due(void *ctx, const struct pub_target *t)
{
	struct pub_engine *e = ctx;
	bool picked = false;

	for (size_t k = 0; k < e->n_rows; k++) {
		size_t i = (e->pick_hint + k) % e->n_rows;

		if (e->rows[i].target != t)
			continue;
		e->pick_hint = i + 1;
		picked = e->rows[i].picked;
		break;
	}
	return picked;
}

static bool start_cycle(struct pub_engine *e)
{
	const struct pub_request rq = { .mode = PUB_REFRESH };
	uint64_t now = now_ms(e);
	bool any = false;

	for (size_t i = 0; i < e->n_rows; i++) {
		e->rows[i].picked = e->rows[i].due_ms <= now;
		any = any || e->rows[i].picked;
		if (e->rows[i].picked && e->rows[i].early_ms != 0 && e->rows[i].early_ms <= now) {
			e->rows[i].early_ms = 0;
			e->rows[i].notified_ms = now;
		}
	}
	if (any)
		start(e, RUN_CYCLE, &rq, pick_due);
	return any;
}

static void on_timer(uv_timer_t *t)
{
	next_step(t->data);
}

static void wait_for_due(struct pub_engine *e)
{
	uint64_t now = now_ms(e), first = UINT64_MAX;

	for (size_t i = 0; i < e->n_rows; i++)
		first = e->rows[i].due_ms < first ? e->rows[i].due_ms : first;
	if (first == UINT64_MAX)
		return;
	/* At least a moment: time given by the clock and by the loop may differ by a millisecond.
	 */
	(void)uv_timer_start(&e->timer, on_timer, first > now ? first - now : 1, 0);
}

static void on_timer_closed(uv_handle_t *h)
{
	struct pub_engine *e = h->data;

	e->phase = PH_OFF;
	e->stopped(e->stopped_ctx);
}

static void stop_step(struct pub_engine *e)
{
	struct pub_request rq = { .mode = PUB_STOP, .timeout_ms = e->stop_ms };

	while (e->first != NULL)
		end_request(e, ERR_CANCELED, NULL, 0);
	if (e->stop_ms > 0 && e->p.withdraw_on_stop && e->n_rows > 0) {
		e->stop_ms = 0; /* once */
		start(e, RUN_STOP, &rq, NULL);
		return;
	}
	uv_close((uv_handle_t *)&e->timer, on_timer_closed);
}

/** Nothing runs: what is next? */
static void next_step(struct pub_engine *e)
{
	if (e->running != RUN_NOTHING)
		return;
	(void)uv_timer_stop(&e->timer);
	if (e->phase == PH_STOPPING)
		stop_step(e);
	else if (e->phase == PH_ON && e->first != NULL)
		start(e, RUN_REQUEST, &e->first->r, NULL);
	else if (e->phase == PH_ON && !start_cycle(e))
		wait_for_due(e);
}

/* ---- the outside ---- */

int pub_engine_new(const struct pub_engine_params *p, struct pub_engine **ret)
{
	struct pub_engine *e = calloc(1, sizeof(*e));

	*ret = NULL;
	if (e == NULL)
		return ERR_NOMEM;
	e->p = *p;
	e->log.module = "publisher";
	e->zones = pub_zone_cache_new();
	if (e->zones == NULL || make_rows(e, p->targets) != ERR_OK) {
		pub_engine_free(e);
		return ERR_NOMEM;
	}
	*ret = e;
	return ERR_OK;
}

/* At start and with each reload: nobody would look for them otherwise. */
static void tell_orphans(const struct pub_engine *e)
{
	size_t n = e->p.journal != NULL ? pub_journal_count(e->p.journal) : 0;
	char domain[DNSNAME_TEXT_MAX];

	for (size_t i = 0; i < n; i++) {
		const struct pub_set *set = pub_journal_at(e->p.journal, i);

		if (pub_targets_is_orphan(e->targets, set))
			log_warning(&e->log, "publisher.orphan", "domain=%s view=%s text=%s",
				    dns_name_format(&set->domain, domain), set->view,
				    "published from here, and no longer configured: kmsbeacon "
				    "withdraw --orphans removes it");
	}
}

void pub_engine_start(struct pub_engine *e)
{
	(void)uv_timer_init(e->p.net->loop, &e->timer);
	e->timer.data = e;
	e->phase = PH_ON;
	tell_orphans(e);
	next_step(e);
}

const struct pub_targets *pub_engine_targets(const struct pub_engine *e)
{
	return e->targets;
}

static void all_due(struct pub_engine *e)
{
	for (size_t i = 0; i < e->n_rows; i++)
		e->rows[i].due_ms = now_ms(e);
	e->poked = e->running != RUN_NOTHING;
	if (e->phase == PH_ON)
		next_step(e);
}

int pub_engine_set_targets(struct pub_engine *e, struct pub_targets *targets, uint32_t refresh_ms,
			   bool withdraw_on_stop)
{
	if (make_rows(e, targets) != ERR_OK)
		return ERR_NOMEM;
	e->p.refresh_ms = refresh_ms;
	e->p.withdraw_on_stop = withdraw_on_stop;
	tell_orphans(e);
	pub_engine_forget_zones(e);
	return ERR_OK;
}

void pub_engine_forget_zones(struct pub_engine *e)
{
	if (e->running == RUN_NOTHING)
		pub_zone_cache_clear(e->zones);
	else
		e->reloaded = true; /* the run borrows from it */
	all_due(e);
}

void pub_engine_poke(struct pub_engine *e)
{
	/* A cycle that waits for a lagging secondary would hold back what is news now. */
	if (e->running == RUN_CYCLE)
		pub_reconcile_cancel(&e->reconcile);
	all_due(e);
}

/* ---- NOTIFY ---- */

static bool is_server_of_zone(const struct pub_zone *z, const struct addr *from)
{
	for (size_t i = 0; i < z->n_primary; i++)
		if (addr_same_host(&z->primary[i], from))
			return true;
	for (size_t i = 0; i < z->n_ns; i++)
		for (size_t k = 0; k < z->ns[i].n_addrs; k++)
			if (addr_same_host(&z->ns[i].addrs[k], from))
				return true;
	return false;
}

static bool is_configured_server(const struct pub_target *t, const struct addr *from)
{
	struct addr a;

	for (size_t i = 0; i < t->n_servers; i++)
		if (addr_parse(t->servers[i], 53, &a) == ERR_OK && addr_same_host(&a, from))
			return true;
	return false;
}

static enum pub_notify judge_notify(const struct pub_engine *e, const struct pub_target *t,
				    const struct dns_name *zone, const struct addr *from)
{
	const struct pub_zone *z = pub_zone_cache_get(e->zones, t, now_ms(e));
	struct dns_name owner;

	if (z != NULL) {
		if (!dns_name_equal(&z->zone, zone))
			return PUB_NOTIFY_NOT_OURS;
		return is_server_of_zone(z, from) || is_configured_server(t, from)
			       ? PUB_NOTIFY_TAKEN
			       : PUB_NOTIFY_STRANGER;
	}
	/* Not learned, because a check failed: any zone above the name may be it. */
	if (t->n_servers == 0 || dns_name_is_root(zone) ||
	    dns_name_prefix(PUB_OWNER_LABELS, &t->domain, &owner) != ERR_OK ||
	    !dns_name_is_within(&owner, zone))
		return PUB_NOTIFY_NOT_OURS;
	return is_configured_server(t, from) ? PUB_NOTIFY_TAKEN : PUB_NOTIFY_STRANGER;
}

enum pub_notify pub_engine_notify(struct pub_engine *e, const struct dns_name *zone,
				  const struct addr *from)
{
	enum pub_notify best = PUB_NOTIFY_NOT_OURS;
	uint64_t now = now_ms(e);

	for (size_t i = 0; i < e->n_rows; i++) {
		struct row *row = &e->rows[i];
		enum pub_notify is = judge_notify(e, row->target, zone, from);

		best = is > best ? is : best;
		if (is != PUB_NOTIFY_TAKEN || row->early_ms != 0)
			continue;
		row->early_ms = now;
		if (row->notified_ms != 0 && now - row->notified_ms < PUB_NOTIFY_MIN_MS)
			row->early_ms = row->notified_ms + PUB_NOTIFY_MIN_MS;
		if (row->early_ms < row->due_ms)
			row->due_ms = row->early_ms;
	}
	if (best == PUB_NOTIFY_TAKEN && e->phase == PH_ON)
		next_step(e);
	return best;
}

size_t pub_engine_resume(struct pub_engine *e, const char *host)
{
	size_t n = e->p.journal != NULL ? pub_journal_release(e->p.journal, NULL, NULL, host) : 0;

	if (n > 0)
		pub_engine_poke(e);
	return n;
}

static bool is_withdrawn(const struct pub_engine *e, const struct pub_target *t)
{
	if (e->p.journal == NULL || t->n_wanted == 0)
		return false;
	for (size_t i = 0; i < t->n_wanted; i++)
		if (!pub_journal_held(e->p.journal, &t->domain, t->view, t->wanted[i].host))
			return false;
	return true;
}

static void give_row(const struct pub_engine *e, const struct row *row, pub_engine_row_fn *fn,
		     void *ctx)
{
	uint64_t now = now_ms(e);
	int64_t in_ms = row->due_ms > now ? (int64_t)(row->due_ms - now) : 0;
	struct pub_engine_row out = { .target = row->target,
				      .domain = row->target->domain,
				      .view = row->target->view,
				      .last_proven_ms = row->last_proven_ms,
				      .last_error =
					      row->last_error != NULL ? row->last_error : "" };

	out.state = row->has_state ? pub_state_name(row->state) : "pending";
	if (row->has_state && (row->state == PUB_PROVEN || row->state == PUB_UNCHANGED) &&
	    is_withdrawn(e, row->target))
		out.state = "withdrawn";
	if (e->phase == PH_ON)
		out.next_check_ms = clock_wall_ms(e->p.net->clock) + in_ms;
	fn(ctx, &out);
}

void pub_engine_rows(struct pub_engine *e, pub_engine_row_fn *fn, void *ctx)
{
	size_t n = e->p.journal != NULL ? pub_journal_count(e->p.journal) : 0;

	for (size_t i = 0; i < e->n_rows; i++)
		give_row(e, &e->rows[i], fn, ctx);
	for (size_t i = 0; i < n; i++) {
		const struct pub_set *set = pub_journal_at(e->p.journal, i);
		struct pub_engine_row out = { .domain = set->domain,
					      .view = set->view,
					      .state = "orphan",
					      .last_error = "" };

		if (pub_targets_is_orphan(e->targets, set))
			fn(ctx, &out);
	}
}

void pub_engine_stop(struct pub_engine *e, uint32_t timeout_ms, void (*done)(void *ctx), void *ctx)
{
	if (e->phase == PH_STOPPING) {
		if (timeout_ms == 0)
			pub_reconcile_cancel(&e->reconcile);
		return;
	}
	if (e->phase != PH_ON)
		return;
	e->phase = PH_STOPPING;
	e->stop_ms = timeout_ms;
	e->stopped = done;
	e->stopped_ctx = ctx;
	if (e->running != RUN_NOTHING)
		pub_reconcile_cancel(&e->reconcile);
	else
		next_step(e);
}

void pub_engine_free(struct pub_engine *e)
{
	if (e == NULL)
		return;
	rows_free(e->rows, e->n_rows);
	pub_zone_cache_free(e->zones);
	pub_targets_unref(e->targets);
	free(e);
}
