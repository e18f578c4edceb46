/** What an answer to the SRV question at the owner says. Pure. */
#ifndef KMSBEACON_PUBLISHER_READ_H
#define KMSBEACON_PUBLISHER_READ_H

#include "net/dnsmsg.h"
#include "publisher/explain.h"
#include "publisher/plan.h"

enum pub_read_kind {
	PUB_READ_SET,       /* the records, perhaps none */
	PUB_READ_CNAME,     /* the name is an alias; other: of what */
	PUB_READ_DELEGATED, /* a referral; other: the child zone */
	PUB_READ_NOT_AUTH,  /* an answer without AA: from a cache or a forwarder */
	PUB_READ_LARGE,     /* more than PUB_SEEN_MAX */
};

struct pub_read {
	enum pub_read_kind kind;
	struct pub_seen *seen;
	size_t n_seen;
	uint32_t ttl_s;          /* the smallest; 0: no record */
	uint32_t negative_ttl_s; /* no record: how long that is remembered (RFC 2308 §5); 0: not
				    told */
	struct dns_name other;
};

/** @p m has RCODE NOERROR or NXDOMAIN. 0 or ERR_NOMEM; pub_read_done() in any case. */
int pub_read_answer(const struct dns_msg *m, const struct dns_name *owner, struct pub_read *ret);
/** 0 or ERR_NOMEM. */
int pub_read_copy(const struct pub_read *r, struct pub_read *ret);
void pub_read_done(struct pub_read *r);
/** Why what was read cannot be worked with; PUB_BLOCK_NONE for a set. */
enum pub_block pub_read_block(const struct pub_read *r);
bool pub_read_has(const struct pub_read *r, const struct dns_srv *srv);

#endif
