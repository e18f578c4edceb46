/** IPv4 and IPv6 socket addresses and prefixes as values, and their text forms. */
#ifndef KMSBEACON_COMMON_ADDR_H
#define KMSBEACON_COMMON_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u;
};

struct cidr {
	struct addr net;
	unsigned prefix;
};

#define ADDR_TEXT_MAX 64 /* "[" IPv6 "%" scope "]:65535" */
#define HOST_TEXT_MAX 256

bool addr_is_set(const struct addr *a);
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
void addr_from_v4(struct addr *ret, const uint8_t ip[4], uint16_t port);
void addr_from_v6(struct addr *ret, const uint8_t ip[16], uint16_t port);
/** Copy of a kernel address; only AF_INET and AF_INET6. An IPv4-mapped IPv6 address becomes IPv4.
 */
int addr_from_sockaddr(struct addr *ret, const struct sockaddr *sa);
socklen_t addr_len(const struct addr *a);
bool addr_equal(const struct addr *a, const struct addr *b); /* with port */
bool addr_same_host(const struct addr *a, const struct addr *b);
/** Whom limits treat as one peer: one IPv4 address, or one IPv6 network of 64 bits (and scope),
 * since whoever has one address of it has them all. */
bool addr_same_peer(const struct addr *a, const struct addr *b);
bool addr_is_loopback(const struct addr *a);
bool addr_is_any(const struct addr *a);
/** Multicast, or the broadcast address of IPv4. */
bool addr_is_group(const struct addr *a);
/** RFC 1918, ULA or link-local. */
bool addr_is_private(const struct addr *a);
/** 169.254.0.0/16 or fe80::/10. */
bool addr_is_link_local(const struct addr *a);

/** "192.0.2.1", "192.0.2.1:53", "2001:db8::1", "[2001:db8::1]:53". Literals only. 0 or ERR_PARSE.
 */
int addr_parse(const char *text, uint16_t default_port, struct addr *ret);
/** With port: "192.0.2.1:53", "[2001:db8::1]:53". */
void addr_format(const struct addr *a, char buf[ADDR_TEXT_MAX]);
/** Without port or brackets. */
void addr_format_host(const struct addr *a, char buf[ADDR_TEXT_MAX]);

/** "host", "host:port", "[v6]", "[v6]:port", "v6"; a host may be a name or a literal. 0 or
 * ERR_PARSE. */
int hostport_parse(const char *text, uint16_t default_port, char ret_host[HOST_TEXT_MAX],
		   uint16_t *ret_port);

/** "host:port", with brackets around an IPv6 literal; cut at @p size. @return @p buf. */
const char *hostport_format(const char *host, uint16_t port, char *buf, size_t size);

/** "192.0.2.0/24", "2001:db8::/32", or a bare address. Host bits must be zero. 0 or ERR_PARSE. */
int cidr_parse(const char *text, struct cidr *ret);
bool cidr_contains(const struct cidr *c, const struct addr *a);
void cidr_format(const struct cidr *c, char buf[ADDR_TEXT_MAX]);

/** Of address and port, for tables of servers that we choose: not for what a peer may choose. */
uint32_t addr_hash(const struct addr *a);

#endif
