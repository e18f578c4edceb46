#include "common/json_memory.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/err.h"
#include "common/mem.h"

#define JSON_TEXT_MAX (256u << 20)

static atomic_ulong failures;

static void *must(size_t size)
{
	return mem_must(malloc(size));
}

static void *count(size_t size)
{
	void *p = malloc(size);

	if (p == NULL)
		(void)atomic_fetch_add(&failures, 1);
	return p;
}

void json_memory_must(void)
{
	json_set_alloc_funcs(must, free);
}

void json_memory_count(void)
{
	json_set_alloc_funcs(count, free);
}

unsigned long json_memory_failures(void)
{
	return atomic_load(&failures);
}

json_t *json_memory_load(const void *text, size_t len, size_t flags, json_error_t *why,
			 int *ret_err)
{
	unsigned long before = json_memory_failures();
	json_t *root = json_loadb(text, len, flags, why);

	/* with a member left out it may still be given; another thread's failure is true as well */
	if (json_memory_failures() != before) {
		json_decref(root);
		root = NULL;
		*ret_err = ERR_NOMEM;
	} else {
		*ret_err = root != NULL ? 0 : ERR_PARSE;
	}
	return root;
}

struct dump {
	struct buf *out;
	int err;
};

static int put(const char *text, size_t len, void *ctx)
{
	struct dump *d = ctx;

	if (d->err == 0)
		d->err = buf_append(d->out, text, len);
	return d->err != 0 ? -1 : 0;
}

int json_memory_dump(struct buf *out, const json_t *value, size_t flags)
{
	struct dump d = { .out = out };
	size_t before = out->len;

	if (value == NULL || (json_dump_callback(value, put, &d, flags) != 0 && d.err == 0))
		d.err = ERR_NOMEM;
	if (d.err != 0)
		out->len = before;
	return d.err;
}

char *json_memory_text(const json_t *value, size_t flags)
{
	struct buf text;

	buf_init(&text, JSON_TEXT_MAX);
	if (json_memory_dump(&text, value, flags) == 0 && buf_append(&text, "", 1) == 0)
		return (char *)text.data; /* the buffer's memory is the caller's now */
	buf_done(&text);
	return NULL;
}
