/* Part of audit_judge.h: the set as a whole. */
#include <stdlib.h>
#include <string.h>

#include "resolver/audit_judge.h"

#define TTL_LONG_S 86400

/** The distinct hosts of the set, by the index of their first record. */
struct hosts {
	size_t *at;
	size_t n, down;
};

static int find_hosts(const struct rsv_audit_result *r, struct hosts *h)
{
	h->at = calloc(r->n_records + 1, sizeof(*h->at));
	if (h->at == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < r->n_records; i++) {
		bool again = rsv_is_absence(&r->records[i]);

		for (size_t k = 0; k < i && !again; k++)
			again = rsv_record_same_host(&r->records[k].rec, &r->records[i].rec);
		if (again)
			continue;
		h->at[h->n++] = i;
		h->down += rsv_is_down(&r->records[i]);
	}
	return 0;
}

/* ---- hosts ----------------------------------------------------------------------------------- */

/** Whether two names lead to the same addresses and port: one machine, by all we can see. */
static bool same_machine(const struct rsv_audit_record *a, const struct rsv_audit_record *b)
{
	const struct rsv_target_result *x = &a->target, *y = &b->target;

	if (!a->known || !b->known || x->n_addrs == 0 || x->n_addrs != y->n_addrs ||
	    a->rec.srv.port != b->rec.srv.port)
		return false;
	for (size_t i = 0; i < x->n_addrs; i++) {
		bool found = false;

		for (size_t k = 0; k < y->n_addrs; k++)
			found |= addr_same_host(&x->addrs[i], &y->addrs[k]);
		if (!found)
			return false;
	}
	return true;
}

static bool one_machine(const struct rsv_audit_result *r, const struct hosts *h)
{
	for (size_t i = 1; i < h->n; i++)
		if (!same_machine(&r->records[h->at[0]], &r->records[h->at[i]]))
			return false;
	return h->n > 0;
}

static bool one_priority(const struct rsv_audit_result *r, const struct hosts *h)
{
	for (size_t i = 0; i < r->n_records; i++)
		if (!rsv_is_absence(&r->records[i]) &&
		    r->records[i].rec.srv.priority != r->records[h->at[0]].rec.srv.priority)
			return false;
	return true;
}

static bool has(const struct rsv_audit_result *r, enum finding_id id)
{
	for (size_t i = 0; i < r->n_findings; i++)
		if (r->findings[i].id == id)
			return true;
	return false;
}

static int about_hosts(struct rsv_audit_result *r, const struct rsv_judge_input *in,
		       const struct hosts *h)
{
	char text[DNSNAME_TEXT_MAX], end[DNSNAME_TEXT_MAX];
	bool unasked = in->unasked && in->n_own == 0;

	dns_name_format(&r->domain, text);
	if (r->n_records == 0 && !has(r, FINDING_MISSING) && !unasked && in->alias_end != NULL)
		return rsv_finding_add(r, FINDING_NO_RECORDS,
				       "no SRV record for %.200s, to which _vlmcs._tcp.%.200s "
				       "leads as an alias",
				       dns_name_format(in->alias_end, end), text);
	if (r->n_records == 0 && !has(r, FINDING_MISSING) && !unasked)
		return rsv_finding_add(r, FINDING_NO_RECORDS,
				       "no SRV record for _vlmcs._tcp.%.200s", text);
	if (h->n == 0)
		return 0;
	if (h->down == h->n && h->n == 1)
		return rsv_finding_add(r, FINDING_ALL_DOWN, "the only host of %.200s is not up",
				       text);
	if (h->down == h->n)
		return rsv_finding_add(r, FINDING_ALL_DOWN, "none of the %zu hosts of %.200s is up",
				       h->n, text);
	if (h->n == 1)
		return rsv_finding_add(r, FINDING_SINGLE_HOST, "%.200s has one host", text);
	if (one_machine(r, h))
		return rsv_finding_add(r, FINDING_SINGLE_HOST,
				       "the %zu hosts of %.200s have one address and port", h->n,
				       text);
	if (h->n - h->down > 1 && one_priority(r, h))
		return rsv_finding_add(r, FINDING_EQUAL_PRIORITIES,
				       "all %zu hosts of %.200s have priority %u: each must reach "
				       "its own count",
				       h->n, text, (unsigned)r->records[h->at[0]].rec.srv.priority);
	return 0;
}

/** Inside addresses that anybody may ask for: the name server that shows them is on a public one.
 */
static int about_private(struct rsv_audit_result *r, const struct rsv_server_view *ref,
			 const struct hosts *h)
{
	char name[DNSNAME_TEXT_MAX], addr[ADDR_TEXT_MAX], at[ADDR_TEXT_MAX];
	const struct rsv_audit_record *first = NULL;
	size_t n = 0;

	if (ref->role != RSV_ROLE_NS || addr_is_private(&ref->addr) || addr_is_loopback(&ref->addr))
		return 0;
	for (size_t i = 0; i < h->n; i++) {
		const struct rsv_audit_record *c = &r->records[h->at[i]];
		bool private = false;

		for (size_t k = 0; k < c->target.n_addrs; k++) {
			const struct addr *x = &c->target.addrs[k];

			if (!addr_is_private(x) || addr_is_link_local(x))
				continue;
			if (first == NULL)
				addr_format_host(x, addr);
			private = true;
		}
		if (private && n++ == 0)
			first = c;
	}
	if (first == NULL)
		return 0;
	addr_format_host(&ref->addr, at);
	dns_name_format(&first->rec.srv.target, name);
	if (n == 1)
		return rsv_finding_add(r, FINDING_PRIVATE_ADDRESS,
				       "%.200s has the private address %s, and %s shows it", name,
				       addr, at);
	return rsv_finding_add(r, FINDING_PRIVATE_ADDRESS,
			       "%zu hosts have private addresses (%.200s: %s), and %s shows them",
			       n, name, addr, at);
}

/* ---- set ------------------------------------------------------------------------------------- */

/** Only of a server with authority: a resolver counts down. */
static int about_ttl(struct rsv_audit_result *r, const struct rsv_server_view *ref)
{
	if (!ref->aa || ref->set.n == 0)
		return 0;
	if (ref->set.ttl == 0)
		return rsv_finding_add(r, FINDING_TTL_ZERO, "no resolver may keep the set: TTL 0");
	if (ref->set.ttl > TTL_LONG_S)
		return rsv_finding_add(r, FINDING_TTL_LONG, "the TTL is %u s, more than a day",
				       ref->set.ttl);
	return 0;
}

static int about_suffixes(struct rsv_audit_result *r, const struct rsv_set *set)
{
	char name[DNSNAME_TEXT_MAX], own[DNSNAME_TEXT_MAX];

	dns_name_format(&r->domain, own);
	for (size_t i = 0; i < r->n_suffixes && r->n_records > 0; i++) {
		const struct rsv_suffix_view *x = &r->suffixes[i];

		if (x->err != 0 || x->set.n == 0 || rsv_same_set(&x->set, set))
			continue;
		dns_name_format(&x->domain, name);
		if (i < r->suffix_at)
			return rsv_finding_add(r, FINDING_SUFFIXES_DIFFER,
					       "%.200s comes first in the search list, with "
					       "another set",
					       name);
		return rsv_finding_add(r, FINDING_SUFFIXES_DIFFER,
				       "%.200s comes later in the search list, with another set",
				       name);
	}
	return 0;
}

/** How the name came to its records. */
static int about_name(struct rsv_audit_result *r, const struct rsv_judge_input *in)
{
	const struct rsv_set *set = &r->servers[in->reference].set;
	char text[DNSNAME_TEXT_MAX], end[DNSNAME_TEXT_MAX];
	int err = 0;

	dns_name_format(&r->domain, text);
	if (set->absent)
		err = rsv_finding_add(r, FINDING_ABSENT_BY_DOT,
				      "_vlmcs._tcp.%.200s has a record with the target \".\"",
				      text);
	if (err == 0 && r->wildcard)
		err = rsv_finding_add(r, FINDING_WILDCARD,
				      "a wildcard answers for _vlmcs._tcp.%.200s, as for any name "
				      "beside it",
				      text);
	else if (err == 0 && in->alias_end != NULL)
		err = rsv_finding_add(r, FINDING_ALIASED,
				      "_vlmcs._tcp.%.200s is an alias that leads to %.200s", text,
				      dns_name_format(in->alias_end, end));
	if (err == 0 && set->truncated)
		err = rsv_finding_add(r, FINDING_TOO_MANY,
				      "only the first %d records are looked at", RSV_RECORDS_MAX);
	return err;
}

int rsv_judge_set(struct rsv_audit_result *r, const struct rsv_judge_input *in)
{
	const struct rsv_server_view *ref = &r->servers[in->reference];
	struct hosts h = { 0 };
	int err = find_hosts(r, &h);

	if (err == 0)
		err = about_name(r, in);
	if (err == 0)
		err = about_hosts(r, in, &h);
	if (err == 0)
		err = about_private(r, ref, &h);
	if (err == 0)
		err = about_ttl(r, ref);
	if (err == 0)
		err = about_suffixes(r, &ref->set);
	free(h.at);
	return err;
}
