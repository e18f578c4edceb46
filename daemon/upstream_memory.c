#include "daemon/upstream_memory.h"

#include <stdlib.h>
#include <string.h>

#include "common/json_memory.h"
#include "common/log.h"

static const struct log_ctx log_memory = { .module = "relay" };

static const char *const migrations[] = {
	"CREATE TABLE relay (what TEXT PRIMARY KEY, value TEXT NOT NULL);",
};

const struct store_schema upstream_memory_schema = {
	.module = "relay",
	.migrations = migrations,
	.n_migrations = sizeof(migrations) / sizeof(migrations[0]),
};

/** The loop's thread leaves it alone while `saving`. */
struct save {
	struct store_job job; /* first */
	struct upstream_memory *m;
	char *drained, *known; /* text of them, NULL: none */
};

struct upstream_memory {
	struct store *store; /* NULL: none */
	json_t *drained;     /* {name: since_ms} */
	json_t *known;       /* NULL: nothing */
	struct save save;
	bool saving;
	bool dirty;
};

/* ---- reading ---- */

struct load {
	struct store_job job; /* first */
	struct upstream_memory *m;
	int err;
};

/* In the store's thread, while the loop's waits for it. */
static int load_row(void *ctx, const struct store_row *row)
{
	struct upstream_memory *m = ctx;
	const char *what = store_row_text(row, 0);
	json_t *value = json_loads(store_row_text(row, 1), 0, NULL);

	if (value == NULL)
		return ERR_STORE_FAILED;
	if (strcmp(what, "drained") == 0 && json_is_object(value))
		(void)json_object_update(m->drained, value);
	else if (strcmp(what, "known") == 0 && m->known == NULL)
		m->known = json_incref(value);
	json_decref(value);
	return 0;
}

static int load_run(struct store_job *job, struct store_db *db)
{
	struct load *l = (struct load *)job;

	return store_exec(db, "SELECT what, value FROM relay", load_row, l->m, "");
}

static void load_done(struct store_job *job, int err)
{
	((struct load *)job)->err = err;
}

static void load(struct upstream_memory *m)
{
	struct load l = { .job = { .run = load_run, .done = load_done }, .m = m };
	int err = store_submit(m->store, &l.job);

	if (err == 0) {
		store_flush(m->store);
		err = l.err;
	}
	if (err != 0)
		log_error(&log_memory, "relay.memory", "err=%s text=%s", err_name(err),
			  "what the state file has of upstreams cannot be read: none is drained, "
			  "and their names are looked up first");
}

/* ---- writing ---- */

static int save_run(struct store_job *job, struct store_db *db)
{
	struct save *s = (struct save *)job;
	int err = store_exec(db, "DELETE FROM relay", NULL, NULL, "");

	if (err == 0 && s->drained != NULL)
		err = store_exec(db, "INSERT INTO relay VALUES ('drained', ?)", NULL, NULL, "t",
				 s->drained);
	if (err == 0 && s->known != NULL)
		err = store_exec(db, "INSERT INTO relay VALUES ('known', ?)", NULL, NULL, "t",
				 s->known);
	return err;
}

static void save_next(struct upstream_memory *m);

static void save_done(struct store_job *job, int err)
{
	struct save *s = (struct save *)job;
	struct upstream_memory *m = s->m;

	free(s->drained);
	free(s->known);
	m->saving = false;
	if (err != 0) {
		m->dirty = true;
		log_error(&log_memory, "relay.memory", "err=%s text=%s", err_name(err),
			  "the state of upstreams could not be written; it is written with the "
			  "next change");
		return;
	}
	save_next(m);
}

static void save_next(struct upstream_memory *m)
{
	struct save *s = &m->save;

	if (m->store == NULL || m->saving || !m->dirty)
		return;
	*s = (struct save){ .job = { .run = save_run, .done = save_done }, .m = m };
	s->drained = json_memory_text(m->drained, JSON_COMPACT);
	s->known = m->known != NULL ? json_memory_text(m->known, JSON_COMPACT) : NULL;
	m->dirty = false;
	m->saving = true;
	/* Half of it would replace the whole of before. */
	if (s->drained == NULL || (m->known != NULL && s->known == NULL) ||
	    store_submit(m->store, &s->job) != 0)
		save_done(&s->job, ERR_NOMEM);
}

static void changed(struct upstream_memory *m)
{
	m->dirty = true;
	save_next(m);
}

/* ---- the outside ---- */

int upstream_memory_new(struct store *store, struct upstream_memory **ret)
{
	struct upstream_memory *m = calloc(1, sizeof(*m));

	*ret = NULL;
	if (m != NULL)
		m->drained = json_object();
	if (m == NULL || m->drained == NULL) {
		free(m);
		return ERR_NOMEM;
	}
	m->store = store;
	if (store != NULL)
		load(m);
	*ret = m;
	return 0;
}

void upstream_memory_free(struct upstream_memory *m)
{
	if (m == NULL)
		return;
	json_decref(m->drained);
	json_decref(m->known);
	free(m);
}

bool upstream_memory_drained(const struct upstream_memory *m, const char *name,
			     int64_t *ret_since_ms)
{
	const json_t *since = json_object_get(m->drained, name);

	if (ret_since_ms != NULL)
		*ret_since_ms = (int64_t)json_integer_value(since);
	return since != NULL;
}

int upstream_memory_drain(struct upstream_memory *m, const char *name, int64_t since_ms)
{
	if (m->store == NULL)
		return ERR_STORE_OPEN;
	if (json_object_get(m->drained, name) == NULL &&
	    json_object_size(m->drained) >= UPSTREAM_DRAINS_MAX)
		return ERR_LIMIT;
	if (json_object_set_new(m->drained, name, json_integer((json_int_t)since_ms)) != 0)
		return ERR_NOMEM;
	changed(m);
	return 0;
}

size_t upstream_memory_resume(struct upstream_memory *m, const char *name)
{
	size_t n = json_object_size(m->drained);

	if (name == NULL)
		(void)json_object_clear(m->drained);
	else
		(void)json_object_del(m->drained, name);
	n -= json_object_size(m->drained);
	if (n > 0)
		changed(m);
	return n;
}

const json_t *upstream_memory_known(const struct upstream_memory *m)
{
	return m->known;
}

void upstream_memory_learn(struct upstream_memory *m, json_t *known)
{
	bool same = m->known != NULL && known != NULL && json_equal(m->known, known) == 1;

	json_decref(m->known);
	m->known = known;
	if (!same)
		changed(m);
}
