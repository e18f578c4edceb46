/**
 * A zone for fake_dns: rows of records, and answers as an authoritative server or a resolver gives
 * them. Tests change rows, serial and flags between questions.
 *
 *	static const struct auth_row rows[] = {
 *		{ "_vlmcs._tcp.corp.example", DNS_TYPE_SRV, "kms1.corp.example", .port = 1688 },
 *		{ "kms1.corp.example", DNS_TYPE_A, "127.0.0.1", .ttl = 60 },
 *	};
 *	struct auth_zone z = { .apex = "corp.example", .rows = rows, .n_rows = 2 };
 */
#ifndef KMSBEACON_TESTS_LIB_AUTH_ZONE_H
#define KMSBEACON_TESTS_LIB_AUTH_ZONE_H

#include "tests/lib/fake_dns.h"

struct auth_row {
	const char *owner;               /* lower case, without trailing dot */
	uint16_t type;                   /* A, AAAA, NS, CNAME, SRV */
	const char *data;                /* address or name */
	uint16_t port, priority, weight; /* SRV */
	uint32_t ttl;                    /* 0: 3600 */
};

struct auth_zone {
	const char *apex; /* names outside are REFUSED; "." takes everything */
	const char *mname;
	uint32_t serial;
	uint32_t minimum; /* of the SOA; 0: 900 */
	const struct auth_row *rows;
	size_t n_rows;
	bool not_authoritative; /* AA=0, RA=1: a resolver */
	unsigned rcode;         /* not 0: the answer to everything */
	bool silent;
	const char *silent_for; /* this name gets no answer */
	unsigned srv_questions; /* counted */
	unsigned questions;
};

/** The on_message of a fake_dns whose ctx is the zone. */
fake_dns_fn auth_zone_serve;
/** A server on a free port of @p ip (NULL: 127.0.0.1) for @p z. */
struct fake_dns *auth_zone_start(struct test_net *t, const char *ip, uint16_t port,
				 struct auth_zone *z);

#endif
