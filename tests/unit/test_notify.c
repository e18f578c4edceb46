/* NOTIFY from the outside: what counts, what is answered, what a storm costs. */
#include "daemon/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/mem.h"
#include "tests/lib/hex.h"
#include "tests/lib/test_net.h"

#define QUESTION "04636f7270047465737400" /* corp.test */

struct read_row {
	const char *name;
	const char *wire;
	int err;
};

static const struct read_row read_rows[] = {
	{ "named's own: SOA in the answer section",
	  "12342400000100010000000004636f7270047465737400 0006 0001"
	  "c00c 0006 0001 0000012c 0016 00 00 00000001 00000002 00000003 00000004 00000005",
	  0 },
	{ "question only", "1234 2000 0001 0000 0000 0000" QUESTION "0006 0001", 0 },
	{ "a query", "1234 0000 0001 0000 0000 0000" QUESTION "0006 0001", ERR_DNS_MISMATCH },
	{ "an UPDATE", "1234 2800 0001 0000 0000 0000" QUESTION "0006 0001", ERR_DNS_MISMATCH },
	{ "an answer", "1234 a400 0001 0000 0000 0000" QUESTION "0006 0001", ERR_DNS_MISMATCH },
	{ "another type", "1234 2000 0001 0000 0000 0000" QUESTION "0001 0001", ERR_DNS_MISMATCH },
	{ "another class", "1234 2000 0001 0000 0000 0000" QUESTION "0006 0003", ERR_DNS_MISMATCH },
	{ "no question", "1234 2000 0000 0000 0000 0000", ERR_DNS_MISMATCH },
	{ "two questions",
	  "1234 2000 0002 0000 0000 0000" QUESTION "0006 0001" QUESTION "0006 0001",
	  ERR_DNS_MALFORMED },
	{ "cut off",
	  "1234 2000 0001 0000 0000 0000"
	  "04636f72",
	  ERR_DNS_MALFORMED },
	{ "nothing", "12", ERR_DNS_MALFORMED },
};

static void t_read(void **state)
{
	static const uint8_t answer_want[] = { 0x12, 0x34, 0xa4, 0x00, 0, 1, 0, 0, 0, 0, 0, 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(read_rows) / sizeof(read_rows[0]); i++) {
		uint8_t wire[256];
		size_t len = hex_decode(read_rows[i].wire, wire, sizeof(wire));
		struct dns_name zone = { 0 };
		char text[DNSNAME_TEXT_MAX];
		struct buf answer;
		int err;

		buf_init(&answer, 512);
		err = notify_read(wire, len, &zone, &answer);
		if (err != read_rows[i].err)
			fail_msg("%s: %s", read_rows[i].name, err_name(err));
		if (err == 0) {
			assert_string_equal(dns_name_format(&zone, text), "corp.test");
			assert_int_equal(answer.len, 12 + 11 + 4);
			assert_memory_equal(answer.data, answer_want, 12);
			assert_memory_equal(answer.data + 12, wire + 12, 15);
		}
		buf_done(&answer);
	}
}

static void t_Z18_a_storm_is_limited(void **state)
{
	struct notify_rate r = { 0 };
	unsigned taken = 0;

	(void)state;
	for (unsigned i = 0; i < 10000; i++)
		taken += notify_rate_take(&r, 5000 + i % 1000);
	assert_int_equal(taken, NOTIFY_PER_SECOND);
	assert_true(notify_rate_take(&r, 6000));
}

/* ---- with sockets ---- */

struct fixture {
	struct test_net t;
	struct notify *n;
	unsigned calls;
	enum pub_notify say;
	uv_udp_t client;
	bool answered;
	bool seen;
	uint8_t reply[512];
	size_t reply_len;
};

static enum pub_notify on_notify(void *ctx, const struct dns_name *zone, const struct addr *from)
{
	struct fixture *f = ctx;

	assert_true(dns_name_is_set(zone));
	assert_true(addr_is_loopback(from));
	f->calls++;
	f->seen = true;
	return f->say;
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *ret)
{
	struct fixture *f = h->data;

	(void)hint;
	*ret = uv_buf_init((char *)f->reply, sizeof(f->reply));
}

static void on_reply(uv_udp_t *u, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
		     unsigned flags)
{
	struct fixture *f = u->data;

	(void)buf;
	(void)flags;
	if (n <= 0 || from == NULL)
		return;
	f->reply_len = (size_t)n;
	f->answered = true;
}

static void begin(struct fixture *f, enum pub_notify say)
{
	struct addr at = test_addr("127.0.0.1:0");
	struct err_info info;

	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	f->say = say;
	assert_int_equal(notify_new(&f->t.net, &at, 1, on_notify, f, &f->n, &info), 0);
	assert_int_equal(notify_n_listen(f->n), 1);
	assert_int_not_equal(addr_port(notify_addr(f->n, 0)), 0);
	assert_int_equal(uv_udp_init(&f->t.loop, &f->client), 0);
	f->client.data = f;
	assert_int_equal(uv_udp_bind(&f->client, &at.u.sa, 0), 0);
	assert_int_equal(uv_udp_recv_start(&f->client, on_alloc, on_reply), 0);
}

static void tell(struct fixture *f, const char *hex)
{
	uint8_t wire[256];
	uv_buf_t b = uv_buf_init((char *)wire, (unsigned)hex_decode(hex, wire, sizeof(wire)));

	assert_int_equal(uv_udp_try_send(&f->client, &b, 1, &notify_addr(f->n, 0)->u.sa), b.len);
}

static void end(struct fixture *f)
{
	notify_free(f->n);
	uv_close((uv_handle_t *)&f->client, NULL);
	test_net_done(&f->t);
}

static void t_taken_is_answered(void **state)
{
	struct notify_counts c;
	struct fixture f;

	(void)state;
	begin(&f, PUB_NOTIFY_TAKEN);
	tell(&f, read_rows[1].wire);
	test_net_run_until(&f.t, &f.answered);
	assert_int_equal(f.reply_len, 27);
	assert_int_equal(f.reply[2], 0xa4);
	notify_counts(f.n, &c);
	assert_true(c.taken == 1 && c.ignored == 0 && c.dropped == 0);
	end(&f);
}

static void t_Z18_strangers_get_no_answer(void **state)
{
	struct notify_counts c;
	struct fixture f;

	(void)state;
	begin(&f, PUB_NOTIFY_STRANGER);
	tell(&f, read_rows[2].wire); /* a query: not even asked about */
	tell(&f, read_rows[1].wire);
	test_net_run_until(&f.t, &f.seen);
	f.say = PUB_NOTIFY_TAKEN;
	tell(&f, read_rows[1].wire); /* its answer is the first that comes */
	test_net_run_until(&f.t, &f.answered);
	notify_counts(f.n, &c);
	assert_true(c.taken == 1 && c.ignored == 2 && c.dropped == 0);
	assert_int_equal(f.calls, 2);
	end(&f);
}

static void t_Z18_a_storm_is_dropped_unread(void **state)
{
	struct notify_counts c = { 0 };
	struct fixture f;

	(void)state;
	begin(&f, PUB_NOTIFY_TAKEN); /* the test's clock stands still */
	while (c.dropped < 3) {
		tell(&f, read_rows[1].wire);
		test_net_step(&f.t);
		notify_counts(f.n, &c);
	}
	assert_int_equal(f.calls, NOTIFY_PER_SECOND);
	assert_int_equal(c.taken, NOTIFY_PER_SECOND);
	end(&f);
}

static void t_free_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 4; steps++) {
		struct fixture f;

		begin(&f, PUB_NOTIFY_TAKEN);
		tell(&f, read_rows[1].wire);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		end(&f);
	}
}

static void t_an_address_that_is_taken(void **state)
{
	struct fixture f;
	struct addr at[2];
	struct notify *second;
	struct err_info info = { "" };

	(void)state;
	begin(&f, PUB_NOTIFY_TAKEN);
	at[0] = test_addr("127.0.0.1:0");
	at[1] = *notify_addr(f.n, 0);
	assert_int_equal(notify_new(&f.t.net, at, 2, on_notify, &f, &second, &info), UV_EADDRINUSE);
	assert_null(second);
	assert_non_null(strstr(info.text, "cannot listen on 127.0.0.1"));
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_read),
		cmocka_unit_test(t_Z18_a_storm_is_limited),
		cmocka_unit_test(t_taken_is_answered),
		cmocka_unit_test(t_Z18_strangers_get_no_answer),
		cmocka_unit_test(t_Z18_a_storm_is_dropped_unread),
		cmocka_unit_test(t_free_at_every_step),
		cmocka_unit_test(t_an_address_that_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
