/**
 * A configuration engine: YAML into a struct, by tables that declare each setting once.
 *
 * It knows nothing of what is configured. A program describes its struct with struct cfg_schema
 * (type, range, unit, default, whether a reload applies it, one sentence); from that come reading,
 * defaults, the dump, the commented example and the manual section.
 *
 * Reading finds all errors, not the first: wrong YAML, anchors, aliases and tags (refused, since
 * they make a line mean another place), unknown keys (with the one that was meant), keys given
 * twice, values out of range or without their unit, settings that are missing. Bounded: size,
 * depth, items of a list, errors.
 *
 * The program's own checks come after, with cfg_complain(), which knows the line of each field.
 */
#ifndef KMSBEACON_COMMON_CFG_H
#define KMSBEACON_COMMON_CFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

#define CFG_SIZE_MAX   (1u << 20) /* bytes of a text */
#define CFG_DEPTH_MAX  16         /* maps and lists within each other */
#define CFG_ERRORS_MAX 100        /* with their place; of those beyond, only that they are */
#define CFG_KEY_MAX    160        /* "publish.domains[9999].server[15]", cut beyond */
#define CFG_TEXT_MAX   512        /* a message */

enum cfg_type {
	CFG_MAP,      /* a struct within the struct: `sub` */
	CFG_MAP_LIST, /* pointer to structs and their count: `sub` */
	CFG_STR,      /* char *; min .. max bytes */
	CFG_ID,       /* char *; a word of our own: letters, digits, - _ . */
	CFG_NAME,     /* char *; a DNS name, made lower case, without its trailing dot */
	CFG_HOST,     /* char *; a DNS name or an IP address, no port */
	CFG_HOSTPORT, /* char *; the same with or without a port */
	CFG_BOOL,     /* bool */
	CFG_UINT,     /* uint16_t or uint32_t; min .. max */
	CFG_OCTAL,    /* uint32_t; permission bits up to max */
	CFG_DURATION, /* uint32_t, in `unit` milliseconds; min .. max are in that unit too */
	CFG_ENUM,     /* an enum whose values are the places of `words` */
	CFG_ADDR,     /* struct addr; port `min` where none is given; max 0: no port may be given */
	CFG_CIDR,     /* struct cidr */
	CFG_REFUSED,  /* no setting: `doc` tells who writes it what to do instead */
};

struct cfg_schema;

struct cfg_item {
	const char *key; /* NULL ends a table */
	enum cfg_type type;
	size_t offset; /* of the field, or of the pointer to a list */
	size_t size;   /* of the field; of one item of a list */
	bool list;     /* of scalars: a pointer at `offset`, a size_t at `count` */
	bool one_ok;   /* a list of one may be written as that one */
	bool required;
	bool unique;   /* within a list of maps no two have this value */
	bool restart;  /* a reload does not apply it */
	bool unset_ok; /* CFG_UINT, 32 bits: without default; UINT32_MAX where it is not given */
	size_t count;
	size_t max_items;
	uint64_t min, max;
	uint64_t unit;
	const char *const *words; /* ends with NULL */
	const char *def;          /* default, as it would be written; NULL: zero, none */
	const char *def_doc;      /* says the default, where the program works it out */
	const char *example; /* value for the example, instead of the default; CFG_MAP_LIST: lines
				that come before the entry with everything */
	const char *doc;
	const struct cfg_schema *sub;
};

struct cfg_schema {
	const struct cfg_item *items;
	size_t size; /* of the struct */
	size_t line; /* offset of an unsigned that gets the line; 0: none */
	const char
		*shorthand; /* keys of a scalar that stands for the map: "domain,priority,weight" */
};

/** A message; @p line and @p col from 1, or 0; @p key may be "". All borrowed. */
typedef void cfg_report_fn(void *ctx, bool warning, unsigned line, unsigned col, const char *key,
			   const char *text);

struct cfg_place;

/** One reading. Zeroed, then report and ctx set by the caller. */
struct cfg {
	cfg_report_fn *report;
	void *ctx;
	unsigned n_errors, n_warnings;
	/* private */
	const struct cfg_schema *schema;
	struct cfg_place *places; /* where each field was given */
	size_t n_places, cap_places;
	char (*bad)[CFG_KEY_MAX]; /* keys of the errors so far */
	char path[CFG_KEY_MAX];
	int fatal; /* ERR_NOMEM */
	void *doc;
};

/** Fill @p dst (zeroed by the caller) with the defaults. 0 or ERR_NOMEM. */
int cfg_defaults(const struct cfg_schema *s, void *dst);
/** Free what the fields own; @p dst itself is the caller's. */
void cfg_free(const struct cfg_schema *s, void *dst);

/**
 * Read @p text over the defaults in @p dst. Fields with an error keep their default.
 * @return 0; ERR_CONFIG where errors were reported that leave nothing to check (no YAML, empty);
 *         ERR_NOMEM. Errors in values are not in the result: see c->n_errors.
 */
int cfg_read(struct cfg *c, const struct cfg_schema *s, const char *text, size_t len, void *dst);
/** End of the checks: free what cfg_read() noted. Needed after a failure too. */
void cfg_done(struct cfg *c);

/** Report on a field of dst: at its line where it was given, else at that of the map around it. */
void cfg_complain(struct cfg *c, bool warning, const void *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/** Whether the file gives this field. */
bool cfg_given(const struct cfg *c, const void *field);
/** Whether an error was reported for @p key ("hosts", "publish.domains") or below it: then what
 * depends on it is not worth checking. */
bool cfg_is_bad(const struct cfg *c, const char *key);

/** Calls @p fn for each setting that differs and has `restart`. */
void cfg_need_restart(const struct cfg_schema *s, const void *a, const void *b,
		      void (*fn)(void *ctx, const char *key), void *ctx);

/** YAML with everything; what is unset is left out. */
void cfg_dump(const struct cfg_schema *s, const void *src, FILE *out);
/** Every setting as a comment, with its sentence, range and default; only the sections stand
 * open. Without the # before its settings it is a complete file. */
void cfg_print_example(const struct cfg_schema *s, FILE *out);
/** The settings in man(7) macros, a subsection for each section. */
void cfg_print_manual(const struct cfg_schema *s, FILE *out);

#endif
