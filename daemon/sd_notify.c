#include "daemon/sd_notify.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WATCHDOG_MAX_US UINT64_C(3600000000)

/** Nobody waits for the outcome: a manager that cannot be told will find out by itself. */
static void tell(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = path != NULL ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(sun.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sun.sun_path, path, len);
	if (path[0] == '@')
		sun.sun_path[0] = '\0'; /* an abstract socket */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&sun,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	(void)close(fd);
}

static void on_timer(uv_timer_t *t)
{
	(void)t;
	tell("WATCHDOG=1");
}

/** Microseconds, or 0: nobody watches this process. */
static uint64_t watchdog_us(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t v;
	char *end;

	if (usec == NULL || usec[0] < '0' || usec[0] > '9')
		return 0;
	if (pid != NULL && strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	v = strtoull(usec, &end, 10);
	return *end == '\0' && v <= WATCHDOG_MAX_US ? v : 0;
}

void sd_notify_start(struct sd_notify *n, uv_loop_t *loop)
{
	uint64_t ms = watchdog_us() / 2000;

	n->watching = ms > 0;
	if (!n->watching)
		return;
	(void)uv_timer_init(loop, &n->timer);
	(void)uv_timer_start(&n->timer, on_timer, 0, ms);
}

void sd_notify_stop(struct sd_notify *n)
{
	if (n->watching)
		uv_close((uv_handle_t *)&n->timer, NULL);
	n->watching = false;
}

void sd_notify_ready(const char *status)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "READY=1\n%s%.400s", status != NULL ? "STATUS=" : "",
		       status != NULL ? status : "");
	tell(text);
}

void sd_notify_reloading(void)
{
	struct timespec now;
	char text[64];

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		       (unsigned long long)now.tv_sec * 1000000u +
			       (unsigned long long)now.tv_nsec / 1000u);
	tell(text);
}

void sd_notify_stopping(void)
{
	tell("STOPPING=1");
}
