#include "daemon/resolv_watch.h"

#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum folder { FOLDER_OF_PATH, FOLDER_BEHIND_LINK, N_FOLDERS };

struct resolv_watch {
	char *path; /* NULL: none */
	struct stat seen;
	void (*changed)(void *ctx);
	void *ctx;
	uint32_t every_ms;
	uv_timer_t timer;
	uv_fs_event_t folders[N_FOLDERS];
	bool watched; /* both */
	unsigned n_open;
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

static void watch_nothing(struct resolv_watch *w)
{
	for (unsigned i = 0; i < N_FOLDERS; i++)
		(void)uv_fs_event_stop(&w->folders[i]);
	w->watched = false;
}

static void look_after(struct resolv_watch *w, uint32_t ms);

static void look_again(struct resolv_watch *w);

/* Another file in the folder may be one that is written all the time: the next look is a while
 * from now, whatever the kernel has to tell. */
static void on_folder(uv_fs_event_t *h, const char *name, int events, int status)
{
	struct resolv_watch *w = h->data;

	(void)name;
	(void)events;
	(void)status;
	watch_nothing(w);
	look_after(w, w->every_ms);
	look_again(w);
}

static bool watch_folder(uv_fs_event_t *h, const char *file)
{
	char folder[PATH_MAX];

	if (strlen(file) >= sizeof(folder))
		return false;
	memcpy(folder, file, strlen(file) + 1);
	return uv_fs_event_start(h, on_folder, dirname(folder), 0) == 0;
}

/* A file that is not there is looked for more often: the folder it will be in is not known. */
static void aim(struct resolv_watch *w)
{
	char real[PATH_MAX];

	watch_nothing(w);
	w->watched = realpath(w->path, real) != NULL &&
		     watch_folder(&w->folders[FOLDER_OF_PATH], w->path) &&
		     watch_folder(&w->folders[FOLDER_BEHIND_LINK], real);
	look_after(w, w->watched ? RESOLV_LOOK_MS : w->every_ms);
}

static void look_again(struct resolv_watch *w)
{
	struct stat now;

	if (!look(w->path, &now) || same_file(&now, &w->seen))
		return;
	if (w->watched)
		aim(w); /* its link may point elsewhere */
	(void)look(w->path, &w->seen);
	w->changed(w->ctx);
}

static void on_timer(uv_timer_t *t)
{
	struct resolv_watch *w = t->data;

	if (w->watched)
		look_after(w, RESOLV_LOOK_MS);
	else
		aim(w); /* before the look: between the two a change would be missed */
	look_again(w);
}

static void look_after(struct resolv_watch *w, uint32_t ms)
{
	(void)uv_timer_start(&w->timer, on_timer, ms, 0);
}

int resolv_watch_path(struct resolv_watch *w, const char *path)
{
	free(w->path);
	w->path = path != NULL ? strdup(path) : NULL;
	if (w->path != NULL)
		aim(w);
	(void)look(w->path, &w->seen);
	if (w->path != NULL)
		return 0;
	(void)uv_timer_stop(&w->timer);
	watch_nothing(w);
	return path == NULL ? 0 : ERR_NOMEM;
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
	for (unsigned i = 0; i < N_FOLDERS; i++) {
		(void)uv_fs_event_init(loop, &w->folders[i]);
		w->folders[i].data = w;
	}
	w->n_open = 1 + N_FOLDERS;
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

	if (--w->n_open > 0)
		return;
	free(w->path);
	free(w);
}

void resolv_watch_free(struct resolv_watch *w)
{
	if (w == NULL)
		return;
	uv_close((uv_handle_t *)&w->timer, on_closed);
	for (unsigned i = 0; i < N_FOLDERS; i++)
		uv_close((uv_handle_t *)&w->folders[i], on_closed);
}
