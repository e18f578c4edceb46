#include "net/peer_count.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"

#define ADDRESSES 20000

static void address(struct addr *a, uint32_t i)
{
	uint8_t ip[16] = { 0x20, 0x01, 0x0d, 0xb8 };

	for (size_t b = 0; b < 4; b++)
		ip[4 + b] = ip[12 + b] = (uint8_t)(i >> (8 * (3 - b)));
	if (i % 2 != 0)
		addr_from_v6(a, ip, (uint16_t)i);
	else
		addr_from_v4(a, ip + 12, (uint16_t)i);
}

static void t_many_addresses(void **state)
{
	static struct peer_entry *entries[ADDRESSES][2];
	struct peer_count p;
	struct peer_entry *none = NULL;
	struct rng rng;
	struct addr a;

	(void)state;
	rng_init_system(&rng);
	assert_int_equal(peer_count_init(&p, &rng), 0);
	for (size_t k = 0; k < 2; k++) {
		for (uint32_t i = 0; i < ADDRESSES; i++) {
			address(&a, i);
			addr_set_port(&a, (uint16_t)k); /* does not matter */
			assert_int_equal(peer_count_add(&p, &a, 2, &entries[i][k]), 0);
		}
	}
	assert_int_equal(peer_count_addresses(&p), ADDRESSES);
	for (uint32_t i = 0; i < ADDRESSES; i++) {
		address(&a, i);
		assert_int_equal(peer_count_add(&p, &a, 2, &none), ERR_LIMIT);
		assert_ptr_equal(entries[i][0], entries[i][1]);
	}
	for (uint32_t i = 0; i < ADDRESSES; i++)
		peer_count_drop(&p, entries[i][0]);
	assert_int_equal(peer_count_addresses(&p), ADDRESSES);
	address(&a, 5);
	assert_int_equal(peer_count_add(&p, &a, 2, &none), 0);
	peer_count_drop(&p, none);
	for (uint32_t i = 0; i < ADDRESSES; i++)
		peer_count_drop(&p, entries[i][1]);
	assert_int_equal(peer_count_addresses(&p), 0);
	peer_count_done(&p);
}

static void t_limit_of_zero_lets_nobody_in(void **state)
{
	struct peer_entry *e = NULL;
	struct peer_count p;
	struct rng rng;
	struct addr a;

	(void)state;
	rng_init_system(&rng);
	assert_int_equal(peer_count_init(&p, &rng), 0);
	address(&a, 1);
	assert_int_equal(peer_count_add(&p, &a, 0, &e), ERR_LIMIT);
	assert_int_equal(peer_count_addresses(&p), 0);
	peer_count_done(&p);
}

/* Who has one address of an IPv6 network of 64 bits has them all. */
static void t_R04_one_network_of_ipv6_is_one_peer(void **state)
{
	struct peer_entry *e[3] = { NULL };
	uint8_t ip[16] = { 0x20, 1, 0x0d, 0xb8 };
	struct peer_count p;
	struct rng rng;
	struct addr a;

	(void)state;
	rng_init_system(&rng);
	assert_int_equal(peer_count_init(&p, &rng), 0);
	for (uint8_t i = 0; i < 2; i++) {
		ip[15] = ip[8] = i;
		addr_from_v6(&a, ip, 1000);
		assert_int_equal(peer_count_add(&p, &a, 2, &e[i]), 0);
	}
	assert_ptr_equal(e[0], e[1]);
	ip[8] = 77;
	addr_from_v6(&a, ip, 1000);
	assert_int_equal(peer_count_add(&p, &a, 2, &e[2]), ERR_LIMIT);
	ip[7] = 1; /* the network beside it */
	addr_from_v6(&a, ip, 1000);
	assert_int_equal(peer_count_add(&p, &a, 2, &e[2]), 0);
	assert_int_equal(peer_count_addresses(&p), 2);
	for (size_t i = 0; i < 3; i++)
		peer_count_drop(&p, e[i]);
	peer_count_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_many_addresses),
		cmocka_unit_test(t_R04_one_network_of_ipv6_is_one_peer),
		cmocka_unit_test(t_limit_of_zero_lets_nobody_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
