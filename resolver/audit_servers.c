/* Half of audit_judge.h: what the servers say, and whether they say the same. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/audit_judge.h"

#define CLOCK_SKEW_MAX_S 60    /* well before the 300 s at which signed updates fail */
#define STALE_MAX_S      86400 /* an old copy of a set that is gone lasts no longer, usually */

bool rsv_serial_older(uint32_t a, uint32_t b)
{
	uint32_t ahead = b - a;

	return ahead != 0 && ahead < 0x80000000u;
}

bool rsv_is_answer(int err)
{
	return err == 0 || err == ERR_DNS_NODATA || err == ERR_RCODE_NXDOMAIN;
}

static bool has_answer(const struct rsv_server_view *v)
{
	return rsv_is_answer(v->srv_err);
}

static bool has_authority(const struct rsv_server_view *v)
{
	return v->role != RSV_ROLE_RESOLVER && v->aa && !v->other_zone && has_answer(v);
}

bool rsv_same_set(const struct rsv_set *a, const struct rsv_set *b)
{
	if (a->n != b->n || a->absent != b->absent)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!dns_srv_equal(&a->rec[i].srv, &b->rec[i].srv))
			return false;
	return true;
}

bool rsv_same_answer(int err_a, const struct rsv_set *a, int err_b, const struct rsv_set *b)
{
	return !rsv_is_answer(err_a) || !rsv_is_answer(err_b) || rsv_same_set(a, b);
}

bool rsv_many_primaries(const struct rsv_server_view *v, size_t n)
{
	const struct dns_name *first = NULL;

	for (size_t i = 0; i < n; i++) {
		if (v[i].role != RSV_ROLE_NS || !has_authority(&v[i]) || !v[i].has_serial ||
		    !dns_name_is_set(&v[i].mname))
			continue;
		if (first != NULL && !dns_name_equal(first, &v[i].mname))
			return true;
		first = &v[i].mname;
	}
	return false;
}

static bool same_ttl(const struct rsv_set *a, const struct rsv_set *b)
{
	return a->ttl == b->ttl && a->mixed_ttl == b->mixed_ttl;
}

/** Whether the zone of @p a is older than that of @p b, as far as their serials compare. */
static bool is_older(const struct rsv_server_view *a, const struct rsv_server_view *b, bool many)
{
	return !many && a->has_serial && b->has_serial && rsv_serial_older(a->serial, b->serial);
}

/** Whether @p a is a better reference than @p b. */
static bool better(const struct rsv_server_view *a, const struct rsv_server_view *b, bool many)
{
	if (has_authority(a) != has_authority(b))
		return has_authority(a);
	if (!has_authority(a))
		return false; /* the first that answered */
	if (a->is_primary != b->is_primary)
		return a->is_primary;
	if (a->has_serial != b->has_serial)
		return a->has_serial;
	return is_older(b, a, many);
}

bool rsv_newest_serial(const struct rsv_server_view *v, size_t n, uint32_t *ret)
{
	const struct rsv_server_view *newest = NULL;

	for (size_t i = 0; i < n; i++)
		if (has_authority(&v[i]) && v[i].has_serial &&
		    (newest == NULL || is_older(newest, &v[i], false)))
			newest = &v[i];
	if (newest != NULL)
		*ret = newest->serial;
	return newest != NULL;
}

static size_t choose(const struct rsv_server_view *v, size_t n, bool many)
{
	size_t best = RSV_NO_SERVER;

	for (size_t i = 0; i < n; i++)
		if (has_answer(&v[i]) && (v[i].role != RSV_ROLE_NS || has_authority(&v[i])) &&
		    (best == RSV_NO_SERVER || better(&v[i], &v[best], many)))
			best = i;
	return best;
}

static bool is_reply(int err)
{
	return (err <= ERR_RCODE_FORMERR && err >= ERR_RCODE_OTHER) || err == ERR_DNS_NOT_AUTH ||
	       err == ERR_DNS_NODATA || err == ERR_DNS_CNAME_LOOP || err == 0;
}

/** A resolver that gives something else: an old copy, unless that would be gone by now. */
static enum rsv_server_state resolver_state(const struct rsv_server_view *v,
					    const struct rsv_server_view *ref)
{
	uint32_t left = v->srv_err == 0 ? v->set.ttl : v->set.negative_ttl;
	uint32_t most = STALE_MAX_S;

	if (v->other_zone)
		return RSV_S_DIFFERS;
	if (v->srv_err == 0 && ref->srv_err == 0)
		most = ref->set.ttl;
	return !v->aa && left > 0 && left <= most ? RSV_S_STALE : RSV_S_DIFFERS;
}

static enum rsv_server_state judge(const struct rsv_server_view *v,
				   const struct rsv_server_view *ref, bool many)
{
	if (v->role == RSV_ROLE_NS && !has_authority(v))
		return is_reply(v->srv_err) ? RSV_S_LAME : RSV_S_UNREACHABLE;
	if (!has_answer(v))
		return v->role == RSV_ROLE_SERVER && is_reply(v->srv_err) ? RSV_S_LAME
									  : RSV_S_UNREACHABLE;
	if (ref == NULL || rsv_same_set(&v->set, &ref->set))
		return RSV_S_OK;
	if (!has_authority(v))
		return has_authority(ref) ? resolver_state(v, ref) : RSV_S_DIFFERS;
	return is_older(v, ref, many) ? RSV_S_LAGGING : RSV_S_DIFFERS;
}

static enum rsv_agreement agreement(const struct rsv_server_view *v,
				    const struct rsv_server_view *ref, bool many)
{
	bool older = is_older(v, ref, many), newer = is_older(ref, v, many);

	if (v->role == RSV_ROLE_RESOLVER && v->aa && v->state == RSV_S_DIFFERS && !v->other_zone)
		return older ? RSV_LAG : RSV_DIFFER; /* a secondary itself, by all we can see */
	if (!has_authority(v))
		return RSV_AGREE;
	if (newer && ref->is_primary) /* it may be a secondary itself, and not have been told yet */
		return RSV_LAG;
	if (v->state == RSV_S_OK && same_ttl(&v->set, &ref->set))
		return RSV_AGREE;
	return older ? RSV_LAG : RSV_DIFFER;
}

size_t rsv_judge_servers(struct rsv_server_view *v, size_t n, const struct dns_name *zone,
			 enum rsv_agreement *ret_agreement)
{
	const struct rsv_server_view *ref;
	size_t best;
	bool many;

	for (size_t i = 0; i < n; i++)
		v[i].other_zone = v[i].srv_err != 0 && has_answer(&v[i]) && zone != NULL &&
				  dns_name_is_set(zone) &&
				  dns_name_is_set(&v[i].set.negative_zone) &&
				  !dns_name_equal(&v[i].set.negative_zone, zone);
	many = rsv_many_primaries(v, n);
	best = choose(v, n, many);
	ref = best != RSV_NO_SERVER ? &v[best] : NULL;

	*ret_agreement = RSV_AGREE;
	for (size_t i = 0; i < n; i++) {
		enum rsv_agreement a;

		v[i].state = judge(&v[i], ref, many);
		a = ref != NULL ? agreement(&v[i], ref, many) : RSV_AGREE;
		if (a > *ret_agreement)
			*ret_agreement = a;
	}
	return best;
}

/** Where a further finding goes; NULL without memory, and where it is to be dropped. */
static struct rsv_finding *finding_slot(struct rsv_audit_result *r, enum finding_severity severity,
					int *ret_err)
{
	struct rsv_finding *grown;

	*ret_err = 0;
	if (r->n_findings >= RSV_FINDINGS_MAX) { /* a flood must not hide what is worse */
		r->findings_dropped++;
		for (size_t i = r->n_findings; i-- > 0;)
			if (finding_info(r->findings[i].id)->severity < severity)
				return &r->findings[i];
		return NULL;
	}
	if ((r->n_findings & (r->n_findings - 1)) == 0) { /* full at each power of two */
		size_t cap = r->n_findings == 0 ? 1 : r->n_findings * 2;

		grown = realloc(r->findings, cap * sizeof(*grown));
		if (grown == NULL) {
			*ret_err = ERR_NOMEM;
			return NULL;
		}
		r->findings = grown;
	}
	return &r->findings[r->n_findings++];
}

int rsv_finding_add(struct rsv_audit_result *r, enum finding_id id, const char *fmt, ...)
{
	enum finding_severity severity = finding_info(id)->severity;
	struct rsv_finding *f;
	va_list ap;
	int err;

	if (severity > r->worst)
		r->worst = severity;
	f = finding_slot(r, severity, &err);
	if (f == NULL)
		return err;
	f->id = id;
	va_start(ap, fmt);
	vsnprintf(f->text, RSV_FINDING_TEXT_MAX, fmt, ap);
	va_end(ap);
	return 0;
}

#define WHO_MAX 300

static const char *who(const struct rsv_server_view *v, char buf[WHO_MAX])
{
	char addr[ADDR_TEXT_MAX] = "no address", name[DNSNAME_TEXT_MAX];

	if (addr_is_set(&v->addr))
		addr_format(&v->addr, addr);
	if (dns_name_is_set(&v->name))
		snprintf(buf, WHO_MAX, "%.200s (%s)", dns_name_format(&v->name, name), addr);
	else
		snprintf(buf, WHO_MAX, "%s", addr);
	return buf;
}

static int unreachable(struct rsv_audit_result *r, const struct rsv_server_view *v,
		       const char *name)
{
	enum finding_id id = v->role == RSV_ROLE_RESOLVER ? FINDING_RESOLVER_UNREACHABLE
							  : FINDING_SERVER_UNREACHABLE;

	if (v->n_addrs == 0)
		return rsv_finding_add(r, id, "name server %s has no address", name);
	return rsv_finding_add(r, id, "%s %s gives no answer: %s",
			       v->role == RSV_ROLE_RESOLVER ? "resolver" : "server", name,
			       err_text(v->srv_err));
}

static int stale(struct rsv_audit_result *r, const struct rsv_server_view *v, const char *name)
{
	if (v->inconsistent)
		return 0; /* told so */
	if (v->srv_err != 0)
		return rsv_finding_add(
			r, FINDING_NEGATIVE_CACHED,
			"resolver %s still says that there is no record, for up to %u s", name,
			v->set.negative_ttl);
	return rsv_finding_add(r, FINDING_RESOLVER_STALE,
			       "resolver %s still gives %zu record%s, for up to %u s", name,
			       v->set.n, v->set.n == 1 ? "" : "s", v->set.ttl);
}

static int lagging(struct rsv_audit_result *r, const struct rsv_server_view *v,
		   const struct rsv_server_view *ref, const char *name)
{
	char ref_name[WHO_MAX];

	if (!v->late)
		return 0;
	return rsv_finding_add(r, FINDING_LAG, "server %s still has serial %u, %s has serial %u",
			       name, v->serial, who(ref, ref_name), ref->serial);
}

static int lame(struct rsv_audit_result *r, const struct rsv_server_view *v, const char *name)
{
	char other[DNSNAME_TEXT_MAX];

	if (v->other_zone)
		return rsv_finding_add(r, FINDING_SERVER_LAME,
				       "server %s does not have the zone: it answers for %.100s",
				       name, dns_name_format(&v->set.negative_zone, other));
	if (has_answer(v))
		return rsv_finding_add(r, FINDING_SERVER_LAME,
				       "server %s answers without authority", name);
	return rsv_finding_add(r, FINDING_SERVER_LAME, "server %s does not serve the zone: %s",
			       name, err_text(v->srv_err));
}

static int differs(struct rsv_audit_result *r, const struct rsv_server_view *v,
		   const struct rsv_server_view *ref, const char *name)
{
	enum finding_id id =
		v->role == RSV_ROLE_RESOLVER ? FINDING_RESOLVER_DIFFERS : FINDING_SERVERS_DIFFER;
	bool many = rsv_many_primaries(r->servers, r->n_servers);
	char ref_name[WHO_MAX], other[DNSNAME_TEXT_MAX];

	if (v->role == RSV_ROLE_RESOLVER && is_older(v, ref, many) && !v->late)
		return 0; /* a secondary that has not been told yet */
	if (ref->is_primary && has_authority(v) && is_older(ref, v, many))
		return 0; /* told of the primary */
	who(ref, ref_name);
	if (v->other_zone)
		return rsv_finding_add(r, id, "%s does not know the zone: it answers %s for %.100s",
				       name, v->srv_err == ERR_DNS_NODATA ? "NODATA" : "NXDOMAIN",
				       dns_name_format(&v->set.negative_zone, other));
	return rsv_finding_add(r, id, "%s gives %zu record%s, not the %zu of %s%s", name, v->set.n,
			       v->set.n == 1 ? "" : "s", ref->set.n, ref_name,
			       many ? "; each is a primary of its own (Active Directory?)" : "");
}

static int server_finding(struct rsv_audit_result *r, const struct rsv_server_view *v,
			  const struct rsv_server_view *ref)
{
	char name[WHO_MAX];

	who(v, name);
	switch (v->state) {
	case RSV_S_UNREACHABLE:
		return unreachable(r, v, name);
	case RSV_S_LAME:
		return lame(r, v, name);
	case RSV_S_STALE:
		return stale(r, v, name);
	case RSV_S_LAGGING: /* this and the next compare with one, so there is one */
		return ref != NULL ? lagging(r, v, ref, name) : 0;
	case RSV_S_DIFFERS:
		return ref != NULL ? differs(r, v, ref, name) : 0;
	case RSV_S_OK: /* a secondary that is behind, but with the same records, is no fault */
	case RSV_S_STATE_COUNT_:
		break;
	}
	return 0;
}

/** A primary whose zone has stayed behind that of a secondary. */
static int backwards(struct rsv_audit_result *r, const struct rsv_server_view *primary)
{
	const struct rsv_server_view *newest = primary;
	char name[WHO_MAX], other[WHO_MAX];

	for (size_t i = 0; i < r->n_servers; i++)
		if (has_authority(&r->servers[i]) && is_older(newest, &r->servers[i], false))
			newest = &r->servers[i];
	if (!primary->is_primary || !primary->late || newest == primary)
		return 0;
	return rsv_finding_add(
		r, FINDING_SERIAL_BACKWARDS, "the primary %s has serial %u, older than %u of %s",
		who(primary, name), primary->serial, newest->serial, who(newest, other));
}

static int inconsistent(struct rsv_audit_result *r, const struct rsv_server_view *v)
{
	char name[WHO_MAX];

	if (!v->inconsistent || v->state == RSV_S_DIFFERS)
		return 0;
	return rsv_finding_add(r, FINDING_RESOLVER_INCONSISTENT,
			       "resolver %s answers now with one set, now with another",
			       who(v, name));
}

/* A domain controller knows no TSIG key. */
static int ad_finding(struct rsv_audit_result *r)
{
	char zone[DNSNAME_TEXT_MAX], primary[DNSNAME_TEXT_MAX], domain[DNSNAME_TEXT_MAX];

	if (!dns_name_is_set(&r->ad_domain) || (r->key.asked && r->key.err == 0))
		return 0;
	return rsv_finding_add(r, FINDING_AD_INTEGRATED,
			       "the primary of %.150s, %.150s, is a domain controller of %.150s",
			       dns_name_format(&r->zone, zone),
			       dns_name_format(&r->primary, primary),
			       dns_name_format(&r->ad_domain, domain));
}

/** What a signed question to the primary has shown. */
static int key_findings(struct rsv_audit_result *r)
{
	const struct rsv_key_check *k = &r->key;
	char name[ADDR_TEXT_MAX] = "the primary";

	if (!k->asked)
		return 0;
	if (addr_is_set(&k->server))
		addr_format(&k->server, name);
	if (k->has_skew && llabs((long long)k->skew_s) > CLOCK_SKEW_MAX_S)
		return rsv_finding_add(r, FINDING_CLOCK_SKEW, "the clock of %s is %lld s %s ours",
				       name, llabs((long long)k->skew_s),
				       k->skew_s < 0 ? "behind" : "ahead of");
	if (k->err == ERR_TSIG_PEER_BADTIME || k->err == ERR_TSIG_TIME)
		return rsv_finding_add(r, FINDING_CLOCK_SKEW, "%s: %s", name, err_text(k->err));
	if (k->err == ERR_TSIG_PEER_BADKEY || k->err == ERR_TSIG_PEER_BADSIG ||
	    k->err == ERR_TSIG_PEER_BADTRUNC || k->err == ERR_TSIG_BADSIG)
		return rsv_finding_add(r, FINDING_KEY_REFUSED, "%s: %s", name, err_text(k->err));
	return 0;
}

static int ttl_findings(struct rsv_audit_result *r, const struct rsv_server_view *ref)
{
	bool many = rsv_many_primaries(r->servers, r->n_servers);
	char name[WHO_MAX], ref_name[WHO_MAX];
	int err = 0;

	if (ref->set.mixed_ttl)
		err = rsv_finding_add(r, FINDING_TTL_MISMATCH,
				      "the records on %s have different TTLs", who(ref, name));
	for (size_t i = 0; err == 0 && i < r->n_servers; i++) {
		const struct rsv_server_view *v = &r->servers[i];

		if (!has_authority(v) || !has_authority(ref) || v->state != RSV_S_OK ||
		    v->set.n == 0 || same_ttl(&v->set, &ref->set) ||
		    (is_older(v, ref, many) && !v->late))
			continue;
		err = rsv_finding_add(r, FINDING_TTL_MISMATCH, "the TTL is %u s on %s, %u s on %s",
				      v->set.ttl, who(v, name), ref->set.ttl, who(ref, ref_name));
	}
	return err;
}

int rsv_judge_server_findings(struct rsv_audit_result *r, size_t reference)
{
	const struct rsv_server_view *ref =
		reference != RSV_NO_SERVER ? &r->servers[reference] : NULL;
	int err = 0;

	if (r->servers == NULL)
		return 0;
	for (size_t i = 0; err == 0 && i < r->n_servers; i++)
		err = server_finding(r, &r->servers[i], ref);
	if (err == 0 && ref != NULL)
		err = backwards(r, ref);
	for (size_t i = 0; err == 0 && i < r->n_servers; i++)
		err = inconsistent(r, &r->servers[i]);
	if (err == 0)
		err = key_findings(r);
	if (err == 0)
		err = ad_finding(r);
	if (err == 0 && ref != NULL)
		err = ttl_findings(r, ref);
	return err;
}
