/**
 * Reading a registry export (.reg), value by value. Pure and bounded; knows nothing of KMS.
 *
 * Both forms are read: "Windows Registry Editor Version 5.00" (UTF-16LE with or without BOM, or
 * UTF-8 with or without BOM after an editor had it) and "REGEDIT4". Lines end with LF or CRLF;
 * values may run over several lines, as regedit writes them.
 */
#ifndef KMSBEACON_PUBLISHER_REG_TEXT_H
#define KMSBEACON_PUBLISHER_REG_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define REG_SIZE_MAX (8u << 20) /* bytes of a file */

enum reg_type {
	REG_SZ,       /* also REG_EXPAND_SZ: text, len */
	REG_MULTI_SZ, /* text holds the strings, each with its NUL; len counts them all */
	REG_DWORD,    /* number */
	REG_OTHER,    /* not decoded */
	REG_DELETED,  /* "name"=- : the file takes the value away */
};

/** Everything is borrowed for the call. Texts are UTF-8, as far as the file was. */
struct reg_value {
	const char *key;  /* the whole path, without brackets */
	const char *name; /* "" for the default value */
	enum reg_type type;
	const char *text; /* ends with a NUL beyond len */
	size_t len;
	uint32_t number;
	unsigned line;
};

/** @return 0, or an error that ends the reading. */
typedef int reg_value_fn(void *ctx, const struct reg_value *v);

/**
 * Call @p fn for each value, in the order of the file. 0; ERR_PARSE with a sentence that begins
 * "line N"; ERR_LIMIT past REG_SIZE_MAX; ERR_NOMEM; what @p fn returned. Values before the place of
 * an error have been told.
 */
int reg_text_read(const uint8_t *data, size_t len, reg_value_fn *fn, void *ctx,
		  struct err_info *info);

#endif
