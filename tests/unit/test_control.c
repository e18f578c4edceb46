/* The control socket end to end: the server on a loop, the command's blocking client in a thread.
 */
#include "cli/control_client.h"
#include "daemon/control.h"
#include "daemon/lock.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

struct fixture {
	char dir[64];
	char path[128];
	uv_loop_t loop;
	uv_async_t wake; /* the client's thread has ended */
	struct control *control;
	struct control_call *held;
	bool hold;
	const char *command;
	int err;
	struct control_result result;
	struct err_info info;
	const char *raw; /* send this instead of a request, then hang up */
};

static void handler(void *ctx, struct control_call *call, const char *command, const json_t *args)
{
	struct fixture *f = ctx;

	if (f->hold) {
		f->held = call;
		return;
	}
	if (strcmp(command, "fail") == 0)
		control_fail(call, 1, "NOT_FOUND", "no such thing");
	else if (strcmp(command, "cut") == 0)
		control_fail(call, 1, "NOT_FOUND", "no such thing as caf\xc3");
	else
		control_answer(call, 0,
			       json_pack("{s:s, s:I}", "command", command, "n",
					 json_integer_value(json_object_get(args, "n"))));
}

static void on_freed(void *ctx)
{
	struct fixture *f = ctx;

	f->control = NULL;
}

static void on_wake(uv_async_t *a)
{
	struct fixture *f = a->data;

	if (f->held != NULL) /* the client is gone, the handler answers all the same */
		control_answer(f->held, 0, json_object());
	control_free(f->control, on_freed, f);
	uv_close((uv_handle_t *)a, NULL);
}

static void send_raw(const struct fixture *f)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(sun.sun_path, f->path, strlen(f->path) + 1);
	assert_int_equal(connect(fd, (const struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(send(fd, f->raw, strlen(f->raw), MSG_NOSIGNAL), (ssize_t)strlen(f->raw));
	(void)close(fd);
}

static void *client(void *arg)
{
	struct fixture *f = arg;
	json_t *args = json_pack("{s:i}", "n", 7);

	if (f->raw != NULL)
		send_raw(f);
	else
		f->err = control_ask(f->path, f->command, args, f->hold ? 50 : 10000, &f->result,
				     &f->info);
	json_decref(args);
	(void)uv_async_send(&f->wake);
	return NULL;
}

static void run(struct fixture *f)
{
	struct control_params p = { .path = f->path, .mode = 0600, .handler = handler, .ctx = f };
	pthread_t thread;

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/kmsbeacon-control-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/socket", f->dir);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(uv_async_init(&f->loop, &f->wake, on_wake), 0);
	f->wake.data = f;
	assert_int_equal(control_new(&f->loop, &p, &f->control, &f->info), 0);
	assert_int_equal(pthread_create(&thread, NULL, client, f), 0);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_null(f->control);
	assert_int_equal(uv_loop_close(&f->loop), 0); /* UV_EBUSY: a leaked handle */
	assert_int_not_equal(access(f->path, F_OK), 0);
	assert_int_equal(rmdir(f->dir), 0);
}

static void release(struct fixture *f)
{
	json_decref(f->result.report);
	json_decref(f->result.error);
}

static void t_request_and_report(void **state)
{
	struct fixture f = { .command = "status" };

	(void)state;
	run(&f);
	assert_int_equal(f.err, 0);
	assert_int_equal(f.result.exit_code, 0);
	assert_string_equal(json_string_value(json_object_get(f.result.report, "command")),
			    "status");
	assert_int_equal(json_integer_value(json_object_get(f.result.report, "n")), 7);
	release(&f);
}

static void t_error_object(void **state)
{
	struct fixture f = { .command = "fail" };

	(void)state;
	run(&f);
	assert_int_equal(f.err, 0);
	assert_int_equal(f.result.exit_code, 1);
	assert_null(f.result.report);
	assert_string_equal(json_string_value(json_object_get(f.result.error, "code")),
			    "NOT_FOUND");
	release(&f);
}

/* A name that is quoted in the text may have been cut within a character. */
static void t_error_text_that_was_cut(void **state)
{
	struct fixture f = { .command = "cut" };

	(void)state;
	run(&f);
	assert_int_equal(f.err, 0);
	assert_string_equal(json_string_value(json_object_get(f.result.error, "text")),
			    "no such thing as caf?");
	release(&f);
}

static void t_client_leaves_before_the_answer(void **state)
{
	struct fixture f = { .command = "status", .hold = true };

	(void)state;
	run(&f);
	assert_int_equal(f.err, ERR_TIMEOUT);
}

static void t_nonsense_is_survived(void **state)
{
	static const char *const raw[] = { "",
					   "\n",
					   "{",
					   "[]\n",
					   "{\"command\":1}\n",
					   "{\"command\":\"x\",\"args\":[]}\n",
					   "\xff\xfe\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
		struct fixture f = { .raw = raw[i] };

		run(&f);
	}
}

static void t_line_over_the_limit_is_cut_off(void **state)
{
	static char big[CONTROL_LINE_MAX + 2];
	struct fixture f = { .raw = "" };

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	f.command = big;
	f.raw = NULL;
	run(&f);
	assert_true(f.err != 0);
}

static void t_no_daemon_is_not_found(void **state)
{
	struct control_result result;
	struct err_info info;

	(void)state;
	assert_int_equal(control_ask("/nonexistent/socket", "status", NULL, 1000, &result, &info),
			 ERR_NOT_FOUND);
	assert_non_null(strstr(info.text, "kmsbeacon run"));
}

static void t_file_that_is_no_socket_is_kept(void **state)
{
	char path[] = "/tmp/kmsbeacon-file-XXXXXX";
	int fd = mkstemp(path);
	struct control_params p = { .path = path, .mode = 0600, .handler = handler };
	struct control *c = NULL;
	struct err_info info;
	uv_loop_t loop;

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(control_new(&loop, &p, &c, &info), ERR_CONFIG);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(uv_loop_close(&loop), 0);
	(void)unlink(path);
}

/* A socket that listens at f->path, as that of a daemon that lives. */
static int live_socket(struct fixture *f, int queue)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/kmsbeacon-control-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/socket", f->dir);
	memcpy(sun.sun_path, f->path, strlen(f->path) + 1);
	assert_int_equal(bind(fd, (const struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, queue), 0);
	return fd;
}

/* @p want: the error. The socket file is still that of the daemon that lives. */
static void expect_refused(struct fixture *f, int fd, int want)
{
	struct control_params p = { .path = f->path, .mode = 0600, .handler = handler, .ctx = f };
	struct stat before, after;
	int err;

	assert_int_equal(stat(f->path, &before), 0);
	err = control_new(&f->loop, &p, &f->control, &f->info);
	assert_int_equal(err, want);
	assert_non_null(strstr(f->info.text, f->path));
	assert_int_equal(stat(f->path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	(void)close(fd);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(rmdir(f->dir), 0);
	assert_int_equal(uv_loop_close(&f->loop), 0);
}

static void t_no_descriptor_to_look_is_no_proof(void **state)
{
	struct rlimit before, none;
	struct fixture f = { 0 };
	int fd;

	(void)state;
	assert_int_equal(uv_loop_init(&f.loop), 0);
	fd = live_socket(&f, 8);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ 0, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	expect_refused(&f, fd, UV_EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void t_full_queue_is_a_daemon(void **state)
{
	struct fixture f = { 0 };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int waiting[8], fd, n = 0;

	(void)state;
	assert_int_equal(uv_loop_init(&f.loop), 0);
	fd = live_socket(&f, 0);
	memcpy(sun.sun_path, f.path, strlen(f.path) + 1);
	do {
		waiting[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	} while (connect(waiting[n], (const struct sockaddr *)&sun, sizeof(sun)) == 0 && ++n < 7);
	assert_true(n < 7);
	expect_refused(&f, fd, ERR_BUSY);
	for (; n >= 0; n--)
		(void)close(waiting[n]);
}

static void t_lock_is_taken_once(void **state)
{
	char dir[] = "/tmp/kmsbeacon-lock-XXXXXX";
	char path[64];
	struct err_info info;
	char pid[32];
	int first = -1;
	int second = -1;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(lock_take(dir, &first, &info), 0);
	assert_int_equal(lock_take(dir, &second, &info), ERR_BUSY);
	(void)snprintf(pid, sizeof(pid), "process %ld;", (long)getpid());
	assert_non_null(strstr(info.text, pid));
	lock_release(first);
	assert_int_equal(lock_take(dir, &second, &info), 0);
	lock_release(second);
	(void)snprintf(path, sizeof(path), "%s/lock", dir);
	(void)unlink(path);
	(void)rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_request_and_report),
		cmocka_unit_test(t_error_object),
		cmocka_unit_test(t_error_text_that_was_cut),
		cmocka_unit_test(t_client_leaves_before_the_answer),
		cmocka_unit_test(t_nonsense_is_survived),
		cmocka_unit_test(t_line_over_the_limit_is_cut_off),
		cmocka_unit_test(t_no_daemon_is_not_found),
		cmocka_unit_test(t_file_that_is_no_socket_is_kept),
		cmocka_unit_test(t_no_descriptor_to_look_is_no_proof),
		cmocka_unit_test(t_full_queue_is_a_daemon),
		cmocka_unit_test(t_lock_is_taken_once),
	};

	(void)signal(SIGPIPE, SIG_IGN); /* as daemon/env.c does: clients here hang up early */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
