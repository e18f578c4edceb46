#include "publisher/ad.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "publisher/index.h"

#define DC_LABELS "_ldap._tcp.dc._msdcs"

enum { STEP_SOA, STEP_MNAME_PRIMARY, STEP_MNAME_RESOLVERS, STEP_ZONE_PRIMARY, STEP_ZONE_RESOLVERS };

/** The domain whose controllers are asked for at this step; false: there is none. */
static bool domain_of_step(const struct pub_ad *ad, struct dns_name *ret)
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

static enum pub_ad_step next_question(struct pub_ad *ad)
{
	while (++ad->step <= STEP_ZONE_RESOLVERS) {
		ad->at_primary = ad->step == STEP_MNAME_PRIMARY || ad->step == STEP_ZONE_PRIMARY;
		if (!(ad->at_primary ? ad->has_primary : ad->has_resolvers) ||
		    !domain_of_step(ad, &ad->domain) ||
		    dns_name_prefix(DC_LABELS, &ad->domain, &ad->ask) != ERR_OK)
			continue;
		ad->type = DNS_TYPE_SRV;
		return PUB_AD_ASK;
	}
	return PUB_AD_NO;
}

enum pub_ad_step pub_ad_begin(struct pub_ad *ad, const struct dns_name *name,
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
	return has_resolvers ? PUB_AD_ASK : PUB_AD_NO;
}

static enum pub_ad_step take_soa(struct pub_ad *ad, const struct dns_msg *m)
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
	return PUB_AD_NO;
}

enum pub_ad_step pub_ad_answer(struct pub_ad *ad, const struct dns_msg *m)
{
	const struct dns_rr *rrs;
	bool any = false;
	size_t n;

	if (ad->step == STEP_SOA)
		return m != NULL ? take_soa(ad, m) : PUB_AD_NO;
	if (m == NULL)
		return next_question(ad);
	rrs = dnsmsg_section(m, DNS_ANSWER, &n);
	for (size_t i = 0; i < n; i++) {
		if (rrs[i].type != DNS_TYPE_SRV || !dns_name_equal(&rrs[i].owner, &ad->ask))
			continue;
		any = true;
		if (dns_name_equal(&rrs[i].data.srv.target, &ad->mname))
			return PUB_AD_YES;
	}
	/* The controllers are others: nobody else needs to be asked about that domain. */
	if (any && ad->at_primary)
		ad->step++;
	return next_question(ad);
}

/* ---- what is known ---- */

struct entry {
	struct entry *next;
	struct dns_name domain;
	uint64_t learned_ms;
};

struct pub_ad_cache {
	struct pub_index index;
	struct entry *all;
};

struct pub_ad_cache *pub_ad_cache_new(void)
{
	return calloc(1, sizeof(struct pub_ad_cache));
}

void pub_ad_cache_free(struct pub_ad_cache *c)
{
	struct entry *next;

	if (c == NULL)
		return;
	for (struct entry *e = c->all; e != NULL; e = next) {
		next = e->next;
		free(e);
	}
	pub_index_done(&c->index);
	free(c);
}

static struct pub_key key_of(const struct dns_name *zone, const struct dns_name *mname)
{
	struct pub_key k = { 0 };

	pub_key_name(&k, zone);
	pub_key_name(&k, mname);
	return k;
}

bool pub_ad_cache_get(struct pub_ad_cache *c, const struct dns_name *zone,
		      const struct dns_name *mname, uint64_t now_ms, struct dns_name *ret_domain)
{
	struct pub_key k = key_of(zone, mname);
	const struct entry *e = pub_index_get(&c->index, &k);

	if (e == NULL || now_ms - e->learned_ms >= PUB_AD_KEEP_MS)
		return false;
	*ret_domain = e->domain;
	return true;
}

void pub_ad_cache_put(struct pub_ad_cache *c, const struct dns_name *zone,
		      const struct dns_name *mname, uint64_t now_ms, const struct dns_name *domain)
{
	struct pub_key k = key_of(zone, mname);
	struct entry *e = pub_index_get(&c->index, &k);

	if (e == NULL) {
		e = c->index.n < PUB_AD_ENTRIES_MAX ? calloc(1, sizeof(*e)) : NULL;
		if (e == NULL || pub_index_put(&c->index, &k, e) != ERR_OK) {
			free(e);
			return;
		}
		e->next = c->all;
		c->all = e;
	}
	e->domain = *domain;
	e->learned_ms = now_ms;
}
