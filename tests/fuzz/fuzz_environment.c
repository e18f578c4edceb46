/*
 * The environment, as a service manager sets it: lines NAME=VALUE, where "self" is this process's
 * number. Of sockets either as many as were announced are taken, each one that listens, or none,
 * with a sentence; the variables are gone in any case; and the watchdog is told only where the
 * manager asks for it.
 *
 * At descriptor 3 stand two sockets that listen, one that does not, and one for UDP.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/sd_listen.h"
#include "daemon/sd_notify.h"
#include "tests/fuzz/fuzz.h"

#define LISTENING    2u
#define PUT          4
#define TEXT_MAX     1024
#define WATCHDOG_MAX UINT64_C(1800000) /* ms: half of an hour */

static const char *const names[] = { "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC",
				     "WATCHDOG_PID" };
#define NAMES (sizeof(names) / sizeof(names[0]))

/* Where a service manager puts them; libFuzzer has no file open while an input runs. */
static void put_sockets(void)
{
	struct addr at;

	FUZZ_CHECK(addr_parse("127.0.0.1", 0, &at) == 0);
	for (int i = 0; i < PUT; i++) {
		int fd = socket(AF_INET, i == 3 ? SOCK_DGRAM : SOCK_STREAM, 0);

		FUZZ_CHECK(fd >= 0 && bind(fd, &at.u.sa, addr_len(&at)) == 0);
		FUZZ_CHECK(i >= (int)LISTENING || listen(fd, 1) == 0);
		if (fd != SD_LISTEN_FIRST + i) {
			FUZZ_CHECK(dup2(fd, SD_LISTEN_FIRST + i) == SD_LISTEN_FIRST + i);
			(void)close(fd);
		}
	}
}

/* The first of our names that begins a line @p at; its value without "self". */
static void set_variable(char *line)
{
	char self[16];
	char *value = strchr(line, '=');

	if (value == NULL)
		return;
	*value++ = '\0';
	(void)snprintf(self, sizeof(self), "%d", (int)getpid());
	for (size_t i = 0; i < NAMES; i++)
		if (strcmp(line, names[i]) == 0)
			FUZZ_CHECK(setenv(line, strcmp(value, "self") == 0 ? self : value, 1) == 0);
}

static void set_environment(char *text)
{
	char *line = text, *end;

	for (size_t i = 0; i < NAMES; i++)
		FUZZ_CHECK(unsetenv(names[i]) == 0);
	while ((end = strchr(line, '\n')) != NULL) {
		*end = '\0';
		set_variable(line);
		line = end + 1;
	}
	set_variable(line);
}

/* As exec would hand them over. */
static void clear_flags(void)
{
	for (int i = 0; i < PUT; i++)
		FUZZ_CHECK(fcntl(SD_LISTEN_FIRST + i, F_SETFD, 0) == 0);
}

static void check_sockets(void)
{
	const char *fds = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	bool announced = fds != NULL && pid != NULL;
	struct err_info info = { "" };
	struct sd_listen s;
	size_t n;
	int err;

	n = fds != NULL ? strtoul(fds, NULL, 10) : 0; /* the variables go */
	err = sd_listen_take(&s, &info);
	FUZZ_CHECK(getenv("LISTEN_FDS") == NULL && getenv("LISTEN_PID") == NULL);
	FUZZ_CHECK(getenv("LISTEN_FDNAMES") == NULL);
	FUZZ_CHECK((err == 0) == (info.text[0] == '\0'));
	if (err != 0 || !announced) {
		FUZZ_CHECK(s.n == 0 && (err == 0 || n > LISTENING));
		return;
	}
	FUZZ_CHECK(s.n == 0 || (s.n == n && n <= LISTENING));
	for (size_t i = 0; i < s.n; i++) {
		FUZZ_CHECK(s.sockets[i] == SD_LISTEN_FIRST + (int)i);
		FUZZ_CHECK(fcntl(s.sockets[i], F_GETFD) == FD_CLOEXEC);
		FUZZ_CHECK(addr_is_loopback(&s.addrs[i]) && addr_port(&s.addrs[i]) != 0);
	}
}

static void check_watchdog(void)
{
	struct sd_notify manager;
	uv_loop_t loop;

	FUZZ_CHECK(uv_loop_init(&loop) == 0);
	sd_notify_start(&manager, &loop);
	FUZZ_CHECK(!manager.watching || getenv("WATCHDOG_USEC") != NULL);
	if (manager.watching) {
		uint64_t every_ms = uv_timer_get_repeat(&manager.timer);

		FUZZ_CHECK(every_ms > 0 && every_ms <= WATCHDOG_MAX);
	}
	sd_notify_stop(&manager);
	sd_notify_stop(&manager);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	FUZZ_CHECK(uv_loop_close(&loop) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool put;
	char text[TEXT_MAX + 1];

	if (size > TEXT_MAX)
		return 0;
	if (!put)
		put_sockets();
	put = true;
	clear_flags();
	memcpy(text, data, size);
	text[size] = '\0';
	set_environment(text);
	check_watchdog();
	check_sockets();
	return 0;
}
