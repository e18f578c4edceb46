/** Which zones are AD-integrated (net/ad.h), remembered: a daemon that is refused tries again and
 * again. */
#ifndef KMSBEACON_PUBLISHER_AD_CACHE_H
#define KMSBEACON_PUBLISHER_AD_CACHE_H

#include "net/dnsname.h"

#define PUB_AD_ENTRIES_MAX 4096 /* zones remembered; further ones are asked about each time */
#define PUB_AD_KEEP_MS     3600000

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
