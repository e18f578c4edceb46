#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"

static char dir[] = "/tmp/kmsbeacon-file-XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	(void)unlink(in_dir("a"));
	return rmdir(dir); /* fails where a test left anything else behind */
}

static void t_replaced_file_is_private_and_reads_back(void **state)
{
	struct stat st;
	struct buf b;

	(void)state;
	buf_init(&b, 8);
	assert_int_equal(file_replace(in_dir("a"), "old and longer", 14), 0);
	assert_int_equal(file_replace(in_dir("a"), "new", 3), 0);
	assert_int_equal(stat(in_dir("a"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(file_read(in_dir("a"), &b), 0);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "new", 3);
	buf_done(&b);
}

static void t_bound_is_exact(void **state)
{
	struct buf b;

	(void)state;
	for (size_t max = 3; max <= 5; max++) {
		buf_init(&b, max);
		assert_int_equal(file_replace(in_dir("a"), "1234", 4), 0);
		assert_int_equal(file_read(in_dir("a"), &b), max < 4 ? ERR_LIMIT : 0);
		assert_int_equal(b.len, max < 4 ? max : 4);
		buf_done(&b);
	}
}

/* Its maximum may be megabytes that nothing is read into. */
static void t_memory_is_of_the_size_of_the_file(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 64u << 20);
	assert_int_equal(file_replace(in_dir("a"), "1234", 4), 0);
	assert_int_equal(file_read(in_dir("a"), &b), 0);
	assert_int_equal(b.len, 4);
	assert_true(b.cap <= 64);
	buf_done(&b);
}

/* What stands there at the start is read, and what comes behind it. */
static void t_what_is_there_already_stays(void **state)
{
	static char text[300];
	struct buf b;
	int fd;

	(void)state;
	memset(text, 'x', sizeof(text));
	buf_init(&b, 1000);
	assert_int_equal(buf_append(&b, "begin", 5), 0);
	assert_int_equal(file_replace(in_dir("a"), text, sizeof(text)), 0);
	fd = open(in_dir("a"), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(file_read_fd(fd, &b), 0);
	(void)close(fd);
	assert_int_equal(b.len, 5 + sizeof(text));
	assert_memory_equal(b.data, "beginxxx", 8);
	assert_memory_equal(b.data + 5, text, sizeof(text));
	buf_done(&b);
}

static void t_what_is_no_file_is_not_read(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 16);
	assert_int_equal(file_read(in_dir("none"), &b), -ENOENT);
	assert_int_equal(file_read(dir, &b), ERR_PARSE);
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	assert_int_equal(file_read(in_dir("fifo"), &b), ERR_PARSE); /* and does not wait */
	assert_int_equal(unlink(in_dir("fifo")), 0);
	buf_done(&b);
}

static void t_failed_replace_leaves_the_old_file_and_nothing_else(void **state)
{
	char path[] = "/nonexistent/a";

	(void)state;
	assert_int_equal(file_replace(path, "x", 1), -ENOENT);
	assert_int_equal(mkdir(in_dir("folder"), 0700), 0);
	assert_int_not_equal(file_replace(in_dir("folder"), "x", 1), 0); /* the rename fails */
	assert_int_equal(rmdir(in_dir("folder")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_replaced_file_is_private_and_reads_back),
		cmocka_unit_test(t_bound_is_exact),
		cmocka_unit_test(t_memory_is_of_the_size_of_the_file),
		cmocka_unit_test(t_what_is_there_already_stays),
		cmocka_unit_test(t_what_is_no_file_is_not_read),
		cmocka_unit_test(t_failed_replace_leaves_the_old_file_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
