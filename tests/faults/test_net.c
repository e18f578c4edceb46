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
#include "tests/faults/fault.h"
#include "tests/lib/dns_client_fixture.h"
#include "tests/lib/listener_fixture.h"

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

static const struct fault_scenario scenarios[] = {
	{ .name = "dns_udp", .run = dns_udp },
	{ .name = "dns_tcp", .run = dns_tcp },
	{ .name = "dns_two_servers", .run = dns_two_servers },
	{ .name = "dns_signed_update", .run = dns_signed_update },
	{ .name = "listener_echo", .run = listener_echo },
};

int main(void)
{
	return fault_run("fault_net", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
