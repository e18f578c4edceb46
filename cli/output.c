#include "cli/output.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

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

const char *text_escape(const char *text, char *out, size_t room)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t at = 0;

	while (*s != '\0' && at + 5 < room) {
		size_t n = *s >= 0x20 && *s < 0x7f ? 1 : utf8_len(s);

		if (n == 0)
			at += (size_t)snprintf(out + at, room - at, "\\x%02x", *s);
		else
			memcpy(out + at, s, n);
		at += n;
		s += n > 0 ? n : 1;
	}
	out[at] = '\0';
	return out;
}

/* The caller frees; NULL without memory. */
static char *escaped(const char *text)
{
	size_t room = 4 * strlen(text) + 6;
	char *out = malloc(room);

	if (out != NULL)
		(void)text_escape(text, out, room);
	return out;
}

static json_t *escaped_object(const json_t *root)
{
	json_t *copy = json_object();
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)root, key, value)
	{
		char *name = escaped(key);

		if (name != NULL)
			(void)json_object_set_new(copy, name, json_escaped(value));
		free(name);
	}
	return copy;
}

json_t *json_escaped(const json_t *root)
{
	json_t *copy;
	const json_t *value;
	char *text;
	size_t i;

	if (json_is_object(root))
		return escaped_object(root);
	if (json_is_array(root)) {
		copy = json_array();
		json_array_foreach(root, i, value)(void)
			json_array_append_new(copy, json_escaped(value));
		return copy;
	}
	if (!json_is_string(root))
		return json_deep_copy(root);
	text = escaped(json_string_value(root));
	copy = text != NULL ? json_string(text) : NULL;
	free(text);
	return copy;
}
