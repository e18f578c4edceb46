/**
 * Bounded reading of DNS wire bytes: header, names, questions and the frame of a record (RFC 1035
 * §4). Shared by dnsmsg.c and tsig.c; nothing else needs it.
 *
 * Both want what libldns does not give: its names follow up to 65,535 compression pointers each, so
 * that one message can cost seconds, and TSIG needs the place of a record in the bytes as received.
 * Here a pointer must go backwards, not into the header, and DNSWIRE_HOPS_MAX of them make one
 * name.
 */
#ifndef KMSBEACON_NET_DNSWIRE_H
#define KMSBEACON_NET_DNSWIRE_H

#include <stddef.h>
#include <stdint.h>

#include "net/dnsname.h"

#define DNSWIRE_HEADER   12
#define DNSWIRE_RR_MIN   11  /* root owner, type, class, TTL, RDLENGTH */
#define DNSWIRE_HOPS_MAX 127 /* as many as a name has labels */

/** A place in borrowed bytes. After a failure `pos` is where it was before the call. */
struct dnswire {
	const uint8_t *msg;
	size_t len;
	size_t pos;
};

struct dnswire_header {
	uint16_t id;
	uint16_t flags;
	uint16_t qd, an, ns, ar;
};

/** The frame of one record: offsets into the message. */
struct dnswire_rr {
	struct dns_name owner;
	uint16_t type;
	uint16_t rclass;
	uint32_t ttl; /* as it stands there */
	size_t start, rdata, end;
};

#define DNSWIRE_QR(flags)     (((flags)&0x8000u) != 0)
#define DNSWIRE_OPCODE(flags) (((flags) >> 11) & 0xfu)
#define DNSWIRE_AA(flags)     (((flags)&0x0400u) != 0)
#define DNSWIRE_TC(flags)     (((flags)&0x0200u) != 0)
#define DNSWIRE_RD(flags)     (((flags)&0x0100u) != 0)
#define DNSWIRE_RA(flags)     (((flags)&0x0080u) != 0)
#define DNSWIRE_RCODE(flags)  ((flags)&0xfu)

uint16_t dnswire_u16(const uint8_t *at);
uint32_t dnswire_u32(const uint8_t *at);

/** Each returns 0 or ERR_DNS_MALFORMED, and moves on past what it read. */
int dnswire_header(struct dnswire *w, struct dnswire_header *ret);
/** A name, compressed or not; @p ret is folded and uncompressed. */
int dnswire_name(struct dnswire *w, struct dns_name *ret);
/** The same, and in @p raw its octets (ret->len of them) with the case that was sent. */
int dnswire_name_raw(struct dnswire *w, struct dns_name *ret, uint8_t raw[DNSNAME_WIRE_MAX]);
int dnswire_question(struct dnswire *w, struct dns_name *ret_name, uint16_t *ret_type,
		     uint16_t *ret_class);
int dnswire_rr(struct dnswire *w, struct dnswire_rr *ret);

#endif
