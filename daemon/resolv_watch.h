/**
 * Notices that resolv.conf is another one than before: replaced, rewritten, or its link points
 * elsewhere (failure-modes S17). The kernel tells of changes in the folder of the file, and in that
 * of the file behind a symbolic link, which is what systemd-resolved makes of it. What it does not
 * tell of (a file that a container was given, a network file system) a stat(2) finds, each
 * RESOLV_LOOK_MS; where it tells nothing, because a folder is not there or the limit of such
 * watches is reached, one each `every_ms`. Nor is there more than one in that time: something else
 * in the folder may be written all the time.
 *
 * A file that is gone or empty is one that is being written: nothing is told before it has content.
 */
#ifndef KMSBEACON_DAEMON_RESOLV_WATCH_H
#define KMSBEACON_DAEMON_RESOLV_WATCH_H

#include <stdint.h>
#include <uv.h>

#include "common/err.h"

#define RESOLV_WATCH_MS 2000 /* in the daemon */
#define RESOLV_LOOK_MS  60000

struct resolv_watch;

/** @p path (NULL: none) is copied, and taken as read already. @p changed runs from the loop. 0 or
 * ERR_NOMEM. */
int resolv_watch_new(uv_loop_t *loop, const char *path, uint32_t every_ms,
		     void (*changed)(void *ctx), void *ctx, struct resolv_watch **ret);
/** Another file, read already by the caller; NULL: none. 0 or ERR_NOMEM (then none). */
int resolv_watch_path(struct resolv_watch *w, const char *path);
/** Closes by itself within the loop; nothing is told any more. NULL is fine. */
void resolv_watch_free(struct resolv_watch *w);

#endif
