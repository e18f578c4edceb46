#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/sd_notify.h"
#include "tests/lib/test_net.h"

/** A manager's socket; @p abstract: without a name in the file system. @return its descriptor. */
static int manager(bool abstract, char path[108])
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(path, 108, "%s/tmp/kmsbeacon-notify-%ld", abstract ? "@" : "",
		       (long)getpid());
	memcpy(sun.sun_path, path, strlen(path));
	if (abstract)
		sun.sun_path[0] = '\0';
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))),
			 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
	return fd;
}

static const char *told(int fd)
{
	static char text[600];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void t_messages(void **state)
{
	(void)state;
	for (int abstract = 0; abstract < 2; abstract++) {
		char path[108];
		int fd = manager(abstract != 0, path);

		sd_notify_ready(NULL);
		assert_string_equal(told(fd), "READY=1\n");
		sd_notify_ready("12 records");
		assert_string_equal(told(fd), "READY=1\nSTATUS=12 records");
		sd_notify_reloading();
		assert_int_equal(strncmp(told(fd), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
		sd_notify_stopping();
		assert_string_equal(told(fd), "STOPPING=1");
		(void)close(fd);
		if (abstract == 0)
			(void)unlink(path);
	}
}

/* Nobody asks, nobody listens, or the name is none: nothing happens. */
static void t_nobody(void **state)
{
	char longest[200];

	(void)state;
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	sd_notify_ready(NULL);
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i < 4; i++) {
		const char *const names[] = { "", "/nowhere/at-all", "relative", longest };

		assert_int_equal(setenv("NOTIFY_SOCKET", names[i], 1), 0);
		sd_notify_ready(NULL);
	}
}

static void t_watchdog(void **state)
{
	static const struct {
		const char *usec, *pid;
		bool watched;
	} rows[] = {
		{ "20000", NULL, true }, { "20000", "own", true }, { "20000", "1", false },
		{ "", NULL, false },     { "0", NULL, false },     { "-1", NULL, false },
		{ "1x", NULL, false },   { NULL, NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char path[108], own[24];
		int fd = manager(true, path);
		struct sd_notify n;
		struct test_net t;
		unsigned alive = 0;

		(void)snprintf(own, sizeof(own), "%ld", (long)getpid());
		(void)unsetenv("WATCHDOG_USEC");
		(void)unsetenv("WATCHDOG_PID");
		if (rows[i].usec != NULL)
			assert_int_equal(setenv("WATCHDOG_USEC", rows[i].usec, 1), 0);
		if (rows[i].pid != NULL)
			assert_int_equal(setenv("WATCHDOG_PID",
						strcmp(rows[i].pid, "own") == 0 ? own : rows[i].pid,
						1),
					 0);
		test_net_init(&t);
		sd_notify_start(&n, &t.loop);
		assert_int_equal(uv_loop_alive(&t.loop) != 0, rows[i].watched);
		while (rows[i].watched && alive < 3) {
			(void)uv_run(&t.loop, UV_RUN_ONCE);
			alive += strcmp(told(fd), "WATCHDOG=1") == 0;
		}
		sd_notify_stop(&n);
		sd_notify_stop(&n);
		test_net_done(&t);
		(void)close(fd);
	}
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_messages),
		cmocka_unit_test(t_nobody),
		cmocka_unit_test(t_watchdog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
