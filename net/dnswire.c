#include "net/dnswire.h"

#include <string.h>

#include "common/err.h"

#define POINTER_BITS 0xc0u

uint16_t dnswire_u16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

uint32_t dnswire_u32(const uint8_t *at)
{
	return (uint32_t)dnswire_u16(at) << 16 | dnswire_u16(at + 2);
}

int dnswire_header(struct dnswire *w, struct dnswire_header *ret)
{
	const uint8_t *at;

	if (w->len - w->pos < DNSWIRE_HEADER)
		return ERR_DNS_MALFORMED;
	at = w->msg + w->pos;
	ret->id = dnswire_u16(at);
	ret->flags = dnswire_u16(at + 2);
	ret->qd = dnswire_u16(at + 4);
	ret->an = dnswire_u16(at + 6);
	ret->ns = dnswire_u16(at + 8);
	ret->ar = dnswire_u16(at + 10);
	w->pos += DNSWIRE_HEADER;
	return 0;
}

/*
 * The pointer at @p pos, which must lead to before @p lowest, where the name so far began, and not
 * into the header: its ID and counts change on the way, and the name would with them.
 */
static int follow_pointer(const struct dnswire *w, size_t pos, size_t *lowest)
{
	size_t target;

	if (w->len - pos < 2)
		return ERR_DNS_MALFORMED;
	target = dnswire_u16(w->msg + pos) & 0x3fffu;
	if (target >= *lowest || target < DNSWIRE_HEADER)
		return ERR_DNS_MALFORMED;
	*lowest = target;
	return 0;
}

int dnswire_name_raw(struct dnswire *w, struct dns_name *ret, uint8_t wire[DNSNAME_WIRE_MAX])
{
	size_t n = 0, pos = w->pos, lowest = w->pos, after = 0;
	unsigned hops = 0;

	for (;;) {
		size_t label;

		if (pos >= w->len)
			return ERR_DNS_MALFORMED;
		label = w->msg[pos];
		if ((label & POINTER_BITS) == POINTER_BITS) {
			if (++hops > DNSWIRE_HOPS_MAX || follow_pointer(w, pos, &lowest) != 0)
				return ERR_DNS_MALFORMED;
			if (after == 0)
				after = pos + 2;
			pos = lowest;
			continue;
		}
		if ((label & POINTER_BITS) != 0 || label >= w->len - pos ||
		    n + 1 + label > DNSNAME_WIRE_MAX)
			return ERR_DNS_MALFORMED;
		memcpy(&wire[n], w->msg + pos, 1 + label);
		n += 1 + label;
		pos += 1 + label;
		if (label == 0)
			break;
	}
	w->pos = after != 0 ? after : pos;
	return dns_name_from_wire(wire, n, ret);
}

int dnswire_name(struct dnswire *w, struct dns_name *ret)
{
	uint8_t wire[DNSNAME_WIRE_MAX];

	return dnswire_name_raw(w, ret, wire);
}

int dnswire_question(struct dnswire *w, struct dns_name *ret_name, uint16_t *ret_type,
		     uint16_t *ret_class)
{
	struct dnswire at = *w;

	if (dnswire_name(&at, ret_name) != 0 || at.len - at.pos < 4)
		return ERR_DNS_MALFORMED;
	*ret_type = dnswire_u16(at.msg + at.pos);
	*ret_class = dnswire_u16(at.msg + at.pos + 2);
	w->pos = at.pos + 4;
	return 0;
}

int dnswire_rr(struct dnswire *w, struct dnswire_rr *ret)
{
	struct dnswire at = *w;
	const uint8_t *fixed;
	size_t rdlen;

	if (dnswire_name(&at, &ret->owner) != 0 || at.len - at.pos < 10)
		return ERR_DNS_MALFORMED;
	fixed = at.msg + at.pos;
	rdlen = dnswire_u16(fixed + 8);
	if (at.len - at.pos - 10 < rdlen)
		return ERR_DNS_MALFORMED;
	ret->type = dnswire_u16(fixed);
	ret->rclass = dnswire_u16(fixed + 2);
	ret->ttl = dnswire_u32(fixed + 4);
	ret->start = w->pos;
	ret->rdata = at.pos + 10;
	ret->end = ret->rdata + rdlen;
	w->pos = ret->end;
	return 0;
}
