/* The other side of the program's control socket, which is a real one: it is looked at in each
 * step. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/sim/machine.h"

#define CLIENTS_MAX 16
#define CHUNK       65536u

struct client {
	bool used;
	int fd; /* -1: could not connect */
	char *line;
	size_t len;
	void (*answer)(void *ctx, const char *line);
	void *ctx;
};

static struct client clients[CLIENTS_MAX];

static int connect_to(const char *path, const char *request)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = strlen(request);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || strlen(path) >= sizeof(sun.sun_path))
		sim_fail("no socket to talk to %s", path);
	memcpy(sun.sun_path, path, strlen(path));
	if (connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) == 0 &&
	    send(fd, request, len, MSG_NOSIGNAL) == (ssize_t)len &&
	    send(fd, "\n", 1, MSG_NOSIGNAL) == 1)
		return fd;
	(void)close(fd);
	return -1;
}

void sim_control(const char *path, const char *request, void (*answer)(void *ctx, const char *line),
		 void *ctx)
{
	struct client *c = clients;

	if (life_process == NULL)
		sim_fail("sim_control() while the program does not run");
	while (c < clients + CLIENTS_MAX && c->used)
		c++;
	if (c == clients + CLIENTS_MAX)
		sim_fail("too many requests to the control socket wait");
	*c = (struct client){ .used = true, .answer = answer, .ctx = ctx };
	c->fd = connect_to(path, request);
}

static void finish(struct client *c, const char *line)
{
	struct client was = *c;

	*c = (struct client){ 0 };
	if (was.fd >= 0)
		(void)close(was.fd);
	play_begin();
	was.answer(was.ctx, line);
	play_end();
	free(was.line);
}

/* @return true: something came, or it has ended */
static bool pump(struct client *c)
{
	ssize_t n;
	char *end;

	if (c->fd < 0) {
		finish(c, NULL);
		return true;
	}
	c->line = realloc(c->line, c->len + CHUNK + 1);
	if (c->line == NULL)
		sim_fail("no memory");
	n = recv(c->fd, c->line + c->len, CHUNK, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	c->len += n > 0 ? (size_t)n : 0;
	c->line[c->len] = '\0';
	end = strchr(c->line, '\n');
	if (end != NULL)
		*end = '\0';
	if (end != NULL || n <= 0)
		finish(c, end != NULL ? c->line : NULL);
	return true;
}

bool control_pump(void)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (clients[i].used && pump(&clients[i]))
			return true;
	return false;
}

void control_end(void)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (clients[i].used)
			finish(&clients[i], NULL);
}
