/* The resolver's cache file: what loads is saved and loads again as the same; else a sentence. */
#include <string.h>

#include "resolver/cache.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/tmp_input.h"

static void check_same(const struct rsv_cache *a, const struct rsv_cache *b)
{
	FUZZ_CHECK(a->enabled == b->enabled && a->n == b->n);
	for (size_t i = 0; i < a->n; i++) {
		const struct rsv_cached_host *h = &a->entry[i], *found = NULL;

		for (size_t k = 0; k < b->n && found == NULL; k++)
			if (strcmp(b->entry[k].product, h->product) == 0)
				found = &b->entry[k];
		FUZZ_CHECK(found != NULL);
		FUZZ_CHECK(strcmp(h->host, found->host) == 0 && h->port == found->port);
		FUZZ_CHECK(h->source == found->source);
		FUZZ_CHECK(found->when_ms <= h->when_ms && h->when_ms - found->when_ms < 1000);
		FUZZ_CHECK(addr_is_set(&h->addr) == addr_is_set(&found->addr));
		FUZZ_CHECK(!addr_is_set(&h->addr) || addr_equal(&h->addr, &found->addr));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = tmp_input(data, size);
	struct err_info info = { "" };
	struct rsv_cache c, again;
	int err;

	FUZZ_CHECK(path != NULL);
	err = rsv_cache_load(&c, path, &info);
	FUZZ_CHECK((err == 0) == (info.text[0] == '\0'));
	FUZZ_CHECK(c.newer == (err == ERR_STORE_VERSION));
	if (err != 0) {
		FUZZ_CHECK(err == ERR_PARSE || err == ERR_STORE_VERSION);
		FUZZ_CHECK(c.enabled && c.n == 0);
		return 0;
	}
	FUZZ_CHECK(c.n <= RSV_CACHE_HOSTS);
	c.dirty = true;
	FUZZ_CHECK(rsv_cache_save(&c, path, &info) == 0);
	FUZZ_CHECK(rsv_cache_load(&again, path, &info) == 0);
	check_same(&c, &again);
	return 0;
}
