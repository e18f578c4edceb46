/* Sockets of a service manager: what is taken, and what is refused with a sentence. */
#include "daemon/sd_listen.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "tests/lib/test_net.h"

#define FIRST 200 /* no descriptor of the test is here */

/* A socket at descriptor FIRST + @p i, bound to a free port; @p type 0: none. */
static void put(int i, int type, bool listens)
{
	struct addr at = test_addr("127.0.0.1:0");
	int fd = socket(AF_INET, type, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &at.u.sa, addr_len(&at)), 0);
	if (listens)
		assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(dup2(fd, FIRST + i), FIRST + i);
	(void)close(fd);
}

static void drop(int n)
{
	for (int i = 0; i < n; i++)
		(void)close(FIRST + i);
}

static void t_taken(void **state)
{
	struct sd_listen s;
	struct err_info info;

	(void)state;
	put(0, SOCK_STREAM, true);
	put(1, SOCK_STREAM, true);
	assert_int_equal(sd_listen_check(FIRST, 2, &s, &info), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.sockets[1], FIRST + 1);
	assert_true(addr_port(&s.addrs[0]) != 0 && addr_port(&s.addrs[1]) != 0);
	assert_true(addr_is_loopback(&s.addrs[0]));
	assert_int_equal(fcntl(FIRST, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	sd_listen_close(&s);
	assert_int_equal(s.n, 0);
	assert_int_equal(fcntl(FIRST, F_GETFD), -1);
}

static void refused(int first, size_t n, const char *sentence)
{
	struct sd_listen s;
	struct err_info info;

	assert_int_not_equal(sd_listen_check(first, n, &s, &info), 0);
	assert_int_equal(s.n, 0);
	if (strstr(info.text, sentence) == NULL)
		fail_msg("'%s' does not say '%s'", info.text, sentence);
}

static void t_refused(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd;

	(void)state;
	put(0, SOCK_DGRAM, false);
	refused(FIRST, 1, "is not for TCP");
	put(0, SOCK_STREAM, false);
	refused(FIRST, 1, "does not listen");
	drop(1);
	refused(FIRST, 1, "is no socket");
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un.sun_family)), 0);
	assert_int_equal(listen(fd, 1), 0);
	refused(fd, 1, "has no IPv4 or IPv6 address");
	(void)close(fd);
	refused(FIRST, SD_LISTEN_MAX + 1, "at most 16");
}

static void t_environment(void **state)
{
	static const struct {
		const char *pid, *fds;
	} not_ours[] = {
		{ NULL, "1" }, { "1", "1" },   { "self", "0" },  { "self", NULL },
		{ "x", "1" },  { "self", "" }, { "self", "-1" },
	};
	struct sd_listen s;
	struct err_info info;
	char self[32];

	(void)state;
	(void)snprintf(self, sizeof(self), "%ld", (long)getpid());
	for (size_t i = 0; i < sizeof(not_ours) / sizeof(not_ours[0]); i++) {
		const char *pid = not_ours[i].pid;

		if (pid != NULL)
			(void)setenv("LISTEN_PID", strcmp(pid, "self") == 0 ? self : pid, 1);
		if (not_ours[i].fds != NULL)
			(void)setenv("LISTEN_FDS", not_ours[i].fds, 1);
		assert_int_equal(sd_listen_take(&s, &info), 0);
		assert_int_equal(s.n, 0);
		assert_null(getenv("LISTEN_PID"));
		assert_null(getenv("LISTEN_FDS"));
	}
	/* for us, and more than any service has */
	(void)setenv("LISTEN_PID", self, 1);
	(void)setenv("LISTEN_FDS", "17", 1);
	(void)setenv("LISTEN_FDNAMES", "a:b", 1);
	assert_int_equal(sd_listen_take(&s, &info), ERR_CONFIG);
	assert_null(getenv("LISTEN_FDNAMES"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_taken),
		cmocka_unit_test(t_refused),
		cmocka_unit_test(t_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
