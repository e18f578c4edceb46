/* Records that a wildcard makes up look like records of the name. They end when the first real
 * record comes, and with them what the wildcard says of other names below _tcp (failure-modes U12).
 */
#include <stdio.h>
#include <stdlib.h>

#include "publisher/item.h"

/* Only where NOERROR was said of a name that we know nothing of yet: so neither a first publish
 * into an ordinary zone (NXDOMAIN) nor a steady state costs a further question. */
bool pub_item_may_be_wildcard(const struct pub_item *it)
{
	const struct pub_set *set = pub_item_set(it);

	return it->exists && it->target->n_wanted > 0 && !pub_run_withdraws(it->run) &&
	       (set == NULL || set->n_recs == 0);
}

int pub_item_sibling(const struct pub_item *it, struct dns_name *ret)
{
	struct dns_name parent;
	char label[32];

	if (!dns_name_parent(&it->zone->owner, &parent) ||
	    !dns_name_is_within(&parent, &it->zone->zone))
		return ERR_LIMIT; /* the owner is the apex, where no wildcard answers */
	(void)snprintf(label, sizeof(label), "kmsbeacon-%08x", rng_u32(it->net.rng));
	return dns_name_prefix(label, &parent, ret);
}

int pub_item_judge_sibling(struct pub_item *it, const struct dns_msg *m,
			   const struct dns_name *sibling)
{
	char owner[DNSNAME_TEXT_MAX], text[DNSNAME_TEXT_MAX];
	struct pub_read other;
	bool same;
	int err = pub_read_answer(m, sibling, &other);

	if (err != ERR_OK)
		return err;
	same = other.kind == PUB_READ_SET && other.n_seen == it->read.n_seen;
	for (size_t i = 0; same && i < other.n_seen; i++)
		same = pub_read_has(&it->read, &other.seen[i].srv);
	pub_read_done(&other);
	if (!same)
		return ERR_OK;    /* records of its own beside a wildcard */
	pub_read_done(&it->read); /* there is none, whatever was shown */
	dns_name_format(&it->zone->owner, owner);
	dns_name_format(sibling, text);
	log_warning(
		&it->run->log, "publisher.wildcard", "name=%s asked=%s text=%s", owner, text,
		"a wildcard answers for names that do not exist; it ends for the names around a "
		"record that is added");
	return pub_findings_add(
		&it->findings, FINDING_WILDCARD,
		"a wildcard answers for %s, as for any name beside it; once a record is "
		"added there, it no longer does, nor for other names below the same parent",
		owner);
}
