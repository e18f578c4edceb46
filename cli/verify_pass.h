/**
 * One pass of `verify` over its domains: many audits at once, what they found in the order of the
 * domains.
 *
 * Memory does not grow with the number of domains: a bounded number is in work, at most
 * VERIFY_WINDOW rendered results wait for an earlier one, and the tables that the audits share are
 * bounded.
 *
 * Lifetime as net/udp_exchange.h.
 */
#ifndef KMSBEACON_CLI_VERIFY_PASS_H
#define KMSBEACON_CLI_VERIFY_PASS_H

#include <stdio.h>

#include "cli/domain_source.h"
#include "resolver/totals.h"

#define VERIFY_PARALLEL 48   /* audits, each with some questions under way */
#define SURVEY_PARALLEL 96   /* surveys, each with one or two */
#define VERIFY_WINDOW   1024 /* from the first domain whose result is not out to the last begun */

/** How one domain ended. Borrowed. */
struct verify_item {
	size_t index; /* of the pass, from 0 */
	const struct domain_item *domain;
	const struct rsv_audit_result *r; /* NULL: the line is no domain name */
};

struct verify_pass;

struct verify_pass_params {
	struct domain_source *source; /* borrowed until done() */
	/** What all audits share; domain and targets are filled in. Borrowed until done(). */
	const struct rsv_audit_params *audit;
	/** Fill in what is particular to p->domain; what it points to lives until the next call. */
	void (*prepare)(void *ctx, struct rsv_audit_params *p);
	bool lookup_only; /* a survey of each domain (resolver/survey.h) instead of an audit */
	const struct prober *prober;      /* NULL: targets are looked up, not probed */
	const struct dns_server *servers; /* to be asked for addresses of targets. Copied */
	size_t n_servers;
	/** Write what is to be said of a domain, if anything. In any order. */
	void (*render)(void *ctx, const struct verify_item *it, FILE *out);
	/** Take what render() wrote for one domain, in the order of the domains. @return false: it
	 * cannot be taken any more, the pass ends. */
	bool (*take)(void *ctx, const char *text, size_t len);
	/** Every result is taken; @p err: ERR_CANCELED, ERR_NOMEM, or why reading the domains
	 * failed. */
	void (*done)(struct verify_pass *v, int err);
	void *ctx;
};

struct verify_pass_slot {
	bool done;
	char *text; /* NULL: nothing to say */
	size_t len;
};

struct verify_pass {
	struct rsv_verify_totals totals; /* for the caller */
	/* private */
	struct net *net;
	struct verify_pass_params p;
	struct rsv_targets *targets;
	struct rsv_shared *shared;
	struct verify_work *running[SURVEY_PARALLEL];
	unsigned parallel;
	unsigned n_running;
	size_t next;  /* index of the next domain */
	size_t first; /* the lowest index whose result is not taken */
	bool at_end;  /* no more domains */
	bool deaf;    /* results are not wanted any more */
	bool over;    /* nothing runs; the tables are being closed */
	int err;
	struct verify_pass_slot window[VERIFY_WINDOW];
};

void verify_pass_start(struct verify_pass *v, struct net *net, const struct verify_pass_params *p);
/** To be called when the source is ready again. */
void verify_pass_wake(struct verify_pass *v);
/** What is done is still taken. */
void verify_pass_cancel(struct verify_pass *v);

#endif
