/**
 * Logging: one line for each decision, written once, where it is decided.
 *
 *   log_info(&op->log, "update.accepted", "zone=%s server=%s serial=%u", zone, server, serial);
 *
 * The event name is fixed text; the format is `key=%conversion` pairs separated by one space. Each
 * value is rendered alone, then escaped (and quoted where it needs it), so text from a peer can
 * neither start a new line nor forge a field, and the same call gives the text and the JSON form.
 * Conversions: %s %d %i %u %x %X %c %zu %ld %lu %lld %llu %.Nf, widths and %.*s included; literal
 * text beside a conversion is kept
 * (`took=%ums`). A key `text` is for the sentence that a person reads and comes last.
 *
 * Threads: any thread may log. Levels below warning go out only as far as the configured level.
 */
#ifndef KMSBEACON_COMMON_LOG_H
#define KMSBEACON_COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_LEVEL_COUNT_ };
enum log_format { LOG_TEXT, LOG_JSON };

/** Who logs: travels inside an operation. `module` is static text; `id` tells operations apart (0:
 * none). */
struct log_ctx {
	const char *module;
	uint64_t id;
};

/** Lines go to @p fd (-1: nowhere). Called at start and at reload. Until the first call: warning,
 * text, stderr.
 */
void log_setup(enum log_level level, enum log_format format, int fd);
bool log_enabled(enum log_level level);
const char *log_level_name(enum log_level level);

/* A line that cannot be written (a full disk) is left out; the first one that can is preceded by
 * `log.lost`, with how many were left out and why. */

/** A copy of each line that is written, for tests (NULL ends it). */
typedef void log_tap_fn(void *ctx, const char *line);
void log_set_tap(log_tap_fn *tap, void *ctx);

void log_write(enum log_level level, const struct log_ctx *ctx, const char *event, const char *fmt,
	       ...) __attribute__((format(printf, 4, 5)));

/* Arguments are not evaluated where the level is off. */
#define LOG_AT(level, ctx, event, ...)                                                             \
	do {                                                                                       \
		if (log_enabled(level))                                                            \
			log_write((level), (ctx), (event), __VA_ARGS__);                           \
	} while (0)
#define log_error(ctx, event, ...)   LOG_AT(LOG_ERROR, ctx, event, __VA_ARGS__)
#define log_warning(ctx, event, ...) LOG_AT(LOG_WARNING, ctx, event, __VA_ARGS__)
#define log_info(ctx, event, ...)    LOG_AT(LOG_INFO, ctx, event, __VA_ARGS__)
#define log_debug(ctx, event, ...)   LOG_AT(LOG_DEBUG, ctx, event, __VA_ARGS__)

#endif
