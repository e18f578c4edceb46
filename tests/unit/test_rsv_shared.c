#include "resolver/shared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "tests/lib/test_net.h"

struct fixture {
	struct test_net t;
	struct rsv_shared *s;
	int freed;
};

static void init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	f->s = rsv_shared_new(&f->t.net, NULL, 0);
	assert_non_null(f->s);
	assert_non_null(rsv_shared_hosts(f->s));
}

static void on_freed(void *ctx)
{
	((struct fixture *)ctx)->freed++;
}

static void done(struct fixture *f)
{
	rsv_shared_free(f->s, on_freed, f);
	assert_int_equal(f->freed, 0);
	test_net_done(&f->t);
	assert_int_equal(f->freed, 1);
}

static struct dns_name name_of(unsigned i)
{
	struct dns_name n;
	char text[32];

	snprintf(text, sizeof(text), "z%u.example", i);
	assert_int_equal(dns_name_parse(text, &n), 0);
	return n;
}

/* The zone not asked for the longest goes; the one in demand stays. */
static void t_zones(void **state)
{
	struct dns_name first = name_of(0), second = name_of(1), ns[2] = { name_of(7), name_of(8) };
	const struct dns_name *got;
	struct fixture f;
	size_t n = 0;

	(void)state;
	init(&f);
	assert_null(rsv_shared_zone(f.s, &first, &n));
	for (unsigned i = 0; i < RSV_SHARED_ZONES_MAX + 10; i++) {
		struct dns_name zone = name_of(i);

		rsv_shared_zone_add(f.s, &zone, ns, 1 + i % 2);
		assert_non_null(rsv_shared_zone(f.s, &first, &n));
	}
	got = rsv_shared_zone(f.s, &first, &n);
	assert_int_equal(n, 1);
	assert_true(dns_name_equal(got, &ns[0]));
	assert_null(rsv_shared_zone(f.s, &second, &n));
	rsv_shared_zone_add(f.s, &second, ns, 2);
	got = rsv_shared_zone(f.s, &second, &n);
	assert_int_equal(n, 2);
	assert_true(dns_name_equal(&got[1], &ns[1]));
	rsv_shared_zone_add(f.s, &second, ns, 1); /* what is there stays */
	assert_non_null(rsv_shared_zone(f.s, &second, &n));
	assert_int_equal(n, 2);
	done(&f);
}

static void t_silent_servers(void **state)
{
	struct addr a = test_addr("127.0.0.1:53"), b = test_addr("127.0.0.1:54");
	struct dns_server list[3] = { 0 };
	unsigned asked = 0;
	struct fixture f;

	(void)state;
	init(&f);
	for (unsigned i = 0; i < RSV_SILENT_AFTER; i++) {
		assert_true(rsv_shared_worth_asking(f.s, &a));
		rsv_shared_heard(f.s, &a, true);
	}
	assert_true(rsv_shared_worth_asking(f.s, &b));
	for (unsigned i = 0; i < 3 * RSV_SILENT_RETRY; i++)
		asked += rsv_shared_worth_asking(f.s, &a);
	assert_int_equal(asked, 3);
	list[0].addr = list[2].addr = a;
	list[1].addr = b;
	rsv_shared_arrange(f.s, list, 3);
	assert_true(addr_equal(&list[0].addr, &b));
	assert_true(addr_equal(&list[1].addr, &a) && addr_equal(&list[2].addr, &a));
	rsv_shared_heard(f.s, &a, false); /* it is back */
	assert_true(rsv_shared_worth_asking(f.s, &a));

	/* silence in between is nothing */
	for (unsigned i = 0; i < 10; i++) {
		rsv_shared_heard(f.s, &b, i % RSV_SILENT_AFTER != 0);
		assert_true(rsv_shared_worth_asking(f.s, &b));
	}
	done(&f);
}

static void t_silent_servers_are_bounded(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	for (unsigned i = 0; i < RSV_SHARED_PEERS_MAX + 100; i++) {
		struct addr a = test_addr("127.0.0.1:1");

		addr_set_port(&a, (uint16_t)(i + 1));
		for (unsigned k = 0; k < RSV_SILENT_AFTER; k++)
			rsv_shared_heard(f.s, &a, true);
		assert_false(rsv_shared_worth_asking(f.s, &a));
	}
	done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_zones),
		cmocka_unit_test(t_silent_servers),
		cmocka_unit_test(t_silent_servers_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
