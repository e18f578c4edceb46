/*
 * Load of a KMS host: activations, each a connection of its own (connect, bind, request, close), so
 * many side by side, for some seconds; or connections that bind and then only stay.
 *
 *   kmsload run  ADDRESS PORT CONNECTIONS SECONDS FILE
 *   kmsload hold ADDRESS PORT CONNECTIONS FILE       prints "held"; ends when stdin does
 *
 * FILE has PDUs, one behind the other: a bind, then requests, taken in turn. A reply is as long as
 * its header says and has to be a bind_ack (12; a bare echo server's are of type 2), then a
 * response (2). Each connection has a source address of its own in 127.77.0.0/16, so that limits of
 * one address do not matter and ports do not run out.
 *
 * `run` prints one JSON object: activations, errors, seconds, microseconds of the median and the
 * 99th percentile from connect to the whole response.
 */
#include <arpa/inet.h>
#include <errno.h>
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

#define CONNS_MAX   20000
#define EVENTS      256
#define FILE_MAX    (64 << 20)
#define SAMPLES_MAX (1 << 22)
#define REPLY_MAX   8192

struct pdu {
	const uint8_t *data;
	size_t len;
};

struct conn {
	int fd;
	int stage; /* 0: connecting, 1: bind sent, 2: request sent or idle */
	size_t have;
	double started;
	uint8_t in[64]; /* enough for a header; the rest is counted only */
};

static struct pdu *pdus;
static size_t n_pdus, next_pdu = 1;
static struct conn conns[CONNS_MAX];
static float *samples;
static size_t n_samples, n_errors, n_bound;
static struct sockaddr_in server = { .sin_family = AF_INET };
static int epoll;
static bool holding, ending;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void load(const char *path)
{
	FILE *f = fopen(path, "re");
	uint8_t *all = malloc(FILE_MAX);
	size_t len, at = 0;

	if (f == NULL || all == NULL)
		fail(path);
	len = fread(all, 1, FILE_MAX, f);
	fclose(f);
	pdus = calloc(len / 16 + 1, sizeof(*pdus));
	while (pdus != NULL && at + 16 <= len) {
		pdus[n_pdus].data = all + at;
		pdus[n_pdus].len = (size_t)(all[at + 8] | all[at + 9] << 8);
		at += pdus[n_pdus++].len;
	}
	if (n_pdus < 2)
		fail("no PDUs");
}

static void begin(struct conn *c)
{
	size_t i = (size_t)(c - conns);
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct epoll_event e = { .events = EPOLLOUT, .data = { .ptr = c } };
	const int on = 1;

	from.sin_addr.s_addr = htonl(0x7f4d0000u + (uint32_t)(i % 65000) + 1);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	c->stage = 0;
	c->have = 0;
	c->started = now();
	if (c->fd < 0 ||
	    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0 ||
	    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    bind(c->fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		fail("socket");
	if (connect(c->fd, (struct sockaddr *)&server, sizeof(server)) < 0 && errno != EINPROGRESS)
		fail("connect");
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
		fail("epoll_ctl");
}

static void end(struct conn *c, bool good)
{
	if (good && n_samples < SAMPLES_MAX)
		samples[n_samples++] = (float)((now() - c->started) * 1e6);
	if (!good)
		n_errors++;
	close(c->fd);
	c->fd = -1;
	if (!ending && !holding)
		begin(c);
}

static void put(struct conn *c, const struct pdu *p)
{
	if (send(c->fd, p->data, p->len, MSG_NOSIGNAL) != (ssize_t)p->len)
		end(c, false);
}

/* A whole reply has come. */
static void replied(struct conn *c)
{
	int type = c->in[2];

	c->have = 0;
	if (c->stage == 1 && (type == 12 || type == 2)) {
		c->stage = 2;
		n_bound++;
		if (holding)
			return;
		put(c, &pdus[next_pdu]);
		if (++next_pdu == n_pdus)
			next_pdu = 1;
	} else {
		end(c, c->stage == 2 && type == 2);
	}
}

static void on_event(struct conn *c, uint32_t what)
{
	struct epoll_event e = { .events = EPOLLIN, .data = { .ptr = c } };
	uint8_t in[REPLY_MAX];
	ssize_t got;
	size_t head;

	if (c->stage == 0 && (what & EPOLLOUT) != 0) {
		c->stage = 1;
		if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e) < 0)
			fail("epoll_ctl");
		put(c, &pdus[0]);
		return;
	}
	got = recv(c->fd, in, sizeof(in), 0);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		end(c, false);
		return;
	}
	head = c->have < 16 ? 16 - c->have : 0;
	memcpy(c->in + c->have % 16, in, head < (size_t)got ? head : (size_t)got);
	c->have += (size_t)got;
	if (c->have >= 16 && c->have >= (size_t)(c->in[8] | c->in[9] << 8))
		replied(c);
}

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return x < y ? -1 : x > y;
}

static void loop_once(int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(epoll, events, EVENTS, timeout_ms);

	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == NULL)
			exit(0); /* stdin has ended */
		on_event(events[i].data.ptr, events[i].events);
	}
}

static void hold(size_t n)
{
	struct epoll_event e = { .events = EPOLLIN };

	holding = true;
	for (size_t i = 0; i < n; i++) {
		begin(&conns[i]);
		while (n_bound + n_errors < i) /* one at a time or so: a backlog is not the point */
			loop_once(-1);
	}
	while (n_bound + n_errors < n)
		loop_once(-1);
	if (n_errors > 0) {
		fprintf(stderr, "%zu of %zu connections were not held\n", n_errors, n);
		exit(1);
	}
	puts("held");
	fflush(stdout);
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &e) < 0)
		fail("epoll_ctl");
	for (;;)
		loop_once(-1);
}

static void run(size_t n, double seconds)
{
	double started = now(), ended;

	for (size_t i = 0; i < n; i++)
		begin(&conns[i]);
	while (now() - started < seconds)
		loop_once(100);
	ended = now();
	ending = true;
	qsort(samples, n_samples, sizeof(*samples), compare);
	if (n_samples == 0)
		fail("no activation");
	printf("{\"done\": %zu, \"errors\": %zu, \"wall_s\": %.3f, \"p50_us\": %.0f, \"p99_us\": "
	       "%.0f}\n",
	       n_samples, n_errors, ended - started, (double)samples[n_samples / 2],
	       (double)samples[n_samples * 99 / 100]);
}

int main(int argc, char **argv)
{
	bool is_hold = argc == 6 && strcmp(argv[1], "hold") == 0;
	size_t n;

	if (!is_hold && !(argc == 7 && strcmp(argv[1], "run") == 0))
		return 2;
	n = strtoul(argv[4], NULL, 10);
	server.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	samples = malloc(SAMPLES_MAX * sizeof(*samples));
	if (n < 1 || n > CONNS_MAX || epoll < 0 || samples == NULL ||
	    inet_pton(AF_INET, argv[2], &server.sin_addr) != 1)
		return 2;
	load(argv[argc - 1]);
	if (is_hold)
		hold(n);
	else
		run(n, strtod(argv[5], NULL));
	return 0;
}
