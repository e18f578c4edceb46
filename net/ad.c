#include "net/ad.h"

#include <string.h>

#include "common/err.h"

#define DC_LABELS "_ldap._tcp.dc._msdcs"

enum { STEP_SOA, STEP_MNAME_PRIMARY, STEP_MNAME_RESOLVERS, STEP_ZONE_PRIMARY, STEP_ZONE_RESOLVERS };

/** The domain whose controllers are asked for at this step; false: there is none. */
static bool domain_of_step(const struct net_ad *ad, struct dns_name *ret)
{
	struct dns_name parent;
	bool has_parent = dns_name_parent(&ad->mname, &parent) && !dns_name_is_root(&parent);

	if (ad->step <= STEP_MNAME_RESOLVERS) {
		if (has_parent)
			*ret = parent;
		return has_parent;
	}
	if (!dns_name_is_set(&ad->zone) || dns_name_is_root(&ad->zone) ||
	    (has_parent && dns_name_equal(&ad->zone, &parent)))
		return false;
	*ret = ad->zone;
	return true;
}

static enum net_ad_step next_question(struct net_ad *ad)
{
	while (++ad->step <= STEP_ZONE_RESOLVERS) {
		ad->at_primary = ad->step == STEP_MNAME_PRIMARY || ad->step == STEP_ZONE_PRIMARY;
		if (!(ad->at_primary ? ad->has_primary : ad->has_resolvers) ||
		    !domain_of_step(ad, &ad->domain) ||
		    dns_name_prefix(DC_LABELS, &ad->domain, &ad->ask) != ERR_OK)
			continue;
		ad->type = DNS_TYPE_SRV;
		return NET_AD_ASK;
	}
	return NET_AD_NO;
}

enum net_ad_step net_ad_begin(struct net_ad *ad, const struct dns_name *name,
			      const struct dns_name *zone, const struct dns_name *mname,
			      bool has_primary, bool has_resolvers)
{
	memset(ad, 0, sizeof(*ad));
	ad->zone = *zone;
	ad->mname = *mname;
	ad->has_primary = has_primary;
	ad->has_resolvers = has_resolvers;
	if (dns_name_is_set(mname))
		return next_question(ad);
	ad->ask = *name;
	ad->type = DNS_TYPE_SOA;
	return has_resolvers ? NET_AD_ASK : NET_AD_NO;
}

static enum net_ad_step take_soa(struct net_ad *ad, const struct dns_msg *m)
{
	static const enum dns_section sections[] = { DNS_ANSWER, DNS_AUTHORITY };

	for (size_t s = 0; s < 2; s++) {
		size_t n;
		const struct dns_rr *rrs = dnsmsg_section(m, sections[s], &n);

		for (size_t i = 0; i < n; i++) {
			if (rrs[i].type != DNS_TYPE_SOA ||
			    !dns_name_is_within(&ad->ask, &rrs[i].owner))
				continue;
			ad->zone = rrs[i].owner;
			ad->mname = rrs[i].data.soa.mname;
			return next_question(ad);
		}
	}
	return NET_AD_NO;
}

enum net_ad_step net_ad_answer(struct net_ad *ad, const struct dns_msg *m)
{
	const struct dns_rr *rrs;
	bool any = false;
	size_t n;

	if (ad->step == STEP_SOA)
		return m != NULL ? take_soa(ad, m) : NET_AD_NO;
	if (m == NULL)
		return next_question(ad);
	rrs = dnsmsg_section(m, DNS_ANSWER, &n);
	for (size_t i = 0; i < n; i++) {
		if (rrs[i].type != DNS_TYPE_SRV || !dns_name_equal(&rrs[i].owner, &ad->ask))
			continue;
		any = true;
		if (dns_name_equal(&rrs[i].data.srv.target, &ad->mname))
			return NET_AD_YES;
	}
	/* The controllers are others: nobody else needs to be asked about that domain. */
	if (any && ad->at_primary)
		ad->step++;
	return next_question(ad);
}
