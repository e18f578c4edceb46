/*
 * A DNS forwarder that holds every message back for a while, each way, and counts the questions.
 *
 *     delay ADDRESS PORT SERVER-ADDRESS SERVER-PORT ONE-WAY-MICROSECONDS
 *
 * It says "ready" once it listens. A line on stdin makes it print its counts as one line of JSON
 * and begin again from zero; the end of stdin ends it.
 *
 * Datagrams go on from a small set of sockets, from one where the same message ID is not under way:
 * IDs are left as they are, because signatures cover them. Since every message is held back for the
 * same time, one queue in order of arrival is all there is to keep.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define UPSTREAMS   16
#define IDS         65536
#define CHUNK_MAX   65536
#define QUEUE_MAX   (256u << 20) /* bytes held back; beyond, the bench is broken */
#define SOCKET_BYTE (4 << 20)
#define TYPES       258 /* question types counted one by one; the last is "other" */

/* Who listens to what: what an epoll event points to. */
enum source { SRC_STDIN, SRC_UDP, SRC_UPSTREAM, SRC_ACCEPT, SRC_TCP };

struct from {
	enum source source;
	int fd;
};

struct upstream {
	struct from from;
	struct sockaddr_in client[IDS]; /* who asked with this ID; port 0: nobody */
};

/* One direction of a TCP connection; the other one is `back`. */
struct half {
	struct from from;
	struct half *back;
	bool ended;      /* nothing more comes from here */
	unsigned queued; /* messages from here that are held back */
};

struct message {
	struct message *next;
	uint64_t due_ns;
	int fd;                /* where it goes */
	struct sockaddr_in to; /* datagrams to a client; port 0: the socket is connected */
	struct half *half;     /* TCP: where it came from */
	size_t len;            /* 0 with half: the end of that direction */
	uint8_t data[];
};

static struct upstream *upstreams;
static struct message *first, **last = &first;
static size_t queued_bytes;
static uint64_t delay_ns;
static int epoll_fd;
static struct sockaddr_in server;
static unsigned long updates, queries, others, tcp_connections, by_type[TYPES];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void watch(struct from *f)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = f };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, f->fd, &e) != 0)
		die("epoll_ctl");
}

static struct message *hold(const uint8_t *data, size_t len, int fd)
{
	struct message *m = malloc(sizeof(*m) + len);

	queued_bytes += sizeof(*m) + len;
	if (m == NULL || queued_bytes > QUEUE_MAX)
		die("too much is held back");
	memset(m, 0, sizeof(*m));
	m->due_ns = now_ns() + delay_ns;
	m->fd = fd;
	m->len = len;
	if (len > 0)
		memcpy(m->data, data, len);
	*last = m;
	last = &m->next;
	return m;
}

/* ---- what is counted ---- */

static void count(const uint8_t *d, size_t len)
{
	size_t at = 12;
	unsigned type;

	if (len < 12)
		return;
	if (((d[2] >> 3) & 15) == 5) {
		updates++;
		return;
	}
	if (((d[2] >> 3) & 15) != 0) {
		others++;
		return;
	}
	queries++;
	while (at < len && d[at] != 0)
		at += 1u + d[at];
	if (at + 3 > len)
		return;
	type = (unsigned)d[at + 1] << 8 | d[at + 2];
	by_type[type < TYPES - 1 ? type : TYPES - 1]++;
}

static void report(void)
{
	bool any = false;

	printf("{\"updates\": %lu, \"queries\": %lu, \"others\": %lu, \"tcp\": %lu, \"types\": {",
	       updates, queries, others, tcp_connections);
	for (unsigned i = 0; i < TYPES; i++) {
		if (by_type[i] > 0)
			printf("%s\"%u\": %lu", any ? ", " : "", i, by_type[i]);
		any = any || by_type[i] > 0;
	}
	printf("}}\n");
	(void)fflush(stdout);
	updates = queries = others = tcp_connections = 0;
	memset(by_type, 0, sizeof(by_type));
}

/* ---- datagrams ---- */

static void from_client(int fd)
{
	static unsigned turn;
	static uint8_t buf[CHUNK_MAX];
	struct sockaddr_in client;
	socklen_t size = sizeof(client);
	ssize_t n;

	while ((n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&client,
			     &size)) >= 2) {
		unsigned id = (unsigned)buf[0] << 8 | buf[1];
		struct upstream *u = NULL;

		count(buf, (size_t)n);
		for (unsigned i = 0; i < UPSTREAMS && u == NULL; i++, turn++)
			if (upstreams[turn % UPSTREAMS].client[id].sin_port == 0)
				u = &upstreams[turn % UPSTREAMS];
		if (u == NULL)
			continue;
		u->client[id] = client;
		(void)hold(buf, (size_t)n, u->from.fd);
		size = sizeof(client);
	}
}

static void from_upstream(struct upstream *u, int udp)
{
	static uint8_t buf[CHUNK_MAX];
	ssize_t n;

	while ((n = recv(u->from.fd, buf, sizeof(buf), MSG_DONTWAIT)) >= 2) {
		struct sockaddr_in *client = &u->client[(unsigned)buf[0] << 8 | buf[1]];

		if (client->sin_port == 0)
			continue;
		hold(buf, (size_t)n, udp)->to = *client;
		client->sin_port = 0;
	}
}

/* ---- TCP ---- */

static struct half *half_new(int fd)
{
	struct half *h = calloc(1, sizeof(*h));
	int one = 1;

	if (h == NULL)
		die("calloc");
	h->from = (struct from){ SRC_TCP, fd };
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return h;
}

static void accept_one(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	int up = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct half *a, *b;

	if (fd < 0 || up < 0 || connect(up, (struct sockaddr *)&server, sizeof(server)) != 0)
		die("TCP");
	tcp_connections++;
	a = half_new(fd);
	b = half_new(up);
	a->back = b;
	b->back = a;
	watch(&a->from);
	watch(&b->from);
}

/* What a client sends in one write arrives as one piece on loopback; only such is counted. */
static void from_tcp(struct half *h)
{
	static uint8_t buf[CHUNK_MAX];
	ssize_t n = recv(h->from.fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		(void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, h->from.fd, NULL);
		h->ended = true;
		n = 0;
	}
	h->queued++;
	hold(buf, (size_t)n, h->back->from.fd)->half = h;
}

static void deliver_tcp(const struct message *m)
{
	struct half *h = m->half;

	h->queued--;
	if (m->len == 0)
		(void)shutdown(m->fd, SHUT_WR);
	else
		(void)send(m->fd, m->data, m->len, MSG_NOSIGNAL);
	if (!h->ended || h->queued > 0 || !h->back->ended || h->back->queued > 0)
		return;
	(void)close(h->from.fd);
	(void)close(h->back->from.fd);
	free(h->back);
	free(h);
}

/* ---- the loop ---- */

static void deliver_due(void)
{
	while (first != NULL && first->due_ns <= now_ns()) {
		struct message *m = first;

		first = m->next;
		if (first == NULL)
			last = &first;
		queued_bytes -= sizeof(*m) + m->len;
		if (m->half != NULL)
			deliver_tcp(m);
		else if (m->to.sin_port != 0)
			(void)sendto(m->fd, m->data, m->len, 0, (struct sockaddr *)&m->to,
				     sizeof(m->to));
		else
			(void)send(m->fd, m->data, m->len, 0);
		free(m);
	}
}

static int open_socket(int type, const struct sockaddr_in *at, bool connected)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	int size = SOCKET_BYTE, one = 1;

	if (fd < 0)
		die("socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* a bigger buffer than net.core.rmem_max takes privilege; without it, the usual one */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if ((connected ? connect : bind)(fd, (const struct sockaddr *)at, sizeof(*at)) != 0)
		die("bind or connect");
	return fd;
}

static void parse(const char *address, const char *port, struct sockaddr_in *ret)
{
	*ret = (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)strtoul(port, NULL, 10)) };
	if (inet_pton(AF_INET, address, &ret->sin_addr) != 1)
		die(address);
}

static void dispatch(struct from *f, int udp)
{
	char line[64];

	switch (f->source) {
	case SRC_STDIN:
		if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
			exit(0);
		report();
		break;
	case SRC_UDP:
		from_client(f->fd);
		break;
	case SRC_UPSTREAM:
		from_upstream((struct upstream *)(void *)f, udp);
		break;
	case SRC_ACCEPT:
		accept_one(f->fd);
		break;
	case SRC_TCP:
		from_tcp((struct half *)(void *)f);
		break;
	}
}

int main(int argc, char **argv)
{
	struct from in = { SRC_STDIN, STDIN_FILENO }, udp = { SRC_UDP, -1 };
	struct from tcp = { SRC_ACCEPT, -1 };
	struct sockaddr_in here;

	if (argc != 6) {
		(void)fprintf(stderr, "usage: delay ADDRESS PORT SERVER PORT MICROSECONDS\n");
		return 2;
	}
	parse(argv[1], argv[2], &here);
	parse(argv[3], argv[4], &server);
	delay_ns = strtoull(argv[5], NULL, 10) * 1000u;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	upstreams = calloc(UPSTREAMS, sizeof(*upstreams));
	if (epoll_fd < 0 || upstreams == NULL)
		die("start");
	udp.fd = open_socket(SOCK_DGRAM, &here, false);
	tcp.fd = open_socket(SOCK_STREAM, &here, false);
	if (listen(tcp.fd, 128) != 0)
		die("listen");
	watch(&in);
	watch(&udp);
	watch(&tcp);
	for (unsigned i = 0; i < UPSTREAMS; i++) {
		upstreams[i].from =
			(struct from){ SRC_UPSTREAM, open_socket(SOCK_DGRAM, &server, true) };
		watch(&upstreams[i].from);
	}
	(void)puts("ready");
	(void)fflush(stdout);
	for (;;) {
		struct epoll_event events[64];
		uint64_t now = now_ns(), left = 1000000000u;
		struct timespec wait;
		int n;

		if (first != NULL)
			left = first->due_ns > now ? first->due_ns - now : 0;
		wait = (struct timespec){ (time_t)(left / 1000000000u),
					  (long)(left % 1000000000u) };
		n = epoll_pwait2(epoll_fd, events, 64, &wait, NULL);
		for (int i = 0; i < n; i++)
			dispatch(events[i].data.ptr, udp.fd);
		deliver_due();
	}
}
