#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"

int file_read_fd(int fd, struct buf *b)
{
	for (;;) {
		size_t room = b->max - b->len;
		uint8_t extra;
		uint8_t *at = &extra;
		ssize_t n;

		/* Room for all of it at once: a later realloc would leave a copy of a secret
		 * behind. */
		if (room > 0) {
			int err = buf_reserve(b, room, &at);

			if (err != 0)
				return err;
		}
		n = read(fd, at, room > 0 ? room : 1);
		if (n == 0)
			return 0;
		if (n > 0 && room == 0)
			return ERR_LIMIT;
		if (n > 0)
			b->len += (size_t)n;
		else if (errno != EINTR)
			return -errno;
	}
}

int file_read(const char *path, struct buf *b)
{
	/* O_NONBLOCK: a FIFO at this path must not hold us up before fstat tells what it is. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int err;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0)
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = ERR_PARSE;
	else
		err = file_read_fd(fd, b);
	(void)close(fd);
	return err;
}

int file_write_fd(int fd, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Without it a crash may forget the rename; a file system that cannot do it is no reason to fail.
 */
static void sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL ? strdup(".")
				     : strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd = folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		(void)fsync(fd);
		(void)close(fd);
	}
	free(folder);
}

int file_replace(const char *path, const void *data, size_t len)
{
	char *tmp = NULL;
	int fd, err;

	if (asprintf(&tmp, "%s.XXXXXX", path) < 0)
		return ERR_NOMEM;
	fd = mkostemp(tmp, O_CLOEXEC); /* mode 0600 */
	if (fd < 0) {
		err = -errno;
		free(tmp);
		return err;
	}
	err = file_write_fd(fd, data, len);
	if (err == 0 && fsync(fd) != 0)
		err = -errno;
	if (close(fd) != 0 && err == 0)
		err = -errno;
	if (err == 0 && rename(tmp, path) != 0)
		err = -errno;
	if (err == 0)
		sync_folder(path);
	else
		(void)unlink(tmp);
	free(tmp);
	return err;
}
