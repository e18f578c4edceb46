/**
 * Whether a zone is AD-integrated: whether its primary is a domain controller. Pure, but for what
 * is remembered.
 *
 * Every domain controller of the domain N stands at _ldap._tcp.dc._msdcs.N ([MS-ADTS] 6.3.6.1), and
 * a DNS server that keeps a zone in AD names itself as the primary in the SOA it gives. So the
 * MNAME is looked for among those records, with N the domain that the MNAME lies in, then the zone.
 * Such records alone tell nothing: BIND serves them too, for controllers that stand elsewhere.
 */
#ifndef KMSBEACON_PUBLISHER_AD_H
#define KMSBEACON_PUBLISHER_AD_H

#include "net/dnsmsg.h"

#define PUB_AD_ENTRIES_MAX 4096 /* zones remembered; further ones are asked about each time */
#define PUB_AD_KEEP_MS     3600000

/** What to ask next, and what was found. */
struct pub_ad {
	struct dns_name zone;   /* these two may be unset at first: then the SOA is asked for */
	struct dns_name mname;  /* the controller, where it is one */
	struct dns_name domain; /* PUB_AD_YES: of which AD domain */
	/* the question of PUB_AD_ASK */
	struct dns_name ask;
	uint16_t type;
	bool at_primary; /* without RD; else of the resolvers */
	/* private */
	unsigned step;
	bool has_primary, has_resolvers;
};

enum pub_ad_step { PUB_AD_ASK, PUB_AD_YES, PUB_AD_NO };

/** At most five questions follow. @p name is what the zone was looked for with. @p zone and @p
 * mname may be unset. */
enum pub_ad_step pub_ad_begin(struct pub_ad *ad, const struct dns_name *name,
			      const struct dns_name *zone, const struct dns_name *mname,
			      bool has_primary, bool has_resolvers);
/** Take in an answer; NULL: none came. */
enum pub_ad_step pub_ad_answer(struct pub_ad *ad, const struct dns_msg *m);

/** What was found out, by zone and MNAME. */
struct pub_ad_cache;
struct pub_ad_cache *pub_ad_cache_new(void); /* NULL: out of memory */
void pub_ad_cache_free(struct pub_ad_cache *c);
/** @return whether it is known; *ret_domain is unset where it is not AD-integrated. */
bool pub_ad_cache_get(struct pub_ad_cache *c, const struct dns_name *zone,
		      const struct dns_name *mname, uint64_t now_ms, struct dns_name *ret_domain);
/** @p domain may be unset. Out of memory: it is asked again next time. */
void pub_ad_cache_put(struct pub_ad_cache *c, const struct dns_name *zone,
		      const struct dns_name *mname, uint64_t now_ms, const struct dns_name *domain);

#endif
