/**
 * Whether a zone is AD-integrated: whether its primary is a domain controller. Pure.
 *
 * Every domain controller of the domain N stands at _ldap._tcp.dc._msdcs.N ([MS-ADTS] 6.3.6.1), and
 * a DNS server that keeps a zone in AD names itself as the primary in the SOA it gives. So the
 * MNAME is looked for among those records, with N the domain that the MNAME lies in, then the zone.
 * Such records alone tell nothing: BIND serves them too, for controllers that stand elsewhere.
 */
#ifndef KMSBEACON_NET_AD_H
#define KMSBEACON_NET_AD_H

#include "net/dnsmsg.h"

/** What to ask next, and what was found. */
struct net_ad {
	struct dns_name zone;   /* these two may be unset at first: then the SOA is asked for */
	struct dns_name mname;  /* the controller, where it is one */
	struct dns_name domain; /* NET_AD_YES: of which AD domain */
	/* the question of NET_AD_ASK */
	struct dns_name ask;
	uint16_t type;
	bool at_primary; /* without RD; else of the resolvers */
	/* private */
	unsigned step;
	bool has_primary, has_resolvers;
};

enum net_ad_step { NET_AD_ASK, NET_AD_YES, NET_AD_NO };

/** At most five questions follow. @p name is what the zone was looked for with. @p zone and @p
 * mname may be unset. */
enum net_ad_step net_ad_begin(struct net_ad *ad, const struct dns_name *name,
			      const struct dns_name *zone, const struct dns_name *mname,
			      bool has_primary, bool has_resolvers);
/** Take in an answer; NULL: none came. */
enum net_ad_step net_ad_answer(struct net_ad *ad, const struct dns_msg *m);

#endif
