/** A dns_client under test with up to three fake servers. */
#ifndef KMSBEACON_TESTS_LIB_DNS_CLIENT_FIXTURE_H
#define KMSBEACON_TESTS_LIB_DNS_CLIENT_FIXTURE_H

#include "net/dns_client.h"
#include "tests/lib/fake_tsig.h"

#define DCX_OWNER      "_vlmcs._tcp.corp.example"
#define DCX_SERVERS    3
#define DCX_QUICK_MS   30    /* an attempt's time where only silence has to pass */
#define DCX_SHORT_MS   250   /* where a reply has to come within it, on a busy machine too */
#define DCX_PATIENT_MS 20000 /* an attempt's time that no test waits for */

struct dcx {
	struct test_net t;
	struct fake_dns *server[DCX_SERVERS];
	struct dns_server list[DCX_SERVERS];
	struct dns_client_params p;
	struct dns_question question;
	struct dns_update update;
	struct dns_change change;
	struct dns_client *c;
	struct tsig_key *key;
	bool done;
	int calls;
	struct dns_outcome o;
	size_t n_answers;
	/* what the servers saw and how far a script is */
	unsigned seen;
	uint16_t ids[64];
	struct fake_dns_peer first;
	const void *arg;
};

/** A question for OWNER with RD, patient; no server yet. */
void dcx_init(struct dcx *f);
struct fake_dns *dcx_add_full(struct dcx *f, const struct fake_dns_params *p);
/** One more server of the list, with the key if there is one. */
struct fake_dns *dcx_add(struct dcx *f, fake_dns_fn *serve);
/** From here on servers have the key that the client has. */
void dcx_use_key(struct dcx *f);
void dcx_use_update(struct dcx *f);
/** Start, and overwrite what start should have copied. */
void dcx_start(struct dcx *f);
/** Run to the end, check that done() ran once and nothing is left. */
void dcx_finish(struct dcx *f);
void dcx_run(struct dcx *f);
/** The right answer, unsigned. */
void dcx_answer(struct fake_reply *r, const struct fake_dns_request *rq);
/* Servers; all count in `seen` but serve_rcode. */
void dcx_serve(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx);
void dcx_serve_silence(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx);
void dcx_serve_rcode(const struct fake_dns_request *rq, unsigned rcode);
void dcx_serve_signed(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx);
/** The RCODE that `arg` points to. */
void dcx_serve_arg(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx);

#endif
