/* Reading events: pages of what ring, pending list and state file hold, and waiting for more. */
#include <stdlib.h>

#include "common/hresult.h"
#include "common/json_memory.h"
#include "daemon/events_priv.h"

enum reader_state {
	READER_WAITING, /* the timer runs: for something new, or at once */
	READER_READING, /* the store's thread has it */
	READER_CLOSING,
};

struct events_reader {
	struct store_job job; /* first */
	struct events *e;
	struct events_reader *next;
	enum reader_state state;
	struct events_query q;
	events_page_fn *done;
	void *ctx;
	uv_timer_t timer;
	struct event_record *rows[EVENTS_PAGE + 1]; /* of the file */
	size_t n_rows;
	json_t *page;
};

#define FOUND_MAX (EVENTS_PAGE + 1 + EVENTS_PENDING_MAX + EVENTS_RING)

static bool matches(const struct events_query *q, const struct event_record *r)
{
	return r != NULL && r->seq > q->after && r->wall_ms >= q->since_ms;
}

static json_t *event_json(const struct event_record *r)
{
	char when[CLOCK_TEXT_MAX], code[HRESULT_TEXT_MAX];
	json_t *o;

	clock_format_rfc3339(r->wall_ms, when);
	o = json_pack("{s:I, s:s, s:n, s:s, s:s, s:s, s:s, s:s}", "seq", (json_int_t)r->seq, "time",
		      when, "id", "name", r->name, "level", log_level_name(r->level), "hresult",
		      hresult_format(r->hresult, code), "text", r->text, "info", r->info);
	if (r->id != 0)
		(void)json_object_set_new(o, "id", json_integer((json_int_t)r->id));
	return o;
}

static int by_seq(const void *a, const void *b)
{
	const struct event_record *const *x = a, *const *y = b;

	return (*x)->seq < (*y)->seq ? -1 : (*x)->seq > (*y)->seq;
}

/* What is found in more than one place is shown once. */
static json_t *make_page(const struct events_reader *rd)
{
	const struct events *e = rd->e;
	const struct event_record **found = malloc(FOUND_MAX * sizeof(const struct event_record *));
	json_t *list = json_array();
	uint64_t last = e->last;
	size_t n = 0, shown = 0;
	bool more = false;

	if (found == NULL || list == NULL) {
		free(found);
		json_decref(list);
		return NULL;
	}
	for (size_t i = 0; i < rd->n_rows; i++)
		found[n++] = rd->rows[i];
	for (size_t i = 0; i < e->n_pending; i++)
		if (matches(&rd->q, e->pending[i]))
			found[n++] = e->pending[i];
	for (size_t i = 0; i < EVENTS_RING; i++)
		if (matches(&rd->q, e->ring[i]))
			found[n++] = e->ring[i];
	qsort(found, n, sizeof(const struct event_record *), by_seq);
	for (size_t i = 0; i < n && !more; i++) {
		if (i > 0 && found[i]->seq == found[i - 1]->seq)
			continue;
		more = shown == EVENTS_PAGE;
		if (more)
			break;
		(void)json_array_append_new(list, event_json(found[i]));
		last = found[i]->seq;
		shown++;
	}
	free(found);
	return json_pack("{s:o, s:I, s:b}", "events", list, "last",
			 (json_int_t)(more || last > e->last ? last : e->last), "more", more);
}

/* ---- one reader ---- */

static void on_closed(uv_handle_t *h)
{
	struct events_reader *rd = h->data;

	rd->done(rd->ctx, rd->page);
	free(rd);
}

/* The page is handed out in a later turn of the loop: whether it is whole is known now. */
static json_t *make_whole_page(const struct events_reader *rd)
{
	unsigned long failures = json_memory_failures();
	json_t *page = make_page(rd);

	if (json_memory_failures() == failures)
		return page;
	json_decref(page);
	return NULL;
}

static void finish(struct events_reader *rd)
{
	struct events *e = rd->e;

	rd->page = make_whole_page(rd);
	rd->state = READER_CLOSING;
	for (struct events_reader **at = &e->readers; *at != NULL; at = &(*at)->next) {
		if (*at != rd)
			continue;
		*at = rd->next;
		break;
	}
	for (size_t i = 0; i < rd->n_rows; i++)
		event_record_unref(rd->rows[i]);
	rd->e = NULL; /* it may go before the handle is closed */
	uv_close((uv_handle_t *)&rd->timer, on_closed);
}

/* In the store's thread. */
static int take_row(void *ctx, const struct store_row *row)
{
	struct events_reader *rd = ctx;
	const struct event ev = {
		.id = (uint32_t)store_row_int(row, 2),
		.name = store_row_text(row, 3),
		.level = store_row_int(row, 4) >= 0 && store_row_int(row, 4) < LOG_LEVEL_COUNT_
				 ? (enum log_level)store_row_int(row, 4)
				 : LOG_INFO,
		.hresult = (uint32_t)store_row_int(row, 5),
		.text = store_row_text(row, 6),
		.info = store_row_text(row, 7),
	};
	struct event_record *r =
		event_record_new(&ev, (uint64_t)store_row_int(row, 0), store_row_int(row, 1));

	if (r == NULL)
		return ERR_NOMEM;
	rd->rows[rd->n_rows++] = r;
	return 0;
}

static int read_run(struct store_job *job, struct store_db *db)
{
	struct events_reader *rd = (struct events_reader *)job;

	return store_exec(db,
			  "SELECT seq, wall_ms, id, name, level, hresult, text, info FROM event "
			  "WHERE seq > ? AND seq <= ? AND wall_ms >= ? ORDER BY seq LIMIT ?",
			  take_row, rd, "iiii", (int64_t)rd->q.after, EVENTS_SEQ_MAX,
			  rd->q.since_ms, (int64_t)(EVENTS_PAGE + 1));
}

/* A file that cannot be read hides old events, not those in memory. */
static void read_done(struct store_job *job, int err)
{
	(void)err;
	finish((struct events_reader *)job);
}

/* Whether the ring cannot have all that follows `after`: it holds the latest without a gap. */
static bool needs_file(const struct events *e, uint64_t after)
{
	const struct event_record *next = e->ring[(after + 1) % EVENTS_RING];

	return e->p.store != NULL && after < e->last && (next == NULL || next->seq != after + 1);
}

static void on_timer(uv_timer_t *t)
{
	struct events_reader *rd = t->data;
	struct events *e = rd->e;

	if (rd->state != READER_WAITING)
		return;
	e->n_waiting--;
	rd->state = READER_READING;
	rd->job = (struct store_job){ .run = read_run, .done = read_done };
	if (!needs_file(e, rd->q.after) || store_submit(e->p.store, &rd->job) != 0)
		finish(rd);
}

int events_read(struct events *e, const struct events_query *q, events_page_fn *done, void *ctx)
{
	struct events_reader *rd;
	bool wait = q->wait_ms > 0 && e->last <= q->after && !e->stopping;

	if (e->n_waiting >= EVENTS_WAITERS_MAX)
		return ERR_LIMIT;
	rd = calloc(1, sizeof(*rd));
	if (rd == NULL)
		return ERR_NOMEM;
	rd->e = e;
	rd->q = *q;
	rd->done = done;
	rd->ctx = ctx;
	(void)uv_timer_init(e->p.loop, &rd->timer);
	rd->timer.data = rd;
	rd->next = e->readers;
	e->readers = rd;
	e->n_waiting++;
	rd->state = READER_WAITING;
	(void)uv_timer_start(&rd->timer, on_timer,
			     !wait                             ? 0
			     : q->wait_ms < EVENTS_WAIT_MAX_MS ? q->wait_ms
							       : EVENTS_WAIT_MAX_MS,
			     0);
	return 0;
}

void events_wake(struct events *e)
{
	struct events_reader *next;

	for (struct events_reader *rd = e->readers; rd != NULL; rd = next) {
		next = rd->next;
		if (rd->state != READER_WAITING)
			continue;
		if (e->stopping) {
			e->n_waiting--;
			finish(rd);
		} else {
			(void)uv_timer_start(&rd->timer, on_timer, 0, 0);
		}
	}
}
