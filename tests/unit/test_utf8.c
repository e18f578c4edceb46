#include "common/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* after the above, which it needs */
#include <cmocka.h>

static void t_mend(void **state)
{
	static const struct {
		const char *text, *mended;
	} rows[] = {
		{ "", "" },
		{ "plain\n", "plain\n" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "cut \xc3", "cut ?" },
		{ "cut \xe2\x82", "cut ??" },
		{ "cut \xf0\x9f\x98", "cut ???" },
		{ "\xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80", "?? ??? ????" },
		{ "\xff"
		  "a\x80",
		  "?a?" },
		{ "\xc2\x9b"
		  "31m",
		  "??31m" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "%s", rows[i].text);
		utf8_mend(text);
		assert_string_equal(text, rows[i].mended);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_mend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
