/*
 * What a state file says of hosts behind the relay (JSON): what is taken fits, and is written and
 * read back as the same.
 */
#include <string.h>

#include "daemon/upstreams_priv.h"
#include "tests/fuzz/fuzz.h"

static void check_one(const struct upstream_known *k)
{
	FUZZ_CHECK(k->row.port != 0 && k->row.priority <= UINT16_MAX);
	FUZZ_CHECK(memchr(k->row.name, '\0', sizeof(k->row.name)) != NULL);
	FUZZ_CHECK(memchr(k->row.host, '\0', sizeof(k->row.host)) != NULL);
	FUZZ_CHECK(k->n_addrs <= KMS_POOL_ADDRS_MAX);
	for (size_t i = 0; i < k->n_addrs; i++)
		FUZZ_CHECK(addr_is_set(&k->addrs[i]));
}

static void check_same(const struct upstream_known *a, const struct upstream_known *b)
{
	FUZZ_CHECK(upstream_rows_equal(&a->row, 1, &b->row, 1));
	FUZZ_CHECK(a->row.from_srv == b->row.from_srv && a->n_addrs == b->n_addrs);
	for (size_t i = 0; i < a->n_addrs; i++)
		FUZZ_CHECK(addr_equal(&a->addrs[i], &b->addrs[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *known = json_loadb((const char *)data, size, 0, NULL), *written;
	char srv[HOST_TEXT_MAX], srv_again[HOST_TEXT_MAX];
	struct upstream_known *list, *again;
	size_t n = upstream_known_parse(known, &list, srv);

	FUZZ_CHECK(n <= RELAY_UPSTREAMS_MAX);
	for (size_t i = 0; i < n; i++)
		check_one(&list[i]);
	written = upstream_known_json(list, n, srv);
	FUZZ_CHECK(written != NULL);
	FUZZ_CHECK(upstream_known_parse(written, &again, srv_again) == n);
	FUZZ_CHECK(strcmp(srv, srv_again) == 0);
	for (size_t i = 0; i < n; i++)
		check_same(&list[i], &again[i]);
	json_decref(written);
	json_decref(known);
	free(list);
	free(again);
	return 0;
}
