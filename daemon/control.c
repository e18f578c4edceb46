#include "daemon/control.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/json_memory.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/utf8.h"

static const struct log_ctx log_ctl = { .module = "control" };

#define READ_CHUNK      4096u
#define ACCEPT_AGAIN_MS 100u

struct control {
	uv_pipe_t listener;
	uv_timer_t again;      /* a connection waits for memory; libuv takes no other until then */
	uv_prepare_t turn;     /* each turn of the loop */
	unsigned open_handles; /* of these */
	unsigned long json_failures; /* when this turn began, in which each report is made */
	control_handler_fn *handler;
	void *ctx;
	char *path;
	struct control_call *clients;
	size_t n_clients;
	bool stopping;
	void (*done)(void *ctx);
	void *done_ctx;
};

enum call_state {
	CALL_READING,
	CALL_HANDLED, /* the handler owes an answer */
	CALL_WRITING,
	CALL_CLOSING,
};

struct control_call {
	uv_pipe_t pipe;
	uv_timer_t timer;
	uv_write_t write;
	struct control *owner;
	struct control_call *next;
	enum call_state state;
	bool owed; /* control_answer() has not been called for a request that was handed out */
	unsigned open_handles;
	struct buf in;
	char *answer;
};

static void control_maybe_done(struct control *c)
{
	if (!c->stopping || c->open_handles > 0 || c->n_clients > 0)
		return;
	c->done(c->done_ctx);
	free(c->path);
	free(c);
}

/* A call goes when its handles are closed and nobody owes it an answer. */
static void call_maybe_free(struct control_call *call)
{
	struct control *c = call->owner;

	if (call->open_handles > 0 || call->owed)
		return;
	for (struct control_call **at = &c->clients; *at != NULL; at = &(*at)->next) {
		if (*at != call)
			continue;
		*at = call->next;
		break;
	}
	c->n_clients--;
	buf_done(&call->in);
	free(call->answer);
	free(call);
	control_maybe_done(c);
}

static void on_call_closed(uv_handle_t *h)
{
	struct control_call *call = h->data;

	call->open_handles--;
	call_maybe_free(call);
}

static void call_close(struct control_call *call)
{
	if (call->state == CALL_CLOSING)
		return;
	call->state = CALL_CLOSING;
	uv_close((uv_handle_t *)&call->pipe, on_call_closed);
	uv_close((uv_handle_t *)&call->timer, on_call_closed);
}

static void on_written(uv_write_t *w, int err)
{
	struct control_call *call = w->data;

	(void)err; /* the client went away: nothing is left to tell it */
	call_close(call);
}

static void tell_lost(const char *text, int err)
{
	log_error(&log_ctl, "control.lost", "err=%s text=%s", err_name(err), text);
}

/* Send @p root (taken over) as one line, then close. */
static void call_send(struct control_call *call, json_t *root)
{
	uv_buf_t bufs[2];
	static char newline[] = "\n";
	int err;

	call->owed = false;
	if (call->state == CALL_CLOSING) {
		json_decref(root);
		call_maybe_free(call);
		return;
	}
	call->answer = json_memory_text(root, JSON_COMPACT);
	json_decref(root);
	if (call->answer == NULL) {
		log_error(&log_ctl, "control.memory", "text=%s",
			  "out of memory: a request on the control socket gets no answer");
		call_close(call);
		return;
	}
	call->state = CALL_WRITING;
	(void)uv_timer_stop(&call->timer);
	bufs[0] = uv_buf_init(call->answer, (unsigned)strlen(call->answer));
	bufs[1] = uv_buf_init(newline, 1);
	call->write.data = call;
	err = uv_write(&call->write, (uv_stream_t *)&call->pipe, bufs, 2, on_written);
	if (err != 0) {
		tell_lost("an answer on the control socket cannot be sent", err);
		call_close(call);
	}
}

static bool lacks_memory(const struct control_call *call, const json_t *report)
{
	return report == NULL || json_memory_failures() != call->owner->json_failures;
}

/* A report that lacks a member is worse than none. */
void control_answer(struct control_call *call, int exit_code, json_t *report)
{
	if (lacks_memory(call, report)) {
		json_decref(report);
		log_error(&log_ctl, "control.memory", "text=%s",
			  "out of memory: a request on the control socket gets no report");
		control_fail(call, exit_code != 0 ? exit_code : 1, err_name(ERR_NOMEM),
			     "the daemon is out of memory: there is no report of what was done");
		return;
	}
	call_send(call, json_pack("{s:i, s:o}", "exit", exit_code, "report", report));
}

void control_fail(struct control_call *call, int exit_code, const char *code, const char *text)
{
	char mended[ERR_INFO_MAX];

	(void)snprintf(mended, sizeof(mended), "%s", text);
	utf8_mend(mended); /* a name in it may have been cut; JSON takes UTF-8 alone */
	call_send(call, json_pack("{s:i, s:{s:s, s:s}}", "exit", exit_code, "error", "code", code,
				  "text", mended));
}

static void call_dispatch(struct control_call *call, size_t len)
{
	int err;
	json_t *root = json_memory_load(call->in.data, len, 0, NULL, &err);
	const char *command = json_string_value(json_object_get(root, "command"));
	const json_t *args = json_object_get(root, "args");

	call->state = CALL_HANDLED;
	call->owed = true;
	(void)uv_timer_stop(&call->timer);
	if (err == ERR_NOMEM)
		control_fail(call, 1, err_name(err), "the daemon is out of memory");
	else if (command == NULL || (args != NULL && !json_is_object(args)))
		control_fail(call, 2, "PARSE",
			     "not a request: one line {\"command\": \"...\", \"args\": {...}}");
	else
		call->owner->handler(call->owner->ctx, call, command, args);
	json_decref(root);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *ret)
{
	struct control_call *call = h->data;
	uint8_t *at = NULL;
	int err = buf_reserve(&call->in, READ_CHUNK, &at);

	(void)hint;
	if (err != 0)
		tell_lost("a request on the control socket cannot be read", err);
	if (err != 0)
		*ret = uv_buf_init(NULL, 0);
	else
		*ret = uv_buf_init((char *)at, READ_CHUNK);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct control_call *call = s->data;
	const uint8_t *newline;

	(void)buf;
	if (n < 0) {
		call_close(call); /* also UV_ENOBUFS: the line is over CONTROL_LINE_MAX */
		return;
	}
	if (call->state != CALL_READING)
		return; /* one request a connection; more bytes are not looked at */
	call->in.len += (size_t)n;
	newline = memchr(call->in.data, '\n', call->in.len);
	if (newline != NULL)
		call_dispatch(call, (size_t)(newline - call->in.data));
}

static void on_late(uv_timer_t *t)
{
	call_close(t->data);
}

static void on_connection(uv_stream_t *s, int err);

static void on_turn(uv_prepare_t *p)
{
	struct control *c = p->data;

	c->json_failures = json_memory_failures();
}

static void on_again(uv_timer_t *t)
{
	struct control *c = t->data;

	on_connection((uv_stream_t *)&c->listener, 0);
}

static void on_connection(uv_stream_t *s, int err)
{
	struct control *c = s->data;
	struct control_call *call;

	if (c->stopping)
		return;
	if (err < 0) {
		tell_lost("a connection to the control socket cannot be taken", err);
		return;
	}
	call = calloc(1, sizeof(*call));
	if (call == NULL) {
		tell_lost("a connection to the control socket waits", ERR_NOMEM);
		(void)uv_timer_start(&c->again, on_again, ACCEPT_AGAIN_MS, 0);
		return;
	}
	(void)uv_pipe_init(s->loop, &call->pipe, 0);
	(void)uv_timer_init(s->loop, &call->timer);
	call->pipe.data = call;
	call->timer.data = call;
	call->open_handles = 2;
	call->owner = c;
	call->next = c->clients;
	c->clients = call;
	c->n_clients++;
	buf_init(&call->in, CONTROL_LINE_MAX);
	err = uv_accept(s, (uv_stream_t *)&call->pipe);
	if (err == 0 && c->n_clients > CONTROL_CLIENTS_MAX)
		err = ERR_LIMIT;
	if (err == 0) {
		(void)uv_timer_start(&call->timer, on_late, CONTROL_REQUEST_MS, 0);
		err = uv_read_start((uv_stream_t *)&call->pipe, on_alloc, on_read);
	}
	if (err != 0) {
		tell_lost("a connection to the control socket is closed", err);
		call_close(call);
	}
}

/* Whether a daemon listens at @p path. A left-over file of a crashed one is refused; anything else
 * that keeps us from knowing (no descriptor, no right) is an error, for the file of a daemon that
 * lives must not be replaced. Its queue may be full, which must not hold us up. */
static int somebody_listens(const char *path, bool *ret)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

	if (fd < 0)
		return -errno;
	memcpy(sun.sun_path, path, strlen(path) + 1); /* the caller checked the length */
	err = connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) == 0 ? 0 : -errno;
	(void)close(fd);
	*ret = err == 0 || err == -EAGAIN;
	return *ret || err == -ECONNREFUSED || err == -ENOENT ? 0 : err;
}

static int set_group(const struct control_params *p, struct err_info *info)
{
	struct group grp;
	struct group *found = NULL;
	char names[4096];

	if (p->group == NULL)
		return 0;
	if (getgrnam_r(p->group, &grp, names, sizeof(names), &found) != 0 || found == NULL)
		return err_set(
			info, ERR_CONFIG,
			"control.group: there is no group '%s' on this machine; create it or "
			"name another",
			p->group);
	if (chown(p->path, (uid_t)-1, grp.gr_gid) != 0)
		return err_set(info, -errno, "control.socket: cannot give %s to group '%s': %s",
			       p->path, p->group, err_text(-errno));
	return 0;
}

static int check_path(const struct control_params *p, struct err_info *info)
{
	struct stat st;
	bool listens = true;
	int err;

	if (strlen(p->path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return err_set(info, ERR_CONFIG,
			       "control.socket: %s is too long for a socket; choose a shorter path",
			       p->path);
	if (lstat(p->path, &st) != 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return err_set(info, ERR_CONFIG,
			       "control.socket: %s exists and is no socket; remove it or choose "
			       "another path",
			       p->path);
	err = somebody_listens(p->path, &listens);
	if (err != 0)
		return err_set(info, err,
			       "control.socket: cannot tell whether a daemon listens at %s: %s",
			       p->path, err_text(err));
	if (listens)
		return err_set(info, ERR_BUSY,
			       "control.socket: another daemon answers at %s; stop it first",
			       p->path);
	(void)unlink(p->path);
	return 0;
}

/* Bind with the final mode from the first moment on: nobody slips in before the chmod. */
static int bind_and_listen(struct control *c, const struct control_params *p, struct err_info *info)
{
	mode_t old = umask((mode_t)(0777 & ~p->mode));
	int err = uv_pipe_bind(&c->listener, p->path);

	(void)umask(old);
	if (err != 0)
		return err_set(info, err,
			       "control.socket: cannot create %s: %s; the folder must exist and be "
			       "writable",
			       p->path, err_text(err));
	err = set_group(p, info);
	if (err != 0)
		return err;
	err = uv_listen((uv_stream_t *)&c->listener, CONTROL_CLIENTS_MAX, on_connection);
	if (err != 0)
		return err_set(info, err, "control.socket: cannot listen on %s: %s", p->path,
			       err_text(err));
	return 0;
}

static void on_failed_closed(uv_handle_t *h)
{
	struct control *c = h->data;

	if (--c->open_handles > 0)
		return;
	free(c->path);
	free(c);
}

static void close_handles(struct control *c, uv_close_cb closed)
{
	uv_close((uv_handle_t *)&c->listener, closed);
	uv_close((uv_handle_t *)&c->again, closed);
	uv_close((uv_handle_t *)&c->turn, closed);
}

int control_new(uv_loop_t *loop, const struct control_params *p, struct control **ret,
		struct err_info *info)
{
	struct control *c;
	int err = check_path(p, info);

	if (err != 0)
		return err;
	c = mem_must(calloc(1, sizeof(*c)));
	c->path = mem_must(strdup(p->path));
	c->handler = p->handler;
	c->ctx = p->ctx;
	(void)uv_pipe_init(loop, &c->listener, 0);
	(void)uv_timer_init(loop, &c->again);
	(void)uv_prepare_init(loop, &c->turn);
	c->listener.data = c;
	c->again.data = c;
	c->turn.data = c;
	c->open_handles = 3;
	(void)uv_prepare_start(&c->turn, on_turn);
	err = bind_and_listen(c, p, info);
	if (err != 0) {
		close_handles(c, on_failed_closed);
		return err;
	}
	log_debug(&log_ctl, "control.listening", "socket=%s", p->path);
	*ret = c;
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	struct control *c = h->data;

	c->open_handles--;
	control_maybe_done(c);
}

void control_free(struct control *c, void (*done)(void *ctx), void *ctx)
{
	c->stopping = true;
	c->done = done;
	c->done_ctx = ctx;
	(void)unlink(c->path);
	for (struct control_call *call = c->clients; call != NULL; call = call->next)
		if (call->state != CALL_WRITING) /* an answer on its way out still goes */
			call_close(call);
	close_handles(c, on_closed);
}
