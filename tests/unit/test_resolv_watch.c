/* S17: what counts as another resolv.conf. */
#include "daemon/resolv_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

static char dir[] = "/tmp/kmsbeacon-resolv.XXXXXX";
static char path[64], other[64], hidden[64];
static uv_loop_t loop;
static struct resolv_watch *watch;
static unsigned told;

static void on_changed(void *ctx)
{
	(void)ctx;
	told++;
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void must_tell(void)
{
	for (unsigned before = told; told == before;)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
}

/* Over several looks. */
static void must_not_tell(void)
{
	uint64_t start = uv_now(&loop);
	unsigned before = told;

	while (uv_now(&loop) < start + 10)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(told, before);
}

static void begin(const char *file)
{
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(resolv_watch_new(&loop, file, 1, on_changed, NULL, &watch), 0);
}

static void end(void)
{
	resolv_watch_free(watch);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	(void)unlink(path);
	(void)unlink(other);
	(void)unlink(hidden);
}

static void t_S17_rewritten_and_replaced(void **state)
{
	(void)state;
	write_file(path, "nameserver 127.0.0.1\n");
	begin(path);
	must_not_tell();
	write_file(path, "nameserver 127.0.0.12\n");
	must_tell();
	write_file(other, "nameserver 127.0.0.13\n");
	assert_int_equal(rename(other, path), 0);
	must_tell();
	must_not_tell();
	end();
}

static void t_S17_behind_a_link(void **state)
{
	(void)state;
	write_file(hidden, "nameserver 127.0.0.1\n");
	assert_int_equal(symlink(hidden, path), 0);
	begin(path);
	write_file(hidden, "nameserver 127.0.0.12\n");
	must_tell();
	write_file(other, "nameserver 127.0.0.12\n");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(other, path), 0);
	must_tell();
	end();
}

/* A file that is being written is gone or empty for a moment. */
static void t_S17_gone_is_not_changed(void **state)
{
	(void)state;
	write_file(path, "nameserver 127.0.0.1\n");
	begin(path);
	assert_int_equal(unlink(path), 0);
	must_not_tell();
	write_file(path, "");
	must_not_tell();
	write_file(path, "nameserver 127.0.0.1\n");
	must_tell();
	end();
}

static void t_S17_not_there_at_first(void **state)
{
	(void)state;
	begin(path);
	must_not_tell();
	write_file(path, "nameserver 127.0.0.1\n");
	must_tell();
	write_file(path, "nameserver 127.0.0.12\n");
	must_tell();
	end();
}

/* It wakes nobody but for one look a minute, and after something happened in the folder not at once
 * again, for it may have nothing to do with the file. */
static void t_S17_wakes_seldom(void **state)
{
	(void)state;
	write_file(path, "nameserver 127.0.0.1\n");
	begin(path);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_true(uv_backend_timeout(&loop) > RESOLV_LOOK_MS - 5000);
	resolv_watch_free(watch);
	assert_int_equal(resolv_watch_new(&loop, path, 10000, on_changed, NULL, &watch), 0);
	for (unsigned i = 0; i < 3; i++) {
		write_file(other, "");
		(void)uv_run(&loop, UV_RUN_NOWAIT);
		assert_in_range(uv_backend_timeout(&loop), 5000, 10000);
	}
	end();
}

static void t_another_file(void **state)
{
	(void)state;
	write_file(path, "nameserver 127.0.0.1\n");
	write_file(other, "nameserver 127.0.0.12\n");
	begin(NULL);
	assert_int_equal(resolv_watch_path(watch, path), 0);
	must_not_tell();
	assert_int_equal(resolv_watch_path(watch, other), 0);
	write_file(path, "nameserver 127.0.0.123\n");
	must_not_tell();
	write_file(other, "nameserver 127.0.0.123\n");
	must_tell();
	assert_int_equal(resolv_watch_path(watch, NULL), 0);
	write_file(other, "nameserver 127.0.0.1\n");
	must_not_tell();
	end();
}

static int setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/resolv.conf", dir);
	(void)snprintf(other, sizeof(other), "%s/new", dir);
	(void)snprintf(hidden, sizeof(hidden), "%s/behind", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_S17_rewritten_and_replaced),
		cmocka_unit_test(t_S17_behind_a_link),
		cmocka_unit_test(t_S17_gone_is_not_changed),
		cmocka_unit_test(t_S17_not_there_at_first),
		cmocka_unit_test(t_S17_wakes_seldom),
		cmocka_unit_test(t_another_file),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
