/**
 * Memory helpers: a byte buffer that cannot grow past its maximum, wiping, and the type of a
 * secret.
 *
 * Allocations that a peer can drive are checked by their caller and end that peer's session only.
 * Start-up code, and commands, which cannot go on without memory, use mem_must().
 */
#ifndef KMSBEACON_COMMON_MEM_H
#define KMSBEACON_COMMON_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Growing bytes with a maximum named at init. A failed append leaves the content as it was. */
struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
	size_t max;
};

void buf_init(struct buf *b, size_t max);
/** Free the bytes; the buffer is empty and usable again, with the same maximum. */
void buf_done(struct buf *b);
/** Drop the content, keep the memory. */
void buf_clear(struct buf *b);
/** @return 0, ERR_LIMIT past the maximum, ERR_NOMEM. */
int buf_append(struct buf *b, const void *data, size_t len);
/** Make room for @p len more bytes and give where they go; the caller adds to b->len what it wrote.
 */
int buf_reserve(struct buf *b, size_t len, uint8_t **ret_at);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Remove @p len bytes from the front. */
void buf_consume(struct buf *b, size_t len);

/** Zero memory so that the compiler cannot leave it out. */
void mem_wipe(void *p, size_t len);
/** Start-up and commands only: @p p, or a message and the end of the process where it is NULL. */
void *mem_must(void *p);
/** The exit code of that; 1 until then. */
void mem_must_exit(int code);

#define SECRET_MAX 512 /* bytes; BIND's longest HMAC key is 512 bits, RFC 8945 sets no limit */

/** A key. Nothing prints it: no formatter takes this type, and logs take no raw bytes. */
struct secret {
	size_t len;
	uint8_t bytes[SECRET_MAX];
};

void secret_wipe(struct secret *s);

/**
 * Read a whole file that holds a secret into @p b (its maximum bounds the size).
 * Refuses a file that group or others may read or write (ERR_SECRET_READABLE), one that is not
 * regular, and one too large. @p info says what and what to do: `chmod 600 FILE`. The caller wipes
 * b->data.
 */
struct err_info;
int secret_read_file(const char *path, struct buf *b, struct err_info *info);

#endif
