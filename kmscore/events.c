#include "kmscore/events.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIME_TEXT_MAX 32
#define NAME_TEXT_MAX 200

/** As in the published samples, 2010/09/29 17:52; always UTC, so that two logs can be compared. */
static void format_time(int64_t wall_ms, char buf[TIME_TEXT_MAX])
{
	time_t t = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(buf, TIME_TEXT_MAX, "%Y/%m/%d %H:%M", &tm) == 0)
		(void)snprintf(buf, TIME_TEXT_MAX, "?");
}

/** Text from a peer as one field: nothing in it separates or ends. */
static void clean(const char *text, char buf[NAME_TEXT_MAX])
{
	size_t i;

	for (i = 0; text[i] != '\0' && i < NAME_TEXT_MAX - 1; i++) {
		unsigned char c = (unsigned char)text[i];

		buf[i] = c < 0x20 || c == 0x7f || c == ',' ? '?' : text[i];
	}
	buf[i] = '\0';
}

void kms_event_format_12288(const struct kms_event_12288 *e, char ret[KMS_EVENT_TEXT_MAX])
{
	char at[TIME_TEXT_MAX], cmid[GUID_TEXT_MAX], act[GUID_TEXT_MAX], server[NAME_TEXT_MAX];

	format_time(e->client_ms, at);
	guid_format(&e->cmid, cmid);
	guid_format(&e->activation_id, act);
	clean(e->server, server);
	(void)snprintf(ret, KMS_EVENT_TEXT_MAX, "0x%08X, 0x%08X, %s, %s, %s, %d, %u, %u, %s, %u",
		       e->hresult, e->status, server, cmid, at, e->vm, e->licence, e->minutes_left,
		       act, e->n_policy);
}

void kms_event_format_12289(const struct kms_event_12289 *e, char ret[KMS_EVENT_TEXT_MAX])
{
	char at[TIME_TEXT_MAX];

	format_time(e->client_ms, at);
	(void)snprintf(ret, KMS_EVENT_TEXT_MAX, "0x%08X, 0x%08X, %d, 0, %u, %u, %u, %s", e->hresult,
		       e->status, e->bound, e->count, e->activation_min, e->renewal_min, at);
}

void kms_event_format_12290(const struct kms_event_12290 *e, char ret[KMS_EVENT_TEXT_MAX])
{
	char at[TIME_TEXT_MAX], cmid[GUID_TEXT_MAX], act[GUID_TEXT_MAX], machine[NAME_TEXT_MAX];

	format_time(e->client_ms, at);
	guid_format(&e->cmid, cmid);
	guid_format(&e->activation_id, act);
	clean(e->machine, machine);
	(void)snprintf(ret, KMS_EVENT_TEXT_MAX, "0x%X,%u,%s,%s,%s,%d,%u,%u,%s", e->hresult,
		       e->n_policy, machine, cmid, at, e->vm, e->licence, e->minutes_left, act);
}
