/**
 * A domain name as a value: wire form (RFC 1035 §3.1), lower case, never compressed, root included.
 *
 * Names compare without case (RFC 4343), so they are folded when they come in; what BIND stored in
 * capitals is still matched by what we send, because servers compare without case too.
 */
#ifndef KMSBEACON_NET_DNSNAME_H
#define KMSBEACON_NET_DNSNAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNSNAME_WIRE_MAX 255
#define DNSNAME_TEXT_MAX 1025 /* every octet escaped as \DDD, and a terminator */

struct dns_name {
	uint8_t len; /* 1 .. 255, the root label's zero byte included; 0 means "no name" */
	uint8_t wire[DNSNAME_WIRE_MAX];
};

/** Text with or without trailing dot, with \. and \DDD escapes. "." is the root. 0 or ERR_PARSE. */
int dns_name_parse(const char *text, struct dns_name *ret);
/** Lower case, without trailing dot; the root is ".". @return buf, so that it can stand in an
 * argument. */
const char *dns_name_format(const struct dns_name *n, char buf[DNSNAME_TEXT_MAX]);
/** From uncompressed wire bytes that a peer sent. 0 or ERR_DNS_MALFORMED. */
int dns_name_from_wire(const uint8_t *wire, size_t len, struct dns_name *ret);

bool dns_name_is_set(const struct dns_name *n);
bool dns_name_is_root(const struct dns_name *n);
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);
/** Canonical order (RFC 4034 §6.1). */
int dns_name_compare(const struct dns_name *a, const struct dns_name *b);
/** Whether @p n is @p zone or below it, by whole labels: notexample.com is not below example.com.
 */
bool dns_name_is_within(const struct dns_name *n, const struct dns_name *zone);
unsigned dns_name_labels(const struct dns_name *n); /* the root label not counted */
/** Without its first label. false for the root. */
bool dns_name_parent(const struct dns_name *n, struct dns_name *ret);
/** @p labels, such as "_vlmcs._tcp", put in front of @p n. 0, ERR_PARSE, or ERR_LIMIT past 255
 * octets. */
int dns_name_prefix(const char *labels, const struct dns_name *n, struct dns_name *ret);

#endif
