/* The journal's tables: loading them, and writing what changed in one transaction. */
#include <stdlib.h>
#include <string.h>

#include "publisher/journal_priv.h"

static const char *const migrations[] = {
	/* version 1 */
	"CREATE TABLE pub_set ("
	" zone TEXT NOT NULL, view TEXT NOT NULL, owner TEXT NOT NULL, domain TEXT NOT NULL,"
	" servers TEXT NOT NULL, key TEXT NOT NULL,"
	" ttl_asked INTEGER NOT NULL, ttl_got INTEGER NOT NULL,"
	" PRIMARY KEY (zone, view, owner)) WITHOUT ROWID;"
	"CREATE TABLE pub_record ("
	" zone TEXT NOT NULL, view TEXT NOT NULL, owner TEXT NOT NULL,"
	" priority INTEGER NOT NULL, weight INTEGER NOT NULL, port INTEGER NOT NULL,"
	" target TEXT NOT NULL, host TEXT NOT NULL, state TEXT NOT NULL,"
	" returns INTEGER NOT NULL, since_ms INTEGER NOT NULL,"
	" PRIMARY KEY (zone, view, owner, target, port, priority, weight)) WITHOUT ROWID;"
	"CREATE TABLE pub_hold ("
	" domain TEXT NOT NULL, view TEXT NOT NULL, host TEXT NOT NULL, since_ms INTEGER NOT NULL,"
	" PRIMARY KEY (domain, view, host)) WITHOUT ROWID;",
	/* version 2: drains know when they are through */
	"ALTER TABLE pub_hold ADD COLUMN clear_ms INTEGER NOT NULL DEFAULT 0;",
};

const struct store_schema pub_journal_schema = {
	.module = "publisher",
	.migrations = migrations,
	.n_migrations = sizeof(migrations) / sizeof(migrations[0]),
};

/* ---- loading ---- */

struct load {
	struct store_job job;
	struct pub_journal *j;
	int err;
};

/* A row that cannot be read is passed over: what is not known to be ours is not deleted. */
static int load_set(void *ctx, const struct store_row *row)
{
	struct load *l = ctx;
	struct dns_name zone, owner, domain;
	struct pub_set *set;

	if (dns_name_parse(store_row_text(row, 0), &zone) != ERR_OK ||
	    dns_name_parse(store_row_text(row, 2), &owner) != ERR_OK ||
	    dns_name_parse(store_row_text(row, 3), &domain) != ERR_OK)
		return ERR_OK;
	set = pub_journal_need(l->j, &domain, &zone, store_row_text(row, 1), &owner);
	if (set == NULL)
		return ERR_NOMEM;
	if (pub_journal_set_way(l->j, set, store_row_text(row, 4), store_row_text(row, 5)) !=
	    ERR_OK)
		return ERR_NOMEM;
	set->ttl_asked = (uint32_t)store_row_int(row, 6);
	set->ttl_got = (uint32_t)store_row_int(row, 7);
	set->dirty = false;
	return ERR_OK;
}

static enum pub_rec_state state_of(const char *name)
{
	for (int s = PUB_REC_NONE; s < PUB_REC_STATE_COUNT_; s++)
		if (strcmp(pub_rec_state_name((enum pub_rec_state)s), name) == 0)
			return (enum pub_rec_state)s;
	return PUB_REC_NONE;
}

static bool as_u16(int64_t n, uint16_t *ret)
{
	*ret = (uint16_t)n;
	return n >= 0 && n <= UINT16_MAX;
}

static int load_record(void *ctx, const struct store_row *row)
{
	struct load *l = ctx;
	struct dns_name zone, owner;
	enum pub_rec_state state = state_of(store_row_text(row, 8));
	struct dns_srv srv;
	struct pub_set *set;
	struct pub_rec *rec;
	int err;

	if (dns_name_parse(store_row_text(row, 0), &zone) != ERR_OK ||
	    dns_name_parse(store_row_text(row, 2), &owner) != ERR_OK ||
	    !as_u16(store_row_int(row, 3), &srv.priority) ||
	    !as_u16(store_row_int(row, 4), &srv.weight) ||
	    !as_u16(store_row_int(row, 5), &srv.port) ||
	    dns_name_parse(store_row_text(row, 6), &srv.target) != ERR_OK || state == PUB_REC_NONE)
		return ERR_OK;
	set = pub_journal_find(l->j, &zone, store_row_text(row, 1), &owner);
	if (set == NULL)
		return ERR_OK;
	err = pub_journal_mark(l->j, set, &srv, store_row_text(row, 7), state,
			       (unsigned)store_row_int(row, 9), store_row_int(row, 10));
	rec = pub_set_rec(set, &srv);
	if (rec != NULL)
		rec->dirty = false;
	set->dirty = false;
	return err == ERR_LIMIT ? ERR_OK : err;
}

static int load_hold(void *ctx, const struct store_row *row)
{
	struct load *l = ctx;
	size_t before = l->j->n_holds;
	struct dns_name domain;
	int err;

	if (dns_name_parse(store_row_text(row, 0), &domain) != ERR_OK)
		return ERR_OK;
	err = pub_journal_hold(l->j, &domain, store_row_text(row, 1), store_row_text(row, 2),
			       store_row_int(row, 3));
	/* the same name in other letters is no further hold; we never write that */
	if (err == ERR_OK && l->j->n_holds > before) {
		l->j->holds[l->j->n_holds - 1]->clear_ms = store_row_int(row, 4);
		l->j->holds[l->j->n_holds - 1]->dirty = false;
	}
	return err;
}

static int load_all(void *ctx, struct store_db *db)
{
	struct load *l = ctx;
	int err;

	err = store_exec(db,
			 "SELECT zone, view, owner, domain, servers, key, ttl_asked, ttl_got "
			 "FROM pub_set",
			 load_set, l, "");
	if (err == ERR_OK)
		err = store_exec(db,
				 "SELECT zone, view, owner, priority, weight, port, target, host, "
				 "state, returns, since_ms FROM pub_record",
				 load_record, l, "");
	if (err == ERR_OK)
		err = store_exec(db, "SELECT domain, view, host, since_ms, clear_ms FROM pub_hold",
				 load_hold, l, "");
	return err;
}

static int load_run(struct store_job *job, struct store_db *db)
{
	return load_all(job, db);
}

static void load_done(struct store_job *job, int err)
{
	((struct load *)job)->err = err;
}

int pub_journal_new(struct store *store, struct pub_journal **ret, struct err_info *info)
{
	struct load l = { .job = { .run = load_run, .done = load_done } };
	int err;

	*ret = NULL;
	l.j = calloc(1, sizeof(*l.j));
	if (l.j == NULL)
		return err_set(info, ERR_NOMEM, "the journal cannot be loaded: out of memory");
	l.j->store = store;
	err = store_submit(store, &l.job);
	if (err == ERR_OK) {
		store_flush(store);
		err = l.err;
	}
	if (err != ERR_OK) {
		pub_journal_free(l.j);
		return err_set(info, err, "the journal of published records cannot be loaded: %s",
			       err_text(err));
	}
	l.j->dirty = false;
	*ret = l.j;
	return ERR_OK;
}

int pub_journal_read(const char *path, struct pub_journal **ret)
{
	struct load l = { .j = calloc(1, sizeof(*l.j)) };
	int err = l.j != NULL ? store_read(path, load_all, &l) : ERR_NOMEM;

	*ret = NULL;
	if (err == ERR_OK)
		*ret = l.j;
	else
		pub_journal_free(l.j);
	return err;
}

/* ---- writing ---- */

enum row_kind { ROW_SET, ROW_REC, ROW_HOLD };

/* What the store's thread needs of one row, and what tells afterwards whether the row in memory is
 * still the same. */
struct pub_sync_row {
	enum row_kind kind;
	bool drop;
	uint32_t gen;
	struct pub_set *set;   /* the loop's thread only */
	struct pub_hold *hold; /* likewise */
	struct dns_name zone, owner, domain;
	struct dns_srv srv;
	char *view, *host, *servers, *key;
	enum pub_rec_state state;
	unsigned returns;
	int64_t since_ms;
	int64_t clear_ms;
	uint32_t ttl_asked, ttl_got;
};

static void rows_free(struct pub_sync *s)
{
	for (size_t i = 0; i < s->n_rows; i++) {
		free(s->rows[i].view);
		free(s->rows[i].host);
		free(s->rows[i].servers);
		free(s->rows[i].key);
	}
	free(s->rows);
	s->rows = NULL;
	s->n_rows = 0;
}

static int write_set(const struct pub_sync_row *r, struct store_db *db)
{
	char zone[DNSNAME_TEXT_MAX], owner[DNSNAME_TEXT_MAX], domain[DNSNAME_TEXT_MAX];

	dns_name_format(&r->zone, zone);
	dns_name_format(&r->owner, owner);
	if (r->drop)
		return store_exec(db,
				  "DELETE FROM pub_set WHERE zone = ? AND view = ? AND owner = ?",
				  NULL, NULL, "ttt", zone, r->view, owner);
	return store_exec(db, "INSERT OR REPLACE INTO pub_set VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			  NULL, NULL, "ttttttii", zone, r->view, owner,
			  dns_name_format(&r->domain, domain), r->servers, r->key,
			  (int64_t)r->ttl_asked, (int64_t)r->ttl_got);
}

static int write_rec(const struct pub_sync_row *r, struct store_db *db)
{
	char zone[DNSNAME_TEXT_MAX], owner[DNSNAME_TEXT_MAX], target[DNSNAME_TEXT_MAX];

	dns_name_format(&r->zone, zone);
	dns_name_format(&r->owner, owner);
	dns_name_format(&r->srv.target, target);
	if (r->drop)
		return store_exec(
			db,
			"DELETE FROM pub_record WHERE zone = ? AND view = ? AND owner = ? "
			"AND target = ? AND port = ? AND priority = ? AND weight = ?",
			NULL, NULL, "ttttiii", zone, r->view, owner, target, (int64_t)r->srv.port,
			(int64_t)r->srv.priority, (int64_t)r->srv.weight);
	return store_exec(
		db, "INSERT OR REPLACE INTO pub_record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		NULL, NULL, "tttiiitttii", zone, r->view, owner, (int64_t)r->srv.priority,
		(int64_t)r->srv.weight, (int64_t)r->srv.port, target, r->host,
		pub_rec_state_name(r->state), (int64_t)r->returns, r->since_ms);
}

static int write_hold(const struct pub_sync_row *r, struct store_db *db)
{
	char domain[DNSNAME_TEXT_MAX];

	dns_name_format(&r->domain, domain);
	if (r->drop)
		return store_exec(db,
				  "DELETE FROM pub_hold WHERE domain = ? AND view = ? AND host = ?",
				  NULL, NULL, "ttt", domain, r->view, r->host);
	return store_exec(db, "INSERT OR REPLACE INTO pub_hold VALUES (?, ?, ?, ?, ?)", NULL, NULL,
			  "tttii", domain, r->view, r->host, r->since_ms, r->clear_ms);
}

static struct pub_sync *sync_of(struct store_job *job)
{
	return (struct pub_sync *)(void *)((char *)job - offsetof(struct pub_sync, job));
}

static int sync_run(struct store_job *job, struct store_db *db)
{
	struct pub_sync *s = sync_of(job);
	int err = ERR_OK;

	for (size_t i = 0; err == ERR_OK && i < s->n_rows; i++) {
		switch (s->rows[i].kind) {
		case ROW_SET:
			err = write_set(&s->rows[i], db);
			break;
		case ROW_REC:
			err = write_rec(&s->rows[i], db);
			break;
		case ROW_HOLD:
			err = write_hold(&s->rows[i], db);
			break;
		}
	}
	return err;
}

static void row_is_written(struct pub_sync_row *r)
{
	struct pub_rec *rec;

	switch (r->kind) {
	case ROW_SET:
		if (r->set->gen == r->gen)
			r->set->dirty = false;
		return;
	case ROW_REC:
		rec = pub_set_rec(r->set, &r->srv);
		if (rec != NULL && rec->gen == r->gen)
			rec->dirty = false;
		if (r->drop)
			pub_set_drop_clean(r->set);
		return;
	case ROW_HOLD:
		if (r->hold->gen == r->gen)
			r->hold->dirty = false;
		return;
	}
}

static bool anything_dirty(const struct pub_journal *j)
{
	for (size_t i = 0; i < j->n_sets; i++) {
		if (j->sets[i]->dirty)
			return true;
		for (size_t k = 0; k < j->sets[i]->n_recs; k++)
			if (j->sets[i]->recs[k].dirty)
				return true;
	}
	for (size_t i = 0; i < j->n_holds; i++)
		if (j->holds[i]->dirty)
			return true;
	return false;
}

static void sync_done(struct store_job *job, int err)
{
	struct pub_sync *s = sync_of(job);
	pub_sync_done_fn *done = s->done;

	for (size_t i = 0; err == ERR_OK && i < s->n_rows; i++)
		row_is_written(&s->rows[i]);
	s->journal->dirty = anything_dirty(s->journal);
	rows_free(s);
	done(s, err);
}

static size_t count_rows(const struct pub_journal *j)
{
	size_t n = 0;

	for (size_t i = 0; i < j->n_sets; i++) {
		n += j->sets[i]->dirty;
		for (size_t k = 0; k < j->sets[i]->n_recs; k++)
			n += j->sets[i]->recs[k].dirty;
	}
	for (size_t i = 0; i < j->n_holds; i++)
		n += j->holds[i]->dirty;
	return n;
}

static bool has_rows(const struct pub_set *set)
{
	for (size_t i = 0; i < set->n_recs; i++)
		if (set->recs[i].state != PUB_REC_NONE)
			return true;
	return false;
}

static struct pub_sync_row *set_row(struct pub_sync *s, enum row_kind kind, struct pub_set *set)
{
	struct pub_sync_row *r = &s->rows[s->n_rows++];

	r->kind = kind;
	r->set = set;
	r->zone = set->zone;
	r->owner = set->owner;
	r->view = strdup(set->view);
	return r;
}

static bool copy_set(struct pub_sync *s, struct pub_set *set)
{
	bool ok = true;

	if (set->dirty) {
		struct pub_sync_row *r = set_row(s, ROW_SET, set);

		r->gen = set->gen;
		r->domain = set->domain;
		r->drop = !has_rows(set);
		r->ttl_asked = set->ttl_asked;
		r->ttl_got = set->ttl_got;
		r->servers = strdup(set->servers);
		r->key = strdup(set->key_handle);
		ok = r->view != NULL && r->servers != NULL && r->key != NULL;
	}
	for (size_t i = 0; i < set->n_recs; i++) {
		const struct pub_rec *rec = &set->recs[i];
		struct pub_sync_row *r;

		if (!rec->dirty)
			continue;
		r = set_row(s, ROW_REC, set);
		r->gen = rec->gen;
		r->drop = rec->state == PUB_REC_NONE;
		r->srv = rec->srv;
		r->state = rec->state;
		r->returns = rec->returns;
		r->since_ms = rec->since_ms;
		r->host = strdup(rec->host);
		ok = ok && r->view != NULL && r->host != NULL;
	}
	return ok;
}

static bool copy_hold(struct pub_sync *s, struct pub_hold *h)
{
	struct pub_sync_row *r;

	if (!h->dirty)
		return true;
	r = &s->rows[s->n_rows++];
	r->kind = ROW_HOLD;
	r->hold = h;
	r->gen = h->gen;
	r->drop = h->lifted;
	r->domain = h->domain;
	r->since_ms = h->since_ms;
	r->clear_ms = h->clear_ms;
	r->view = strdup(h->view);
	r->host = strdup(h->host);
	return r->view != NULL && r->host != NULL;
}

int pub_journal_sync(struct pub_journal *j, struct pub_sync *s, pub_sync_done_fn *done)
{
	size_t n = count_rows(j);
	bool ok = true;
	int err;

	s->journal = j;
	s->done = done;
	s->job.run = sync_run;
	s->job.done = sync_done;
	s->n_rows = 0;
	s->rows = calloc(n > 0 ? n : 1, sizeof(*s->rows));
	if (s->rows == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < j->n_sets; i++)
		ok = copy_set(s, j->sets[i]) && ok;
	for (size_t i = 0; i < j->n_holds; i++)
		ok = copy_hold(s, j->holds[i]) && ok;
	err = ok ? store_submit(j->store, &s->job) : ERR_NOMEM;
	if (err != ERR_OK)
		rows_free(s);
	return err;
}
