#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tests/replay/replay.h"

bool text_match(const char *pattern, const char *text)
{
	const char *star = NULL, *back = NULL;

	while (*text != '\0') {
		if (*pattern == '*') {
			star = pattern++;
			back = text;
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star != NULL) {
			pattern = star + 1;
			text = ++back;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

void text_join(const struct stmt *st, size_t from, size_t to, char ret[TEXT_MAX])
{
	size_t len = 0;

	ret[0] = '\0';
	for (size_t i = from; i < to && i < st->n && len < TEXT_MAX; i++)
		len += (size_t)snprintf(ret + len, TEXT_MAX - len, "%s%s", i > from ? " " : "",
					st->word[i]);
}

bool text_ms(const char *word, uint64_t *ret)
{
	return duration_parse(word, ret) == 0;
}

bool text_signed_ms(const char *word, int64_t *ret)
{
	uint64_t ms;

	if ((*word != '+' && *word != '-') || !text_ms(word + 1, &ms) || ms > INT64_MAX)
		return false;
	*ret = *word == '-' ? -(int64_t)ms : (int64_t)ms;
	return true;
}

/* The two ends of "A..B". false: there is no "..", or too much of it. */
static bool split(const char *word, char lo[64], const char **hi)
{
	const char *dots = strstr(word, "..");

	if (dots == NULL || dots - word >= 64)
		return false;
	memcpy(lo, word, (size_t)(dots - word));
	lo[dots - word] = '\0';
	*hi = dots + 2;
	return true;
}

bool text_range_ms(const char *word, uint64_t *lo, uint64_t *hi)
{
	const char *end;
	char begin[64];

	return split(word, begin, &end) && text_ms(begin, lo) && text_ms(end, hi) && *lo <= *hi;
}

bool text_number(const char *word, uint64_t max, uint64_t *ret)
{
	char *end;

	if (*word < '0' || *word > '9')
		return false;
	errno = 0;
	*ret = strtoull(word, &end, 0);
	return errno == 0 && *end == '\0' && *ret <= max;
}

bool text_range(const char *word, uint64_t *lo, uint64_t *hi)
{
	const char *end;
	char begin[64];

	if (split(word, begin, &end))
		return text_number(begin, UINT32_MAX, lo) && text_number(end, UINT32_MAX, hi) &&
		       *lo <= *hi;
	if (!text_number(word, UINT32_MAX, lo))
		return false;
	*hi = *lo;
	return true;
}

const char *text_time(uint64_t ms, char ret[32])
{
	uint64_t s = ms / 1000;

	(void)snprintf(ret, 32, "+%llud%02u:%02u:%02u.%03u", (unsigned long long)(s / 86400),
		       (unsigned)(s / 3600 % 24), (unsigned)(s / 60 % 60), (unsigned)(s % 60),
		       (unsigned)(ms % 1000));
	return ret;
}

static const json_t *member(const json_t *o, const char *key)
{
	uint64_t i;

	if (json_is_object(o))
		return json_object_get(o, key);
	return json_is_array(o) && text_number(key, SIZE_MAX, &i) ? json_array_get(o, (size_t)i)
								  : NULL;
}

const char *text_json(const json_t *root, const char *path, char ret[TEXT_MAX])
{
	char key[TEXT_MAX];

	while (root != NULL && *path != '\0') {
		size_t n = strcspn(path, ".");

		(void)snprintf(key, sizeof(key), "%.*s", (int)n, path);
		path += n + (path[n] == '.');
		if (strcmp(key, "#") == 0) {
			(void)snprintf(ret, TEXT_MAX, "%zu", json_array_size(root));
			return ret;
		}
		root = member(root, key);
	}
	if (root == NULL)
		return NULL;
	if (json_is_string(root))
		(void)snprintf(ret, TEXT_MAX, "%s", json_string_value(root));
	else if (json_is_integer(root))
		(void)snprintf(ret, TEXT_MAX, "%lld", (long long)json_integer_value(root));
	else if (json_is_real(root))
		(void)snprintf(ret, TEXT_MAX, "%g", json_real_value(root));
	else
		(void)snprintf(ret, TEXT_MAX, "%s",
			       json_is_true(root)    ? "true"
			       : json_is_false(root) ? "false"
			       : json_is_null(root)  ? "null"
			       : json_is_array(root) ? "[]"
						     : "{}");
	return ret;
}

bool text_is_op(const char *word)
{
	return strlen(word) == 1 && strchr("=~<>", *word) != NULL;
}

bool text_compare(const char *value, const char *op, const char *with)
{
	double a, b;
	char *end;

	if (*op == '=')
		return strcmp(value, with) == 0;
	if (*op == '~')
		return text_match(with, value);
	a = strtod(value, &end);
	if (end == value || *end != '\0')
		return false;
	b = strtod(with, NULL);
	return *op == '<' ? a < b : a > b;
}
