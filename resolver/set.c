/* Pure half of lookup.h: reading answers, keeping the record of the questions. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/dns_chain.h"
#include "resolver/lookup.h"

void rsv_queries_add(struct rsv_queries *l, const struct dns_question *q,
		     const struct dns_outcome *o)
{
	struct rsv_query *grown, *e;

	if (l->n == l->cap) {
		size_t cap = l->cap == 0 ? 16 : l->cap * 2;

		grown = l->n < RSV_QUERIES_MAX ? realloc(l->q, cap * sizeof(*grown)) : NULL;
		if (grown == NULL) {
			l->left_out++;
			return;
		}
		l->q = grown;
		l->cap = cap;
	}
	e = &l->q[l->n++];
	memset(e, 0, sizeof(*e));
	e->name = q->name;
	e->type = q->type;
	e->server = o->server;
	e->err = o->err;
	e->rtt_ms = o->rtt_ms;
	e->tcp = o->tcp;
	if (o->msg != NULL) {
		e->answered = true;
		e->rcode = o->msg->rcode;
		e->answers = o->msg->count[DNS_ANSWER];
	}
}

void rsv_queries_done(struct rsv_queries *l)
{
	free(l->q);
	memset(l, 0, sizeof(*l));
}

void rsv_set_done(struct rsv_set *s)
{
	free(s->rec);
	memset(s, 0, sizeof(*s));
}

int rsv_srv_name(const struct dns_name *domain, struct dns_name *ret)
{
	return dns_name_prefix(RSV_SRV_LABELS, domain, ret);
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static bool has_ns(const struct dns_msg *m)
{
	size_t n;
	const struct dns_rr *rr = dnsmsg_section(m, DNS_AUTHORITY, &n);

	for (; n > 0; n--, rr++)
		if (rr->type == DNS_TYPE_NS && rr->rclass == DNS_CLASS_IN)
			return true;
	return false;
}

/** Walk the aliases of the answer; @p set->owner is where they end. */
static int follow_chain(const struct dns_msg *m, struct rsv_set *set)
{
	struct dns_chain c = { .name = set->owner, .ttl = set->ttl };
	int err = dns_chain_follow(&c, m, RSV_CNAME_MAX);

	set->owner = c.name;
	set->ttl = c.ttl;
	set->hops = c.hops;
	set->aliased = c.hops > 0;
	return err;
}

static bool is_set_member(const struct dns_rr *rr, const struct rsv_set *set)
{
	return rr->type == DNS_TYPE_SRV && rr->rclass == DNS_CLASS_IN &&
	       dns_name_equal(&rr->owner, &set->owner);
}

/** The SRV records at the end of the chain, "." apart. @return how many there were. */
static int collect(const struct dns_rr *rr, size_t n, struct rsv_set *set, size_t *ret_seen)
{
	size_t seen = 0;
	uint32_t first_ttl = 0;

	for (size_t i = 0; i < n; i++)
		seen += is_set_member(&rr[i], set);
	*ret_seen = seen;
	if (seen == 0)
		return 0;
	set->rec = calloc(seen, sizeof(*set->rec));
	if (set->rec == NULL)
		return ERR_NOMEM;
	seen = 0;
	for (size_t i = 0; i < n; i++) {
		if (!is_set_member(&rr[i], set))
			continue;
		if (seen++ == 0)
			first_ttl = rr[i].ttl;
		set->mixed_ttl |= rr[i].ttl != first_ttl;
		set->ttl = min_u32(set->ttl, rr[i].ttl);
		if (dns_name_is_root(&rr[i].data.srv.target)) {
			set->absent = true;
			continue;
		}
		set->rec[set->n].srv = rr[i].data.srv;
		set->rec[set->n++].ttl = rr[i].ttl;
	}
	set->n = rsv_record_canonicalize(set->rec, set->n);
	if (set->n > RSV_RECORDS_MAX) {
		set->truncated = true;
		set->n = RSV_RECORDS_MAX;
	}
	return 0;
}

static int read_answer(const struct dns_msg *m, struct rsv_set *set)
{
	size_t n_ans, seen;
	const struct dns_rr *ans = dnsmsg_section(m, DNS_ANSWER, &n_ans);
	const struct dns_rr *soa;
	int err;

	err = follow_chain(m, set);
	if (m->rcode != DNS_RCODE_NOERROR && m->rcode != DNS_RCODE_NXDOMAIN)
		return dns_rcode_err(m->rcode); /* the chain may tell why */
	if (err != 0)
		return err;
	soa = dns_chain_soa(m, DNS_AUTHORITY, &set->owner);
	if (soa != NULL) { /* RFC 2308 §5 */
		set->negative_ttl = min_u32(soa->ttl, soa->data.soa.minimum);
		set->negative_zone = soa->owner;
	}
	err = dns_rcode_err(m->rcode); /* NXDOMAIN is about the end of the chain (RFC 6604) */
	if (err != 0)
		return err;
	err = collect(ans, n_ans, set, &seen);
	if (err != 0 || seen > 0)
		return err;
	if (soa != NULL)
		return ERR_DNS_NODATA;
	if (set->aliased)
		return -EAGAIN;
	if (!m->aa && has_ns(m))
		return ERR_DNS_NOT_AUTH;
	return ERR_DNS_NODATA;
}

int rsv_set_read(const struct dns_msg *m, const struct dns_name *qname, struct rsv_set *ret)
{
	int err;

	memset(ret, 0, sizeof(*ret));
	ret->owner = *qname;
	ret->ttl = UINT32_MAX;
	err = read_answer(m, ret);
	if (ret->ttl == UINT32_MAX)
		ret->ttl = 0;
	return err;
}
