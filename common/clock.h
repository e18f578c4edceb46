/** Time as a parameter: whoever needs the time is given a clock, so that a test can own it. */
#ifndef KMSBEACON_COMMON_CLOCK_H
#define KMSBEACON_COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

struct clock {
	/** Milliseconds that never go back; only differences mean anything. */
	uint64_t (*mono_ms)(void *ctx);
	/** Milliseconds since 1970-01-01 UTC; can be stepped by an administrator at any moment. */
	int64_t (*wall_ms)(void *ctx);
	void *ctx;
};

/** The machine's clocks. Static. */
const struct clock *clock_system(void);

uint64_t clock_mono_ms(const struct clock *c);
int64_t clock_wall_ms(const struct clock *c);
int64_t clock_wall_s(const struct clock *c);

#define CLOCK_TEXT_MAX 32
/** RFC 3339 in UTC, such as 2026-11-21T08:00:00Z. */
void clock_format_rfc3339(int64_t wall_ms, char buf[CLOCK_TEXT_MAX]);
/** @return 0 or ERR_PARSE. Accepts `Z` and numeric offsets. */
int clock_parse_rfc3339(const char *text, int64_t *ret_wall_ms);

/** Duration: integer + ms|s|m|h|d (design §3). @return 0 or ERR_PARSE. */
int duration_parse(const char *text, uint64_t *ret_ms);
/** The shortest exact form: 90000 -> "90s", 3600000 -> "1h". */
void duration_format(uint64_t ms, char buf[CLOCK_TEXT_MAX]);

#endif
