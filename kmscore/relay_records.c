#include "kmscore/relay_records.h"

#include <stdio.h>
#include <string.h>

#include "common/hresult.h"

#define NAME_NONE "-" /* where no host answered */

static bool has_failed(const struct relay_record *r)
{
	return (r->err != 0 && r->err != ERR_CANCELED) || (r->err == 0 && r->hresult != HR_OK);
}

/** Names are ours or come from DNS: neither may end a field. */
static const char *field(const char *name, char ret[RELAY_NAME_MAX])
{
	size_t i;

	if (name == NULL || name[0] == '\0')
		return NAME_NONE;
	for (i = 0; name[i] != '\0' && i < RELAY_NAME_MAX - 1; i++)
		ret[i] = name[i] > ' ' && name[i] < 0x7f && strchr("\"\\=,", name[i]) == NULL
				 ? name[i]
				 : '?';
	ret[i] = '\0';
	return ret;
}

/** hresult=, fault= or err= */
static void format_result(const struct relay_record *r, char *ret, size_t size)
{
	if (r->err == 0)
		(void)snprintf(ret, size, "hresult=0x%08X", r->hresult);
	else if (r->err == ERR_RPC_FAULT)
		(void)snprintf(ret, size, "fault=0x%08X", r->fault_status);
	else
		(void)snprintf(ret, size, "err=%s", err_name(r->err));
}

/* The fields, as the log has them. Pure. */
static void format_record(const struct relay_record *r, char ret[RELAY_RECORD_TEXT_MAX])
{
	char who[ADDR_TEXT_MAX], name[RELAY_NAME_MAX], result[64];

	addr_format(r->client, who);
	format_result(r, result, sizeof(result));
	(void)snprintf(ret, RELAY_RECORD_TEXT_MAX,
		       "client=%s version=%u.%u upstream=%s attempts=%u %s bytes_in=%zu "
		       "bytes_out=%zu ms=%.1f",
		       who, r->version.major, r->version.minor, field(r->upstream, name),
		       r->attempts, result, r->bytes_in, r->bytes_out, r->ms);
}

static void log_record(struct kms_service *s, const struct relay_record *r)
{
	const char *upstream = r->upstream != NULL ? r->upstream : NAME_NONE;
	char who[ADDR_TEXT_MAX];

	if (!log_enabled(LOG_INFO))
		return;
	if (!line_budget_pass(s->lines, clock_mono_ms(s->net->clock), has_failed(r))) {
		kms_service_tell_later(s);
		return;
	}
	addr_format(r->client, who);
#define HEAD "client=%s version=%u.%u upstream=%s attempts=%u "
#define TAIL " bytes_in=%zu bytes_out=%zu ms=%.1f"
	if (r->err == 0)
		log_info(&s->log, "relay.request", HEAD "hresult=0x%08X" TAIL, who,
			 r->version.major, r->version.minor, upstream, r->attempts, r->hresult,
			 r->bytes_in, r->bytes_out, r->ms);
	else if (r->err == ERR_RPC_FAULT)
		log_info(&s->log, "relay.request", HEAD "fault=0x%08X" TAIL, who, r->version.major,
			 r->version.minor, upstream, r->attempts, r->fault_status, r->bytes_in,
			 r->bytes_out, r->ms);
	else
		log_info(&s->log, "relay.request", HEAD "err=%s" TAIL, who, r->version.major,
			 r->version.minor, upstream, r->attempts, err_name(r->err), r->bytes_in,
			 r->bytes_out, r->ms);
#undef HEAD
#undef TAIL
}

static void tell_event(struct kms_service *s, const struct relay_record *r, const char *fields)
{
	char who[ADDR_TEXT_MAX], name[RELAY_NAME_MAX],
		sentence[ADDR_TEXT_MAX + RELAY_NAME_MAX + 96];
	const char *upstream = field(r->upstream, name);
	struct kms_event e = { 0, HR_OK, fields, "relay.request", sentence };

	addr_format_host(r->client, who);
	if (r->err == 0 && r->upstream == NULL) {
		e.hresult = r->hresult;
		(void)snprintf(sentence, sizeof(sentence),
			       "%s was refused: it is a lab client, and no upstream is a lab host.",
			       who);
	} else if (r->err == 0) {
		e.hresult = r->hresult;
		(void)snprintf(sentence, sizeof(sentence),
			       r->hresult == HR_OK ? "%s was served by %s."
						   : "%s was refused by %s (0x%08X).",
			       who, upstream, r->hresult);
	} else if (r->err == ERR_RPC_FAULT) {
		e.hresult = HR_RPC_CALL_FAILED;
		(void)snprintf(sentence, sizeof(sentence), "%s got a fault from %s (0x%08X).", who,
			       upstream, r->fault_status);
	} else if (r->err == ERR_CANCELED) {
		e.hresult = HR_RPC_CALL_FAILED;
		(void)snprintf(sentence, sizeof(sentence),
			       "%s was gone before its request was answered.", who);
	} else {
		e.hresult = HR_RPC_UNAVAILABLE;
		(void)snprintf(sentence, sizeof(sentence), "No upstream answered %s (%s).", who,
			       err_name(r->err));
	}
	s->on_event(s->ctx, &e);
}

static void write_line(struct kms_service *s, const char *fields)
{
	char line[CLOCK_TEXT_MAX + 1 + RELAY_RECORD_TEXT_MAX], when[CLOCK_TEXT_MAX];
	int n;

	clock_format_rfc3339(clock_wall_ms(s->net->clock), when);
	n = snprintf(line, sizeof(line), "%s %s", when, fields);
	if (n > 0)
		request_log_add(s->relay.log, line, (size_t)n);
}

/** Who forwards cannot see a client's machine id, so its address stands for it. */
static void remember(struct kms_service *s, const struct addr *client)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct kms_clients_seen seen;
	struct guid id;

	if (client->u.sa.sa_family == AF_INET6) {
		memcpy(id.b, &client->u.in6.sin6_addr, 16);
	} else {
		memcpy(id.b, mapped, 12);
		memcpy(id.b + 12, &client->u.in.sin_addr, 4);
	}
	(void)kms_memory_client(s->memory, &id, "", clock_wall_ms(s->net->clock), &seen);
}

static void tell_skew(struct kms_service *s, const struct relay_record *r)
{
	char who[ADDR_TEXT_MAX], name[RELAY_NAME_MAX];
	uint32_t held;

	if (!log_limit_pass(&s->relay.skew, r->client, clock_mono_ms(s->net->clock), &held))
		return;
	addr_format_host(r->client, who);
	log_warning(&s->log, "relay.clock_skew",
		    "client=%s upstream=%s hresult=0xC004F06C held_back=%u text=%s", who,
		    field(r->upstream, name), held,
		    "the clocks of this client and of the KMS host are more than 4 hours apart, so "
		    "it was not activated: set the wrong one by NTP (w32tm /resync); where many "
		    "clients are named, it is the host's");
}

/** Another host took the client, so it is the host's clock, and nobody else would notice. */
static void tell_wrong_clock(struct kms_service *s, const struct relay_record *r)
{
	char who[ADDR_TEXT_MAX], from[RELAY_NAME_MAX], name[RELAY_NAME_MAX];
	uint64_t now_ms = clock_mono_ms(s->net->clock);

	if (s->relay.wrong_clock_ms != 0 && now_ms - s->relay.wrong_clock_ms < LOG_LIMIT_MS)
		return;
	s->relay.wrong_clock_ms = now_ms;
	addr_format_host(r->client, who);
	log_warning(&s->log, "relay.wrong_clock",
		    "upstream=%s client=%s served_by=%s hresult=0xC004F06C text=%s",
		    field(r->wrong_clock, from), who, field(r->upstream, name),
		    "the clock of this KMS host is more than 4 hours off: it refuses clients that "
		    "another host serves; set it by NTP (w32tm /resync)");
}

void relay_records_init(struct kms_service *s)
{
	s->lines = &s->relay.lines;
	s->relay.lines.log = &s->log;
	s->relay.lines.event = "relay.requests";
	s->relay.lines.text = "more requests than have a line each; relay.log_file gets them all";
}

void relay_records_add(struct kms_service *s, const struct relay_record *r)
{
	char fields[RELAY_RECORD_TEXT_MAX];

	s->memory->totals.requests++;
	s->memory->totals.failed += has_failed(r);
	if (r->err == 0)
		remember(s, r->client);
	kms_memory_changed(s->memory);
	log_record(s, r);
	if (r->err == 0 && r->hresult == HR_INVALID_TIMESTAMP)
		tell_skew(s, r);
	if (r->wrong_clock != NULL)
		tell_wrong_clock(s, r);
	if (s->relay.log == NULL && s->on_event == NULL)
		return;
	format_record(r, fields);
	if (s->relay.log != NULL)
		write_line(s, fields);
	if (s->on_event != NULL)
		tell_event(s, r, fields);
}
