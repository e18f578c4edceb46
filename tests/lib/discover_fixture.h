/**
 * A discovery against a fake resolver and a fake prober: discover_init() with the rows of a zone,
 * change f->p, discover_run(), look at what was copied out of the result, discover_done().
 */
#ifndef KMSBEACON_TESTS_LIB_DISCOVER_FIXTURE_H
#define KMSBEACON_TESTS_LIB_DISCOVER_FIXTURE_H

#include "resolver/discover.h"
#include "resolver/discover_report.h"
#include "tests/lib/auth_zone.h"
#include "tests/lib/fake_prober.h"

#define CORP "_vlmcs._tcp.corp.example"
#define DEPT "_vlmcs._tcp.dept.example"
#define N(a) (sizeof(a) / sizeof((a)[0]))

struct discover_fixture {
	struct test_net t;
	struct auth_zone zone;
	struct fake_dns *server;
	struct fake_prober prober;
	struct rsv_cache cache;
	struct rng rng;
	struct dns_name suffixes[3];
	struct rsv_discover_params p;
	struct rsv_discover *d;
	int calls;
	bool done;
	/* copied out of the result */
	int err;
	uint32_t code;
	bool selected;
	char target[64];
	char addr[ADDR_TEXT_MAX];
	enum rsv_source source;
	size_t n_cand, n_queries, n_steps, n_attempts;
	uint32_t keep_s;
	struct rsv_attempt attempt[8];
	struct rsv_suffix suffix[3];
	size_t n_domains;
	char order[1024];
	json_t *json;
};

/** Suffixes corp.example, dept.example and corp.example again, of which the first is asked. */
void discover_init(struct discover_fixture *f, const struct auth_row *rows, size_t n_rows);
void discover_start(struct discover_fixture *f);
/** To the end, without an error of the operation. */
void discover_run(struct discover_fixture *f);
void discover_done(struct discover_fixture *f);

/** kms1 at 127.0.0.11 and .12, priority 0; kms2 at 127.0.0.21 port 1689, priority 10. */
extern const struct auth_row discover_corp[5];

#endif
