/* Each address is asked once, whoever asks how often; with a prober that answers as it is told. */
#include "daemon/probe_memo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "tests/lib/fake_prober.h"
#include "tests/lib/test_net.h"

#define OPS 40

struct fixture {
	struct test_net t;
	struct fake_prober fake;
	struct probe_memo *memo;
	struct probe_op op[OPS];
	unsigned calls;
	unsigned ups;
	unsigned want;
	bool done, freed;
	char detail[PROBE_DETAIL_MAX];
};

static void on_probed(struct probe_op *op, const struct probe_result *r)
{
	struct fixture *f = op->owner;

	f->calls++;
	f->ups += r->state == PROBE_UP;
	(void)snprintf(f->detail, sizeof(f->detail), "%s", r->detail);
	memset(op, 0xa5, sizeof(*op));
	f->done = f->calls == f->want;
}

static void init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	fake_prober_init(&f->fake);
	f->memo = probe_memo_new(&f->t.net, &f->fake.prober);
	assert_non_null(f->memo);
}

static void ask(struct fixture *f, size_t i, const char *addr)
{
	const struct prober *p = probe_memo_prober(f->memo);
	struct addr a = test_addr(addr);

	memset(&f->op[i], 0, sizeof(f->op[i]));
	f->op[i].owner = f;
	p->start(p, &f->op[i], &f->t.net, &a, 1000, on_probed);
}

static void wait_for(struct fixture *f, unsigned calls)
{
	f->want = calls;
	f->done = f->calls == calls;
	test_net_run_until(&f->t, &f->done);
}

static void on_freed(void *ctx)
{
	((struct fixture *)ctx)->freed = true;
}

static void done(struct fixture *f)
{
	probe_memo_free(f->memo, on_freed, f);
	assert_false(f->freed);
	test_net_run_until(&f->t, &f->freed);
	test_net_done(&f->t);
}

static void t_once_for_all(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	ask(&f, 0, "127.0.0.1:1688");
	ask(&f, 1, "127.0.0.1:1688");
	ask(&f, 2, "127.0.0.1:1689");
	assert_int_equal(f.calls, 0);
	wait_for(&f, 3);
	ask(&f, 3, "127.0.0.1:1688"); /* known by now: still from the loop */
	assert_int_equal(f.calls, 3);
	wait_for(&f, 4);
	assert_int_equal(f.fake.started, 2);
	assert_int_equal(f.ups, 4);
	probe_memo_forget(f.memo);
	ask(&f, 4, "127.0.0.1:1688");
	wait_for(&f, 5);
	assert_int_equal(f.fake.started, 3);
	done(&f);
}

static void t_few_at_once(void **state)
{
	struct fixture f;
	char addr[32];

	(void)state;
	init(&f);
	f.fake.silent = true;
	for (size_t i = 0; i < OPS; i++) {
		(void)snprintf(addr, sizeof(addr), "127.0.0.1:%zu", 1000 + i);
		ask(&f, i, addr);
	}
	for (int i = 0; i < 20; i++)
		test_net_step(&f.t);
	assert_int_equal(f.fake.started, PROBE_MEMO_PARALLEL);
	assert_int_equal(f.calls, 0);
	for (size_t i = 0; i < OPS; i++)
		probe_memo_prober(f.memo)->cancel(&f.op[i]);
	assert_int_equal(f.calls, 0);
	wait_for(&f, OPS);
	done(&f); /* what runs is cancelled */
}

static void t_the_rest_has_its_turn(void **state)
{
	struct fixture f;
	char addr[32];

	(void)state;
	init(&f);
	for (size_t i = 0; i < OPS; i++) {
		(void)snprintf(addr, sizeof(addr), "127.0.0.1:%zu", 1000 + i);
		ask(&f, i, addr);
	}
	wait_for(&f, OPS);
	assert_int_equal(f.fake.started, OPS);
	done(&f);
}

static void t_too_many_addresses(void **state)
{
	struct fixture f;
	char addr[32];

	(void)state;
	init(&f);
	for (size_t i = 0; i < PROBE_MEMO_MAX; i++) {
		(void)snprintf(addr, sizeof(addr), "127.0.0.1:%zu", 1000 + i);
		ask(&f, 0, addr);
		wait_for(&f, (unsigned)i + 1);
	}
	ask(&f, 0, "127.0.0.2:1");
	wait_for(&f, PROBE_MEMO_MAX + 1);
	assert_string_equal(f.detail, "not asked: too many hosts");
	assert_int_equal(f.fake.started, PROBE_MEMO_MAX);
	done(&f);
}

static void t_cancel_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 8; steps++) {
		struct fixture f;

		init(&f);
		ask(&f, 0, "127.0.0.1:1688");
		ask(&f, 1, "127.0.0.1:1688");
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		if (f.calls == 0) {
			unsigned before = f.calls;

			probe_memo_prober(f.memo)->cancel(&f.op[0]);
			probe_memo_prober(f.memo)->cancel(&f.op[0]);
			assert_int_equal(f.calls, before);
		}
		wait_for(&f, 2); /* the other one is answered all the same */
		assert_true(f.ups >= 1);
		done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_once_for_all),          cmocka_unit_test(t_few_at_once),
		cmocka_unit_test(t_the_rest_has_its_turn), cmocka_unit_test(t_too_many_addresses),
		cmocka_unit_test(t_cancel_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
