/*
 * The answer path of discovery and audit: whatever a server sends, the set that is read is bounded,
 * in canonical order and complete in itself; its draw is a permutation; probabilities add up to 1;
 * a zone that is found holds the name.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "net/dns_chain.h"
#include "resolver/zone.h"
#include "tests/fuzz/fuzz.h"

static void check_draw(struct rsv_set *s, size_t size)
{
	double *p = calloc(s->n, sizeof(*p)), sum = 0;
	uint64_t before = 0, after = 0;
	struct rng rng;

	FUZZ_CHECK(p != NULL);
	rng_init_seed(&rng, size);
	for (unsigned profile = 0; profile < RSV_PROFILE_COUNT_; profile++) {
		rsv_probability(s->rec, s->n, (enum rsv_profile)profile, p);
		sum = 0;
		for (size_t i = 0; i < s->n; i++)
			sum += p[i];
		FUZZ_CHECK(sum > 0.999999 && sum < 1.000001);
		before = after = 0;
		for (size_t i = 0; i < s->n; i++)
			before += s->rec[i].srv.port * 7u + s->rec[i].srv.weight;
		rsv_order(s->rec, s->n, (enum rsv_profile)profile, &rng);
		for (size_t i = 0; i < s->n; i++)
			after += s->rec[i].srv.port * 7u + s->rec[i].srv.weight;
		FUZZ_CHECK(before == after);
	}
	free(p);
}

static bool has_srv(const struct rsv_set *s, const struct dns_srv *srv)
{
	for (size_t i = 0; i < s->n; i++)
		if (dns_srv_equal(&s->rec[i].srv, srv))
			return true;
	return false;
}

/** The set is what stands at its owner, all of it and nothing else. */
static void check_complete(const struct dns_msg *m, const struct rsv_set *s, int err)
{
	size_t n, members = 0;
	const struct dns_rr *rr = dnsmsg_section(m, DNS_ANSWER, &n);

	for (size_t i = 0; i < n; i++) {
		if (rr[i].type != DNS_TYPE_SRV || rr[i].rclass != DNS_CLASS_IN ||
		    !dns_name_equal(&rr[i].owner, &s->owner))
			continue;
		members++;
		if (err != 0)
			continue;
		FUZZ_CHECK(dns_name_is_root(&rr[i].data.srv.target)
				   ? s->absent
				   : s->truncated || has_srv(s, &rr[i].data.srv));
	}
	FUZZ_CHECK(s->n <= members && (err != 0 || members > 0));
}

static void check_set(const struct dns_msg *m, size_t size)
{
	struct rsv_set s;
	int err = rsv_set_read(m, &m->qname, &s);

	FUZZ_CHECK(s.n <= RSV_RECORDS_MAX && s.hops <= RSV_CNAME_MAX + 1);
	FUZZ_CHECK(dns_name_is_set(&s.owner));
	if (err != 0)
		FUZZ_CHECK(s.n == 0);
	else
		FUZZ_CHECK(s.n > 0 || s.absent);
	if (err == -EAGAIN)
		FUZZ_CHECK(s.aliased);
	for (size_t i = 0; i < s.n; i++) {
		FUZZ_CHECK(!dns_name_is_root(&s.rec[i].srv.target));
		FUZZ_CHECK(s.rec[i].ttl >= s.ttl);
		FUZZ_CHECK(i == 0 || rsv_record_compare(&s.rec[i - 1], &s.rec[i]) < 0);
	}
	check_complete(m, &s, err);
	if (s.n > 0)
		check_draw(&s, size);
	rsv_set_done(&s);
}

/** Wherever aliases lead, it is a name. */
static void check_chain(const struct dns_msg *m)
{
	struct dns_chain c = { .name = m->qname, .ttl = UINT32_MAX };
	int err = dns_chain_follow(&c, m, RSV_CNAME_MAX);
	struct dns_name again;

	FUZZ_CHECK(err == 0 || err == ERR_DNS_CNAME_LOOP || err == ERR_RCODE_YXDOMAIN);
	FUZZ_CHECK(c.hops <= RSV_CNAME_MAX + 1);
	FUZZ_CHECK(dns_name_from_wire(c.name.wire, c.name.len, &again) == 0);
	FUZZ_CHECK(dns_name_equal(&again, &c.name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_name owner, zone, mname;
	struct dns_msg *m = NULL;

	if (dnsmsg_parse(data, size, &m) != 0)
		return 0;
	if (m->has_question) {
		check_set(m, size);
		check_chain(m);
		owner = m->qname;
		if (rsv_zone_read(m, &owner, &zone, &mname) == 0)
			FUZZ_CHECK(dns_name_is_within(&owner, &zone) && !dns_name_is_root(&zone));
	}
	dnsmsg_free(m);
	return 0;
}
