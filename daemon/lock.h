/** One writer of a state directory at a time: the daemon, or a command that does its work without
 * one. */
#ifndef KMSBEACON_DAEMON_LOCK_H
#define KMSBEACON_DAEMON_LOCK_H

#include "common/err.h"

/**
 * Take @p state_dir/lock (made when missing, the directory too, mode 0700). It is the kernel's: a
 * crash frees it.
 * @return 0 with the descriptor to give back to lock_release(); ERR_BUSY where another process has
 * it, with its pid in @p info; -errno.
 */
int lock_take(const char *state_dir, int *ret_fd, struct err_info *info);
void lock_release(int fd);

#endif
