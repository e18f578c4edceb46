/*
 * The control socket over a real one: a line gets one line of JSON as its answer, whatever it
 * says, and what is no whole line gets none.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/utf8.h"
#include "daemon/control.h"
#include "daemon/publish_request.h"
#include "tests/fuzz/fuzz.h"

#define ANSWER_MAX (8 * CONTROL_LINE_MAX)

static char dir[] = "/tmp/kmsbeacon-control-XXXXXX";
static struct sockaddr_un at = { .sun_family = AF_UNIX };
static unsigned asked;

static void cleanup(void)
{
	(void)unlink(at.sun_path);
	(void)rmdir(dir);
}

static void check_request(const struct publish_request *rq, bool withdraw)
{
	json_t *args = publish_request_json(rq);
	struct publish_request again;
	char host[PUBLISH_HOST_MAX];

	memcpy(host, rq->host, sizeof(host));
	utf8_mend(host); /* a control of C1 is none either, though JSON takes it */
	FUZZ_CHECK(args != NULL && rq->withdraw == withdraw);
	FUZZ_CHECK(publish_request_parse(withdraw, args, &again, NULL) == 0);
	FUZZ_CHECK(again.dry_run == rq->dry_run && again.adopted == rq->adopted);
	FUZZ_CHECK(again.orphans == rq->orphans && again.timeout_ms == rq->timeout_ms);
	FUZZ_CHECK(again.has_domain == rq->has_domain && strcmp(again.host, host) == 0);
	FUZZ_CHECK(!rq->has_domain || dns_name_equal(&again.domain, &rq->domain));
	json_decref(args);
}

static void on_request(void *ctx, struct control_call *call, const char *command,
		       const json_t *args)
{
	const char *host = json_string_value(json_object_get(args, "host"));
	bool withdraw = strcmp(command, "withdraw") == 0;
	struct err_info info = { "" };
	struct publish_request rq;

	(void)ctx;
	asked++;
	if (withdraw || strcmp(command, "publish") == 0) {
		if (publish_request_parse(withdraw, args, &rq, &info) != 0) {
			control_fail(call, 2, "PARSE", info.text);
			return;
		}
		check_request(&rq, withdraw);
		control_answer(call, 0, publish_request_json(&rq));
		return;
	}
	/* as the daemon says that it does not know a host */
	(void)err_set(&info, ERR_USAGE, "there is no '%.20s'", host != NULL ? host : command);
	control_fail(call, 2, "USAGE", info.text);
}

static void on_freed(void *ctx)
{
	*(bool *)ctx = true;
}

static int client(const uint8_t *data, size_t size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	FUZZ_CHECK(fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0);
	FUZZ_CHECK(size == 0 || send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size);
	if (memchr(data, '\n', size) == NULL)
		FUZZ_CHECK(shutdown(fd, SHUT_WR) == 0); /* the daemon is not to wait for more */
	return fd;
}

/* Until the daemon closes. @return octets of the answer. */
static size_t answer_of(uv_loop_t *loop, int fd, char *ret)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(fd, ret + len, ANSWER_MAX - len, 0);

		if (n > 0)
			len += (size_t)n;
		else if (n == 0 || errno == ECONNRESET)
			return len; /* reset: it closed with input unread */
		else
			(void)uv_run(loop, UV_RUN_ONCE);
		FUZZ_CHECK(len < ANSWER_MAX);
	}
}

static void check_answer(const char *text, size_t len)
{
	json_t *root;

	FUZZ_CHECK(len > 0 && memchr(text, '\n', len) == text + len - 1);
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	FUZZ_CHECK(json_is_integer(json_object_get(root, "exit")));
	FUZZ_CHECK(json_is_object(json_object_get(root, "report")) !=
		   json_is_object(json_object_get(root, "error")));
	json_decref(root);
}

static void setup(void)
{
	FUZZ_CHECK(mkdtemp(dir) != NULL);
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/socket", dir);
	(void)atexit(cleanup);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[ANSWER_MAX];
	struct control_params p = { .path = at.sun_path, .mode = 0600, .handler = on_request };
	struct control *control;
	bool freed = false;
	uv_loop_t loop;
	size_t len;
	int fd;

	if (at.sun_path[0] == '\0')
		setup();
	asked = 0;
	FUZZ_CHECK(uv_loop_init(&loop) == 0);
	FUZZ_CHECK(control_new(&loop, &p, &control, NULL) == 0);
	fd = client(data, size);
	len = answer_of(&loop, fd, text);
	if (memchr(data, '\n', size) != NULL)
		check_answer(text, len);
	else
		FUZZ_CHECK(len == 0 && asked == 0);
	FUZZ_CHECK(asked <= 1);
	(void)close(fd);
	control_free(control, on_freed, &freed);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	FUZZ_CHECK(freed && uv_loop_close(&loop) == 0);
	return 0;
}
