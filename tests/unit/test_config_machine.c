/* What the configuration takes from the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/config_priv.h"

#define LABEL_OF_64 "a123456789b123456789c123456789d123456789e123456789f123456789g123"

static void t_fqdn(void **state)
{
	static const struct {
		const char *hostname, *hosts, *resolv, *want;
	} rows[] = {
		{ "KMS1.corp.example", "", "", "kms1.corp.example" },
		{ "kms1.corp.example.", "", "", "kms1.corp.example" },
		{ "kms1",
		  "127.0.0.1 localhost.localdomain localhost kms1\n"
		  "# 127.0.1.1 kms1.comment.example\n"
		  "127.0.1.1\tkms1.corp.example kms1 # kms1.other.example\n",
		  "search wrong.example\n", "kms1.corp.example" },
		{ "kms1", "127.0.1.1 kms11.corp.example kms1\n", "search corp.example b.example\n",
		  "kms1.corp.example" },
		{ "kms1", "", "domain a.example\r\nnameserver 192.0.2.1\nsearch Corp.Example.\n",
		  "kms1.corp.example" },
		{ "kms1", "::1 kms1", "search .\n", NULL },
		{ "kms1", "", "", NULL },
		{ "kms1", "", "search", NULL },
		{ "kms1", "", "searching corp.example\n", NULL },
		{ "", "127.0.0.1 .corp.example", "search corp.example\n", NULL },
		{ "kms1", "", "search bad!name.example\n", NULL },
		/* what the setting does not take hides nothing that it takes */
		{ "km127", "127.0.0.1 km127.0.0\n", "search corp.example\n", "km127.corp.example" },
		{ "kms1", "127.0.0.1 kms1..example kms1.a.example\n", "", "kms1.a.example" },
		{ "kms1..", "", "", NULL },
		{ ".kms1.example", "", "", NULL },
		{ "kms1", "", "search " LABEL_OF_64 ".example\n", NULL },
	};
	char name[CONFIG_FQDN_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool found =
			config_find_fqdn(rows[i].hostname, rows[i].hosts, rows[i].resolv, name);

		assert_int_equal(found, rows[i].want != NULL);
		if (found)
			assert_string_equal(name, rows[i].want);
	}
}

static void t_own_addresses(void **state)
{
	struct addr a;

	(void)state;
	assert_int_equal(addr_parse("127.0.0.1:7", 0, &a), 0);
	assert_true(config_machine_has(&a)); /* whatever the port */
	assert_int_equal(addr_parse("255.255.255.255:7", 0, &a), 0);
	assert_false(config_machine_has(&a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_fqdn),
		cmocka_unit_test(t_own_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
