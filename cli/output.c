#include "cli/output.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/json_memory.h"
#include "common/mem.h"
#include "common/utf8.h"

/* As one text: no half of an object stands there when memory ends, and json_dumpf() would lock
 * stdout for each brace. */
void print_json_to(FILE *out, const json_t *root)
{
	char *text = mem_must(json_memory_text(root, JSON_COMPACT | JSON_REAL_PRECISION(9)));

	(void)fputs(text, out);
	free(text);
}

void print_json(json_t *root)
{
	print_json_to(stdout, root);
	(void)fputc('\n', stdout);
	(void)fflush(stdout);
	json_decref(root);
}

/* Who has read enough closes the pipe, as `head` does: no complaint. */
static bool nobody_reads(void)
{
	struct pollfd pfd = { .fd = STDOUT_FILENO };

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLERR) != 0;
}

int output_end(int code, int failed)
{
	bool ok;

	errno = 0;
	ok = fflush(stdout) == 0 && ferror(stdout) == 0;
	if (ok)
		return code;
	if (!nobody_reads())
		(void)fprintf(stderr, "kmsbeacon: the output could not be written in full%s%s\n",
			      errno != 0 ? ": " : "", errno != 0 ? err_text(-errno) : "");
	return code == 0 ? failed : code;
}

void print_json_error(const char *code, const char *text)
{
	print_json(json_pack("{s:{s:s, s:o}}", "error", "code", code, "text", json_words(text)));
}

json_t *json_words(const char *text)
{
	char *mended = mem_must(strdup(text));
	json_t *words;

	utf8_mend(mended);
	words = json_string(mended);
	free(mended);
	return words;
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

/* The caller frees. */
static char *escaped(const char *text)
{
	size_t room = 4 * strlen(text) + 6;
	char *out = mem_must(malloc(room));

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
	copy = json_string(text);
	free(text);
	return copy;
}
