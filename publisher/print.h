/**
 * `publish --print`: the wanted records in the language of where they are to be pasted, for zones
 * that take no updates or that no BIND serves. Pure: made from the configuration, and from what the
 * journal has of it.
 *
 * Health plays no part: every host that is configured for a domain is in its set. Records that were
 * published from here and are no longer wanted are taken away, by their exact RDATA; nothing else
 * that is there already is.
 */
#ifndef KMSBEACON_PUBLISHER_PRINT_H
#define KMSBEACON_PUBLISHER_PRINT_H

#include <stdbool.h>

#include "common/mem.h"
#include "publisher/journal.h"
#include "publisher/targets.h"

enum pub_print_as {
	PUB_PRINT_ZONE,       /* lines of a zone file, whole names; what is to go is a comment */
	PUB_PRINT_NSUPDATE,   /* input of nsupdate, a `send` for each (domain, view) */
	PUB_PRINT_POWERSHELL, /* cmdlets of the module DnsServer, for a Microsoft DNS server */
	PUB_PRINT_COUNT_,
};

/** false for a word that is not offered. */
bool pub_print_as_parse(const char *text, enum pub_print_as *ret);
/** The words, separated by "|", for --help. */
const char *pub_print_as_list(void);

struct pub_print_params {
	const struct pub_targets *targets;
	const struct config *config;   /* where the targets come from: names the key files */
	const struct dns_name *domain; /* NULL: all */
	struct pub_journal *journal;   /* NULL: nothing is known to be ours */
	enum pub_print_as as;
};

/**
 * Append to @p out: a comment, what is to go, and the records of each target. No secret is in it,
 * only the name of the key file. 0, ERR_NOMEM, ERR_LIMIT.
 */
int pub_print_write(const struct pub_print_params *p, struct buf *out);

#endif
