#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "tests/sim/kms_priv.h"

#define CTX_ID     0
#define PORT_FIRST 40000u
#define PORTS      20000u

enum client_state { IDLE, CONNECTING, BINDING, CALLING, HELD, MUTE };

struct sim_kms_client {
	char name[KMS_NAME_MAX];
	struct addr ip;
	enum client_state state;
	bool keep;
	struct sim_conn *c; /* NULL: none */
	struct addr at;     /* where it leads */
	uint64_t n;         /* of the request under way, or of the last */
	uint32_t more;      /* requests that are to follow it */
	uint32_t call_id;
	uint8_t stub[RPC_STUB_MAX]; /* of the answer */
	size_t stub_len;
	struct kms_in in;
};

struct clients {
	size_t n;
	unsigned ports;
	struct sim_kms_client c[SIM_KMS_CLIENTS_MAX];
};
static struct clients *all(void)
{
	return sim_part(SIM_PART_KMS_CLIENTS, sizeof(struct clients));
}

static bool waits(const struct sim_kms_client *k)
{
	return k->state == CONNECTING || k->state == BINDING || k->state == CALLING;
}

static void ask_again(void *ctx, uint64_t n)
{
	struct sim_kms_client *k = ctx;

	if (k->n != n || waits(k))
		return; /* somebody else has asked it */
	k->more--;
	sim_kms_ask(k, &k->at);
}

/* The one end of a request. */
static void finish(struct sim_kms_client *k, bool well, const char *text)
{
	bool hold = well && k->keep;

	kms_tell("%s %s", k->name, text);
	k->state = hold ? HELD : IDLE;
	if (k->more > 0)
		sim_after(0, ask_again, k, k->n);
	if (hold || k->c == NULL)
		return;
	sim_conn_close(k->c);
	k->c = NULL;
}

static void fail(struct sim_kms_client *k, const char *why)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "failed #%llu %s", (unsigned long long)k->n, why);
	finish(k, false, text);
}

static struct rpc_hdr header(struct sim_kms_client *k, uint8_t ptype)
{
	return (struct rpc_hdr){ .ptype = ptype,
				 .flags = RPC_FLAG_FIRST | RPC_FLAG_LAST,
				 .call_id = ++k->call_id };
}

/* As Windows: NDR32, NDR64 and the features in one bind (behaviour §8.2). */
static void send_bind(struct sim_kms_client *k)
{
	struct rpc_hdr h = header(k, RPC_BIND);
	struct rpc_bind b = { .max_xmit = RPC_FRAG_MAX, .max_recv = RPC_FRAG_MAX, .n_ctx = 3 };
	const struct rpc_syntax *transfer[] = { &rpc_syntax_ndr32, &rpc_syntax_ndr64,
						&rpc_syntax_features };
	struct buf out;

	for (size_t i = 0; i < 3; i++) {
		b.ctx[i].id = (uint16_t)(CTX_ID + i);
		b.ctx[i].abstract = rpc_syntax_kms;
		b.ctx[i].n_transfer = 1;
		b.ctx[i].transfer[0] = *transfer[i];
	}
	buf_init(&out, KMS_OUT_MAX);
	kms_must(rpc_bind_encode(&out, &h, &b), "a bind");
	k->state = BINDING;
	kms_send(k->c, &out);
}

static void label_of(const struct sim_kms_client *k, char ret[KMS_LABEL_MAX])
{
	(void)snprintf(ret, KMS_LABEL_MAX, "%s#%llu", k->name, (unsigned long long)k->n);
}

static void send_request(struct sim_kms_client *k)
{
	struct rpc_hdr h = header(k, RPC_REQUEST);
	struct rpc_request r = { .ctx_id = CTX_ID, .opnum = KMS_OPNUM };
	uint8_t body[KMS_LABEL_MAX + 4];
	char label[KMS_LABEL_MAX];
	struct kms_request rq = { .body = body };
	struct buf stub, out;

	label_of(k, label);
	rq.body_len = kms_label_body(label, body);
	buf_init(&stub, RPC_STUB_MAX);
	kms_must(kms_request_encode(&stub, false, &rq), "a request");
	r.stub = stub.data;
	r.stub_len = stub.len;
	buf_init(&out, KMS_OUT_MAX);
	kms_must(rpc_request_encode(&out, &h, &r, RPC_FRAG_MAX), "a request");
	buf_done(&stub);
	k->state = CALLING;
	k->stub_len = 0;
	kms_send(k->c, &out);
}

static void on_bind_ack(struct sim_kms_client *k, const uint8_t *pdu, const struct rpc_hdr *h)
{
	struct rpc_bind_ack ack;

	if (k->state != BINDING || h->call_id != k->call_id ||
	    rpc_bind_ack_decode(pdu, h, &ack) != 0 || ack.n_results != 3 ||
	    ack.result[0].result != RPC_CTX_ACCEPT)
		fail(k, "wrong-answer");
	else
		send_request(k);
}

/* What a complete answer says; a body that answers another request is the worst there is. */
static void judge(struct sim_kms_client *k, bool be)
{
	char mine[KMS_LABEL_MAX], told[KMS_LABEL_MAX], text[2 * KMS_LABEL_MAX + 64];
	unsigned long long n = (unsigned long long)k->n;
	struct kms_response rs;
	size_t len;

	label_of(k, mine);
	len = strlen(mine);
	if (kms_response_decode(k->stub, k->stub_len, be, &rs) != 0) {
		fail(k, "wrong-answer");
		return;
	}
	if (rs.hresult != 0) {
		(void)snprintf(text, sizeof(text), "got #%llu 0x%08X", n, rs.hresult);
		finish(k, true, text);
		return;
	}
	if (rs.body == NULL || !kms_label_read(rs.body, rs.body_len, told) ||
	    strncmp(told, mine, len) != 0 || told[len] != '@') {
		fail(k, "wrong-answer");
		return;
	}
	(void)snprintf(text, sizeof(text), "got #%llu 0x%08X from %s", n, rs.hresult,
		       told + len + 1);
	finish(k, true, text);
}

static void on_response(struct sim_kms_client *k, const uint8_t *pdu, const struct rpc_hdr *h)
{
	struct rpc_response r;

	if (h->call_id != k->call_id || rpc_response_decode(pdu, h, &r) != 0 ||
	    r.ctx_id != CTX_ID || k->stub_len + r.stub_len > sizeof(k->stub)) {
		fail(k, "wrong-answer");
		return;
	}
	memcpy(k->stub + k->stub_len, r.stub, r.stub_len);
	k->stub_len += r.stub_len;
	if ((h->flags & RPC_FLAG_LAST) != 0)
		judge(k, h->be);
}

static void on_refusal(struct sim_kms_client *k, const uint8_t *pdu, const struct rpc_hdr *h)
{
	unsigned long long n = (unsigned long long)k->n;
	struct rpc_fault f;
	uint16_t reason;
	char text[64];

	if (h->ptype == RPC_FAULT && rpc_fault_decode(pdu, h, &f) == 0) {
		(void)snprintf(text, sizeof(text), "fault #%llu 0x%08X", n, f.status);
		finish(k, true, text);
	} else if (h->ptype == RPC_BIND_NAK && rpc_bind_nak_decode(pdu, h, &reason) == 0) {
		(void)snprintf(text, sizeof(text), "nak #%llu %u", n, reason);
		finish(k, false, text);
	} else {
		fail(k, "wrong-answer");
	}
}

static bool on_pdu(void *ctx, const uint8_t *pdu, const struct rpc_hdr *h)
{
	struct sim_kms_client *k = ctx;

	if (!waits(k))
		sim_fail("%s: more came after the end of #%llu", k->name, (unsigned long long)k->n);
	if (h->ptype == RPC_BIND_ACK)
		on_bind_ack(k, pdu, h);
	else if (h->ptype == RPC_RESPONSE && k->state == CALLING)
		on_response(k, pdu, h);
	else
		on_refusal(k, pdu, h);
	return k->c != NULL;
}

static void on_open(struct sim_conn *c)
{
	struct sim_kms_client *k = sim_conn_ctx(c);

	if (k->state == CONNECTING)
		send_bind(k);
}

static void on_data(struct sim_conn *c, const uint8_t *data, size_t len)
{
	struct sim_kms_client *k = sim_conn_ctx(c);

	if (!kms_in_take(&k->in, data, len, on_pdu, k))
		fail(k, "wrong-answer");
}

static void on_closed(struct sim_conn *c, int err)
{
	struct sim_kms_client *k = sim_conn_ctx(c);

	k->c = NULL;
	if (waits(k))
		fail(k, err == 0 ? "closed" : err == -ECONNREFUSED ? "refused" : "reset");
	else
		kms_tell("%s closed", k->name);
	k->state = IDLE;
}

static const struct sim_conn_ops ops = { .open = on_open, .data = on_data, .closed = on_closed };

static void on_time(void *ctx, uint64_t n)
{
	struct sim_kms_client *k = ctx;

	if (waits(k) && k->n == n)
		fail(k, "timeout");
}

struct sim_kms_client *sim_kms_client(const char *name, const char *ip)
{
	struct sim_kms_client *k;

	if (all()->n == SIM_KMS_CLIENTS_MAX)
		sim_fail("more than %d KMS clients", SIM_KMS_CLIENTS_MAX);
	k = &all()->c[all()->n++];
	(void)snprintf(k->name, sizeof(k->name), "%s", name);
	if (addr_parse(ip, 0, &k->ip) != 0)
		sim_fail("%s: '%s' is no address", name, ip);
	return k;
}

struct sim_kms_client *sim_kms_client_find(const char *name)
{
	for (size_t i = 0; i < all()->n; i++)
		if (strcmp(all()->c[i].name, name) == 0)
			return &all()->c[i];
	return NULL;
}

bool sim_kms_waits(const struct sim_kms_client *c)
{
	return waits(c);
}

void sim_kms_keep(struct sim_kms_client *c, bool keep)
{
	c->keep = keep;
}

static void connect_to(struct sim_kms_client *k, const struct addr *at)
{
	struct addr from = k->ip;

	if (k->c != NULL)
		sim_conn_close(k->c);
	k->at = *at;
	k->in.len = 0;
	addr_set_port(&from, (uint16_t)(PORT_FIRST + all()->ports++ % PORTS));
	k->c = sim_tcp_connect(&from, at, &ops, k);
}

static void must_be_free(const struct sim_kms_client *k)
{
	if (waits(k))
		sim_fail("%s still waits for #%llu", k->name, (unsigned long long)k->n);
}

void sim_kms_connect(struct sim_kms_client *k, const struct addr *at)
{
	must_be_free(k);
	connect_to(k, at);
	k->state = MUTE;
}

void sim_kms_ask_more(struct sim_kms_client *k, uint32_t n)
{
	k->more = n;
}

void sim_kms_ask(struct sim_kms_client *k, const struct addr *at)
{
	must_be_free(k);
	k->n++;
	kms_tell("%s asked #%llu", k->name, (unsigned long long)k->n);
	sim_after(SIM_KMS_ASK_MS, on_time, k, k->n);
	if (k->state == HELD && addr_equal(&k->at, at)) {
		send_request(k);
		return;
	}
	connect_to(k, at);
	k->state = CONNECTING;
}
