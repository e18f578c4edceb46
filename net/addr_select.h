/**
 * The order in which the addresses of a host are tried: destination address selection of RFC 6724
 * section 6, with the policy table of its section 2.1. Pure.
 *
 * Rules 1 (avoid what cannot be reached), 2 (matching scope), 5 (matching label), 6 (precedence), 8
 * (smaller scope), 9 (longest matching prefix) and 10 (else as given). Left out, since the kernel
 * chooses the source address and does not tell these of it: 3 (deprecated), 4 (home address), 7
 * (native transport). Rule 9 is for IPv6 alone and within the 64 bits of a network: for IPv4, and
 * inside a network, it would undo the rotation that the DNS server gave the addresses.
 */
#ifndef KMSBEACON_NET_ADDR_SELECT_H
#define KMSBEACON_NET_ADDR_SELECT_H

#include <stddef.h>

#include "common/addr.h"

struct addr_route {
	struct addr dst;
	struct addr src; /* that packets to it would come from; unset: there is no way to it */
};

/** The better one first, equal ones as they are. @p n is small: this is an insertion sort. */
void addr_select_order(struct addr_route *r, size_t n);
/** Less than 0: @p a goes before @p b. */
int addr_select_compare(const struct addr_route *a, const struct addr_route *b);

#endif
