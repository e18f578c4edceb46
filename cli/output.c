#include "cli/output.h"

#include <stdio.h>

void print_json(json_t *root)
{
	(void)json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	(void)fputc('\n', stdout);
	(void)fflush(stdout);
	json_decref(root);
}

void print_json_error(const char *code, const char *text)
{
	print_json(json_pack("{s:{s:s, s:s}}", "error", "code", code, "text", text));
}

const char *json_text(const json_t *obj, const char *key, const char *fallback)
{
	const char *text = json_string_value(json_object_get(obj, key));

	return text != NULL ? text : fallback;
}
