/*
 * A KMS host for the bench of the relay: it binds and answers, as fast as one epoll loop can.
 *
 *   rpchost ADDRESS BODY [mpx] [delay=MS]
 *
 * A bind gets a bind_ack: the KMS interface with NDR32 is accepted, feature negotiation is
 * acknowledged, everything else is rejected; PFC_CONC_MPX only with `mpx`. A request gets a
 * response whose body has BODY bytes: the version and the STAMP bytes behind it are those of the
 * request, so that a client knows the answer to its own question. It looks at no other byte of a
 * body.
 *
 * `delay` answers each request that many milliseconds later, as a host that works would.
 *
 * Prints its port. A line on stdin gets one line of JSON: connections and requests since the last
 * one. Ends when stdin does.
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

#define EVENTS    256
#define FDS_MAX   65536
#define PDU_MAX   5840
#define BODY_MAX  2048
#define IN_MAX    (64 << 10)
#define OUT_MAX   (256 << 10)
#define LATER_MAX (1 << 17) /* answers held back */
#define STAMP     8
#define HEAD      4 /* the version, before the stamp */
#define RQ_BODY   (24 + 8)
#define RS_BODY   (24 + 12)

static const uint8_t kms[20] =
	"\x75\x21\xc8\x51\x4e\x84\x50\x47\xb0\xd8\xec\x25\x55\x55\xbc\x06\1\0\0";
static const uint8_t ndr32[20] =
	"\x04\x5d\x88\x8a\xeb\x1c\xc9\x11\x9f\xe8\x08\x00\x2b\x10\x48\x60\2\0\0";
static const uint8_t features[8] = "\x2c\x1c\xb7\x6c\x12\x98\x40\x45";

/* An answer, as far as it differs from others. */
struct answer {
	uint64_t due_ms;
	uint32_t generation; /* of the connection */
	int fd;
	uint8_t call_id[4], ctx[2];
	uint8_t head[HEAD + STAMP];
};

/* What a connection, by its descriptor, has received of a PDU that is not whole. */
static struct {
	uint32_t generation;
	uint16_t have;
	uint8_t *part;
} conns[FDS_MAX];
static struct answer later[LATER_MAX];
static size_t later_first, later_last;
static uint8_t response[RS_BODY + BODY_MAX + 8], out[OUT_MAX];
static size_t response_len, out_len;
static uint64_t delay_ms;
static unsigned long n_accepted, n_requests;
static bool mpx;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static size_t get16(const uint8_t *p)
{
	return (size_t)(p[0] | p[1] << 8);
}

/* The response that all others are copies of. */
static void make_response(size_t body)
{
	size_t padded = (body + 3) & ~(size_t)3;

	response_len = RS_BODY + padded + 4;
	memcpy(response, "\5\0\2\3\x10", 5);
	put16(response + 8, response_len);
	put16(response + 16, response_len - 24);
	put16(response + 24, body);
	memcpy(response + 28, "\0\0\2", 3); /* a referent id */
	put16(response + 32, body);
	memset(response + RS_BODY, 0xa5, body);
}

static void forget(int fd)
{
	free(conns[fd].part);
	conns[fd].part = NULL;
	conns[fd].have = 0;
	conns[fd].generation++;
	close(fd);
}

static void add_answer(const struct answer *a)
{
	uint8_t *p = out + out_len;

	memcpy(p, response, response_len);
	memcpy(p + 12, a->call_id, 4);
	memcpy(p + 20, a->ctx, 2);
	memcpy(p + RS_BODY, a->head, sizeof(a->head));
	out_len += response_len;
}

static bool send_out(int fd)
{
	size_t len = out_len;

	out_len = 0;
	return len == 0 || send(fd, out, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static void on_bind(const uint8_t *p, size_t len)
{
	uint8_t *ack = out + out_len, *result = ack + 36;
	size_t at = 28, n = p[24];

	memset(ack, 0, 36 + 24 * n);
	memcpy(ack, p, 16);
	ack[2] = 12;
	ack[3] = mpx ? 0x13 : 3;
	put16(ack + 16, PDU_MAX);
	put16(ack + 18, PDU_MAX);
	memcpy(ack + 20, "\x01\x02\x03\x04\x05\0\x31\x36\x38\x38", 10); /* group, "1688" */
	ack[32] = (uint8_t)n;
	for (size_t i = 0; i < n && at + 24 <= len; i++, result += 24) {
		size_t transfers = p[at + 2];
		const uint8_t *abstract = p + at + 4, *t = abstract + 20;

		at += 24 + 20 * transfers;
		if (at > len)
			break;
		result[0] = 2;
		result[2] = 1;
		for (size_t j = 0; j < transfers; j++, t += 20) {
			if (memcmp(t, features, sizeof(features)) == 0) {
				result[0] = 3;
				result[2] = 0;
			} else if (memcmp(abstract, kms, 20) == 0 && result[0] != 0) {
				result[2] = 2;
				if (memcmp(t, ndr32, 20) == 0) {
					memset(result, 0, 4);
					memcpy(result + 4, ndr32, 20);
				}
			}
		}
	}
	put16(ack + 8, 36 + 24 * n);
	out_len += 36 + 24 * n;
}

static bool on_pdu(int fd, const uint8_t *p, size_t len)
{
	struct answer a = { .fd = fd, .generation = conns[fd].generation };

	if (p[2] == 11 && len >= 28) {
		on_bind(p, len);
		return true;
	}
	if (p[2] != 0 || len < RQ_BODY + HEAD + STAMP)
		return false;
	n_requests++;
	memcpy(a.call_id, p + 12, 4);
	memcpy(a.ctx, p + 20, 2);
	memcpy(a.head, p + RQ_BODY, sizeof(a.head));
	if (delay_ms == 0) {
		add_answer(&a);
		return true;
	}
	a.due_ms = now_ms() + delay_ms;
	if (later_last - later_first == LATER_MAX)
		fail("too many answers held back");
	later[later_last++ % LATER_MAX] = a;
	return true;
}

static void on_data(int fd)
{
	static uint8_t in[PDU_MAX + IN_MAX];
	size_t have = conns[fd].have, at = 0, len;
	ssize_t got;

	if (have > 0)
		memcpy(in, conns[fd].part, have);
	got = recv(fd, in + have, IN_MAX, 0);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		forget(fd);
		return;
	}
	have += (size_t)got;
	while (have - at >= 16 && (len = get16(in + at + 8)) <= have - at) {
		if (len < 16 || len > PDU_MAX || OUT_MAX - out_len < PDU_MAX ||
		    !on_pdu(fd, in + at, len)) {
			out_len = 0;
			forget(fd);
			return;
		}
		at += len;
	}
	if (have > at && conns[fd].part == NULL && (conns[fd].part = malloc(PDU_MAX)) == NULL)
		fail("malloc");
	if (have > at && have - at <= PDU_MAX)
		memcpy(conns[fd].part, in + at, have - at);
	conns[fd].have = (uint16_t)(have - at);
	if (!send_out(fd) || have - at > PDU_MAX)
		forget(fd);
}

/* Answers that are due; those for one connection in a row go out together. @return how long to
 * wait for the next, in ms. */
static int answer_due(void)
{
	uint64_t now = delay_ms > 0 ? now_ms() : 0;

	while (later_first != later_last && later[later_first % LATER_MAX].due_ms <= now) {
		const struct answer *a = &later[later_first++ % LATER_MAX];
		const struct answer *next = &later[later_first % LATER_MAX];

		if (conns[a->fd].generation != a->generation)
			continue;
		add_answer(a);
		if (later_first != later_last && next->due_ms <= now && next->fd == a->fd &&
		    next->generation == a->generation && OUT_MAX - out_len > PDU_MAX)
			continue;
		if (!send_out(a->fd))
			forget(a->fd);
	}
	return later_first == later_last ? -1 : (int)(later[later_first % LATER_MAX].due_ms - now);
}

static void accept_all(int epoll, int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct epoll_event e = { .events = EPOLLIN, .data = { .fd = fd } };

		if (fd < 0)
			return;
		n_accepted++;
		if (fd >= FDS_MAX)
			close(fd);
		else if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
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

static void on_stdin(void)
{
	char line[16];

	if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
		exit(0);
	printf("{\"accepted\": %lu, \"requests\": %lu}\n", n_accepted, n_requests);
	fflush(stdout);
	n_accepted = n_requests = 0;
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS], e = { .events = EPOLLIN };
	struct sockaddr_in sin = { 0 };
	int epoll = epoll_create1(EPOLL_CLOEXEC), listener, n;
	size_t body = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	if (body < HEAD + STAMP || body > BODY_MAX || epoll < 0)
		return 2;
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "mpx") == 0)
			mpx = true;
		else if (strncmp(argv[i], "delay=", 6) == 0)
			delay_ms = strtoul(argv[i] + 6, NULL, 10);
		else
			return 2;
	}
	make_response(body);
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
		n = epoll_wait(epoll, events, EVENTS, answer_due());
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == STDIN_FILENO)
				on_stdin();
			else if (events[i].data.fd == listener)
				accept_all(epoll, listener);
			else
				on_data(events[i].data.fd);
		}
	}
}
