/**
 * How far a long command is, as one line on stderr that is written over and over; nothing at all
 * where stderr is no terminal.
 */
#ifndef KMSBEACON_CLI_PROGRESS_H
#define KMSBEACON_CLI_PROGRESS_H

#include <stdbool.h>
#include <uv.h>

#define PROGRESS_EVERY_MS 250
#define PROGRESS_TEXT_MAX 160

struct progress {
	/* private */
	uv_timer_t timer;
	bool on;
	bool shown;
	void (*say)(void *ctx, char text[PROGRESS_TEXT_MAX]);
	void *ctx;
};

/** @p say is asked for the line, from the loop. */
void progress_start(struct progress *p, uv_loop_t *loop,
		    void (*say)(void *ctx, char text[PROGRESS_TEXT_MAX]), void *ctx);
/** Take the line away, since something is about to be printed. It comes back by itself. */
void progress_hide(struct progress *p);
/** Take it away for good; @p p stays until the loop has closed the timer. */
void progress_stop(struct progress *p);

#endif
