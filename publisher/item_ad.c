/* After a refusal: is it that the zone is kept in Active Directory, which takes only GSS-TSIG? Or
 * that the configured server is a secondary, to which nobody gave the key? */
#include <stdlib.h>

#include "publisher/item.h"

#define ASK_TOTAL_MS 2000 /* for each question */

static bool told_by_rcode(unsigned rcode)
{
	switch (rcode) {
	case DNS_RCODE_FORMERR:
	case DNS_RCODE_NOTIMP:
	case DNS_RCODE_REFUSED:
	case DNS_RCODE_NOTAUTH:
	case DNS_RCODE_BADSIG:
	case DNS_RCODE_BADKEY:
		return true;
	default:
		return false;
	}
}

/* Only where the primary said no, as a domain controller does to those without a ticket, and where
 * a dry run would otherwise promise what will be refused. */
static bool matters(const struct pub_item *it)
{
	const struct pub_result *r = it->result;
	bool of_primary = it->failed_at != PUB_STAGE_HOST &&
			  (it->failed_at != PUB_STAGE_WALK || it->target->n_servers > 0);

	if (it->ad_asked || pub_item_worked_before(it))
		return false;
	if (r->state == PUB_PLANNED)
		return it->plan.n_changes > 0;
	if (r->state == PUB_REFUSED)
		return of_primary && r->has_rcode && told_by_rcode(r->rcode);
	return r->state == PUB_UNREACHABLE && of_primary && r->err == ERR_TSIG_UNSIGNED;
}

static void tell(struct pub_item *it, const struct dns_name *zone, const struct dns_name *mname,
		 const struct dns_name *domain)
{
	char z[DNSNAME_TEXT_MAX], m[DNSNAME_TEXT_MAX], d[DNSNAME_TEXT_MAX];

	if (!dns_name_is_set(domain))
		return;
	dns_name_format(zone, z);
	dns_name_format(mname, m);
	dns_name_format(domain, d);
	(void)pub_findings_add(&it->findings, FINDING_AD_INTEGRATED,
			       "the primary of %s, %s, is a domain controller of %s", z, m, d);
	if (it->result->state != PUB_PLANNED)
		pub_explain_ad(z, m, it->result->hint);
}

/* ---- a secondary ---- */

/* Of a zone that was found, explain.c knows by itself. */
static bool may_be_secondary(const struct pub_item *it)
{
	const struct pub_result *r = it->result;

	return it->zone == NULL && it->target->n_servers > 0 && addr_is_set(&r->addr) &&
	       dns_name_is_set(&it->ad->mname) &&
	       (r->rcode == DNS_RCODE_BADKEY || r->rcode == DNS_RCODE_NOTAUTH);
}

static void tell_secondary(struct pub_item *it, const struct host_lookup_result *primary)
{
	struct addr *asked = &it->result->addr;
	char m[DNSNAME_TEXT_MAX], d[DNSNAME_TEXT_MAX];

	for (size_t i = 0; i < primary->n_addrs; i++)
		if (addr_same_host(&primary->addrs[i], asked))
			return;
	if (primary->n_addrs > 0)
		pub_explain_secondary(dns_name_format(&it->ad->mname, m),
				      dns_name_format(&it->target->domain, d), it->result->hint);
}

static void on_primary(struct pub_hosts_wait *w, const struct host_lookup_result *r)
{
	struct pub_item *it = w->owner;

	tell_secondary(it, r);
	pub_item_end(it);
}

/** @return whether an answer comes later, with the item's end. */
static bool look_up_primary(struct pub_item *it)
{
	const struct host_lookup_result *r;
	char name[DNSNAME_TEXT_MAX];

	it->primary_wait.owner = it;
	r = pub_hosts_get(it->run->hosts, &it->net, dns_name_format(&it->ad->mname, name),
			  addr_port(&it->result->addr), NULL, 0,
			  pub_run_left_ms(it->run, ASK_TOTAL_MS), &it->primary_wait, on_primary);
	if (r != NULL)
		tell_secondary(it, r);
	return r == NULL;
}

/* ---- the questions ---- */

static void ask(struct pub_turn *t);

static void go_on(struct pub_item *it, enum net_ad_step step)
{
	struct net_ad *ad = it->ad;
	uint64_t now_ms = clock_mono_ms(it->net.clock);
	struct dns_name domain = { 0 };
	bool known = dns_name_is_set(&ad->mname) &&
		     pub_ad_cache_get(it->run->ad, &ad->zone, &ad->mname, now_ms, &domain);

	if (step == NET_AD_ASK && !known) {
		pub_turn_take(&it->run->asking, &it->turn, ask);
		return;
	}
	if (!known && dns_name_is_set(&ad->mname)) {
		if (step == NET_AD_YES)
			domain = ad->domain;
		pub_ad_cache_put(it->run->ad, &ad->zone, &ad->mname, now_ms, &domain);
	}
	tell(it, &ad->zone, &ad->mname, &domain);
	if (dns_name_is_set(&domain) || !may_be_secondary(it) || !look_up_primary(it))
		pub_item_end(it);
}

static void on_answer(struct dns_client *c, const struct dns_outcome *o)
{
	struct pub_item *it = c->owner;

	it->ad_out = false;
	pub_turn_give(&it->turn);
	if (it->stop_err != ERR_OK)
		pub_item_end(it); /* the refusal still stands */
	else
		go_on(it, net_ad_answer(it->ad, o->err == ERR_OK || o->err == ERR_RCODE_NXDOMAIN
							? o->msg
							: NULL));
}

static void ask(struct pub_turn *t)
{
	struct pub_item *it = t->owner;
	const struct net_ad *ad = it->ad;
	struct dns_server
		servers[NET_RESOLVERS_MAX > PUB_PRIMARY_MAX ? NET_RESOLVERS_MAX : PUB_PRIMARY_MAX];
	struct dns_question q = { .name = ad->ask, .type = ad->type, .rd = !ad->at_primary };
	struct dns_client_params p = { .servers = servers,
				       .question = &q,
				       .tries = 1,
				       .total_ms = pub_run_left_ms(it->run, ASK_TOTAL_MS) };

	if (ad->at_primary)
		p.n_servers = pub_zone_primary(it->zone, it->target, servers);
	for (size_t i = 0; i < p.n_servers; i++)
		servers[i].key = NULL; /* it is what the server does not take */
	for (; !ad->at_primary && p.n_servers < it->net.n_resolvers; p.n_servers++)
		servers[p.n_servers] =
			(struct dns_server){ .addr = it->net.resolvers[p.n_servers] };
	it->ad_out = true;
	it->client.owner = it;
	dns_client_start(&it->client, &it->net, &p, on_answer);
}

bool pub_item_ad_start(struct pub_item *it)
{
	struct pub_run *run = it->run;
	const struct dns_name *zone = it->zone != NULL ? &it->zone->zone : &it->result->zone;
	const struct dns_name *mname = it->zone != NULL ? &it->zone->mname : &it->failed_mname;
	enum net_ad_step step;

	if (!matters(it))
		return false;
	it->ad_asked = true;
	it->ad = calloc(1, sizeof(*it->ad));
	if (it->ad == NULL)
		return false;
	step = net_ad_begin(it->ad, &it->target->domain, zone, mname,
			    it->zone != NULL && it->zone->n_primary > 0, it->net.n_resolvers > 0);
	if (step != NET_AD_ASK)
		return false;
	it->state = IT_AD;
	pub_turn_give(&it->turn);
	pub_check_leave(&it->check);
	if (it->reading) /* the wave does not wait for this */
		run->n_reading--;
	it->reading = false;
	go_on(it, step);
	pub_run_check(run);
	return true;
}

void pub_item_ad_stop(struct pub_item *it)
{
	pub_hosts_leave(&it->primary_wait);
	if (it->ad_out)
		dns_client_cancel(&it->client);
	else
		pub_item_end(it);
}
