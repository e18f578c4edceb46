/* One look at what the clients of one suffix see: DNS, hosts, and the client that remembers. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/log.h"
#include "daemon/discovery_priv.h"

/* ---- the remembered host's file ---- */

static bool cache_path(const struct row *r, bool make_folder, char ret[PATH_MAX])
{
	char domain[DNSNAME_TEXT_MAX];
	int n;

	if (r->d->p.state_dir == NULL)
		return false;
	n = snprintf(ret, PATH_MAX, "%s/discovery", r->d->p.state_dir);
	if (n > 0 && n < PATH_MAX && make_folder)
		(void)mkdir(ret, 0700); /* what is wrong with it, the file will say */
	n = snprintf(ret, PATH_MAX, "%s/discovery/%s.%s.json", r->d->p.state_dir,
		     rsv_profile_name(r->profile), dns_name_format(&r->domain, domain));
	return n > 0 && n < PATH_MAX;
}

static void note_saved(struct row *r)
{
	const struct rsv_cached_host *h = rsv_cache_get(&r->cache);

	memset(&r->saved, 0, sizeof(r->saved));
	if (h != NULL)
		r->saved = *h;
}

void discovery_cache_load(struct row *r)
{
	char path[PATH_MAX];
	struct err_info info;

	if (!cache_path(r, false, path))
		return;
	if (rsv_cache_load(&r->cache, path, &info) != 0)
		log_warning(&discovery_log, "discovery.cache", "text=%s%s", info.text,
			    r->cache.newer ? "" : "; the next host found replaces it");
	note_saved(r);
}

/* Whether the file tells a client the same; that the host has answered once more is not worth a
 * write. */
static bool is_saved(const struct row *r)
{
	const struct rsv_cached_host *h = rsv_cache_get(&r->cache);

	if (!r->cache.dirty)
		return true;
	return h != NULL && strcmp(h->host, r->saved.host) == 0 && h->port == r->saved.port &&
	       addr_equal(&h->addr, &r->saved.addr);
}

void discovery_cache_save(struct row *r)
{
	char path[PATH_MAX];
	struct err_info info;

	if (is_saved(r) || !cache_path(r, true, path))
		return;
	if (rsv_cache_save(&r->cache, path, &info) == 0) {
		r->save_failed = false;
		note_saved(r);
		return;
	}
	if (!r->save_failed)
		log_warning(&discovery_log, "discovery.cache", "text=%s", info.text);
	r->save_failed = true; /* said once; the host is remembered in memory */
}

/* ---- the end of a look ---- */

const char *discovery_subject(const struct row *r, char buf[DNSNAME_TEXT_MAX])
{
	if (dns_name_is_set(&r->domain))
		return dns_name_format(&r->domain, buf);
	return r->d->setup.manual_host;
}

/* The first view too: without it nobody could say later what has changed since. */
static void keep_event(const struct row *r, const char *name, const char *domain, const char *now)
{
	const struct discovery_view *v = &r->track.view;
	char text[EVENTS_TEXT_MAX];
	const struct event ev = { .name = name,
				  .level = v->code == HR_OK ? LOG_INFO : LOG_WARNING,
				  .hresult = v->code,
				  .kept = true,
				  .text = text };

	(void)snprintf(text, sizeof(text), "Clients of '%s' (%s) now see %s", domain,
		       rsv_profile_name(r->profile), now);
	events_add(r->d->p.events, &ev);
}

static void tell(struct row *r, enum discovery_news news, const struct discovery_view *was)
{
	const struct discovery_view *v = &r->track.view;
	char domain[DNSNAME_TEXT_MAX], before[DISCOVERY_TEXT_MAX], now[DISCOVERY_TEXT_MAX];
	char code[HRESULT_TEXT_MAX];

	if (news != DISCOVERY_FIRST && news != DISCOVERY_CHANGED)
		return;
	r->since_wall_ms = clock_wall_ms(r->d->p.net->clock);
	discovery_view_text(v, now);
	hresult_format(v->code, code);
	keep_event(r, news == DISCOVERY_FIRST ? "discovery.first" : "discovery.changed",
		   discovery_subject(r, domain), now);
	if (news == DISCOVERY_FIRST) {
		log_info(&discovery_log, "discovery.first",
			 "profile=%s domain=%s now=%s code=%s text=%s",
			 rsv_profile_name(r->profile), discovery_subject(r, domain), now, code,
			 hresult_text(v->code));
		return;
	}
	discovery_view_text(was, before);
	log_write(v->code == HR_OK ? LOG_INFO : LOG_WARNING, &discovery_log, "discovery.changed",
		  "profile=%s domain=%s was=%s now=%s code=%s text=%s",
		  rsv_profile_name(r->profile), discovery_subject(r, domain), before, now, code,
		  hresult_text(v->code));
}

static void look_ends(struct row *r)
{
	struct discovery *d = r->d;
	uint64_t now = clock_mono_ms(d->p.net->clock);
	uint64_t next =
		discovery_next_ms(d->round_ms, d->setup.interval_ms, d->setup.rule.interval_ms,
				  r->doubt, &r->quick, d->jitter);

	r->last_ms = now;
	r->due_ms = next > now + DISCOVERY_MIN_MS ? next : now + DISCOVERY_MIN_MS;
	r->state = LOOK_NONE;
	discovery_look_ended(r);
}

/* What the last look showed, undamped but for the hosts; to be freed. Code and no host without
 * memory. */
static struct discovery_view view_of(const struct row *r)
{
	struct discovery_view v = { .code = r->code, .n_records = r->n_records };

	if (r->n == 0)
		return v;
	v.host = calloc(r->n, sizeof(*v.host));
	if (v.host == NULL)
		return v;
	for (size_t i = 0; i < r->n; i++) {
		const struct seen_host *h = &r->host[i];

		v.host[v.n++] = (struct discovery_host){ .rec = h->rec,
							 .probability = h->probability,
							 .state = h->state };
	}
	v.code = discovery_view_code(&v);
	if (v.code != HR_OK && r->code != HR_OK)
		v.code = r->code; /* a manual name without an address */
	return v;
}

static void judge(struct row *r)
{
	struct discovery_view seen = view_of(r), was = { 0 };
	enum discovery_news news;

	r->last_code = seen.code;
	r->last_wall_ms = clock_wall_ms(r->d->p.net->clock);
	news = discovery_judge(&r->track, &seen, &r->d->setup.rule,
			       clock_mono_ms(r->d->p.net->clock), &was);
	tell(r, news, &was);
	r->doubt = r->has_pending = news == DISCOVERY_DOUBT;
	for (size_t i = 0; i < r->n; i++)
		r->doubt |= r->host[i].doubted;
	discovery_view_done(&r->pending);
	r->pending = seen; /* emptied where it is in r->track now */
	discovery_view_done(&was);
}

/* ---- the client that remembers ---- */

static void tell_standing(struct row *r)
{
	static const char *const texts[] = {
		[DISCOVERY_CACHED_BEST] = "DNS could choose the remembered host again",
		[DISCOVERY_CACHED_LOWER] =
			"clients that remember it stay there until it fails, though a host of a "
			"better priority is up; slmgr /ckhc or /ckms on the client ends that",
		[DISCOVERY_CACHED_GONE] =
			"no longer in DNS, but it answers: clients that remember it stay there "
			"until it fails; stop the host, or slmgr /ckms on the client",
	};
	static const char *const events[] = {
		[DISCOVERY_CACHED_BEST] = "are where they would be, as DNS says",
		[DISCOVERY_CACHED_LOWER] =
			"stay there until it fails, though a host of a better priority is up",
		[DISCOVERY_CACHED_GONE] =
			"stay there until it fails: it answers, but is no longer in DNS",
	};
	const struct rsv_cached_host *h = rsv_cache_get(&r->cache);
	struct client_view *c = &r->client;
	char domain[DNSNAME_TEXT_MAX];
	struct discovery_view seen;
	enum log_level level;

	c->has_standing = h != NULL && c->selected && r->has_set && !discovery_code_passes(r->code);
	if (!c->has_standing) {
		c->told = DISCOVERY_CACHED_BEST;
		return;
	}
	seen = view_of(r);
	c->standing = discovery_standing(&seen, r->profile, h->host, h->port);
	discovery_view_done(&seen);
	/* The better host may be the one that just failed, and is not yet believed to be down. */
	if (r->doubt || c->standing == c->told)
		return;
	c->told = c->standing;
	level = c->standing == DISCOVERY_CACHED_BEST ? LOG_INFO : LOG_WARNING;
	dns_name_format(&r->domain, domain);
	log_write(level, &discovery_log, "discovery.remembered",
		  "profile=%s domain=%s host=%s port=%u standing=%s text=%s",
		  rsv_profile_name(r->profile), domain, h->host, (unsigned)h->port,
		  discovery_standing_name(c->standing), texts[c->standing]);
	events_note(r->d->p.events, level, "discovery.remembered",
		    "Clients of '%s' (%s) that remember %s:%u %s", domain,
		    rsv_profile_name(r->profile), h->host, (unsigned)h->port, events[c->standing]);
}

/* For our own lack: what DNS says of a domain is a result. */
static void tell_failed(const struct row *r, int err)
{
	char domain[DNSNAME_TEXT_MAX];

	log_warning(&discovery_log, "discovery.failed", "profile=%s domain=%s err=%s text=%s",
		    rsv_profile_name(r->profile), discovery_subject(r, domain), err_name(err),
		    "this look shows nothing; what was known stays until the next");
}

static void on_remembered(struct rsv_discover *op, const struct rsv_discovery *res)
{
	struct row *r = op->owner;
	struct client_view *c = &r->client;

	if (r->unfinished) {
		look_ends(r);
		return;
	}
	judge(r);
	if (res->err == 0) {
		c->ran = true;
		c->code = res->code;
		c->selected = res->has_selected;
		c->source = res->selected.source;
		c->port = res->selected.port;
		(void)snprintf(c->target, sizeof(c->target), "%s", res->selected.target);
		tell_standing(r);
		discovery_cache_save(r);
	} else {
		tell_failed(r, res->err);
	}
	look_ends(r);
}

static void start_client(struct row *r)
{
	const struct discovery_setup *s = &r->d->setup;
	const struct rsv_discover_params p = {
		.cache = &r->cache,
		.cache_write = s->cache_write,
		.lone_port = s->lone_port,
		.suffixes = &r->domain,
		.n_suffixes = 1,
		.profile = r->profile,
		.prober = probe_memo_prober(r->d->memo),
		.probe_ms = s->rule.timeout_ms,
		.total_ms = DISCOVERY_LOOKUP_MS,
	};

	r->state = LOOK_CLIENT;
	memset(&r->remembering, 0, sizeof(r->remembering));
	r->remembering.owner = r;
	rsv_discover_start(&r->remembering, r->d->p.net, &p, on_remembered);
}

/* ---- the hosts ---- */

static void hosts_known(struct row *r)
{
	if (!r->unfinished && r->d->setup.cache) {
		start_client(r);
		return;
	}
	if (!r->unfinished)
		judge(r);
	look_ends(r);
}

static void probe_hosts(struct row *r);

static void host_known(struct row *r, struct seen_host *h, bool up)
{
	h->state = discovery_observe(r->d, &h->rec.srv.target, h->rec.srv.port, up, &h->doubted);
}

static void probe_address(struct look_slot *s);

static void on_probed(struct probe_op *op, const struct probe_result *res)
{
	struct look_slot *s = op->owner;
	struct row *r = s->row;
	struct seen_host *h = &r->host[s->host];

	s->busy = false;
	s->at++;
	if (!r->unfinished && res->state != PROBE_UP && s->at < h->n_addrs) {
		probe_address(s);
		return;
	}
	if (!r->unfinished)
		host_known(r, h, res->state == PROBE_UP);
	probe_hosts(r);
}

static void probe_address(struct look_slot *s)
{
	struct discovery *d = s->row->d;
	const struct prober *p = probe_memo_prober(d->memo);

	s->busy = true;
	memset(&s->op, 0, sizeof(s->op));
	s->op.owner = s;
	p->start(p, &s->op, d->p.net, &s->row->host[s->host].addrs[s->at], d->setup.rule.timeout_ms,
		 on_probed);
}

/* Whether the host needs no probe; then its state is known. */
static bool is_known(struct row *r, struct seen_host *h)
{
	const struct discovery_params *p = &r->d->p;
	const struct dns_srv *srv = &h->rec.srv;
	enum pub_health_state s =
		p->known != NULL ? p->known(p->ctx, &srv->target, srv->port) : PUB_HEALTH_UNKNOWN;

	h->doubted = false;
	if (srv->port == 0)
		h->state = PUB_HEALTH_DOWN; /* no client can use it */
	else if (s != PUB_HEALTH_UNKNOWN)
		h->state = s;
	else if (!h->resolved)
		h->state = discovery_state_of(r->d, &srv->target, srv->port);
	else if (h->n_addrs == 0)
		host_known(r, h, false);
	else
		return false;
	h->doubted |= !h->resolved;
	return true;
}

static void probe_hosts(struct row *r)
{
	bool busy = false;

	for (size_t i = 0; i < DISCOVERY_HOSTS_AT_A_TIME; i++) {
		struct look_slot *s = &r->slot[i];

		while (!s->busy && !r->unfinished && r->next_host < r->n) {
			s->row = r;
			s->host = r->next_host++;
			s->at = 0;
			if (!is_known(r, &r->host[s->host]))
				probe_address(s);
		}
		busy |= s->busy;
	}
	if (!busy)
		hosts_known(r);
}

static void start_hosts(struct row *r)
{
	r->state = LOOK_HOSTS;
	r->next_host = 0;
	probe_hosts(r);
}

/* ---- DNS ---- */

static int by_record(const void *a, const void *b)
{
	const struct seen_host *x = a, *y = b;

	return rsv_record_compare(&x->rec, &y->rec);
}

static int keep_set(struct row *r, const struct rsv_discovery *res)
{
	struct seen_host *all = NULL;

	if (res->n_cand > 0) {
		all = calloc(res->n_cand, sizeof(*all));
		if (all == NULL)
			return ERR_NOMEM;
	}
	for (size_t i = 0; i < res->n_cand; i++) {
		const struct rsv_candidate *c = &res->cand[i];

		all[i].rec = c->rec;
		all[i].probability = c->probability;
		all[i].resolved = c->resolved;
		all[i].n_addrs = c->resolved && c->resolve_err == 0 ? c->n_addrs : 0;
		memcpy(all[i].addrs, c->addrs, all[i].n_addrs * sizeof(c->addrs[0]));
	}
	if (res->n_cand > 0)
		qsort(all, res->n_cand, sizeof(*all), by_record);
	free(r->host);
	r->host = all;
	r->n_records = res->n_cand;
	r->n = res->n_cand < DISCOVERY_HOSTS_MAX ? res->n_cand : DISCOVERY_HOSTS_MAX;
	r->code = res->code;
	r->has_set = true;
	return 0;
}

/* The manual host as a set of one. It was probed already. */
static int keep_manual(struct row *r, const struct rsv_discovery *res)
{
	const struct discovery_setup *s = &r->d->setup;
	struct seen_host *h;

	if (keep_set(r, res) != 0)
		return ERR_NOMEM;
	h = calloc(1, sizeof(*h));
	if (h == NULL || dns_name_parse(s->manual_host, &h->rec.srv.target) != 0) {
		free(h);
		return ERR_NOMEM; /* or a name that no lookup takes: its code says it */
	}
	h->rec.srv.port = s->manual_port != 0 ? s->manual_port : RSV_KMS_PORT;
	h->probability = 1;
	h->state = discovery_observe(r->d, &h->rec.srv.target, h->rec.srv.port, res->has_selected,
				     &h->doubted);
	r->host = h;
	r->n = r->n_records = 1;
	return 0;
}

static void on_discovered(struct rsv_discover *op, const struct rsv_discovery *res)
{
	struct row *r = op->owner;

	int err = res->err;

	if (r->unfinished) {
		look_ends(r);
		return;
	}
	if (err == 0)
		err = dns_name_is_set(&r->domain) ? keep_set(r, res) : keep_manual(r, res);
	if (err != 0) {
		tell_failed(r, err);
		look_ends(r);
	} else if (!dns_name_is_set(&r->domain)) {
		judge(r);
		look_ends(r);
	} else {
		r->keep_until_ms =
			discovery_keep_until_ms(clock_mono_ms(r->d->p.net->clock),
						discovery_code_passes(res->code) ? 0 : res->keep_s);
		start_hosts(r);
	}
}

/* A client without memory. Its hosts are not probed here one after another, but all at once after
 * it, since the state of each is wanted. */
static void start_dns(struct row *r)
{
	const struct discovery_setup *s = &r->d->setup;
	bool manual = !dns_name_is_set(&r->domain);
	const struct rsv_discover_params p = {
		.manual_host = manual ? s->manual_host : NULL,
		.manual_port = s->manual_port,
		.prober = manual ? probe_memo_prober(r->d->memo) : NULL,
		.probe_ms = s->rule.timeout_ms,
		.lone_port = s->lone_port,
		.suffixes = &r->domain,
		.n_suffixes = manual ? 0 : 1,
		.profile = r->profile,
		.total_ms = DISCOVERY_LOOKUP_MS,
		.resolve_all = true,
	};

	r->state = LOOK_DNS;
	memset(&r->dns, 0, sizeof(r->dns));
	r->dns.owner = r;
	rsv_discover_start(&r->dns, r->d->p.net, &p, on_discovered);
}

void discovery_look_start(struct row *r)
{
	r->unfinished = false;
	if (r->has_set && clock_mono_ms(r->d->p.net->clock) < r->keep_until_ms)
		start_hosts(r);
	else
		start_dns(r);
}

void discovery_look_cancel(struct row *r)
{
	r->unfinished = true;
	if (r->state == LOOK_DNS)
		rsv_discover_cancel(&r->dns);
	else if (r->state == LOOK_CLIENT)
		rsv_discover_cancel(&r->remembering);
	for (size_t i = 0; i < DISCOVERY_HOSTS_AT_A_TIME; i++)
		if (r->slot[i].busy)
			probe_memo_prober(r->d->memo)->cancel(&r->slot[i].op);
}
