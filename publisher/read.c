#include "publisher/read.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"

static void find_referral(const struct dns_msg *m, const struct dns_name *owner,
			  struct pub_read *ret)
{
	size_t n;
	const struct dns_rr *rrs = dnsmsg_section(m, DNS_AUTHORITY, &n);

	ret->kind = PUB_READ_NOT_AUTH;
	for (size_t i = 0; i < n; i++) {
		if (rrs[i].type != DNS_TYPE_NS || dns_name_is_root(&rrs[i].owner) ||
		    !dns_name_is_within(owner, &rrs[i].owner))
			continue;
		ret->kind = PUB_READ_DELEGATED;
		ret->other = rrs[i].owner;
	}
}

static uint32_t negative_ttl(const struct dns_msg *m)
{
	size_t n;
	const struct dns_rr *rrs = dnsmsg_section(m, DNS_AUTHORITY, &n);

	for (size_t i = 0; i < n; i++)
		if (rrs[i].type == DNS_TYPE_SOA)
			return rrs[i].ttl < rrs[i].data.soa.minimum ? rrs[i].ttl
								    : rrs[i].data.soa.minimum;
	return 0;
}

int pub_read_answer(const struct dns_msg *m, const struct dns_name *owner, struct pub_read *ret)
{
	size_t n;
	const struct dns_rr *rrs = dnsmsg_section(m, DNS_ANSWER, &n);

	memset(ret, 0, sizeof(*ret));
	if (!m->aa) {
		find_referral(m, owner, ret);
		return ERR_OK;
	}
	ret->seen = calloc(n > 0 ? n : 1, sizeof(*ret->seen));
	if (ret->seen == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		struct pub_seen *s = &ret->seen[ret->n_seen];

		if (rrs[i].rclass != DNS_CLASS_IN || !dns_name_equal(&rrs[i].owner, owner))
			continue;
		if (rrs[i].type == DNS_TYPE_CNAME) {
			ret->kind = PUB_READ_CNAME;
			ret->other = rrs[i].data.name;
			return ERR_OK;
		}
		if (rrs[i].type != DNS_TYPE_SRV || pub_read_has(ret, &rrs[i].data.srv))
			continue;
		if (ret->n_seen >= PUB_SEEN_MAX) {
			ret->kind = PUB_READ_LARGE;
			return ERR_OK;
		}
		s->srv = rrs[i].data.srv;
		s->ttl_s = rrs[i].ttl;
		if (ret->n_seen == 0 || s->ttl_s < ret->ttl_s)
			ret->ttl_s = s->ttl_s;
		ret->n_seen++;
	}
	if (ret->n_seen == 0)
		ret->negative_ttl_s = negative_ttl(m);
	return ERR_OK;
}

int pub_read_copy(const struct pub_read *r, struct pub_read *ret)
{
	*ret = *r;
	ret->seen = calloc(r->n_seen > 0 ? r->n_seen : 1, sizeof(*ret->seen));
	if (ret->seen == NULL) {
		ret->n_seen = 0;
		return ERR_NOMEM;
	}
	if (r->n_seen > 0)
		memcpy(ret->seen, r->seen, r->n_seen * sizeof(*ret->seen));
	return ERR_OK;
}

void pub_read_done(struct pub_read *r)
{
	free(r->seen);
	memset(r, 0, sizeof(*r));
}

bool pub_read_has(const struct pub_read *r, const struct dns_srv *srv)
{
	for (size_t i = 0; i < r->n_seen; i++)
		if (dns_srv_equal(&r->seen[i].srv, srv))
			return true;
	return false;
}

enum pub_block pub_read_block(const struct pub_read *r)
{
	static const enum pub_block blocks[] = {
		[PUB_READ_SET] = PUB_BLOCK_NONE,
		[PUB_READ_CNAME] = PUB_BLOCK_CNAME,
		[PUB_READ_DELEGATED] = PUB_BLOCK_DELEGATED,
		[PUB_READ_NOT_AUTH] = PUB_BLOCK_NOT_AUTH,
		[PUB_READ_LARGE] = PUB_BLOCK_LARGE,
	};

	return blocks[r->kind];
}
