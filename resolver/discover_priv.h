/**
 * One discovery is two halves: discover.c decides what comes next (manual, cache, suffixes, the
 * order, the end), discover_try.c puts one host to the test (addresses, then each of them).
 */
#ifndef KMSBEACON_RESOLVER_DISCOVER_PRIV_H
#define KMSBEACON_RESOLVER_DISCOVER_PRIV_H

#include "resolver/discover.h"

#define RSV_SURVEY_PARALLEL 8
#define RSV_SURVEY_MS       3000

enum rsv_d_state {
	RSV_D_LOOKUP,  /* the SRV question of domains[at_domain] */
	RSV_D_RESOLVE, /* addresses of the host being tried */
	RSV_D_PROBE,   /* one of its addresses */
	RSV_D_SURVEY,  /* decided; addresses of the hosts not tried, for the report */
	RSV_D_CLOSING,
};

struct rsv_survey_slot {
	struct rsv_discover_impl *d;
	struct host_lookup lookup;
	size_t cand;
	bool busy;
};

/** The host being tried. */
struct rsv_try {
	char host[DNSNAME_TEXT_MAX];
	uint16_t port;
	enum rsv_source source;
	size_t cand; /* with RSV_FROM_DNS */
	struct addr addrs[HOST_LOOKUP_ADDRS_MAX];
	size_t n_addrs;
	size_t at;
};

struct rsv_discover_impl {
	struct rsv_discover *op;
	struct net *net;
	struct rsv_discover_params p; /* pointers to copied things point into what follows */
	char manual_host[DNSNAME_TEXT_MAX];
	struct dns_name manual_suffix[RSV_SUFFIXES_MAX]; /* for a manual host without a dot */
	size_t n_manual_suffixes;
	size_t manual_at;
	int manual_err; /* of the suffixes so far: what says more than "no such name" */
	struct dns_server servers[DNS_CLIENT_SERVERS_MAX];
	bool has_lookup_domain;

	enum rsv_d_state state;
	unsigned open; /* the timer, and each child that runs */
	struct rsv_lookup lookup;
	struct host_lookup host;
	struct probe_op probe;
	struct rsv_survey_slot survey[RSV_SURVEY_PARALLEL];
	size_t survey_at;

	size_t at_domain;
	struct rsv_set merged; /* with merge_suffixes: the records so far */
	size_t at_cand;
	struct rsv_try try;
	struct rsv_discovery r;
};

/* discover_explain.c */
void rsv_d_free_step(struct rsv_step *s);
void rsv_d_step(struct rsv_discover_impl *d, const char *step, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void rsv_d_explain_domains(struct rsv_discover_impl *d);
void rsv_d_explain_answer(struct rsv_discover_impl *d, const char *domain,
			  const struct rsv_lookup_result *r);
void rsv_d_explain_order(struct rsv_discover_impl *d);
/** The code for a host set by hand; @p err as rsv_d_failed(). */
uint32_t rsv_d_manual_hresult(int err);

/* discover.c */
/** A child ended: count it, and deliver when it was the last. @return false: closing, do nothing.
 */
bool rsv_d_child_done(struct rsv_discover_impl *d);
/** An answer was used that a resolver keeps for @p seconds. */
void rsv_d_keep(struct rsv_discover_impl *d, uint32_t seconds);
/** The host of d->try is the one; @p r as rsv_d_refused(). */
void rsv_d_selected(struct rsv_discover_impl *d, const struct addr *addr,
		    const struct probe_result *r);
/** It answered in a way that ends the search. */
void rsv_d_refused(struct rsv_discover_impl *d, const struct probe_result *r);
/** A manual host has no address, for @p err: go on with its name under the next suffix. @return
 * false where there is none. */
bool rsv_d_next_manual_name(struct rsv_discover_impl *d, int err);
/** It is not. @p err is why it has no address, or 0 where none of them is up. */
void rsv_d_failed(struct rsv_discover_impl *d, int err);
void rsv_d_finish(struct rsv_discover_impl *d, int err);

/* discover_try.c */
/** Try a host; @p addr, where set, is used in place of a lookup. */
void rsv_d_try(struct rsv_discover_impl *d, const char *host, uint16_t port, enum rsv_source source,
	       const struct addr *addr);
/** The report's row of a host that is known to have no address. */
void rsv_d_note_unresolved(struct rsv_discover_impl *d, struct rsv_candidate *c);
/** After the decision: look up what the report lacks, then finish. */
void rsv_d_survey(struct rsv_discover_impl *d);

#endif
