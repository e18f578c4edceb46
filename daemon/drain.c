#include "daemon/drain.h"

#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/log.h"

static const struct log_ctx log_drain = { .module = "drain" };

/* ---- the rule, pure ---- */

const char *drain_phase_name(enum drain_phase p)
{
	static const char *const names[] = { "withdrawing", "waiting", "safe" };

	return names[p];
}

static bool is_gone(const struct pub_result *r)
{
	for (size_t i = 0; i < r->n_findings; i++)
		if (r->findings[i].id == FINDING_JOURNAL)
			return false; /* then nothing was deleted, and nothing was looked for */
	if (pub_result_ok(r))
		return true;
	if (r->state != PUB_LAGGING)
		return false;
	/* Too few servers answered for a proof, but those that did do not have it. */
	for (size_t i = 0; i < r->n_proof; i++)
		if (r->proof[i].state == PUB_PROOF_LAGGING ||
		    r->proof[i].state == PUB_PROOF_DIFFERS)
			return false;
	return true;
}

static void see_ttl(const struct pub_result *r, struct drain_look *l)
{
	bool deleted = false;

	for (size_t i = 0; i < r->n_changes; i++) {
		if (r->changes[i].op != PUB_DELETE)
			continue;
		deleted = true;
		if (r->changes[i].ttl_s > l->ttl_s)
			l->ttl_s = r->changes[i].ttl_s;
	}
	/* What is left of the set has the TTL that the record had in it. */
	if (r->ttl_s > l->ttl_s)
		l->ttl_s = r->ttl_s;
	l->unseen = l->unseen || !deleted;
}

void drain_see(const struct pub_result *results, size_t n, struct drain_look *ret)
{
	*ret = (struct drain_look){ .gone = true };
	for (size_t i = 0; i < n; i++) {
		const struct pub_result *r = &results[i];

		ret->gone = ret->gone && is_gone(r);
		ret->would_empty = ret->would_empty || r->would_empty;
		ret->failed = ret->failed || (!pub_result_ok(r) && r->state != PUB_LAGGING);
		see_ttl(r, ret);
	}
}

void drain_take(struct drain_track *t, const struct drain_look *l, uint32_t unseen_ttl_s,
		uint64_t now_ms)
{
	uint64_t wait_ms;

	if (t->phase != DRAIN_WITHDRAWING)
		return;
	if (l->ttl_s > t->ttl_s)
		t->ttl_s = l->ttl_s;
	/* Later looks find it gone because we took it away: then its TTL is known. */
	if (!t->looked && l->unseen && unseen_ttl_s > t->ttl_s)
		t->ttl_s = unseen_ttl_s;
	t->looked = true;
	if (!l->gone) {
		t->due_ms = now_ms + DRAIN_RETRY_MS;
		return;
	}
	wait_ms = (uint64_t)t->ttl_s * 1000;
	t->phase = DRAIN_WAITING;
	t->due_ms = now_ms + (wait_ms < DRAIN_WAIT_MAX_MS ? wait_ms : DRAIN_WAIT_MAX_MS);
}

bool drain_tick(struct drain_track *t, uint64_t now_ms)
{
	if (t->phase != DRAIN_WAITING || now_ms < t->due_ms)
		return false;
	t->phase = DRAIN_SAFE;
	return true;
}

/* ---- the drains of a daemon ---- */

enum drain_work {
	WORK_NONE,
	WORK_LOOK,     /* a dry run is out */
	WORK_WITHDRAW, /* the real one is */
};

struct drain {
	struct drains *owner;
	struct drain *next;
	char host[DRAIN_HOST_MAX];
	enum drain_work work;
	bool force;
	bool begun;  /* the journal has it */
	bool lifted; /* resumed while something was out: it goes when that ends */
	struct drain_track track;
	int64_t since_ms, safe_at_ms; /* wall clock */
	char text[PUB_HINT_MAX];
	drain_begun_fn *done; /* NULL: nobody waits for the beginning */
	void *done_ctx;
};

struct drains {
	struct drains_params p;
	struct drain *list;
	size_t n;
	uv_timer_t timer;
	struct pub_sync sync;
	bool syncing;
};

static uint64_t now_ms(const struct drains *d)
{
	return clock_mono_ms(d->p.net->clock);
}

static struct drain *find(const struct drains *d, const char *host)
{
	for (struct drain *x = d->list; x != NULL; x = x->next)
		if (strcmp(x->host, host) == 0)
			return x;
	return NULL;
}

static struct drain *add(struct drains *d, const char *host)
{
	struct drain *x = d->n < CONFIG_HOSTS_MAX ? calloc(1, sizeof(*x)) : NULL;

	if (x == NULL)
		return NULL;
	(void)snprintf(x->host, sizeof(x->host), "%s", host);
	x->owner = d;
	x->next = d->list;
	d->list = x;
	d->n++;
	return x;
}

static void drop(struct drains *d, struct drain *x)
{
	struct drain *before = d->list;

	if (before == x) {
		d->list = x->next;
	} else {
		while (before->next != x)
			before = before->next;
		before->next = x->next;
	}
	d->n--;
	free(x);
}

/* ---- the journal ---- */

static void on_synced(struct pub_sync *s, int err);

static void write_journal(struct drains *d)
{
	if (d->syncing || !pub_journal_is_dirty(d->p.journal))
		return; /* on_synced() comes back to what was marked meanwhile */
	d->syncing = true;
	d->sync.owner = d;
	if (pub_journal_sync(d->p.journal, &d->sync, on_synced) != 0)
		on_synced(&d->sync, ERR_NOMEM);
}

static void on_synced(struct pub_sync *s, int err)
{
	struct drains *d = s->owner;

	d->syncing = false;
	if (err != 0)
		log_error(&log_drain, "drain.journal", "err=%s text=%s", err_name(err),
			  "the state of a drain could not be written; it is written with the next "
			  "change");
	else
		write_journal(d);
}

/* ---- steps ---- */

static void step(struct drain *x);

static void on_timer(uv_timer_t *t)
{
	struct drains *d = t->data;
	struct drain *next;

	for (struct drain *x = d->list; x != NULL; x = next) {
		next = x->next;
		step(x);
	}
}

static void schedule(struct drains *d)
{
	uint64_t now = now_ms(d), first = UINT64_MAX;

	for (const struct drain *x = d->list; x != NULL; x = x->next)
		if (x->begun && x->work == WORK_NONE && x->track.phase != DRAIN_SAFE &&
		    x->track.due_ms < first)
			first = x->track.due_ms;
	if (first == UINT64_MAX)
		(void)uv_timer_stop(&d->timer);
	else
		(void)uv_timer_start(&d->timer, on_timer, first > now ? first - now : 1, 0);
}

static void tell_begun(struct drain *x, int err, const struct pub_result *results, size_t n)
{
	drain_begun_fn *done = x->done;

	x->done = NULL;
	if (done != NULL)
		done(x->done_ctx, err, results, n);
}

/* Also what the engine marked at the start of a run that then came to nothing. */
static void undo(struct drain *x)
{
	struct drains *d = x->owner;

	(void)pub_engine_resume(d->p.engine, x->host);
	write_journal(d);
	drop(d, x);
	schedule(d);
}

static void became_safe(struct drain *x)
{
	log_info(&log_drain, "drain.safe", "host=%s text=%s", x->host,
		 "no client has its record cached any more: safe to stop");
	events_note(x->owner->p.events, LOG_INFO, "drain.safe",
		    "%s: no client has its record cached any more; it is safe to stop", x->host);
	x->owner->p.safe(x->owner->p.ctx, x->host);
}

static void take(struct drain *x, const struct pub_result *results, size_t n,
		 const struct drain_look *l)
{
	struct drains *d = x->owner;

	x->text[0] = '\0';
	for (size_t i = n; i-- > 0;)
		if (!pub_result_ok(&results[i]))
			(void)snprintf(x->text, sizeof(x->text), "%s", results[i].hint);
	drain_take(&x->track, l, d->p.unseen_ttl(d->p.ctx, x->host), now_ms(d));
	if (x->track.phase != DRAIN_WAITING) {
		log_warning(&log_drain, "drain.not_gone", "host=%s text=%s", x->host, x->text);
		return;
	}
	x->safe_at_ms = clock_wall_ms(d->p.net->clock) + (int64_t)(x->track.due_ms - now_ms(d));
	if (pub_journal_drain(d->p.journal, x->host, x->since_ms, x->safe_at_ms) == 0)
		write_journal(d);
	log_info(&log_drain, "drain.gone", "host=%s ttl_s=%u text=%s", x->host, x->track.ttl_s,
		 "no server shows its record; caches may, for that long");
	events_note(d->p.events, LOG_INFO, "drain.gone",
		    "%s: no server shows its record; caches may for another %us", x->host,
		    x->track.ttl_s);
}

static void on_withdrawn(void *ctx, int err, const struct pub_result *results, size_t n)
{
	struct drain *x = ctx;
	struct drains *d = x->owner;
	struct drain_look l;

	x->work = WORK_NONE;
	if (err == ERR_CANCELED && !x->lifted) { /* the daemon stops; the next one goes on */
		tell_begun(x, err, NULL, 0);
		return;
	}
	drain_see(results, n, &l);
	/* It went well when it was looked at: then somebody else is at work, perhaps another drain.
	 */
	if (err == 0 && !x->begun && (l.would_empty || (l.failed && !x->force)))
		err = ERR_USAGE;
	if (x->lifted && err == 0)
		err = ERR_CANCELED;
	if (x->lifted || err == ERR_USAGE) {
		tell_begun(x, err, results, n);
		undo(x);
		return;
	}
	if (err == 0) {
		x->begun = true;
		take(x, results, n, &l);
	} else {
		x->track.due_ms = now_ms(d) + DRAIN_RETRY_MS;
	}
	tell_begun(x, err, results, n);
	if (!x->begun)
		undo(x);
	else
		schedule(d);
}

static int withdraw(struct drain *x)
{
	const struct pub_request rq = { .mode = PUB_DRAIN,
					.host = x->host,
					.keep_last = !x->force && !x->begun };
	int err;

	x->work = WORK_WITHDRAW;
	err = pub_engine_request(x->owner->p.engine, &rq, on_withdrawn, x);
	if (err != 0)
		x->work = WORK_NONE;
	return err;
}

static void on_looked(void *ctx, int err, const struct pub_result *results, size_t n)
{
	struct drain *x = ctx;
	struct drain_look l;

	x->work = WORK_NONE;
	drain_see(results, n, &l);
	if (err == 0 && x->lifted)
		err = ERR_CANCELED;
	if (err == 0 && l.failed)
		err = ERR_USAGE;
	if (err == 0)
		err = withdraw(x);
	if (err == 0)
		return;
	tell_begun(x, err, err == ERR_USAGE ? results : NULL, err == ERR_USAGE ? n : 0);
	drop(x->owner, x);
}

static void step(struct drain *x)
{
	struct drains *d = x->owner;

	if (!x->begun || x->work != WORK_NONE)
		return;
	if (drain_tick(&x->track, now_ms(d)))
		became_safe(x);
	else if (x->track.phase == DRAIN_WITHDRAWING && x->track.due_ms <= now_ms(d) &&
		 withdraw(x) != 0)
		x->track.due_ms = now_ms(d) + DRAIN_RETRY_MS;
	schedule(d);
}

/* ---- the outside ---- */

int drains_new(const struct drains_params *p, struct drains **ret)
{
	struct drains *d = calloc(1, sizeof(*d));

	*ret = NULL;
	if (d == NULL)
		return ERR_NOMEM;
	d->p = *p;
	(void)uv_timer_init(p->net->loop, &d->timer);
	d->timer.data = d;
	*ret = d;
	return 0;
}

void drains_load(struct drains *d, const char *host)
{
	int64_t wall = clock_wall_ms(d->p.net->clock);
	struct pub_drain kept;
	struct drain *x;
	int64_t left;

	if (d->p.journal == NULL || find(d, host) != NULL ||
	    !pub_journal_drained(d->p.journal, host, &kept))
		return;
	x = add(d, host);
	if (x == NULL)
		return; /* held back all the same: the journal says so */
	x->begun = true;
	x->since_ms = kept.since_ms;
	x->safe_at_ms = kept.clear_ms;
	x->track.due_ms = now_ms(d);
	if (kept.clear_ms != 0) {
		left = kept.clear_ms > wall ? kept.clear_ms - wall : 0;
		if (left > (int64_t)DRAIN_WAIT_MAX_MS)
			left = DRAIN_WAIT_MAX_MS; /* the clock was set back */
		x->track.phase = DRAIN_WAITING;
		x->track.due_ms += (uint64_t)left;
	}
	if (drain_tick(&x->track, now_ms(d)))
		became_safe(x);
	schedule(d);
}

int drains_begin(struct drains *d, const char *host, bool force, drain_begun_fn *done, void *ctx)
{
	const struct pub_request rq = {
		.mode = PUB_DRAIN, .host = host, .keep_last = true, .dry_run = true
	};
	struct drain *x = find(d, host);
	int err;

	if (d->p.journal == NULL)
		return ERR_STORE_OPEN;
	if (x != NULL)
		return ERR_BUSY;
	x = add(d, host);
	if (x == NULL)
		return ERR_LIMIT;
	x->force = force;
	x->since_ms = clock_wall_ms(d->p.net->clock);
	x->done = done;
	x->done_ctx = ctx;
	if (force) {
		err = withdraw(x);
	} else {
		x->work = WORK_LOOK;
		err = pub_engine_request(d->p.engine, &rq, on_looked, x);
	}
	if (err != 0)
		drop(d, x);
	return err;
}

size_t drains_resume(struct drains *d, const char *host)
{
	struct drain *next;
	size_t n = 0;

	for (struct drain *x = d->list; x != NULL; x = next) {
		next = x->next;
		if (host != NULL && strcmp(x->host, host) != 0)
			continue;
		if (x->work != WORK_NONE) {
			n += !x->lifted;
			x->lifted = true;
		} else {
			log_info(&log_drain, "drain.resumed", "host=%s", x->host);
			events_note(d->p.events, LOG_INFO, "drain.resumed",
				    "%s: is published again", x->host);
			drop(d, x);
		}
	}
	n += pub_engine_resume(d->p.engine, host);
	if (d->p.journal != NULL)
		write_journal(d);
	schedule(d);
	return n;
}

bool drains_get(const struct drains *d, const char *host, struct drain_status *ret)
{
	const struct drain *x = find(d, host);

	if (x == NULL || !x->begun || x->lifted)
		return false;
	*ret = (struct drain_status){ .phase = x->track.phase,
				      .since_ms = x->since_ms,
				      .safe_at_ms = x->safe_at_ms,
				      .ttl_s = x->track.ttl_s,
				      .text = x->text };
	return true;
}

static void on_timer_closed(uv_handle_t *h)
{
	free(h->data);
}

void drains_free(struct drains *d)
{
	if (d == NULL)
		return;
	while (d->list != NULL)
		drop(d, d->list);
	uv_close((uv_handle_t *)&d->timer, on_timer_closed);
}
