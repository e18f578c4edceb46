#include "publisher/reg_text.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"

#define REPLACEMENT 0xfffdu
#define HEAD_V5     "Windows Registry Editor Version 5.00"
#define HEAD_V4     "REGEDIT4"

struct reader {
	char *p; /* in the decoded text, which ends with a NUL */
	unsigned line;
	bool ansi; /* REGEDIT4: hex strings hold bytes, not UTF-16 */
	const char *key;
	struct buf data; /* of a hex value */
	struct buf text; /* the same as text */
	reg_value_fn *fn;
	void *ctx;
	struct err_info *info;
};

static int put_utf8(struct buf *out, uint32_t c)
{
	char b[4];
	size_t n = 0;

	if (c < 0x80) {
		b[n++] = (char)c;
	} else if (c < 0x800) {
		b[n++] = (char)(0xc0 | c >> 6);
		b[n++] = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		b[n++] = (char)(0xe0 | c >> 12);
		b[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		b[n++] = (char)(0x80 | (c & 0x3f));
	} else {
		b[n++] = (char)(0xf0 | c >> 18);
		b[n++] = (char)(0x80 | (c >> 12 & 0x3f));
		b[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		b[n++] = (char)(0x80 | (c & 0x3f));
	}
	return buf_append(out, b, n);
}

/* Half surrogates become U+FFFD; an odd byte at the end is dropped. */
static int utf16_to_utf8(const uint8_t *data, size_t len, struct buf *out)
{
	int err = ERR_OK;

	for (size_t i = 0; err == ERR_OK && i + 1 < len; i += 2) {
		uint32_t c = (uint32_t)(data[i] | data[i + 1] << 8);
		uint32_t low = i + 3 < len ? (uint32_t)(data[i + 2] | data[i + 3] << 8) : 0;

		if (c >= 0xd800 && c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
			c = 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
			i += 2;
		} else if (c >= 0xd800 && c < 0xe000) {
			c = REPLACEMENT;
		}
		err = put_utf8(out, c);
	}
	return err;
}

/* The whole file as UTF-8 with a NUL behind it. */
static int decode(const uint8_t *data, size_t len, struct buf *out, struct err_info *info)
{
	int err;

	if (len >= 2 && data[0] == 0xfe && data[1] == 0xff)
		return err_set(info, ERR_PARSE,
			       "line 1: UTF-16 in big-endian order; regedit writes little-endian");
	if (len >= 2 && data[0] == 0xff && data[1] == 0xfe)
		err = utf16_to_utf8(data + 2, len - 2, out);
	else if (len >= 2 && data[0] != 0 && data[1] == 0)
		err = utf16_to_utf8(data, len, out);
	else if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		err = buf_append(out, data + 3, len - 3);
	else
		err = buf_append(out, data, len);
	if (err == ERR_OK && out->len > 0 && memchr(out->data, '\0', out->len) != NULL)
		return err_set(info, ERR_PARSE, "line 1: no text: it holds zero bytes");
	return err == ERR_OK ? buf_append(out, "", 1) : err;
}

static int wrong(struct reader *r, const char *what)
{
	return err_set(r->info, ERR_PARSE, "line %u: %s", r->line, what);
}

static bool at_line_end(const char *p)
{
	return *p == '\0' || *p == '\n' || (*p == '\r' && p[1] == '\n');
}

static void skip_blanks(struct reader *r)
{
	while (*r->p == ' ' || *r->p == '\t')
		r->p++;
}

static void skip_line(struct reader *r)
{
	r->p += strcspn(r->p, "\n");
	if (*r->p == '\n') {
		r->p++;
		r->line++;
	}
}

/* At the opening quote; the text is made in place, which only gets shorter. */
static int quoted(struct reader *r, char **ret, size_t *ret_len)
{
	char *to = ++r->p;

	*ret = to;
	for (; *r->p != '"'; r->p++) {
		if (*r->p == '\\' && (r->p[1] == '\\' || r->p[1] == '"'))
			r->p++;
		if (*r->p == '\0')
			return wrong(r, "a text without its closing quote");
		if (*r->p == '\n')
			r->line++;
		*to++ = *r->p;
	}
	r->p++;
	*to = '\0';
	*ret_len = (size_t)(to - *ret);
	return ERR_OK;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Bytes with commas between; a backslash at the end of a line goes on in the next. */
static int hex_bytes(struct reader *r)
{
	int err = ERR_OK;

	buf_clear(&r->data);
	while (err == ERR_OK) {
		skip_blanks(r);
		if (*r->p == '\\' && at_line_end(r->p + 1)) {
			skip_line(r);
			continue;
		}
		if (at_line_end(r->p) || *r->p == ';')
			return ERR_OK;
		int high = hex_digit(r->p[0]);
		int low = high < 0 ? -1 : hex_digit(r->p[1]);
		if (low < 0)
			return wrong(r, "a hex value wants bytes of two digits");
		uint8_t byte = (uint8_t)(high << 4 | low);
		err = buf_append(&r->data, &byte, 1);
		r->p += 2;
		skip_blanks(r);
		if (*r->p == ',')
			r->p++;
		else if (!at_line_end(r->p) && *r->p != ';' && *r->p != '\\')
			return wrong(r, "a comma is missing between two bytes");
	}
	return err;
}

/* Strings of a hex value; without the NULs that end it, then with exactly one. */
static int hex_text(struct reader *r, struct reg_value *v)
{
	int err;

	buf_clear(&r->text);
	err = r->ansi ? buf_append(&r->text, r->data.data, r->data.len)
		      : utf16_to_utf8(r->data.data, r->data.len, &r->text);
	while (r->text.len > 0 && r->text.data[r->text.len - 1] == '\0')
		r->text.len--;
	if (err == ERR_OK)
		err = buf_append(&r->text, "\0", 2);
	if (err != ERR_OK)
		return err;
	v->text = (const char *)r->text.data;
	v->len = r->text.len - 1;
	if (v->type == REG_SZ)
		v->len = strlen(v->text);
	else if (v->len == 1)
		v->len = 0; /* no string at all */
	return ERR_OK;
}

static int hex_value(struct reader *r, struct reg_value *v)
{
	unsigned kind = 3; /* REG_BINARY */
	int err;

	if (*r->p == '(') {
		for (r->p++, kind = 0; hex_digit(*r->p) >= 0 && kind < 0x1000000; r->p++)
			kind = kind << 4 | (unsigned)hex_digit(*r->p);
		if (*r->p != ')')
			return wrong(r, "hex( wants a type and )");
		r->p++;
	}
	if (*r->p != ':')
		return wrong(r, "hex wants a colon");
	r->p++;
	err = hex_bytes(r);
	if (err != ERR_OK)
		return err;
	v->type = REG_OTHER;
	if (kind == 4 && r->data.len == 4) {
		v->type = REG_DWORD;
		for (size_t i = 4; i-- > 0;)
			v->number = v->number << 8 | r->data.data[i];
	} else if (kind == 1 || kind == 2 || kind == 7) {
		v->type = kind == 7 ? REG_MULTI_SZ : REG_SZ;
		err = hex_text(r, v);
	}
	return err;
}

static int dword(struct reader *r, struct reg_value *v)
{
	int digits = 0;

	v->type = REG_DWORD;
	for (; hex_digit(*r->p) >= 0 && digits < 8; r->p++, digits++)
		v->number = v->number << 4 | (uint32_t)hex_digit(*r->p);
	return digits > 0 ? ERR_OK : wrong(r, "dword: wants up to eight hexadecimal digits");
}

static int value_data(struct reader *r, struct reg_value *v)
{
	char *text;
	int err = ERR_OK;

	if (*r->p == '"') {
		v->type = REG_SZ;
		err = quoted(r, &text, &v->len);
		v->text = text;
	} else if (*r->p == '-') {
		v->type = REG_DELETED;
		r->p++;
	} else if (strncasecmp(r->p, "dword:", 6) == 0) {
		r->p += 6;
		err = dword(r, v);
	} else if (strncasecmp(r->p, "hex", 3) == 0) {
		r->p += 3;
		err = hex_value(r, v);
	} else {
		err = wrong(r, "after = a text in quotes, dword:, hex: or - is expected");
	}
	return err;
}

/* At the quote or the @ of a name. */
static int value_line(struct reader *r)
{
	struct reg_value v = { .key = r->key, .text = "", .line = r->line };
	char *name;
	size_t len;
	int err = ERR_OK;

	if (*r->p == '@') {
		v.name = "";
		r->p++;
	} else {
		err = quoted(r, &name, &len);
		v.name = name;
	}
	skip_blanks(r);
	if (err == ERR_OK && *r->p != '=')
		err = wrong(r, "a = is missing behind the name of a value");
	if (err != ERR_OK)
		return err;
	r->p++;
	skip_blanks(r);
	err = value_data(r, &v);
	if (err == ERR_OK)
		skip_blanks(r);
	if (err == ERR_OK && !at_line_end(r->p) && *r->p != ';')
		err = wrong(r, "more behind the end of the value");
	if (err == ERR_OK && r->key == NULL)
		return wrong(r, "a value before the first [key]");
	if (err == ERR_OK && r->key[0] != '-') /* a key that is taken away has no values */
		err = r->fn(r->ctx, &v);
	return err;
}

static int key_line(struct reader *r)
{
	char *line_end = r->p + strcspn(r->p, "\n");
	char *close = line_end;

	while (close > r->p && *close != ']')
		close--;
	if (close == r->p)
		return wrong(r, "a [key] without its closing bracket");
	*close = '\0';
	r->key = r->p + 1;
	r->p = line_end;
	return ERR_OK;
}

static int header(struct reader *r)
{
	while (isspace((unsigned char)*r->p)) {
		r->line += *r->p == '\n';
		r->p++;
	}
	size_t len = strcspn(r->p, "\r\n");
	bool v5 = len == strlen(HEAD_V5) && strncasecmp(r->p, HEAD_V5, len) == 0;

	r->ansi = len == strlen(HEAD_V4) && strncasecmp(r->p, HEAD_V4, len) == 0;
	if (!v5 && !r->ansi)
		return wrong(r, "no registry export: it begins with neither \"" HEAD_V5
				"\" nor \"" HEAD_V4 "\"");
	r->p += len;
	return ERR_OK;
}

static int lines(struct reader *r)
{
	int err = header(r);

	for (skip_line(r); err == ERR_OK && *r->p != '\0'; skip_line(r)) {
		skip_blanks(r);
		if (*r->p == '[')
			err = key_line(r);
		else if (*r->p == '"' || *r->p == '@')
			err = value_line(r);
		else if (!at_line_end(r->p) && *r->p != ';')
			err = wrong(r, "neither a [key], a \"name\"=value nor a comment");
	}
	return err;
}

int reg_text_read(const uint8_t *data, size_t len, reg_value_fn *fn, void *ctx,
		  struct err_info *info)
{
	struct reader r = { .line = 1, .fn = fn, .ctx = ctx, .info = info };
	struct buf whole;
	int err;

	if (len > REG_SIZE_MAX)
		return err_set(info, ERR_LIMIT, "more than %u MiB", REG_SIZE_MAX >> 20);
	buf_init(&whole, 2 * REG_SIZE_MAX); /* three bytes of UTF-8 for two of UTF-16 at most */
	buf_init(&r.data, REG_SIZE_MAX);
	buf_init(&r.text, 2 * REG_SIZE_MAX);
	err = decode(data, len, &whole, info);
	if (err == ERR_OK) {
		r.p = (char *)whole.data;
		err = lines(&r);
	}
	buf_done(&r.text);
	buf_done(&r.data);
	buf_done(&whole);
	return err;
}
