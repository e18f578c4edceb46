#include "kmscore/request_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"

struct request_log {
	uv_loop_t *loop;
	const struct log_ctx *log;
	char *path;
	int fd;
	int next_fd; /* takes over after the write that is under way; -1: none */
	uv_timer_t timer;
	uv_fs_t req;
	struct buf fill;   /* lines that wait */
	struct buf flight; /* lines being written, from `written` on */
	size_t written;
	bool writing;
	bool failing; /* which was said */
	bool cut;     /* the file ends within a line */
	bool ending;
	uint64_t lost;          /* lines */
	uint64_t lost_before;   /* when it worked last */
	uint64_t lost_at_start; /* of the write */
	void (*done)(void *ctx);
	void *done_ctx;
};

static void on_written(uv_fs_t *req);
static void on_timer(uv_timer_t *t);

static int open_file(const char *path, int *ret_fd, struct err_info *info)
{
	/* NONBLOCK: a FIFO that nobody reads is an error, and no reason to wait. */
	int fd =
		open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

	if (fd < 0)
		return err_set(info, -errno, "cannot open %s: %s", path, err_text(-errno));
	*ret_fd = fd;
	return 0;
}

int request_log_new(uv_loop_t *loop, const struct log_ctx *log, const char *path,
		    struct request_log **ret, struct err_info *info)
{
	struct request_log *l = calloc(1, sizeof(*l));
	int err;

	if (l == NULL)
		return err_set(info, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	l->path = strdup(path);
	err = l->path == NULL ? err_set(info, ERR_NOMEM, "%s", err_text(ERR_NOMEM))
			      : open_file(path, &l->fd, info);
	if (err != 0) {
		free(l->path);
		free(l);
		return err;
	}
	l->loop = loop;
	l->log = log;
	l->next_fd = -1;
	buf_init(&l->fill, REQUEST_LOG_BUFFER_MAX);
	buf_init(&l->flight, REQUEST_LOG_BUFFER_MAX);
	(void)uv_timer_init(loop, &l->timer);
	l->timer.data = l;
	l->req.data = l;
	*ret = l;
	return 0;
}

/* Failing */

static void failed(struct request_log *l, int err)
{
	if (!l->failing)
		log_warning(
			l->log, "request_log.failed", "file=%s err=%s text=%s", l->path,
			err_name(err),
			err == ERR_LIMIT
				? "the disk takes lines of requests slower than they come: "
				  "some are left out"
				: "lines of requests are left out until it can be written again");
	l->failing = true;
}

static void works(struct request_log *l)
{
	if (l->lost != l->lost_at_start)
		return; /* not fast enough, still */
	if (l->failing)
		log_info(l->log, "request_log.works", "file=%s lost=%llu text=%s", l->path,
			 (unsigned long long)(l->lost - l->lost_before),
			 "the file of requests is written again");
	l->failing = false;
	l->lost_before = l->lost;
}

/** The rest of what was to be written is given up. */
static void drop_flight(struct request_log *l, int err)
{
	const uint8_t *at = l->flight.data + l->written, *end = l->flight.data + l->flight.len;

	if (l->written > 0)
		l->cut = at[-1] != '\n';
	for (; at < end; at++)
		l->lost += *at == '\n';
	failed(l, err);
}

/* Writing */

static void start_write(struct request_log *l)
{
	uv_buf_t b = uv_buf_init((char *)l->flight.data + l->written,
				 (unsigned)(l->flight.len - l->written));
	int err = uv_fs_write(l->loop, &l->req, l->fd, &b, 1, -1, on_written);

	l->writing = err == 0;
	if (err != 0)
		drop_flight(l, err);
}

static void flush(struct request_log *l)
{
	struct buf swap = l->flight;

	if (l->writing || l->fill.len == 0)
		return;
	uv_timer_stop(&l->timer);
	l->flight = l->fill;
	l->fill = swap;
	buf_clear(&l->fill);
	l->written = 0;
	l->lost_at_start = l->lost;
	start_write(l);
}

static void on_timer_closed(uv_handle_t *h)
{
	struct request_log *l = h->data;
	void (*done)(void *) = l->done;
	void *ctx = l->done_ctx;

	buf_done(&l->fill);
	buf_done(&l->flight);
	free(l->path);
	free(l);
	done(ctx);
}

/** Write on, or end. */
static void go_on(struct request_log *l)
{
	if (l->next_fd >= 0) {
		close(l->fd);
		l->fd = l->next_fd;
		l->next_fd = -1;
		l->cut = false;
	}
	if (l->ending || l->fill.len >= REQUEST_LOG_BATCH)
		flush(l);
	if (l->writing || !l->ending)
		return;
	close(l->fd);
	uv_close((uv_handle_t *)&l->timer, on_timer_closed);
}

static void on_written(uv_fs_t *req)
{
	struct request_log *l = req->data;
	ssize_t n = req->result;

	uv_fs_req_cleanup(req);
	l->writing = false;
	if (n > 0) {
		l->written += (size_t)n;
		if (l->written < l->flight.len) {
			start_write(l);
			if (l->writing)
				return;
		} else {
			works(l);
		}
	} else {
		drop_flight(l, n < 0 ? (int)n : -EIO);
	}
	go_on(l);
	if (!l->ending && !l->writing && l->fill.len > 0)
		(void)uv_timer_start(&l->timer, on_timer, REQUEST_LOG_FLUSH_MS, 0);
}

static void on_timer(uv_timer_t *t)
{
	flush(t->data);
}

void request_log_add(struct request_log *l, const char *line, size_t len)
{
	size_t all = len + 1 + l->cut;
	uint8_t *at;

	if (l->ending)
		return;
	if (buf_reserve(&l->fill, all, &at) != 0) {
		l->lost++;
		failed(l, ERR_LIMIT);
		return;
	}
	if (l->cut)
		*at++ = '\n';
	l->cut = false;
	memcpy(at, line, len);
	at[len] = '\n';
	l->fill.len += all;
	if (l->fill.len >= REQUEST_LOG_BATCH)
		flush(l);
	else if (!l->writing && !uv_is_active((uv_handle_t *)&l->timer))
		(void)uv_timer_start(&l->timer, on_timer, REQUEST_LOG_FLUSH_MS, 0);
}

int request_log_reopen(struct request_log *l, const char *path, struct err_info *info)
{
	char *copy = strdup(path);
	int fd = -1, err;

	err = copy == NULL ? err_set(info, ERR_NOMEM, "%s", err_text(ERR_NOMEM))
			   : open_file(path, &fd, info);
	if (err != 0) {
		free(copy);
		return err;
	}
	free(l->path);
	l->path = copy;
	if (l->next_fd >= 0)
		close(l->next_fd);
	l->next_fd = fd;
	if (!l->writing)
		go_on(l);
	return 0;
}

uint64_t request_log_lost(const struct request_log *l)
{
	return l->lost;
}

void request_log_free(struct request_log *l, void (*done)(void *ctx), void *ctx)
{
	l->ending = true;
	l->done = done;
	l->done_ctx = ctx;
	uv_timer_stop(&l->timer);
	if (!l->writing)
		go_on(l);
}
