/** Answers from a table, for fakes that shall behave: the question's records, NODATA or NXDOMAIN
 * with the SOA. */
#ifndef KMSBEACON_TESTS_LIB_FAKE_ZONE_H
#define KMSBEACON_TESTS_LIB_FAKE_ZONE_H

#include "tests/lib/fake_dns.h"

struct fake_record {
	const char *owner; /* lower case, no trailing dot */
	uint16_t type;
	uint32_t ttl;
	const char
		*data; /* "0 0 1688 kms1.corp.example", "192.0.2.1", a name; SOA: "MNAME SERIAL" */
};

struct fake_zone {
	const char *origin; /* SOA owner of negative answers; NULL: they carry none */
	const struct fake_record *records;
	size_t n_records;
	unsigned flags;     /* FAKE_AA or FAKE_RA */
	bool follow_cnames; /* as a resolver does */
};

/** The answer of @p z to @p rq, unsigned. */
void fake_zone_reply(struct fake_reply *r, const struct fake_dns_request *rq,
		     const struct fake_zone *z);
/** Append one record of the table. */
void fake_zone_record(struct fake_reply *r, enum dns_section s, const struct fake_record *rec);

#endif
