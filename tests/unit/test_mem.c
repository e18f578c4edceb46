#include "common/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the above, which it needs */
#include <cmocka.h>

static void t_buf_grows_up_to_its_maximum(void **state)
{
	struct buf b;
	uint8_t *at;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(buf_append(&b, "0123456789", 10), 0);
	assert_int_equal(b.len, 100);
	assert_int_equal(buf_append(&b, "x", 1), ERR_LIMIT);
	assert_int_equal(buf_reserve(&b, SIZE_MAX, &at), ERR_LIMIT);
	assert_memory_equal(b.data + 90, "0123456789", 10);
	buf_consume(&b, 95);
	assert_int_equal(b.len, 5);
	assert_memory_equal(b.data, "56789", 5);
	buf_consume(&b, 1000);
	assert_int_equal(b.len, 0);
	buf_done(&b);
	assert_int_equal(b.max, 100);
	assert_int_equal(buf_append(&b, "y", 1), 0);
	buf_done(&b);
}

static void t_buf_printf_uses_the_last_byte(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 8);
	assert_int_equal(buf_printf(&b, "%d", 12345678), 0);
	assert_int_equal(b.len, 8);
	assert_memory_equal(b.data, "12345678", 8);
	assert_int_equal(buf_printf(&b, "%s", ""), 0);
	assert_int_equal(buf_printf(&b, "x"), ERR_LIMIT);
	assert_int_equal(b.len, 8);
	buf_done(&b);
	buf_init(&b, 0);
	assert_int_equal(buf_printf(&b, "%s", ""), 0);
	assert_int_equal(buf_printf(&b, "x"), ERR_LIMIT);
	buf_done(&b);
}

static void t_secret_is_wiped(void **state)
{
	static const struct secret zero;
	struct secret s = { .len = 10, .bytes = "0123456789" };

	(void)state;
	secret_wipe(&s);
	assert_memory_equal(&s, &zero, sizeof(s));
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static void t_secret_file(void **state)
{
	char dir[] = "/tmp/test_mem.XXXXXX", path[64];
	struct err_info info;
	struct buf b;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/key", dir);
	buf_init(&b, 10);

	write_file(path, "0123456789", 0600);
	assert_int_equal(secret_read_file(path, &b, &info), 0);
	assert_int_equal(b.len, 10);
	assert_memory_equal(b.data, "0123456789", 10);

	write_file(path, "0123456789A", 0600);
	assert_int_equal(secret_read_file(path, &b, &info), ERR_LIMIT);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.data[0], 0); /* wiped */
	assert_non_null(strstr(info.text, "larger"));

	write_file(path, "x", 0640);
	assert_int_equal(secret_read_file(path, &b, &info), ERR_SECRET_READABLE);
	assert_non_null(strstr(info.text, "chmod 600 "));
	assert_non_null(strstr(info.text, "0640"));
	write_file(path, "x", 0602);
	assert_int_equal(secret_read_file(path, &b, NULL), ERR_SECRET_READABLE);
	assert_int_equal(unlink(path), 0);

	assert_int_equal(secret_read_file(path, &b, &info), -2 /* ENOENT */);
	assert_non_null(strstr(info.text, path));
	assert_int_equal(secret_read_file(dir, &b, &info), ERR_CONFIG);
	assert_int_equal(mkfifo(path, 0600), 0); /* without a writer: must not hang */
	assert_int_equal(secret_read_file(path, &b, &info), ERR_CONFIG);
	assert_non_null(strstr(info.text, "regular"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_buf_grows_up_to_its_maximum),
		cmocka_unit_test(t_buf_printf_uses_the_last_byte),
		cmocka_unit_test(t_secret_is_wiped),
		cmocka_unit_test(t_secret_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
