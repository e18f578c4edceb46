#include "publisher/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hresult.h"

static void say(struct pub_verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sentences are put together from a cause and a next step; what does not fit is cut at the end. */
static void say(struct pub_verdict *v, const char *fmt, ...)
{
	size_t len = strlen(v->hint);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(v->hint + len, sizeof(v->hint) - len, fmt, ap);
	va_end(ap);
}

/* RCODE of an error: ERR_RCODE_*, ERR_TSIG_PEER_*. false for an error that is none. */
static bool rcode_of(int err, unsigned *ret_rcode)
{
	switch (err) {
	case ERR_TSIG_PEER_BADSIG:
		*ret_rcode = DNS_RCODE_BADSIG;
		return true;
	case ERR_TSIG_PEER_BADKEY:
		*ret_rcode = DNS_RCODE_BADKEY;
		return true;
	case ERR_TSIG_PEER_BADTIME:
		*ret_rcode = DNS_RCODE_BADTIME;
		return true;
	case ERR_TSIG_PEER_BADTRUNC:
		*ret_rcode = DNS_RCODE_BADTRUNC;
		return true;
	default:
		break;
	}
	for (unsigned rcode = DNS_RCODE_FORMERR; rcode <= DNS_RCODE_NOTZONE; rcode++) {
		if (dns_rcode_err(rcode) == err) {
			*ret_rcode = rcode;
			return true;
		}
	}
	return false;
}

static const char *doing(const struct pub_failure *f)
{
	static const char *const texts[] = {
		[PUB_STAGE_WALK] = "looking for the zone of",
		[PUB_STAGE_HOST] = "looking for an address of the primary of",
		[PUB_STAGE_CONFIRM] = "asking the primary for the SOA of",
		[PUB_STAGE_READ] = "reading",
		[PUB_STAGE_UPDATE] = "updating",
		[PUB_STAGE_PROOF] = "checking",
	};

	return texts[f->stage];
}

static const char *subject(const struct pub_failure *f)
{
	if (f->stage == PUB_STAGE_HOST || f->stage == PUB_STAGE_CONFIRM)
		return f->zone[0] != '\0' ? f->zone : f->domain;
	return f->owner;
}

/** The walk followed a CNAME: what went wrong did so somewhere else than was configured. */
static bool is_alias(const struct pub_failure *f)
{
	size_t n = strlen(PUB_OWNER_LABELS);

	return f->owner[0] != '\0' && (strncmp(f->owner, PUB_OWNER_LABELS ".", n + 1) != 0 ||
				       strcmp(f->owner + n + 1, f->domain) != 0);
}

static void say_alias(const struct pub_failure *f, struct pub_verdict *v)
{
	if (is_alias(f) && f->block != PUB_BLOCK_CNAME && f->block != PUB_BLOCK_ALIAS_LOOP)
		say(v, "; a CNAME present at " PUB_OWNER_LABELS ".%s leads to %s", f->domain,
		    f->owner);
}

static const char *server(const struct pub_failure *f)
{
	return f->server[0] != '\0' ? f->server : "the server";
}

static void say_refused_update(const struct pub_failure *f, struct pub_verdict *v)
{
	say(v, "%s refused the update of zone %s", server(f), f->zone);
	if (f->is_secondary)
		say(v,
		    "; the SOA names %s as the primary, so this server is probably a secondary: "
		    "set `server:` of %s to the primary",
		    f->mname, f->domain);
	else if (f->key[0] == '\0')
		say(v,
		    ": it takes no unsigned update (an AD-integrated zone takes only GSS-TSIG, "
		    "which is not supported): give %s a `key:` and the server what `kmsbeacon "
		    "policy --domain %s` prints",
		    f->domain, f->domain);
	else if (f->worked_before)
		say(v,
		    ", which it took earlier: look whether the zone is frozen (rndc thaw), or its "
		    "update-policy changed; it is tried again");
	else
		say(v,
		    ": the key is not allowed to change SRV at %s, or the zone is static, frozen "
		    "or a secondary: compare with `kmsbeacon policy --domain %s` and read the "
		    "log of the server",
		    f->owner, f->domain);
}

static void say_refused_query(const struct pub_failure *f, struct pub_verdict *v)
{
	if (f->stage == PUB_STAGE_WALK && !f->by_server)
		say(v,
		    "the resolver %s refuses to answer this machine: allow it there "
		    "(allow-recursion, allow-query) or set discovery.resolvers",
		    server(f));
	else if (f->key[0] != '\0')
		say(v,
		    "%s refuses to answer queries for %s signed with key %s: allow the key in "
		    "allow-query (and match-clients of the view)",
		    server(f), subject(f), f->key);
	else
		say(v,
		    "%s refuses to answer queries for %s: allow this machine in allow-query, or "
		    "give %s a `key:`",
		    server(f), subject(f), f->domain);
}

static void say_notauth(const struct pub_failure *f, struct pub_verdict *v)
{
	if (f->stage == PUB_STAGE_UPDATE)
		say(v,
		    "%s is not authoritative for zone %s: correct `server:` of %s, or name the "
		    "primary there",
		    server(f), f->zone, f->domain);
	else
		say(v,
		    "%s answers NOTAUTH for %s: it does not serve the zone, or does not accept "
		    "key %s: correct `server:` or the key",
		    server(f), subject(f), f->key[0] != '\0' ? f->key : "(none)");
}

static void say_badtime(const struct pub_failure *f, struct pub_verdict *v)
{
	if (f->tsig.has_skew && llabs((long long)f->tsig.skew_s) <= TSIG_FUDGE_S)
		say(v,
		    "the clocks of %s and of this machine agree now, but did not when the "
		    "request was signed: one of them was set meanwhile, so try again",
		    server(f));
	else if (f->tsig.has_skew)
		say(v,
		    "the clock of %s is %lld s %s of ours, and TSIG allows 300: set both "
		    "clocks by NTP",
		    server(f), llabs((long long)f->tsig.skew_s),
		    f->tsig.skew_s < 0 ? "behind" : "ahead");
	else
		say(v,
		    "the clocks of %s and of this machine differ by more than TSIG "
		    "allows (300 s): set both by NTP",
		    server(f));
}

static void say_servfail(const struct pub_failure *f, struct pub_verdict *v)
{
	if (f->stage == PUB_STAGE_UPDATE)
		say(v,
		    "%s failed on the update of zone %s: look in its log for an "
		    "unwritable journal, a full disk or max-records-per-type",
		    server(f), f->zone);
	else
		say(v,
		    "%s failed (SERVFAIL) when %s %s: look in its log, and at the "
		    "delegation of the zone",
		    server(f), doing(f), subject(f));
}

static void say_rcode(const struct pub_failure *f, struct pub_verdict *v)
{
	switch (v->rcode) {
	case DNS_RCODE_REFUSED:
		if (f->stage == PUB_STAGE_UPDATE)
			say_refused_update(f, v);
		else
			say_refused_query(f, v);
		return;
	case DNS_RCODE_NOTAUTH:
		say_notauth(f, v);
		return;
	case DNS_RCODE_BADKEY:
		say(v,
		    "%s does not know key %s, or not with its algorithm (Knot also says this "
		    "where its ACL denies): compare the key statement there with the key file",
		    server(f), f->key);
		return;
	case DNS_RCODE_BADSIG:
		say(v, "%s has another secret for key %s: copy the same key file to both sides",
		    server(f), f->key);
		return;
	case DNS_RCODE_BADTRUNC:
		say(v, "%s wants a longer signature than key %s gives: use the full length there",
		    server(f), f->key);
		return;
	case DNS_RCODE_BADTIME:
		say_badtime(f, v);
		return;
	case DNS_RCODE_SERVFAIL:
		say_servfail(f, v);
		return;
	case DNS_RCODE_NOTIMP:
		say(v,
		    "%s has no dynamic update: print the records with `kmsbeacon publish --print "
		    "zone`, or name another server",
		    server(f));
		return;
	case DNS_RCODE_NOTZONE:
		say(v, "%s says that %s is not in zone %s: look for a delegation between them",
		    server(f), f->owner, f->zone);
		return;
	case DNS_RCODE_NXDOMAIN:
		if (f->stage == PUB_STAGE_HOST) {
			say(v,
			    "the primary %s of zone %s has no address: correct the MNAME of the "
			    "SOA, or set `server:` of %s",
			    f->mname, f->zone, f->domain);
			return;
		}
		break;
	default:
		break;
	}
	say(v, "%s answered %s when %s %s: %s", server(f), dns_rcode_name(v->rcode), doing(f),
	    subject(f),
	    hresult_find(v->hresult) != NULL ? hresult_find(v->hresult)->next_step
					     : "read the log of the server");
}

static void say_no_zone(const struct pub_failure *f, struct pub_verdict *v)
{
	say(v,
	    "no zone of %s was found below %s%s: correct the name or its delegation; if that zone "
	    "is really yours, set `server:`",
	    is_alias(f) ? f->owner : f->domain,
	    strcmp(f->zone, ".") == 0 ? "the root " : "the top-level zone ", f->zone);
}

static void say_elsewhere(const struct pub_failure *f, struct pub_verdict *v)
{
	say(v,
	    "something else publishes %s at %s (the host itself, or another kmsbeacon), so "
	    "clients still come: stop it there (on a Windows host slmgr /cdns) and delete "
	    "the record%s",
	    f->other, f->owner,
	    f->stage == PUB_STAGE_READ ? ", or use --force" : "; it is looked at again");
}

static void say_block(const struct pub_failure *f, struct pub_verdict *v)
{
	switch (f->block) {
	case PUB_BLOCK_NONE:
		return;
	case PUB_BLOCK_CNAME:
		say(v,
		    "not visible: CNAME present at %s (it leads to %s): remove it, or publish "
		    "where it leads",
		    f->owner, f->other);
		return;
	case PUB_BLOCK_DELEGATED:
		say(v,
		    "%s lies in the child zone %s, which %s does not serve: set `server:` of %s to "
		    "the primary of %s",
		    f->owner, f->other, server(f), f->domain, f->other);
		return;
	case PUB_BLOCK_TOP:
		say_no_zone(f, v);
		return;
	case PUB_BLOCK_NOT_AUTH:
		say(v,
		    "%s answers for %s without authority, as a forwarder or a server of another "
		    "zone does: set `server:` of %s to the primary",
		    server(f), subject(f), f->domain);
		return;
	case PUB_BLOCK_LARGE:
		say(v,
		    "the record set at %s is larger than %u records, or needs more than %u "
		    "changes: clean it up by hand",
		    f->owner, PUB_SEEN_MAX, PUB_CHANGES_MAX);
		return;
	case PUB_BLOCK_RACE:
		say(v,
		    "the records at %s changed during each of our tries: something else updates "
		    "them; it is tried again",
		    f->owner);
		return;
	case PUB_BLOCK_NO_EFFECT:
		say(v,
		    "%s accepted the update of zone %s, but does not show it: look for a "
		    "delegation or DNAME above %s, another view, a failing signer, or another "
		    "publisher that undoes it",
		    server(f), f->zone, f->owner);
		return;
	case PUB_BLOCK_DOT:
		say(v,
		    "a record with target \".\" at %s says that there is no KMS here: delete it "
		    "to publish",
		    f->owner);
		return;
	case PUB_BLOCK_TARGET:
		say(v,
		    "a target did not pass its checks, so its record is not published at %s: see "
		    "the findings",
		    f->owner);
		return;
	case PUB_BLOCK_LAST:
		say(v,
		    "the set at %s would be left empty, and no client of %s would find a KMS host: "
		    "publish another host there first, or use --force",
		    f->owner, f->domain);
		return;
	case PUB_BLOCK_ELSEWHERE:
		say_elsewhere(f, v);
		return;
	case PUB_BLOCK_ALIAS_LOOP:
		say(v, "the CNAMEs at %s loop or are more than can be followed: repair them",
		    f->owner);
		return;
	}
}

static void say_no_answer(const struct pub_failure *f, struct pub_verdict *v)
{
	switch (f->err) {
	case ERR_TSIG_UNSIGNED:
		if (f->stage == PUB_STAGE_UPDATE && f->hint_rcode == DNS_RCODE_NOTIMP) {
			say(v,
			    "%s answered the update with an unsigned NOTIMP, as NSD does: it has "
			    "no "
			    "dynamic update, so set `server:` of %s to the primary, or print the "
			    "records with `kmsbeacon publish --print zone`",
			    server(f), f->domain);
			return;
		}
		say(v,
		    "%s answered unsigned%s%s to a signed request, which proves nothing: compare "
		    "name, secret and algorithm of key %s on both sides and both clocks "
		    "(PowerDNS tells none of these apart), and see that nothing answers in its "
		    "place",
		    server(f), f->hint_rcode != 0 ? " with " : "",
		    f->hint_rcode != 0 ? dns_rcode_name(f->hint_rcode) : "", f->key);
		return;
	case ERR_TSIG_BADSIG:
	case ERR_TSIG_KEY:
	case ERR_TSIG_TIME:
		say(v, "the reply of %s cannot be verified (%s): compare key %s on both sides",
		    server(f), err_text(f->err), f->key);
		return;
	case ERR_DNS_MALFORMED:
	case ERR_DNS_MISMATCH:
		say(v, "%s answers in a way that cannot be read: ask it with dig and compare",
		    server(f));
		return;
	case ERR_NO_SERVER:
		say(v, "there is no DNS server to ask: set discovery.resolvers, or `server:` of %s",
		    f->domain);
		return;
	case ERR_DNS_NO_ZONE:
		say(v, "no zone was found for %s: correct the domain, or set `server:`", f->owner);
		return;
	case ERR_DNS_NODATA:
		if (f->stage != PUB_STAGE_HOST)
			break;
		say(v,
		    "the primary %s of zone %s has no address: correct the MNAME of the SOA, or "
		    "set `server:` of %s",
		    f->mname, f->zone, f->domain);
		return;
	default:
		break;
	}
	if (f->stage == PUB_STAGE_WALK && !f->by_server)
		say(v,
		    "no answer from the resolvers (%s) when %s %s: check that they run and that "
		    "this machine reaches them",
		    err_text(f->err), doing(f), subject(f));
	else
		say(v,
		    "no answer from %s (%s) when %s %s: check that it runs, and that UDP and TCP "
		    "port 53 are open from here",
		    server(f), err_text(f->err), doing(f), subject(f));
	if (f->stage == PUB_STAGE_WALK || f->by_server)
		return;
	if (f->mname[0] != '\0')
		say(v, "; the SOA names %s as primary", f->mname);
	say(v, "; a hidden primary is named with `server:`");
}

static void judge(const struct pub_failure *f, struct pub_verdict *ret)
{
	say_block(f, ret);
	if (f->block != PUB_BLOCK_NONE) {
		ret->state = PUB_BLOCKED;
		ret->hresult = f->block == PUB_BLOCK_CNAME || f->block == PUB_BLOCK_NO_EFFECT ||
					       f->block == PUB_BLOCK_DELEGATED
				       ? HR_DNS_NO_RECORDS
				       : HR_DNS_RCODE;
		return;
	}
	ret->hresult = hresult_from_err(f->err);
	ret->has_rcode = rcode_of(f->err, &ret->rcode);
	if (f->err == ERR_RCODE_OTHER) {
		ret->has_rcode = true;
		ret->rcode = f->hint_rcode;
	}
	if (ret->has_rcode) {
		/* a name without an address is not a server's refusal */
		ret->state = f->stage == PUB_STAGE_HOST && ret->rcode == DNS_RCODE_NXDOMAIN
				     ? PUB_BLOCKED
				     : PUB_REFUSED;
		if (f->err != ERR_RCODE_OTHER)
			ret->hresult = hresult_from_rcode(ret->rcode);
		say_rcode(f, ret);
		return;
	}
	ret->state = f->err == ERR_DNS_NO_ZONE || f->err == ERR_DNS_NODATA ? PUB_BLOCKED
									   : PUB_UNREACHABLE;
	say_no_answer(f, ret);
}

void pub_explain(const struct pub_failure *f, struct pub_verdict *ret)
{
	memset(ret, 0, sizeof(*ret));
	judge(f, ret);
	say_alias(f, ret);
}

void pub_explain_ad(const char *zone, const char *mname, char hint[PUB_HINT_MAX])
{
	(void)snprintf(hint, PUB_HINT_MAX,
		       "zone %.150s is AD-integrated (its primary %.150s is a domain controller): "
		       "secure dynamic update needs GSS-TSIG, which kmsbeacon does not speak: use "
		       "`kmsbeacon publish --print powershell`, or `kmsbeacon policy --delegate`",
		       zone, mname);
}

void pub_explain_secondary(const char *mname, const char *domain, char hint[PUB_HINT_MAX])
{
	size_t len = strlen(hint);

	(void)snprintf(
		hint + len, PUB_HINT_MAX - len,
		"; the SOA names %.100s as the primary, so this server may be a secondary: then "
		"set `server:` of %.100s to the primary",
		mname, domain);
}

static void name_of(const struct pub_proof *p, char buf[DNSNAME_TEXT_MAX])
{
	if (dns_name_is_set(&p->name))
		dns_name_format(&p->name, buf);
	else
		addr_format(&p->addr, buf);
}

void pub_explain_lagging(const struct pub_proof *proof, size_t n, uint32_t ttl_s,
			 char hint[PUB_HINT_MAX])
{
	const struct pub_proof *worst = NULL;
	char name[DNSNAME_TEXT_MAX];
	size_t n_unknown = 0;

	for (size_t i = 0; i < n; i++) {
		n_unknown += proof[i].state == PUB_PROOF_UNKNOWN;
		if (proof[i].state == PUB_PROOF_DIFFERS ||
		    (proof[i].state == PUB_PROOF_LAGGING && worst == NULL))
			worst = &proof[i];
	}
	if (worst == NULL) {
		(void)snprintf(
			hint, PUB_HINT_MAX,
			"right on the primary, but %zu of %zu servers cannot be asked: check "
			"that they run and answer this machine",
			n_unknown, n);
		return;
	}
	name_of(worst, name);
	if (worst->state == PUB_PROOF_LAGGING)
		(void)snprintf(
			hint, PUB_HINT_MAX,
			"%.255s still serves an older version of the zone (serial %u): check its "
			"transfers and the NOTIFY from the primary",
			name, worst->serial);
	else
		(void)snprintf(
			hint, PUB_HINT_MAX,
			"%.255s shows other records at the same or a newer serial: it serves "
			"another view, or its own copy; clients may see the old state for "
			"%u s",
			name, ttl_s);
}
