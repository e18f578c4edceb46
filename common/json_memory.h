/**
 * What jansson does without memory. It leaves a member out of an object, or gives no object, and
 * hardly any caller can look at each: who builds a report asks here, once, whether it is whole.
 */
#ifndef KMSBEACON_COMMON_JSON_MEMORY_H
#define KMSBEACON_COMMON_JSON_MEMORY_H

#include <jansson.h>
#include <stddef.h>

struct buf;

/** A command: it ends with a message and mem_must()'s exit code. Once, before JSON is made. */
void json_memory_must(void);
/** The daemon: it goes on, and counts. Once, before JSON is made. */
void json_memory_count(void);
/** How often there was no memory, in any thread; compare before and after. */
unsigned long json_memory_failures(void);

/**
 * A text as JSON. NULL and *ret_err else: ERR_PARSE and @p why, or ERR_NOMEM, which jansson tells
 * as any error of the text; so one of the above comes first.
 */
json_t *json_memory_load(const void *text, size_t len, size_t flags, json_error_t *why,
			 int *ret_err);

/**
 * Append the text of @p value to @p out, whole or not at all. jansson 2.14 overlooks that the name
 * of a member found no room, and gives a text that lacks it: neither json_dumps() nor
 * json_dump_callback() may be used without this. @return 0, ERR_NOMEM, ERR_LIMIT.
 */
int json_memory_dump(struct buf *out, const json_t *value, size_t flags);
/** The same as a text that the caller frees; NULL: no memory, or @p value is NULL. */
char *json_memory_text(const json_t *value, size_t flags);

#endif
