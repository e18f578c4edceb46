/** The options of `verify`, read and checked. */
#ifndef KMSBEACON_CLI_VERIFY_OPTIONS_H
#define KMSBEACON_CLI_VERIFY_OPTIONS_H

#include "cli/session.h"
#include "resolver/audit.h"

enum verify_form { FORM_TEXT, FORM_JSON, FORM_JSON_LINES, FORM_NAGIOS };

#define VERIFY_WATCH_MIN_MS  1000
#define VERIFY_WATCH_DOMAINS 10000 /* remembered from round to round */

struct verify_options {
	enum verify_form form;
	struct dns_server servers[DNS_CLIENT_SERVERS_MAX];
	size_t n_servers;
	struct rsv_expect expect[RSV_EXPECT_MAX];
	size_t n_expect;
	const char *const *domains; /* --domain */
	size_t n_domains;
	int fd; /* --domains-file; -1: none */
	bool lookup_only;
	uint64_t watch_ms; /* 0: once */
};

/** 0, or the exit code after one sentence. o->fd is the caller's from then on. */
int verify_options_parse(const struct cli_args *a, struct verify_options *o);

/** What a configuration publishes, by domain. */
struct own_records;
struct own_records *own_records_new(const struct config *cfg); /* borrowed */
void own_records_free(struct own_records *o);
/** Over all views of the domain: the audit sees what this machine sees. @return how many. */
size_t own_records_get(const struct own_records *o, const struct dns_name *domain,
		       struct rsv_expect ret[RSV_EXPECT_MAX]);
/** The i-th entry of @p domain - there is one for each view - or NULL. */
const struct config_domain *own_records_entry(const struct own_records *o,
					      const struct dns_name *domain, size_t i);
/** The configured domains, each once, in their order. *ret_n of them. */
const char *const *own_records_domains(const struct own_records *o, size_t *ret_n);

#endif
