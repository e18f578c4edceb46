/**
 * The file that gets a line for every request (relay.log_file), however many there are.
 *
 * Lines are gathered in memory and written in the background, some KiB or REQUEST_LOG_FLUSH_MS at a
 * time, always whole and in order; nothing waits for the disk. Where the file cannot be written (a
 * full disk) lines are dropped and counted, which is logged once, and once more when it works
 * again.
 *
 * The file is opened for appending, mode 0640, so several processes may share it and logrotate may
 * move it: request_log_reopen().
 */
#ifndef KMSBEACON_KMSCORE_REQUEST_LOG_H
#define KMSBEACON_KMSCORE_REQUEST_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/log.h"

#define REQUEST_LOG_BUFFER_MAX (4u << 20) /* lines that wait; and again those being written */
#define REQUEST_LOG_BATCH      (64u << 10)
#define REQUEST_LOG_FLUSH_MS   250

struct request_log;

/** Open @p path. @p loop and @p log are borrowed for its life. @return 0, ERR_NOMEM or -errno, then
 * @p info has the sentence. */
int request_log_new(uv_loop_t *loop, const struct log_ctx *log, const char *path,
		    struct request_log **ret, struct err_info *info);
/** @p line without its end. */
void request_log_add(struct request_log *l, const char *line, size_t len);
/** Go on in @p path as it is now, with all that is not being written yet. On failure, as of
 * request_log_new(), everything stays as it was. */
int request_log_reopen(struct request_log *l, const char *path, struct err_info *info);
/** Lines that were dropped so far. */
uint64_t request_log_lost(const struct request_log *l);
/** Write what is left, then close and free; @p done runs once, from the loop. */
void request_log_free(struct request_log *l, void (*done)(void *ctx), void *ctx);

#endif
