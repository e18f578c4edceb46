/**
 * What lab clients log of their attempts, as Windows does in its Application log: event 12288 for
 * each host that was asked, 12289 for each answer (behaviour §4.1, §4.2). A list of JSON objects,
 * which lab_clients.h keeps in the state file: {"time_ms", "machine", "id", "hresult", "info"}.
 */
#ifndef KMSBEACON_KMSCORE_LAB_EVENTS_H
#define KMSBEACON_KMSCORE_LAB_EVENTS_H

#include <jansson.h>

#include "kmscore/lab_ato.h"

#define LAB_EVENTS_MAX 1000 /* of a list, and of a file: the latest */

/** The events of an attempt of the client @p machine. Where memory is out they are not kept. */
void lab_events_add(json_t *list, const char *machine, const struct lab_attempt *t);
/** Append those of @p more (NULL: none), which keeps them too, and forget what is too much. */
void lab_events_append(json_t *list, const json_t *more);
/** Whether @p o, which was read from a file, is an event. */
bool lab_event_valid(const json_t *o);
/** An event as `kmsbeacon events` reports those of a host: "time", "id", "name", "level",
 * "hresult", "text", "info", and "machine". The caller's; NULL where memory is out. */
json_t *lab_event_report(const json_t *o);

#endif
