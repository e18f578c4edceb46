/**
 * The chain of aliases in one answer: CNAME (RFC 1034 §3.6.2) and DNAME (RFC 6672). Pure.
 *
 * A server puts the CNAME that a DNAME makes into its answer; one that leaves it out is understood
 * all the same. Records may stand in any order.
 */
#ifndef KMSBEACON_NET_DNS_CHAIN_H
#define KMSBEACON_NET_DNS_CHAIN_H

#include "net/dnsmsg.h"

struct dns_chain {
	struct dns_name name; /* in: where to begin; out: the end, about which the answer is */
	unsigned hops;        /* aliases followed, over all answers of a lookup */
	uint32_t ttl;         /* seconds; lowered to the smallest on the way */
};

/**
 * Follow as far as the answer section of @p m leads.
 * @return 0; ERR_DNS_CNAME_LOOP past @p max hops, which ends loops too; ERR_RCODE_YXDOMAIN where a
 *         DNAME makes a name of more than 255 octets (RFC 6672 §2.2).
 */
int dns_chain_follow(struct dns_chain *c, const struct dns_msg *m, unsigned max);
/** The SOA in that section of a zone that may hold @p name; NULL: none. With one in the authority
 * section a server says "no" about the name; that of another zone, which the chain left, says
 * nothing about its end (RFC 2308 §2). */
const struct dns_rr *dns_chain_soa(const struct dns_msg *m, enum dns_section s,
				   const struct dns_name *name);

#endif
