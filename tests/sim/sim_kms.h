/**
 * KMS hosts and clients of the played network. Their bodies are opaque here as they are for the
 * relay: a host answers a request with an HRESULT and a body that is a label, and says which
 * request it was; nothing of Microsoft's protection is made or read. Lab hosts and clients are the
 * real ones (kmsbeacon's own `client` command as the program).
 */
#ifndef KMSBEACON_TESTS_SIM_SIM_KMS_H
#define KMSBEACON_TESTS_SIM_SIM_KMS_H

#include "tests/sim/sim.h"

#define SIM_KMS_HOSTS_MAX   16
#define SIM_KMS_CLIENTS_MAX 128
#define SIM_KMS_ASK_MS      30000 /* how long a client waits for its answer, all together */

/** How a host behaves; zero: well. It answers binds as a Windows host does: the KMS interface with
 * NDR32 is accepted, every other item rejected but the features. */
enum sim_kms_way {
	SIM_KMS_ANSWERS, /* with `hresult` */
	SIM_KMS_DOWN,    /* refuses connections */
	SIM_KMS_SILENT,  /* accepts, and answers nothing at all */
	SIM_KMS_DEAF,    /* binds, and answers no request */
	SIM_KMS_NAKS,    /* refuses binds */
	SIM_KMS_FAULTS,  /* answers requests with a fault */
	SIM_KMS_CLOSES,  /* closes when a request comes */
	SIM_KMS_HALF,    /* half an answer, then closes */
};

struct sim_kms_host;
/** @p at "IP:PORT". */
struct sim_kms_host *sim_kms_host(const char *name, const char *at);
struct sim_kms_host *sim_kms_find(const char *name);
void sim_kms_behave(struct sim_kms_host *h, enum sim_kms_way way);
void sim_kms_set_hresult(struct sim_kms_host *h, uint32_t hresult);
void sim_kms_set_answer_ms(struct sim_kms_host *h, uint32_t ms);
/** Close (or reset) all connections, as a restart does. */
void sim_kms_drop(struct sim_kms_host *h, bool reset);

/** From now on it is a lab host: kmsbeacon's own model (kmscore/lab_host.h) answers lab messages
 * made with this key, and an HRESULT that is set goes before it. What it counts outlives the
 * program. The intervals are the defaults. */
void sim_kms_lab(struct sim_kms_host *h, const char *key_file);
/** Minutes, handed to clients. */
void sim_kms_lab_intervals(struct sim_kms_host *h, uint32_t activation, uint32_t renewal);
/** Its wall clock against the world's. */
void sim_kms_lab_clock(struct sim_kms_host *h, int64_t off_ms);
/** So many other Windows clients ask it now. */
void sim_kms_lab_clients(struct sim_kms_host *h, size_t n);

/** A client that asks one address, the program's, when it is told to: connects, binds, sends one
 * request with a label of its own, and closes. Exactly one end for each request. */
struct sim_kms_client;
struct sim_kms_client *sim_kms_client(const char *name, const char *ip);
struct sim_kms_client *sim_kms_client_find(const char *name); /* NULL: no such client */
/** Whether a request is under way: then no other may be asked for. */
bool sim_kms_waits(const struct sim_kms_client *c);
void sim_kms_ask(struct sim_kms_client *c, const struct addr *at);
/** So many more are to follow the one under way, each when the one before has ended. */
void sim_kms_ask_more(struct sim_kms_client *c, uint32_t n);
/** Connect only, and say nothing. */
void sim_kms_connect(struct sim_kms_client *c, const struct addr *at);
/** Hold the association open afterwards, and use it again; off by default. */
void sim_kms_keep(struct sim_kms_client *c, bool keep);

/** One line each for traces and patterns:
 *	"kms1 connect", "kms1 bind", "kms1 request c1#3", "kms1 answer c1#3 0x00000000", "kms1
 *closed" (by the program; a lab message has the label "lab") "c1 asked #3", "c1 got #3 0x00000000
 *from kms1", "c1 got #3 0xC004F042" (an error has no body that could say whose it is), "c1 fault #3
 *0x1C010014", "c1 nak #3 1", "c1 failed #3 refused|reset|closed|timeout|wrong-answer",
 *	"c1 closed" (a connection that was held, by the program) */
void sim_kms_watch(void (*seen)(void *ctx, const char *line), void *ctx);

#endif
