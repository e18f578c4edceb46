#include "common/addr.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"

bool addr_is_set(const struct addr *a)
{
	return a->u.sa.sa_family == AF_INET || a->u.sa.sa_family == AF_INET6;
}

uint16_t addr_port(const struct addr *a)
{
	switch (a->u.sa.sa_family) {
	case AF_INET:
		return ntohs(a->u.in.sin_port);
	case AF_INET6:
		return ntohs(a->u.in6.sin6_port);
	default:
		return 0;
	}
}

void addr_set_port(struct addr *a, uint16_t port)
{
	if (a->u.sa.sa_family == AF_INET)
		a->u.in.sin_port = htons(port);
	else if (a->u.sa.sa_family == AF_INET6)
		a->u.in6.sin6_port = htons(port);
}

void addr_from_v4(struct addr *ret, const uint8_t ip[4], uint16_t port)
{
	memset(ret, 0, sizeof(*ret));
	ret->u.in.sin_family = AF_INET;
	ret->u.in.sin_port = htons(port);
	memcpy(&ret->u.in.sin_addr, ip, 4);
}

void addr_from_v6(struct addr *ret, const uint8_t ip[16], uint16_t port)
{
	memset(ret, 0, sizeof(*ret));
	ret->u.in6.sin6_family = AF_INET6;
	ret->u.in6.sin6_port = htons(port);
	memcpy(&ret->u.in6.sin6_addr, ip, 16);
}

int addr_from_sockaddr(struct addr *ret, const struct sockaddr *sa)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	switch (sa->sa_family) {
	case AF_INET:
		memcpy(&in, sa, sizeof(in));
		addr_from_v4(ret, (const uint8_t *)&in.sin_addr, ntohs(in.sin_port));
		return 0;
	case AF_INET6:
		memcpy(&in6, sa, sizeof(in6));
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
			addr_from_v4(ret, in6.sin6_addr.s6_addr + 12, ntohs(in6.sin6_port));
			return 0;
		}
		addr_from_v6(ret, in6.sin6_addr.s6_addr, ntohs(in6.sin6_port));
		ret->u.in6.sin6_scope_id = in6.sin6_scope_id;
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

socklen_t addr_len(const struct addr *a)
{
	switch (a->u.sa.sa_family) {
	case AF_INET:
		return sizeof(a->u.in);
	case AF_INET6:
		return sizeof(a->u.in6);
	default:
		return 0;
	}
}

/* The bytes of the address and how many; 0 where it is unset. */
static size_t raw_bytes(const struct addr *a, const uint8_t **ret)
{
	switch (a->u.sa.sa_family) {
	case AF_INET:
		*ret = (const uint8_t *)&a->u.in.sin_addr;
		return 4;
	case AF_INET6:
		*ret = a->u.in6.sin6_addr.s6_addr;
		return 16;
	default:
		*ret = NULL;
		return 0;
	}
}

/* Whether the first @p bits of both are equal. */
static bool prefix_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool addr_same_host(const struct addr *a, const struct addr *b)
{
	const uint8_t *pa, *pb;
	size_t n = raw_bytes(a, &pa);

	if (n != raw_bytes(b, &pb))
		return false;
	if (n == 16 && a->u.in6.sin6_scope_id != b->u.in6.sin6_scope_id)
		return false;
	return n == 0 || memcmp(pa, pb, n) == 0;
}

bool addr_same_peer(const struct addr *a, const struct addr *b)
{
	if (a->u.sa.sa_family != AF_INET6 || b->u.sa.sa_family != AF_INET6)
		return addr_same_host(a, b);
	return a->u.in6.sin6_scope_id == b->u.in6.sin6_scope_id &&
	       memcmp(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr, 8) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return addr_same_host(a, b) && addr_port(a) == addr_port(b);
}

bool addr_is_loopback(const struct addr *a)
{
	const uint8_t *ip;

	if (a->u.sa.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&a->u.in6.sin6_addr);
	return raw_bytes(a, &ip) == 4 && ip[0] == 127;
}

bool addr_is_any(const struct addr *a)
{
	if (a->u.sa.sa_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&a->u.in6.sin6_addr);
	return a->u.sa.sa_family == AF_INET && a->u.in.sin_addr.s_addr == htonl(INADDR_ANY);
}

bool addr_is_group(const struct addr *a)
{
	if (a->u.sa.sa_family == AF_INET6)
		return IN6_IS_ADDR_MULTICAST(&a->u.in6.sin6_addr);
	return a->u.sa.sa_family == AF_INET && (IN_MULTICAST(ntohl(a->u.in.sin_addr.s_addr)) ||
						a->u.in.sin_addr.s_addr == htonl(INADDR_BROADCAST));
}

struct short_net {
	size_t len; /* of the address */
	uint8_t start[2];
	unsigned bits;
};

static bool in_one_of(const struct addr *a, const struct short_net *nets, size_t n)
{
	const uint8_t *ip;
	size_t len = raw_bytes(a, &ip);

	for (size_t i = 0; i < n && len > 0; i++)
		if (nets[i].len == len && prefix_equal(nets[i].start, ip, nets[i].bits))
			return true;
	return false;
}

bool addr_is_link_local(const struct addr *a)
{
	static const struct short_net nets[] = { { 4, { 169, 254 }, 16 },
						 { 16, { 0xfe, 0x80 }, 10 } };

	return in_one_of(a, nets, sizeof(nets) / sizeof(nets[0]));
}

bool addr_is_private(const struct addr *a)
{
	static const struct short_net nets[] = {
		{ 4, { 10, 0 }, 8 },
		{ 4, { 172, 16 }, 12 },
		{ 4, { 192, 168 }, 16 },
		{ 16, { 0xfc, 0 }, 7 },
	};

	return in_one_of(a, nets, sizeof(nets) / sizeof(nets[0])) || addr_is_link_local(a);
}

/* Decimal without sign, blanks or leading zeros, 0 .. max. */
static bool parse_decimal(const char *text, unsigned max, unsigned *ret)
{
	unsigned n = 0;

	if (!isdigit((unsigned char)*text) || (text[0] == '0' && text[1] != '\0'))
		return false;
	for (; isdigit((unsigned char)*text); text++) {
		n = n * 10 + (unsigned)(*text - '0');
		if (n > max)
			return false;
	}
	*ret = n;
	return *text == '\0';
}

static bool parse_port(const char *text, uint16_t *ret)
{
	unsigned n;

	if (!parse_decimal(text, 65535, &n))
		return false;
	*ret = (uint16_t)n;
	return true;
}

int hostport_parse(const char *text, uint16_t default_port, char ret_host[HOST_TEXT_MAX],
		   uint16_t *ret_port)
{
	const char *host = text, *port = NULL;
	size_t len = strlen(text);
	const char *colon = strchr(text, ':');

	if (text[0] == '[') {
		const char *close = strchr(text, ']');

		if (close == NULL)
			return ERR_PARSE;
		host = text + 1;
		len = (size_t)(close - host);
		if (close[1] == ':')
			port = close + 2;
		else if (close[1] != '\0')
			return ERR_PARSE;
		if (memchr(host, ':', len) == NULL)
			return ERR_PARSE; /* brackets are for IPv6 */
	} else if (colon != NULL && strchr(colon + 1, ':') == NULL) {
		len = (size_t)(colon - host);
		port = colon + 1;
	}
	if (len == 0 || len >= HOST_TEXT_MAX)
		return ERR_PARSE;
	for (size_t i = 0; i < len; i++)
		if (host[i] == '[' || host[i] == ']' || !isgraph((unsigned char)host[i]))
			return ERR_PARSE;
	*ret_port = default_port;
	if (port != NULL && !parse_port(port, ret_port))
		return ERR_PARSE;
	memcpy(ret_host, host, len);
	ret_host[len] = '\0';
	return 0;
}

/* "fe80::1%eth0" or "fe80::1%2": the scope is a name of this machine or a number. */
static bool parse_v6(char *host, struct addr *ret)
{
	char *scope = strchr(host, '%');
	unsigned id = 0;

	if (scope != NULL) {
		*scope++ = '\0';
		id = if_nametoindex(scope);
		if (id == 0 && (!parse_decimal(scope, INT32_MAX, &id) || id == 0))
			return false;
	}
	if (inet_pton(AF_INET6, host, &ret->u.in6.sin6_addr) != 1)
		return false;
	ret->u.in6.sin6_family = AF_INET6;
	ret->u.in6.sin6_scope_id = id;
	return true;
}

int addr_parse(const char *text, uint16_t default_port, struct addr *ret)
{
	char host[HOST_TEXT_MAX];
	struct addr a = { 0 };
	uint16_t port;

	if (hostport_parse(text, default_port, host, &port) != 0)
		return ERR_PARSE;
	if (strchr(host, ':') != NULL) {
		if (!parse_v6(host, &a))
			return ERR_PARSE;
	} else {
		if (inet_pton(AF_INET, host, &a.u.in.sin_addr) != 1)
			return ERR_PARSE;
		a.u.in.sin_family = AF_INET;
	}
	addr_set_port(&a, port);
	*ret = a;
	return 0;
}

void addr_format_host(const struct addr *a, char buf[ADDR_TEXT_MAX])
{
	size_t len;

	if (a->u.sa.sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &a->u.in.sin_addr, buf, ADDR_TEXT_MAX);
	} else if (a->u.sa.sa_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &a->u.in6.sin6_addr, buf, ADDR_TEXT_MAX);
		len = strlen(buf);
		/* As a number: the interface may be gone, and the number is short. */
		if (a->u.in6.sin6_scope_id != 0)
			(void)snprintf(buf + len, ADDR_TEXT_MAX - len, "%%%u",
				       a->u.in6.sin6_scope_id);
	} else {
		(void)snprintf(buf, ADDR_TEXT_MAX, "-");
	}
}

void addr_format(const struct addr *a, char buf[ADDR_TEXT_MAX])
{
	char host[ADDR_TEXT_MAX];

	addr_format_host(a, host);
	if (!addr_is_set(a))
		(void)snprintf(buf, ADDR_TEXT_MAX, "%s", host);
	else if (a->u.sa.sa_family == AF_INET6)
		(void)snprintf(buf, ADDR_TEXT_MAX, "[%.55s]:%u", host, addr_port(a));
	else
		(void)snprintf(buf, ADDR_TEXT_MAX, "%.55s:%u", host, addr_port(a));
}

static bool host_bits_are_zero(const uint8_t *p, size_t len, unsigned prefix)
{
	for (size_t bit = prefix; bit < len * 8; bit++)
		if ((p[bit / 8] & (0x80u >> (bit % 8))) != 0)
			return false;
	return true;
}

const char *hostport_format(const char *host, uint16_t port, char *buf, size_t size)
{
	(void)snprintf(buf, size, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host,
		       (unsigned)port);
	return buf;
}

int cidr_parse(const char *text, struct cidr *ret)
{
	char host[ADDR_TEXT_MAX];
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	struct cidr c;
	const uint8_t *raw;
	unsigned bits;

	if (len == 0 || len >= sizeof(host))
		return ERR_PARSE;
	memcpy(host, text, len);
	host[len] = '\0';
	/* A port, brackets or a scope belong to an address, not to a network. */
	if (strpbrk(host, "[]%") != NULL || addr_parse(host, 0, &c.net) != 0)
		return ERR_PARSE;
	if (c.net.u.sa.sa_family == AF_INET && strchr(host, ':') != NULL)
		return ERR_PARSE;
	bits = (unsigned)raw_bytes(&c.net, &raw) * 8;
	c.prefix = bits;
	if (slash != NULL && !parse_decimal(slash + 1, bits, &c.prefix))
		return ERR_PARSE;
	if (!host_bits_are_zero(raw, bits / 8, c.prefix))
		return ERR_PARSE;
	*ret = c;
	return 0;
}

bool cidr_contains(const struct cidr *c, const struct addr *a)
{
	const uint8_t *net, *ip;
	size_t n = raw_bytes(&c->net, &net);

	return n != 0 && raw_bytes(a, &ip) == n && prefix_equal(net, ip, c->prefix);
}

void cidr_format(const struct cidr *c, char buf[ADDR_TEXT_MAX])
{
	char host[ADDR_TEXT_MAX];

	addr_format_host(&c->net, host);
	(void)snprintf(buf, ADDR_TEXT_MAX, "%.55s/%u", host, c->prefix);
}

uint32_t addr_hash(const struct addr *a)
{
	const uint8_t *ip = (const uint8_t *)&a->u.in.sin_addr;
	size_t len = sizeof(a->u.in.sin_addr);
	uint32_t h = 2166136261u ^ addr_port(a);

	if (a->u.sa.sa_family == AF_INET6) {
		ip = (const uint8_t *)&a->u.in6.sin6_addr;
		len = sizeof(a->u.in6.sin6_addr);
	}
	for (size_t i = 0; i < len; i++) /* FNV-1a */
		h = (h ^ ip[i]) * 16777619u;
	return h;
}
