/* A resolver: asks the zones of all servers, and remembers. */

#include <stdio.h>
#include <string.h>

#include "tests/sim/dns_priv.h"

struct cached {
	char name[SIM_DNS_NAME_MAX];
	uint16_t type;
	uint64_t from_ms, until_ms;
	unsigned rcode;
	size_t n;
	struct {
		uint8_t section;
		struct sim_record r;
	} records[SIM_CACHE_RECORDS_MAX];
};

struct sim_cache {
	size_t n;
	struct cached kept[SIM_CACHE_MAX];
};

struct sim_cache *sim_cache_new(void)
{
	return sim_alloc(sizeof(struct sim_cache));
}

static bool recall(const struct sim_cache *c, const char *name, uint16_t type, uint64_t now_ms,
		   struct sim_answer *ret)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct cached *k = &c->kept[i];

		if (k->type != type || k->until_ms <= now_ms || strcmp(k->name, name) != 0)
			continue;
		ret->rcode = k->rcode;
		for (size_t r = 0; r < k->n; r++) {
			sim_answer_put(ret, k->records[r].section, &k->records[r].r);
			ret->records[r].r.ttl -= (uint32_t)((now_ms - k->from_ms) / 1000);
		}
		return true;
	}
	return false;
}

/** The one for this question, or one that has ended, or a new one, or the oldest. */
static struct cached *place(struct sim_cache *c, const char *name, uint16_t type, uint64_t now_ms)
{
	struct cached *best = NULL;

	for (size_t i = 0; i < c->n; i++) {
		struct cached *k = &c->kept[i];

		if (k->type == type && strcmp(k->name, name) == 0)
			return k;
		if (best == NULL || k->from_ms < best->from_ms)
			best = k;
	}
	if (best == NULL || (best->until_ms > now_ms && c->n < SIM_CACHE_MAX))
		best = &c->kept[c->n++];
	return best;
}

static void keep(struct sim_cache *c, const char *name, uint16_t type, uint64_t now_ms,
		 const struct sim_answer *a)
{
	uint32_t ttl = SIM_CACHE_TTL_MAX;
	struct cached *k;

	if (a->n == 0 || a->n > SIM_CACHE_RECORDS_MAX)
		return;
	for (size_t i = 0; i < a->n; i++)
		ttl = a->records[i].r.ttl < ttl ? a->records[i].r.ttl : ttl;
	k = place(c, name, type, now_ms);
	memcpy(k->name, name, strlen(name) + 1);
	k->type = type;
	k->from_ms = now_ms;
	k->until_ms = now_ms + (uint64_t)ttl * 1000;
	k->rcode = a->rcode;
	k->n = a->n;
	for (size_t i = 0; i < a->n; i++) {
		k->records[i].section = a->records[i].section;
		k->records[i].r = a->records[i].r;
	}
}

/** A server of the zone that answers, or NULL. */
static const struct sim_copy *choose(const struct sim_zone *z)
{
	const struct sim_copy *up[SIM_DNS_SERVERS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < z->n_copies; i++) {
		const struct sim_dns_ways *w = &z->copies[i].server->ways;

		if (!w->down && !w->silent && w->query_rcode == 0)
			up[n++] = &z->copies[i];
	}
	return n > 0 ? up[rng_below(sim_rng(), (uint32_t)n)] : NULL;
}

/** Nobody has the name: the root says so. */
static void put_root(struct sim_answer *ret)
{
	struct sim_record soa;

	sim_record_make(&soa, "", T_SOA, 86400,
			"a.root-servers.net nstld.verisign-grs.com 2026010500 1800 900 604800 "
			"86400");
	ret->rcode = R_NXDOMAIN;
	sim_answer_put(ret, S_AUTHORITY, &soa);
}

static void drop_referral(struct sim_answer *a)
{
	while (a->n > 0 && a->records[a->n - 1].section != S_ANSWER)
		a->n--;
}

static void ask(const struct sim_dns_server *s, const char *name, uint16_t type,
		struct sim_answer *ret)
{
	char at[SIM_DNS_NAME_MAX];

	memcpy(at, name, strlen(name) + 1);
	for (unsigned chain = 0; chain < SIM_CHAIN_MAX; chain++) {
		const struct sim_zone *z = sim_dns_zone_for(NULL, at, false, NULL, &s->at);
		const struct sim_copy *c = z != NULL ? choose(z) : NULL;
		char end[SIM_DNS_NAME_MAX];

		if (z == NULL) {
			put_root(ret);
			return;
		}
		if (c != NULL) {
			sim_query_answer(c, at, type, false, ret);
			snprintf(end, sizeof(end), "%.255s", sim_answer_end(ret, at));
		}
		if (c == NULL || (ret->referral && strcmp(end, at) == 0)) {
			ret->n = 0; /* half a chain is no answer */
			ret->rcode = R_SERVFAIL;
			return;
		}
		if (type == T_CNAME || (!ret->referral && sim_name_in(end, z->apex)))
			return;
		ret->referral = false;
		drop_referral(ret);
		memcpy(at, end, sizeof(at));
	}
}

void sim_resolve(struct sim_dns_server *s, const char *name, uint16_t type, uint64_t now_ms,
		 struct sim_answer *ret)
{
	if (s->cache != NULL && recall(s->cache, name, type, now_ms, ret))
		return;
	ask(s, name, type, ret);
	ret->aa = false;
	if (s->cache != NULL && ret->rcode != R_SERVFAIL)
		keep(s->cache, name, type, now_ms, ret);
}
