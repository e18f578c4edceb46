/* What servers may say so that a zone is not found, and what makes no difference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "publisher/zone.h"
#include "tests/lib/fake_dns.h"
#include "tests/lib/fake_reply.h"

#define ZONE  "d0.test"
#define OWNER "_vlmcs._tcp." ZONE
#define LONG  "a12345678901234567890123456789012345678901234567890123456789."

enum quirk {
	WELL,
	SILENT,
	WALK_SILENT_ON_AA, /* the walk's answer has no AA */
	WALK_ALIASES_TURN, /* it has aliases that lead back */
	WALK_EMPTY,        /* no zone is named, up to the root */
	MNAME_ROOT,        /* the SOA names no primary */
	SOA_NOT_AA,
	SOA_BEHIND_OTHERS, /* the answer has records of other types, too */
	NS_NOT_AA,
	GLUE_BEHIND_OTHERS,
};

struct row {
	const char *name;
	enum quirk quirk;
	const char *server; /* of the configuration */
	const char *domain; /* NULL: ZONE */
	bool no_resolver;
	uint32_t total_ms;
	int err;
	enum pub_block block;
};

static const struct row rows[] = {
	{ .name = "well" },
	{ .name = "well, by name", .server = "ns1." ZONE },
	{ .name = "more in the answer", .quirk = SOA_BEHIND_OTHERS },
	{ .name = "more in the glue", .quirk = GLUE_BEHIND_OTHERS },
	{ .name = "nobody to ask", .no_resolver = true, .err = ERR_NO_SERVER },
	{ .name = "no answer in time", .quirk = SILENT, .total_ms = 20, .err = ERR_TIMEOUT },
	{ .name = "server without the zone",
	  .quirk = WALK_SILENT_ON_AA,
	  .server = "127.0.0.2",
	  .block = PUB_BLOCK_NOT_AUTH },
	{ .name = "aliases in a ring", .quirk = WALK_ALIASES_TURN, .block = PUB_BLOCK_ALIAS_LOOP },
	{ .name = "no zone at all", .quirk = WALK_EMPTY, .err = ERR_DNS_NO_ZONE },
	{ .name = "no primary", .quirk = MNAME_ROOT, .err = ERR_DNS_NODATA },
	{ .name = "primary without the zone", .quirk = SOA_NOT_AA, .block = PUB_BLOCK_NOT_AUTH },
	{ .name = "primary without its servers", .quirk = NS_NOT_AA, .block = PUB_BLOCK_NOT_AUTH },
	{ .name = "server that is none", .server = "[::1", .err = ERR_PARSE },
	{ .name = "server without address", .server = "nobody." ZONE, .err = ERR_RCODE_NXDOMAIN },
	{ .name = "domain without room for an owner",
	  .domain = LONG LONG LONG LONG "test",
	  .err = ERR_LIMIT },
};

struct fixture {
	struct test_net t;
	struct fake_dns *resolver, *primary;
	const struct row *row;
	struct pub_hosts *hosts;
	bool done, closed;
	struct pub_zone_outcome o;
};

static void answer_soa(struct fake_reply *r, const struct fixture *x, bool walk)
{
	const char *mname = x->row->quirk == MNAME_ROOT ? "." : "ns1." ZONE;

	if (walk && x->row->quirk == WALK_ALIASES_TURN) {
		fake_reply_cname(r, DNS_ANSWER, OWNER, 60, "a." ZONE);
		fake_reply_cname(r, DNS_ANSWER, "a." ZONE, 60, OWNER);
	} else if (x->row->quirk != WALK_EMPTY && x->row->quirk != WALK_SILENT_ON_AA) {
		if (x->row->quirk == SOA_BEHIND_OTHERS && !walk)
			fake_reply_ns(r, DNS_ANSWER, ZONE, 60, "ns1." ZONE);
		fake_reply_soa(r, walk ? DNS_AUTHORITY : DNS_ANSWER, ZONE, 60, mname, 7, 60);
	}
}

static void serve(struct fake_dns *f, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *x = ctx;
	enum quirk quirk = x->row->quirk;
	bool primary = f == x->primary, not_aa = !primary;
	char name[DNSNAME_TEXT_MAX];
	struct fake_reply r;
	bool known;

	assert_non_null(rq->msg);
	dns_name_format(&rq->msg->qname, name);
	known = strncmp(name, "nobody", 6) != 0;
	if (quirk == SILENT)
		return;
	if (rq->msg->qtype == DNS_TYPE_SOA)
		not_aa |= quirk == SOA_NOT_AA || quirk == WALK_SILENT_ON_AA;
	if (rq->msg->qtype == DNS_TYPE_NS)
		not_aa |= quirk == NS_NOT_AA;
	fake_reply_begin(&r, rq, known ? 0 : DNS_RCODE_NXDOMAIN, not_aa ? FAKE_RA : FAKE_AA);
	if (rq->msg->qtype == DNS_TYPE_SOA)
		answer_soa(&r, x, strcmp(name, ZONE) != 0);
	if (rq->msg->qtype == DNS_TYPE_NS) {
		fake_reply_ns(&r, DNS_ANSWER, ZONE, 60, "ns1." ZONE);
		if (quirk == GLUE_BEHIND_OTHERS)
			fake_reply_rr(&r, DNS_ADDITIONAL, "ns1." ZONE, 16, DNS_CLASS_IN, 60, "\1x",
				      2);
		fake_reply_a(&r, DNS_ADDITIONAL, "ns1." ZONE, 60, "127.0.0.2");
	}
	if (rq->msg->qtype == DNS_TYPE_A && known)
		fake_reply_a(&r, DNS_ANSWER, name, 60, "127.0.0.2");
	fake_dns_send_reply(&rq->from, &r);
}

static void begin(struct fixture *f, const struct row *row)
{
	struct fake_dns_params p = { .ip = "127.0.0.1", .on_message = serve, .ctx = f };

	memset(f, 0, sizeof(*f));
	f->row = row;
	test_net_init(&f->t);
	f->resolver = fake_dns_new(&f->t, &p);
	f->t.net.resolvers[0] = *fake_dns_addr(f->resolver);
	f->t.net.n_resolvers = !row->no_resolver;
	p.ip = "127.0.0.2";
	p.port = f->t.net.dns_port = addr_port(fake_dns_addr(f->resolver));
	f->primary = fake_dns_new(&f->t, &p);
	f->hosts = pub_hosts_new();
	assert_non_null(f->hosts);
}

static void on_closed(void *ctx)
{
	((struct fixture *)ctx)->closed = true;
}

static void end(struct fixture *f)
{
	pub_hosts_close(f->hosts, on_closed, f);
	if (!f->closed)
		test_net_run_until(&f->t, &f->closed);
	fake_dns_free(f->resolver);
	fake_dns_free(f->primary);
	test_net_done(&f->t);
}

static void on_zone(struct pub_zone_op *op, const struct pub_zone_outcome *o)
{
	struct fixture *f = op->owner;

	f->done = true;
	f->o = *o;
	pub_read_done(&f->o.read);
}

/** Whether it ended as the row has it. */
static bool learn(struct fixture *f)
{
	const struct row *row = f->row;
	struct pub_target target = { .view = "", .key_handle = "" };
	struct pub_zone_params p = { .target = &target,
				     .hosts = f->hosts,
				     .total_ms = row->total_ms };
	struct pub_zone_op op = { .owner = f };
	bool well = row->err == 0 && row->block == PUB_BLOCK_NONE, as_wanted;

	assert_int_equal(dns_name_parse(row->domain != NULL ? row->domain : ZONE, &target.domain),
			 0);
	target.servers = &row->server;
	target.n_servers = row->server != NULL;
	f->done = false;
	pub_zone_start(&op, &f->t.net, &p, on_zone);
	assert_false(f->done);
	test_net_run_until(&f->t, &f->done);
	as_wanted = f->o.err == row->err && f->o.block == row->block && (f->o.zone != NULL) == well;
	if (well && as_wanted)
		as_wanted = f->o.zone->n_ns == 1 && f->o.zone->ns[0].n_addrs == 1 &&
			    dns_name_is_set(&f->o.zone->primary_name);
	pub_zone_free(f->o.zone);
	return as_wanted;
}

static void t_each_ends_as_it_should(void **state)
{
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(&f, &rows[i]);
		if (!learn(&f))
			fail_msg("%s: err %s, block %d, stage %d", rows[i].name, err_name(f.o.err),
				 (int)f.o.block, (int)f.o.stage);
		assert_true(learn(&f)); /* with addresses that are known */
		end(&f);
	}
}

static void t_a_primary_beside_the_list_is_nobodys_secondary(void **state)
{
	struct pub_ns ns[1] = { { .n_addrs = 1 } };
	struct pub_zone z = { .by_server = true, .ns = ns, .n_ns = 1, .n_primary = 1 };

	(void)state;
	z.primary[0] = test_addr("127.0.0.2:53");
	ns[0].addrs[0] = test_addr("127.0.0.3:53");
	assert_int_equal(dns_name_parse("ns1." ZONE, &z.mname), 0);
	assert_int_equal(dns_name_parse("ns2." ZONE, &ns[0].name), 0);
	assert_false(pub_zone_is_secondary(&z)); /* a hidden primary: nothing is known of it */
	ns[0].name = z.mname;
	assert_true(pub_zone_is_secondary(&z));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_each_ends_as_it_should),
		cmocka_unit_test(t_a_primary_beside_the_list_is_nobodys_secondary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
