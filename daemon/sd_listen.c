#include "daemon/sd_listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A whole number that is all of @p text; -1: it is none. */
static long number(const char *text)
{
	char *end;
	long v;

	if (text == NULL || text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	v = strtol(text, &end, 10);
	return *end == '\0' && errno == 0 ? v : -1;
}

static int option(int fd, int name, int *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, name, ret, &len) == 0 ? 0 : -errno;
}

static int check_one(int fd, struct addr *ret, struct err_info *info)
{
	struct addr at = { 0 };
	socklen_t len = sizeof(at.u);
	int type = 0, listens = 0;
	int err = option(fd, SO_TYPE, &type);

	if (err != 0)
		return err_set(info, err, "descriptor %d, which was handed in, is no socket: %s",
			       fd, err_text(err));
	if (type != SOCK_STREAM)
		return err_set(info, ERR_CONFIG,
			       "socket %d, which was handed in, is not for TCP; the socket unit "
			       "needs ListenStream=",
			       fd);
	if (getsockname(fd, &at.u.sa, &len) != 0 ||
	    (at.u.sa.sa_family != AF_INET && at.u.sa.sa_family != AF_INET6))
		return err_set(info, ERR_CONFIG,
			       "socket %d, which was handed in, has no IPv4 or IPv6 address; the "
			       "socket unit needs ListenStream=ADDRESS:PORT",
			       fd);
	if (option(fd, SO_ACCEPTCONN, &listens) != 0 || listens == 0)
		return err_set(info, ERR_CONFIG,
			       "socket %d, which was handed in, does not listen; the socket unit "
			       "needs Accept=no",
			       fd);
	*ret = at;
	return 0;
}

int sd_listen_check(int first, size_t n, struct sd_listen *ret, struct err_info *info)
{
	*ret = (struct sd_listen){ .n = 0 };
	if (n > SD_LISTEN_MAX)
		return err_set(info, ERR_CONFIG, "%zu sockets were handed in; at most %d are taken",
			       n, SD_LISTEN_MAX);
	for (size_t i = 0; i < n; i++) {
		int fd = first + (int)i;
		int err = check_one(fd, &ret->addrs[i], info);

		if (err != 0)
			return err;
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
			return err_set(info, -errno, "socket %d: %s", fd, err_text(-errno));
		ret->sockets[i] = fd;
	}
	ret->n = n;
	return 0;
}

int sd_listen_take(struct sd_listen *ret, struct err_info *info)
{
	long pid = number(getenv("LISTEN_PID")), n = number(getenv("LISTEN_FDS"));

	*ret = (struct sd_listen){ .n = 0 };
	/* No child of ours is to believe that they are for it. */
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	if (pid != (long)getpid() || n <= 0)
		return 0;
	return sd_listen_check(SD_LISTEN_FIRST, (size_t)n, ret, info);
}

void sd_listen_close(struct sd_listen *s)
{
	for (size_t i = 0; i < s->n; i++)
		(void)close(s->sockets[i]);
	s->n = 0;
}
