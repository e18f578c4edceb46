#include "kmscore/memory.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"

static const struct log_ctx log_kms = { .module = "kms" };

static const char *const migrations[] = {
	"CREATE TABLE kms_client ("
	" kind INTEGER NOT NULL, id BLOB NOT NULL, seen_ms INTEGER NOT NULL,"
	" name TEXT NOT NULL, before TEXT NOT NULL, duplicate INTEGER NOT NULL,"
	" PRIMARY KEY (kind, id)) WITHOUT ROWID;"
	"CREATE INDEX kms_client_seen ON kms_client (kind, seen_ms);"
	"CREATE TABLE kms_count ("
	" pos INTEGER PRIMARY KEY, cmid BLOB NOT NULL, seen_ms INTEGER NOT NULL);"
	"CREATE TABLE kms_total ("
	" kind INTEGER NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL,"
	" PRIMARY KEY (kind, name)) WITHOUT ROWID;",
};

const struct store_schema kms_memory_schema = {
	.module = "kms",
	.migrations = migrations,
	.n_migrations = sizeof(migrations) / sizeof(migrations[0]),
};

/** One write: a copy, for the store's thread. */
struct save {
	struct store_job job;
	struct kms_saver *saver;
	enum kms_client_kind kind;
	struct kms_client_entry *rows;
	size_t n_rows;
	int64_t oldest_ms; /* who was seen earlier is forgotten */
	size_t max;        /* and who is one too many */
	struct kms_count count;
	struct kms_totals totals;
};

struct kms_saver {
	struct kms_memory *m;
	const struct clock *clock;
	struct store *store; /* NULL: stopped */
	uv_timer_t timer;
	bool saving, failing;
	bool again; /* changed while a write was under way */
	struct save save;
};

/* ---- rows, in the store's thread ---- */

static int save_total(struct store_db *db, const struct save *s, const char *name, uint64_t value)
{
	return store_exec(db, "INSERT OR REPLACE INTO kms_total VALUES (?, ?, ?)", NULL, NULL,
			  "iti", (int64_t)s->kind, name, (int64_t)value);
}

static const char *const licence_names[KMS_LICENCE_COUNT_] = {
	"licence0", "licence1", "licence2", "licence3", "licence4", "licence5", "licence6",
};
_Static_assert(KMS_LICENCE_COUNT_ == 7, "a name for each");

static int save_totals(struct store_db *db, const struct save *s)
{
	int err = save_total(db, s, "requests", s->totals.requests);

	if (err == 0)
		err = save_total(db, s, "failed", s->totals.failed);
	for (size_t i = 0; err == 0 && i < KMS_LICENCE_COUNT_; i++)
		err = save_total(db, s, licence_names[i], s->totals.by_licence[i]);
	if (err == 0)
		err = save_total(db, s, "count_cap", s->count.cap);
	return err;
}

static int save_count(struct store_db *db, const struct save *s)
{
	int err = store_exec(db, "DELETE FROM kms_count", NULL, NULL, "");

	for (size_t i = 0; err == 0 && i < s->count.n; i++) {
		const struct kms_count_entry *e = &s->count.e[i];

		err = store_exec(db, "INSERT INTO kms_count VALUES (?, ?, ?)", NULL, NULL, "ibi",
				 (int64_t)i, e->cmid.b, sizeof(e->cmid.b), e->seen_ms);
	}
	return err;
}

static int save_clients(struct store_db *db, const struct save *s)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < s->n_rows; i++) {
		const struct kms_client_entry *e = &s->rows[i];

		err = store_exec(db, "INSERT OR REPLACE INTO kms_client VALUES (?, ?, ?, ?, ?, ?)",
				 NULL, NULL, "ibitti", (int64_t)s->kind, e->cmid.b,
				 sizeof(e->cmid.b), e->seen_ms, e->name, e->before,
				 (int64_t)e->duplicate);
	}
	if (err == 0)
		err = store_exec(db, "DELETE FROM kms_client WHERE kind = ? AND seen_ms <= ?", NULL,
				 NULL, "ii", (int64_t)s->kind, s->oldest_ms);
	if (err == 0 && s->max > 0)
		err = store_exec(db,
				 "DELETE FROM kms_client WHERE kind = ? AND id IN (SELECT id FROM "
				 "kms_client WHERE kind = ? ORDER BY seen_ms DESC LIMIT -1 OFFSET "
				 "?)",
				 NULL, NULL, "iii", (int64_t)s->kind, (int64_t)s->kind,
				 (int64_t)s->max);
	return err;
}

static int save_run(struct store_job *job, struct store_db *db)
{
	const struct save *s = (const struct save *)job;
	int err = save_clients(db, s);

	if (err == 0 && s->kind == KMS_CLIENT_CMID)
		err = save_count(db, s);
	return err == 0 ? save_totals(db, s) : err;
}

/* ---- saving, in the loop's thread ---- */

static void on_timer(uv_timer_t *t);

static void save_later(struct kms_saver *v, uint64_t ms)
{
	if (v->store != NULL && !uv_is_active((uv_handle_t *)&v->timer))
		(void)uv_timer_start(&v->timer, on_timer, ms, 0);
}

static void save_failed(struct kms_saver *v, int err)
{
	kms_clients_put_back(&v->m->clients, v->save.rows, v->save.n_rows);
	if (!v->failing)
		log_warning(&log_kms, "kms.not_saved", "err=%s text=%s", err_name(err),
			    "clients and count are held in memory, and saving is tried again "
			    "later; is the disk of node.state_dir full?");
	v->failing = true;
	save_later(v, KMS_SAVE_RETRY_MS);
}

static void save_done(struct store_job *job, int err)
{
	struct kms_saver *v = ((struct save *)job)->saver;

	v->saving = false;
	if (err != 0) {
		save_failed(v, err);
	} else {
		if (v->failing)
			log_info(&log_kms, "kms.saved_again", "text=%s", "clients and count");
		v->failing = false;
		if (v->again)
			save_later(v, KMS_SAVE_MS);
	}
	v->again = false;
	free(v->save.rows);
	v->save.rows = NULL;
}

static void save(struct kms_saver *v)
{
	struct kms_memory *m = v->m;
	size_t n = kms_clients_changed(&m->clients);
	struct kms_client_entry *rows = calloc(n > 0 ? n : 1, sizeof(*rows));
	int err;

	if (rows == NULL) {
		v->save = (struct save){ .saver = v };
		save_failed(v, ERR_NOMEM);
		return;
	}
	v->save = (struct save){
		.job = { .run = save_run, .done = save_done },
		.saver = v,
		.kind = m->kind,
		.rows = rows,
		.n_rows = kms_clients_take_changed(&m->clients, rows, n),
		.oldest_ms = clock_wall_ms(v->clock) - KMS_CMID_LIFE_MS,
		.max = m->clients.n == m->clients.max ? m->clients.max : 0,
		.count = m->count,
		.totals = m->totals,
	};
	v->saving = true;
	err = store_submit(v->store, &v->save.job);
	if (err != 0)
		save_done(&v->save.job, err);
}

static void on_timer(uv_timer_t *t)
{
	save(t->data); /* while one is under way the timer is not set: kms_memory_changed() */
}

void kms_memory_changed(struct kms_memory *m)
{
	if (m->saver == NULL)
		return;
	if (m->saver->saving)
		m->saver->again = true;
	else
		save_later(m->saver, KMS_SAVE_MS);
}

/* ---- loading ---- */

struct load {
	struct store_job job;
	struct kms_memory *m;
	int64_t now_ms;
	struct kms_count_entry counted[KMS_COUNT_LARGE];
	size_t n_counted, cap;
	int err;
};

static bool take_id(const struct store_row *row, int col, struct guid *ret)
{
	size_t len;
	const void *bytes = store_row_blob(row, col, &len);

	if (len != sizeof(ret->b))
		return false;
	memcpy(ret->b, bytes, sizeof(ret->b));
	return true;
}

/* A time that is yet to come would never pass: it was now, by a clock that was wrong. */
static int64_t seen(const struct load *l, int64_t seen_ms)
{
	return seen_ms < l->now_ms ? seen_ms : l->now_ms;
}

static bool is_forgotten(const struct load *l, int64_t seen_ms)
{
	return seen_ms <= l->now_ms - KMS_CMID_LIFE_MS;
}

static int load_client(void *ctx, const struct store_row *row)
{
	struct load *l = ctx;
	struct kms_client_entry e = { .seen_ms = seen(l, store_row_int(row, 1)),
				      .duplicate = store_row_int(row, 4) != 0 };

	if (!take_id(row, 0, &e.cmid) || is_forgotten(l, e.seen_ms))
		return 0;
	(void)snprintf(e.name, sizeof(e.name), "%s", store_row_text(row, 2));
	(void)snprintf(e.before, sizeof(e.before), "%s", store_row_text(row, 3));
	return kms_clients_restore(&l->m->clients, &e);
}

static int load_count(void *ctx, const struct store_row *row)
{
	struct load *l = ctx;
	int64_t seen_ms = seen(l, store_row_int(row, 1));

	if (l->n_counted < KMS_COUNT_LARGE && !is_forgotten(l, seen_ms) &&
	    take_id(row, 0, &l->counted[l->n_counted].cmid))
		l->counted[l->n_counted++].seen_ms = seen_ms;
	return 0;
}

static int load_total(void *ctx, const struct store_row *row)
{
	struct load *l = ctx;
	struct kms_totals *t = &l->m->totals;
	const char *name = store_row_text(row, 0);
	uint64_t value = store_row_int(row, 1) > 0 ? (uint64_t)store_row_int(row, 1) : 0;

	if (strcmp(name, "requests") == 0)
		t->requests = value;
	else if (strcmp(name, "failed") == 0)
		t->failed = value;
	else if (strcmp(name, "count_cap") == 0)
		l->cap = (size_t)value;
	for (size_t i = 0; i < KMS_LICENCE_COUNT_; i++)
		if (strcmp(name, licence_names[i]) == 0)
			t->by_licence[i] = value;
	return 0;
}

static int load_run(struct store_job *job, struct store_db *db)
{
	struct load *l = (struct load *)job;
	int64_t kind = (int64_t)l->m->kind;
	int err = store_exec(db,
			     "SELECT id, seen_ms, name, before, duplicate FROM kms_client WHERE "
			     "kind = ? ORDER BY seen_ms",
			     load_client, l, "i", kind);

	if (err == 0 && kind == KMS_CLIENT_CMID)
		err = store_exec(db, "SELECT cmid, seen_ms FROM kms_count ORDER BY pos", load_count,
				 l, "");
	if (err == 0)
		err = store_exec(db, "SELECT name, value FROM kms_total WHERE kind = ?", load_total,
				 l, "i", kind);
	return err;
}

static void load_done(struct store_job *job, int err)
{
	((struct load *)job)->err = err;
}

int kms_memory_keep(struct kms_memory *m, uv_loop_t *loop, const struct clock *clock,
		    struct store *store)
{
	struct load l = { .job = { .run = load_run, .done = load_done },
			  .m = m,
			  .now_ms = clock_wall_ms(clock) };
	struct kms_saver *v;
	int err = store_submit(store, &l.job);

	if (err == 0) {
		store_flush(store);
		err = l.err;
	}
	if (err != 0)
		return err;
	kms_count_restore(&m->count, l.cap, l.counted, l.n_counted);
	v = calloc(1, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM;
	v->m = m;
	v->clock = clock;
	v->store = store;
	(void)uv_timer_init(loop, &v->timer);
	v->timer.data = v;
	m->saver = v;
	return 0;
}

/* ---- clients ---- */

bool kms_memory_client(struct kms_memory *m, const struct guid *id, const char *name,
		       int64_t now_ms, struct kms_clients_seen *ret)
{
	bool was_short = m->short_of_memory;

	m->short_of_memory = kms_clients_add(&m->clients, id, name, now_ms, ret) != 0;
	if (m->short_of_memory && !was_short)
		log_warning(&log_kms, "kms.not_listed", "text=%s",
			    "out of memory: a client was served, but the list of clients lacks it; "
			    "it is listed when it asks again");
	return !m->short_of_memory;
}

/* ---- life ---- */

void kms_memory_init(struct kms_memory *m, enum kms_client_kind kind, struct rng *rng)
{
	memset(m, 0, sizeof(*m));
	m->kind = kind;
	kms_count_init(&m->count);
	kms_clients_init(&m->clients, KMS_CLIENTS_MAX, rng);
}

void kms_memory_stop(struct kms_memory *m)
{
	struct kms_saver *v = m->saver;
	struct store *store = v != NULL ? v->store : NULL;

	if (store == NULL)
		return;
	if (v->saving) { /* what has changed since must go after it */
		store_flush(store);
		v->again = true;
	}
	if (v->again || uv_is_active((uv_handle_t *)&v->timer))
		save(v);
	v->store = NULL;
	uv_close((uv_handle_t *)&v->timer, NULL);
}

void kms_memory_done(struct kms_memory *m)
{
	kms_clients_done(&m->clients);
	free(m->saver);
	m->saver = NULL;
}
