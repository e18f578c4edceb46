/**
 * Listening sockets that a service manager hands in (sd_listen_fds(3)): the descriptors from 3 on,
 * as many as $LISTEN_FDS says, for the process $LISTEN_PID. The manager keeps them open while no
 * daemon runs, so who connects meanwhile waits in their queue, and a restart refuses nobody.
 */
#ifndef KMSBEACON_DAEMON_SD_LISTEN_H
#define KMSBEACON_DAEMON_SD_LISTEN_H

#include <stddef.h>

#include "common/addr.h"
#include "common/err.h"

#define SD_LISTEN_MAX   16 /* as many addresses as service.listen may have */
#define SD_LISTEN_FIRST 3

struct sd_listen {
	int sockets[SD_LISTEN_MAX];
	struct addr addrs[SD_LISTEN_MAX]; /* as bound */
	size_t n;                         /* 0: none were handed in */
};

/**
 * Take them, once in a process, before it opens files of its own: the variables leave the
 * environment, the descriptors get FD_CLOEXEC. Each has to be a TCP socket that listens.
 * @return 0, or ERR_CONFIG or what the kernel says with @p info; then nothing is taken.
 */
int sd_listen_take(struct sd_listen *ret, struct err_info *info);
/** The same for descriptors from @p first on, whoever opened them. */
int sd_listen_check(int first, size_t n, struct sd_listen *ret, struct err_info *info);
void sd_listen_close(struct sd_listen *s);

#endif
