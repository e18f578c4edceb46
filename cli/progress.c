#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TO_LINE_START "\r\033[K" /* and what stands there is erased */

static void on_timer(uv_timer_t *t)
{
	struct progress *p = t->data;
	char text[PROGRESS_TEXT_MAX] = "";

	p->say(p->ctx, text);
	(void)fprintf(stderr, TO_LINE_START "%s", text);
	(void)fflush(stderr);
	p->shown = true;
}

void progress_start(struct progress *p, uv_loop_t *loop,
		    void (*say)(void *ctx, char text[PROGRESS_TEXT_MAX]), void *ctx)
{
	memset(p, 0, sizeof(*p));
	p->on = isatty(STDERR_FILENO) != 0;
	if (!p->on)
		return;
	p->say = say;
	p->ctx = ctx;
	(void)uv_timer_init(loop, &p->timer);
	p->timer.data = p;
	uv_unref((uv_handle_t *)&p->timer);
	(void)uv_timer_start(&p->timer, on_timer, PROGRESS_EVERY_MS, PROGRESS_EVERY_MS);
}

void progress_hide(struct progress *p)
{
	if (!p->shown)
		return;
	(void)fputs(TO_LINE_START, stderr);
	(void)fflush(stderr);
	p->shown = false;
}

void progress_stop(struct progress *p)
{
	if (!p->on)
		return;
	p->on = false;
	progress_hide(p);
	uv_close((uv_handle_t *)&p->timer, NULL);
}
