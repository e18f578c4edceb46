#include "net/resolv_conf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

/** "server server | suffix suffix" */
static void describe(const struct resolv_conf *rc, char *out, size_t size)
{
	size_t n = 0;
	char text[DNSNAME_TEXT_MAX];

	out[0] = '\0';
	for (size_t i = 0; i < rc->n_servers; i++) {
		addr_format(&rc->servers[i], text);
		n += (size_t)snprintf(out + n, size - n, "%s ", text);
	}
	n += (size_t)snprintf(out + n, size - n, "|");
	for (size_t i = 0; i < rc->n_suffixes; i++)
		n += (size_t)snprintf(out + n, size - n, " %s",
				      dns_name_format(&rc->suffixes[i], text));
	assert_true(n < size);
}

static void t_texts(void **state)
{
	static const struct {
		const char *text;
		const char *wanted;
	} rows[] = {
		{ "", "127.0.0.1:53 |" },
		{ "nameserver 192.0.2.1\n", "192.0.2.1:53 |" },
		{ "nameserver 192.0.2.1", "192.0.2.1:53 |" },
		{ "nameserver\t192.0.2.1\r\nnameserver 2001:db8::1 \r\n",
		  "192.0.2.1:53 [2001:db8::1]:53 |" },
		{ "nameserver 192.0.2.1 # comment\nsearch a.example b.example ; c.example\n",
		  "192.0.2.1:53 | a.example b.example" },
		{ "# nameserver 192.0.2.1\n;nameserver 192.0.2.2\n", "127.0.0.1:53 |" },
		{ "domain One.Example.\nsearch two.example\n", "127.0.0.1:53 | two.example" },
		{ "search one.example\ndomain two.example three.example\n",
		  "127.0.0.1:53 | two.example" },
		{ "search one.example\nsearch\n", "127.0.0.1:53 |" },
		{ "search . a..b x.example\n", "127.0.0.1:53 | x.example" },
		{ "nameserver\nnameserver nonsense\nnameserver 192.0.2.300\nnameserver "
		  "192.0.2.1:5353\nnameservers 192.0.2.1\n",
		  "127.0.0.1:53 |" },
		{ "options timeout:1\nsortlist 192.0.2.0\n\n \nnameserver 192.0.2.1\n",
		  "192.0.2.1:53 |" },
		{ "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n"
		  "nameserver 10.0.0.4\nnameserver 10.0.0.5\nnameserver 10.0.0.6\n"
		  "nameserver 10.0.0.7\nnameserver 10.0.0.8\nnameserver 10.0.0.9\n",
		  "10.0.0.1:53 10.0.0.2:53 10.0.0.3:53 10.0.0.4:53 10.0.0.5:53 10.0.0.6:53 "
		  "10.0.0.7:53 10.0.0.8:53 |" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct resolv_conf rc;
		char text[512];

		resolv_conf_parse(rows[i].text, strlen(rows[i].text), &rc);
		describe(&rc, text, sizeof(text));
		assert_string_equal(text, rows[i].wanted);
	}
}

static void t_suffixes_are_bounded(void **state)
{
	char text[1024] = "search";
	struct resolv_conf rc;

	(void)state;
	for (int i = 0; i < 3 * RESOLV_SUFFIXES_MAX; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), " d%d.example", i);
	resolv_conf_parse(text, strlen(text), &rc);
	assert_int_equal(rc.n_suffixes, RESOLV_SUFFIXES_MAX);
}

static void t_bytes_that_are_no_text(void **state)
{
	static const char zero[] = "nameserver 192.0.2.1\0 192.0.2.2\n\0\n\0";
	char *large = malloc(5000);
	struct resolv_conf rc;

	(void)state;
	assert_non_null(large);
	resolv_conf_parse(zero, sizeof(zero), &rc);
	assert_int_equal(rc.n_servers, 1);
	assert_true(addr_is_loopback(&rc.servers[0]));
	memset(large, 'x', 5000);
	resolv_conf_parse(large, 5000, &rc);
	memcpy(large, "search ", 7);
	resolv_conf_parse(large, 5000, &rc);
	assert_int_equal(rc.n_suffixes, 0);
	free(large);
}

static void t_files(void **state)
{
	char path[] = "/tmp/kmsbeacon-resolv-XXXXXX";
	int fd = mkstemp(path);
	struct resolv_conf rc;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "nameserver ::1\n", 15), 15);
	close(fd);
	assert_int_equal(resolv_conf_read(path, &rc), 0);
	assert_int_equal(rc.servers[0].u.sa.sa_family, AF_INET6);
	unlink(path);
	assert_int_equal(resolv_conf_read(path, &rc), -ENOENT);
	assert_int_equal(rc.n_servers, 1);
	assert_int_equal(resolv_conf_read("/", &rc), -EISDIR);
	assert_int_equal(rc.n_servers, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_texts),
		cmocka_unit_test(t_suffixes_are_bounded),
		cmocka_unit_test(t_bytes_that_are_no_text),
		cmocka_unit_test(t_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
