#include "cli/output.h"

#include <stdio.h>

/* json_dumpf() would lock stdout for each brace. */
static int put(const char *text, size_t len, void *ctx)
{
	return fwrite_unlocked(text, 1, len, ctx) == len ? 0 : -1;
}

void print_json(json_t *root)
{
	(void)json_dump_callback(root, put, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
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
