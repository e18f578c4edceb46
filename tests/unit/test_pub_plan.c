/* Every rule of design §5 about what to change, as one row of a table. Records are written as
 * `PRIO WEIGHT PORT TARGET`, lists separated by ` | `. */
#include "publisher/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"

#define MAX 16

struct row {
	const char *name;
	const char *wanted;  /* host[!|-] RECORD; ! bad target, - held */
	const char *ours;    /* state[*returns] host RECORD */
	const char *seen;    /* TTL RECORD */
	const char *changes; /* +RECORD @TTL, -RECORD, in order */
	const char *classes; /* of seen: O A F K D */
	const char *marks;   /* now/intent/proven/revert:state[*returns] RECORD */
	const char *findings;
	/* what differs from: publish, adopt, TTL 3600, no limit, everything up */
	bool withdraw, adopted, enforce, forget;
	const char *only_host;
	uint32_t limit_asked, limit_got;
	const char *health; /* "+target" up, "-target" down; others unknown; NULL: no gate */
	bool withdraw_last;
	uint32_t ttl; /* expected of the plan */
	bool prereq;
};

struct text {
	char s[4096];
	size_t len;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->s + t->len, sizeof(t->s) - t->len, fmt, ap);
	va_end(ap);
	assert_true(n >= 0 && (size_t)n < sizeof(t->s) - t->len);
	t->len += (size_t)n;
}

/** The next item of a list; NULL at its end. Items stand in static buffers, one a call. */
static char *next_item(const char **list)
{
	static char items[64][300];
	static unsigned turn;
	const char *end;
	char *item = items[turn++ % 64];

	if (*list == NULL || **list == '\0')
		return NULL;
	end = strstr(*list, " | ");
	snprintf(item, 300, "%.*s", (int)(end != NULL ? (size_t)(end - *list) : strlen(*list)),
		 *list);
	*list = end != NULL ? end + 3 : *list + strlen(*list);
	return item;
}

static char *word(char **text)
{
	char *w = *text;

	*text += strcspn(*text, " ");
	if (**text != '\0')
		*(*text)++ = '\0';
	return w;
}

static struct dns_srv record(char *text)
{
	struct dns_srv srv = { 0 };

	srv.priority = (uint16_t)strtoul(word(&text), NULL, 10);
	srv.weight = (uint16_t)strtoul(word(&text), NULL, 10);
	srv.port = (uint16_t)strtoul(word(&text), NULL, 10);
	assert_int_equal(dns_name_parse(text, &srv.target), 0);
	return srv;
}

static const char *const state_names[] = { "none", "add", "pub", "del", "adopted", "withdrawn" };

static enum pub_rec_state state(char *text, unsigned *ret_returns)
{
	char *star = strchr(text, '*');

	*ret_returns = 0;
	if (star != NULL) {
		*ret_returns = (unsigned)strtoul(star + 1, NULL, 10);
		*star = '\0';
	}
	for (size_t i = 0; i < PUB_REC_STATE_COUNT_; i++)
		if (strcmp(state_names[i], text) == 0)
			return (enum pub_rec_state)i;
	fail_msg("no state %s", text);
	return PUB_REC_NONE;
}

static enum pub_health_state health_of(void *ctx, const struct dns_name *target, uint16_t port)
{
	char name[DNSNAME_TEXT_MAX];
	const char *list = ctx;
	char *item;

	(void)port;
	dns_name_format(target, name);
	while ((item = next_item(&list)) != NULL)
		if (strcmp(item + 1, name) == 0)
			return *item == '+' ? PUB_HEALTH_UP : PUB_HEALTH_DOWN;
	return PUB_HEALTH_UNKNOWN;
}

struct input {
	struct pub_plan_in in;
	struct pub_wanted wanted[MAX];
	enum pub_want want[MAX];
	struct pub_seen seen[MAX];
	struct pub_rec recs[MAX];
	struct pub_set set;
	struct pub_health health;
};

static void read_row(const struct row *r, struct input *x)
{
	const char *list = r->wanted;
	char *t;

	memset(x, 0, sizeof(*x));
	for (; (t = next_item(&list)) != NULL; x->in.n_wanted++) {
		char *host = word(&t);
		char *last = host + strlen(host) - 1;

		x->want[x->in.n_wanted] = *last == '!'   ? PUB_WANT_BAD
					  : *last == '-' ? PUB_WANT_HELD
							 : PUB_WANT_YES;
		if (*last == '!' || *last == '-')
			*last = '\0';
		x->wanted[x->in.n_wanted].host = host;
		x->wanted[x->in.n_wanted].srv = record(t);
	}
	for (list = r->seen; (t = next_item(&list)) != NULL; x->in.n_seen++) {
		x->seen[x->in.n_seen].ttl_s = (uint32_t)strtoul(word(&t), NULL, 10);
		x->seen[x->in.n_seen].srv = record(t);
	}
	for (list = r->ours; (t = next_item(&list)) != NULL; x->set.n_recs++) {
		struct pub_rec *rec = &x->recs[x->set.n_recs];

		rec->state = state(word(&t), &rec->returns);
		rec->host = word(&t);
		rec->srv = record(t);
	}
	x->set.recs = x->recs;
	x->set.ttl_asked = r->limit_asked;
	x->set.ttl_got = r->limit_got;
	x->health = (struct pub_health){ .state = health_of, .withdraw_last = r->withdraw_last };
	memcpy(&x->health.ctx, &r->health, sizeof(x->health.ctx));
	x->in.wanted = x->wanted;
	x->in.want = x->want;
	x->in.seen = x->seen;
	x->in.ours = &x->set;
	x->in.ttl_s = 3600;
	x->in.ttl_policy = r->enforce ? PUB_TTL_ENFORCE : PUB_TTL_ADOPT;
	x->in.health = r->health != NULL ? &x->health : NULL;
	x->in.withdraw = r->withdraw;
	x->in.adopted = r->adopted;
	x->in.only_host = r->only_host;
	x->in.remember = !r->forget;
}

static void check(const struct row *r, const char *what, const struct text *got, const char *want)
{
	if (strcmp(got->s, want != NULL ? want : "") != 0)
		fail_msg("%s: %s are\n  %s\nnot\n  %s", r->name, what, got->s, want);
}

static void check_changes(const struct row *r, const struct pub_plan *plan)
{
	char srv[DNS_SRV_TEXT_MAX];
	struct text t = { 0 };

	for (size_t i = 0; i < plan->n_changes; i++) {
		const struct pub_change *c = &plan->changes[i];

		put(&t, "%s%s%s", i > 0 ? " | " : "", c->op == PUB_ADD ? "+" : "-",
		    dns_srv_format(&c->srv, srv));
		if (c->op == PUB_ADD)
			put(&t, " @%u", c->ttl_s);
	}
	check(r, "changes", &t, r->changes);
}

static void check_marks(const struct row *r, const struct pub_plan *plan)
{
	static const char *const when[] = { "now", "intent", "proven", "revert" };
	char srv[DNS_SRV_TEXT_MAX];
	struct text t = { 0 };

	if (r->marks == NULL)
		return;
	for (size_t i = 0; i < plan->n_marks; i++) {
		const struct pub_mark *m = &plan->marks[i];

		put(&t, "%s%s:%s", i > 0 ? " | " : "", when[m->when], state_names[m->state]);
		if (m->returns > 0)
			put(&t, "*%u", m->returns);
		put(&t, " %s", dns_srv_format(&m->srv, srv));
	}
	check(r, "marks", &t, r->marks);
}

static void check_row(const struct row *r)
{
	static const char letters[] = "OAFKD";
	struct text classes = { 0 }, findings = { 0 };
	struct pub_plan plan;
	struct input x;

	read_row(r, &x);
	assert_int_equal(pub_plan_make(&x.in, &plan), 0);
	check_changes(r, &plan);
	for (size_t i = 0; i < x.in.n_seen; i++)
		put(&classes, "%c", letters[plan.classes[i]]);
	check(r, "classes", &classes, r->classes);
	check_marks(r, &plan);
	for (size_t i = 0; i < plan.findings.n; i++)
		put(&findings, "%s%s", i > 0 ? " " : "",
		    pub_finding_name(plan.findings.list[i].id));
	check(r, "findings", &findings, r->findings);
	if (plan.ttl_s != r->ttl)
		fail_msg("%s: TTL is %u, not %u", r->name, plan.ttl_s, r->ttl);
	if (plan.need_prereq != r->prereq)
		fail_msg("%s: prerequisite is %d", r->name, plan.need_prereq);
	pub_plan_done(&plan);
}

#define K1 "0 10 1688 kms1.corp.test"
#define K2 "10 0 1688 kms2.corp.test"
#define F1 "0 0 1688 other.corp.test"

static const struct row rows[] = {
	{ .name = "first publish",
	  .wanted = "local " K1,
	  .changes = "+" K1 " @3600",
	  .ttl = 3600,
	  .marks = "intent:add " K1 " | proven:pub " K1 " | revert:none " K1 },
	{ .name = "steady state writes nothing",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .marks = "",
	  .ttl = 3600 },
	{ .name = "an add that happened before a crash is ours",
	  .wanted = "local " K1,
	  .ours = "add local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .marks = "now:pub " K1,
	  .ttl = 3600 },
	{ .name = "an add that did not happen is made again",
	  .wanted = "local " K1,
	  .ours = "add local " K1,
	  .changes = "+" K1 " @3600",
	  .ttl = 3600,
	  .marks = "intent:add " K1 " | proven:pub " K1 " | revert:add " K1 },
	{ .name = "an add that did not happen and is not wanted is forgotten",
	  .ours = "add local " K1,
	  .marks = "now:none " K1,
	  .ttl = 3600 },
	{ .name = "a delete that did not happen is made again",
	  .ours = "del local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .changes = "-" K1,
	  .ttl = 3600,
	  .marks = "intent:del " K1 " | proven:none " K1 " | revert:del " K1 },
	{ .name = "a delete that did not happen and is wanted again",
	  .wanted = "local " K1,
	  .ours = "del local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .marks = "now:pub " K1,
	  .ttl = 3600 },
	{ .name = "what vanished is added again",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .changes = "+" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "U07 P06 priority changed: one message",
	  .wanted = "local 5 10 1688 kms1.corp.test",
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .changes = "-" K1 " | +5 10 1688 kms1.corp.test @3600",
	  .ttl = 3600,
	  .marks = "intent:del " K1 " | proven:none " K1 " | revert:pub " K1
		   " | intent:add 5 10 1688 kms1.corp.test | proven:pub 5 10 1688 kms1.corp.test"
		   " | revert:none 5 10 1688 kms1.corp.test" },
	{ .name = "P06 weight",
	  .wanted = "local 0 7 1688 kms1.corp.test",
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .changes = "-" K1 " | +0 7 1688 kms1.corp.test @3600",
	  .ttl = 3600 },
	{ .name = "P06 port",
	  .wanted = "local 0 10 1689 kms1.corp.test",
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .changes = "-" K1 " | +0 10 1689 kms1.corp.test @3600",
	  .ttl = 3600 },
	{ .name = "P06 target",
	  .wanted = "local 0 10 1688 new.corp.test",
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .changes = "-" K1 " | +0 10 1688 new.corp.test @3600",
	  .ttl = 3600 },
	{ .name = "a host left the configuration",
	  .wanted = "local " K1,
	  .ours = "pub local " K1 " | pub office " K2,
	  .seen = "3600 " K1 " | 3600 " K2,
	  .classes = "OO",
	  .changes = "-" K2,
	  .ttl = 3600 },
	{ .name = "U06 case is no difference",
	  .wanted = "local 0 10 1688 KMS1.Corp.TEST",
	  .ours = "pub local " K1,
	  .seen = "3600 0 10 1688 Kms1.CORP.test",
	  .classes = "O",
	  .marks = "",
	  .ttl = 3600 },
	{ .name = "found already there: adopted",
	  .wanted = "local " K1,
	  .seen = "3600 " K1,
	  .classes = "A",
	  .marks = "now:adopted " K1,
	  .ttl = 3600 },
	{ .name = "adopted and no longer wanted: stays",
	  .ours = "adopted local " K1,
	  .seen = "3600 " K1,
	  .classes = "A",
	  .marks = "",
	  .ttl = 3600 },
	{ .name = "adopted and gone: ours from now on",
	  .wanted = "local " K1,
	  .ours = "adopted local " K1,
	  .changes = "+" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "P03 foreign is left alone",
	  .wanted = "local " K1,
	  .seen = "3600 " F1,
	  .classes = "F",
	  .changes = "+" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "P07 a host publishes itself",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "3600 " K1 " | 3600 0 0 1688 kms1.corp.test",
	  .classes = "OK",
	  .findings = "host-self-publishes",
	  .marks = "",
	  .ttl = 3600 },
	{ .name = "U03 foreign TTL is adopted",
	  .wanted = "local " K1,
	  .seen = "300 " F1,
	  .classes = "F",
	  .changes = "+" K1 " @300",
	  .findings = "ttl-adopted",
	  .ttl = 300 },
	{ .name = "foreign TTL is kept in the steady state",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "300 " F1 " | 300 " K1,
	  .classes = "FO",
	  .findings = "ttl-adopted",
	  .ttl = 300 },
	{ .name = "an adopted record is not given another TTL",
	  .wanted = "local " K1,
	  .ours = "adopted local " K1,
	  .seen = "300 " K1,
	  .classes = "A",
	  .findings = "ttl-adopted",
	  .ttl = 300 },
	{ .name = "enforced: TTL by one of ours",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "300 " F1 " | 300 " K1,
	  .classes = "FO",
	  .enforce = true,
	  .changes = "-" K1 " | +" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "enforced: TTL by the add",
	  .wanted = "local " K1,
	  .seen = "300 " F1,
	  .classes = "F",
	  .enforce = true,
	  .changes = "+" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "enforced, but nothing of ours",
	  .wanted = "local- " K1,
	  .seen = "300 " F1,
	  .classes = "F",
	  .enforce = true,
	  .ttl = 300 },
	{ .name = "TTL of ours: delete and add in one message",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "300 " K1,
	  .classes = "O",
	  .changes = "-" K1 " | +" K1 " @3600",
	  .marks = "",
	  .ttl = 3600 },
	{ .name = "TTL and a new record",
	  .wanted = "local " K1 " | office " K2,
	  .ours = "pub local " K1,
	  .seen = "300 " K1,
	  .classes = "O",
	  .changes = "-" K1 " | +" K1 " @3600 | +" K2 " @3600",
	  .ttl = 3600 },
	{ .name = "U04 the server's limit is known",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "100 " K1,
	  .classes = "O",
	  .limit_asked = 3600,
	  .limit_got = 100,
	  .ttl = 100 },
	{ .name = "U04 the limit was for another wish",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "100 " K1,
	  .classes = "O",
	  .limit_asked = 7200,
	  .limit_got = 100,
	  .changes = "-" K1 " | +" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "S04 nothing joins a dot",
	  .wanted = "local " K1,
	  .seen = "3600 0 0 0 .",
	  .classes = "D",
	  .findings = "absent-by-dot",
	  .ttl = 3600 },
	{ .name = "a dot: what is ours stays",
	  .wanted = "local 5 5 1688 kms1.corp.test",
	  .ours = "pub local " K1,
	  .seen = "300 0 0 0 . | 300 " K1,
	  .classes = "DO",
	  .findings = "ttl-adopted absent-by-dot",
	  .ttl = 300 },
	{ .name = "withdraw exactly ours",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "300 " K1 " | 300 " F1,
	  .classes = "OF",
	  .withdraw = true,
	  .changes = "-" K1,
	  .marks = "intent:del " K1 " | proven:withdrawn " K1 " | revert:pub " K1 },
	{ .name = "withdraw works beside a dot",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "300 " K1 " | 300 0 0 0 .",
	  .classes = "OD",
	  .withdraw = true,
	  .changes = "-" K1,
	  .findings = "absent-by-dot" },
	{ .name = "withdraw leaves what was adopted",
	  .wanted = "local " K1,
	  .ours = "adopted local " K1,
	  .seen = "300 " K1,
	  .classes = "A",
	  .withdraw = true },
	{ .name = "withdraw --adopted",
	  .wanted = "local " K1,
	  .ours = "adopted local " K1,
	  .seen = "300 " K1,
	  .classes = "A",
	  .withdraw = true,
	  .adopted = true,
	  .changes = "-" K1,
	  .marks = "intent:del " K1 " | proven:withdrawn " K1 " | revert:adopted " K1 },
	{ .name = "withdraw --adopted with an empty journal",
	  .wanted = "local " K1,
	  .seen = "300 " K1 " | 300 " F1,
	  .classes = "AF",
	  .withdraw = true,
	  .adopted = true,
	  .changes = "-" K1 },
	{ .name = "withdraw --host",
	  .wanted = "local " K1 " | office " K2,
	  .ours = "pub local " K1 " | pub office " K2,
	  .seen = "300 " K1 " | 300 " K2,
	  .classes = "OO",
	  .withdraw = true,
	  .only_host = "office",
	  .changes = "-" K2 },
	{ .name = "withdraw --host takes its old records too",
	  .wanted = "local " K1,
	  .ours = "pub local 9 9 1688 kms1.corp.test | pub office " K2,
	  .seen = "300 9 9 1688 kms1.corp.test | 300 " K2,
	  .classes = "OO",
	  .withdraw = true,
	  .only_host = "local",
	  .changes = "-9 9 1688 kms1.corp.test" },
	{ .name = "withdraw: another host wants the same record",
	  .wanted = "local " K1 " | twin " K1,
	  .ours = "pub local " K1,
	  .seen = "300 " K1,
	  .classes = "O",
	  .withdraw = true,
	  .only_host = "local" },
	{ .name = "on_stop remembers nothing",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "300 " K1,
	  .classes = "O",
	  .withdraw = true,
	  .forget = true,
	  .changes = "-" K1,
	  .marks = "intent:del " K1 " | proven:none " K1 " | revert:pub " K1 },
	{ .name = "held: stays withdrawn",
	  .wanted = "local- " K1,
	  .ours = "withdrawn local " K1,
	  .ttl = 3600,
	  .marks = "" },
	{ .name = "P04 came back once: removed again",
	  .wanted = "local- " K1,
	  .ours = "withdrawn local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .changes = "-" K1,
	  .marks = "intent:del*1 " K1 " | proven:withdrawn*1 " K1 " | revert:withdrawn " K1,
	  .ttl = 3600 },
	{ .name = "P04 came back twice: left alone",
	  .wanted = "local- " K1,
	  .ours = "withdrawn*1 local " K1,
	  .seen = "3600 " K1,
	  .classes = "F",
	  .findings = "another-publisher",
	  .marks = "now:withdrawn*2 " K1,
	  .ttl = 3600 },
	{ .name = "P04 and stays so",
	  .wanted = "local- " K1,
	  .ours = "withdrawn*2 local " K1,
	  .seen = "3600 " K1,
	  .classes = "F",
	  .findings = "another-publisher",
	  .marks = "",
	  .ttl = 3600 },
	{ .name = "wanted again, and somebody else put it there",
	  .wanted = "local " K1,
	  .ours = "withdrawn local " K1,
	  .seen = "3600 " K1,
	  .classes = "A",
	  .marks = "now:adopted " K1,
	  .ttl = 3600 },
	{ .name = "wanted again",
	  .wanted = "local " K1,
	  .ours = "withdrawn*1 local " K1,
	  .changes = "+" K1 " @3600",
	  .ttl = 3600,
	  .marks = "intent:add " K1 " | proven:pub " K1 " | revert:withdrawn*1 " K1 },
	{ .name = "two hosts, one record",
	  .wanted = "local " K1 " | twin " K1,
	  .changes = "+" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "a bad target is not added",
	  .wanted = "local! " K1 " | office " K2,
	  .changes = "+" K2 " @3600",
	  .ttl = 3600 },
	{ .name = "a bad target that is there stays",
	  .wanted = "local! " K1,
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .ttl = 3600 },
	{ .name = "a rename waits for its new target",
	  .wanted = "local! 0 10 1688 new.corp.test",
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .ttl = 3600 },
	{ .name = "gate: down, another of ours is up",
	  .wanted = "local " K1 " | office " K2,
	  .ours = "pub local " K1 " | pub office " K2,
	  .seen = "3600 " K1 " | 3600 " K2,
	  .classes = "OO",
	  .health = "-kms1.corp.test | +kms2.corp.test",
	  .changes = "-" K1,
	  .marks = "intent:del " K1 " | proven:withdrawn " K1 " | revert:pub " K1,
	  .findings = "host-down",
	  .ttl = 3600,
	  .prereq = true },
	{ .name = "gate: down, a foreign one is up",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "3600 " K1 " | 3600 " F1,
	  .classes = "OF",
	  .health = "-kms1.corp.test | +other.corp.test",
	  .changes = "-" K1,
	  .findings = "host-down",
	  .ttl = 3600,
	  .prereq = true },
	{ .name = "P10 gate: the last one stays",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .health = "-kms1.corp.test",
	  .findings = "last-kept",
	  .ttl = 3600 },
	{ .name = "P11 gate: cut off, nothing changes",
	  .wanted = "local " K1 " | office " K2,
	  .ours = "pub local " K1 " | pub office " K2,
	  .seen = "3600 " K1 " | 3600 " K2,
	  .classes = "OO",
	  .health = "-kms1.corp.test | -kms2.corp.test",
	  .findings = "last-kept last-kept",
	  .ttl = 3600 },
	{ .name = "gate: unknown does not allow a withdrawal",
	  .wanted = "local " K1 " | office " K2,
	  .ours = "pub local " K1 " | pub office " K2,
	  .seen = "3600 " K1 " | 3600 " K2,
	  .classes = "OO",
	  .health = "-kms1.corp.test",
	  .findings = "last-kept",
	  .ttl = 3600 },
	{ .name = "gate: all_down withdraw",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .health = "-kms1.corp.test",
	  .withdraw_last = true,
	  .changes = "-" K1,
	  .findings = "host-down",
	  .ttl = 3600,
	  .prereq = true },
	{ .name = "gate: adopted is gated too",
	  .wanted = "local " K1 " | office " K2,
	  .ours = "adopted local " K1 " | pub office " K2,
	  .seen = "3600 " K1 " | 3600 " K2,
	  .classes = "AO",
	  .health = "-kms1.corp.test | +kms2.corp.test",
	  .changes = "-" K1,
	  .findings = "host-down",
	  .ttl = 3600,
	  .prereq = true },
	{ .name = "gate: a host that is down is not added",
	  .wanted = "local " K1 " | office " K2,
	  .health = "-kms1.corp.test | +kms2.corp.test",
	  .changes = "+" K2 " @3600",
	  .findings = "host-down",
	  .ttl = 3600 },
	{ .name = "gate: unknown is added",
	  .wanted = "local " K1,
	  .health = "",
	  .changes = "+" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "gate: back up",
	  .wanted = "local " K1 " | office " K2,
	  .ours = "withdrawn local " K1 " | pub office " K2,
	  .seen = "3600 " K2,
	  .classes = "O",
	  .health = "+kms1.corp.test | +kms2.corp.test",
	  .changes = "+" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "gate: an old record stays while the new port is down",
	  .wanted = "local 0 10 1689 kms1.corp.test",
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .health = "-kms1.corp.test",
	  .findings = "host-down",
	  .ttl = 3600 },
	{ .name = "orphan: everything of ours goes",
	  .ours = "pub local " K1 " | adopted office " K2,
	  .seen = "3600 " K1 " | 3600 " K2,
	  .classes = "OA",
	  .withdraw = true,
	  .changes = "-" K1,
	  .marks = "intent:del " K1 " | proven:none " K1 " | revert:pub " K1 },
};

static void t_rules(void **st)
{
	(void)st;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i]);
}

/* Planning again on the result of a plan finds nothing to do: no update loop can begin here. */
static void t_second_plan_is_empty(void **st)
{
	(void)st;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct pub_plan plan, again;
		struct input x, y;

		read_row(&rows[r], &x);
		if (rows[r].withdraw)
			continue;
		assert_int_equal(pub_plan_make(&x.in, &plan), 0);
		y = x;
		y.in.n_seen = 0;
		for (size_t i = 0; i < x.in.n_seen; i++) {
			bool gone = false;

			for (size_t k = 0; k < plan.n_changes; k++)
				if (dns_srv_equal(&plan.changes[k].srv, &x.seen[i].srv))
					gone = true;
			if (!gone)
				y.seen[y.in.n_seen++] = x.seen[i];
		}
		for (size_t k = 0; k < plan.n_changes; k++) {
			if (plan.changes[k].op != PUB_ADD)
				continue;
			y.seen[y.in.n_seen++].srv = plan.changes[k].srv;
		}
		for (size_t i = 0; i < y.in.n_seen && plan.ttl_s != 0; i++)
			y.seen[i].ttl_s = plan.ttl_s;
		y.set.n_recs = 0;
		for (size_t i = 0; i < x.set.n_recs; i++) {
			bool marked = false;

			for (size_t k = 0; k < plan.n_marks; k++)
				if (dns_srv_equal(&plan.marks[k].srv, &x.recs[i].srv))
					marked = true;
			if (!marked)
				y.recs[y.set.n_recs++] = x.recs[i];
		}
		for (size_t k = 0; k < plan.n_marks; k++) {
			struct pub_rec *rec = &y.recs[y.set.n_recs];

			if ((plan.marks[k].when != PUB_MARK_NOW &&
			     plan.marks[k].when != PUB_MARK_PROVEN) ||
			    plan.marks[k].state == PUB_REC_NONE)
				continue;
			rec->srv = plan.marks[k].srv;
			rec->state = plan.marks[k].state;
			rec->returns = plan.marks[k].returns;
			memcpy(&rec->host, &plan.marks[k].host, sizeof(rec->host));
			y.set.n_recs++;
		}
		y.set.recs = y.recs;
		y.in.ours = &y.set;
		y.in.seen = y.seen;
		y.in.wanted = y.wanted;
		y.in.want = y.want;
		y.in.health = x.in.health;
		assert_int_equal(pub_plan_make(&y.in, &again), 0);
		if (again.n_changes != 0)
			fail_msg("%s: a second plan changes again", rows[r].name);
		for (size_t k = 0; k < again.n_marks; k++)
			fail_msg("%s: a second plan marks again", rows[r].name);
		pub_plan_done(&again);
		pub_plan_done(&plan);
	}
}

static void t_journal_failed(void **st)
{
	static const struct row r = {
		.name = "journal",
		.wanted = "local 5 10 1688 kms1.corp.test | office " K2,
		.ours = "pub local " K1 " | pub office " K2,
		.seen = "300 " K1 " | 300 " K2,
		.changes = "-" K2 " | +" K2 " @3600 | +5 10 1688 kms1.corp.test @3600",
	};
	struct pub_plan plan;
	struct input x;

	(void)st;
	read_row(&r, &x);
	assert_int_equal(pub_plan_make(&x.in, &plan), 0);
	assert_int_equal(plan.n_changes, 4);
	pub_plan_drop_deletes(&plan);
	check_changes(&r, &plan); /* the TTL's delete is no removal */
	assert_int_equal(plan.n_absent, 0);
	pub_plan_done(&plan);
}

static void t_limits(void **st)
{
	struct pub_seen *seen = calloc(PUB_SEEN_MAX + 1, sizeof(*seen));
	struct pub_rec *recs = calloc(PUB_SEEN_MAX, sizeof(*recs));
	char host[] = "local";
	struct pub_set set = { .recs = recs, .n_recs = PUB_CHANGES_MAX + 1 };
	struct pub_plan_in in = {
		.seen = seen, .n_seen = PUB_SEEN_MAX + 1, .ttl_s = 60, .ours = &set
	};
	struct pub_plan plan;

	(void)st;
	assert_non_null(seen);
	assert_non_null(recs);
	for (size_t i = 0; i < PUB_SEEN_MAX; i++) {
		seen[i].srv.port = (uint16_t)i;
		assert_int_equal(dns_name_parse("a.test", &seen[i].srv.target), 0);
		recs[i] = (struct pub_rec){ .srv = seen[i].srv,
					    .state = PUB_REC_PUBLISHED,
					    .host = host };
	}
	assert_int_equal(pub_plan_make(&in, &plan), ERR_LIMIT);
	pub_plan_done(&plan);
	in.n_seen = PUB_SEEN_MAX; /* more to delete than one message holds */
	assert_int_equal(pub_plan_make(&in, &plan), ERR_LIMIT);
	pub_plan_done(&plan);
	set.n_recs = PUB_CHANGES_MAX;
	assert_int_equal(pub_plan_make(&in, &plan), 0);
	assert_int_equal(plan.n_changes, PUB_CHANGES_MAX);
	pub_plan_done(&plan);
	free(seen);
	free(recs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_rules),
		cmocka_unit_test(t_second_plan_is_empty),
		cmocka_unit_test(t_journal_failed),
		cmocka_unit_test(t_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
