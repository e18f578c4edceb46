#include "cli/control_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/output.h"
#include "common/clock.h"
#include "common/json_memory.h"
#include "common/mem.h"

#define READ_CHUNK    65536u
#define EXIT_CODE_MAX 2 /* a process has eight bits of it: 256 would be "yes" */

static int connect_to(const char *path, int *ret_fd, struct err_info *info)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;
	int err;

	if (strlen(path) >= sizeof(sun.sun_path))
		return err_set(info, ERR_CONFIG, "control.socket: %s is too long for a socket",
			       path);
	memcpy(sun.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(info, -errno, "cannot make a socket: %s", err_text(-errno));
	if (connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) == 0) {
		*ret_fd = fd;
		return 0;
	}
	err = -errno;
	(void)close(fd);
	if (err == -ENOENT || err == -ECONNREFUSED || err == -ENOTDIR)
		return err_set(info, ERR_NOT_FOUND,
			       "no daemon answers at %s; start one with kmsbeacon run", path);
	return err_set(info, err, "cannot connect to %s: %s", path, err_text(err));
}

static int send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int send_request(int fd, const char *command, json_t *args)
{
	json_t *root = json_pack("{s:s, s:O*}", "command", command, "args", args);
	char *text = json_memory_text(root, JSON_COMPACT);
	int err = ERR_NOMEM;

	if (text != NULL) {
		err = send_all(fd, text, strlen(text));
		if (err == 0)
			err = send_all(fd, "\n", 1);
	}
	free(text);
	json_decref(root);
	return err;
}

static int receive_line(int fd, uint64_t deadline_ms, struct buf *in)
{
	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_mono_ms(clock_system());
		uint8_t *at = NULL;
		ssize_t n;
		int err;

		if (now >= deadline_ms)
			return ERR_TIMEOUT;
		if (poll(&pfd, 1, (int)(deadline_ms - now > 60000 ? 60000 : deadline_ms - now)) <=
		    0)
			continue; /* the clock decides */
		err = buf_reserve(in, READ_CHUNK, &at);
		if (err != 0)
			return err;
		n = recv(fd, at, READ_CHUNK, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? ERR_CLOSED : -errno;
		in->len += (size_t)n;
		if (in->data[in->len - 1] == '\n')
			return 0;
	}
}

/* {"exit": 0 to 2} with either "report" or "error", objects both. */
static int parse_answer(const struct buf *in, struct control_result *ret)
{
	json_error_t jerr;
	json_t *root = json_loadb((const char *)in->data, in->len, 0, &jerr);
	const json_t *code = json_object_get(root, "exit");
	json_t *report = json_object_get(root, "report");
	json_t *error = json_object_get(root, "error");
	int err = ERR_PARSE;

	if (json_is_integer(code) && json_integer_value(code) >= 0 &&
	    json_integer_value(code) <= EXIT_CODE_MAX &&
	    json_is_object(report) != json_is_object(error)) {
		ret->exit_code = (int)json_integer_value(code);
		ret->report = json_is_object(report) ? json_incref(report) : NULL;
		ret->error = json_is_object(error) ? json_incref(error) : NULL;
		err = 0;
	}
	json_decref(root);
	return err;
}

void control_result_escape(struct control_result *r)
{
	json_t *report = json_escaped(r->report), *error = json_escaped(r->error);

	json_decref(r->report);
	json_decref(r->error);
	r->report = report;
	r->error = error;
}

int control_ask(const char *path, const char *command, json_t *args, uint64_t timeout_ms,
		struct control_result *ret, struct err_info *info)
{
	struct buf in;
	int fd = -1;
	int err = connect_to(path, &fd, info);

	if (err != 0)
		return err;
	*ret = (struct control_result){ 0 };
	buf_init(&in, CONTROL_ANSWER_MAX);
	err = send_request(fd, command, args);
	if (err == 0)
		err = receive_line(fd, clock_mono_ms(clock_system()) + timeout_ms, &in);
	if (err == 0)
		err = parse_answer(&in, ret);
	if (err != 0)
		(void)err_set(info, err, "the daemon at %s gave no answer to '%s': %s", path,
			      command, err_text(err));
	buf_done(&in);
	(void)close(fd);
	return err;
}
