/* `client dlv`: the labels of `slmgr /dlv` in its order (behaviour §6.2), as far as a lab client
 * has what they name. */
#include <jansson.h>
#include <string.h>

#include "common/clock.h"
#include "common/hresult.h"
#include "kmscore/lab_client.h"

static const char *licence_text(enum kms_licence s)
{
	switch (s) {
	case KMS_UNLICENSED:
		return "Unlicensed";
	case KMS_LICENSED:
		return "Licensed";
	case KMS_OOB_GRACE:
		return "Initial grace period";
	case KMS_OOT_GRACE:
		return "Additional grace period (KMS license expired or hardware out of tolerance)";
	case KMS_NON_GENUINE_GRACE:
		return "Non-genuine grace period.";
	case KMS_NOTIFICATION:
		return "Notification";
	case KMS_EXTENDED_GRACE:
		return "Extended grace period";
	case KMS_LICENCE_COUNT_:
	default:
		return "Unknown";
	}
}

static uint32_t days(uint32_t minutes)
{
	return (minutes + 1439) / 1440; /* rounded up, as slmgr does */
}

static int put_status(const struct lab_client *c, int64_t now_ms, struct buf *out)
{
	uint32_t minutes = lab_client_minutes_left(c, now_ms);
	int err = buf_printf(out, "License Status: %s\n", licence_text(c->licence));

	if (err != 0)
		return err;
	if (c->licence == KMS_LICENSED)
		return buf_printf(out, "Volume activation expiration: %u minute(s) (%u day(s))\n",
				  minutes, days(minutes));
	if (c->licence == KMS_NOTIFICATION)
		return buf_printf(out, "Notification Reason: 0x%08X (%s)\n", c->notification_reason,
				  c->notification_reason == HR_GRACE_EXPIRED ? "grace time expired"
									     : "other");
	if (minutes == 0)
		return 0;
	return buf_printf(out, "Time remaining: %u minute(s) (%u day(s))\n", minutes,
			  days(minutes));
}

static int put_host(const struct lab_client *c, struct buf *out)
{
	uint16_t port = c->manual_port != 0 ? c->manual_port : KMS_PORT;
	char text[ADDR_TEXT_MAX] = "not available";
	int err;

	if (c->manual_name[0] != '\0')
		err = buf_printf(out, "    Registered KMS machine name: %s:%u\n", c->manual_name,
				 port);
	else if (c->cache.name[0] != '\0')
		err = buf_printf(out, "    KMS machine name from DNS: %s:%u\n", c->cache.name,
				 c->cache.port);
	else
		err = buf_printf(out, "    DNS auto-discovery: KMS name not available\n");
	if (err != 0)
		return err;
	if (addr_is_set(&c->cache.addr))
		addr_format_host(&c->cache.addr, text);
	return buf_printf(out, "    KMS machine IP address: %s\n", text);
}

static int put_client_information(const struct lab_client *c, struct buf *out)
{
	char cmid[GUID_TEXT_MAX];
	int err;

	guid_format(&c->cmid, cmid);
	err = buf_printf(out,
			 "\nMost recent activation information:\n"
			 "Key Management Service client information\n"
			 "    Client Machine ID (CMID): %s\n",
			 cmid);
	if (err == 0 && c->lookup_domain[0] != '\0')
		err = buf_printf(out, "    Registered KMS SRV record lookup domain: %s\n",
				 c->lookup_domain);
	if (err == 0)
		err = put_host(c, out);
	if (err == 0)
		err = buf_printf(out,
				 "    KMS machine extended PID: %s\n"
				 "    Activation interval: %u minutes\n"
				 "    Renewal interval: %u minutes\n"
				 "    KMS host caching is %s\n",
				 c->host_pid, c->activation_min, c->renewal_min,
				 c->caching ? "enabled" : "disabled");
	if (err == 0 && c->manual_name[0] != '\0' && c->lookup_domain[0] != '\0')
		err = buf_printf(out,
				 "Warning: the KMS machine name overrides the lookup domain.\n");
	return err;
}

int lab_client_dlv(const struct lab_client *c, int64_t now_ms, struct buf *out)
{
	char when[CLOCK_TEXT_MAX];
	int err = buf_printf(out,
			     "Software licensing service version: kmsbeacon lab client (no Windows "
			     "licence)\n"
			     "\nName: %s\nDescription: %s\nActivation ID: %s\nApplication ID: %s\n",
			     c->product->name, c->product->description, c->product->activation_id,
			     c->product->application_id);

	if (err == 0)
		err = put_status(c, now_ms, out);
	clock_format_rfc3339(now_ms, when);
	if (err == 0)
		err = buf_printf(out, "Trusted time: %s\nConfigured Activation Type: KMS\n", when);
	if (err != 0)
		return err;
	if (c->licence == KMS_LICENSED)
		return put_client_information(c, out);
	return buf_printf(out, "\nUse `kmsbeacon client ato` to activate and to update the KMS "
			       "client information.\n");
}

static json_t *time_json(int64_t wall_ms)
{
	char text[CLOCK_TEXT_MAX];

	if (wall_ms == 0)
		return json_null();
	clock_format_rfc3339(wall_ms, text);
	return json_string(text);
}

static json_t *host_json(const struct lab_client *c)
{
	char host[HOST_TEXT_MAX], address[ADDR_TEXT_MAX];
	uint16_t port;

	if (lab_client_manual_host(c, host, &port))
		return json_pack("{ss si ss}", "host", host, "port", (int)port, "source", "manual");
	if (c->cache.name[0] == '\0')
		return json_null();
	addr_format_host(&c->cache.addr, address);
	return json_pack("{ss si ss ss}", "host", c->cache.name, "port", (int)c->cache.port,
			 "address", address, "source", "cache");
}

/** @p v, or a note that memory is out in *bad. */
static void put(json_t *o, const char *key, json_t *v, bool *bad)
{
	if (json_object_set_new(o, key, v) != 0)
		*bad = true;
}

static void put_text(json_t *o, const char *key, const char *text, bool *bad)
{
	put(o, key, text[0] != '\0' ? json_string(text) : json_null(), bad);
}

static void put_code(json_t *o, const char *key, uint32_t code, bool *bad)
{
	char text[HRESULT_TEXT_MAX];

	put_text(o, key, hresult_format(code, text), bad);
}

json_t *lab_client_dlv_json(const struct lab_client *c, int64_t now_ms)
{
	char cmid[GUID_TEXT_MAX];
	json_t *o = json_object();
	bool bad = false;

	guid_format(&c->cmid, cmid);
	put_text(o, "product", c->product->key, &bad);
	put_text(o, "name", c->product->name, &bad);
	put_text(o, "description", c->product->description, &bad);
	put_text(o, "activation_id", c->product->activation_id, &bad);
	put_text(o, "application_id", c->product->application_id, &bad);
	put(o, "license_status", json_integer(c->licence), &bad);
	put_text(o, "license_status_text", licence_text(c->licence), &bad);
	put(o, "minutes_left", json_integer(lab_client_minutes_left(c, now_ms)), &bad);
	put_code(o, "notification_reason", c->notification_reason, &bad);
	put(o, "required_count", json_integer(c->product->n_policy), &bad);
	put(o, "activated", time_json(c->activated_ms), &bad);
	put(o, "next_attempt", time_json(c->next_attempt_ms), &bad);
	put_code(o, "last_code", c->last_code, &bad);
	put_text(o, "cmid", cmid, &bad);
	put_text(o, "lookup_domain", c->lookup_domain, &bad);
	put(o, "kms_host", host_json(c), &bad);
	put_text(o, "host_pid", c->host_pid, &bad);
	put(o, "count", json_integer(c->count), &bad);
	put(o, "activation_interval_min", json_integer(c->activation_min), &bad);
	put(o, "renewal_interval_min", json_integer(c->renewal_min), &bad);
	put(o, "host_caching", json_boolean(c->caching), &bad);
	if (bad) {
		json_decref(o);
		return NULL;
	}
	return o;
}
