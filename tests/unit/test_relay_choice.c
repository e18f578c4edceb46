#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <stdio.h>

#include "kmscore/relay_choice.h"
#include "tests/lib/test_net.h"

static struct relay_candidate host(const char *name, uint32_t priority, enum upstream_class class)
{
	return (struct relay_candidate){ .name_hash = relay_hash_name(name),
					 .priority = priority,
					 .class = class };
}

static uint64_t network(const char *text)
{
	struct addr a = test_addr(text);

	return relay_hash_network(&a);
}

static void t_networks(void **state)
{
	struct addr mapped, none = { 0 };
	static const uint8_t ip[16] = { [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 };

	(void)state;
	addr_from_v6(&mapped, ip, 4711);
	assert_true(network("192.0.2.1:1") == network("192.0.2.1:2"));
	assert_true(network("192.0.2.1") != network("192.0.2.2"));
	assert_true(network("192.0.2.1") == relay_hash_network(&mapped));
	assert_true(network("2001:db8:0:1::1") == network("2001:db8:0:1:ffff::2"));
	assert_true(network("2001:db8:0:1::1") != network("2001:db8:0:2::1"));
	mapped = test_addr("2001:db8:0:1::1");
	assert_true(relay_hash_address(&mapped) != network("2001:db8:0:1::1"));
	/* the same on every machine and in every version: clients would move otherwise */
	assert_true(network("192.0.2.1") == UINT64_C(0x492D47C046214554));
	assert_true(relay_hash_address(&none) == relay_hash_network(&none));
	assert_true(relay_hash_address(&none) != network("0.0.0.0"));
	assert_true(relay_hash_name("winkms1") == UINT64_C(0x4DAFCBE7B7545825));
}

static void t_order(void **state)
{
	/* The first letter of a host: g(ood), d(oubtful), t(rial), n(o); then its priority, then
	 * l(ab), x (draining), r(elay). The hosts' names are a, b, c, d. */
	static const struct {
		const char *hosts[4];
		const char *query; /* l(ab), r: from a relay */
		uint64_t tried;
		int want;
	} rows[] = {
		{ { NULL }, "", 0, -1 },
		{ { "g0" }, "", 0, 0 },
		{ { "n0" }, "", 0, -1 },
		{ { "g1", "g0" }, "", 0, 1 },
		{ { "g5", "g1", "g3" }, "", 0, 1 },
		{ { "d0", "g9" }, "", 0, 1 },
		{ { "t0", "d9" }, "", 0, 1 },
		{ { "n0", "t9" }, "", 0, 1 },
		{ { "g0", "g1" }, "", 1, 1 },
		{ { "g0", "g1" }, "", 3, -1 },
		{ { "t0", "g1" }, "", 2, 0 },
		{ { "g0x", "g1" }, "", 0, 1 },
		{ { "g0x" }, "", 0, -1 },
		{ { "g0l", "g1" }, "", 0, 1 },
		{ { "g0l", "g1" }, "l", 0, 0 },
		{ { "g0l" }, "", 0, -1 },
		{ { "g0" }, "l", 0, -1 },
		{ { "g0r", "g1" }, "", 0, 0 },
		{ { "g0r", "g1" }, "r", 0, 1 },
		{ { "g0r" }, "r", 0, -1 },
		{ { "n0", "n0", "n0", "g7" }, "", 0, 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct relay_candidate list[4];
		struct relay_query q = { .network = 17, .tried = rows[i].tried };
		size_t n = 0;
		int got;

		q.lab = strchr(rows[i].query, 'l') != NULL;
		q.from_relay = strchr(rows[i].query, 'r') != NULL;
		for (; n < 4 && rows[i].hosts[n] != NULL; n++) {
			const char *h = rows[i].hosts[n];
			const char name[2] = { (char)('a' + (int)n), '\0' };

			list[n] = host(name, (uint32_t)(h[1] - '0'),
				       (enum upstream_class)(strchr("gdtn", h[0]) - "gdtn"));
			list[n].lab = h[2] == 'l';
			list[n].draining = h[2] == 'x';
			list[n].maybe_relay = h[2] == 'r';
		}
		got = relay_choose(list, n, &q);
		if (got != rows[i].want)
			fail_msg("row %zu: %d", i, got);
	}
}

#define HOSTS   8
#define CLIENTS 20000

static int choice_of(unsigned client, const struct relay_candidate *list, size_t n)
{
	const uint8_t ip[4] = { 10, (uint8_t)(client >> 16), (uint8_t)(client >> 8),
				(uint8_t)client };
	struct relay_query q = { 0 };
	struct addr a;

	addr_from_v4(&a, ip, 0);
	q.network = relay_hash_network(&a);
	return relay_choose(list, n, &q);
}

/* Clients of one network are spread evenly: chi-square over 8 hosts, 7 degrees of freedom, 0.1 %.
 */
static void t_spread(void **state)
{
	struct relay_candidate list[HOSTS];
	unsigned n[HOSTS] = { 0 };
	double expected = (double)CLIENTS / HOSTS, chi = 0;

	(void)state;
	for (unsigned i = 0; i < HOSTS; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "winkms%u", i);
		list[i] = host(name, 0, UPSTREAM_GOOD);
	}
	for (unsigned c = 0; c < CLIENTS; c++)
		n[choice_of(c, list, HOSTS)]++;
	for (unsigned i = 0; i < HOSTS; i++)
		chi += ((double)n[i] - expected) * ((double)n[i] - expected) / expected;
	assert_true(chi < 24.32);
}

static void t_only_its_own_clients_move(void **state)
{
	struct relay_candidate list[HOSTS];
	unsigned to[HOSTS] = { 0 }, moved = 0;

	(void)state;
	for (unsigned i = 0; i < HOSTS; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "winkms%u", i);
		list[i] = host(name, 0, UPSTREAM_GOOD);
	}
	for (unsigned c = 0; c < CLIENTS; c++) {
		int before = choice_of(c, list, HOSTS), after;

		list[3].class = UPSTREAM_NO;
		after = choice_of(c, list, HOSTS);
		list[3].class = UPSTREAM_GOOD;
		if (before != 3) {
			assert_int_equal(after, before);
			continue;
		}
		assert_int_not_equal(after, 3);
		to[after]++;
		moved++;
	}
	/* and they spread over all the others */
	for (unsigned i = 0; i < HOSTS; i++)
		if (i != 3)
			assert_true(to[i] > moved / HOSTS / 2);
	/* the order of the list does not matter */
	for (unsigned c = 0; c < 1000; c++) {
		struct relay_candidate turned[HOSTS];

		for (unsigned i = 0; i < HOSTS; i++)
			turned[i] = list[HOSTS - 1 - i];
		assert_int_equal(choice_of(c, list, HOSTS),
				 HOSTS - 1 - choice_of(c, turned, HOSTS));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_networks),
		cmocka_unit_test(t_order),
		cmocka_unit_test(t_spread),
		cmocka_unit_test(t_only_its_own_clients_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
