#include "net/dnsname.h"

#include <string.h>

#include "common/err.h"

#define LABEL_MAX  63
#define LABELS_MAX 128 /* 127 of one octet, and the root */

/* By hand: tolower() knows locales, DNS knows ASCII only (RFC 4343 §3). */
static uint8_t fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* One octet of a label at *p, which is not a bare dot and not the end. */
static int parse_octet(const char **p, uint8_t *ret)
{
	const char *s = *p;
	unsigned v;

	if (*s != '\\') {
		/* blanks and controls are slips of the writer; who means them escapes them */
		if ((uint8_t)*s <= ' ' || *s == 0x7f)
			return ERR_PARSE;
		*ret = fold((uint8_t)*s);
		*p = s + 1;
		return 0;
	}
	s++;
	if (*s == '\0')
		return ERR_PARSE;
	if (!is_digit(*s)) {
		*ret = fold((uint8_t)*s);
		*p = s + 1;
		return 0;
	}
	if (!is_digit(s[1]) || !is_digit(s[2]))
		return ERR_PARSE;
	v = (unsigned)(s[0] - '0') * 100 + (unsigned)(s[1] - '0') * 10 + (unsigned)(s[2] - '0');
	if (v > 255)
		return ERR_PARSE;
	*ret = fold((uint8_t)v);
	*p = s + 3;
	return 0;
}

/* One label at *p, its length octet included, into out; what follows is a dot or the end. */
static int parse_label(const char **p, uint8_t out[1 + LABEL_MAX])
{
	uint8_t n = 0;

	while (**p != '\0' && **p != '.') {
		if (n == LABEL_MAX)
			return ERR_PARSE;
		if (parse_octet(p, &out[1 + n]) != 0)
			return ERR_PARSE;
		n++;
	}
	if (n == 0)
		return ERR_PARSE;
	out[0] = n;
	return 0;
}

int dns_name_parse(const char *text, struct dns_name *ret)
{
	struct dns_name n = { 0 };
	size_t len = 0;

	if (text[0] == '.' && text[1] == '\0') {
		*ret = (struct dns_name){ .len = 1 };
		return 0;
	}
	do {
		uint8_t label[1 + LABEL_MAX];
		size_t label_len;

		if (parse_label(&text, label) != 0)
			return ERR_PARSE;
		label_len = 1u + label[0];
		if (len + label_len + 1 > DNSNAME_WIRE_MAX)
			return ERR_PARSE;
		memcpy(&n.wire[len], label, label_len);
		len += label_len;
		if (*text == '.')
			text++;
	} while (*text != '\0');
	n.len = (uint8_t)(len + 1);
	*ret = n;
	return 0;
}

static char *format_octet(char *out, uint8_t c)
{
	if (c <= ' ' || c >= 0x7f) {
		*out++ = '\\';
		*out++ = (char)('0' + c / 100);
		*out++ = (char)('0' + c / 10 % 10);
		*out++ = (char)('0' + c % 10);
		return out;
	}
	if (strchr(".\\\"();@$", c) != NULL) /* what master files read as something else */
		*out++ = '\\';
	*out++ = (char)c;
	return out;
}

const char *dns_name_format(const struct dns_name *n, char buf[DNSNAME_TEXT_MAX])
{
	char *out = buf;
	size_t pos = 0;

	if (dns_name_is_root(n))
		*out++ = '.';
	while (pos < n->len && n->wire[pos] != 0) {
		size_t end = pos + 1 + n->wire[pos];

		if (pos > 0)
			*out++ = '.';
		for (pos++; pos < end; pos++)
			out = format_octet(out, n->wire[pos]);
	}
	*out = '\0';
	return buf;
}

int dns_name_from_wire(const uint8_t *wire, size_t len, struct dns_name *ret)
{
	struct dns_name n = { 0 };
	size_t pos = 0;

	if (len == 0 || len > DNSNAME_WIRE_MAX)
		return ERR_DNS_MALFORMED;
	while (wire[pos] != 0) {
		size_t end = pos + 1 + wire[pos];

		if (wire[pos] > LABEL_MAX || end >= len)
			return ERR_DNS_MALFORMED;
		n.wire[pos] = wire[pos];
		for (pos++; pos < end; pos++)
			n.wire[pos] = fold(wire[pos]);
	}
	if (pos + 1 != len)
		return ERR_DNS_MALFORMED;
	n.len = (uint8_t)len;
	*ret = n;
	return 0;
}

bool dns_name_is_set(const struct dns_name *n)
{
	return n->len != 0;
}

bool dns_name_is_root(const struct dns_name *n)
{
	return n->len == 1;
}

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
	return a->len == b->len && memcmp(a->wire, b->wire, a->len) == 0;
}

/* Where each label begins, the root left out. */
static size_t label_starts(const struct dns_name *n, uint8_t starts[LABELS_MAX])
{
	size_t count = 0;

	for (size_t pos = 0; pos < n->len && n->wire[pos] != 0; pos += 1u + n->wire[pos])
		starts[count++] = (uint8_t)pos;
	return count;
}

int dns_name_compare(const struct dns_name *a, const struct dns_name *b)
{
	uint8_t sa[LABELS_MAX], sb[LABELS_MAX];
	size_t na = label_starts(a, sa), nb = label_starts(b, sb);

	while (na > 0 && nb > 0) {
		const uint8_t *la = &a->wire[sa[--na]], *lb = &b->wire[sb[--nb]];
		int c = memcmp(la + 1, lb + 1, la[0] < lb[0] ? la[0] : lb[0]);

		if (c == 0)
			c = la[0] - lb[0];
		if (c != 0)
			return c;
	}
	return (na > 0) - (nb > 0);
}

bool dns_name_is_within(const struct dns_name *n, const struct dns_name *zone)
{
	size_t pos = 0;

	if (!dns_name_is_set(zone) || n->len < zone->len)
		return false;
	/* only label starts are compared, so notexample.com never matches example.com */
	while (n->len - pos > zone->len)
		pos += 1u + n->wire[pos];
	return n->len - pos == zone->len && memcmp(&n->wire[pos], zone->wire, zone->len) == 0;
}

unsigned dns_name_labels(const struct dns_name *n)
{
	uint8_t starts[LABELS_MAX];

	return (unsigned)label_starts(n, starts);
}

bool dns_name_parent(const struct dns_name *n, struct dns_name *ret)
{
	struct dns_name parent = { 0 };
	size_t first;

	if (n->len <= 1)
		return false;
	first = 1u + n->wire[0];
	parent.len = (uint8_t)(n->len - first);
	memcpy(parent.wire, &n->wire[first], parent.len);
	*ret = parent;
	return true;
}

int dns_name_prefix(const char *labels, const struct dns_name *n, struct dns_name *ret)
{
	struct dns_name out;
	size_t head;

	if (!dns_name_is_set(n) || dns_name_parse(labels, &out) != 0)
		return ERR_PARSE;
	head = out.len - 1u;
	if (head + n->len > DNSNAME_WIRE_MAX)
		return ERR_LIMIT;
	memcpy(&out.wire[head], n->wire, n->len);
	out.len = (uint8_t)(head + n->len);
	*ret = out;
	return 0;
}
