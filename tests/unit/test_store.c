#include "common/store.h"

#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the above, which it needs */
#include <cmocka.h>

static const char *const zone_v1[] = { "CREATE TABLE zone (name TEXT, n INTEGER, raw BLOB)" };
static const char *const zone_v2[] = {
	"CREATE TABLE zone (name TEXT, n INTEGER, raw BLOB)",
	"ALTER TABLE zone ADD COLUMN view TEXT DEFAULT 'v'; UPDATE zone SET n = n + 1",
};
static const char *const zone_bad[] = {
	"CREATE TABLE zone (name TEXT, n INTEGER, raw BLOB)",
	"ALTER TABLE zone ADD COLUMN view TEXT; this is no SQL",
};
static const struct store_schema schema_v1 = { "zone", zone_v1, 1 };
static const struct store_schema schema_v2 = { "zone", zone_v2, 2 };
static const struct store_schema schema_bad = { "zone", zone_bad, 2 };
static const char *const other_v1[] = { "CREATE TABLE other (x INTEGER)" };
static const struct store_schema schema_other = { "other", other_v1, 1 };

struct fixture {
	char dir[64], path[96];
	struct store *s;
	struct err_info info;
	bool damaged;
	unsigned wakes;
	sem_t gate; /* jobs that stand at it hold up the queue */
};

static void on_wake(void *ctx)
{
	struct fixture *f = ctx;

	__atomic_add_fetch(&f->wakes, 1, __ATOMIC_SEQ_CST);
}

static int open_with(struct fixture *f, const struct store_schema *schema)
{
	const struct store_schema *list[] = { &schema_other, schema };
	/* the store borrows the list */
	static const struct store_schema *kept[2];

	memcpy(kept, list, sizeof(kept));
	return store_new(f->path, kept, 2, on_wake, f, &f->s, &f->damaged, &f->info);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_store.XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	(void)snprintf(f->path, sizeof(f->path), "%s/state.db", f->dir);
	(void)sem_init(&f->gate, 0, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char pattern[128];
	glob_t g;

	store_free(f->s);
	(void)snprintf(pattern, sizeof(pattern), "%s/*", f->dir);
	if (glob(pattern, 0, NULL, &g) == 0) {
		for (size_t i = 0; i < g.gl_pathc; i++)
			(void)unlink(g.gl_pathv[i]);
		globfree(&g);
	}
	(void)rmdir(f->dir);
	(void)sem_destroy(&f->gate);
	free(f);
	return 0;
}

struct job {
	struct store_job base;
	struct fixture *f;
	const char *sql;
	int result; /* what run() returns when its SQL succeeded */
	int64_t number, ended_at;
	int err;
	unsigned done_calls;
	int order;
	bool resubmit_fails;
};

static int done_order;

static int run_sql(struct store_job *base, struct store_db *db)
{
	struct job *j = (struct job *)base;
	int err = store_exec(db, j->sql, NULL, NULL, "");

	return err != 0 ? err : j->result;
}

static int run_insert(struct store_job *base, struct store_db *db)
{
	struct job *j = (struct job *)base;
	int err = store_exec(db, "INSERT INTO zone (name, n, raw) VALUES (?, ?, ?)", NULL, NULL,
			     "tib", "corp.example", j->number, "a\0b", (size_t)3);

	return err != 0 ? err : j->result;
}

static int run_gate(struct store_job *base, struct store_db *db)
{
	struct job *j = (struct job *)base;

	(void)db;
	(void)sem_wait(&j->f->gate);
	return 0;
}

static int take_sum(void *ctx, const struct store_row *row)
{
	*(int64_t *)ctx = store_row_int(row, 0);
	return 0;
}

static int run_select(struct store_job *base, struct store_db *db)
{
	struct job *j = (struct job *)base;

	return store_exec(db, j->sql, take_sum, &j->number, "");
}

static void on_done(struct store_job *base, int err)
{
	struct job *j = (struct job *)base;

	j->err = err;
	j->done_calls++;
	j->order = done_order++;
}

static void submit(struct fixture *f, struct job *j,
		   int (*run)(struct store_job *job, struct store_db *db))
{
	j->base = (struct store_job){ .run = run, .done = on_done };
	j->f = f;
	j->done_calls = 0;
	assert_int_equal(store_submit(f->s, &j->base), 0);
}

static int sql(struct fixture *f, const char *text)
{
	struct job j = { .sql = text };

	submit(f, &j, run_sql);
	store_flush(f->s);
	assert_int_equal(j.done_calls, 1);
	return j.err;
}

static int64_t number(struct fixture *f, const char *text)
{
	struct job j = { .sql = text, .number = -1 };

	submit(f, &j, run_select);
	store_flush(f->s);
	assert_int_equal(j.err, 0);
	return j.number;
}

static void t_jobs_run_in_order(void **state)
{
	struct fixture *f = *state;
	static struct job jobs[200];
	struct stat st;

	assert_int_equal(open_with(f, &schema_v1), 0);
	assert_false(f->damaged);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	memset(jobs, 0, sizeof(jobs));
	done_order = 0;
	for (int i = 0; i < 200; i++) {
		jobs[i].number = i;
		submit(f, &jobs[i], run_insert);
		assert_int_equal(jobs[i].done_calls, 0); /* never inside submit */
	}
	store_flush(f->s);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(jobs[i].err, 0);
		assert_int_equal(jobs[i].done_calls, 1);
		assert_int_equal(jobs[i].order, i);
	}
	assert_true(__atomic_load_n(&f->wakes, __ATOMIC_SEQ_CST) >=
		    199); /* the last wake may still be on its way */
	assert_int_equal(number(f, "SELECT sum(n = rowid - 1) FROM zone"), 200);
	assert_int_equal(number(f, "SELECT count(*) FROM zone WHERE raw = x'610062'"), 200);
}

static void t_dispatch_only_gives_what_has_ended(void **state)
{
	struct fixture *f = *state;
	struct job gate = { 0 };

	assert_int_equal(open_with(f, &schema_v1), 0);
	submit(f, &gate, run_gate);
	store_dispatch(f->s);
	assert_int_equal(gate.done_calls, 0);
	(void)sem_post(&f->gate);
	store_flush(f->s);
	assert_int_equal(gate.done_calls, 1);
	store_dispatch(f->s);
	assert_int_equal(gate.done_calls, 1);
}

static void t_failed_job_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct job j = { .number = 5, .result = ERR_CANCELED };

	assert_int_equal(open_with(f, &schema_v1), 0);
	submit(f, &j, run_insert);
	store_flush(f->s);
	assert_int_equal(j.err, ERR_CANCELED);
	assert_int_equal(number(f, "SELECT count(*) FROM zone"), 0);
	assert_int_equal(sql(f, "this is no SQL"), ERR_INTERNAL);
	assert_int_equal(sql(f, "DELETE FROM zone; DELETE FROM zone"), ERR_INTERNAL);
	assert_int_equal(sql(f, "DELETE FROM zone WHERE n = ?"), ERR_INTERNAL);
	j.result = 0;
	submit(f, &j, run_insert);
	store_flush(f->s);
	assert_int_equal(j.err, 0);
	assert_int_equal(number(f, "SELECT count(*) FROM zone"), 1);
}

static int run_careless(struct store_job *base, struct store_db *db)
{
	struct job *j = (struct job *)base;

	(void)store_exec(db, "INSERT INTO zone (n) VALUES (1)", NULL, NULL, "");
	(void)store_exec(db, "INSERT INTO zone (raw) VALUES (zeroblob(10000000))", NULL, NULL, "");
	j->number = store_exec(db, "INSERT INTO zone (n) VALUES (2)", NULL, NULL, "");
	return 0; /* as if all were well */
}

/* SQLite ends the transaction by itself when the disk is full. */
static void t_full_disk(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };

	assert_int_equal(open_with(f, &schema_v1), 0);
	assert_int_equal(sql(f, "INSERT INTO zone (n) VALUES (7)"), 0);
	assert_int_equal(number(f, "PRAGMA max_page_count = 20"), 20);
	submit(f, &j, run_careless);
	store_flush(f->s);
	assert_int_equal(j.err, ERR_STORE_FULL);
	assert_int_equal(number(f, "SELECT sum(n) FROM zone"), 7);
	assert_int_equal(number(f, "PRAGMA max_page_count = 100000"), 100000);
	assert_int_equal(sql(f, "INSERT INTO zone (n) VALUES (1)"), 0);
	assert_int_equal(number(f, "SELECT sum(n) FROM zone"), 8);
}

struct seen {
	unsigned rows;
	int stop_at;
};

static int look(void *ctx, const struct store_row *row)
{
	struct seen *s = ctx;
	size_t len;
	const void *p;

	s->rows++;
	if (s->rows == 1) {
		assert_string_equal(store_row_text(row, 0), "corp.example");
		assert_int_equal(store_row_int(row, 1), INT64_MIN);
		p = store_row_blob(row, 2, &len);
		assert_int_equal(len, 3);
		assert_memory_equal(p, "a\0b", 3);
	} else {
		assert_string_equal(store_row_text(row, 0), "");
		p = store_row_blob(row, 2, &len);
		assert_int_equal(len, 0);
	}
	return s->stop_at == (int)s->rows ? ERR_LIMIT : 0;
}

static int run_rows(struct store_job *base, struct store_db *db)
{
	struct job *j = (struct job *)base;
	struct seen s = { .stop_at = (int)j->number };
	const char *const select = "SELECT name, n, raw FROM zone ORDER BY rowid";
	int err;

	err = store_exec(db, "INSERT INTO zone VALUES (?, ?, ?)", NULL, NULL, "tib", "corp.example",
			 INT64_MIN, "a\0b", (size_t)3);
	if (err == 0)
		err = store_exec(db, "INSERT INTO zone VALUES (?, ?, ?)", NULL, NULL, "tib",
				 (const char *)NULL, (int64_t)0, (const void *)NULL, (size_t)0);
	if (err == 0)
		err = store_exec(db, select, look, &s, "");
	j->ended_at = s.rows;
	if (err == 0)
		err = store_exec(db, "UPDATE zone SET n = 1", NULL, NULL, "");
	return err;
}

static void t_rows_and_values(void **state)
{
	struct fixture *f = *state;
	struct job j = { .number = 1 };

	assert_int_equal(open_with(f, &schema_v1), 0);
	submit(f, &j, run_rows);
	store_flush(f->s);
	assert_int_equal(j.err, ERR_LIMIT);
	assert_int_equal(j.ended_at, 1);
	j.number = 0;
	submit(f, &j, run_rows);
	store_flush(f->s);
	assert_int_equal(j.err, 0);
	assert_int_equal(j.ended_at, 2);
}

static void reopen(struct fixture *f, const struct store_schema *schema)
{
	store_free(f->s);
	f->s = NULL;
	assert_int_equal(open_with(f, schema), 0);
}

static void t_migrations_run_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(open_with(f, &schema_v1), 0);
	assert_int_equal(sql(f, "INSERT INTO zone (n) VALUES (10)"), 0);
	reopen(f, &schema_v1);
	assert_int_equal(number(f, "SELECT n FROM zone"), 10);
	reopen(f, &schema_v2);
	assert_int_equal(number(f, "SELECT n FROM zone WHERE view = 'v'"), 11);
	reopen(f, &schema_v2);
	assert_int_equal(number(f, "SELECT n FROM zone WHERE view = 'v'"), 11);
}

static void t_failed_migration_changes_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(open_with(f, &schema_v1), 0);
	store_free(f->s);
	f->s = NULL;
	assert_int_equal(open_with(f, &schema_bad), ERR_INTERNAL);
	assert_null(f->s);
	assert_non_null(strstr(f->info.text, "syntax error"));
	reopen(f, &schema_v2); /* the column is not there already */
}

static void t_newer_version_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(open_with(f, &schema_v2), 0);
	store_free(f->s);
	f->s = NULL;
	assert_int_equal(open_with(f, &schema_v1), ERR_STORE_VERSION);
	assert_null(f->s);
	assert_false(f->damaged);
	assert_non_null(strstr(f->info.text, "newer"));
	assert_non_null(strstr(f->info.text, "zone"));
	reopen(f, &schema_v2);
}

static void overwrite(const char *path, off_t at, const char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, at), len);
	assert_int_equal(close(fd), 0);
}

static size_t count_files(const struct fixture *f, const char *pattern)
{
	char full[128];
	glob_t g;
	size_t n = 0;

	(void)snprintf(full, sizeof(full), "%s/%s", f->dir, pattern);
	if (glob(full, 0, NULL, &g) == 0) {
		n = g.gl_pathc;
		globfree(&g);
	}
	return n;
}

static void t_damaged_file_is_moved_aside(void **state)
{
	struct fixture *f = *state;
	char journal[128];

	overwrite(f->path, 0, "this is no database, but text that somebody wrote here", 54);
	(void)snprintf(journal, sizeof(journal), "%s-journal", f->path);
	overwrite(journal, 0, "old", 3); /* must not be played into the new file */
	assert_int_equal(open_with(f, &schema_v1), 0);
	assert_true(f->damaged);
	assert_non_null(strstr(f->info.text, "damaged"));
	assert_non_null(strstr(f->info.text, ".damaged-"));
	assert_int_equal(count_files(f, "state.db.damaged-*Z"), 1);
	assert_int_equal(count_files(f, "state.db-journal"), 0);
	assert_int_equal(sql(f, "INSERT INTO zone (n) VALUES (1)"), 0);
	reopen(f, &schema_v1);
	assert_false(f->damaged);
	assert_int_equal(number(f, "SELECT n FROM zone"), 1);
	/* a second one within the same second gets a name of its own */
	store_free(f->s);
	f->s = NULL;
	overwrite(f->path, 0, "this is no database, but text that somebody wrote here", 54);
	assert_int_equal(open_with(f, &schema_v1), 0);
	assert_true(f->damaged);
	assert_int_equal(count_files(f, "state.db.damaged-*[Z0-9]"), 2);
}

static void t_damage_inside_is_found(void **state)
{
	struct fixture *f = *state;
	char junk[4096];

	assert_int_equal(open_with(f, &schema_v1), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(sql(f, "INSERT INTO zone (raw) VALUES (randomblob(3000))"), 0);
	store_free(f->s);
	f->s = NULL;
	memset(junk, 0xa5, sizeof(junk));
	overwrite(f->path, 4096 * 4, junk, sizeof(junk));
	assert_int_equal(open_with(f, &schema_v1), 0);
	assert_true(f->damaged);
}

static void t_files_that_are_not_ours(void **state)
{
	struct fixture *f = *state;
	sqlite3 *h = NULL;

	assert_int_equal(sqlite3_open(f->path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(h), SQLITE_OK);
	assert_int_equal(open_with(f, &schema_v1), ERR_STORE_OPEN);
	assert_non_null(strstr(f->info.text, "another program"));
	assert_int_equal(count_files(f, "*"), 1);
	(void)snprintf(f->path, sizeof(f->path), "%s/no/state.db", f->dir);
	assert_int_equal(open_with(f, &schema_v1), ERR_STORE_OPEN);
	assert_non_null(strstr(f->info.text, "No such file"));
	(void)snprintf(f->path, sizeof(f->path), "%s", f->dir);
	assert_int_equal(open_with(f, &schema_v1), ERR_STORE_OPEN);
	assert_null(f->s);
}

static void t_queue_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct job gate = { 0 }, more = { 0 };
	struct job *jobs = calloc(STORE_JOBS_MAX, sizeof(*jobs));

	assert_non_null(jobs);
	assert_int_equal(open_with(f, &schema_v1), 0);
	submit(f, &gate, run_gate);
	for (size_t i = 0; i < STORE_JOBS_MAX - 1; i++) {
		jobs[i].sql = "SELECT 1";
		submit(f, &jobs[i], run_select);
	}
	more.base = (struct store_job){ .run = run_gate, .done = on_done };
	assert_int_equal(store_submit(f->s, &more.base), ERR_LIMIT);
	(void)sem_post(&f->gate);
	store_flush(f->s);
	assert_int_equal(more.done_calls, 0);
	for (size_t i = 0; i < STORE_JOBS_MAX - 1; i++)
		assert_int_equal(jobs[i].done_calls, 1);
	assert_int_equal(sql(f, "DELETE FROM zone"), 0);
	free(jobs);
}

static void done_and_again(struct store_job *base, int err)
{
	struct job *j = (struct job *)base;

	on_done(base, err);
	if (j->done_calls < 3)
		j->resubmit_fails = store_submit(j->f->s, base) != 0;
}

static void t_flush_follows_chains(void **state)
{
	struct fixture *f = *state;
	struct job j = { .f = f, .sql = "INSERT INTO zone (n) VALUES (1)" };

	assert_int_equal(open_with(f, &schema_v1), 0);
	j.base = (struct store_job){ .run = run_sql, .done = done_and_again };
	assert_int_equal(store_submit(f->s, &j.base), 0);
	store_flush(f->s);
	assert_int_equal(j.done_calls, 3);
	assert_int_equal(number(f, "SELECT count(*) FROM zone"), 3);
}

static void *open_gate(void *arg)
{
	(void)sem_post(&((struct fixture *)arg)->gate);
	return NULL;
}

static void t_free_finishes_what_is_queued(void **state)
{
	struct fixture *f = *state;
	struct job gate = { 0 }, jobs[20], chain = { .f = f, .sql = "SELECT 1" };
	pthread_t opener;

	memset(jobs, 0, sizeof(jobs));
	assert_int_equal(open_with(f, &schema_v1), 0);
	submit(f, &gate, run_gate);
	for (size_t i = 0; i < 20; i++)
		submit(f, &jobs[i], run_insert);
	chain.base = (struct store_job){ .run = run_select, .done = done_and_again };
	assert_int_equal(store_submit(f->s, &chain.base), 0);
	assert_int_equal(pthread_create(&opener, NULL, open_gate, f), 0);
	store_free(f->s);
	assert_int_equal(pthread_join(opener, NULL), 0);
	f->s = NULL;
	assert_int_equal(gate.done_calls, 1);
	for (size_t i = 0; i < 20; i++) {
		assert_int_equal(jobs[i].done_calls, 1);
		assert_int_equal(jobs[i].err, 0);
	}
	assert_int_equal(chain.done_calls, 1);
	assert_true(chain.resubmit_fails); /* the end has come: no new work */
	assert_int_equal(open_with(f, &schema_v1), 0);
	assert_int_equal(number(f, "SELECT count(*) FROM zone"), 20);
	store_free(NULL);
}

/* What was taken is done, nothing more is taken, and the loop's thread waits for none of it. */
static void t_finish(void **state)
{
	struct fixture *f = *state;
	struct job gate = { 0 }, job = { 0 }, late = { 0 };

	assert_int_equal(open_with(f, &schema_v1), 0);
	submit(f, &gate, run_gate);
	submit(f, &job, run_insert);
	store_finish(f->s);
	assert_int_equal(job.done_calls, 0);
	late.base = (struct store_job){ .run = run_insert };
	assert_int_equal(store_submit(f->s, &late.base), ERR_CLOSED);
	(void)sem_post(&f->gate);
	store_free(f->s);
	f->s = NULL;
	assert_int_equal(gate.done_calls, 1);
	assert_int_equal(job.done_calls, 1);
	assert_int_equal(job.err, 0);
	assert_int_equal(count_files(f, "state.db*"), 1);
	assert_int_equal(open_with(f, &schema_v1), 0);
	assert_int_equal(number(f, "SELECT count(*) FROM zone"), 1);
}

static int write_meanwhile(void *ctx, struct store_db *db)
{
	struct fixture *f = ctx;

	assert_int_equal(store_exec(db, "SELECT n FROM zone", NULL, NULL, ""), 0);
	assert_int_equal(sql(f, "INSERT INTO zone (n) VALUES (2)"), 0);
	return 0;
}

/* Somebody who looks on, for as long as he likes, holds nobody up. */
static void t_a_reader_holds_up_no_job(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(open_with(f, &schema_v1), 0);
	assert_int_equal(sql(f, "INSERT INTO zone (n) VALUES (1)"), 0);
	assert_int_equal(store_read(f->path, write_meanwhile, f), 0);
	assert_int_equal(number(f, "SELECT count(*) FROM zone"), 2);
	reopen(f, &schema_v1);
	assert_int_equal(number(f, "SELECT count(*) FROM zone"), 2);
}

/* Closed, the state is one file, as an administrator copies it. */
static void t_nothing_stands_beside_a_closed_file(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(open_with(f, &schema_v1), 0);
	assert_int_equal(sql(f, "INSERT INTO zone (n) VALUES (1)"), 0);
	store_free(f->s);
	f->s = NULL;
	assert_int_equal(count_files(f, "state.db*"), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(t_jobs_run_in_order),
		T(t_dispatch_only_gives_what_has_ended),
		T(t_failed_job_leaves_nothing),
		T(t_full_disk),
		T(t_rows_and_values),
		T(t_migrations_run_once),
		T(t_failed_migration_changes_nothing),
		T(t_newer_version_is_refused),
		T(t_damaged_file_is_moved_aside),
		T(t_damage_inside_is_found),
		T(t_files_that_are_not_ours),
		T(t_queue_is_bounded),
		T(t_flush_follows_chains),
		T(t_free_finishes_what_is_queued),
		T(t_finish),
		T(t_a_reader_holds_up_no_job),
		T(t_nothing_stands_beside_a_closed_file),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
