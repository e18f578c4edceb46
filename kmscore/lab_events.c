#include "kmscore/lab_events.h"

#include "common/clock.h"
#include "common/hresult.h"
#include "common/log.h"
#include "kmscore/events.h"

static void add(json_t *list, const char *machine, int64_t wall_ms, uint32_t id, uint32_t hresult,
		const char *info)
{
	(void)json_array_append_new(list, json_pack("{s:I, s:s, s:I, s:I, s:s}", "time_ms",
						    (json_int_t)wall_ms, "machine", machine, "id",
						    (json_int_t)id, "hresult", (json_int_t)hresult,
						    "info", info));
}

static void forget_oldest(json_t *list)
{
	while (json_array_size(list) > LAB_EVENTS_MAX)
		(void)json_array_remove(list, 0);
}

void lab_events_add(json_t *list, const char *machine, const struct lab_attempt *t)
{
	add(list, machine, t->sent_ms, KMS_EVENT_REQUEST_SENT, t->sent_hresult, t->sent);
	if (t->response[0] != '\0')
		add(list, machine, t->ended_ms, KMS_EVENT_RESPONSE, t->response_hresult,
		    t->response);
	forget_oldest(list);
}

void lab_events_append(json_t *list, const json_t *more)
{
	json_t *o;
	size_t i;

	json_array_foreach(more, i, o)(void) json_array_append(list, o);
	forget_oldest(list);
}

static bool is_number(const json_t *o, const char *key, json_int_t max)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= max;
}

bool lab_event_valid(const json_t *o)
{
	return is_number(o, "time_ms", (json_int_t)1 << 48) && is_number(o, "id", UINT16_MAX) &&
	       is_number(o, "hresult", UINT32_MAX) &&
	       json_is_string(json_object_get(o, "machine")) &&
	       json_is_string(json_object_get(o, "info"));
}

json_t *lab_event_report(const json_t *o)
{
	json_int_t id = json_integer_value(json_object_get(o, "id"));
	uint32_t hresult = (uint32_t)json_integer_value(json_object_get(o, "hresult"));
	char when[CLOCK_TEXT_MAX], code[HRESULT_TEXT_MAX];

	clock_format_rfc3339(json_integer_value(json_object_get(o, "time_ms")), when);
	return json_pack(
		"{s:s, s:I, s:s, s:s, s:s, s:s, s:O, s:O}", "time", when, "id", id, "name",
		id == KMS_EVENT_REQUEST_SENT ? "kms.request_sent" : "kms.response", "level",
		log_level_name(hresult == HR_OK ? LOG_INFO : LOG_WARNING), "hresult",
		hresult_format(hresult, code), "text",
		id == KMS_EVENT_REQUEST_SENT
			? "The client has sent an activation request to the KMS computer."
			: "The client has processed an activation response from the KMS computer.",
		"info", json_object_get(o, "info"), "machine", json_object_get(o, "machine"));
}
