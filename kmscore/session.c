#include "kmscore/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define WAIT_MARGIN_MS 2000u /* beyond the time that an answer may take: it is never needed */

static void write_out(struct kms_service *s, struct conn *c)
{
	conn_write(c, s->out.data, s->out.len);
	buf_clear(&s->out);
}

static void end_association(struct kms_service *s, struct conn *c, const struct err_info *info)
{
	char who[ADDR_TEXT_MAX], text[ERR_INFO_MAX + 160];

	conn_close(c);
	if (!kms_service_may_log(s, conn_peer(c)))
		return;
	addr_format(conn_peer(c), who);
	(void)snprintf(
		text, sizeof(text),
		"%s; the connection was closed: if this is a KMS client, look at what stands "
		"between it and this host",
		info->text);
	log_warning(&s->log, "rpc.ended", "client=%s text=%s", who, text);
}

/** Our own upstream is ourselves. */
static void tell_loop(struct session *e)
{
	struct kms_service *s = e->s;
	char who[ADDR_TEXT_MAX];

	e->kin_told = true;
	if (!kms_service_may_log(s, conn_peer(e->c)))
		return;
	addr_format(conn_peer(e->c), who);
	log_warning(&s->log, "relay.loop", "client=%s text=%s", who,
		    "this relay reached itself: remove its own address from relay.upstreams, or "
		    "its own name from the records of relay.srv");
}

/* Deadlines */

/** How long a client may be quiet. */
static uint32_t quiet_ms(const struct kms_service *s)
{
	if (s->draining && s->limits.idle_ms > KMS_DRAIN_QUIET_MS)
		return KMS_DRAIN_QUIET_MS;
	return s->limits.idle_ms;
}

/**
 * What is half sent has to be complete by a time that further bytes, or further fragments, do not
 * move; so has the bind. Only between requests the idle time runs. @p moved: PDUs were completed.
 */
static void set_deadline(struct session *e, bool moved, bool half_pdu)
{
	uint32_t half_call = kms_assoc_half_call(&e->a);
	bool same = half_call != 0 ? half_call == e->half_call : e->half_pdu && half_pdu && !moved;

	e->half_call = half_call;
	e->half_pdu = half_pdu;
	if (same || !kms_assoc_is_bound(&e->a))
		return;
	if (half_call != 0 || half_pdu)
		conn_set_deadline(e->c, e->s->limits.request_ms);
	else
		conn_set_deadline(e->c, quiet_ms(e->s));
}

void session_drain(struct session *e)
{
	if (!e->waiting && !e->half_pdu && e->half_call == 0)
		conn_set_deadline(e->c, quiet_ms(e->s));
}

/* Requests */

static int serve_call(struct session *e)
{
	const struct kms_call *call = kms_assoc_call(&e->a);
	struct kms_service *s = e->s;
	struct kms_request rq;

	if (kms_request_decode(call->stub, call->stub_len, call->be, &rq) != 0) {
		s->bad_calls++;
		return kms_assoc_fault(&e->a, RPC_S_NDR, &s->out);
	}
	return s->answers->request(s, e, &rq);
}

static int unanswered(struct err_info *info, int err)
{
	return err_set(info, err, "a request could not be answered: %s", err_text(err));
}

/** Feed the association until it wants more, or a request waits. *ret_used: octets. */
static enum kms_assoc_event feed(struct session *e, const uint8_t *data, size_t len,
				 size_t *ret_used, struct err_info *info)
{
	struct kms_service *s = e->s;
	enum kms_assoc_event ev;
	size_t used;
	int err;

	*ret_used = 0;
	for (;;) {
		ev = kms_assoc_feed(&e->a, data + *ret_used, len - *ret_used, &used, &s->out, info);
		*ret_used += used;
		if (ev != KMS_ASSOC_CALL)
			return ev;
		err = serve_call(e);
		if (err != 0) {
			(void)unanswered(info, err);
			return KMS_ASSOC_END;
		}
		if (e->waiting)
			return KMS_ASSOC_CALL;
	}
}

static size_t on_data(struct conn *c, void *ctx, const uint8_t *data, size_t len)
{
	struct kms_service *s = ctx;
	struct session *e = conn_data(c);
	struct err_info info = { "" };
	enum kms_assoc_event ev;
	size_t used;

	ev = feed(e, data, len, &used, &info);
	if (s->out.len > 0)
		write_out(s, c);
	if (kms_assoc_kin(&e->a) == KMS_KIN_SELF && !e->kin_told)
		tell_loop(e);
	switch (ev) {
	case KMS_ASSOC_END:
		end_association(s, c, &info);
		return len;
	case KMS_ASSOC_REFUSED:
		conn_close(c);
		return len;
	case KMS_ASSOC_CALL:
		e->half_call = 0;
		e->half_pdu = false;
		conn_set_deadline(c, s->answers->wait_ms(s) + WAIT_MARGIN_MS);
		conn_pause(c);
		return used;
	case KMS_ASSOC_MORE:
	default:
		set_deadline(e, used > 0, used < len);
		return used;
	}
}

static void session_free(struct session *e)
{
	kms_assoc_done(&e->a);
	free(e);
}

void session_answered(struct session *e, int err)
{
	struct kms_service *s = e->s;
	struct conn *c = e->c;
	struct err_info info;

	e->waiting = false;
	if (c == NULL) {
		buf_clear(&s->out);
		session_free(e);
		return;
	}
	write_out(s, c);
	if (err != 0) {
		(void)unanswered(&info, err);
		end_association(s, c, &info);
		return;
	}
	set_deadline(e, true, false);
	conn_resume(c); /* may bring the next request */
	if (e->half_closed && !e->waiting)
		conn_close(c);
}

/* The connection */

static void on_open(struct conn *c, void *ctx)
{
	struct kms_service *s = ctx;
	struct session *e = calloc(1, sizeof(*e));

	conn_set_data(c, e);
	if (e == NULL) {
		conn_close(c); /* of what is below only on_closed() comes */
		return;
	}
	if (++s->next_group == 0)
		s->next_group = 1;
	e->s = s;
	e->c = c;
	e->next = s->sessions;
	if (e->next != NULL)
		e->next->prev = e;
	s->sessions = e;
	kms_assoc_init(&e->a, &s->host, s->next_group);
	/* A deadline of our own: a client that drips bytes does not hold a connection by that. */
	conn_set_deadline(c, s->limits.request_ms);
}

static bool on_half_closed(struct conn *c, void *ctx)
{
	struct session *e = conn_data(c);

	(void)ctx;
	if (!e->waiting)
		return false;
	e->half_closed = true;
	return true;
}

/** How a client ends is its affair; that there was no room for it is the operator's. */
static void tell_closed(struct kms_service *s, const struct addr *peer, int err)
{
	char who[ADDR_TEXT_MAX];

	if (err == ERR_NOMEM && kms_service_may_log(s, peer)) {
		addr_format(peer, who);
		log_warning(&s->log, "conn.lost", "client=%s text=%s", who,
			    "out of memory: the connection was closed, and the client has to ask "
			    "again; see what uses the memory of this machine");
	} else if (log_enabled(LOG_DEBUG)) {
		addr_format(peer, who);
		log_debug(&s->log, "conn.closed", "client=%s why=%s", who, err_name(err));
	}
}

static void on_closed(struct conn *c, void *ctx, int err)
{
	struct kms_service *s = ctx;
	struct session *e = conn_data(c);

	tell_closed(s, conn_peer(c), e != NULL ? err : ERR_NOMEM);
	if (e == NULL)
		return;
	*(e->prev != NULL ? &e->prev->next : &s->sessions) = e->next;
	if (e->next != NULL)
		e->next->prev = e->prev;
	e->c = NULL;
	if (e->waiting)
		s->answers->cancel(e);
	else
		session_free(e);
	kms_service_session_ended(s);
}

static const char *why_refused(int why)
{
	switch (why) {
	case -EACCES:
		return "closed unread: the address is not in service.allow; add its network there "
		       "if KMS clients are in it";
	case -ESHUTDOWN:
		return "closed unread: this host is drained, but its socket is held open by "
		       "systemd, "
		       "so clients still come; stop the socket unit, or kmsbeacon resume";
	case ERR_LIMIT:
		return "closed unread: limits.connections or limits.per_address is reached; raise "
		       "it if this many clients are real";
	default:
		return err_text(why);
	}
}

static void on_refused(void *ctx, const struct addr *peer, int why)
{
	struct kms_service *s = ctx;
	char who[ADDR_TEXT_MAX];
	uint32_t held;

	s->refused++;
	if (!log_limit_pass(&s->limit, peer, clock_mono_ms(s->net->clock), &held))
		return;
	addr_format_host(peer, who);
	log_warning(&s->log, "client.refused", "client=%s held_back=%u text=%s", who, held,
		    why_refused(why));
}

const struct conn_ops session_conn_ops = {
	.open = on_open,
	.data = on_data,
	.half_closed = on_half_closed,
	.closed = on_closed,
	.refused = on_refused,
};
