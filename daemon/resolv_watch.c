#include "daemon/resolv_watch.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct resolv_watch {
	char *path; /* NULL: none */
	struct stat seen;
	void (*changed)(void *ctx);
	void *ctx;
	uint32_t every_ms;
	uv_timer_t timer;
};

/* false: there is no such file, or nothing in it yet */
static bool look(const char *path, struct stat *ret)
{
	memset(ret, 0, sizeof(*ret));
	return path != NULL && stat(path, ret) == 0 && ret->st_size > 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       same_time(&a->st_mtim, &b->st_mtim) && same_time(&a->st_ctim, &b->st_ctim);
}

static void on_timer(uv_timer_t *t)
{
	struct resolv_watch *w = t->data;
	struct stat now;

	if (!look(w->path, &now) || same_file(&now, &w->seen))
		return;
	w->seen = now;
	w->changed(w->ctx);
}

int resolv_watch_path(struct resolv_watch *w, const char *path)
{
	free(w->path);
	w->path = path != NULL ? strdup(path) : NULL;
	(void)look(w->path, &w->seen);
	if (w->path != NULL)
		(void)uv_timer_start(&w->timer, on_timer, w->every_ms, w->every_ms);
	else
		(void)uv_timer_stop(&w->timer);
	return w->path != NULL || path == NULL ? 0 : ERR_NOMEM;
}

int resolv_watch_new(uv_loop_t *loop, const char *path, uint32_t every_ms,
		     void (*changed)(void *ctx), void *ctx, struct resolv_watch **ret)
{
	struct resolv_watch *w = calloc(1, sizeof(*w));
	int err;

	if (w == NULL)
		return ERR_NOMEM;
	w->every_ms = every_ms;
	w->changed = changed;
	w->ctx = ctx;
	(void)uv_timer_init(loop, &w->timer);
	w->timer.data = w;
	err = resolv_watch_path(w, path);
	if (err != 0)
		resolv_watch_free(w);
	else
		*ret = w;
	return err;
}

static void on_closed(uv_handle_t *h)
{
	struct resolv_watch *w = h->data;

	free(w->path);
	free(w);
}

void resolv_watch_free(struct resolv_watch *w)
{
	if (w != NULL)
		uv_close((uv_handle_t *)&w->timer, on_closed);
}
