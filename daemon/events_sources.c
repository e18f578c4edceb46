/* What becomes an event, with Windows' numbers where it has one (behaviour §4), and the request
 * `events` of the control socket. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hresult.h"
#include "daemon/daemon_priv.h"

#define TEXT_MAX (DNSNAME_TEXT_MAX + PUB_HINT_MAX + 128)

#define EVENT_SERVICE_FAILED 12291
#define EVENT_PUBLISH_FAILED 12293
#define EVENT_PUBLISHED      12294

/* Without a number of Windows': a refusal, or the request of a client of the relay. */
static bool is_served(const struct kms_event *ev)
{
	return ev->hresult == HR_OK && (ev->id != 0 || strcmp(ev->name, "relay.request") == 0);
}

/* As many as there are requests: in memory only. */
void daemon_on_kms_event(void *daemon, const struct kms_event *ev)
{
	const struct daemon *d = daemon;
	const struct event e = { .id = ev->id,
				 .name = ev->name,
				 .level = is_served(ev) ? LOG_INFO : LOG_WARNING,
				 .hresult = ev->hresult,
				 .text = ev->sentence,
				 .info = ev->text };

	events_add(d->events, &e);
}

/* A check that found everything right is no event. */
void daemon_event_published(const struct daemon *d, const struct pub_result *r)
{
	char domain[DNSNAME_TEXT_MAX], code[HRESULT_TEXT_MAX], info[TEXT_MAX], text[TEXT_MAX];
	struct event e = { .name = "publisher.proven",
			   .id = EVENT_PUBLISHED,
			   .level = LOG_INFO,
			   .hresult = r->hresult,
			   .kept = true,
			   .text = text,
			   .info = info };

	if (r->err == ERR_CANCELED || (pub_result_ok(r) && r->state != PUB_PROVEN))
		return;
	dns_name_format(&r->domain, domain);
	(void)snprintf(info, sizeof(info), "%s", domain);
	(void)snprintf(text, sizeof(text),
		       "Publishing KMS to DNS in the domain '%s' was successful: %zu change%s%s, "
		       "proven.",
		       domain, r->n_changes, r->n_changes == 1 ? "" : "s",
		       r->n_changes == 0 ? " now, those of a check that was cut short" : "");
	if (!pub_result_ok(r)) {
		e.name = "publisher.failed";
		e.id = EVENT_PUBLISH_FAILED;
		e.level = LOG_WARNING;
		(void)snprintf(info, sizeof(info), "%s, %s", hresult_format(r->hresult, code),
			       domain);
		(void)snprintf(text, sizeof(text),
			       "Publishing KMS to DNS in the domain '%s' failed (%s): %s", domain,
			       pub_state_name(r->state), r->hint);
	}
	events_add(d->events, &e);
}

/* The socket errors that Windows has a code for. */
static uint32_t start_hresult(int err)
{
	switch (err) {
	case -EADDRINUSE:
		return 0x80072740u; /* WSAEADDRINUSE */
	case -EACCES:
		return 0x8007271Du; /* WSAEACCES */
	case -EADDRNOTAVAIL:
		return 0x80072741u; /* WSAEADDRNOTAVAIL */
	default:
		return 0x80004005u; /* E_FAIL */
	}
}

void daemon_service_failed(struct daemon *d, int err, const struct err_info *info)
{
	char code[HRESULT_TEXT_MAX];
	const struct event e = { .id = EVENT_SERVICE_FAILED,
				 .name = "service.failed",
				 .level = LOG_ERROR,
				 .hresult = start_hresult(err),
				 .kept = true,
				 .text = info->text,
				 .info = hresult_format(start_hresult(err), code) };

	events_add(d->events, &e);
}

/* ---- the request ---- */

static void on_page(void *ctx, json_t *page)
{
	struct control_call *call = ctx;

	if (page == NULL)
		control_fail(call, 1, err_name(ERR_NOMEM), err_text(ERR_NOMEM));
	else
		control_answer(call, 0, page);
}

void daemon_request_events(struct daemon *d, struct control_call *call, const json_t *args)
{
	json_int_t wait_ms = json_integer_value(json_object_get(args, "wait_ms"));
	json_int_t after = json_integer_value(json_object_get(args, "after"));
	struct events_query q = {
		.after = after > 0 ? (uint64_t)after : 0,
		.since_ms = (int64_t)json_integer_value(json_object_get(args, "since_ms")),
		.wait_ms = wait_ms <= 0                   ? 0
			   : wait_ms < EVENTS_WAIT_MAX_MS ? (uint32_t)wait_ms
							  : EVENTS_WAIT_MAX_MS,
	};
	int err = events_read(d->events, &q, on_page, call);

	if (err == ERR_LIMIT)
		control_fail(call, 1, err_name(err),
			     "too many follow the events already; end one of them");
	else if (err != 0)
		control_fail(call, 1, err_name(err), err_text(err));
}
