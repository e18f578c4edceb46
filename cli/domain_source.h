/**
 * The domains of one `verify`, one at a time: a list, or a file with one a line.
 *
 * A file is read as it is needed, never as a whole, so it may be longer than memory, and may be a
 * pipe whose writer is slow: the loop is not held up. A `#` begins a comment; blank lines, blanks
 * around a name, CR LF and a byte order mark are fine. A line that is no domain name is an item
 * too, with what is wrong, and ends nothing.
 */
#ifndef KMSBEACON_CLI_DOMAIN_SOURCE_H
#define KMSBEACON_CLI_DOMAIN_SOURCE_H

#include <uv.h>

#include "net/dnsname.h"

#define DOMAIN_LINE_MAX    1100 /* octets of one line: any name, and then some */
#define DOMAIN_PROBLEM_MAX 160

enum domain_next {
	DOMAIN_NAME,
	DOMAIN_BAD,  /* `problem` says what is wrong with the line */
	DOMAIN_WAIT, /* nothing yet: ready() will be called */
	DOMAIN_END,
};

struct domain_item {
	size_t line; /* of the file, from 1; 0: of a list */
	struct dns_name name;
	char text[DOMAIN_LINE_MAX + 1]; /* as it was given; printable ASCII, cut where it is long */
	char problem[DOMAIN_PROBLEM_MAX];
};

struct domain_source;

/** @p list is borrowed for the life of the source. NULL without memory. */
struct domain_source *domain_source_list(const char *const *list, size_t n);
/** From @p fd, which is the source's from now on. @p ready comes from @p loop. */
struct domain_source *domain_source_fd(uv_loop_t *loop, int fd, void (*ready)(void *ctx),
				       void *ctx);
enum domain_next domain_source_next(struct domain_source *s, struct domain_item *ret);
/** 0, or libuv's code where reading failed: the end came too early. */
int domain_source_error(const struct domain_source *s);
/** How far: of a list items, of a regular file octets; false where the whole is not known. */
bool domain_source_progress(const struct domain_source *s, uint64_t *ret_done, uint64_t *ret_all);
/** Give it back; memory goes when the loop has closed the handle. NULL is fine. */
void domain_source_free(struct domain_source *s);

/** What @p text is: fills @p ret, but for its line. */
enum domain_next domain_item_parse(const char *text, size_t len, struct domain_item *ret);

#endif
