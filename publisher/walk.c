#include "publisher/walk.h"

#include <string.h>

#include "net/dns_chain.h"

void pub_walk_begin(struct pub_walk *w, const struct dns_name *owner, bool need_aa)
{
	memset(w, 0, sizeof(*w));
	w->owner = *owner;
	w->ask = *owner;
	w->need_aa = need_aa;
}

static const struct dns_rr *find(const struct dns_msg *m, enum dns_section s, uint16_t type,
				 const struct dns_name *owner)
{
	size_t n;
	const struct dns_rr *rrs = dnsmsg_section(m, s, &n);

	for (size_t i = 0; i < n; i++)
		if (rrs[i].type == type && rrs[i].rclass == DNS_CLASS_IN &&
		    (owner == NULL || dns_name_equal(&rrs[i].owner, owner)))
			return &rrs[i];
	return NULL;
}

static enum pub_walk_step go_up(struct pub_walk *w)
{
	struct dns_name parent;

	if (dns_name_labels(&w->ask) <= 1 || !dns_name_parent(&w->ask, &parent))
		return WALK_NO_ZONE;
	w->ask = parent;
	return WALK_ASK;
}

static bool follow(struct pub_walk *w, const struct dns_msg *m)
{
	struct dns_chain c = { .name = w->owner, .hops = w->aliases };
	int err = dns_chain_follow(&c, m, PUB_ALIAS_MAX);

	w->owner = c.name;
	w->aliases = c.hops;
	return err == 0;
}

static enum pub_walk_step found(struct pub_walk *w, const struct dns_rr *soa)
{
	w->zone = soa->owner;
	w->soa = soa->data.soa;
	return WALK_FOUND;
}

enum pub_walk_step pub_walk_answer(struct pub_walk *w, const struct dns_msg *m)
{
	bool upwards = !dns_name_equal(&w->ask, &w->owner);
	unsigned aliases = w->aliases;
	const struct dns_rr *soa, *ns;

	if (upwards && find(m, DNS_ANSWER, DNS_TYPE_CNAME, &w->ask) != NULL)
		return go_up(w); /* an alias above the name says nothing of the name */
	if (!upwards && !follow(w, m))
		return WALK_ALIAS_LOOP;
	if (!upwards)
		w->ask = w->owner;
	if (m->aa || !w->need_aa) {
		soa = find(m, DNS_ANSWER, DNS_TYPE_SOA, &w->ask);
		if (soa == NULL) /* RFC 2308 §3: a negative answer names the zone it is from */
			soa = find(m, DNS_AUTHORITY, DNS_TYPE_SOA, NULL);
		if (soa != NULL && dns_name_is_within(&w->ask, &soa->owner))
			return found(w, soa);
	}
	if (w->aliases != aliases)
		return WALK_ASK;
	ns = find(m, DNS_AUTHORITY, DNS_TYPE_NS, NULL);
	if (ns != NULL && !m->aa && m->count[DNS_ANSWER] == 0 && !dns_name_is_root(&ns->owner) &&
	    dns_name_is_within(&w->ask, &ns->owner)) {
		w->child = ns->owner;
		return WALK_DELEGATED;
	}
	if (w->need_aa && !m->aa)
		return WALK_NOT_AUTH;
	return go_up(w);
}
