/** Forms of `status` beside the usual one; each prints the daemon's report on stdout. */
#ifndef KMSBEACON_CLI_STATUS_TEXT_H
#define KMSBEACON_CLI_STATUS_TEXT_H

#include <jansson.h>

/** As `slmgr /dlv` on a KMS host. */
void status_print_dlv(const json_t *report);
/** `upstreams` of the report, for people: a table, what to know of each, and how they answered. */
void status_print_upstreams(const json_t *list);
/** As Prometheus reads it: text exposition format 0.0.4. */
void status_print_prometheus(const json_t *report);

#endif
