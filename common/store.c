#include "common/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STORE_APP_ID   0x4b4d5342 /* "KMSB": marks the file as ours */
#define STORE_BUSY_MS  5000       /* how long another process may hold the file */
#define STORE_PATH_MAX 4096
#define STORE_MOVE_MAX 100 /* names tried for a damaged file */
#define STORE_KEPT_MAX 8   /* prepared statements */

struct store_db {
	sqlite3 *h;
	bool in_job;
	int broken; /* the error with which SQLite itself ended the transaction; 0: none */
	/** Statements prepared before: a job repeats few of them many times. */
	sqlite3_stmt *kept[STORE_KEPT_MAX];
	size_t next_kept; /* who gives way to a new one */
};

struct store_row {
	sqlite3_stmt *stmt;
};

struct queue {
	struct store_job *head, *tail;
};

struct store {
	struct store_db db; /* the thread's, once it runs */
	void (*wake)(void *ctx);
	void *wake_ctx;
	pthread_t thread;
	pthread_mutex_t lock; /* for all below */
	pthread_cond_t work;  /* there is a job, or the end has come */
	pthread_cond_t idle;  /* a job has ended */
	struct queue todo, done;
	size_t pending; /* submitted, and done() not yet begun */
	size_t in_work; /* submitted, and not yet in `done` */
	bool stopping;
};

static void queue_put(struct queue *q, struct store_job *job)
{
	job->next = NULL;
	if (q->tail != NULL)
		q->tail->next = job;
	else
		q->head = job;
	q->tail = job;
}

static struct store_job *queue_take(struct queue *q)
{
	struct store_job *job = q->head;

	if (job == NULL)
		return NULL;
	q->head = job->next;
	if (q->head == NULL)
		q->tail = NULL;
	return job;
}

/* ---- SQLite ---- */

static int map_error(sqlite3 *h, int rc)
{
	int os = h != NULL ? sqlite3_system_errno(h) : 0;

	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return ERR_STORE_FULL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR_STORE_CORRUPT;
	case SQLITE_NOMEM:
		return ERR_NOMEM;
	case SQLITE_ERROR: /* the SQL is wrong */
	case SQLITE_MISUSE:
	case SQLITE_RANGE:
		return ERR_INTERNAL;
	case SQLITE_IOERR: /* a failed sync of a full disk comes this way */
		return os == ENOSPC || os == EDQUOT ? ERR_STORE_FULL : ERR_STORE_FAILED;
	default:
		return ERR_STORE_FAILED;
	}
}

/* Where it is not told otherwise, SQLite takes 20 pages from the heap for each cache it opens, and
 * writes to all of them. The few that a state file has can come one by one. */
static void configure_sqlite(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
}

static int open_sqlite(const char *path, sqlite3 **ret, int flags)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, configure_sqlite);
	return sqlite3_open_v2(path, ret, flags | SQLITE_OPEN_NOMUTEX, NULL);
}

static int exec_script(sqlite3 *h, const char *sql)
{
	return map_error(h, sqlite3_exec(h, sql, NULL, NULL, NULL));
}

/* The arguments of `?`, by their letters (store.h). */
static int bind_args(sqlite3_stmt *stmt, const char *args, va_list *ap)
{
	int n = 0, rc = SQLITE_OK;

	for (; *args != '\0' && rc == SQLITE_OK; args++) {
		n++;
		switch (*args) {
		case 't':
			rc = sqlite3_bind_text(stmt, n, va_arg(*ap, const char *), -1,
					       SQLITE_STATIC);
			break;
		case 'i':
			rc = sqlite3_bind_int64(stmt, n, va_arg(*ap, int64_t));
			break;
		case 'b': {
			const void *p = va_arg(*ap, const void *);

			rc = sqlite3_bind_blob64(stmt, n, p, va_arg(*ap, size_t), SQLITE_STATIC);
			break;
		}
		default:
			rc = SQLITE_MISUSE;
		}
	}
	if (rc == SQLITE_OK && n != sqlite3_bind_parameter_count(stmt))
		rc = SQLITE_RANGE;
	return rc;
}

static int run_rows(sqlite3 *h, sqlite3_stmt *stmt, store_row_fn *row, void *ctx)
{
	const struct store_row r = { stmt };
	int rc, err;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		err = row != NULL ? row(ctx, &r) : 0;
		if (err != 0)
			return err;
	}
	return map_error(h, rc);
}

static int prepare(struct store_db *db, const char *sql, sqlite3_stmt **ret)
{
	sqlite3_stmt **place;
	const char *tail = "";
	int err;

	for (size_t i = 0; i < STORE_KEPT_MAX; i++) {
		sqlite3_stmt *s = db->kept[i];

		/* one that is busy belongs to a row() that runs the same again */
		if (s != NULL && !sqlite3_stmt_busy(s) && strcmp(sqlite3_sql(s), sql) == 0) {
			*ret = s;
			return 0;
		}
	}
	err = map_error(db->h, sqlite3_prepare_v2(db->h, sql, -1, ret, &tail));
	if (err == 0 && (*ret == NULL || *tail != '\0'))
		err = ERR_INTERNAL; /* one statement, no more */
	place = &db->kept[db->next_kept];
	if (err != 0 || (*place != NULL && sqlite3_stmt_busy(*place)))
		return err;
	(void)sqlite3_finalize(*place);
	*place = *ret;
	db->next_kept = (db->next_kept + 1) % STORE_KEPT_MAX;
	return 0;
}

static void release(struct store_db *db, sqlite3_stmt *stmt)
{
	for (size_t i = 0; i < STORE_KEPT_MAX; i++) {
		if (stmt != NULL && db->kept[i] == stmt) {
			(void)sqlite3_reset(stmt);
			(void)sqlite3_clear_bindings(stmt); /* they were borrowed */
			return;
		}
	}
	(void)sqlite3_finalize(stmt);
}

static void close_db(struct store_db *db)
{
	for (size_t i = 0; i < STORE_KEPT_MAX; i++)
		(void)sqlite3_finalize(db->kept[i]);
	(void)sqlite3_close(db->h);
	*db = (struct store_db){ 0 };
}

int store_exec(struct store_db *db, const char *sql, store_row_fn *row, void *ctx, const char *args,
	       ...)
{
	sqlite3_stmt *stmt = NULL;
	va_list ap;
	int err;

	/* SQLite ends a transaction by itself on some errors. What came after would be committed
	 * statement by statement: refuse it. */
	if (db->broken != 0)
		return db->broken;
	err = prepare(db, sql, &stmt);
	if (err == 0) {
		va_start(ap, args);
		err = map_error(db->h, bind_args(stmt, args, &ap));
		va_end(ap);
	}
	if (err == 0)
		err = run_rows(db->h, stmt, row, ctx);
	release(db, stmt);
	if (db->in_job && sqlite3_get_autocommit(db->h) != 0)
		db->broken = err != 0 ? err : ERR_INTERNAL;
	return err;
}

int64_t store_row_int(const struct store_row *row, int col)
{
	return sqlite3_column_int64(row->stmt, col);
}

const char *store_row_text(const struct store_row *row, int col)
{
	const unsigned char *text = sqlite3_column_text(row->stmt, col);

	return text != NULL ? (const char *)text : "";
}

const void *store_row_blob(const struct store_row *row, int col, size_t *ret_len)
{
	const void *p = sqlite3_column_blob(row->stmt, col);
	int n = sqlite3_column_bytes(row->stmt, col);

	*ret_len = p != NULL && n > 0 ? (size_t)n : 0;
	return p;
}

/* ---- opening ---- */

/* SQLite would make the file readable by everyone; its journal takes the mode of the file. */
static int create_file(const char *path, struct err_info *info)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);

	if (fd < 0)
		return err_set(info, ERR_STORE_OPEN,
			       "cannot open the state file %s: %s; its folder must exist and be "
			       "writable",
			       path, err_text(-errno));
	(void)close(fd);
	return 0;
}

struct int_answer {
	int64_t value;
	bool found;
};

static int take_int(void *ctx, const struct store_row *row)
{
	struct int_answer *a = ctx;

	a->value = store_row_int(row, 0);
	a->found = true;
	return 0;
}

static int take_check(void *ctx, const struct store_row *row)
{
	(void)ctx;
	return strcmp(store_row_text(row, 0), "ok") == 0 ? 0 : ERR_STORE_CORRUPT;
}

static int check_owner(struct store_db *db, const char *path, struct err_info *info)
{
	struct int_answer id = { 0 }, tables = { 0 };
	int err = store_exec(db, "PRAGMA application_id", take_int, &id, "");

	if (err == 0)
		err = store_exec(db, "SELECT count(*) FROM sqlite_master", take_int, &tables, "");
	if (err == 0 && id.value != STORE_APP_ID && (id.value != 0 || tables.value != 0))
		return err_set(info, ERR_STORE_OPEN,
			       "%s is the database of another program; name another state file, "
			       "or move it away",
			       path);
	return err;
}

static const char *why_of(sqlite3 *h)
{
	if (h == NULL)
		return "no memory";
	/* quick_check reports damage as a row, not as an error */
	return sqlite3_errcode(h) == SQLITE_OK || sqlite3_errcode(h) == SQLITE_ROW
		       ? "its check failed"
		       : sqlite3_errmsg(h);
}

/* Keeps what was said first. Call it before a ROLLBACK, which makes SQLite forget. */
static void explain(struct err_info *info, int err, const char *path, sqlite3 *h)
{
	if (info->text[0] == '\0')
		(void)err_set(info, err, "%s: %s (%s)", path, err_text(err), why_of(h));
}

static int migrate_module(struct store_db *db, const struct store_schema *s, const char *path,
			  struct err_info *info)
{
	struct int_answer have = { 0 };
	int err = store_exec(db, "SELECT version FROM store_schema WHERE module = ?", take_int,
			     &have, "t", s->module);

	if (err != 0)
		return err;
	if (have.value > (int64_t)s->n_migrations)
		return err_set(info, ERR_STORE_VERSION,
			       "%s was written by a newer kmsbeacon (%s is at version %lld, this "
			       "one knows %zu); install that version, or move the file away",
			       path, s->module, (long long)have.value, s->n_migrations);
	for (size_t i = (size_t)have.value; i < s->n_migrations && err == 0; i++)
		err = exec_script(db->h, s->migrations[i]);
	if (err == 0 && have.value < (int64_t)s->n_migrations)
		err = store_exec(db, "INSERT OR REPLACE INTO store_schema VALUES (?, ?)", NULL,
				 NULL, "ti", s->module, (int64_t)s->n_migrations);
	return err;
}

static int migrate(struct store_db *db, const struct store_schema *const *schemas, size_t n,
		   const char *path, struct err_info *info)
{
	struct int_answer table = { 0 };
	int err = exec_script(db->h, "BEGIN IMMEDIATE");

	if (err != 0)
		return err;
	err = store_exec(db, "SELECT 1 FROM sqlite_master WHERE name = 'store_schema'", take_int,
			 &table, "");
	if (err == 0 && !table.found)
		err = exec_script(db->h, "PRAGMA application_id = 1263358786;"
					 "CREATE TABLE store_schema (module TEXT PRIMARY KEY, "
					 "version INTEGER NOT NULL) WITHOUT ROWID");
	for (size_t i = 0; i < n && err == 0; i++)
		err = migrate_module(db, schemas[i], path, info);
	if (err == 0)
		err = exec_script(db->h, "COMMIT");
	if (err != 0)
		explain(info, err, path, db->h);
	if (err != 0 && sqlite3_get_autocommit(db->h) == 0)
		(void)exec_script(db->h, "ROLLBACK");
	return err;
}

static int open_db(struct store_db *db, const char *path, const struct store_schema *const *schemas,
		   size_t n, struct err_info *info)
{
	int rc, err;

	info->text[0] = '\0';
	err = create_file(path, info);
	if (err != 0)
		return err;
	rc = open_sqlite(path, &db->h, SQLITE_OPEN_READWRITE);
	if (rc != SQLITE_OK) {
		err = map_error(db->h, rc);
		goto fail;
	}
	(void)sqlite3_extended_result_codes(db->h, 1);
	(void)sqlite3_busy_timeout(db->h, STORE_BUSY_MS);
	err = store_exec(db, "PRAGMA quick_check(1)", take_check, NULL, "");
	if (err == 0)
		err = check_owner(db, path, info);
	/* With a write-ahead log a job costs the disk one sync, with a rollback journal five; a
	 * name server on the same disk waits for each of them too. Where the file system cannot do
	 * that, SQLite keeps to the journal. Then EXTRA matters: it is FULL and a sync of the
	 * folder after the journal is deleted, without which a power cut could bring the journal
	 * back, and undo a job that was reported done. */
	if (err == 0)
		err = exec_script(db->h, "PRAGMA journal_mode = WAL;"
					 "PRAGMA synchronous = EXTRA;"
					 "PRAGMA foreign_keys = ON");
	if (err == 0)
		err = migrate(db, schemas, n, path, info);
	if (err == 0)
		return 0;
fail:
	explain(info, err, path, db->h);
	close_db(db);
	return err;
}

/* The files beside the database go with it: a journal left behind would be played into the new
 * one. */
static int move_damaged(const char *path, char ret_to[STORE_PATH_MAX])
{
	static const char *const suffix[] = { "-journal", "-wal", "-shm", "" };
	char from[STORE_PATH_MAX], to[STORE_PATH_MAX], stamp[32] = "";
	time_t now = time(NULL);
	struct tm tm;
	unsigned try;

	if (gmtime_r(&now, &tm) != NULL)
		(void)strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	for (try = 0; try < STORE_MOVE_MAX; try++) {
		int n = try == 0 ? snprintf(ret_to, STORE_PATH_MAX, "%s.damaged-%s", path, stamp)
				 : snprintf(ret_to, STORE_PATH_MAX, "%s.damaged-%s.%u", path, stamp,
					    try);

		if (n < 0 || n > STORE_PATH_MAX - 16)
			return -ENAMETOOLONG;
		if (access(ret_to, F_OK) != 0)
			break;
	}
	if (try == STORE_MOVE_MAX)
		return -EEXIST;
	for (size_t i = 0; i < sizeof(suffix) / sizeof(suffix[0]); i++) {
		(void)snprintf(from, sizeof(from), "%s%s", path, suffix[i]);
		(void)snprintf(to, sizeof(to), "%s%s", ret_to, suffix[i]);
		if (rename(from, to) != 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

static int open_or_replace(struct store_db *db, const char *path,
			   const struct store_schema *const *schemas, size_t n, bool *ret_damaged,
			   struct err_info *info)
{
	char to[STORE_PATH_MAX];
	struct err_info why;
	int err = open_db(db, path, schemas, n, info);

	if (err != ERR_STORE_CORRUPT)
		return err;
	why = *info;
	err = move_damaged(path, to);
	if (err != 0)
		return err_set(info, ERR_STORE_CORRUPT,
			       "%.300s; it cannot be moved aside: %s; move it away by hand",
			       why.text, err_text(err));
	err = open_db(db, path, schemas, n, info);
	if (err != 0)
		return err;
	*ret_damaged = true;
	(void)err_set(info, 0, "%.250s; it was moved to %.200s and a new one begun", why.text, to);
	return 0;
}

/* ---- the thread ---- */

static int run_job(struct store_db *db, struct store_job *job)
{
	int err = 0;

	/* That of a job before this one, which could not be rolled back then. */
	if (sqlite3_get_autocommit(db->h) == 0)
		err = exec_script(db->h, "ROLLBACK");
	if (err == 0)
		err = exec_script(db->h, "BEGIN");
	if (err != 0)
		return err;
	db->in_job = true;
	db->broken = 0;
	err = job->run(job, db);
	db->in_job = false;
	if (err == 0)
		err = db->broken; /* the job did not look at its errors */
	db->broken = 0;
	if (err == 0)
		err = exec_script(db->h, "COMMIT");
	if (err != 0 && sqlite3_get_autocommit(db->h) == 0)
		(void)exec_script(db->h, "ROLLBACK");
	return err;
}

static void *thread_main(void *arg)
{
	struct store *s = arg;

	(void)pthread_mutex_lock(&s->lock);
	for (;;) {
		struct store_job *job = queue_take(&s->todo);

		if (job == NULL) {
			if (s->stopping)
				break;
			(void)pthread_cond_wait(&s->work, &s->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&s->lock);
		job->err = run_job(&s->db, job);
		(void)pthread_mutex_lock(&s->lock);
		queue_put(&s->done, job);
		s->in_work--;
		(void)pthread_cond_signal(&s->idle);
		(void)pthread_mutex_unlock(&s->lock);
		if (s->wake != NULL)
			s->wake(s->wake_ctx);
		(void)pthread_mutex_lock(&s->lock);
	}
	(void)pthread_mutex_unlock(&s->lock);
	close_db(&s->db);
	return NULL;
}

/* Signals are the main thread's affair. */
static int start_thread(struct store *s)
{
	sigset_t all, before;
	int rc;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&s->thread, NULL, thread_main, s);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

int store_new(const char *path, const struct store_schema *const *schemas, size_t n_schemas,
	      void (*wake)(void *ctx), void *wake_ctx, struct store **ret, bool *ret_damaged,
	      struct err_info *info)
{
	struct err_info unused;
	struct store *s;
	int err;

	*ret = NULL;
	*ret_damaged = false;
	if (info == NULL)
		info = &unused;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(info, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	s->wake = wake;
	s->wake_ctx = wake_ctx;
	err = open_or_replace(&s->db, path, schemas, n_schemas, ret_damaged, info);
	if (err != 0)
		goto fail;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->work, NULL);
	(void)pthread_cond_init(&s->idle, NULL);
	err = start_thread(s);
	if (err != 0) {
		(void)err_set(info, err, "cannot start the thread of the state file: %s",
			      err_text(err));
		close_db(&s->db);
		goto fail;
	}
	*ret = s;
	return 0;
fail:
	free(s);
	return err;
}

int store_read(const char *path, int (*run)(void *ctx, struct store_db *db), void *ctx)
{
	struct store_db db = { 0 };
	struct err_info info = { 0 };
	int rc = open_sqlite(path, &db.h, SQLITE_OPEN_READONLY);
	int err = rc == SQLITE_OK ? 0 : map_error(db.h, rc);

	if (err == 0)
		(void)sqlite3_busy_timeout(db.h, STORE_BUSY_MS);
	if (err == 0)
		err = check_owner(&db, path, &info);
	if (err == 0)
		err = exec_script(db.h, "BEGIN");
	if (err == 0)
		err = run(ctx, &db);
	close_db(&db); /* ends the transaction */
	return err;
}

int store_submit(struct store *s, struct store_job *job)
{
	int err = 0;

	(void)pthread_mutex_lock(&s->lock);
	if (s->stopping) {
		err = ERR_CLOSED;
	} else if (s->pending >= STORE_JOBS_MAX) {
		err = ERR_LIMIT;
	} else {
		queue_put(&s->todo, job);
		s->pending++;
		s->in_work++;
		(void)pthread_cond_signal(&s->work);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return err;
}

void store_dispatch(struct store *s)
{
	for (;;) {
		struct store_job *job;

		(void)pthread_mutex_lock(&s->lock);
		job = queue_take(&s->done);
		if (job != NULL)
			s->pending--;
		(void)pthread_mutex_unlock(&s->lock);
		if (job == NULL)
			return;
		job->done(job, job->err);
	}
}

void store_flush(struct store *s)
{
	bool more = true;

	while (more) {
		(void)pthread_mutex_lock(&s->lock);
		while (s->in_work > 0)
			(void)pthread_cond_wait(&s->idle, &s->lock);
		(void)pthread_mutex_unlock(&s->lock);
		store_dispatch(s);
		(void)pthread_mutex_lock(&s->lock);
		more = s->pending > 0; /* a done() may have submitted the next step */
		(void)pthread_mutex_unlock(&s->lock);
	}
}

void store_finish(struct store *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->stopping = true;
	(void)pthread_cond_signal(&s->work);
	(void)pthread_mutex_unlock(&s->lock);
}

void store_free(struct store *s)
{
	if (s == NULL)
		return;
	store_finish(s);
	(void)pthread_join(s->thread, NULL);
	store_dispatch(s);
	(void)pthread_mutex_destroy(&s->lock);
	(void)pthread_cond_destroy(&s->work);
	(void)pthread_cond_destroy(&s->idle);
	free(s);
}
