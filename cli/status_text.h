/** Forms of `status` beside the usual one; each prints the daemon's report on stdout. */
#ifndef KMSBEACON_CLI_STATUS_TEXT_H
#define KMSBEACON_CLI_STATUS_TEXT_H

#include <jansson.h>

/** As `slmgr /dlv` on a KMS host. */
void status_print_dlv(const json_t *report);
/** As Prometheus reads it: text exposition format 0.0.4. */
void status_print_prometheus(const json_t *report);

#endif
