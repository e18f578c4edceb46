/*
 * Requests to the whole daemon: the input is lines, each sent as a request of its own, to a daemon
 * that goes on from input to input. Each is answered with one report or one error, and afterwards
 * the daemon still says how it is.
 *
 * It relays to two hosts that are not there, and publishes nothing: a request to publish is checked
 * and answered, and no DNS server is asked.
 */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/file.h"
#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/keys.h"
#include "tests/fuzz/fuzz.h"

#define LINES_MAX  8
#define WAIT_MS    40000 /* for an answer that must come */
#define HOLD_MS    20    /* for one that the request lets wait */
#define ANSWER_MAX (1u << 20)

static char dir[48] =
	"/dev/shm/kmsbeacon-daemon-XXXXXX"; /* each drain is on disk before its answer */
static char config[64];
static struct sockaddr_un at = { .sun_family = AF_UNIX };

static void cleanup(void)
{
	static const char *const files[] = { "config",       "socket", "state.db", "state.db-wal",
					     "state.db-shm", "lock",   "node.id" };
	char path[96];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		(void)unlink(path);
	}
	(void)rmdir(dir);
}

static void *run_daemon(void *ctx)
{
	struct config_errors errs = { 0 };
	struct config *cfg = NULL;
	struct keys keys = { 0 };
	int err = config_load(config, &cfg, &errs);

	(void)ctx;
	if (err != 0)
		(void)fprintf(stderr, "%s\n", errs.errors[0].text);
	FUZZ_CHECK(err == 0);
	config_errors_done(&errs);
	FUZZ_CHECK(daemon_run(config, cfg, &keys) == 0);
	return NULL;
}

static int connect_to(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	FUZZ_CHECK(fd >= 0);
	if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static void set_up(void)
{
	char text[600];
	pthread_t thread;
	int n, fd;

	if (mkdtemp(dir) == NULL) {
		(void)snprintf(dir, sizeof(dir), "/tmp/kmsbeacon-daemon-XXXXXX");
		FUZZ_CHECK(mkdtemp(dir) != NULL);
	}
	(void)atexit(cleanup);
	(void)snprintf(config, sizeof(config), "%s/config", dir);
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/socket", dir);
	n = snprintf(text, sizeof(text),
		     "node: { target: kms1.fuzz.test, state_dir: %s, control: { socket: %s } }\n"
		     "service: { mode: relay, listen: [\"127.0.0.1:0\"] }\n"
		     "relay: { upstreams: [{ name: one, address: 127.0.0.1, port: 9 },"
		     " { name: two, address: 127.0.0.1, port: 7 }] }\n"
		     "hosts: [{ name: local }, { name: office, target: kms2.fuzz.test }]\n"
		     "health: { interval: 1h }\n"
		     "discovery: { resolvers: [127.0.0.1:9] }\n"
		     "log: { level: error }\n",
		     dir, at.sun_path);
	FUZZ_CHECK(file_replace(config, text, (size_t)n) == 0);
	FUZZ_CHECK(pthread_create(&thread, NULL, run_daemon, NULL) == 0);
	while ((fd = connect_to()) < 0)
		(void)poll(NULL, 0, 1);
	(void)close(fd);
}

/* @return octets of the answer; 0: none yet, where that is allowed. */
static size_t ask(const char *line, size_t len, int wait_ms, char *ret)
{
	int fd = connect_to();
	size_t got = 0;
	ssize_t n = 1;

	FUZZ_CHECK(fd >= 0);
	FUZZ_CHECK(send(fd, line, len, MSG_NOSIGNAL) == (ssize_t)len);
	FUZZ_CHECK(send(fd, "\n", 1, MSG_NOSIGNAL) == 1);
	while (n > 0) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		int ready = poll(&pfd, 1, wait_ms);

		if (ready < 0 && errno == EINTR)
			continue; /* libFuzzer's alarm, every few seconds */
		if (ready <= 0)
			break;
		n = recv(fd, ret + got, ANSWER_MAX - got, 0);
		if (n > 0)
			got += (size_t)n;
	}
	(void)close(fd);
	return got;
}

static void check_answer(const char *text, size_t len)
{
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	json_int_t code = json_integer_value(json_object_get(root, "exit"));

	FUZZ_CHECK(len > 0 && text[len - 1] == '\n');
	FUZZ_CHECK(json_is_integer(json_object_get(root, "exit")) && code >= 0 && code <= 2);
	FUZZ_CHECK(json_is_object(json_object_get(root, "report")) !=
		   json_is_object(json_object_get(root, "error")));
	json_decref(root);
}

static bool may_wait(const char *line, size_t len)
{
	json_t *root = json_loadb(line, len, 0, NULL);
	json_t *args = json_object_get(root, "args");
	bool yes = json_integer_value(json_object_get(args, "wait_ms")) > 0;

	json_decref(root);
	return yes;
}

static void request(const char *line, size_t len)
{
	static char answer[ANSWER_MAX];
	bool hold = may_wait(line, len);
	size_t n = ask(line, len, hold ? HOLD_MS : WAIT_MS, answer);

	FUZZ_CHECK(n > 0 || hold);
	if (n > 0)
		check_answer(answer, n);
}

static void check_status(void)
{
	static const char line[] = "{\"command\":\"status\"}";
	static char answer[ANSWER_MAX];
	size_t n = ask(line, strlen(line), WAIT_MS, answer);
	json_t *root = json_loadb(answer, n, 0, NULL);
	const json_t *report = json_object_get(root, "report");

	FUZZ_CHECK(json_array_size(json_object_get(report, "hosts")) == 2);
	FUZZ_CHECK(json_array_size(json_object_get(report, "upstreams")) == 2);
	json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *line = (const char *)data;

	if (config[0] == '\0')
		set_up();
	for (unsigned i = 0; size > 0 && i < LINES_MAX; i++) {
		const char *end = memchr(line, '\n', size);
		size_t len = end != NULL ? (size_t)(end - line) : size;

		request(line, len);
		len += end != NULL;
		line += len;
		size -= len;
	}
	check_status();
	return 0;
}
