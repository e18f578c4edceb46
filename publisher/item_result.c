#include <stdlib.h>
#include <string.h>

#include "common/hresult.h"
#include "publisher/item.h"

/** Names as text, for as long as a sentence is made of them. */
struct texts {
	char domain[DNSNAME_TEXT_MAX], zone[DNSNAME_TEXT_MAX], owner[DNSNAME_TEXT_MAX];
	char mname[DNSNAME_TEXT_MAX], other[DNSNAME_TEXT_MAX], key[DNSNAME_TEXT_MAX];
	char addr[ADDR_TEXT_MAX];
};

static const char *name_text(const struct dns_name *n, char buf[DNSNAME_TEXT_MAX])
{
	if (!dns_name_is_set(n)) {
		buf[0] = '\0';
		return buf;
	}
	return dns_name_format(n, buf);
}

/* As the server knows the key; the handle of the configuration says nothing there. */
static const char *key_text(const struct pub_item *it, char buf[DNSNAME_TEXT_MAX])
{
	buf[0] = '\0';
	return it->target->key != NULL ? name_text(tsig_key_name(it->target->key), buf) : buf;
}

bool pub_item_worked_before(const struct pub_item *it)
{
	const struct pub_set *set = pub_item_set(it);

	for (size_t i = 0; set != NULL && i < set->n_recs; i++)
		if (set->recs[i].state == PUB_REC_PUBLISHED ||
		    set->recs[i].state == PUB_REC_WITHDRAWN ||
		    set->recs[i].state == PUB_REC_DELETED)
			return true;
	return false;
}

static void put_server(struct pub_item *it)
{
	struct pub_result *r = it->result;

	if (it->zone == NULL)
		return;
	if (dns_name_is_set(&it->zone->primary_name))
		dns_name_format(&it->zone->primary_name, r->server);
	else if (it->zone->n_primary > 0)
		addr_format(&it->zone->primary[0], r->server);
	if (!addr_is_set(&r->addr) && it->zone->n_primary > 0)
		r->addr = it->zone->primary[0];
}

static void take_verdict(struct pub_item *it, const struct pub_failure *f)
{
	struct pub_result *r = it->result;
	struct pub_verdict v;

	pub_explain(f, &v);
	it->failed_at = f->stage;
	r->state = v.state;
	r->err = f->err != ERR_OK ? f->err : ERR_DNS_NODATA;
	r->rcode = v.rcode;
	r->has_rcode = v.has_rcode;
	r->hresult = v.hresult;
	memcpy(r->hint, v.hint, sizeof(r->hint));
}

void pub_item_fail(struct pub_item *it, const struct pub_failure *facts)
{
	struct pub_failure f = *facts;
	struct dns_name owner;
	struct texts t;

	put_server(it);
	f.by_server = it->target->n_servers > 0;
	f.key = key_text(it, t.key);
	f.domain = name_text(&it->target->domain, t.domain);
	f.zone = "";
	f.mname = "";
	if (it->zone != NULL) {
		f.zone = name_text(&it->zone->zone, t.zone);
		f.owner = name_text(&it->zone->owner, t.owner);
		f.mname = name_text(&it->zone->mname, t.mname);
		f.is_secondary = pub_zone_is_secondary(it->zone);
		f.worked_before = pub_item_worked_before(it);
	} else if (dns_name_prefix(PUB_OWNER_LABELS, &it->target->domain, &owner) == ERR_OK) {
		f.owner = name_text(&owner, t.owner);
	} else {
		f.owner = f.domain;
	}
	if (f.other == NULL)
		f.other = "";
	f.server = it->result->server;
	if (it->zone != NULL && addr_is_set(&it->result->addr)) {
		addr_format(&it->result->addr, t.addr);
		f.server = t.addr;
	}
	take_verdict(it, &f);
}

void pub_item_fail_zone(struct pub_item *it, const struct pub_zone_outcome *o)
{
	struct texts t;
	struct pub_failure f = { .stage = o->stage,
				 .block = o->block,
				 .err = o->err,
				 .hint_rcode = o->hint_rcode,
				 .tsig = o->tsig,
				 .server = o->server,
				 .by_server = it->target->n_servers > 0,
				 .key = key_text(it, t.key) };

	f.domain = name_text(&it->target->domain, t.domain);
	f.zone = name_text(&o->found, t.zone);
	f.owner = name_text(&o->owner, t.owner);
	f.mname = name_text(&o->mname, t.mname);
	f.other = name_text(&o->other, t.other);
	it->failed_mname = o->mname;
	it->result->zone = o->found;
	it->result->owner = o->owner;
	it->result->addr = o->addr;
	(void)snprintf(it->result->server, sizeof(it->result->server), "%s", o->server);
	take_verdict(it, &f);
}

/* ---- what the proof says ---- */

static void find_ttl(struct pub_item *it, uint32_t got)
{
	struct pub_set *set = pub_item_set(it);
	uint32_t asked = it->target->ttl_s;

	if (!it->updated || set == NULL || !it->plan.ttl_is_wish || it->plan.n_present == 0 ||
	    got == 0)
		return;
	if (got == asked) {
		pub_journal_set_ttl(it->run->p.journal, set, 0, 0);
		return;
	}
	if (set->ttl_asked == asked && set->ttl_got == got)
		return; /* told before */
	pub_journal_set_ttl(it->run->p.journal, set, asked, got);
	(void)pub_findings_add(&it->findings, FINDING_TTL_LIMITED,
			       "the server made a TTL of %u s out of %u s", got, asked);
}

static void find_unknown(struct pub_item *it)
{
	char name[DNSNAME_TEXT_MAX];

	for (size_t i = 0; i < it->result->n_proof; i++) {
		const struct pub_proof *p = &it->result->proof[i];

		if (p->state == PUB_PROOF_UNKNOWN)
			(void)pub_findings_add(&it->findings, FINDING_SERVER_UNKNOWN,
					       "%s does not tell: %s", name_text(&p->name, name),
					       err_text(p->err));
	}
}

/* The server said that it did it, shows the record all the same, and the zone has changed since it
 * was read: it went, and somebody put it there again. Where the zone is what it was the server
 * ignored the update (another view, a frozen copy); where nobody knows, the intent stays. */
static bool was_undone(const struct pub_item *it, const struct pub_proof_outcome *o)
{
	return it->updated && o->block == PUB_BLOCK_NO_EFFECT && o->has_serial && !it->from_cache &&
	       o->serial != it->serial_before;
}

void pub_item_prove(struct pub_item *it, struct pub_proof_outcome *o)
{
	struct pub_result *r = it->result;
	char other[DNSNAME_TEXT_MAX], record[DNS_SRV_TEXT_MAX];
	struct pub_failure f = { .stage = PUB_STAGE_PROOF,
				 .block = o->block,
				 .err = o->primary_err,
				 .hint_rcode = o->hint_rcode,
				 .tsig = o->tsig,
				 .other = name_text(&o->other, other) };

	free(it->proof);
	it->proof = o->servers;
	r->proof = o->servers;
	r->n_proof = o->n_servers;
	r->ttl_s = o->ttl_s;
	if (o->err != ERR_OK)
		return;
	if (was_undone(it, o))
		pub_item_mark(it, PUB_MARK_UNDONE);
	if (o->block == PUB_BLOCK_NONE && o->primary_err == ERR_OK) {
		if (it->updated)
			pub_item_mark(it, PUB_MARK_PROVEN);
		find_ttl(it, o->ttl_s);
		find_unknown(it);
		if (it->plan.n_bad > 0)
			f.block = PUB_BLOCK_TARGET;
		else if (it->plan.blocked_by_dot && !pub_run_withdraws(it->run))
			f.block = PUB_BLOCK_DOT;
		else if (it->plan.elsewhere != NULL) {
			f.block = PUB_BLOCK_ELSEWHERE;
			f.other = dns_srv_format(&it->plan.elsewhere->srv, record);
		}
	}
	if (f.block != PUB_BLOCK_NONE || f.err != ERR_OK) {
		pub_item_fail(it, &f);
	} else if (o->proven) {
		r->state = it->updated || it->plan.settles ? PUB_PROVEN : PUB_UNCHANGED;
	} else {
		r->state = PUB_LAGGING;
		r->err = ERR_TIMEOUT;
		r->hresult = HR_DNS_NO_RECORDS;
		pub_explain_lagging(r->proof, r->n_proof, r->ttl_s, r->hint);
	}
	if (it->updated && f.err == ERR_OK) {
		r->has_rcode = true;
		r->rcode = DNS_RCODE_NOERROR;
	}
}

/* ---- the end ---- */

static void more_findings(struct pub_item *it)
{
	char text[DNSNAME_TEXT_MAX];

	for (size_t i = 0; i < it->plan.findings.n; i++)
		(void)pub_findings_add(&it->findings, it->plan.findings.list[i].id, "%s",
				       it->plan.findings.list[i].text);
	if (it->zone != NULL && it->zone->aliased)
		(void)pub_findings_add(&it->findings, FINDING_ALIASED, "a CNAME leads to %s",
				       name_text(&it->zone->owner, text));
	if (it->run->journal_failed)
		(void)pub_findings_add(&it->findings, FINDING_JOURNAL,
				       "the journal cannot be written");
	for (size_t i = 0;
	     it->want != NULL && !pub_run_withdraws(it->run) && i < it->target->n_wanted; i++)
		if (it->want[i] == PUB_WANT_HELD)
			(void)pub_findings_add(&it->findings, FINDING_WITHDRAWN,
					       "host %s is withdrawn on request",
					       it->target->wanted[i].host);
}

static void keep_zone(struct pub_item *it)
{
	struct pub_zone_cache *c = it->run->p.zones;
	bool good = pub_result_ok(it->result) || it->result->state == PUB_LAGGING;

	if (c == NULL)
		return;
	if (!good) {
		pub_zone_cache_drop(c, it->target);
		if (it->from_cache)
			it->zone = NULL;
	} else if (it->own_zone != NULL && it->own_zone->ns_known) {
		pub_zone_cache_put(c, it->target, it->own_zone, clock_mono_ms(it->run->net->clock));
		it->own_zone = NULL;
		it->zone = NULL;
	}
}

/* FNV-1a over what is told. */
static uint64_t sum_of(const struct pub_findings *f)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < f->n; i++) {
		const char *parts[] = { finding_info(f->list[i].id)->id, f->list[i].text };

		for (size_t k = 0; k < 2; k++)
			for (const char *p = parts[k]; *p != '\0'; p++)
				sum = (sum ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	}
	return sum;
}

static void log_findings(const struct pub_item *it, const char *domain)
{
	const struct pub_reconcile_params *p = &it->run->p;
	const struct log_ctx *log = &it->run->log;
	const char *view = it->result->view;
	bool news = p->is_news == NULL || p->is_news(p->ctx, it->target, sum_of(&it->findings));

	for (size_t i = 0; i < it->findings.n; i++) {
		const struct pub_finding *f = &it->findings.list[i];
		bool quiet = !news || finding_info(f->id)->severity == FINDING_INFO;

		if (f->id == FINDING_WILDCARD)
			continue; /* told before anything was written */
		if (quiet)
			log_debug(log, "publisher.finding", "domain=%s view=%s id=%s text=%s",
				  domain, view, finding_info(f->id)->id, f->text);
		else
			log_warning(log, "publisher.finding", "domain=%s view=%s id=%s text=%s",
				    domain, view, finding_info(f->id)->id, f->text);
	}
}

/* One outcome event for each domain, as the host service has them (behaviour §1.6). */
static void log_event(const struct pub_item *it)
{
	const struct pub_result *r = it->result;
	const struct log_ctx *log = &it->run->log;
	const char *what = it->run->p.request.mode == PUB_DRAIN ? "drain"
			   : pub_run_withdraws(it->run)         ? "withdraw"
								: "publish";
	char domain[DNSNAME_TEXT_MAX], zone[DNSNAME_TEXT_MAX], hresult[HRESULT_TEXT_MAX];

	if (it->stop_err == ERR_CANCELED)
		return;
	dns_name_format(&r->domain, domain);
	name_text(&r->zone, zone);
	if (r->state == PUB_PROVEN)
		log_info(log, "publisher.proven",
			 "event=12294 what=%s domain=%s view=%s zone=%s server=%s changes=%zu",
			 what, domain, r->view, zone, r->server, r->n_changes);
	else if (pub_result_ok(r))
		log_debug(log, "publisher.checked", "domain=%s view=%s zone=%s state=%s", domain,
			  r->view, zone, pub_state_name(r->state));
	else
		log_warning(log, "publisher.failed",
			    "event=12293 what=%s domain=%s view=%s zone=%s server=%s state=%s "
			    "rcode=%s hresult=%s text=%s",
			    what, domain, r->view, zone, r->server, pub_state_name(r->state),
			    r->has_rcode ? dns_rcode_name(r->rcode) : "none",
			    hresult_format(r->hresult, hresult), r->hint);
	log_findings(it, domain);
}

void pub_item_finish_result(struct pub_item *it)
{
	struct pub_result *r = it->result;

	r->domain = it->target->domain;
	r->view = it->target->view;
	if (it->zone != NULL) {
		r->zone = it->zone->zone;
		r->owner = it->zone->owner;
	}
	if (!dns_name_is_set(&r->owner))
		(void)dns_name_prefix(PUB_OWNER_LABELS, &r->domain, &r->owner);
	put_server(it);
	more_findings(it);
	if (it->plan.n_changes > 0 && (pub_result_ok(r) || r->state == PUB_LAGGING))
		r->negative_ttl_s = it->read.negative_ttl_s;
	r->changes = it->plan.changes;
	r->n_changes = it->plan.n_changes;
	r->findings = it->findings.list;
	r->n_findings = it->findings.n;
	log_event(it);
	keep_zone(it);
}
