/**
 * Started as root with node.user: the privileged things first (ports, sockets, files), then root is
 * given up for good. Also how many files the process may open. Blocking; at start.
 */
#ifndef KMSBEACON_DAEMON_PRIVILEGES_H
#define KMSBEACON_DAEMON_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"

#define PRIVILEGES_GROUPS_MAX 256

/** Who the daemon is to be. Zeroed: stay who we are. */
struct privileges {
	bool wanted; /* there is something to give up */
	uid_t uid;
	gid_t gid;
	gid_t groups[PRIVILEGES_GROUPS_MAX]; /* supplementary ones */
	size_t n_groups;
};

/**
 * What @p user (NULL: none) means for this process. Where it is that user already, nothing.
 * @return 0; CONFIG: no such user, root itself, or another user and we are not root.
 */
int privileges_find(const char *user, struct privileges *ret, struct err_info *info);
/**
 * Give @p dir and the regular files in it to that user, where the folder is root's; nothing where
 * it is the user's already. Links are not followed. CONFIG where the folder belongs to somebody
 * else, or others may write into it: then what lies there is not ours to give away.
 */
int privileges_give_folder(const struct privileges *p, const char *dir, struct err_info *info);
/** One file or socket, as it lies in its folder. 0 or -errno. */
int privileges_give_file(const struct privileges *p, const char *path);
/**
 * Become that user: groups, group, user; no new privileges by exec either. Then try to get root
 * back: that this fails is what makes a result of 0.
 */
int privileges_drop(const struct privileges *p, struct err_info *info);

/** Allow at least @p wanted open files where the system lets us. @return how many are allowed. */
size_t privileges_raise_files(size_t wanted);

#endif
