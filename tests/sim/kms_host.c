#include <stdio.h>
#include <string.h>

#include "common/hresult.h"
#include "tests/sim/kms_priv.h"

struct hosts {
	size_t n;
	struct sim_kms_host h[SIM_KMS_HOSTS_MAX];
	uint64_t lives;
};
static struct hosts *all(void)
{
	return sim_part(SIM_PART_KMS_HOSTS, sizeof(struct hosts));
}

static void answer_due(void *ctx, uint64_t life);

static struct rpc_hdr reply(const struct rpc_hdr *to, uint8_t ptype)
{
	return (struct rpc_hdr){ .ptype = ptype,
				 .flags = RPC_FLAG_FIRST | RPC_FLAG_LAST,
				 .be = to->be,
				 .call_id = to->call_id };
}

/* ---- bind: as a Windows host answers each item (behaviour §8) ---- */

static void answer_item(const struct rpc_ctx_item *item, struct rpc_ctx_answer *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->result = RPC_CTX_PROVIDER_REJECT;
	ret->reason = RPC_REASON_ABSTRACT;
	if (!rpc_syntax_equal(&item->abstract, &rpc_syntax_kms))
		return;
	ret->reason = RPC_REASON_TRANSFER;
	for (size_t i = 0; i < item->n_transfer; i++) {
		if (rpc_syntax_is_features(&item->transfer[i])) {
			ret->result = RPC_CTX_NEGOTIATE_ACK;
			ret->reason = 0;
			return;
		}
		if (rpc_syntax_equal(&item->transfer[i], &rpc_syntax_ndr32)) {
			ret->result = RPC_CTX_ACCEPT;
			ret->reason = RPC_REASON_NONE;
			ret->transfer = rpc_syntax_ndr32;
			return;
		}
	}
}

static void on_bind(struct kms_host_conn *hc, const uint8_t *pdu, const struct rpc_hdr *h)
{
	bool first = h->ptype == RPC_BIND;
	struct rpc_hdr rh = reply(h, first ? RPC_BIND_ACK : RPC_ALTER_CONTEXT_RESP);
	struct rpc_bind_ack ack = { .max_xmit = RPC_FRAG_MAX, .max_recv = RPC_FRAG_MAX };
	struct rpc_bind b;
	struct buf out;

	kms_must(rpc_bind_decode(pdu, h, &b), "a bind of the program");
	ack.assoc_group = b.assoc_group != 0 ? b.assoc_group : (uint32_t)hc->life;
	if (first)
		(void)snprintf(ack.sec_addr, sizeof(ack.sec_addr), "%u", addr_port(&hc->host->at));
	ack.n_results = b.n_ctx;
	for (size_t i = 0; i < b.n_ctx; i++) {
		answer_item(&b.ctx[i], &ack.result[i]);
		if (ack.result[i].result == RPC_CTX_ACCEPT) {
			hc->bound = true;
			hc->ctx_id = b.ctx[i].id;
		}
	}
	buf_init(&out, KMS_OUT_MAX);
	kms_must(rpc_bind_ack_encode(&out, &rh, &ack), "a bind_ack");
	kms_send(hc->c, &out);
}

/* @return false: the connection is at its end. */
static bool take_bind(struct kms_host_conn *hc, const uint8_t *pdu, const struct rpc_hdr *h)
{
	struct rpc_hdr rh = reply(h, RPC_BIND_NAK);
	struct buf out;

	kms_tell("%s bind", hc->host->name);
	if (hc->host->way == SIM_KMS_SILENT)
		return true;
	if (hc->host->way != SIM_KMS_NAKS) {
		on_bind(hc, pdu, h);
		return true;
	}
	buf_init(&out, KMS_OUT_MAX);
	kms_must(rpc_bind_nak_encode(&out, &rh, RPC_NAK_NOT_SPECIFIED), "a bind_nak");
	kms_send(hc->c, &out);
	return false;
}

/* ---- requests ---- */

static void request_of(const struct kms_host_conn *hc, struct kms_request *ret,
		       char label[KMS_LABEL_MAX])
{
	kms_must(kms_request_decode(hc->stub, hc->stub_len, hc->call.be, ret), "a request");
	if (!kms_label_read(ret->body, ret->body_len, label))
		(void)snprintf(label, KMS_LABEL_MAX, "%s", "lab");
}

static void send_fault(struct kms_host_conn *hc)
{
	struct rpc_hdr rh = reply(&hc->call, RPC_FAULT);
	struct rpc_fault f = { .ctx_id = hc->ctx_id, .status = RPC_S_OUT_OF_MEMORY };
	struct buf out;

	buf_init(&out, KMS_OUT_MAX);
	kms_must(rpc_fault_encode(&out, &rh, &f), "a fault");
	kms_send(hc->c, &out);
}

/* Its HRESULT, and a body that says which request it answers, and who; none with an error, as a
 * Windows host has it. */
static void make_answer(struct kms_host_conn *hc, struct buf *out)
{
	struct rpc_hdr rh = reply(&hc->call, RPC_RESPONSE);
	struct sim_kms_host *h = hc->host;
	char label[KMS_LABEL_MAX], told[2 * KMS_LABEL_MAX];
	struct kms_response rs = { .hresult = h->hresult };
	struct rpc_response r = { .ctx_id = hc->ctx_id };
	uint8_t body[KMS_BODY_MAX];
	struct kms_request rq;
	struct buf stub;

	request_of(hc, &rq, label);
	if (h->lab != NULL) {
		rs.hresult = kms_lab_answer(h, sim_conn_peer(hc->c), &rq, body, &rs.body_len);
	} else if (rs.hresult == 0) {
		(void)snprintf(told, sizeof(told), "%s@%s", label, h->name);
		told[KMS_LABEL_MAX - 1] = '\0';
		rs.body_len = kms_label_body(told, body);
	}
	rs.body = rs.body_len > 0 ? body : NULL;
	kms_tell("%s answer %s 0x%08X", h->name, label, rs.hresult);
	buf_init(&stub, RPC_STUB_MAX);
	kms_must(kms_response_encode(&stub, hc->call.be, &rs), "a response");
	r.stub = stub.data;
	r.stub_len = stub.len;
	kms_must(rpc_response_encode(out, &rh, &r, RPC_FRAG_MAX), "a response");
	buf_done(&stub);
}

static void conn_end(struct kms_host_conn *hc, bool reset)
{
	struct sim_conn *c = hc->c;

	hc->c = NULL;
	if (reset)
		sim_conn_reset(c);
	else
		sim_conn_close(c);
}

static void answer_due(void *ctx, uint64_t life)
{
	struct kms_host_conn *hc = ctx;
	enum sim_kms_way way = hc->host->way;
	struct buf out;

	if (hc->c == NULL || hc->life != life)
		return; /* nobody waits any more */
	if (way == SIM_KMS_FAULTS) {
		send_fault(hc);
		return;
	}
	if (way == SIM_KMS_DEAF || way == SIM_KMS_SILENT)
		return;
	buf_init(&out, KMS_OUT_MAX);
	make_answer(hc, &out);
	if (way == SIM_KMS_HALF)
		out.len /= 2;
	kms_send(hc->c, &out);
	if (way == SIM_KMS_HALF)
		conn_end(hc, false);
}

/* @return false: the connection is at its end. */
static bool take_request(struct kms_host_conn *hc, const uint8_t *pdu, const struct rpc_hdr *h)
{
	char label[KMS_LABEL_MAX];
	struct rpc_request r;
	struct kms_request rq;

	kms_must(rpc_request_decode(pdu, h, &r), "a request of the program");
	if (!hc->bound || r.ctx_id != hc->ctx_id || r.opnum != KMS_OPNUM)
		sim_fail("%s: a request on a context that it does not have", hc->host->name);
	if ((h->flags & RPC_FLAG_FIRST) != 0)
		hc->stub_len = 0;
	if (hc->stub_len + r.stub_len > sizeof(hc->stub))
		sim_fail("%s: a request of more than %u octets", hc->host->name, RPC_STUB_MAX);
	memcpy(hc->stub + hc->stub_len, r.stub, r.stub_len);
	hc->stub_len += r.stub_len;
	hc->call = *h;
	if ((h->flags & RPC_FLAG_LAST) == 0)
		return true;
	request_of(hc, &rq, label);
	kms_tell("%s request %s", hc->host->name, label);
	if (hc->host->way == SIM_KMS_CLOSES)
		return false;
	if (hc->host->way == SIM_KMS_SILENT || hc->host->way == SIM_KMS_DEAF)
		return true;
	if (hc->host->answer_ms == 0)
		answer_due(hc, hc->life);
	else
		sim_after(hc->host->answer_ms, answer_due, hc, hc->life);
	return hc->c != NULL;
}

static bool on_pdu(void *ctx, const uint8_t *pdu, const struct rpc_hdr *h)
{
	struct kms_host_conn *hc = ctx;
	bool open = true;

	if (h->ptype == RPC_BIND || h->ptype == RPC_ALTER_CONTEXT)
		open = take_bind(hc, pdu, h);
	else if (h->ptype == RPC_REQUEST)
		open = take_request(hc, pdu, h);
	if (!open && hc->c != NULL)
		conn_end(hc, false);
	return hc->c != NULL;
}

/* ---- connections ---- */

static void on_open(struct sim_conn *c)
{
	struct sim_kms_host *h = sim_conn_ctx(c);
	struct kms_host_conn *hc = h->conns;

	while (hc != NULL && hc->c != NULL)
		hc = hc->next;
	if (hc == NULL) {
		hc = sim_alloc(sizeof(*hc));
		hc->host = h;
		hc->next = h->conns;
		h->conns = hc;
	}
	hc->c = c;
	hc->life = ++all()->lives;
	hc->bound = false;
	hc->in.len = 0;
	sim_conn_set_ctx(c, hc);
	kms_tell("%s connect", h->name);
}

static void on_data(struct sim_conn *c, const uint8_t *data, size_t len)
{
	struct kms_host_conn *hc = sim_conn_ctx(c);

	if (!kms_in_take(&hc->in, data, len, on_pdu, hc))
		sim_fail("%s: what came is no RPC", hc->host->name);
}

static void on_closed(struct sim_conn *c, int err)
{
	struct kms_host_conn *hc = sim_conn_ctx(c);

	(void)err;
	hc->c = NULL;
	kms_tell("%s closed", hc->host->name);
}

static const struct sim_conn_ops ops = { .open = on_open, .data = on_data, .closed = on_closed };

/* ---- hosts ---- */

struct sim_kms_host *sim_kms_host(const char *name, const char *at)
{
	struct sim_kms_host *h;

	if (all()->n == SIM_KMS_HOSTS_MAX)
		sim_fail("more than %d KMS hosts", SIM_KMS_HOSTS_MAX);
	h = &all()->h[all()->n++];
	(void)snprintf(h->name, sizeof(h->name), "%s", name);
	if (addr_parse(at, KMS_PORT, &h->at) != 0)
		sim_fail("%s: '%s' is no address", name, at);
	sim_tcp_listen(&h->at, &ops, h);
	return h;
}

struct sim_kms_host *sim_kms_find(const char *name)
{
	for (size_t i = 0; i < all()->n; i++)
		if (strcmp(all()->h[i].name, name) == 0)
			return &all()->h[i];
	return NULL;
}

void sim_kms_behave(struct sim_kms_host *h, enum sim_kms_way way)
{
	bool was_down = h->way == SIM_KMS_DOWN;

	h->way = way;
	if (way == SIM_KMS_DOWN && !was_down) {
		sim_tcp_unlisten(&h->at);
		sim_kms_drop(h, true);
	} else if (way != SIM_KMS_DOWN && was_down) {
		sim_tcp_listen(&h->at, &ops, h);
	}
}

void sim_kms_set_hresult(struct sim_kms_host *h, uint32_t hresult)
{
	h->hresult = hresult;
}

void sim_kms_set_answer_ms(struct sim_kms_host *h, uint32_t ms)
{
	h->answer_ms = ms;
}

void sim_kms_drop(struct sim_kms_host *h, bool reset)
{
	for (struct kms_host_conn *hc = h->conns; hc != NULL; hc = hc->next)
		if (hc->c != NULL)
			conn_end(hc, reset);
}
