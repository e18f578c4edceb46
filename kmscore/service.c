#include "kmscore/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmscore/association.h"
#include "kmscore/kms_msg.h"
#include "kmscore/log_limit.h"

#define OUT_FLUSH  16384u     /* answers gathered before they are written */
#define OUT_MAX    (1u << 18) /* more than the answers to one read of the socket can be */
#define HELD_MS    1000
#define UNSENT_MAX (1u << 18) /* of a client that asks and does not read */

/** One connection. */
struct session {
	struct kms_assoc a;
	struct conn *c;
	struct session *prev, *next; /* all of the service */
	uint32_t half_call;          /* the request that the deadline is for; 0: none */
	bool half_pdu;               /* the deadline is for a PDU whose end is missing */
};

struct kms_service {
	struct net *net;
	struct listener *listener;
	enum kms_mode mode;
	struct cidr *allow;
	struct kms_limits limits; /* without zeros */
	struct kms_assoc_host host;
	uint32_t next_group;
	uint64_t bad_calls; /* requests that were answered with a fault */
	uint64_t refused;
	bool stopped;
	bool draining;
	struct session *sessions;
	struct lab_host lab;
	uv_timer_t held_timer; /* requests wait for their line: lab_host_tell_held() */
	struct buf out;        /* answers of the connection that is being served */
	struct log_ctx log;
	struct log_limit limit;
	uv_timer_t drain_timer;
	void (*drained)(void *ctx); /* until it has run */
	void *drained_ctx;
	unsigned open_handles;
	void (*done)(void *ctx);
	void *done_ctx;
};

static bool may_log(struct kms_service *s, const struct addr *peer)
{
	return log_limit_pass(&s->limit, peer, clock_mono_ms(s->net->clock), NULL);
}

static void on_held_timer(uv_timer_t *t)
{
	lab_host_tell_held(&((struct kms_service *)t->data)->lab);
}

static void tell_held_soon(struct kms_service *s)
{
	if (lab_host_holds_lines(&s->lab) && !uv_is_active((uv_handle_t *)&s->held_timer))
		(void)uv_timer_start(&s->held_timer, on_held_timer, HELD_MS, 0);
}

/** Answer the one call that waits. @return 0, or why the association cannot go on. */
static int answer_call(struct kms_service *s, struct kms_assoc *a, const struct addr *peer)
{
	const struct kms_call *call = kms_assoc_call(a);
	struct kms_response rs = { 0 };
	struct lab_answer answer;
	struct kms_request rq;
	struct buf stub;
	int err;

	if (kms_request_decode(call->stub, call->stub_len, call->be, &rq) != 0) {
		s->bad_calls++;
		return kms_assoc_fault(a, RPC_S_NDR, &s->out);
	}
	lab_host_request(&s->lab, peer, rq.body, rq.body_len, &answer);
	tell_held_soon(s);
	rs.hresult = answer.hresult;
	if (answer.body_len > 0) {
		rs.body = answer.body;
		rs.body_len = answer.body_len;
	}
	buf_init(&stub, RPC_STUB_MAX);
	err = kms_response_encode(&stub, call->be, &rs);
	if (err == 0)
		err = kms_assoc_respond(a, stub.data, stub.len, call->be, &s->out);
	buf_done(&stub);
	return err;
}

static void write_out(struct kms_service *s, struct conn *c)
{
	conn_write(c, s->out.data, s->out.len);
	buf_clear(&s->out);
}

static void end_association(struct kms_service *s, struct conn *c, const struct err_info *info)
{
	char who[ADDR_TEXT_MAX], text[ERR_INFO_MAX + 160];

	conn_close(c);
	if (!may_log(s, conn_peer(c)))
		return;
	addr_format(conn_peer(c), who);
	(void)snprintf(
		text, sizeof(text),
		"%s; the connection was closed: if this is a KMS client, look at what stands "
		"between it and this host",
		info->text);
	log_warning(&s->log, "rpc.ended", "client=%s text=%s", who, text);
}

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
static void set_deadline(const struct kms_service *s, struct session *e, struct conn *c, bool moved,
			 bool half_pdu)
{
	uint32_t half_call = kms_assoc_half_call(&e->a);
	bool same = half_call != 0 ? half_call == e->half_call : e->half_pdu && half_pdu && !moved;

	e->half_call = half_call;
	e->half_pdu = half_pdu;
	if (same || !kms_assoc_is_bound(&e->a))
		return;
	if (half_call != 0 || half_pdu)
		conn_set_deadline(c, s->limits.request_ms);
	else
		conn_set_deadline(c, quiet_ms(s));
}

static size_t on_data(struct conn *c, void *ctx, const uint8_t *data, size_t len)
{
	struct kms_service *s = ctx;
	struct session *e = conn_data(c);
	struct err_info info = { "" };
	enum kms_assoc_event ev;
	size_t total = 0, used;
	int err;

	if (e == NULL)
		return len; /* no memory for it: it is being closed */
	for (;;) {
		ev = kms_assoc_feed(&e->a, data + total, len - total, &used, &s->out, &info);
		total += used;
		if (ev != KMS_ASSOC_CALL)
			break;
		err = answer_call(s, &e->a, conn_peer(c));
		if (err != 0) {
			(void)err_set(&info, err, "a request could not be answered: %s",
				      err_text(err));
			ev = KMS_ASSOC_END;
			break;
		}
		if (s->out.len >= OUT_FLUSH)
			write_out(s, c);
	}
	write_out(s, c);
	if (ev == KMS_ASSOC_END) {
		end_association(s, c, &info);
		return len;
	}
	set_deadline(s, e, c, total > 0, total < len);
	return total;
}

static void on_conn_open(struct conn *c, void *ctx)
{
	struct kms_service *s = ctx;
	struct session *e = calloc(1, sizeof(*e));

	conn_set_data(c, e);
	if (e == NULL) {
		conn_close(c);
		return;
	}
	if (++s->next_group == 0)
		s->next_group = 1;
	e->c = c;
	e->next = s->sessions;
	if (e->next != NULL)
		e->next->prev = e;
	s->sessions = e;
	kms_assoc_init(&e->a, &s->host, s->next_group);
	/* A deadline of our own: a client that drips bytes does not hold a connection by that. */
	conn_set_deadline(c, s->limits.request_ms);
}

static void on_drain_timer(uv_timer_t *t);

static void end_drain_soon(struct kms_service *s, uint32_t ms)
{
	if (s->drained != NULL)
		(void)uv_timer_start(&s->drain_timer, on_drain_timer, ms, 0);
}

static void on_conn_closed(struct conn *c, void *ctx, int err)
{
	struct kms_service *s = ctx;
	struct session *e = conn_data(c);
	char who[ADDR_TEXT_MAX];

	if (log_enabled(LOG_DEBUG)) {
		addr_format(conn_peer(c), who);
		log_debug(&s->log, "conn.closed", "client=%s why=%s", who, err_name(err));
	}
	if (e == NULL)
		return;
	*(e->prev != NULL ? &e->prev->next : &s->sessions) = e->next;
	if (e->next != NULL)
		e->next->prev = e->prev;
	kms_assoc_done(&e->a);
	free(e);
	if (s->draining && s->sessions == NULL)
		end_drain_soon(s, 0);
}

static void on_refused(void *ctx, const struct addr *peer, int why)
{
	struct kms_service *s = ctx;
	char who[ADDR_TEXT_MAX];
	uint32_t held;
	const char *text;

	s->refused++;
	if (!log_limit_pass(&s->limit, peer, clock_mono_ms(s->net->clock), &held))
		return;
	switch (why) {
	case -EACCES:
		text = "closed unread: the address is not in service.allow; add its network there "
		       "if KMS clients are in it";
		break;
	case -ESHUTDOWN:
		text = "closed unread: this host is drained, but its socket is held open by "
		       "systemd, "
		       "so clients still come; stop the socket unit, or kmsbeacon resume";
		break;
	case ERR_LIMIT:
		text = "closed unread: limits.connections or limits.per_address is reached; raise "
		       "it "
		       "if this many clients are real";
		break;
	default:
		text = err_text(why);
		break;
	}
	addr_format_host(peer, who);
	log_warning(&s->log, "client.refused", "client=%s held_back=%u text=%s", who, held, text);
}

static const struct conn_ops conn_ops = {
	.open = on_conn_open,
	.data = on_data,
	.closed = on_conn_closed,
	.refused = on_refused,
};

static struct cidr *copy_rules(const struct cidr *allow, size_t n)
{
	struct cidr *copy = calloc(n > 0 ? n : 1, sizeof(*copy));

	if (copy != NULL && n > 0)
		memcpy(copy, allow, n * sizeof(*copy));
	return copy;
}

static struct lab_rules lab_defaults(const struct lab_rules *r)
{
	struct lab_rules full = *r;

	if (full.activation_min == 0)
		full.activation_min = KMS_ACTIVATION_MIN;
	if (full.renewal_min == 0)
		full.renewal_min = KMS_RENEWAL_MIN;
	return full;
}

static int start_lab(struct kms_service *s, const struct kms_service_params *p,
		     struct err_info *info)
{
	struct lab_host_params lp = { .clock = s->net->clock,
				      .rng = s->net->rng,
				      .memory = p->memory,
				      .rules = lab_defaults(&p->lab),
				      .on_event = p->on_event,
				      .ctx = p->ctx };
	struct lab_key key;
	int err;

	if (p->lab_key_file == NULL)
		return err_set(info, ERR_CONFIG,
			       "service.mode lab needs lab.key_file; make one with `kmsbeacon lab "
			       "keygen FILE`");
	err = lab_key_read(p->lab_key_file, &key, info);
	if (err != 0)
		return err;
	lp.key = &key;
	lab_host_init(&s->lab, &lp);
	lab_key_wipe(&key);
	return 0;
}

static int start_listener(struct kms_service *s, const struct kms_service_params *p,
			  struct err_info *info)
{
	struct listener_params lp = {
		.listen = p->listen,
		.n_listen = p->n_listen,
		.sockets = p->sockets,
		.allow = s->allow,
		.n_allow = p->n_allow,
		.max_conns = s->limits.conns,
		.max_per_address = s->limits.per_address,
		.max_in = RPC_FRAG_MAX,
		.max_out = UNSENT_MAX,
		.idle_ms = s->limits.idle_ms,
		.ops = &conn_ops,
		.ctx = s,
	};

	return listener_new(s->net, &lp, &s->listener, info);
}

static struct kms_limits with_defaults(const struct kms_limits *l)
{
	return (struct kms_limits){
		.conns = l->conns > 0 ? l->conns : KMS_CONNS_DEFAULT,
		.per_address = l->per_address > 0 ? l->per_address : KMS_PER_ADDRESS_DEFAULT,
		.idle_ms = l->idle_ms > 0 ? l->idle_ms : KMS_IDLE_DEFAULT_MS,
		.request_ms = l->request_ms > 0 ? l->request_ms : KMS_REQUEST_DEFAULT_MS,
	};
}

static void service_destroy(struct kms_service *s)
{
	lab_host_done(&s->lab);
	buf_done(&s->out);
	free(s->allow);
	free(s);
}

static int check_params(const struct kms_service_params *p, struct err_info *info)
{
	switch (p->mode) {
	case KMS_MODE_LAB:
		break;
	case KMS_MODE_RELAY:
		return err_set(
			info, ERR_CONFIG,
			"service.mode relay is not part of this version; set service.mode to "
			"lab or off");
	case KMS_MODE_OFF:
	default:
		return err_set(info, ERR_USAGE, "service.mode is off: there is nothing to start");
	}
	if (p->n_allow > KMS_ALLOW_MAX)
		return err_set(info, ERR_LIMIT, "service.allow has more than %d networks",
			       KMS_ALLOW_MAX);
	return 0;
}

int kms_service_new(struct net *net, const struct kms_service_params *p, struct kms_service **ret,
		    struct err_info *info)
{
	struct kms_service *s;
	int err = check_params(p, info);

	if (err != 0)
		return err;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(info, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	s->net = net;
	s->mode = p->mode;
	s->log.module = "kms";
	s->limits = with_defaults(&p->limits);
	s->next_group = rng_u32(net->rng);
	buf_init(&s->out, OUT_MAX);
	s->allow = copy_rules(p->allow, p->n_allow);
	if (s->allow == NULL)
		err = err_set(info, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	if (err == 0)
		err = start_lab(s, p, info);
	if (err == 0)
		err = start_listener(s, p, info);
	if (err != 0) {
		service_destroy(s);
		return err;
	}
	s->host.role = KMS_KIN_ROLE_LAB;
	s->host.port = addr_port(listener_addr(s->listener, 0));
	s->host.node_id = p->node_id;
	if (guid_is_zero(&s->host.node_id))
		guid_random(net->rng, &s->host.node_id);
	(void)uv_timer_init(net->loop, &s->held_timer);
	s->held_timer.data = s;
	uv_unref((uv_handle_t *)&s->held_timer);
	(void)uv_timer_init(net->loop, &s->drain_timer);
	s->drain_timer.data = s;
	s->open_handles = 2;
	*ret = s;
	return 0;
}

void kms_service_stop(struct kms_service *s)
{
	s->stopped = true;
	listener_stop(s->listener);
}

static void tell_drained(struct kms_service *s)
{
	void (*drained)(void *) = s->drained;

	s->drained = NULL;
	if (drained != NULL)
		drained(s->drained_ctx);
}

static void on_drain_timer(uv_timer_t *t)
{
	tell_drained(t->data);
}

/** Nothing of @p e is under way. */
static bool is_quiet(const struct session *e)
{
	return !e->half_pdu && e->half_call == 0;
}

void kms_service_drain(struct kms_service *s, uint32_t ms, void (*done)(void *ctx), void *ctx)
{
	s->stopped = true;
	s->draining = true;
	s->drained = done;
	s->drained_ctx = ctx;
	listener_release(s->listener);
	for (struct session *e = s->sessions; e != NULL; e = e->next)
		if (is_quiet(e))
			conn_set_deadline(e->c, quiet_ms(s));
	end_drain_soon(s, s->sessions != NULL ? ms : 0);
}

static void on_timer_closed(uv_handle_t *h)
{
	struct kms_service *s = h->data;
	void (*done)(void *) = s->done;
	void *done_ctx = s->done_ctx;

	if (--s->open_handles > 0)
		return;
	tell_drained(s);
	service_destroy(s);
	done(done_ctx);
}

static void on_listener_closed(void *ctx)
{
	struct kms_service *s = ctx;

	lab_host_tell_held(&s->lab);
	uv_close((uv_handle_t *)&s->held_timer, on_timer_closed);
	uv_close((uv_handle_t *)&s->drain_timer, on_timer_closed);
}

void kms_service_free(struct kms_service *s, void (*done)(void *ctx), void *ctx)
{
	s->done = done;
	s->done_ctx = ctx;
	listener_free(s->listener, on_listener_closed, s);
}

size_t kms_service_n_listen(const struct kms_service *s)
{
	return listener_addr_count(s->listener);
}

const struct addr *kms_service_addr(const struct kms_service *s, size_t i)
{
	return listener_addr(s->listener, i);
}

int kms_service_set_rules(struct kms_service *s, const struct cidr *allow, size_t n_allow,
			  const struct kms_limits *limits)
{
	struct cidr *copy;

	if (n_allow > KMS_ALLOW_MAX)
		return ERR_LIMIT;
	copy = copy_rules(allow, n_allow);
	if (copy == NULL)
		return ERR_NOMEM;
	s->limits = with_defaults(limits);
	listener_set_rules(s->listener, copy, n_allow, s->limits.conns, s->limits.per_address,
			   s->limits.idle_ms);
	free(s->allow);
	s->allow = copy;
	return 0;
}

void kms_service_set_lab(struct kms_service *s, const struct lab_rules *rules)
{
	struct lab_rules full = lab_defaults(rules);

	lab_host_set_rules(&s->lab, &full);
}

void kms_service_set_relay(struct kms_service *s, const struct relay_rules *rules)
{
	(void)s;
	(void)rules;
}

int kms_service_set_upstreams(struct kms_service *s, const struct relay_upstream *list, size_t n)
{
	(void)s;
	(void)list;
	(void)n;
	return ERR_USAGE;
}

void kms_service_set_request_log(struct kms_service *s, const char *path)
{
	(void)s;
	(void)path;
}

const struct relay *kms_service_relay(const struct kms_service *s)
{
	(void)s;
	return NULL;
}

size_t kms_service_duplicates(const struct kms_service *s, struct kms_duplicate *ret, size_t max)
{
	return kms_clients_list_duplicates(&s->lab.memory->clients, ret, max);
}

void kms_service_status(struct kms_service *s, struct kms_service_status *ret)
{
	int64_t now_ms = clock_wall_ms(s->net->clock);

	memset(ret, 0, sizeof(*ret));
	ret->mode = s->mode;
	ret->listening = !s->stopped;
	ret->requests = s->lab.memory->totals.requests + s->bad_calls;
	ret->failed = s->lab.memory->totals.failed + s->bad_calls;
	memcpy(ret->by_licence, s->lab.memory->totals.by_licence, sizeof(ret->by_licence));
	ret->count = kms_count_now(&s->lab.memory->count, now_ms);
	ret->clients_30d = kms_clients_count(&s->lab.memory->clients, now_ms);
	ret->clients_7d =
		kms_clients_since(&s->lab.memory->clients, now_ms - INT64_C(7) * 86400 * 1000);
	ret->duplicates = kms_clients_duplicates(&s->lab.memory->clients);
	ret->connections = listener_count(s->listener);
	ret->refused = s->refused;
}
