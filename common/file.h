/** Whole small files: read with a bound, replaced in one step. Blocking; for start-up, commands and
 * small state. */
#ifndef KMSBEACON_COMMON_FILE_H
#define KMSBEACON_COMMON_FILE_H

#include <stddef.h>

#include "common/mem.h"

/** Append what is left to read of @p fd. 0, ERR_LIMIT past b->max, ERR_NOMEM, -errno. */
int file_read_fd(int fd, struct buf *b);
/** The content of a regular file. 0, -ENOENT and its like, ERR_PARSE where it is no regular file,
 * ERR_LIMIT. */
int file_read(const char *path, struct buf *b);
/** All of it, however many calls that takes. 0 or -errno. */
int file_write_fd(int fd, const void *data, size_t len);
/**
 * Replace @p path (mode 0600) so that a crash leaves the old file or the new one, whole: written
 * beside it, synced, renamed. A folder that cannot be synced is no error. 0, ERR_NOMEM, -errno;
 * then the old file is untouched.
 */
int file_replace(const char *path, const void *data, size_t len);

#endif
