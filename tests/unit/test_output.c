/* Text of a peer on its way to a terminal. */
#include "cli/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

static void t_escape(void **state)
{
	static const struct {
		const char *text, *escaped;
	} rows[] = {
		{ "", "" },
		{ "plain text", "plain text" },
		{ "\x1b[31m\n\x7f", "\\x1b[31m\\x0a\\x7f" },
		{ "b\xc3\xbcro \xe2\x82\xac", "b\xc3\xbcro \xe2\x82\xac" },
		{ "\xc2\x9b"
		  "31m",
		  "\\xc2\\x9b31m" }, /* CSI as one C1 control */
		{ "cut \xe2\x82", "cut \\xe2\\x82" },
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(text_escape(rows[i].text, out, sizeof(out)), rows[i].escaped);
}

/* Neither an escape nor a character is cut in two. */
static void t_escape_is_cut_between_characters(void **state)
{
	char out[12];

	(void)state;
	for (size_t room = 1; room <= sizeof(out); room++) {
		memset(out, 'x', sizeof(out));
		(void)text_escape("\x1b\xe2\x82\xac\x1b", out, room);
		assert_true(strlen(out) < room);
		assert_true(strcmp(out, "") == 0 || strcmp(out, "\\x1b") == 0 ||
			    strcmp(out, "\\x1b\xe2\x82\xac") == 0);
	}
}

static void t_json(void **state)
{
	json_t *root = json_pack("{s:s, s:[s, {s:i}, n], s:f, s:b}", "a\x1b", "\x07", "list", "\n",
				 "\x7f", 3, "real", 0.5, "yes", 1);
	json_t *copy = json_escaped(root);
	char *text = json_dumps(copy, JSON_SORT_KEYS | JSON_COMPACT);

	(void)state;
	assert_string_equal(text, "{\"a\\\\x1b\":\"\\\\x07\",\"list\":[\"\\\\x0a\",{\"\\\\x7f\":3},"
				  "null],\"real\":0.5,\"yes\":true}");
	assert_null(json_escaped(NULL));
	free(text);
	json_decref(copy);
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_escape),
		cmocka_unit_test(t_escape_is_cut_between_characters),
		cmocka_unit_test(t_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
