/**
 * What this machine knows of a domain beside the records it is to publish: what its publisher has
 * in the journal, the key of the zone, whether it is a lab, and the search list it belongs to.
 * What cannot be read - the journal and the keys are root's or the daemon's - is left out.
 */
#ifndef KMSBEACON_CLI_VERIFY_KNOWN_H
#define KMSBEACON_CLI_VERIFY_KNOWN_H

#include "cli/verify_options.h"
#include "resolver/audit.h"

struct verify_known;
/** @p cfg and @p own are borrowed. @p dns_port: of servers that the configuration names without
 * one. */
struct verify_known *verify_known_new(const struct config *cfg, const struct own_records *own,
				      uint16_t dns_port);
void verify_known_free(struct verify_known *k); /* NULL is fine */
/** Fill in what p->domain is known for; what it points to is valid until the next call. */
void verify_known_fill(struct verify_known *k, struct rsv_audit_params *p);
/** The configured domains, then those that no longer are, but in which the journal has records. */
const char *const *verify_known_domains(const struct verify_known *k, size_t *ret_n);

#endif
