#include "common/clock.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/err.h"

static uint64_t ms_of(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts); /* cannot fail for these clocks */
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t system_mono_ms(void *ctx)
{
	(void)ctx;
	return ms_of(CLOCK_MONOTONIC);
}

static int64_t system_wall_ms(void *ctx)
{
	(void)ctx;
	return (int64_t)ms_of(CLOCK_REALTIME);
}

const struct clock *clock_system(void)
{
	static const struct clock c = { .mono_ms = system_mono_ms, .wall_ms = system_wall_ms };

	return &c;
}

uint64_t clock_mono_ms(const struct clock *c)
{
	return c->mono_ms(c->ctx);
}

int64_t clock_wall_ms(const struct clock *c)
{
	return c->wall_ms(c->ctx);
}

/* Division that rounds down, so that times before 1970 keep their order. */
static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

int64_t clock_wall_s(const struct clock *c)
{
	return floor_div(clock_wall_ms(c), 1000);
}

void clock_format_rfc3339(int64_t wall_ms, char buf[CLOCK_TEXT_MAX])
{
	time_t t = (time_t)floor_div(wall_ms, 1000);
	struct tm tm;

	/* RFC 3339 has four digits for the year; what does not fit is no time of ours. */
	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
		(void)snprintf(buf, CLOCK_TEXT_MAX, "0000-00-00T00:00:00Z");
	else
		(void)snprintf(buf, CLOCK_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02uZ",
			       (unsigned)tm.tm_year + 1900, (unsigned)tm.tm_mon + 1,
			       (unsigned)tm.tm_mday, (unsigned)tm.tm_hour, (unsigned)tm.tm_min,
			       (unsigned)tm.tm_sec);
}

/* Exactly @p n digits at *p, which moves behind them. */
static bool digits(const char **p, int n, int *ret)
{
	*ret = 0;
	for (int i = 0; i < n; i++, (*p)++) {
		if (!isdigit((unsigned char)**p))
			return false;
		*ret = *ret * 10 + (**p - '0');
	}
	return true;
}

static bool one_of(const char **p, const char *set)
{
	if (**p == '\0' || strchr(set, **p) == NULL)
		return false;
	(*p)++;
	return true;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar. */
static int64_t days_from_civil(int y, int m, int d)
{
	int64_t era, yoe, doy, doe;

	y -= m <= 2; /* the year begins in March, so the leap day comes last */
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + doe - 719468;
}

static int days_in_month(int y, int m)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	if (m == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0))
		return 29;
	return days[m - 1];
}

static bool parse_date(const char **p, int64_t *ret_days)
{
	int y, m, d;

	if (!digits(p, 4, &y) || !one_of(p, "-") || !digits(p, 2, &m) || !one_of(p, "-") ||
	    !digits(p, 2, &d))
		return false;
	if (y < 1 || m < 1 || m > 12 || d < 1 || d > days_in_month(y, m))
		return false;
	*ret_days = days_from_civil(y, m, d);
	return true;
}

static bool parse_time(const char **p, int64_t *ret_ms)
{
	int h, m, s, ms = 0;

	if (!digits(p, 2, &h) || !one_of(p, ":") || !digits(p, 2, &m) || !one_of(p, ":") ||
	    !digits(p, 2, &s))
		return false;
	if (h > 23 || m > 59 || s > 60) /* 60: a leap second, which counts as the next minute */
		return false;
	if (one_of(p, ".")) {
		int scale = 100;

		if (!isdigit((unsigned char)**p))
			return false;
		for (; isdigit((unsigned char)**p); (*p)++, scale /= 10)
			ms += (**p - '0') * scale;
	}
	*ret_ms = ((h * 60 + m) * 60 + s) * INT64_C(1000) + ms;
	return true;
}

static bool parse_offset(const char **p, int64_t *ret_ms)
{
	bool minus = **p == '-';
	int h, m;

	*ret_ms = 0;
	if (one_of(p, "Zz"))
		return true;
	if (!one_of(p, "+-") || !digits(p, 2, &h) || !one_of(p, ":") || !digits(p, 2, &m))
		return false;
	if (h > 23 || m > 59)
		return false;
	*ret_ms = (h * 60 + m) * INT64_C(60000) * (minus ? -1 : 1);
	return true;
}

int clock_parse_rfc3339(const char *text, int64_t *ret_wall_ms)
{
	int64_t days, ms, offset;

	if (!parse_date(&text, &days) || !one_of(&text, "Tt ") || !parse_time(&text, &ms) ||
	    !parse_offset(&text, &offset) || *text != '\0')
		return ERR_PARSE;
	*ret_wall_ms = days * INT64_C(86400000) + ms - offset;
	return 0;
}

struct unit {
	const char *name;
	uint64_t ms;
};

/* Largest first: duration_format takes the first that divides. */
static const struct unit units[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
};

int duration_parse(const char *text, uint64_t *ret_ms)
{
	uint64_t n = 0, ms;

	if (!isdigit((unsigned char)*text))
		return ERR_PARSE;
	for (; isdigit((unsigned char)*text); text++)
		if (__builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (unsigned)(*text - '0'), &n))
			return ERR_PARSE;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(n, units[i].ms, &ms))
			return ERR_PARSE;
		*ret_ms = ms;
		return 0;
	}
	return ERR_PARSE;
}

void duration_format(uint64_t ms, char buf[CLOCK_TEXT_MAX])
{
	size_t i = 0;

	if (ms == 0) {
		(void)snprintf(buf, CLOCK_TEXT_MAX, "0s");
		return;
	}
	while (ms % units[i].ms != 0)
		i++;
	(void)snprintf(buf, CLOCK_TEXT_MAX, "%llu%s", (unsigned long long)(ms / units[i].ms),
		       units[i].name);
}
