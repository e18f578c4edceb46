/** What the files of the played KMS hosts and clients share; sim_kms.h is the contract. */
#ifndef KMSBEACON_TESTS_SIM_KMS_PRIV_H
#define KMSBEACON_TESTS_SIM_KMS_PRIV_H

#include "common/mem.h"
#include "kmscore/kms.h"
#include "kmscore/kms_msg.h"
#include "kmscore/rpc.h"
#include "tests/sim/sim_kms.h"

#define KMS_NAME_MAX  32
#define KMS_LABEL_MAX 64
#define KMS_IN_MAX    (2 * RPC_FRAG_MAX)
#define KMS_OUT_MAX   (8 * RPC_FRAG_MAX)

struct sim_lab;

/** What came of a connection and is no whole PDU yet. In the world's memory, as all of this: a life
 * that is killed leaves nobody behind who could free it. */
struct kms_in {
	uint8_t data[KMS_IN_MAX];
	size_t len;
};

/** A connection to a host; used again by later ones. */
struct kms_host_conn {
	struct sim_kms_host *host;
	struct sim_conn *c; /* NULL: free */
	uint64_t life;      /* which connection it is: of all that it was */
	bool bound;
	uint16_t ctx_id;
	struct rpc_hdr call; /* of the request */
	uint8_t stub[RPC_STUB_MAX];
	size_t stub_len;
	struct kms_in in;
	struct kms_host_conn *next;
};

struct sim_kms_host {
	char name[KMS_NAME_MAX];
	struct addr at;
	enum sim_kms_way way;
	uint32_t hresult;
	uint32_t answer_ms;
	struct sim_lab *lab; /* NULL: it answers with labels */
	struct kms_host_conn *conns;
};

void kms_tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** Take @p data, and hand each whole PDU to @p pdu until that returns false. false: what came is no
 * RPC, or too long. */
bool kms_in_take(struct kms_in *in, const uint8_t *data, size_t len,
		 bool (*pdu)(void *ctx, const uint8_t *pdu, const struct rpc_hdr *h), void *ctx);
void kms_send(struct sim_conn *c, struct buf *out);
/** Ends the test where a codec of the program does not take what was given to it. */
void kms_must(int err, const char *what);

/** A body: the version field and a text behind it. */
size_t kms_label_body(const char *label, uint8_t ret[KMS_LABEL_MAX + 4]);
/** false: it is none. */
bool kms_label_read(const uint8_t *body, size_t len, char ret[KMS_LABEL_MAX]);

/** The answer of a lab host. @return what to say of it, for the line. */
uint32_t kms_lab_answer(struct sim_kms_host *h, const struct addr *peer,
			const struct kms_request *rq, uint8_t ret_body[KMS_BODY_MAX],
			size_t *ret_len);

#endif
