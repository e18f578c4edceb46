/**
 * What a service manager wants to know (sd_notify(3)): ready, reloading, stopping, alive. The
 * protocol is a few lines to a socket that $NOTIFY_SOCKET names; without it nothing is sent.
 *
 * Alive means: the loop turns. Where the manager asks for it ($WATCHDOG_USEC), it is told twice in
 * that time.
 */
#ifndef KMSBEACON_DAEMON_SD_NOTIFY_H
#define KMSBEACON_DAEMON_SD_NOTIFY_H

#include <stdbool.h>
#include <uv.h>

struct sd_notify {
	/* private */
	uv_timer_t timer;
	bool watching;
};

/** Read the environment and begin to tell that we are alive. */
void sd_notify_start(struct sd_notify *n, uv_loop_t *loop);
/** @p n stays until the loop has closed the timer. Idempotent. */
void sd_notify_stop(struct sd_notify *n);

/** "READY=1", with the lines of @p status behind it (NULL: none). */
void sd_notify_ready(const char *status);
/** "RELOADING=1" with the time; sd_notify_ready() ends it. */
void sd_notify_reloading(void);
void sd_notify_stopping(void);

#endif
