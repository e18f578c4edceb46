/**
 * State on disk: one SQLite file, owned by one thread of its own that takes jobs in order.
 *
 * The loop's thread submits a job and gets it back, done, from store_dispatch(). Nothing here knows
 * about libuv: the owner passes `wake`, which the store's thread calls (uv_async_send fits) when a
 * job is done.
 *
 * Modules own their tables: each declares a struct store_schema with its migrations, applied in
 * order inside one transaction when the store opens. A file written by a newer version is refused
 * (ERR_STORE_VERSION); a damaged one is moved aside to PATH.damaged-TIME, reported, and a new one
 * begun, because a broken state file must not stop DNS from being right (design §8).
 *
 * Durability: a job that returned success is on disk. A write-ahead log stands beside the file
 * while the store is open (PATH-wal, PATH-shm): what is copied meanwhile must be copied with it.
 * Closing folds it in; after a crash the next open does.
 */
#ifndef KMSBEACON_COMMON_STORE_H
#define KMSBEACON_COMMON_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct store;
struct store_db; /* the connection, valid inside run() only */
struct store_row;

struct store_schema {
	const char *module;            /* key of its version in the file */
	const char *const *migrations; /* SQL scripts; [i] takes version i to i+1; never edited once
					  released */
	size_t n_migrations;
};

/** One unit of work; the caller owns the memory until done() and usually embeds this first in its
 * own. */
struct store_job {
	/** In the store's thread, inside one transaction: commit on 0, rollback otherwise. */
	int (*run)(struct store_job *job, struct store_db *db);
	/** In the loop's thread, from store_dispatch(). Exactly once. May free the job. */
	void (*done)(struct store_job *job, int err);
	/* private */
	struct store_job *next;
	int err;
};

#define STORE_JOBS_MAX 65536 /* submitted and not yet handed back; submit refuses beyond */

/**
 * Open (creating it, mode 0600) and start the thread. @p schemas is borrowed for the store's life.
 * @p ret_damaged tells whether a damaged file was moved aside (then @p info has the sentence,
 * though the result is 0). On failure @p info says what and what to do.
 */
int store_new(const char *path, const struct store_schema *const *schemas, size_t n_schemas,
	      void (*wake)(void *ctx), void *wake_ctx, struct store **ret, bool *ret_damaged,
	      struct err_info *info);
/**
 * Look into a state file that may be another process's, at once and in this thread: @p run reads
 * inside one transaction, which holds up no job. Nothing is migrated or moved aside; no file is
 * made but what SQLite needs beside one whose owner crashed. 0, what @p run said,
 * or an error where there is no such file or it cannot be read.
 */
int store_read(const char *path, int (*run)(void *ctx, struct store_db *db), void *ctx);
/** Take no more jobs: the thread finishes what is queued and closes the file, while the caller does
 * something else before store_free(). */
void store_finish(struct store *s);
/** Finish what is queued, then stop the thread and close. done() of every job has run on return. */
void store_free(struct store *s);
/** @return 0, or ERR_LIMIT, or ERR_CLOSED after store_finish() and from inside a done() that
 * store_free() runs; then done() will not run. */
int store_submit(struct store *s, struct store_job *job);
/** Run done() of the jobs that have ended. The owner calls it after `wake`. */
void store_dispatch(struct store *s);
/** Wait for all queued jobs and dispatch them, and those that their done() submits, until none is
 * left; for commands that have nothing else to do. */
void store_flush(struct store *s);

/**
 * One SQL statement, with @p args for its `?` in order: t = const char * (NULL is SQL NULL), i =
 * int64_t, b = const void *, size_t. @p row (may be NULL) runs for each row; non-zero from it stops
 * with that code. Exactly one statement, no BEGIN or COMMIT: the transaction is the job's.
 * @return 0, STORE_* (ERR_STORE_FULL: the disk is full), ERR_INTERNAL for SQL that is wrong, or
 * what row() returned. A violated constraint is ERR_STORE_FAILED.
 */
typedef int store_row_fn(void *ctx, const struct store_row *row);
int store_exec(struct store_db *db, const char *sql, store_row_fn *row, void *ctx, const char *args,
	       ...);

int64_t store_row_int(const struct store_row *row, int col);
/** Borrowed during row(); "" where NULL. */
const char *store_row_text(const struct store_row *row, int col);
const void *store_row_blob(const struct store_row *row, int col, size_t *ret_len);

#endif
