#include "tests/lib/srv_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

struct rsv_record srv_row(unsigned priority, unsigned weight, const char *target, unsigned port)
{
	struct rsv_record r;

	memset(&r, 0, sizeof(r));
	r.srv.priority = (uint16_t)priority;
	r.srv.weight = (uint16_t)weight;
	r.srv.port = (uint16_t)port;
	r.ttl = 300;
	assert_int_equal(dns_name_parse(target, &r.srv.target), 0);
	return r;
}

size_t srv_group(const unsigned *weights, size_t n, struct rsv_record *ret)
{
	for (size_t i = 0; i < n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%c.example", (int)('a' + i));
		ret[i] = srv_row(0, weights[i], name, 1688);
	}
	return n;
}

size_t srv_index(const struct rsv_record *r)
{
	return (size_t)(r->srv.target.wire[1] - 'a');
}
