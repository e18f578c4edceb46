#include "kmscore/request_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "tests/lib/test_net.h"

static const struct log_ctx log_test = { .module = "kms" };

struct fixture {
	struct test_net t;
	char dir[64], path[96], second[96];
	struct request_log *l;
	unsigned lines;
	char line[512];
	bool freed;
};

static void on_line(void *ctx, const char *line)
{
	struct fixture *f = ctx;

	f->lines++;
	(void)snprintf(f->line, sizeof(f->line), "%s", line);
}

static void setup(struct fixture *f, const char *path)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/kmsbeacon-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/requests", f->dir);
	(void)snprintf(f->second, sizeof(f->second), "%s/requests.1", f->dir);
	log_setup(LOG_INFO, LOG_TEXT, STDERR_FILENO);
	log_set_tap(on_line, f);
	assert_int_equal(request_log_new(&f->t.loop, &log_test, path != NULL ? path : f->path,
					 &f->l, &(struct err_info){ "" }),
			 0);
}

static void on_freed(void *ctx)
{
	((struct fixture *)ctx)->freed = true;
}

static void end_log(struct fixture *f)
{
	request_log_free(f->l, on_freed, f);
	assert_false(f->freed);
	test_net_run_until(&f->t, &f->freed);
}

static void teardown(struct fixture *f)
{
	log_set_tap(NULL, NULL);
	log_setup(LOG_WARNING, LOG_TEXT, STDERR_FILENO);
	(void)unlink(f->path);
	(void)unlink(f->second);
	assert_int_equal(rmdir(f->dir), 0);
	test_net_done(&f->t);
}

static void add(struct fixture *f, const char *line)
{
	request_log_add(f->l, line, strlen(line));
}

static void expect_file(const char *path, const char *want)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_int_equal(file_read(path, &b), 0);
	assert_int_equal(b.len, strlen(want));
	assert_memory_equal(b.data, want, b.len);
	buf_done(&b);
}

/** Until so many bytes are in the file. */
static void until_size(struct fixture *f, const char *path, off_t size)
{
	struct stat st = { 0 };

	while (stat(path, &st) != 0 || st.st_size < size)
		(void)uv_run(&f->t.loop, UV_RUN_ONCE);
	assert_int_equal(st.st_size, size);
}

static void t_lines_are_appended(void **state)
{
	struct fixture f;
	struct stat st;

	(void)state;
	setup(&f, NULL);
	add(&f, "one");
	add(&f, "two");
	until_size(&f, f.path, 8); /* by itself, after a moment */
	add(&f, "three");
	end_log(&f); /* what is left is not lost */
	expect_file(f.path, "one\ntwo\nthree\n");
	assert_int_equal(stat(f.path, &st), 0);
	assert_int_equal(st.st_mode & 0137, 0);

	f.freed = false; /* another process goes on behind it */
	assert_int_equal(request_log_new(&f.t.loop, &log_test, f.path, &f.l, NULL), 0);
	add(&f, "four");
	end_log(&f);
	expect_file(f.path, "one\ntwo\nthree\nfour\n");
	assert_int_equal(f.lines, 0);
	teardown(&f);
}

static void t_many_lines_in_order(void **state)
{
	static char want[40000 * 7 + 1];
	struct fixture f;

	(void)state;
	setup(&f, NULL);
	for (int i = 0; i < 40000; i++) {
		(void)snprintf(want + i * 7, 8, "%06d\n", i);
		request_log_add(f.l, want + i * 7, 6);
		if (i % 5000 == 0)
			test_net_step(&f.t);
	}
	end_log(&f);
	expect_file(f.path, want);
	teardown(&f);
}

/* logrotate: the file is moved, then we are told. */
static void t_rotation(void **state)
{
	struct err_info info;
	struct fixture f;

	(void)state;
	setup(&f, NULL);
	add(&f, "one");
	until_size(&f, f.path, 4);
	assert_int_equal(rename(f.path, f.second), 0);
	add(&f, "two"); /* waits: goes to the new file */
	assert_int_equal(request_log_reopen(f.l, f.path, &info), 0);
	assert_int_equal(request_log_reopen(f.l, f.path, &info), 0);
	add(&f, "three");
	until_size(&f, f.path, 10);
	expect_file(f.second, "one\n");

	/* one that cannot be opened changes nothing */
	assert_int_equal(request_log_reopen(f.l, "/nowhere/at/all", &info), -ENOENT);
	assert_non_null(strstr(info.text, "/nowhere/at/all"));
	add(&f, "four");
	end_log(&f);
	expect_file(f.path, "two\nthree\nfour\n");
	teardown(&f);
}

/* While a write is under way the old file stays until it has ended. */
static void t_rotation_during_a_write(void **state)
{
	static char big[REQUEST_LOG_BATCH];
	struct err_info info;
	struct fixture f;

	(void)state;
	memset(big, 'x', sizeof(big));
	setup(&f, NULL);
	request_log_add(f.l, big, sizeof(big)); /* starts at once */
	assert_int_equal(request_log_reopen(f.l, f.path, &info), 0);
	assert_int_equal(request_log_reopen(f.l, f.second, &info), 0); /* the last one counts */
	add(&f, "after");
	end_log(&f);
	until_size(&f, f.path, sizeof(big) + 1);
	expect_file(f.second, "after\n");
	teardown(&f);
}

static void t_line_after_the_end(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, NULL);
	add(&f, "one");
	request_log_free(f.l, on_freed, &f);
	add(&f, "two");
	test_net_run_until(&f.t, &f.freed);
	expect_file(f.path, "one\n");
	teardown(&f);
}

static void t_full_disk(void **state)
{
	struct err_info info;
	struct fixture f;

	(void)state;
	setup(&f, "/dev/full");
	add(&f, "one");
	add(&f, "two");
	while (request_log_lost(f.l) < 2)
		(void)uv_run(&f.t.loop, UV_RUN_ONCE);
	assert_int_equal(f.lines, 1);
	assert_non_null(strstr(f.line, "request_log.failed file=/dev/full err=ENOSPC"));
	add(&f, "three");
	while (request_log_lost(f.l) < 3)
		(void)uv_run(&f.t.loop, UV_RUN_ONCE);
	assert_int_equal(f.lines, 1); /* said once */
	assert_int_equal(request_log_reopen(f.l, f.path, &info), 0);
	add(&f, "four");
	until_size(&f, f.path, 5);
	while (f.lines < 2)
		(void)uv_run(&f.t.loop, UV_RUN_ONCE);
	assert_non_null(strstr(f.line, "request_log.works"));
	assert_non_null(strstr(f.line, "lost=3"));
	end_log(&f);
	expect_file(f.path, "four\n");
	teardown(&f);
}

/* A disk that gets full within a line: the next one begins a line all the same. */
static void t_line_cut_by_a_full_disk(void **state)
{
	struct rlimit was, low;
	struct fixture f;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	low = was;
	low.rlim_cur = 10;
	(void)signal(SIGXFSZ, SIG_IGN);
	setup(&f, NULL);
	log_setup(LOG_WARNING, LOG_TEXT, -1); /* stderr may be a file */
	add(&f, "aaaa");
	add(&f, "bbbbbbbb");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	while (request_log_lost(f.l) == 0)
		(void)uv_run(&f.t.loop, UV_RUN_ONCE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(request_log_lost(f.l), 1); /* the first one is there */
	assert_non_null(strstr(f.line, "err=EFBIG"));
	add(&f, "cc");
	end_log(&f);
	expect_file(f.path, "aaaa\nbbbbb\ncc\n");
	teardown(&f);
}

static void t_memory_is_bounded(void **state)
{
	static char line[1000];
	struct fixture f;
	uint64_t n = 0;

	(void)state;
	memset(line, 'x', sizeof(line));
	setup(&f, NULL);
	/* no loop runs, so nothing is ever written: one buffer in flight, one that fills */
	while (request_log_lost(f.l) == 0 && n < 100000) {
		request_log_add(f.l, line, sizeof(line));
		n++;
	}
	assert_in_range(n, REQUEST_LOG_BUFFER_MAX / 1001,
			(REQUEST_LOG_BUFFER_MAX + REQUEST_LOG_BATCH) / 1001 + 3);
	request_log_add(f.l, line, sizeof(line));
	assert_int_equal(request_log_lost(f.l), 2);
	assert_int_equal(f.lines, 1);
	assert_non_null(strstr(f.line, "slower than they come"));
	(void)uv_run(&f.t.loop, UV_RUN_ONCE); /* the first write has ended well, */
	assert_int_equal(f.lines, 1);         /* but lines were lost meanwhile */
	end_log(&f);
	until_size(&f, f.path, (off_t)((n - 1) * 1001));
	teardown(&f);
}

static void t_cannot_be_opened(void **state)
{
	struct request_log *l = NULL;
	struct err_info info;
	struct fixture f;

	(void)state;
	setup(&f, NULL);
	assert_int_equal(request_log_new(&f.t.loop, &log_test, f.dir, &l, &info), -EISDIR);
	assert_non_null(strstr(info.text, f.dir));
	assert_int_equal(mkfifo(f.second, 0600), 0); /* nobody reads it: no reason to hang */
	assert_int_equal(request_log_new(&f.t.loop, &log_test, f.second, &l, &info), -ENXIO);
	assert_null(l);
	end_log(&f);
	teardown(&f);
}

static void t_free_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 6; steps++) {
		static char big[REQUEST_LOG_BATCH];
		struct fixture f;

		setup(&f, NULL);
		add(&f, "a");
		if (steps % 2 == 1)
			request_log_add(f.l, big, sizeof(big));
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		end_log(&f);
		until_size(&f, f.path, steps % 2 == 1 ? (off_t)sizeof(big) + 3 : 2);
		teardown(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_line_after_the_end),      cmocka_unit_test(t_lines_are_appended),
		cmocka_unit_test(t_many_lines_in_order),     cmocka_unit_test(t_rotation),
		cmocka_unit_test(t_rotation_during_a_write), cmocka_unit_test(t_full_disk),
		cmocka_unit_test(t_line_cut_by_a_full_disk), cmocka_unit_test(t_memory_is_bounded),
		cmocka_unit_test(t_cannot_be_opened),        cmocka_unit_test(t_free_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
