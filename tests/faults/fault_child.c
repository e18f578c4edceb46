#include "tests/faults/fault_child.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/log.h"
#include "tests/faults/fault.h"

#define PIPE_SIZE (1 << 20) /* of what is said while nobody reads */

/* ---- the process ---- */

static void say_line(void *ctx, const char *line)
{
	(void)ctx;
	(void)dprintf(STDERR_FILENO, "log: %s\n", line);
}

static void become(const struct fault_child_params *p, int said, int printed)
{
	int null = open("/dev/null", O_RDONLY);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGALRM, SIG_DFL);
	if (p->stdout_to != NULL)
		printed = open(p->stdout_to, O_WRONLY);
	if (null < 0 || printed < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(said, STDERR_FILENO) < 0 || dup2(printed, STDOUT_FILENO) < 0)
		_exit(126);
	log_set_tap(say_line, NULL);
	if (p->speed > 1)
		fault_time(p->speed);
	fault_is_child(p->counts);
	exit(p->main(p->ctx));
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *ret)
{
	struct fault_child_text *x = h->data;

	(void)hint;
	if (x->cap - x->len < 65537) {
		x->cap = x->cap * 2 + 65537;
		assert_true(x->cap < FAULT_CHILD_TEXT_MAX);
		x->text = realloc(x->text, x->cap);
		assert_non_null(x->text);
	}
	*ret = uv_buf_init(x->text + x->len, 65536);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct fault_child_text *x = s->data;
	struct fault_child *c = x->owner;
	int status;

	(void)buf;
	if (n >= 0) {
		x->len += (size_t)n;
		x->text[x->len] = '\0';
		return;
	}
	x->over = true;
	uv_close((uv_handle_t *)s, NULL);
	if (!c->said.over || !c->printed.over)
		return;
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	c->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	c->over = true;
}

static void begin_text(struct fault_child *c, struct fault_child_text *x, int fd)
{
	x->owner = c;
	x->text = calloc(1, 1);
	assert_non_null(x->text);
	assert_int_equal(uv_pipe_init(&c->t->loop, &x->pipe, 0), 0);
	x->pipe.data = x;
	assert_int_equal(uv_pipe_open(&x->pipe, fd), 0);
	assert_int_equal(uv_read_start((uv_stream_t *)&x->pipe, on_alloc, on_read), 0);
}

void fault_child_start(struct fault_child *c, struct test_net *t,
		       const struct fault_child_params *p)
{
	int said[2], printed[2];

	memset(c, 0, sizeof(*c));
	c->t = t;
	assert_int_equal(pipe2(said, O_CLOEXEC), 0);
	assert_int_equal(pipe2(printed, O_CLOEXEC), 0);
	(void)fcntl(said[0], F_SETPIPE_SZ, PIPE_SIZE);
	fflush(stdout);
	fflush(stderr);
	c->pid = fork();
	if (c->pid == 0)
		become(p, said[1], printed[1]);
	assert_true(c->pid > 0);
	close(said[1]);
	close(printed[1]);
	begin_text(c, &c->said, said[0]);
	begin_text(c, &c->printed, printed[0]);
}

bool fault_child_says(struct fault_child *c, size_t from, const char *text)
{
	while (strstr(c->said.text + from, text) == NULL) {
		if (c->over)
			return false;
		uv_run(&c->t->loop, UV_RUN_ONCE);
	}
	return true;
}

int fault_child_wait(struct fault_child *c)
{
	while (!c->over)
		uv_run(&c->t->loop, UV_RUN_ONCE);
	return c->code;
}

void fault_child_done(struct fault_child *c)
{
	assert_true(c->over);
	uv_run(&c->t->loop, UV_RUN_NOWAIT); /* the pipes close */
	free(c->said.text);
	free(c->printed.text);
}

void fault_child_fail(struct fault_child *c, const char *why)
{
	if (!c->over)
		(void)kill(c->pid, SIGKILL);
	(void)fault_child_wait(c);
	fprintf(stderr, "\n%s; exit code %d; it said:\n%s\nand printed:\n%s\n", why, c->code,
		c->said.text, c->printed.text);
	fault_child_done(c);
	fail_msg("%s", why);
}

/* ---- the control socket ---- */

struct ask {
	uv_pipe_t pipe;
	uv_connect_t connect;
	uv_write_t write;
	uv_buf_t request[2];
	char answer[1 << 18];
	size_t len;
	bool closed;
};

static void on_ask_closed(uv_handle_t *h)
{
	((struct ask *)h->data)->closed = true;
}

static void on_ask_alloc(uv_handle_t *h, size_t hint, uv_buf_t *ret)
{
	struct ask *a = h->data;

	(void)hint;
	*ret = uv_buf_init(a->answer + a->len, (unsigned)(sizeof(a->answer) - a->len));
}

static void on_ask_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct ask *a = s->data;

	(void)buf;
	if (n >= 0)
		a->len += (size_t)n;
	else
		uv_close((uv_handle_t *)s, on_ask_closed);
}

static void on_ask_written(uv_write_t *w, int err)
{
	(void)w;
	(void)err; /* reading tells it, too */
}

static void on_ask_connected(uv_connect_t *cn, int err)
{
	struct ask *a = cn->data;

	if (err == 0) {
		(void)uv_write(&a->write, (uv_stream_t *)&a->pipe, a->request, 2, on_ask_written);
		err = uv_read_start((uv_stream_t *)&a->pipe, on_ask_alloc, on_ask_read);
	}
	if (err != 0)
		uv_close((uv_handle_t *)&a->pipe, on_ask_closed);
}

json_t *fault_ask(struct test_net *t, const char *path, const char *request)
{
	static char newline[] = "\n";
	struct ask *a = calloc(1, sizeof(*a));
	json_t *root;

	assert_non_null(a);
	assert_int_equal(uv_pipe_init(&t->loop, &a->pipe, 0), 0);
	a->pipe.data = a->connect.data = a;
	a->request[0] = uv_buf_init((char *)(uintptr_t)request, (unsigned)strlen(request));
	a->request[1] = uv_buf_init(newline, 1);
	uv_pipe_connect(&a->connect, &a->pipe, path, on_ask_connected);
	test_net_run_until(t, &a->closed);
	root = json_loadb(a->answer, a->len, 0, NULL);
	free(a);
	return root;
}
