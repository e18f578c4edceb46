/** DNS replies for tests, written byte by byte: nothing of net/ is used, so nothing can agree with
 * its own mistake. */
#ifndef KMSBEACON_TESTS_LIB_FAKE_REPLY_H
#define KMSBEACON_TESTS_LIB_FAKE_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "net/dnsmsg.h"

struct fake_dns_request;

enum { FAKE_AA = 0x0400, FAKE_TC = 0x0200, FAKE_RD = 0x0100, FAKE_RA = 0x0080 };

struct fake_reply {
	size_t len;
	uint8_t data[DNSMSG_MAX];
};

/** Header (QR, the request's ID and opcode, @p flags, @p rcode) and the request's question. */
void fake_reply_begin(struct fake_reply *r, const struct fake_dns_request *rq, unsigned rcode,
		      unsigned flags);
/** Header only, as some servers answer errors and UPDATE. */
void fake_reply_begin_bare(struct fake_reply *r, const struct fake_dns_request *rq, unsigned rcode,
			   unsigned flags);
/** A message of one's own: any ID, flags with QR and opcode, one question. */
void fake_reply_begin_raw(struct fake_reply *r, uint16_t id, uint16_t flags, const char *qname,
			  uint16_t qtype);

/* Sections must come in order. Names are text without escapes; "." is the root. */
void fake_reply_a(struct fake_reply *r, enum dns_section s, const char *owner, uint32_t ttl,
		  const char *ip);
void fake_reply_aaaa(struct fake_reply *r, enum dns_section s, const char *owner, uint32_t ttl,
		     const char *ip);
void fake_reply_ns(struct fake_reply *r, enum dns_section s, const char *owner, uint32_t ttl,
		   const char *target);
void fake_reply_cname(struct fake_reply *r, enum dns_section s, const char *owner, uint32_t ttl,
		      const char *target);
void fake_reply_srv(struct fake_reply *r, enum dns_section s, const char *owner, uint32_t ttl,
		    uint16_t priority, uint16_t weight, uint16_t port, const char *target);
void fake_reply_soa(struct fake_reply *r, enum dns_section s, const char *owner, uint32_t ttl,
		    const char *mname, uint32_t serial, uint32_t minimum);
/** Any record. */
void fake_reply_rr(struct fake_reply *r, enum dns_section s, const char *owner, uint16_t type,
		   uint16_t rclass, uint32_t ttl, const void *rdata, size_t rdlen);

#endif
