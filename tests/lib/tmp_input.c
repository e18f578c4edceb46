#include "tests/lib/tmp_input.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/file.h"

static char dir[TMP_INPUT_MAX / 2];
static char path[TMP_INPUT_MAX];

static void cleanup(void)
{
	(void)unlink(path);
	(void)rmdir(dir);
}

static int make_dir(const char *where)
{
	(void)snprintf(dir, sizeof(dir), "%s/kmsbeacon-input-XXXXXX", where);
	return mkdtemp(dir) != NULL;
}

const char *tmp_input(const void *data, size_t len)
{
	int fd, err;

	if (path[0] == '\0') {
		if (!make_dir("/dev/shm") && !make_dir("/tmp"))
			return NULL;
		(void)snprintf(path, sizeof(path), "%s/input", dir);
		(void)atexit(cleanup);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return NULL;
	err = file_write_fd(fd, data, len);
	return close(fd) == 0 && err == 0 ? path : NULL;
}
