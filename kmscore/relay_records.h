/**
 * What is told of each request that was relayed: counters, the clients that were seen, the log
 * (or its sum of the second), the file of requests, the event, and a client whose clock is wrong.
 */
#ifndef KMSBEACON_KMSCORE_RELAY_RECORDS_H
#define KMSBEACON_KMSCORE_RELAY_RECORDS_H

#include "kmscore/service_priv.h"

#define RELAY_RECORD_TEXT_MAX (RELAY_NAME_MAX + 256)

void relay_records_init(struct kms_service *s);
void relay_records_add(struct kms_service *s, const struct relay_record *r);

#endif
