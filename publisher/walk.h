/** The walk to the zone of a name, one answer at a time. Pure. */
#ifndef KMSBEACON_PUBLISHER_WALK_H
#define KMSBEACON_PUBLISHER_WALK_H

#include "net/dnsmsg.h"

#define PUB_ALIAS_MAX 8 /* CNAMEs followed */

struct pub_walk {
	struct dns_name owner; /* where the records live, CNAMEs so far followed */
	struct dns_name ask;   /* the name whose SOA is to be asked for next */
	bool need_aa;          /* servers are asked, not resolvers */
	unsigned aliases;
	/* found: */
	struct dns_name zone;
	struct dns_soa soa;
	struct dns_name child; /* WALK_DELEGATED */
};

enum pub_walk_step {
	WALK_ASK,        /* go on: ask for the SOA of w->ask */
	WALK_FOUND,      /* zone and soa are set */
	WALK_DELEGATED,  /* the name lies in a child zone that was not followed */
	WALK_NOT_AUTH,   /* no authority where it is needed */
	WALK_ALIAS_LOOP, /* more than PUB_ALIAS_MAX */
	WALK_NO_ZONE,    /* the root was reached */
};

void pub_walk_begin(struct pub_walk *w, const struct dns_name *owner, bool need_aa);
/** Take in an answer (NOERROR or NXDOMAIN) to an SOA question for w->ask. */
enum pub_walk_step pub_walk_answer(struct pub_walk *w, const struct dns_msg *m);

#endif
