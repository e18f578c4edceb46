/*
 * Load of a KMS host: activations, each a connection of its own (connect, bind, request, close), so
 * many side by side, for some seconds; or connections that bind and then only stay.
 *
 *   kmsload run  ADDRESS PORT CONNECTIONS SECONDS FILE [stamp] [patience=MS]
 *   kmsload hold ADDRESS PORT CONNECTIONS FILE       prints "held"; ends when stdin does
 *
 * FILE has PDUs, one behind the other: a bind, then requests, taken in turn. A reply is as long as
 * its header says and has to be a bind_ack (12; a bare echo server's are of type 2), then a
 * response (2). Each connection has a source address of its own in 127.77.0.0/16, so that limits of
 * one address do not matter and ports do not run out.
 *
 * With `stamp` each request has a number of its own behind the version in its body, and a response
 * is right only if it has the same (rpchost.c answers so), the request's call_id, and the HRESULT
 * 0.
 *
 * `run` prints one JSON object: activations; those that failed, and of these: no connection,
 * an end before the whole answer, a fault or bind_nak or something else that is no answer, another
 * one's answer, nothing for `patience` (10 s); seconds until the last one begun has ended;
 * microseconds from connect to the whole response, the median, the 99th percentile, the longest.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
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
#define PDU_MAX     8192
#define KEEP        64
#define CALL_ID     4
#define STAMP_RQ    (24 + 8 + 4)  /* behind the version, in a request PDU */
#define STAMP_RS    (24 + 12 + 4) /* in a response PDU */

struct pdu {
	const uint8_t *data;
	size_t len;
};

struct conn {
	int fd;
	int stage; /* 0: connecting, 1: bind sent, 2: request sent or idle */
	size_t have;
	double started;
	uint64_t stamp;
	uint8_t in[KEEP]; /* the beginning of a reply; the rest is counted only */
	uint8_t end[4];   /* its last octets */
};

enum failure { NO_CONNECTION, ENDED, NO_ANSWER, ANOTHERS, SILENT, FAILURES };
static const char *const failure_names[FAILURES] = { "no_connection", "ended", "no_answer",
						     "anothers", "silent" };

static struct pdu *pdus;
static size_t n_pdus, next_pdu = 1;
static struct conn conns[CONNS_MAX];
static size_t n_conns, n_open;
static float *samples;
static size_t n_samples, n_bound, n_failed[FAILURES];
static uint64_t next_stamp;
static struct sockaddr_in server = { .sin_family = AF_INET };
static int epoll;
static bool holding, ending, stamped;
static double patience_s = 10;

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

static void begin(struct conn *c);

static void again(struct conn *c)
{
	close(c->fd);
	c->fd = -1;
	n_open--;
	if (!holding && !ending)
		begin(c);
}

static void fail_conn(struct conn *c, enum failure why)
{
	n_failed[why]++;
	again(c);
}

static void put(struct conn *c, const uint8_t *data, size_t len)
{
	ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

	if (n < 0 && c->stage == 0 && errno == EAGAIN)
		return; /* not connected yet */
	if (n != (ssize_t)len)
		fail_conn(c, c->stage == 0 ? NO_CONNECTION : ENDED);
	else if (c->stage == 0)
		c->stage = 1;
}

static void begin(struct conn *c)
{
	size_t i = (size_t)(c - conns);
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data = { .ptr = c } };
	const int on = 1;

	from.sin_addr.s_addr = htonl(0x7f4d0000u + (uint32_t)(i % 65000) + 1);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	c->stage = 0;
	c->have = 0;
	c->started = now();
	n_open++;
	if (c->fd < 0 ||
	    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0 ||
	    bind(c->fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		fail("socket");
	if (connect(c->fd, (struct sockaddr *)&server, sizeof(server)) < 0 && errno != EINPROGRESS)
		fail("connect");
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
		fail("epoll_ctl");
}

static void send_request(struct conn *c)
{
	const struct pdu *p = &pdus[next_pdu];
	uint8_t copy[PDU_MAX];

	if (++next_pdu == n_pdus)
		next_pdu = 1;
	if (stamped) {
		memcpy(copy, p->data, p->len);
		c->stamp = ++next_stamp;
		memcpy(copy + STAMP_RQ, &c->stamp, sizeof(c->stamp));
		memcpy(copy + 12, &c->stamp, CALL_ID);
		put(c, copy, p->len);
	} else {
		put(c, p->data, p->len);
	}
}

static bool is_mine(const struct conn *c)
{
	return memcmp(c->in + STAMP_RS, &c->stamp, sizeof(c->stamp)) == 0 &&
	       memcmp(c->in + 12, &c->stamp, CALL_ID) == 0 && memcmp(c->end, "\0\0\0\0", 4) == 0;
}

/* A whole reply has come. */
static void replied(struct conn *c)
{
	int type = c->in[2];

	if (c->stage == 1 && (type == 12 || type == 2)) {
		c->have = 0;
		c->stage = 2;
		n_bound++;
		if (!holding)
			send_request(c);
	} else if (c->stage != 2 || type != 2) {
		fail_conn(c, NO_ANSWER);
	} else if (stamped && (c->have < STAMP_RS + sizeof(c->stamp) || !is_mine(c))) {
		fail_conn(c, ANOTHERS);
	} else {
		if (n_samples < SAMPLES_MAX)
			samples[n_samples++] = (float)((now() - c->started) * 1e6);
		again(c);
	}
}

/* What has come. @return false: nothing more of this reply for now. */
static bool take(struct conn *c)
{
	uint8_t in[REPLY_MAX];
	ssize_t got = recv(c->fd, in, sizeof(in), 0);
	size_t len = (size_t)got;

	if (got < 0 && errno == EAGAIN)
		return false;
	if (got <= 0) {
		fail_conn(c, ENDED);
		return false;
	}
	if (c->have < KEEP)
		memcpy(c->in + c->have, in, len < KEEP - c->have ? len : KEEP - c->have);
	if (len >= sizeof(c->end))
		memcpy(c->end, in + len - sizeof(c->end), sizeof(c->end)); /* never in two parts */
	c->have += len;
	if (c->have < 16 || c->have < (size_t)(c->in[8] | c->in[9] << 8))
		return true; /* its end may be there already, and would not be told again */
	replied(c);
	return false;
}

static void on_event(struct conn *c, uint32_t what)
{
	if (c->fd < 0)
		return;
	if (c->stage > 0) {
		while (take(c))
			;
	} else if ((what & (EPOLLERR | EPOLLHUP)) != 0) {
		fail_conn(c, NO_CONNECTION);
	} else {
		put(c, pdus[0].data, pdus[0].len);
	}
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

static size_t failed(void)
{
	size_t n = 0;

	for (int i = 0; i < FAILURES; i++)
		n += n_failed[i];
	return n;
}

static void hold(void)
{
	struct epoll_event e = { .events = EPOLLIN };

	holding = true;
	for (size_t i = 0; i < n_conns; i++) {
		begin(&conns[i]);
		while (n_bound + failed() < i) /* one at a time or so: a backlog is not the point */
			loop_once(-1);
	}
	while (n_bound + failed() < n_conns)
		loop_once(-1);
	if (failed() > 0) {
		fprintf(stderr, "%zu of %zu connections were not held\n", failed(), n_conns);
		exit(1);
	}
	puts("held");
	fflush(stdout);
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &e) < 0)
		fail("epoll_ctl");
	for (;;)
		loop_once(-1);
}

/* Give up what has waited too long. */
static void expire(double at)
{
	for (size_t i = 0; i < n_conns; i++)
		if (conns[i].fd >= 0 && at - conns[i].started > patience_s)
			fail_conn(&conns[i], SILENT);
}

static void run(double seconds)
{
	double started = now(), looked = started, at;

	for (size_t i = 0; i < n_conns; i++)
		begin(&conns[i]);
	do {
		loop_once(100);
		at = now();
		ending = at - started >= seconds;
		if (at - looked > 0.1) {
			expire(at);
			looked = at;
		}
	} while (n_open > 0);
	qsort(samples, n_samples, sizeof(*samples), compare);
	if (n_samples == 0)
		fail("no activation");
	printf("{\"done\": %zu, \"failed\": %zu", n_samples, failed());
	for (int i = 0; i < FAILURES; i++)
		printf(", \"%s\": %zu", failure_names[i], n_failed[i]);
	printf(", \"wall_s\": %.3f, \"p50_us\": %.0f, \"p99_us\": %.0f, \"max_us\": %.0f}\n",
	       at - started, (double)samples[n_samples / 2], (double)samples[n_samples * 99 / 100],
	       (double)samples[n_samples - 1]);
}

int main(int argc, char **argv)
{
	bool is_hold = argc == 6 && strcmp(argv[1], "hold") == 0;

	if (!is_hold && !(argc >= 7 && strcmp(argv[1], "run") == 0))
		return 2;
	for (int i = 7; i < argc; i++) {
		if (strcmp(argv[i], "stamp") == 0)
			stamped = true;
		else if (strncmp(argv[i], "patience=", 9) == 0)
			patience_s = strtod(argv[i] + 9, NULL) / 1e3;
		else
			return 2;
	}
	n_conns = strtoul(argv[4], NULL, 10);
	server.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	samples = malloc(SAMPLES_MAX * sizeof(*samples));
	if (n_conns < 1 || n_conns > CONNS_MAX || epoll < 0 || samples == NULL ||
	    inet_pton(AF_INET, argv[2], &server.sin_addr) != 1)
		return 2;
	load(argv[is_hold ? 5 : 6]);
	if (is_hold)
		hold();
	else
		run(strtod(argv[5], NULL));
	return 0;
}
