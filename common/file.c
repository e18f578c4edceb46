#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"

/* How much there may be to read: of a file as much as it has now and one octet, to see its end. */
static size_t expected(int fd, size_t room)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= 0 &&
	    (uintmax_t)st.st_size < room)
		return (size_t)st.st_size + 1;
	return room;
}

/* As buf_reserve(), but what has been read may be a secret, of which a realloc would leave a copy
 * behind. */
static int make_room(struct buf *b, size_t room, uint8_t **ret_at)
{
	struct buf larger;
	int err;

	if (b->data == NULL || b->cap - b->len >= room)
		return buf_reserve(b, room, ret_at);
	buf_init(&larger, b->max);
	err = buf_reserve(&larger, b->len + room, ret_at);
	if (err != 0)
		return err;
	memcpy(larger.data, b->data, b->len);
	larger.len = b->len;
	*ret_at = larger.data + larger.len;
	mem_wipe(b->data, b->len);
	buf_done(b);
	*b = larger;
	return 0;
}

int file_read_fd(int fd, struct buf *b)
{
	size_t left = expected(fd, b->max - b->len);

	for (;;) {
		size_t room = left > 0 ? left : b->max - b->len; /* it has grown meanwhile */
		uint8_t extra;
		uint8_t *at = &extra;
		ssize_t n;

		if (room > 0) {
			int err = make_room(b, room, &at);

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
		if (n > 0)
			left = room - (size_t)n;
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
