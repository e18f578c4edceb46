#include "net/addr_select.h"

#include <netinet/in.h>
#include <string.h>

/* Scopes of RFC 4291 section 2.7; IPv4 addresses have them too (RFC 6724 section 3.2). */
enum { SCOPE_LINK = 0x2, SCOPE_SITE = 0x5, SCOPE_GLOBAL = 0xe };

/* RFC 6724 section 2.1; the longest matching prefix counts, so long ones come first. */
static const struct {
	uint8_t prefix[16];
	unsigned bits;
	int precedence;
	int label;
} policy[] = {
	{ { [15] = 1 }, 128, 50, 0 },                /* ::1 */
	{ { [10] = 0xff, [11] = 0xff }, 96, 35, 4 }, /* ::ffff:0:0/96, IPv4 */
	{ { 0 }, 96, 1, 3 },                         /* ::/96, IPv4-compatible, deprecated */
	{ { 0x20, 0x01, 0x00, 0x00 }, 32, 5, 5 },    /* Teredo */
	{ { 0x20, 0x02 }, 16, 30, 2 },               /* 6to4 */
	{ { 0x3f, 0xfe }, 16, 1, 12 },               /* 6bone, ended */
	{ { 0xfe, 0xc0 }, 10, 1, 11 },               /* site-local, deprecated */
	{ { 0xfc }, 7, 3, 13 },                      /* ULA */
	{ { 0 }, 0, 40, 1 },                         /* the rest */
};

/** As IPv6, IPv4 mapped: the table knows no others. */
static void as_v6(const struct addr *a, uint8_t ret[16])
{
	memset(ret, 0, 16);
	if (a->u.sa.sa_family == AF_INET6) {
		memcpy(ret, a->u.in6.sin6_addr.s6_addr, 16);
		return;
	}
	ret[10] = ret[11] = 0xff;
	memcpy(ret + 12, &a->u.in.sin_addr, 4);
}

static unsigned common_bits(const uint8_t a[16], const uint8_t b[16], unsigned most)
{
	unsigned n = 0;

	while (n < most && ((unsigned)(a[n / 8] ^ b[n / 8]) & (0x80u >> (n % 8))) == 0)
		n++;
	return n;
}

static size_t policy_of(const struct addr *a)
{
	uint8_t ip[16];
	size_t i = 0;

	as_v6(a, ip);
	while (common_bits(ip, policy[i].prefix, policy[i].bits) < policy[i].bits)
		i++;
	return i; /* the last row matches all */
}

static int scope_of(const struct addr *a)
{
	uint8_t ip[16];

	as_v6(a, ip);
	if (a->u.sa.sa_family == AF_INET) /* loopback and 169.254/16 are link-local */
		return ip[12] == 127 || (ip[12] == 169 && ip[13] == 254) ? SCOPE_LINK
									 : SCOPE_GLOBAL;
	if (ip[0] == 0xff)
		return ip[1] & 0x0f;
	if (IN6_IS_ADDR_LOOPBACK(&a->u.in6.sin6_addr) || (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80))
		return SCOPE_LINK;
	if (ip[0] == 0xfe && (ip[1] & 0xc0) == 0xc0)
		return SCOPE_SITE;
	return SCOPE_GLOBAL;
}

/** Less than 0 where @p a has it and @p b has not. */
static int prefer(bool a, bool b)
{
	return (int)b - (int)a;
}

static unsigned matching_prefix(const struct addr_route *r)
{
	uint8_t dst[16], src[16];

	as_v6(&r->dst, dst);
	as_v6(&r->src, src);
	return common_bits(dst, src, 64);
}

int addr_select_compare(const struct addr_route *a, const struct addr_route *b)
{
	bool way_a = addr_is_set(&a->src), way_b = addr_is_set(&b->src);
	size_t pa = policy_of(&a->dst), pb = policy_of(&b->dst);
	int sa = scope_of(&a->dst), sb = scope_of(&b->dst);
	int c = prefer(way_a, way_b); /* rule 1 */

	if (c == 0 && way_a) /* rule 2 */
		c = prefer(sa == scope_of(&a->src), sb == scope_of(&b->src));
	if (c == 0 && way_a) /* rule 5 */
		c = prefer(policy[pa].label == policy[policy_of(&a->src)].label,
			   policy[pb].label == policy[policy_of(&b->src)].label);
	if (c == 0) /* rule 6 */
		c = policy[pb].precedence - policy[pa].precedence;
	if (c == 0) /* rule 8 */
		c = sa - sb;
	if (c == 0 && way_a && a->dst.u.sa.sa_family == AF_INET6 &&
	    b->dst.u.sa.sa_family == AF_INET6) /* rule 9 */
		c = (int)matching_prefix(b) - (int)matching_prefix(a);
	return c;
}

void addr_select_order(struct addr_route *r, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct addr_route x = r[i];
		size_t at = i;

		for (; at > 0 && addr_select_compare(&x, &r[at - 1]) < 0; at--)
			r[at] = r[at - 1];
		r[at] = x;
	}
}
