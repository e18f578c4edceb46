#include "daemon/discovery_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/health.h"

/* ---- views ---- */

void discovery_view_done(struct discovery_view *v)
{
	free(v->host);
	*v = (struct discovery_view){ 0 };
}

static bool same_host(const struct discovery_host *a, const struct discovery_host *b)
{
	return a->state == b->state && rsv_record_same_host(&a->rec, &b->rec) &&
	       a->rec.srv.priority == b->rec.srv.priority && a->rec.srv.weight == b->rec.srv.weight;
}

bool discovery_view_equal(const struct discovery_view *a, const struct discovery_view *b)
{
	if (a->code != b->code || a->n != b->n || a->n_records != b->n_records)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!same_host(&a->host[i], &b->host[i]))
			return false;
	return true;
}

void discovery_view_text(const struct discovery_view *v, char ret[DISCOVERY_TEXT_MAX])
{
	char name[DNSNAME_TEXT_MAX], one[DNSNAME_TEXT_MAX + 64];
	const size_t room = DISCOVERY_TEXT_MAX - sizeof(", 65536 more");
	size_t len = 0;

	(void)snprintf(ret, DISCOVERY_TEXT_MAX, "none");
	for (size_t i = 0; i < v->n; i++) {
		const struct dns_srv *srv = &v->host[i].rec.srv;
		int n = snprintf(one, sizeof(one), "%s%u %u %u %s %s", i > 0 ? ", " : "",
				 (unsigned)srv->priority, (unsigned)srv->weight,
				 (unsigned)srv->port, dns_name_format(&srv->target, name),
				 health_state_name(v->host[i].state));

		if (n < 0 || len + (size_t)n > room) {
			(void)snprintf(ret + len, DISCOVERY_TEXT_MAX - len, "%s%zu more",
				       i > 0 ? ", " : "", v->n_records - i);
			return;
		}
		memcpy(ret + len, one, (size_t)n + 1);
		len += (size_t)n;
	}
	if (v->n_records > v->n)
		(void)snprintf(ret + len, DISCOVERY_TEXT_MAX - len, ", %zu more",
			       v->n_records - v->n);
}

bool discovery_view_settled(const struct discovery_view *v)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->host[i].state == PUB_HEALTH_UNKNOWN)
			return false;
	return true;
}

uint32_t discovery_view_code(const struct discovery_view *v)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->host[i].state == PUB_HEALTH_UP)
			return HR_OK;
	return HR_BINDING_SERVICE_UNAVAILABLE;
}

const char *discovery_standing_name(enum discovery_standing s)
{
	static const char *const names[] = { "best", "lower", "gone" };

	return names[s];
}

enum discovery_standing discovery_standing(const struct discovery_view *v, enum rsv_profile profile,
					   const char *name, uint16_t port)
{
	unsigned best = UINT16_MAX + 1u, own = UINT16_MAX + 1u;
	char text[DNSNAME_TEXT_MAX];

	for (size_t i = 0; i < v->n; i++) {
		const struct dns_srv *srv = &v->host[i].rec.srv;

		if (v->host[i].state == PUB_HEALTH_UP && srv->priority < best)
			best = srv->priority;
		if (srv->port == port && srv->priority < own &&
		    strcasecmp(dns_name_format(&srv->target, text), name) == 0)
			own = srv->priority;
	}
	if (own > UINT16_MAX)
		return DISCOVERY_CACHED_GONE;
	return profile == RSV_MODERN && best < own ? DISCOVERY_CACHED_LOWER : DISCOVERY_CACHED_BEST;
}

/* ---- what was told ---- */

bool discovery_code_passes(uint32_t code)
{
	return code != HR_OK && code != HR_BINDING_SERVICE_UNAVAILABLE && code != HR_DNS_NXDOMAIN &&
	       code != HR_DNS_NO_RECORDS && code != HR_INVALID_NAME;
}

/* Whether @p seen is to be believed, though it differs from what was told. */
static bool believed(const struct discovery_track *t, const struct discovery_view *seen,
		     const struct config_health *rule, uint64_t now_ms)
{
	if (!discovery_view_settled(seen))
		return false;
	if (discovery_code_passes(seen->code) && t->fails < rule->fall)
		return false;
	return !t->changed || now_ms - t->changed_ms >= rule->min_stay_ms;
}

enum discovery_news discovery_judge(struct discovery_track *t, struct discovery_view *seen,
				    const struct config_health *rule, uint64_t now_ms,
				    struct discovery_view *ret_was)
{
	enum discovery_news news = DISCOVERY_SAME;

	t->fails = discovery_code_passes(seen->code) ? t->fails + 1 : 0;
	if (!t->told || !discovery_view_equal(&t->view, seen)) {
		if (!believed(t, seen, rule, now_ms))
			return DISCOVERY_DOUBT;
		news = t->told ? DISCOVERY_CHANGED : DISCOVERY_FIRST;
		t->changed = t->told;
		t->changed_ms = now_ms;
		t->told = true;
	}
	if (news == DISCOVERY_CHANGED)
		*ret_was = t->view;
	else
		discovery_view_done(&t->view);
	t->view = *seen; /* where it is the same: newer TTLs */
	*seen = (struct discovery_view){ 0 };
	return news;
}

/* ---- when ---- */

uint64_t discovery_next_ms(uint64_t now_ms, uint32_t interval_ms, uint32_t quick_ms, bool doubt,
			   unsigned *quick, uint32_t random)
{
	uint64_t tenth = interval_ms / 10;

	if (doubt && *quick < DISCOVERY_QUICK_MAX && quick_ms < interval_ms) {
		(*quick)++;
		return now_ms + quick_ms;
	}
	if (!doubt)
		*quick = 0;
	return now_ms + interval_ms + tenth * random / UINT32_MAX;
}

uint64_t discovery_keep_until_ms(uint64_t now_ms, uint32_t keep_s)
{
	if (keep_s > DISCOVERY_KEEP_MAX_S)
		keep_s = DISCOVERY_KEEP_MAX_S;
	return now_ms + (uint64_t)keep_s * 1000;
}
