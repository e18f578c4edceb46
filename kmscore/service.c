#include "kmscore/service.h"

#include <stdlib.h>
#include <string.h>

#include "kmscore/session.h"

#define OUT_MAX    (1u << 18) /* more than the answers to one read of the socket can be */
#define SECOND_MS  1000
#define UNSENT_MAX (1u << 18) /* of a client that asks and does not read */

bool kms_service_may_log(struct kms_service *s, const struct addr *peer)
{
	return log_limit_pass(&s->limit, peer, clock_mono_ms(s->net->clock), NULL);
}

static void on_second(uv_timer_t *t)
{
	struct kms_service *s = t->data;

	line_budget_tell(s->lines);
}

void kms_service_tell_later(struct kms_service *s)
{
	if (!uv_is_active((uv_handle_t *)&s->second) && !uv_is_closing((uv_handle_t *)&s->second))
		(void)uv_timer_start(&s->second, on_second, SECOND_MS, 0);
}

static struct cidr *copy_rules(const struct cidr *allow, size_t n)
{
	struct cidr *copy = calloc(n > 0 ? n : 1, sizeof(*copy));

	if (copy != NULL && n > 0)
		memcpy(copy, allow, n * sizeof(*copy));
	return copy;
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
		.ops = &session_conn_ops,
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

static void on_timer_closed(uv_handle_t *h)
{
	struct kms_service *s = h->data;
	void (*done)(void *) = s->done;
	void *done_ctx = s->done_ctx;

	if (--s->open_handles > 0)
		return;
	kms_memory_done(&s->own);
	buf_done(&s->out);
	free(s->allow);
	free(s);
	if (done != NULL)
		done(done_ctx);
}

static void tell_drained(struct kms_service *s)
{
	void (*drained)(void *) = s->drained;

	s->drained = NULL;
	if (drained != NULL)
		drained(s->drained_ctx);
}

static void on_answers_ended(struct kms_service *s)
{
	tell_drained(s);
	if (s->lines != NULL)
		line_budget_tell(s->lines);
	uv_close((uv_handle_t *)&s->second, on_timer_closed);
	uv_close((uv_handle_t *)&s->drain_timer, on_timer_closed);
}

static void on_listener_closed(void *ctx)
{
	struct kms_service *s = ctx;

	s->answers->end(s, on_answers_ended);
}

static int check_params(const struct kms_service_params *p, struct err_info *info)
{
	if (p->mode != KMS_MODE_LAB && p->mode != KMS_MODE_RELAY)
		return err_set(info, ERR_USAGE, "service.mode is off: there is nothing to start");
	if (p->n_allow > KMS_ALLOW_MAX)
		return err_set(info, ERR_LIMIT, "service.allow has more than %d networks",
			       KMS_ALLOW_MAX);
	return 0;
}

static void init_host(struct kms_service *s, const struct kms_service_params *p)
{
	s->host.role = s->answers->role;
	s->host.node_id = p->node_id;
	if (guid_is_zero(&s->host.node_id))
		guid_random(s->net->rng, &s->host.node_id);
	s->host.congested = s->answers->congested;
	s->host.ctx = s;
}

static struct kms_service *service_alloc(struct net *net, const struct kms_service_params *p)
{
	struct kms_service *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->allow = copy_rules(p->allow, p->n_allow);
	if (s->allow == NULL) {
		free(s);
		return NULL;
	}
	s->net = net;
	s->mode = p->mode;
	s->answers = p->mode == KMS_MODE_LAB ? &kms_answers_lab : &kms_answers_relay;
	s->log.module = "kms";
	s->limits = with_defaults(&p->limits);
	s->next_group = rng_u32(net->rng);
	s->on_event = p->on_event;
	s->ctx = p->ctx;
	kms_memory_init(&s->own, p->mode == KMS_MODE_LAB ? KMS_CLIENT_CMID : KMS_CLIENT_ADDRESS,
			net->rng);
	s->memory = p->memory != NULL ? p->memory : &s->own;
	buf_init(&s->out, OUT_MAX);
	init_host(s, p);
	(void)uv_timer_init(net->loop, &s->second);
	s->second.data = s;
	uv_unref((uv_handle_t *)&s->second);
	(void)uv_timer_init(net->loop, &s->drain_timer);
	s->drain_timer.data = s;
	s->open_handles = 2;
	return s;
}

int kms_service_new(struct net *net, const struct kms_service_params *p, struct kms_service **ret,
		    struct err_info *info)
{
	struct kms_service *s;
	int err = check_params(p, info);

	if (err != 0)
		return err;
	s = service_alloc(net, p);
	if (s == NULL)
		return err_set(info, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	err = start_listener(s, p, info);
	if (err != 0) {
		on_answers_ended(s); /* nothing has begun */
		return err;
	}
	s->host.port = addr_port(listener_addr(s->listener, 0));
	err = s->answers->init(s, p, info);
	if (err != 0) {
		listener_free(s->listener, on_listener_closed, s);
		return err;
	}
	*ret = s;
	return 0;
}

void kms_service_stop(struct kms_service *s)
{
	s->stopped = true;
	listener_stop(s->listener);
}

static void on_drain_timer(uv_timer_t *t)
{
	tell_drained(t->data);
}

static void end_drain(struct kms_service *s, uint32_t ms)
{
	if (s->drained != NULL && !uv_is_closing((uv_handle_t *)&s->drain_timer))
		(void)uv_timer_start(&s->drain_timer, on_drain_timer, ms, 0);
}

void kms_service_session_ended(struct kms_service *s)
{
	if (s->draining && s->sessions == NULL)
		end_drain(s, 0);
}

void kms_service_drain(struct kms_service *s, uint32_t ms, void (*done)(void *ctx), void *ctx)
{
	s->stopped = true;
	s->draining = true;
	s->drained = done;
	s->drained_ctx = ctx;
	listener_release(s->listener);
	for (struct session *e = s->sessions; e != NULL; e = e->next)
		session_drain(e);
	end_drain(s, s->sessions != NULL ? ms : 0);
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

size_t kms_service_duplicates(const struct kms_service *s, struct kms_duplicate *ret, size_t max)
{
	return kms_clients_list_duplicates(&s->memory->clients, ret, max);
}

void kms_service_status(struct kms_service *s, struct kms_service_status *ret)
{
	int64_t now_ms = clock_wall_ms(s->net->clock);

	memset(ret, 0, sizeof(*ret));
	ret->mode = s->mode;
	ret->listening = !s->stopped;
	ret->requests = s->memory->totals.requests + s->bad_calls;
	ret->failed = s->memory->totals.failed + s->bad_calls;
	memcpy(ret->by_licence, s->memory->totals.by_licence, sizeof(ret->by_licence));
	ret->count = kms_count_now(&s->memory->count, now_ms);
	ret->clients_30d = kms_clients_count(&s->memory->clients, now_ms);
	ret->clients_7d =
		kms_clients_since(&s->memory->clients, now_ms - INT64_C(7) * 86400 * 1000);
	ret->duplicates = kms_clients_duplicates(&s->memory->clients);
	ret->connections = listener_count(s->listener);
	ret->refused = s->refused;
}
