/* The network operations, each to its end. */
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

#include "common/err.h"
#include "net/resolv_conf.h"
#include "net/udp_pool.h"
#include "tests/faults/fault.h"
#include "tests/lib/dns_client_fixture.h"
#include "tests/lib/listener_fixture.h"
#include "tests/lib/tmp_input.h"

/* ---- DNS client ---- */

static void serve_truncated(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fake_reply r;

	if (rq->tcp) {
		dcx_serve(s, rq, ctx);
		return;
	}
	fake_reply_begin(&r, rq, DNS_RCODE_NOERROR, FAKE_AA | FAKE_TC);
	fake_dns_send_reply(&rq->from, &r);
}

static int ask(struct dcx *f)
{
	f->p.attempt_ms = DCX_SHORT_MS;
	f->p.total_ms = 4 * DCX_SHORT_MS;
	fault_begin();
	dcx_start(f);
	test_net_run_until(&f->t, &f->done);
	fault_end();
	dcx_finish(f);
	if (f->o.err == 0 && f->p.question != NULL)
		assert_int_equal(f->n_answers, 1);
	return f->o.err;
}

static int dns_udp(void)
{
	struct dcx f;

	dcx_init(&f);
	dcx_add(&f, dcx_serve);
	return ask(&f);
}

static int dns_tcp(void)
{
	struct dcx f;

	dcx_init(&f);
	f.t.net.source4 = test_addr("127.0.0.1:0");
	dcx_add(&f, serve_truncated);
	return ask(&f);
}

static int dns_two_servers(void)
{
	struct dcx f;

	dcx_init(&f);
	dcx_add(&f, dcx_serve);
	dcx_add(&f, dcx_serve);
	return ask(&f);
}

static int dns_signed_update(void)
{
	struct dcx f;

	dcx_init(&f);
	dcx_use_key(&f);
	dcx_use_update(&f);
	dcx_add(&f, dcx_serve_signed);
	return ask(&f);
}

/* Its owner wants no answer any more, whatever has become of it. */
static int dns_canceled(void)
{
	struct dcx f;

	dcx_init(&f);
	dcx_add(&f, dcx_serve);
	fault_begin();
	dcx_start(&f);
	dns_client_cancel(f.c);
	test_net_run_until(&f.t, &f.done);
	fault_end();
	dcx_finish(&f);
	assert_true(f.o.err == ERR_CANCELED || f.o.err == ERR_NOMEM);
	return f.o.err == ERR_CANCELED ? 0 : f.o.err;
}

static int notify_answer(void)
{
	struct dns_msg *m = NULL;
	struct fake_reply r;
	struct buf out;
	int err;

	fake_reply_begin_raw(&r, 7, 0x2000,
			     "a.name.that.needs.more.than.a.small.piece.corp.example",
			     DNS_TYPE_SOA);
	assert_int_equal(dnsmsg_parse(r.data, r.len, &m), 0);
	buf_init(&out, DNSMSG_MAX);
	fault_begin();
	err = dnsmsg_build_notify_answer(m, &out);
	fault_end();
	if (err == 0)
		assert_int_equal(out.len, r.len);
	dnsmsg_free(m);
	buf_done(&out);
	return err;
}

static int udp_pool(void)
{
	struct test_net t;
	struct udp_pool *p;

	test_net_init(&t);
	fault_begin();
	p = udp_pool_new(&t.loop);
	fault_end();
	udp_pool_close(p);
	test_net_done(&t);
	return p != NULL ? 0 : ERR_NOMEM;
}

/* ---- files ---- */

static int tsig_key(void)
{
	static const char text[] = FAKE_TSIG_KEY_TEXT;
	const char *path = tmp_input(text, sizeof(text) - 1);
	struct err_info info = { "" };
	struct tsig_key *k = NULL;
	int err;

	assert_non_null(path);
	fault_begin();
	err = tsig_key_load(path, &k, &info);
	fault_end();
	if (err != 0)
		assert_non_null(strstr(info.text, path));
	else
		assert_string_equal(tsig_key_alg_name(k), "hmac-sha256");
	tsig_key_unref(k);
	return err;
}

static int resolv_conf(void)
{
	static const char text[] = "nameserver 192.0.2.1\n";
	const char *path = tmp_input(text, sizeof(text) - 1);
	char server[ADDR_TEXT_MAX];
	struct resolv_conf c;
	int err;

	assert_non_null(path);
	fault_begin();
	err = resolv_conf_read(path, &c);
	fault_end();
	assert_int_equal(c.n_servers, 1);
	addr_format(&c.servers[0], server);
	/* without the file: as libc has it */
	assert_string_equal(server, err == 0 ? "192.0.2.1:53" : "127.0.0.1:53");
	return err;
}

/* ---- listener ---- */

#define CLIENTS 3
#define STEPS   50 /* of the loop: more than these clients need */

/* A client that comes after the fault is served: the listener goes on. */
static int listener_echo(void)
{
	static const uint8_t message[] = { 3, 'a', 'b', 'c' };
	struct err_info info = { "" };
	uint8_t got[sizeof(message)];
	size_t served = 0;
	int fd[CLIENTS + 1];
	struct lfx f;
	int err;

	lfx_init(&f);
	fault_begin();
	err = listener_new(&f.t.net, &f.p, &f.l, &info);
	if (err != 0) {
		fault_end();
		assert_string_not_equal(info.text, "");
		test_net_done(&f.t);
		return err;
	}
	for (int i = 0; i < CLIENTS; i++) {
		fd[i] = lfx_client(&f, NULL);
		lfx_send_all(fd[i], message, sizeof(message));
	}
	for (int i = 0; i < STEPS; i++)
		uv_run(&f.t.loop, UV_RUN_NOWAIT);
	fault_end();
	fd[CLIENTS] = lfx_client(&f, NULL);
	lfx_send_all(fd[CLIENTS], message, sizeof(message));
	for (int i = 0; i <= CLIENTS; i++) {
		bool ok = lfx_receive(&f, fd[i], got, sizeof(got)) == (ssize_t)sizeof(got);

		if (ok)
			assert_memory_equal(got, message, sizeof(got));
		assert_true(ok || i < CLIENTS);
		served += ok;
		close(fd[i]);
	}
	lfx_finish(&f);
	return served == CLIENTS + 1 ? 0 : -ECONNRESET;
}

#define FLOW_REPLY (256 << 10) /* more than the client's and our socket buffer take together */

/* A socket that listens, with buffers that are soon full. */
static int made_elsewhere(struct addr *ret)
{
	struct addr a = test_addr("127.0.0.1:0");
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	const int small = 4096;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	assert_int_equal(bind(fd, &a.u.sa, addr_len(&a)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(ret, (struct sockaddr *)&ss), 0);
	return fd;
}

struct flow {
	int fd;
	size_t got;
	bool ended, wrong;
};

/* Reads what there is. A connection that is paused goes on. */
static void flow_step(struct lfx *f, struct flow *w)
{
	static char sink[65536];
	ssize_t n = recv(w->fd, sink, sizeof(sink), MSG_DONTWAIT);

	if (n > 0) {
		w->got += (size_t)n;
		return;
	}
	w->ended = n == 0 || errno != EAGAIN;
	w->wrong = n < 0;
	if (f->last != NULL)
		conn_resume(f->last);
	uv_run(&f->t.loop, UV_RUN_NOWAIT);
}

/* With faults while it is open, or for so many steps, and then to its end. */
static bool flow_gets(struct lfx *f, struct flow *w, size_t wanted)
{
	for (int i = 0; (i < 2 * STEPS || f->last != NULL) && !w->ended; i++)
		flow_step(f, w);
	if (!w->ended)
		fault_end(); /* such as those that let nobody in */
	while (!w->ended)
		flow_step(f, w);
	close(w->fd);
	return !w->wrong && w->got == wanted;
}

/* One that pauses and sends ahead, and then reads all; another that comes in pieces. Both are
 * closed by us. @return whether they got what they are due. */
static bool two_clients(struct lfx *f)
{
	static uint8_t message[200] = { sizeof(message) - 1, 'Q' };
	struct flow a = { .fd = lfx_client(f, NULL) }, b = { 0 };
	bool ok;

	lfx_send_all(a.fd, "\1P\1a", 4);
	for (int i = 0; i < STEPS; i++)
		uv_run(&f->t.loop, UV_RUN_NOWAIT);
	(void)!send(a.fd, "\1Q", 2, MSG_NOSIGNAL); /* is not read before the others are done */
	ok = flow_gets(f, &a, (size_t)3 * FLOW_REPLY);
	b.fd = lfx_try_client(listener_addr(f->l, listener_addr_count(f->l) - 1), NULL);
	assert_true(b.fd >= 0);
	lfx_send_all(b.fd, message, 1);
	for (int i = 0; i < STEPS; i++)
		uv_run(&f->t.loop, UV_RUN_NOWAIT);
	(void)!send(b.fd, message + 1, sizeof(message) - 1, MSG_NOSIGNAL);
	return flow_gets(f, &b, FLOW_REPLY) && ok;
}

static int listener_flow(void)
{
	int sockets[3] = { -1, -1, -1 }, err;
	struct err_info info = { "" };
	struct lfx f;
	bool ok;

	lfx_init(&f);
	f.reply = FLOW_REPLY;
	sockets[0] = made_elsewhere(&f.listen[0]);
	f.listen[1] = test_addr("127.0.0.1:0");
	f.p.n_listen = 2;
	if (test_net_has_ipv6())
		f.listen[f.p.n_listen++] = test_addr("[::1]:0");
	f.p.sockets = sockets;
	fault_begin();
	err = listener_new(&f.t.net, &f.p, &f.l, &info);
	if (err != 0) {
		fault_end();
		assert_string_not_equal(info.text, "");
		close(sockets[0]);
		test_net_done(&f.t);
		return err;
	}
	ok = two_clients(&f);
	fault_end();
	assert_true(two_clients(&f));
	close(sockets[0]);
	lfx_finish(&f);
	return ok ? 0 : -ECONNRESET;
}

static const struct fault_scenario scenarios[] = {
	{ .name = "dns_udp", .run = dns_udp },
	{ .name = "dns_tcp", .run = dns_tcp },
	{ .name = "dns_two_servers", .run = dns_two_servers },
	{ .name = "dns_signed_update", .run = dns_signed_update },
	{ .name = "dns_canceled", .run = dns_canceled },
	{ .name = "notify_answer", .run = notify_answer },
	{ .name = "udp_pool", .run = udp_pool },
	{ .name = "tsig_key", .run = tsig_key },
	{ .name = "resolv_conf", .run = resolv_conf },
	{ .name = "listener_echo", .run = listener_echo },
	{ .name = "listener_flow", .run = listener_flow },
};

int main(void)
{
	return fault_run("fault_net", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
