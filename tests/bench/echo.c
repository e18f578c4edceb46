/*
 * The bare minimum of a server, to compare with: one epoll loop that answers each PDU of a
 * connection with as many bytes as the real one would send, and looks at nothing but the length.
 *
 *   echo ADDRESS FIRST SECOND    the first PDU of a connection gets FIRST bytes, the second SECOND
 *
 * Prints its port. Ends when stdin does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS  256
#define FDS_MAX 65536
#define PDU_MAX 8192

/* What a connection, by its descriptor, has received of its PDU, and how many PDUs it has sent. */
static struct {
	uint16_t have, want;
	uint8_t n;
} conns[FDS_MAX];
static uint8_t reply[2][PDU_MAX];
static size_t reply_len[2];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void on_data(int fd)
{
	uint8_t in[PDU_MAX];
	ssize_t got = recv(fd, in, sizeof(in), 0);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		close(fd);
		return;
	}
	if (conns[fd].have == 0 && got >= 10)
		conns[fd].want = (uint16_t)(in[8] | in[9] << 8);
	conns[fd].have = (uint16_t)(conns[fd].have + got);
	if (conns[fd].want == 0 || conns[fd].have < conns[fd].want)
		return;
	conns[fd].have = 0;
	if (conns[fd].n < 2) {
		size_t i = conns[fd].n++;

		if (send(fd, reply[i], reply_len[i], MSG_NOSIGNAL) != (ssize_t)reply_len[i])
			close(fd);
	}
}

static void accept_all(int epoll, int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct epoll_event e = { .events = EPOLLIN, .data = { .fd = fd } };

		if (fd < 0)
			return;
		if (fd >= FDS_MAX) {
			close(fd);
			continue;
		}
		memset(&conns[fd], 0, sizeof(conns[fd]));
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
			fail("epoll_ctl");
	}
}

static int open_listener(const char *address, struct sockaddr_in *sin)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
	socklen_t len = sizeof(*sin);

	sin->sin_family = AF_INET;
	if (inet_pton(AF_INET, address, &sin->sin_addr) != 1)
		fail("address");
	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)sin, len) < 0 || listen(fd, 4096) < 0 ||
	    getsockname(fd, (struct sockaddr *)sin, &len) < 0)
		fail("listen");
	return fd;
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS], e = { .events = EPOLLIN };
	struct sockaddr_in sin = { 0 };
	int epoll = epoll_create1(EPOLL_CLOEXEC), listener;

	if (argc != 4 || epoll < 0)
		return 2;
	for (int i = 0; i < 2; i++) {
		reply_len[i] = strtoul(argv[2 + i], NULL, 10);
		if (reply_len[i] < 16 || reply_len[i] > PDU_MAX)
			return 2;
		memcpy(reply[i], "\5\0\2\3\x10", 5);
		reply[i][8] = (uint8_t)reply_len[i];
		reply[i][9] = (uint8_t)(reply_len[i] >> 8);
	}
	listener = open_listener(argv[1], &sin);
	e.data.fd = listener;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) < 0)
		fail("epoll_ctl");
	e.data.fd = STDIN_FILENO;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &e) < 0)
		fail("epoll_ctl");
	printf("%u\n", ntohs(sin.sin_port));
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == STDIN_FILENO)
				return 0;
			if (events[i].data.fd == listener)
				accept_all(epoll, listener);
			else
				on_data(events[i].data.fd);
		}
	}
}
