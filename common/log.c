#include "common/log.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/utf8.h"

#define LOG_LINE_MAX  4096 /* bytes of a line; what does not fit is left out and marked */
#define LOG_VALUE_MAX 2048 /* bytes of one value before escaping */
#define LOG_KEY_MAX   64
#define LOG_SPEC_MAX  40 /* one conversion: "%-08llu" */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static enum log_format log_form = LOG_TEXT;
static int log_fd = STDERR_FILENO;
static log_tap_fn *log_tap;
static void *log_tap_ctx;
/* Lines that could not be written, to be told with the next one that can. */
static struct {
	unsigned long lines;
	int err;   /* of the last one */
	bool half; /* a part of it stands there */
} lost;
/* Read without the lock for each call that is off: atomic. */
static int log_level_now = LOG_WARNING;

static const char *const level_names[LOG_LEVEL_COUNT_] = {
	[LOG_ERROR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

void log_setup(enum log_level level, enum log_format format, int fd)
{
	(void)pthread_mutex_lock(&log_lock);
	__atomic_store_n(&log_level_now, (int)level, __ATOMIC_RELAXED);
	log_form = format;
	log_fd = fd;
	(void)pthread_mutex_unlock(&log_lock);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= __atomic_load_n(&log_level_now, __ATOMIC_RELAXED);
}

const char *log_level_name(enum log_level level)
{
	return level < LOG_LEVEL_COUNT_ ? level_names[level] : "unknown";
}

void log_set_tap(log_tap_fn *tap, void *ctx)
{
	(void)pthread_mutex_lock(&log_lock);
	log_tap = tap;
	log_tap_ctx = ctx;
	(void)pthread_mutex_unlock(&log_lock);
}

/* A line being built. Room for its end ("...", a quote, a brace, a newline) is kept back. */
struct line {
	size_t len;
	bool full;
	char text[LOG_LINE_MAX + 16];
};

static void put(struct line *l, const char *s, size_t n)
{
	if (l->full || l->len + n > LOG_LINE_MAX) { /* len is beyond it after a put_end() */
		l->full = true;
		return;
	}
	memcpy(l->text + l->len, s, n);
	l->len += n;
}

static void put_str(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

/* Past the limit too: the few bytes that end a line well. */
static void put_end(struct line *l, const char *s)
{
	size_t n = strlen(s);

	if (n > sizeof(l->text) - l->len)
		return;
	memcpy(l->text + l->len, s, n);
	l->len += n;
}

/* Valid in a JSON string and in our quoted text: both know these escapes. */
static void put_escaped(struct line *l, const char *text, enum log_format form)
{
	const unsigned char *s = (const unsigned char *)text;

	for (size_t n; *s != '\0' && !l->full; s += n) {
		char esc[8];

		n = 1;
		if (*s == '"' || *s == '\\') {
			(void)snprintf(esc, sizeof(esc), "\\%c", *s);
		} else if (*s == '\n') {
			(void)snprintf(esc, sizeof(esc), "\\n");
		} else if (*s == '\t') {
			(void)snprintf(esc, sizeof(esc), "\\t");
		} else if (*s >= 0x20 && *s < 0x7f) {
			put(l, (const char *)s, 1);
			continue;
		} else if (utf8_len(s) > 0) {
			n = utf8_len(s);
			put(l, (const char *)s, n);
			continue;
		} else if (form == LOG_JSON) {
			(void)snprintf(esc, sizeof(esc), "\\u%04x", *s);
		} else {
			(void)snprintf(esc, sizeof(esc), "\\x%02x", *s);
		}
		put_str(l, esc);
	}
}

static bool needs_quotes(const char *s)
{
	if (*s == '\0')
		return true;
	for (; *s != '\0'; s++)
		if (!isgraph((unsigned char)*s) || *s == '"' || *s == '\\' || *s == '=')
			return true;
	return false;
}

/* false: not even its beginning fits, and nothing may follow. */
static bool put_text_value(struct line *l, const char *value)
{
	bool quote = needs_quotes(value);

	if (quote)
		put_str(l, "\"");
	if (l->full)
		return false;
	put_escaped(l, value, LOG_TEXT);
	if (l->full)
		put_end(l, "...");
	if (quote)
		put_end(l, "\"");
	return true;
}

static void put_json_member(struct line *l, const char *key, const char *value, bool number)
{
	size_t before = l->len;

	put_str(l, ",\"");
	put_escaped(l, key, LOG_JSON);
	put_str(l, number ? "\":" : "\":\"");
	if (l->full) { /* half a key would spoil the object */
		l->len = before;
		return;
	}
	if (number)
		put_str(l, value);
	else
		put_escaped(l, value, LOG_JSON);
	if (l->full && number)
		l->len = before;
	else if (l->full)
		put_end(l, "...\"");
	else if (!number)
		put_end(l, "\"");
}

/* One conversion of a format that the compiler has checked against its arguments. */
struct conv {
	char spec[LOG_SPEC_MAX]; /* with the values of its stars */
	int longs;               /* l, ll; -1 for z */
	char kind;
};

/* Parses the conversion at *p (a '%'), which moves behind it; takes the arguments of its stars. */
static bool conv_parse(const char **p, struct conv *c, va_list *ap)
{
	size_t n = 0;

	*c = (struct conv){ 0 };
	c->spec[n++] = *(*p)++;
	while (**p != '\0' && n < sizeof(c->spec) - 13) { /* room for the longest int */
		char ch = *(*p)++;

		if (ch == '*') {
			int v = va_arg(*ap, int);

			if (v < 0 && c->spec[n - 1] == '.')
				n--; /* a negative precision means none (C17 7.21.6.1) */
			else
				n += (size_t)snprintf(c->spec + n, 12, "%d", v);
			continue;
		}
		c->spec[n++] = ch;
		if (ch == 'l')
			c->longs++;
		else if (ch == 'z')
			c->longs = -1;
		else if (strchr("+-# .0123456789", ch) == NULL) {
			c->kind = ch;
			c->spec[n] = '\0';
			return strchr("sdiuxXcf%", ch) != NULL;
		}
	}
	return false;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static int render_int(char *out, size_t room, const struct conv *c, va_list *ap)
{
	bool sign = c->kind == 'd' || c->kind == 'i';

	if (c->longs == -1)
		return snprintf(out, room, c->spec, va_arg(*ap, size_t));
	if (c->longs >= 2)
		return sign ? snprintf(out, room, c->spec, va_arg(*ap, long long))
			    : snprintf(out, room, c->spec, va_arg(*ap, unsigned long long));
	if (c->longs == 1)
		return sign ? snprintf(out, room, c->spec, va_arg(*ap, long))
			    : snprintf(out, room, c->spec, va_arg(*ap, unsigned long));
	return sign ? snprintf(out, room, c->spec, va_arg(*ap, int))
		    : snprintf(out, room, c->spec, va_arg(*ap, unsigned));
}

static int render_str(char *out, size_t room, const struct conv *c, va_list *ap)
{
	const char *text = va_arg(*ap, const char *);

	return snprintf(out, room, c->spec, text != NULL ? text : "-");
}

static int render(char *out, size_t room, const struct conv *c, va_list *ap)
{
	switch (c->kind) {
	case 's':
		return render_str(out, room, c, ap);
	case 'f':
		return snprintf(out, room, c->spec, va_arg(*ap, double));
	case 'c':
		return snprintf(out, room, c->spec, va_arg(*ap, int));
	case '%':
		return snprintf(out, room, "%%");
	default:
		return render_int(out, room, c, ap);
	}
}

#pragma GCC diagnostic pop

struct field {
	char key[LOG_KEY_MAX];
	char value[LOG_VALUE_MAX];
	bool number; /* the value is one conversion that is a JSON number, and nothing else */
};

/*
 * Takes the next `key=value` of the format at *p. The value ends at the blank in front of the next
 * field in the *format*; a blank in an argument ends nothing.
 */
static bool next_field(const char **p, struct field *f, va_list *ap)
{
	size_t n = 0, parts = 0;

	while (**p == ' ')
		(*p)++;
	if (**p == '\0')
		return false;
	while (**p != '\0' && **p != '=' && n < sizeof(f->key) - 1)
		f->key[n++] = *(*p)++;
	f->key[n] = '\0';
	if (**p != '=')
		return false; /* a wrong format of ours: nothing after it can be trusted */
	(*p)++;
	n = 0;
	f->value[0] = '\0';
	f->number = false;
	while (**p != '\0' && **p != ' ') {
		size_t room = sizeof(f->value) - n;
		struct conv c;
		int made;

		parts++;
		if (**p != '%') {
			f->number = false;
			if (room > 1) {
				f->value[n++] = **p;
				f->value[n] = '\0';
			}
			(*p)++;
			continue;
		}
		if (!conv_parse(p, &c, ap))
			return false;
		made = render(f->value + n, room, &c, ap);
		if (made < 0)
			return false;
		n += (size_t)made < room ? (size_t)made : room - 1;
		f->number = parts == 1 && strchr("diuf", c.kind) != NULL;
	}
	return true;
}

/* JSON has no nan and inf, no plus sign, no leading zeros or blanks: widths can make those. */
static bool is_json_number(const char *s)
{
	if (*s == '-')
		s++;
	if (!isdigit((unsigned char)*s) || (s[0] == '0' && isdigit((unsigned char)s[1])))
		return false;
	while (isdigit((unsigned char)*s))
		s++;
	if (*s == '.') {
		s++;
		if (!isdigit((unsigned char)*s))
			return false;
		while (isdigit((unsigned char)*s))
			s++;
	}
	return *s == '\0';
}

static void put_head(struct line *l, enum log_format form, enum log_level level,
		     const struct log_ctx *ctx, const char *event)
{
	const char *module = ctx != NULL && ctx->module != NULL ? ctx->module : "-";
	char time[CLOCK_TEXT_MAX], id[24] = "";

	clock_format_rfc3339(clock_wall_ms(clock_system()), time);
	if (ctx != NULL && ctx->id != 0)
		(void)snprintf(id, sizeof(id), "%llu", (unsigned long long)ctx->id);
	if (form == LOG_JSON) {
		put_str(l, "{\"time\":\"");
		put_str(l, time);
		put_str(l, "\"");
		put_json_member(l, "level", log_level_name(level), false);
		put_json_member(l, "module", module, false);
		if (id[0] != '\0')
			put_json_member(l, "id", id, true);
		put_json_member(l, "event", event, false);
		return;
	}
	put_str(l, time);
	put_str(l, " ");
	put_str(l, log_level_name(level));
	put_str(l, " ");
	put_str(l, module);
	if (id[0] != '\0') {
		put_str(l, "#");
		put_str(l, id);
	}
	put_str(l, " ");
	put_str(l, event);
}

static void put_fields(struct line *l, enum log_format form, const char *fmt, va_list *ap)
{
	struct field f;
	size_t before;

	while (!l->full && next_field(&fmt, &f, ap)) {
		if (form == LOG_JSON) {
			put_json_member(l, f.key, f.value, f.number && is_json_number(f.value));
			continue;
		}
		before = l->len;
		put_str(l, " ");
		put_str(l, f.key);
		put_str(l, "=");
		if (!put_text_value(l, f.value))
			l->len = before;
	}
}

/* @return 0, or why it is not there in full; *ret_half: a part of it is */
static int write_text(const char *text, size_t len, bool *ret_half)
{
	size_t done = 0;

	while (log_fd >= 0 && done < len) {
		ssize_t n = write(log_fd, text + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			*ret_half = done > 0;
			return n < 0 ? -errno : -EIO;
		}
		done += (size_t)n;
	}
	return 0;
}

static void make_line(struct line *l, enum log_level level, const struct log_ctx *ctx,
		      const char *event, const char *fmt, va_list *ap)
{
	l->len = 0;
	l->full = false;
	put_head(l, log_form, level, ctx, event);
	put_fields(l, log_form, fmt, ap);
	if (log_form == LOG_JSON)
		put_end(l, "}");
}

static void give_tap(struct line *l)
{
	if (log_tap == NULL)
		return;
	l->text[l->len] = '\0';
	log_tap(log_tap_ctx, l->text);
}

static void make_lost_line(struct line *l, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void make_lost_line(struct line *l, const char *fmt, ...)
{
	static const struct log_ctx log = { .module = "log" };
	va_list ap;

	va_start(ap, fmt);
	make_line(l, LOG_WARNING, &log, "log.lost", fmt, &ap);
	va_end(ap);
}

/* Whatever the level: who reads must know that something is missing. */
static void tell_lost(void)
{
	struct line l;
	bool half;

	if (lost.lines == 0)
		return;
	if (lost.half && write_text("\n", 1, &half) != 0)
		return;
	lost.half = false;
	make_lost_line(&l, "lines=%lu text=%s", lost.lines, err_text(lost.err));
	put_end(&l, "\n");
	if (write_text(l.text, l.len, &lost.half) != 0)
		return;
	l.len--;
	give_tap(&l);
	lost.lines = 0;
}

void log_write(enum log_level level, const struct log_ctx *ctx, const char *event, const char *fmt,
	       ...)
{
	struct line l;
	int saved = errno, err;
	bool half = false;
	va_list ap;

	/* Logging must not stop the work: what cannot be written is left out, and told later.
	 * The lock is held while the line is built: its form and its place are of one log_setup. */
	(void)pthread_mutex_lock(&log_lock);
	tell_lost();
	va_start(ap, fmt);
	make_line(&l, level, ctx, event, fmt, &ap);
	va_end(ap);
	give_tap(&l);
	put_end(&l, "\n");
	err = lost.lines > 0 ? lost.err : write_text(l.text, l.len, &half);
	if (err != 0) {
		lost.lines++;
		lost.err = err;
		lost.half |= half;
	}
	(void)pthread_mutex_unlock(&log_lock);
	errno = saved;
}
