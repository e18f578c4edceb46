#include "tests/lib/listener_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

void lfx_on_freed(void *ctx)
{
	struct lfx *f = ctx;

	assert_false(f->freed);
	assert_int_equal(f->opened, f->closed);
	f->freed = true;
}

static void on_open(struct conn *c, void *ctx)
{
	struct lfx *f = ctx;

	f->opened++;
	f->last = c;
	conn_set_data(c, malloc(1)); /* lost, so reported, where closed() does not run */
	if (f->open_deadline != 0)
		conn_set_deadline(c, f->open_deadline);
	if (f->stop_in_open)
		listener_stop(f->l);
}

static void write_zeros(struct conn *c, size_t len)
{
	uint8_t *zeros = calloc(1, len);

	assert_non_null(zeros);
	conn_write(c, zeros, len);
	free(zeros);
}

static size_t on_data(struct conn *c, void *ctx, const uint8_t *data, size_t len)
{
	struct lfx *f = ctx;
	size_t n = (size_t)data[0] + 1;

	if (len < n)
		return 0;
	f->messages++;
	if (f->reply != 0)
		write_zeros(c, f->reply);
	else
		conn_write(c, data, n);
	if (n > 1 && data[1] == 'Q')
		conn_close(c);
	if (n > 1 && data[1] == 'P')
		conn_pause(c);
	if (f->free_in_data)
		listener_free(f->l, lfx_on_freed, f);
	return n;
}

static bool on_half_closed(struct conn *c, void *ctx)
{
	struct lfx *f = ctx;

	(void)c;
	f->half_closed++;
	return f->keep_half;
}

static void on_closed(struct conn *c, void *ctx, int err)
{
	struct lfx *f = ctx;

	f->closed++;
	f->close_err = err;
	free(conn_data(c));
	if (f->last == c)
		f->last = NULL;
}

static void on_refused(void *ctx, const struct addr *peer, int why)
{
	struct lfx *f = ctx;

	assert_true(addr_is_loopback(peer));
	f->refused++;
	f->why = why;
}

static const struct conn_ops ops = { on_open, on_data, on_half_closed, on_closed, on_refused };

void lfx_init(struct lfx *f)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	f->listen[0] = test_addr("127.0.0.1:0");
	f->p = (struct listener_params){
		.listen = f->listen,
		.n_listen = 1,
		.max_conns = 1000,
		.max_per_address = 1000,
		.max_in = 256,
		.max_out = 4 << 20,
		.idle_ms = LFX_PATIENCE_MS,
		.ops = &ops,
		.ctx = f,
	};
}

void lfx_open_listener(struct lfx *f)
{
	struct err_info info = { "" };

	assert_int_equal(listener_new(&f->t.net, &f->p, &f->l, &info), ERR_OK);
	assert_string_equal(info.text, "");
}

void lfx_finish(struct lfx *f)
{
	if (!f->free_in_data)
		listener_free(f->l, lfx_on_freed, f);
	assert_false(f->freed);
	test_net_run_until(&f->t, &f->freed);
	test_net_done(&f->t);
}

/** Run the loop until @p counter is @p wanted. */
void lfx_until(struct lfx *f, const unsigned *counter, unsigned wanted)
{
	while (*counter < wanted)
		uv_run(&f->t.loop, UV_RUN_ONCE);
	assert_int_equal(*counter, wanted);
}

/* Clients are plain sockets; on loopback connect() is done before accept(). */

int lfx_try_client(const struct addr *to, const char *from)
{
	int fd = socket(to->u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (from != NULL) {
		struct addr a = test_addr(from);

		assert_int_equal(bind(fd, &a.u.sa, addr_len(&a)), 0);
	}
	if (connect(fd, &to->u.sa, addr_len(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

int lfx_client(struct lfx *f, const char *from)
{
	int fd = lfx_try_client(listener_addr(f->l, 0), from);

	assert_true(fd >= 0);
	return fd;
}

void lfx_send_all(int fd, const void *data, size_t len)
{
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
}

/** What the client gets while the loop runs: bytes, 0 at the end, or -errno. */
ssize_t lfx_receive(struct lfx *f, int fd, void *out, size_t len)
{
	for (;;) {
		ssize_t n = recv(fd, out, len, MSG_DONTWAIT);

		if (n >= 0)
			return n;
		if (errno != EAGAIN)
			return -errno;
		uv_run(&f->t.loop, UV_RUN_NOWAIT);
	}
}

void lfx_expect(struct lfx *f, int fd, const void *data, size_t len)
{
	uint8_t got[300];
	size_t have = 0;

	assert_true(len <= sizeof(got));
	while (have < len) {
		ssize_t n = lfx_receive(f, fd, got + have, len - have);

		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_memory_equal(got, data, len);
}

/** Read to the end. @return how many bytes came, or -errno. */
ssize_t lfx_drain(struct lfx *f, int fd)
{
	static char sink[65536];
	ssize_t sum = 0, n;

	while ((n = lfx_receive(f, fd, sink, sizeof(sink))) > 0)
		sum += n;
	return n < 0 ? n : sum;
}
