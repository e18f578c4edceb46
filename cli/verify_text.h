/** The audit for people and for Nagios, made from its JSON. */
#ifndef KMSBEACON_CLI_VERIFY_TEXT_H
#define KMSBEACON_CLI_VERIFY_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/** What one status line tells about all domains. */
struct verify_summary {
	size_t domains;
	size_t records;
	size_t up;
	size_t critical; /* findings */
	size_t warning;
	char *first; /* the first critical finding, else the first warning */
	bool first_is_critical;
};

void verify_summary_add(struct verify_summary *s, const json_t *report);
void verify_summary_done(struct verify_summary *s);
/** A verdict, the records, the servers, the findings. @p many: a blank line between domains. */
void verify_print_domain(const json_t *report, bool many);
/** `KMS WARNING: text | perfdata` */
void verify_print_nagios(const char *status, const struct verify_summary *s);

#endif
