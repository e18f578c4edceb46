/** What the languages of `kmsbeacon policy` share: one file policy_SERVER.c each. */
#ifndef KMSBEACON_PUBLISHER_POLICY_PRIV_H
#define KMSBEACON_PUBLISHER_POLICY_PRIV_H

#include "publisher/policy.h"

/** One target as text, made once; no name has a trailing dot. */
struct policy_names {
	const struct pub_target *target;
	const char *view; /* "" for none */
	char domain[DNSNAME_TEXT_MAX];
	char owner[DNSNAME_TEXT_MAX]; /* _vlmcs._tcp.DOMAIN */
	char key[DNSNAME_TEXT_MAX];   /* on the wire: what the server calls it */
	const char *alg;
	const char *key_file;           /* on this machine */
	char id[DNSNAME_TEXT_MAX + 80]; /* letters, digits and _: one for each (domain, view) */
	char ns[PUB_POLICY_NS_MAX][DNSNAME_TEXT_MAX];
	size_t n_ns;
	bool ns_invented; /* ns[0] is to be replaced */
};

/** 0 or ERR_CONFIG with a sentence. */
int policy_names_init(const struct pub_policy_params *p, const struct pub_target *t,
		      struct policy_names *ret, struct err_info *info);

/** "LEAD ---- WHERE ----": opens a part. */
int policy_part(const char *lead, struct buf *out, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** The two parts of a delegation that are the same for every server: the first content of the zone,
 * and the lines for the zone above it. */
int policy_delegation(const struct policy_names *n, struct buf *out);

int policy_bind(const struct pub_policy_params *p, const struct policy_names *n, struct buf *out);
int policy_knot(const struct pub_policy_params *p, const struct policy_names *n, struct buf *out);
/** All domains at once: PowerDNS has one update policy for the whole server. */
int policy_pdns(const struct pub_policy_params *p, struct buf *out, struct err_info *info);

/** Whether the target is among those asked for. */
bool policy_wants(const struct pub_policy_params *p, const struct pub_target *t);

#endif
