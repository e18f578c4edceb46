#include "tests/lib/fake_reply.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "tests/lib/fake_dns.h"

static void put(struct fake_reply *r, const void *data, size_t len)
{
	assert_true(r->len + len <= sizeof(r->data));
	memcpy(r->data + r->len, data, len);
	r->len += len;
}

static void put16(struct fake_reply *r, unsigned v)
{
	put(r, (const uint8_t[]){ (uint8_t)(v >> 8), (uint8_t)v }, 2);
}

static void put32(struct fake_reply *r, uint32_t v)
{
	put16(r, v >> 16);
	put16(r, v & 0xffff);
}

static void put_name(struct fake_reply *r, const char *name)
{
	while (*name != '\0' && *name != '.') {
		size_t n = strcspn(name, ".");
		uint8_t len = (uint8_t)n;

		assert_true(n <= 63);
		put(r, &len, 1);
		put(r, name, n);
		name += n;
		if (*name == '.')
			name++;
	}
	put(r, "", 1);
}

static void bump(struct fake_reply *r, size_t at)
{
	unsigned v = ((unsigned)r->data[at] << 8 | r->data[at + 1]) + 1;

	r->data[at] = (uint8_t)(v >> 8);
	r->data[at + 1] = (uint8_t)v;
}

void fake_reply_begin_bare(struct fake_reply *r, const struct fake_dns_request *rq, unsigned rcode,
			   unsigned flags)
{
	assert_true(rq->len >= 12);
	r->len = 0;
	put(r, rq->data, 2);
	put16(r, 0x8000 | ((unsigned)rq->data[2] << 8 & 0x7800) | flags | (rcode & 15));
	put(r, (const uint8_t[8]){ 0 }, 8);
}

void fake_reply_begin(struct fake_reply *r, const struct fake_dns_request *rq, unsigned rcode,
		      unsigned flags)
{
	size_t at = 12;

	fake_reply_begin_bare(r, rq, rcode, flags);
	while (at < rq->len && rq->data[at] != 0)
		at += (size_t)rq->data[at] + 1;
	at += 5;
	assert_true(at <= rq->len);
	put(r, rq->data + 12, at - 12);
	bump(r, 4);
}

void fake_reply_begin_raw(struct fake_reply *r, uint16_t id, uint16_t flags, const char *qname,
			  uint16_t qtype)
{
	r->len = 0;
	put16(r, id);
	put16(r, flags);
	put(r, (const uint8_t[8]){ 0, 1 }, 8);
	put_name(r, qname);
	put16(r, qtype);
	put16(r, DNS_CLASS_IN);
}

/** Everything of a record before its data. @return where the data's length stands. */
static size_t begin_rr(struct fake_reply *r, enum dns_section s, const char *owner, unsigned type,
		       unsigned rclass, uint32_t ttl)
{
	bump(r, 6 + 2 * (size_t)s);
	put_name(r, owner);
	put16(r, type);
	put16(r, rclass);
	put32(r, ttl);
	put16(r, 0);
	return r->len - 2;
}

static void end_rr(struct fake_reply *r, size_t at)
{
	size_t n = r->len - at - 2;

	r->data[at] = (uint8_t)(n >> 8);
	r->data[at + 1] = (uint8_t)n;
}

void fake_reply_rr(struct fake_reply *r, enum dns_section s, const char *owner, uint16_t type,
		   uint16_t rclass, uint32_t ttl, const void *rdata, size_t rdlen)
{
	size_t at = begin_rr(r, s, owner, type, rclass, ttl);

	if (rdlen > 0)
		put(r, rdata, rdlen);
	end_rr(r, at);
}

void fake_reply_a(struct fake_reply *r, enum dns_section s, const char *owner, uint32_t ttl,
		  const char *ip)
{
	struct in_addr a;

	assert_int_equal(inet_pton(AF_INET, ip, &a), 1);
	fake_reply_rr(r, s, owner, DNS_TYPE_A, DNS_CLASS_IN, ttl, &a, sizeof(a));
}

void fake_reply_aaaa(struct fake_reply *r, enum dns_section s, const char *owner, uint32_t ttl,
		     const char *ip)
{
	struct in6_addr a;

	assert_int_equal(inet_pton(AF_INET6, ip, &a), 1);
	fake_reply_rr(r, s, owner, DNS_TYPE_AAAA, DNS_CLASS_IN, ttl, &a, sizeof(a));
}

static void name_rr(struct fake_reply *r, enum dns_section s, const char *owner, unsigned type,
		    uint32_t ttl, const char *target)
{
	size_t at = begin_rr(r, s, owner, type, DNS_CLASS_IN, ttl);

	put_name(r, target);
	end_rr(r, at);
}

void fake_reply_ns(struct fake_reply *r, enum dns_section s, const char *owner, uint32_t ttl,
		   const char *target)
{
	name_rr(r, s, owner, DNS_TYPE_NS, ttl, target);
}

void fake_reply_cname(struct fake_reply *r, enum dns_section s, const char *owner, uint32_t ttl,
		      const char *target)
{
	name_rr(r, s, owner, DNS_TYPE_CNAME, ttl, target);
}

void fake_reply_srv(struct fake_reply *r, enum dns_section s, const char *owner, uint32_t ttl,
		    uint16_t priority, uint16_t weight, uint16_t port, const char *target)
{
	size_t at = begin_rr(r, s, owner, DNS_TYPE_SRV, DNS_CLASS_IN, ttl);

	put16(r, priority);
	put16(r, weight);
	put16(r, port);
	put_name(r, target);
	end_rr(r, at);
}

void fake_reply_soa(struct fake_reply *r, enum dns_section s, const char *owner, uint32_t ttl,
		    const char *mname, uint32_t serial, uint32_t minimum)
{
	size_t at = begin_rr(r, s, owner, DNS_TYPE_SOA, DNS_CLASS_IN, ttl);

	put_name(r, mname);
	put_name(r, "hostmaster.invalid");
	put32(r, serial);
	put32(r, 3600);
	put32(r, 600);
	put32(r, 86400);
	put32(r, minimum);
	end_rr(r, at);
}
