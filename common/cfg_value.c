#include "common/cfg_priv.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "common/clock.h"

#define NAME_MAX_TEXT 253 /* a name without its trailing dot, RFC 1035 §2.3.4 */
#define LABEL_MAX     63
#define ID_MAX        64
#define QUOTE_MAX     60 /* of a value, in a message */

static int wrong(char why[CFG_TEXT_MAX], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int wrong(char why[CFG_TEXT_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, CFG_TEXT_MAX, fmt, ap);
	va_end(ap);
	return ERR_PARSE;
}

/* A value as it stands in a message: short, in quotes. Control characters never get here. */
static const char *quote(const char *text, char buf[QUOTE_MAX + 8])
{
	(void)snprintf(buf, QUOTE_MAX + 8, "'%.*s%s'", QUOTE_MAX, text,
		       strlen(text) > QUOTE_MAX ? "..." : "");
	return buf;
}

static int set_text(char **at, const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
		return ERR_NOMEM;
	free(*at);
	*at = copy;
	return 0;
}

/* ---- what is allowed ---- */

static void amount(const struct cfg_item *item, uint64_t v, char buf[CLOCK_TEXT_MAX])
{
	if (item->type == CFG_DURATION)
		duration_format(v * item->unit, buf);
	else
		(void)snprintf(buf, CLOCK_TEXT_MAX, "%" PRIu64, v);
}

static void words_allowed(const char *const *words, char *buf, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; words[i] != NULL && n < size; i++) {
		const char *sep = i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ";

		n += (size_t)snprintf(buf + n, size - n, "%s%s", sep, words[i]);
	}
}

void cfg_value_allowed(const struct cfg_item *item, char *buf, size_t size)
{
	char lo[CLOCK_TEXT_MAX], hi[CLOCK_TEXT_MAX];

	buf[0] = '\0';
	switch (item->type) {
	case CFG_UINT:
	case CFG_DURATION:
		amount(item, item->min, lo);
		amount(item, item->max, hi);
		(void)snprintf(buf, size, "%s to %s", lo, hi);
		return;
	case CFG_ENUM:
		words_allowed(item->words, buf, size);
		return;
	case CFG_BOOL:
		(void)snprintf(buf, size, "true or false");
		return;
	default:
		return;
	}
}

/* ---- parsing ---- */

static int parse_str(const struct cfg_item *item, const char *text, char **at, char *why)
{
	size_t len = strlen(text);

	if (len < item->min || len > item->max)
		return wrong(why, "has %zu characters, %" PRIu64 " to %" PRIu64 " are allowed", len,
			     item->min, item->max);
	return set_text(at, text);
}

static int parse_id(const char *text, char **at, char *why)
{
	char q[QUOTE_MAX + 8];
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"0123456789-_.");

	if (n == 0 || n > ID_MAX || text[n] != '\0' || !isalnum((unsigned char)text[0]))
		return wrong(why,
			     "%s is no name of ours; up to %d letters, digits, '-', '_' and '.' "
			     "are allowed, a letter or digit first",
			     quote(text, q), ID_MAX);
	return set_text(at, text);
}

static bool label_ok(const char *s, size_t len)
{
	if (len == 0 || len > LABEL_MAX || s[0] == '-' || s[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '-' && s[i] != '_')
			return false;
	return true;
}

/* Lower case and without the trailing dot into @p out. */
static int normal_name(const char *text, char out[NAME_MAX_TEXT + 1], char *why)
{
	char q[QUOTE_MAX + 8];
	size_t len = strlen(text), start = 0;
	const char *last = text;

	if (len > 1 && text[len - 1] == '.')
		len--;
	for (size_t i = 0; i < len; i++)
		if ((text[i] & 0x80) != 0)
			return wrong(why, "%s has letters beyond ASCII, write its xn-- form",
				     quote(text, q));
	if (len > NAME_MAX_TEXT)
		return wrong(why, "%s is longer than the %d characters of a DNS name",
			     quote(text, q), NAME_MAX_TEXT);
	for (size_t i = 0; i <= len; i++) {
		if (i < len && text[i] != '.')
			continue;
		if (!label_ok(text + start, i - start))
			return wrong(why,
				     "%s is no DNS name; labels of 1 to %d letters, digits, '-' "
				     "and '_' are allowed, with dots between",
				     quote(text, q), LABEL_MAX);
		last = text + start;
		start = i + 1;
	}
	if (strspn(last, "0123456789.") == strlen(last))
		return wrong(why, "%s looks like an address, a name is needed", quote(text, q));
	for (size_t i = 0; i < len; i++)
		out[i] = (char)tolower((unsigned char)text[i]);
	out[len] = '\0';
	return 0;
}

static int parse_name(const char *text, char **at, char *why)
{
	char name[NAME_MAX_TEXT + 1];
	int err = normal_name(text, name, why);

	return err != 0 ? err : set_text(at, name);
}

/* A name or an address; not "name:port". */
static int normal_host(const char *text, char out[HOST_TEXT_MAX], char *why)
{
	char q[QUOTE_MAX + 8], name[NAME_MAX_TEXT + 1];
	struct addr a;
	int err;

	if (strpbrk(text, "[]") == NULL && addr_parse(text, 0, &a) == 0 && addr_port(&a) == 0) {
		addr_format_host(&a, out);
		return 0;
	}
	if (strchr(text, ':') != NULL)
		return wrong(why, "%s is neither a name nor an address; no port is allowed here",
			     quote(text, q));
	err = normal_name(text, name, why);
	if (err == 0)
		(void)snprintf(out, HOST_TEXT_MAX, "%s", name);
	return err;
}

static int parse_host(const char *text, char **at, char *why)
{
	char host[HOST_TEXT_MAX];
	int err = normal_host(text, host, why);

	return err != 0 ? err : set_text(at, host);
}

static int parse_hostport(const char *text, char **at, char *why)
{
	char host[HOST_TEXT_MAX], normal[HOST_TEXT_MAX], full[HOST_TEXT_MAX + 10];
	char q[QUOTE_MAX + 8];
	uint16_t port, other;
	int err;

	/* Two readings with two defaults tell whether the text has a port. */
	if (hostport_parse(text, 1, host, &port) != 0 || hostport_parse(text, 2, host, &other) != 0)
		return wrong(why, "%s is not allowed; HOST, HOST:PORT or [IPV6]:PORT is",
			     quote(text, q));
	err = normal_host(host, normal, why);
	if (err != 0)
		return err;
	if (port != other)
		return set_text(at, normal);
	if (port == 0)
		return wrong(why, "port 0 is not allowed, 1 to 65535 is");
	(void)snprintf(full, sizeof(full), strchr(normal, ':') != NULL ? "[%s]:%u" : "%s:%u",
		       normal, port);
	return set_text(at, full);
}

static int parse_bool(const char *text, bool *at, char *why)
{
	char q[QUOTE_MAX + 8];

	*at = strcmp(text, "true") == 0;
	if (*at || strcmp(text, "false") == 0)
		return 0;
	return wrong(why, "%s is neither true nor false", quote(text, q));
}

static int check_range(const struct cfg_item *item, uint64_t v, const char *text, char *why)
{
	char q[QUOTE_MAX + 8], allowed[80];

	if (v >= item->min && v <= item->max)
		return 0;
	cfg_value_allowed(item, allowed, sizeof(allowed));
	return wrong(why, "%s is out of range, %s is allowed", quote(text, q), allowed);
}

static int parse_uint(const struct cfg_item *item, const char *text, void *at, char *why)
{
	char q[QUOTE_MAX + 8], allowed[80];
	size_t digits = strspn(text, "0123456789");
	uint64_t v;

	/* 010 is 10 to some readers and 8 to others. */
	if (digits == 0 || text[digits] != '\0' || (text[0] == '0' && digits > 1)) {
		cfg_value_allowed(item, allowed, sizeof(allowed));
		return wrong(why, "%s is not a number, %s is allowed", quote(text, q), allowed);
	}
	v = digits < 19 ? strtoull(text, NULL, 10) : UINT64_MAX;
	if (check_range(item, v, text, why) != 0)
		return ERR_PARSE;
	if (item->size == sizeof(uint16_t))
		*(uint16_t *)at = (uint16_t)v;
	else
		*(uint32_t *)at = (uint32_t)v;
	return 0;
}

static int parse_octal(const struct cfg_item *item, const char *text, uint32_t *at, char *why)
{
	char q[QUOTE_MAX + 8];
	size_t digits = strspn(text, "01234567");
	unsigned long v;

	if (digits < 3 || digits > 4 || text[digits] != '\0')
		return wrong(why, "%s is no mode; octal digits such as \"0660\" are allowed",
			     quote(text, q));
	v = strtoul(text, NULL, 8);
	if (v > item->max)
		return wrong(why, "%s is out of range, up to %04o is allowed", quote(text, q),
			     (unsigned)item->max);
	*at = (uint32_t)v;
	return 0;
}

static int parse_duration(const struct cfg_item *item, const char *text, uint32_t *at, char *why)
{
	char q[QUOTE_MAX + 8], allowed[80], one[CLOCK_TEXT_MAX];
	uint64_t ms;

	cfg_value_allowed(item, allowed, sizeof(allowed));
	if (text[0] != '\0' && strspn(text, "0123456789") == strlen(text))
		return wrong(why, "%s needs a unit: ms, s, m, h or d; %s is allowed",
			     quote(text, q), allowed);
	if (duration_parse(text, &ms) != 0)
		return wrong(why,
			     "%s is no duration; a whole number with ms, s, m, h or d is allowed, "
			     "%s",
			     quote(text, q), allowed);
	if (ms % item->unit != 0) {
		duration_format(item->unit, one);
		return wrong(why, "%s is not a multiple of %s; %s is allowed", quote(text, q), one,
			     allowed);
	}
	if (check_range(item, ms / item->unit, text, why) != 0)
		return ERR_PARSE;
	*at = (uint32_t)(ms / item->unit);
	return 0;
}

static int parse_enum(const struct cfg_item *item, const char *text, unsigned *at, char *why)
{
	char q[QUOTE_MAX + 8], allowed[120];

	for (unsigned i = 0; item->words[i] != NULL; i++) {
		if (strcmp(text, item->words[i]) != 0)
			continue;
		*at = i;
		return 0;
	}
	words_allowed(item->words, allowed, sizeof(allowed));
	return wrong(why, "%s is not known here, %s is allowed", quote(text, q), allowed);
}

static int parse_addr(const struct cfg_item *item, const char *text, struct addr *at, char *why)
{
	char q[QUOTE_MAX + 8];
	struct addr a, other;

	if (addr_parse(text, (uint16_t)item->min, &a) != 0)
		return wrong(why, "%s is not an address; IPv4 or IPv6%s is allowed, no name",
			     quote(text, q), item->max == 0 ? "" : ", with or without a port,");
	if (item->max == 0) {
		if (addr_parse(text, 1, &other) != 0 || addr_port(&other) != 1 ||
		    addr_port(&a) != 0)
			return wrong(why, "%s has a port, an address alone is allowed",
				     quote(text, q));
	}
	*at = a;
	return 0;
}

static int parse_cidr(const char *text, struct cidr *at, char *why)
{
	char q[QUOTE_MAX + 8];

	if (cidr_parse(text, at) == 0)
		return 0;
	return wrong(why,
		     "%s is not a network; ADDRESS/BITS is allowed, with zeros behind the bits, or "
		     "an address alone",
		     quote(text, q));
}

int cfg_value_parse(const struct cfg_item *item, const char *text, void *at, char why[CFG_TEXT_MAX])
{
	switch (item->type) {
	case CFG_STR:
		return parse_str(item, text, at, why);
	case CFG_ID:
		return parse_id(text, at, why);
	case CFG_NAME:
		return parse_name(text, at, why);
	case CFG_HOST:
		return parse_host(text, at, why);
	case CFG_HOSTPORT:
		return parse_hostport(text, at, why);
	case CFG_BOOL:
		return parse_bool(text, at, why);
	case CFG_UINT:
		return parse_uint(item, text, at, why);
	case CFG_OCTAL:
		return parse_octal(item, text, at, why);
	case CFG_DURATION:
		return parse_duration(item, text, at, why);
	case CFG_ENUM:
		return parse_enum(item, text, at, why);
	case CFG_ADDR:
		return parse_addr(item, text, at, why);
	case CFG_CIDR:
		return parse_cidr(text, at, why);
	case CFG_MAP:
	case CFG_MAP_LIST:
	case CFG_REFUSED:
		break;
	}
	abort(); /* the reader asks for scalars only */
}

/* ---- the rest of a value's life ---- */

static bool is_text(const struct cfg_item *item)
{
	switch (item->type) {
	case CFG_STR:
	case CFG_ID:
	case CFG_NAME:
	case CFG_HOST:
	case CFG_HOSTPORT:
		return true;
	default:
		return false;
	}
}

bool cfg_value_format(const struct cfg_item *item, const void *at, char *buf, size_t size)
{
	char text[CFG_VALUE_MAX] = "";
	const char *s = text;
	uint32_t v;

	buf[0] = '\0';
	if (is_text(item)) {
		s = *(char *const *)at;
		if (s == NULL || s[0] == '\0')
			return false;
	} else if (item->type == CFG_BOOL) {
		s = *(const bool *)at ? "true" : "false";
	} else if (item->type == CFG_UINT) {
		v = item->size == sizeof(uint16_t) ? *(const uint16_t *)at : *(const uint32_t *)at;
		/* 0 where it may not be written: the program works it out */
		if ((item->unset_ok && v == UINT32_MAX) || (v == 0 && item->min > 0))
			return false;
		(void)snprintf(text, sizeof(text), "%u", v);
	} else if (item->type == CFG_OCTAL) {
		(void)snprintf(text, sizeof(text), "%04o", *(const uint32_t *)at);
	} else if (item->type == CFG_DURATION) {
		duration_format(*(const uint32_t *)at * item->unit, text);
	} else if (item->type == CFG_ENUM) {
		s = item->words[*(const unsigned *)at];
	} else if (item->type == CFG_ADDR && item->max == 0) {
		addr_format_host(at, text);
	} else if (item->type == CFG_ADDR) {
		addr_format(at, text);
	} else if (item->type == CFG_CIDR) {
		cidr_format(at, text);
	}
	(void)snprintf(buf, size, "%s", s);
	return true;
}

bool cfg_value_equal(const struct cfg_item *item, const void *a, const void *b)
{
	char ta[CFG_VALUE_MAX], tb[CFG_VALUE_MAX];

	if (is_text(item)) { /* may be longer than a value's text */
		const char *sa = *(char *const *)a, *sb = *(char *const *)b;

		return strcmp(sa != NULL ? sa : "", sb != NULL ? sb : "") == 0;
	}
	return cfg_value_format(item, a, ta, sizeof(ta)) ==
		       cfg_value_format(item, b, tb, sizeof(tb)) &&
	       strcmp(ta, tb) == 0;
}

static void value_free(const struct cfg_item *item, void *at)
{
	char **text = at;

	if (!is_text(item))
		return;
	free(*text);
	*text = NULL;
}

/* ---- lists ---- */

static size_t item_size(const struct cfg_item *item)
{
	return item->type == CFG_MAP_LIST ? item->sub->size : item->size;
}

size_t cfg_list_count(const struct cfg_item *item, const void *base)
{
	return *(const size_t *)((const char *)base + item->count);
}

void *cfg_list_at(const struct cfg_item *item, const void *base, size_t i)
{
	char *first = *(char *const *)cfg_cfield(item, base);

	return first + i * item_size(item);
}

static void list_free(const struct cfg_item *item, void *base)
{
	void **list = cfg_field(item, base);
	size_t n = cfg_list_count(item, base);

	for (size_t i = 0; i < n; i++) {
		if (item->type == CFG_MAP_LIST)
			cfg_free(item->sub, cfg_list_at(item, base, i));
		else
			value_free(item, cfg_list_at(item, base, i));
	}
	free(*list);
	*list = NULL;
	*(size_t *)((char *)base + item->count) = 0;
}

int cfg_list_new(const struct cfg_item *item, void *base, size_t n)
{
	void **list = cfg_field(item, base);

	list_free(item, base);
	if (n == 0)
		return 0;
	*list = calloc(n, item_size(item));
	if (*list == NULL)
		return ERR_NOMEM;
	*(size_t *)((char *)base + item->count) = n;
	return 0;
}

void cfg_free(const struct cfg_schema *s, void *dst)
{
	for (const struct cfg_item *item = s->items; item->key != NULL; item++) {
		if (item->type == CFG_MAP)
			cfg_free(item->sub, cfg_field(item, dst));
		else if (item->list || item->type == CFG_MAP_LIST)
			list_free(item, dst);
		else if (item->type != CFG_REFUSED)
			value_free(item, cfg_field(item, dst));
	}
}

int cfg_defaults(const struct cfg_schema *s, void *dst)
{
	char why[CFG_TEXT_MAX];
	int err = 0;

	for (const struct cfg_item *item = s->items; item->key != NULL && err == 0; item++) {
		if (item->type == CFG_MAP)
			err = cfg_defaults(item->sub, cfg_field(item, dst));
		else if (item->unset_ok)
			*(uint32_t *)cfg_field(item, dst) = UINT32_MAX;
		else if (item->def != NULL)
			err = cfg_value_parse(item, item->def, cfg_field(item, dst), why);
	}
	return err;
}

/* ---- what a reload cannot apply ---- */

static bool differs(const struct cfg_item *item, const void *a, const void *b)
{
	size_t n;

	if (!item->list && item->type != CFG_MAP_LIST)
		return !cfg_value_equal(item, cfg_cfield(item, a), cfg_cfield(item, b));
	n = cfg_list_count(item, a);
	if (n != cfg_list_count(item, b))
		return true;
	for (size_t i = 0; i < n; i++) {
		const void *ia = cfg_list_at(item, a, i), *ib = cfg_list_at(item, b, i);

		if (item->type != CFG_MAP_LIST) {
			if (!cfg_value_equal(item, ia, ib))
				return true;
			continue;
		}
		for (const struct cfg_item *sub = item->sub->items; sub->key != NULL; sub++)
			if (sub->type != CFG_REFUSED && differs(sub, ia, ib))
				return true;
	}
	return false;
}

static void need_restart(const struct cfg_schema *s, const char *prefix, const void *a,
			 const void *b, void (*fn)(void *ctx, const char *key), void *ctx)
{
	char key[CFG_KEY_MAX];

	for (const struct cfg_item *item = s->items; item->key != NULL; item++) {
		(void)snprintf(key, sizeof(key), "%s%s%s", prefix, prefix[0] != '\0' ? "." : "",
			       item->key);
		if (item->type == CFG_MAP)
			need_restart(item->sub, key, cfg_cfield(item, a), cfg_cfield(item, b), fn,
				     ctx);
		else if (item->restart && differs(item, a, b))
			fn(ctx, key);
	}
}

void cfg_need_restart(const struct cfg_schema *s, const void *a, const void *b,
		      void (*fn)(void *ctx, const char *key), void *ctx)
{
	need_restart(s, "", a, b, fn, ctx);
}
