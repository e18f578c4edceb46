/**
 * Codes that are no HRESULTs but that an administrator meets in the same logs: DNS response codes,
 * TSIG errors, statuses of DCE/RPC faults, reasons of a refused RPC bind, KMS events. One table, in
 * the manner of common/hresult.h; `kmsbeacon explain` reads both.
 */
#ifndef KMSBEACON_COMMON_CODES_H
#define KMSBEACON_COMMON_CODES_H

#include <stddef.h>
#include <stdint.h>

enum code_family {
	CODE_DNS,    /* RCODE of a response header, with its extension by EDNS (RFC 6895) */
	CODE_TSIG,   /* error of a TSIG record (RFC 8945 section 3) */
	CODE_FAULT,  /* status of a DCE/RPC fault (C706 appendix E) */
	CODE_NAK,    /* reason of a bind_nak (C706 12.6.4.5) */
	CODE_REJECT, /* reason why an RPC context was rejected (C706 12.6.4.4) */
	CODE_STATUS, /* flags in the second field of events 12288 and 12289 */
	CODE_EVENT,  /* id of a KMS event */
	CODE_FAMILY_COUNT_,
};
/** "DNS response code", "TSIG error" ... */
const char *code_family_name(enum code_family f);

struct code_info {
	enum code_family family;
	uint32_t code;
	const char *name; /* "NXDOMAIN", "nca_s_unk_if"; an event's is its number */
	const char *meaning;
	const char *cause;
	const char *next_step;
};

size_t codes_count(void);
/** The table, by family; NULL behind the last. Static. */
const struct code_info *codes_at(size_t i);

#endif
