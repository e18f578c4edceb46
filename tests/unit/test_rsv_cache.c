#include "resolver/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

static char dir[] = "/tmp/kmsbeacon-cache.XXXXXX";
static char path[64];

static int setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/cache.json", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir); /* fails where a temporary file was left behind */
}

static struct rsv_cached_host host(const char *name, uint16_t port, const char *addr)
{
	struct rsv_cached_host h;

	memset(&h, 0, sizeof(h));
	snprintf(h.host, sizeof(h.host), "%s", name);
	h.port = port;
	if (addr != NULL)
		assert_int_equal(addr_parse(addr, port, &h.addr), 0);
	h.when_ms = 1794643200000; /* 2026-11-14T08:00:00Z */
	h.source = RSV_FROM_DNS;
	return h;
}

static void write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void t_survives_a_restart(void **state)
{
	struct rsv_cached_host h = host("kms1.corp.example", 1689, "2001:db8::7");
	struct rsv_cache c, d;
	struct err_info info;
	struct stat st;

	(void)state;
	unlink(path);
	assert_int_equal(rsv_cache_load(&c, path, &info), 0);
	assert_null(rsv_cache_get(&c));
	rsv_cache_put(&c, &h);
	assert_true(c.dirty);
	assert_int_equal(rsv_cache_save(&c, path, &info), 0);
	assert_false(c.dirty);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);

	assert_int_equal(rsv_cache_load(&d, path, &info), 0);
	assert_non_null(rsv_cache_get(&d));
	assert_string_equal(rsv_cache_get(&d)->host, "kms1.corp.example");
	assert_int_equal(rsv_cache_get(&d)->port, 1689);
	assert_true(addr_equal(&rsv_cache_get(&d)->addr, &h.addr));
	assert_true(rsv_cache_get(&d)->when_ms == h.when_ms);
	assert_int_equal(rsv_cache_get(&d)->source, RSV_FROM_DNS);
	assert_false(d.dirty);
}

/* /ckhc asks DNS every time and forgets; /skhc does not bring the old host back. */
static void t_switching_caching(void **state)
{
	struct rsv_cached_host h = host("kms1.corp.example", 1688, NULL);
	struct rsv_cache c, d;

	(void)state;
	unlink(path);
	rsv_cache_init(&c);
	rsv_cache_put(&c, &h);
	rsv_cache_set_enabled(&c, false);
	assert_null(rsv_cache_get(&c));
	rsv_cache_put(&c, &h);
	assert_null(rsv_cache_get(&c));
	assert_int_equal(rsv_cache_save(&c, path, NULL), 0);
	assert_int_equal(rsv_cache_load(&d, path, NULL), 0);
	assert_false(d.enabled);
	rsv_cache_set_enabled(&d, true);
	assert_null(rsv_cache_get(&d));
	rsv_cache_put(&d, &h);
	assert_non_null(rsv_cache_get(&d));
	assert_int_equal(rsv_cache_save(&d, path, NULL), 0);
	assert_int_equal(rsv_cache_load(&c, path, NULL), 0);
	assert_non_null(rsv_cache_get(&c));
	assert_false(addr_is_set(&rsv_cache_get(&c)->addr));
	rsv_cache_flush(&c);
	assert_null(rsv_cache_get(&c));
	assert_true(c.dirty);
}

/* Windows 8 and later: each product has a host of its own, caching is switched for the machine. */
static void t_each_product_has_its_host(void **state)
{
	struct rsv_cached_host a = host("kms1.corp.example", 1688, NULL);
	struct rsv_cached_host b = host("kms2.corp.example", 1689, "192.0.2.2");
	struct rsv_cache c, d;

	(void)state;
	unlink(path);
	rsv_cache_init(&c);
	rsv_cache_put(&c, &a);
	rsv_cache_use(&c, "0ff1ce16-a989-479d-af46-f275c6370663");
	assert_null(rsv_cache_get(&c));
	rsv_cache_put(&c, &b);
	assert_int_equal(rsv_cache_save(&c, path, NULL), 0);

	assert_int_equal(rsv_cache_load(&d, path, NULL), 0);
	assert_string_equal(rsv_cache_get(&d)->host, "kms1.corp.example");
	rsv_cache_use(&d, "0FF1CE16-A989-479D-AF46-F275C6370663");
	assert_string_equal(rsv_cache_get(&d)->host, "kms2.corp.example");
	assert_int_equal(rsv_cache_get(&d)->port, 1689);
	rsv_cache_flush(&d); /* of this product alone */
	assert_null(rsv_cache_get(&d));
	rsv_cache_use(&d, "");
	assert_non_null(rsv_cache_get(&d));
	rsv_cache_use(&d, "office");
	rsv_cache_put(&d, &b);
	rsv_cache_use(&d, "");
	rsv_cache_flush(&d); /* what is set for all is set for each */
	rsv_cache_use(&d, "office");
	assert_null(rsv_cache_get(&d));

	rsv_cache_put(&d, &b);
	rsv_cache_set_enabled(&d, false);
	assert_int_equal(d.n, 0);
}

/* More products than the file holds: the one that answered longest ago goes. */
static void t_oldest_product_is_forgotten(void **state)
{
	struct rsv_cached_host h = host("kms1.corp.example", 1688, NULL);
	struct rsv_cache c;
	char product[16];

	(void)state;
	rsv_cache_init(&c);
	for (int i = 0; i <= RSV_CACHE_HOSTS; i++) {
		snprintf(product, sizeof(product), "p%d", i);
		rsv_cache_use(&c, product);
		h.when_ms = i == 3 ? 1 : 1000 + i;
		rsv_cache_put(&c, &h);
	}
	assert_int_equal(c.n, RSV_CACHE_HOSTS);
	rsv_cache_use(&c, "p3");
	assert_null(rsv_cache_get(&c));
	rsv_cache_use(&c, "p0");
	assert_non_null(rsv_cache_get(&c));
}

static void write_many_products(int n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs("{\"version\": 1, \"caching\": true, \"products\": [", f);
	for (int i = 0; i < n; i++)
		fprintf(f,
			"%s{\"product\": \"p%d\", \"name\": \"k\", \"port\": 1, \"address\": null, "
			"\"when\": \"2026-11-21T08:00:00Z\", \"source\": \"dns\"}",
			i > 0 ? ", " : "", i);
	fputs("]}", f);
	fclose(f);
}

/* A broken file is named, ignored, and replaced by the next success. */
static void t_damaged_files(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"{\"version\": 0, \"caching\": true}",
		"{\"version\": 1}",
		"{\"version\": 1, \"caching\": true, \"caching\": false}",
		"{\"version\": 1, \"caching\": true, \"host\": {}}",
		"{\"version\": 1, \"caching\": true, \"products\": {}}",
		"{\"version\": 1, \"caching\": true, \"products\": [{\"name\": \"k\", \"port\": 1,"
		" \"address\": null, \"when\": \"2026-11-21T08:00:00Z\", \"source\": \"dns\"}]}",
		"{\"version\": 1, \"caching\": true, \"host\": {\"name\": \"\", \"port\": 1688,"
		" \"address\": null, \"when\": \"2026-11-21T08:00:00Z\", \"source\": \"dns\"}}",
		"{\"version\": 1, \"caching\": true, \"host\": {\"name\": \"k\", \"port\": 65536,"
		" \"address\": null, \"when\": \"2026-11-21T08:00:00Z\", \"source\": \"dns\"}}",
		"{\"version\": 1, \"caching\": true, \"host\": {\"name\": \"k\", \"port\": 1688,"
		" \"address\": \"kms\", \"when\": \"2026-11-21T08:00:00Z\", \"source\": \"dns\"}}",
		"{\"version\": 1, \"caching\": true, \"host\": {\"name\": \"k\", \"port\": 1688,"
		" \"address\": null, \"when\": \"yesterday\", \"source\": \"dns\"}}",
		"{\"version\": 1, \"caching\": true, \"host\": {\"name\": \"k\", \"port\": 1688,"
		" \"address\": null, \"when\": \"2026-11-21T08:00:00Z\", \"source\": \"tea\"}}",
		/* a product twice: the second could neither be used nor replaced */
		"{\"version\": 1, \"caching\": true, \"products\": ["
		"{\"product\": \"p\", \"name\": \"k\", \"port\": 1, \"address\": null,"
		" \"when\": \"2026-11-21T08:00:00Z\", \"source\": \"dns\"},"
		"{\"product\": \"p\", \"name\": \"l\", \"port\": 1, \"address\": null,"
		" \"when\": \"2026-11-21T08:00:00Z\", \"source\": \"dns\"}]}",
	};
	struct rsv_cached_host h = host("kms1.corp.example", 1688, "192.0.2.1");
	struct rsv_cache c;
	struct err_info info;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_file(bad[i]);
		info.text[0] = '\0';
		assert_int_equal(rsv_cache_load(&c, path, &info), ERR_PARSE);
		assert_non_null(strstr(info.text, path));
		assert_null(rsv_cache_get(&c));
		assert_true(c.enabled);
	}
	rsv_cache_put(&c, &h);
	assert_int_equal(rsv_cache_save(&c, path, &info), 0);
	assert_int_equal(rsv_cache_load(&c, path, &info), 0);
	assert_non_null(rsv_cache_get(&c));
	write_many_products(RSV_CACHE_HOSTS);
	assert_int_equal(rsv_cache_load(&c, path, &info), 0);
	assert_int_equal(c.n, RSV_CACHE_HOSTS);
	write_many_products(RSV_CACHE_HOSTS + 1); /* nothing of ours wrote that */
	assert_int_equal(rsv_cache_load(&c, path, &info), ERR_PARSE);
	assert_int_equal(c.n, 0);
}

/* What a newer program wrote is neither understood nor lost. */
static void t_file_of_a_newer_version(void **state)
{
	static const char newer[] = "{\"version\": 2, \"caching\": \"sometimes\"}";
	struct rsv_cached_host h = host("kms1.corp.example", 1688, NULL);
	char text[sizeof(newer)] = "";
	struct rsv_cache c;
	struct err_info info;
	FILE *f;

	(void)state;
	write_file(newer);
	assert_int_equal(rsv_cache_load(&c, path, &info), ERR_STORE_VERSION);
	assert_non_null(strstr(info.text, path));
	rsv_cache_put(&c, &h);
	assert_non_null(rsv_cache_get(&c)); /* in memory */
	assert_int_equal(rsv_cache_save(&c, path, &info), 0);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	(void)fclose(f);
	assert_string_equal(text, newer);
}

static void t_files_that_cannot_be_used(void **state)
{
	struct rsv_cached_host h = host("kms1.corp.example", 1688, NULL);
	struct rsv_cache c;
	struct err_info info;

	(void)state;
	assert_int_equal(rsv_cache_load(&c, dir, &info), ERR_PARSE); /* a folder */
	assert_null(rsv_cache_get(&c));
	rsv_cache_put(&c, &h);
	assert_int_not_equal(rsv_cache_save(&c, "/nonexistent/x/cache.json", &info), 0);
	assert_non_null(strstr(info.text, "/nonexistent/x/cache.json"));
	assert_true(c.dirty);
	assert_int_not_equal(rsv_cache_save(&c, dir, &info), 0); /* rename over a folder */
	rsv_cache_init(&c);
	assert_int_equal(rsv_cache_save(&c, "/nonexistent/x/cache.json", &info), 0); /* clean */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_survives_a_restart),
		cmocka_unit_test(t_switching_caching),
		cmocka_unit_test(t_each_product_has_its_host),
		cmocka_unit_test(t_oldest_product_is_forgotten),
		cmocka_unit_test(t_damaged_files),
		cmocka_unit_test(t_file_of_a_newer_version),
		cmocka_unit_test(t_files_that_cannot_be_used),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
