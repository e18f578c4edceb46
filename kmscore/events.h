/**
 * KMS events as Windows numbers and words them (behaviour §4): the lines with their exact order of
 * fields.
 *
 * Pure: the time is passed in. Text from a peer is cleaned when a line is made: a comma or a
 * control character in a machine name becomes '?', so no client can forge a field.
 */
#ifndef KMSBEACON_KMSCORE_EVENTS_H
#define KMSBEACON_KMSCORE_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "kmscore/guid.h"

#define KMS_EVENT_REQUEST_SENT   12288 /* client */
#define KMS_EVENT_RESPONSE       12289 /* client */
#define KMS_EVENT_REQUEST_SERVED 12290 /* host */

#define KMS_EVENT_TEXT_MAX 512

/** What a host tells of one request; borrowed during the call that hands it out. */
struct kms_event {
	uint32_t id; /* 0: none of Windows' own */
	uint32_t hresult;
	const char *text;     /* the fields, as the Windows event shows them; "": none */
	const char *name;     /* as in the log */
	const char *sentence; /* may hold a peer's text */
};

/** 12288: fields separated by comma and blank, 10 of them (behaviour §4.1). */
struct kms_event_12288 {
	uint32_t hresult;
	uint32_t status;
	const char *server; /* host:port */
	struct guid cmid;
	int64_t client_ms;
	int vm;
	uint32_t licence;
	uint32_t minutes_left;
	struct guid activation_id;
	uint32_t n_policy;
};

/** 12289 (behaviour §4.2). */
struct kms_event_12289 {
	uint32_t hresult;
	uint32_t status;
	int bound;
	uint32_t count;
	uint32_t activation_min;
	uint32_t renewal_min;
	int64_t client_ms;
};

/** 12290: fields separated by a comma alone (behaviour §4.3). */
struct kms_event_12290 {
	uint32_t hresult;
	uint32_t n_policy;
	const char *machine;
	struct guid cmid;
	int64_t client_ms;
	int vm;
	uint32_t licence;
	uint32_t minutes_left;
	struct guid activation_id;
};

void kms_event_format_12288(const struct kms_event_12288 *e, char ret[KMS_EVENT_TEXT_MAX]);
void kms_event_format_12289(const struct kms_event_12289 *e, char ret[KMS_EVENT_TEXT_MAX]);
void kms_event_format_12290(const struct kms_event_12290 *e, char ret[KMS_EVENT_TEXT_MAX]);

#endif
