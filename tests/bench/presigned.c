/*
 * The least that a client can do: it sends messages that were made and signed beforehand, and looks
 * at nothing of an answer but its ID and RCODE. A lower bound for what the server needs.
 *
 *     presigned FILE ADDRESS PORT STEPS    STEPS is for example "qquqq"
 *
 * FILE holds for each zone one message for each letter of STEPS, each behind its length in two
 * octets. A zone's messages go one after the other, each when the one before is answered; of all
 * zones 128 are under way, of updates ("u") 32. Message i of the file has the ID i.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS      8
#define ZONES_ACTIVE 128
#define UPDATES_OUT  32
#define IDS          65536
#define EVENTS       64
#define WAIT_MS      5000

static struct {
	const uint8_t *data;
	size_t len;
} messages[IDS];
static int sockets[SOCKETS];
static const char *steps;
static size_t n_steps, n_messages;
static size_t next_zone, zones_done, updates_out, next_socket;
/* Messages that wait for their turn among the updates. */
static size_t queue[IDS], queue_first, queue_end;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static bool is_update(size_t i)
{
	return steps[i % n_steps] == 'u';
}

static void transmit(size_t i)
{
	int fd = sockets[next_socket++ % SOCKETS];

	if (send(fd, messages[i].data, messages[i].len, 0) != (ssize_t)messages[i].len)
		fail("send");
}

static void go(size_t i)
{
	if (!is_update(i)) {
		transmit(i);
	} else if (updates_out < UPDATES_OUT) {
		updates_out++;
		transmit(i);
	} else {
		queue[queue_end++] = i;
	}
}

static void start_zone(void)
{
	if (next_zone * n_steps < n_messages)
		go(next_zone++ * n_steps);
}

static void on_answer(const uint8_t *m, ssize_t len)
{
	size_t i = len >= 12 ? (size_t)(m[0] << 8 | m[1]) : IDS;
	unsigned rcode = len >= 12 ? m[3] & 15u : 0;

	if (i >= n_messages || (rcode != 0 && rcode != 3)) {
		(void)fprintf(stderr, "presigned: message %zu: RCODE %u\n", i, rcode);
		exit(1);
	}
	if (is_update(i)) {
		if (queue_first < queue_end)
			transmit(queue[queue_first++]);
		else
			updates_out--;
	}
	if ((i + 1) % n_steps != 0) {
		go(i + 1);
		return;
	}
	zones_done++;
	start_zone();
}

static void load(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t head[2];

	if (f == NULL)
		fail(path);
	while (fread(head, 1, 2, f) == 2) {
		size_t len = (size_t)(head[0] << 8 | head[1]);
		uint8_t *data = malloc(len);

		if (n_messages == IDS || data == NULL || fread(data, 1, len, f) != len)
			fail(path);
		messages[n_messages].data = data;
		messages[n_messages++].len = len;
	}
	(void)fclose(f);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct epoll_event ev[EVENTS];
	uint8_t in[65536];
	int ep = epoll_create1(0);

	if (argc != 5 || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1)
		return 2;
	to.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	steps = argv[4];
	n_steps = strlen(steps);
	load(argv[1]);
	for (size_t i = 0; i < SOCKETS; i++) {
		struct epoll_event add = { .events = EPOLLIN };

		add.data.fd = sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		if (connect(sockets[i], (struct sockaddr *)&to, sizeof(to)) != 0 ||
		    epoll_ctl(ep, EPOLL_CTL_ADD, sockets[i], &add) != 0)
			fail("socket");
	}
	for (size_t i = 0; i < ZONES_ACTIVE; i++)
		start_zone();
	while (zones_done * n_steps < n_messages) {
		int n = epoll_wait(ep, ev, EVENTS, WAIT_MS);
		ssize_t len;

		if (n <= 0)
			fail("an answer is missing");
		for (int i = 0; i < n; i++)
			while ((len = recv(ev[i].data.fd, in, sizeof(in), 0)) >= 0)
				on_answer(in, len);
	}
	return 0;
}
