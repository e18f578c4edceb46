#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "common/file.h"

#define BUF_FIRST 64 /* bytes of the first allocation */

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_done(struct buf *b)
{
	free(b->data);
	buf_init(b, b->max);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
}

int buf_reserve(struct buf *b, size_t len, uint8_t **ret_at)
{
	size_t cap = b->cap > 0 ? b->cap : BUF_FIRST;
	uint8_t *data;

	if (len > b->max - b->len)
		return ERR_LIMIT;
	if (b->data == NULL || len > b->cap - b->len) {
		while (cap - b->len < len && cap <= b->max / 2)
			cap *= 2;
		if (cap - b->len < len || cap > b->max)
			cap = b->max;
		if (cap == SIZE_MAX)
			return ERR_NOMEM;
		/* One byte more, for the zero that vsnprintf writes after the content. */
		data = realloc(b->data, cap + 1);
		if (data == NULL)
			return ERR_NOMEM;
		b->data = data;
		b->cap = cap;
	}
	*ret_at = b->data + b->len;
	return 0;
}

int buf_append(struct buf *b, const void *data, size_t len)
{
	uint8_t *at;
	int err;

	if (len == 0)
		return 0; /* data may be NULL then, which memcpy must not see */
	err = buf_reserve(b, len, &at);
	if (err != 0)
		return err;
	memcpy(at, data, len);
	b->len += len;
	return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	uint8_t *at;
	va_list ap;
	int n, err;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return ERR_INTERNAL;
	err = buf_reserve(b, (size_t)n, &at);
	if (err != 0)
		return err;
	va_start(ap, fmt);
	(void)vsnprintf((char *)at, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void buf_consume(struct buf *b, size_t len)
{
	if (len >= b->len) {
		b->len = 0;
		return;
	}
	b->len -= len;
	memmove(b->data, b->data + len, b->len);
}

void mem_wipe(void *p, size_t len)
{
	if (len > 0)
		explicit_bzero(p, len);
}

static int must_exit = 1;

void mem_must_exit(int code)
{
	must_exit = code;
}

void *mem_must(void *p)
{
	if (p == NULL) {
		(void)fputs("kmsbeacon: out of memory\n", stderr);
		exit(must_exit);
	}
	return p;
}

void secret_wipe(struct secret *s)
{
	mem_wipe(s, sizeof(*s));
}

static int check_secret_file(const char *path, const struct stat *st, struct err_info *info)
{
	const mode_t others = S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH;

	if (!S_ISREG(st->st_mode))
		return err_set(info, ERR_CONFIG, "%s is not a regular file", path);
	if ((st->st_mode & others) != 0)
		return err_set(info, ERR_SECRET_READABLE,
			       "%s holds a secret but its mode is %04o; run: chmod 600 %s", path,
			       (unsigned)(st->st_mode & 07777), path);
	return 0;
}

int secret_read_file(const char *path, struct buf *b, struct err_info *info)
{
	struct stat st;
	int err, fd;

	/* O_NONBLOCK: a FIFO at this path must not hold us up before fstat tells what it is. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		err = -errno;
		return err_set(info, err, "cannot open %s: %s", path, err_text(err));
	}
	buf_clear(b);
	if (fstat(fd, &st) != 0) {
		err = -errno;
		(void)err_set(info, err, "cannot examine %s: %s", path, err_text(err));
		goto out;
	}
	err = check_secret_file(path, &st, info);
	if (err != 0)
		goto out;
	err = file_read_fd(fd, b);
	if (err == ERR_LIMIT)
		(void)err_set(info, err, "%s is larger than the %zu bytes such a file may have",
			      path, b->max);
	else if (err != 0)
		(void)err_set(info, err, "cannot read %s: %s", path, err_text(err));
out:
	if (err != 0 && b->data != NULL) {
		mem_wipe(b->data, b->cap);
		buf_clear(b);
	}
	(void)close(fd);
	return err;
}
