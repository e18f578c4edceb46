/** What the judgement of an audit is fed with in tests: servers, records, probes that succeed. */
#ifndef KMSBEACON_TESTS_LIB_JUDGE_SITE_H
#define KMSBEACON_TESTS_LIB_JUDGE_SITE_H

#include "resolver/audit_judge.h"

#define JUDGE_VIEWS 4

extern struct rsv_server_view views[JUDGE_VIEWS];
extern size_t n_views;
extern struct rsv_audit_result r;

struct dns_name judge_name(const char *text);
void judge_reset(void);
/** A name server with authority that has no record yet; the first one is the primary. */
struct rsv_server_view *judge_server(const char *ns, uint32_t serial);
void judge_add(struct rsv_server_view *v, const char *target, unsigned port, unsigned priority,
	       unsigned weight);
struct rsv_expect judge_expect(const char *target, unsigned priority, unsigned weight);
/** Servers and records; then every target is up until a test says otherwise. */
struct rsv_judge_input judge_begin(void);
/** Exactly these findings, in any order; -1 ends the list. */
void judge_assert_findings(int first, ...);
/** The text of the first finding with that id; "" where there is none. */
const char *judge_text(enum finding_id id);
/** A healthy zone: two servers, two hosts. */
void judge_healthy(void);

#endif
