#include "daemon/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Who has it, for the message only. */
static long read_pid(int fd)
{
	char text[24] = "";
	long pid = 0;

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	for (const char *p = text; *p >= '0' && *p <= '9' && pid < INT_MAX / 10; p++)
		pid = pid * 10 + (*p - '0');
	return pid;
}

int lock_take(const char *state_dir, int *ret_fd, struct err_info *info)
{
	char path[PATH_MAX];
	char pid[24];
	int fd;
	int n;

	if (mkdir(state_dir, 0700) != 0 && errno != EEXIST)
		return err_set(
			info, -errno,
			"node.state_dir: cannot make %s: %s; make it, or name a writable one",
			state_dir, err_text(-errno));
	n = snprintf(path, sizeof(path), "%s/lock", state_dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(info, -ENAMETOOLONG, "node.state_dir: the path is too long");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(info, -errno,
			       "node.state_dir: cannot open %s: %s; run as the user that owns it",
			       path, err_text(-errno));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		int err = errno == EWOULDBLOCK ? ERR_BUSY : -errno;

		(void)err_set(info, err,
			      "node.state_dir: %s is in use by process %ld; wait for it or stop it",
			      state_dir, read_pid(fd));
		(void)close(fd);
		return err;
	}
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) < 0) {
		/* Only the message of the next one would need it: a full disk must not stop us. */
	}
	*ret_fd = fd;
	return 0;
}

void lock_release(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}
