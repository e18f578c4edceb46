#include "daemon/events.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "daemon/events_priv.h"

static const struct log_ctx log_events = { .module = "events" };

static const char *const migrations[] = {
	"CREATE TABLE event (seq INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL,"
	" id INTEGER NOT NULL, name TEXT NOT NULL, level INTEGER NOT NULL,"
	" hresult INTEGER NOT NULL, text TEXT NOT NULL, info TEXT NOT NULL);",
};

const struct store_schema events_schema = {
	.module = "events",
	.migrations = migrations,
	.n_migrations = sizeof(migrations) / sizeof(migrations[0]),
};

/* ---- records ---- */

struct event_record *event_record_new(const struct event *ev, uint64_t seq, int64_t wall_ms)
{
	size_t name = strlen(ev->name) + 1;
	size_t text = strnlen(ev->text, EVENTS_TEXT_MAX - 1);
	size_t info = ev->info != NULL ? strnlen(ev->info, EVENTS_TEXT_MAX - 1) : 0;
	struct event_record *r = calloc(1, sizeof(*r) + name + text + 1 + info + 1);

	if (r == NULL)
		return NULL;
	r->refs = 1;
	r->seq = seq;
	r->wall_ms = wall_ms;
	r->id = ev->id;
	r->level = ev->level;
	r->hresult = ev->hresult;
	r->name = r->bytes;
	r->text = r->bytes + name;
	r->info = r->text + text + 1;
	memcpy(r->bytes, ev->name, name);
	memcpy(r->bytes + name, ev->text, text);
	if (info > 0)
		memcpy(r->bytes + name + text + 1, ev->info, info);
	utf8_mend(r->bytes); /* JSON takes nothing else, and these may have been cut */
	utf8_mend(r->bytes + name);
	utf8_mend(r->bytes + name + text + 1);
	return r;
}

static struct event_record *record_ref(struct event_record *r)
{
	r->refs++;
	return r;
}

void event_record_unref(struct event_record *r)
{
	if (r != NULL && --r->refs == 0)
		free(r);
}

/* ---- saving: one transaction at a time, with what has gathered since the last ---- */

/* In the store's thread. */
static int save_run(struct store_job *job, struct store_db *db)
{
	struct events_save *s = (struct events_save *)job;
	int err = 0;

	for (size_t i = 0; err == 0 && i < s->n; i++) {
		const struct event_record *r = s->batch[i];

		err = store_exec(db, "INSERT OR REPLACE INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
				 NULL, NULL, "iiitiitt", (int64_t)r->seq, r->wall_ms,
				 (int64_t)r->id, r->name, (int64_t)r->level, (int64_t)r->hresult,
				 r->text, r->info);
	}
	if (err == 0)
		err = store_exec(db, "DELETE FROM event WHERE wall_ms < ? OR seq > ?", NULL, NULL,
				 "ii", s->oldest_ms, EVENTS_SEQ_MAX);
	if (err == 0)
		err = store_exec(db,
				 "DELETE FROM event WHERE seq <= (SELECT seq FROM event "
				 "ORDER BY seq DESC LIMIT 1 OFFSET ?)",
				 NULL, NULL, "i", (int64_t)s->keep_max);
	return err;
}

static void save_next(struct events *e);

static void save_failed(struct events *e, int err)
{
	e->retry_ms = clock_mono_ms(e->p.clock) + EVENTS_SAVE_RETRY_MS;
	if (e->failing)
		return;
	e->failing = true;
	log_warning(&log_events, "events.not_saved", "err=%s text=%s", err_name(err),
		    "events are held in memory and in the log, and saving is tried again later; "
		    "is the disk of node.state_dir full?");
}

static void saved(struct events *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		event_record_unref(e->pending[i]);
	e->n_pending -= n;
	memmove(e->pending, e->pending + n, e->n_pending * sizeof(struct event_record *));
	if (e->failing)
		log_info(&log_events, "events.saved_again", "lost=%llu",
			 (unsigned long long)e->lost);
	e->failing = false;
}

static void save_done(struct store_job *job, int err)
{
	struct events_save *s = (struct events_save *)job;
	struct events *e = s->e;

	e->saving = false;
	if (err != 0)
		save_failed(e, err);
	else
		saved(e, s->n);
	save_next(e);
}

static void save_next(struct events *e)
{
	struct events_save *s = &e->save;

	if (e->saving || e->n_pending == 0 || e->p.store == NULL ||
	    (e->failing && clock_mono_ms(e->p.clock) < e->retry_ms))
		return;
	s->job = (struct store_job){ .run = save_run, .done = save_done };
	s->e = e;
	s->n = e->n_pending < EVENTS_BATCH ? e->n_pending : EVENTS_BATCH;
	memcpy(s->batch, e->pending, s->n * sizeof(struct event_record *));
	s->oldest_ms = clock_wall_ms(e->p.clock) - (int64_t)e->p.keep_s * 1000;
	s->keep_max = e->p.keep_max;
	e->saving = store_submit(e->p.store, &s->job) == 0;
}

/* ---- adding ---- */

static void keep(struct events *e, struct event_record *r)
{
	if (e->p.store == NULL)
		return;
	if (e->n_pending < EVENTS_PENDING_MAX)
		e->pending[e->n_pending++] = record_ref(r);
	else
		e->lost++;
	save_next(e);
}

void events_add(struct events *e, const struct event *ev)
{
	struct event_record *r, **slot;

	if (e == NULL)
		return;
	r = event_record_new(ev, e->last + 1, clock_wall_ms(e->p.clock));
	if (r == NULL) {
		e->lost += ev->kept ? 1 : 0;
		if (ev->kept || !e->short_of_memory) /* those of requests come often: told once */
			log_error(&log_events, "events.lost", "name=%s text=%s", ev->name,
				  "out of memory: an event is not remembered");
		e->short_of_memory = true;
		return;
	}
	e->short_of_memory = false;
	e->last++;
	slot = &e->ring[e->last % EVENTS_RING];
	event_record_unref(*slot);
	*slot = r;
	if (ev->kept)
		keep(e, r);
	events_wake(e);
}

void events_note(struct events *e, enum log_level level, const char *name, const char *fmt, ...)
{
	char text[EVENTS_TEXT_MAX];
	struct event ev = { .name = name, .level = level, .kept = true, .text = text };
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	events_add(e, &ev);
}

void events_counts(const struct events *e, uint64_t *ret_lost, size_t *ret_pending)
{
	*ret_lost = e->lost;
	*ret_pending = e->n_pending;
}

/* ---- life ---- */

struct last_seq {
	struct store_job job;
	uint64_t seq;
	int err;
};

static int last_row(void *ctx, const struct store_row *row)
{
	((struct last_seq *)ctx)->seq = (uint64_t)store_row_int(row, 0);
	return 0;
}

static int last_run(struct store_job *job, struct store_db *db)
{
	return store_exec(db, "SELECT ifnull(max(seq), 0) FROM event WHERE seq BETWEEN 0 AND ?",
			  last_row, job, "i", EVENTS_SEQ_MAX);
}

static void last_done(struct store_job *job, int err)
{
	((struct last_seq *)job)->err = err;
}

/* Numbers go on where the last process left them. */
static void load_last(struct events *e)
{
	struct last_seq l = { .job = { .run = last_run, .done = last_done } };
	int err = store_submit(e->p.store, &l.job);

	if (err == 0) {
		store_flush(e->p.store);
		err = l.err;
	}
	if (err == 0) {
		e->last = l.seq;
		return;
	}
	log_error(&log_events, "events.unreadable", "err=%s text=%s", err_name(err),
		  "the events in the state file cannot be read; new ones are held in memory only");
	e->p.store = NULL;
}

int events_new(const struct events_params *p, struct events **ret)
{
	struct events *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return ERR_NOMEM;
	e->p = *p;
	if (p->store != NULL)
		load_last(e);
	*ret = e;
	return 0;
}

void events_configure(struct events *e, uint32_t keep_s, uint32_t keep_max)
{
	e->p.keep_s = keep_s;
	e->p.keep_max = keep_max;
}

void events_stop(struct events *e)
{
	if (e == NULL)
		return;
	e->stopping = true;
	e->retry_ms = 0;
	save_next(e);
	if (e->p.store != NULL)
		store_flush(e->p.store); /* what gathered behind a batch that is being written */
	events_wake(e);
}

void events_free(struct events *e)
{
	if (e == NULL)
		return;
	for (size_t i = 0; i < EVENTS_RING; i++)
		event_record_unref(e->ring[i]);
	for (size_t i = 0; i < e->n_pending; i++)
		event_record_unref(e->pending[i]);
	free(e);
}
