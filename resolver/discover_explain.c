/* The words of a discovery: codes and sentences, no decisions. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/discover_priv.h"

uint32_t rsv_lookup_hresult(int err)
{
	switch (err) {
	case ERR_OK:
		return HR_OK;
	case ERR_DNS_NODATA:
	case ERR_DNS_NOT_AUTH:
	case ERR_DNS_CNAME_LOOP:
		return HR_DNS_NO_RECORDS;
	case ERR_NO_SERVER:
		return HR_DNS_NO_SERVERS;
	case ERR_DNS_MALFORMED:
	case ERR_DNS_MISMATCH:
		return HR_DNS_BAD_PACKET;
	case ERR_LIMIT:
	case ERR_PARSE:
		return HR_INVALID_NAME;
	default:
		break;
	}
	if (err <= ERR_RCODE_FORMERR && err >= ERR_RCODE_OTHER)
		return hresult_from_err(err);
	return HR_DNS_SERVFAIL; /* silence and a closed port look like a failed server to it */
}

uint32_t rsv_probe_hresult(enum probe_state s)
{
	switch (s) {
	case PROBE_UP:
		return HR_OK;
	case PROBE_NO_KMS_INTERFACE:
		return HR_RPC_UNKNOWN_IF;
	case PROBE_RPC_REFUSED:
	case PROBE_NOT_RPC:
		return HR_RPC_CALL_FAILED;
	case PROBE_UNRESOLVED:
		return HR_DNS_NXDOMAIN;
	case PROBE_REFUSED:
	case PROBE_TIMEOUT:
	case PROBE_STATE_COUNT_:
		break;
	}
	return HR_RPC_UNAVAILABLE;
}

const char *rsv_suffix_from_name(enum rsv_suffix_from f)
{
	static const char *const names[RSV_SUFFIX_FROM_COUNT_] = {
		[RSV_SUFFIX_LIST] = "list",     [RSV_SUFFIX_PRIMARY] = "primary",
		[RSV_SUFFIX_AD] = "ad",         [RSV_SUFFIX_CONNECTION] = "connection",
		[RSV_SUFFIX_SEARCH] = "search", [RSV_SUFFIX_RESOLV_CONF] = "resolv.conf",
		[RSV_SUFFIX_LOOKUP] = "lookup",
	};

	return f < RSV_SUFFIX_FROM_COUNT_ ? names[f] : "unknown";
}

/** A host set by hand that has no address is reported as a name that does not exist. */
uint32_t rsv_d_manual_hresult(int err)
{
	uint32_t code = err == 0 ? HR_BINDING_SERVICE_UNAVAILABLE : rsv_lookup_hresult(err);

	return code == HR_DNS_NO_RECORDS ? HR_DNS_NXDOMAIN : code;
}

static char no_memory[] = "out of memory: what happened here cannot be told";

void rsv_d_free_step(struct rsv_step *s)
{
	if (s->detail != no_memory)
		free(s->detail);
}

void rsv_d_step(struct rsv_discover_impl *d, const char *step, const char *fmt, ...)
{
	struct rsv_discovery *r = &d->r;
	char *detail = NULL;
	va_list ap;

	if (r->n_steps >= RSV_STEPS_MAX)
		return;
	va_start(ap, fmt);
	if (vasprintf(&detail, fmt, ap) < 0)
		detail = NULL;
	va_end(ap);
	if (detail == NULL) /* no reason to fail; but that it is missing is told */
		detail = no_memory;
	r->steps[r->n_steps].step = step;
	r->steps[r->n_steps++].detail = detail;
}

void rsv_d_explain_answer(struct rsv_discover_impl *d, const char *domain,
			  const struct rsv_lookup_result *r)
{
	const struct rsv_set *s = &r->set;
	char server[ADDR_TEXT_MAX] = "nobody", owner[DNSNAME_TEXT_MAX];

	if (addr_is_set(&r->server))
		addr_format(&r->server, server);
	if (r->err != 0) {
		rsv_d_step(d, "answer", "%s: %s (from %s)", domain, err_text(r->err), server);
		if (s->aliased && s->hops > RSV_CNAME_MAX)
			rsv_d_step(d, "answer",
				   "%s: the name is an alias, and the chain loops or is too long: "
				   "after %u aliases it is at %s",
				   domain, s->hops, dns_name_format(&s->owner, owner));
		else if (s->aliased)
			rsv_d_step(d, "answer", "%s: the name is an alias that leads to %s", domain,
				   dns_name_format(&s->owner, owner));
		if (s->negative_ttl > 0)
			rsv_d_step(d, "answer",
				   "%s: a record published now may stay unseen for %u s, as "
				   "resolvers keep this answer",
				   domain, s->negative_ttl);
		return;
	}
	rsv_d_step(d, "answer", "%s: %zu record%s from %s, good for %u s%s%s", domain, s->n,
		   s->n == 1 ? "" : "s", server, s->ttl, s->aliased ? ", through the alias " : "",
		   s->aliased ? dns_name_format(&s->owner, owner) : "");
	if (s->absent)
		rsv_d_step(d, "answer",
			   "%s: a record with the target \".\" says that there is no "
			   "KMS host here",
			   domain);
	if (s->truncated)
		rsv_d_step(d, "answer", "%s: only the first %d records are considered", domain,
			   RSV_RECORDS_MAX);
}

void rsv_d_explain_domains(struct rsv_discover_impl *d)
{
	char list[1024] = "", name[DNSNAME_TEXT_MAX];
	size_t used = 0;

	if (d->has_lookup_domain) {
		rsv_d_step(d, "suffix",
			   "the lookup domain %s is set: only it is asked, suffixes are "
			   "ignored",
			   dns_name_format(&d->r.domains[0], name));
		return;
	}
	for (size_t i = 0; i < d->r.n_domains && used + 1 < sizeof(list); i++) {
		enum rsv_suffix_from from = d->r.suffix[i].from;
		int n = snprintf(list + used, sizeof(list) - used, "%s%.250s%s%s%s",
				 i > 0 ? ", then " : "", dns_name_format(&d->r.domains[i], name),
				 from != RSV_SUFFIX_LIST ? " (" : "",
				 from != RSV_SUFFIX_LIST ? rsv_suffix_from_name(from) : "",
				 from != RSV_SUFFIX_LIST ? ")" : "");

		if (n > 0)
			used += (size_t)n;
	}
	rsv_d_step(d, "suffix", "%s%s", list,
		   d->r.n_domains == 1   ? ""
		   : d->p.merge_suffixes ? "; all are asked, their records are put together"
					 : "; the first that has a record wins");
}

void rsv_d_explain_order(struct rsv_discover_impl *d)
{
	char list[1024] = "", host[DNSNAME_TEXT_MAX];
	size_t used = 0, shown = 0;

	for (; shown < d->r.n_cand && shown < 8 && used + 1 < sizeof(list); shown++) {
		const struct rsv_candidate *c = &d->r.cand[shown];
		int n = snprintf(list + used, sizeof(list) - used,
				 "%s%.200s:%u (priority %u, weight %u, first with %.1f %%)",
				 shown > 0 ? ", " : "", dns_name_format(&c->rec.srv.target, host),
				 (unsigned)c->rec.srv.port, (unsigned)c->rec.srv.priority,
				 (unsigned)c->rec.srv.weight, c->probability * 100.0);
		if (n > 0)
			used += (size_t)n;
	}
	rsv_d_step(d, "order", "profile %s (%s): %s%s", rsv_profile_name(d->p.profile),
		   d->p.profile == RSV_VISTA ? "priority and weight are ignored"
					     : "lowest priority first, weights drawn within it",
		   list, shown < d->r.n_cand ? ", ..." : "");
}
