/* The name servers of a zone, as they come with the answer about its SOA, or have to be asked for.
 */
#include "publisher/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "tests/lib/fake_dns.h"
#include "tests/lib/fake_reply.h"

#define ZONE "d0.test"

/** What the primary adds to its answer about the SOA. */
struct extra {
	const char *name;
	struct {
		const char *owner, *ns;
	} ns[4];
	unsigned many;        /* further name servers of the zone */
	const char *glue[4];  /* names that come with an address */
	bool asked;           /* the NS set has to be asked for */
	const char *expected; /* "ns1 ns2" */
	size_t n_expected;
	unsigned addresses; /* that have to be asked for */
};

static const struct extra cases[] = {
	{ .name = "all of it",
	  .ns = { { ZONE, "ns1." ZONE }, { ZONE, "ns2." ZONE } },
	  .glue = { "ns1." ZONE, "ns2." ZONE },
	  .expected = "ns1 ns2",
	  .n_expected = 2 },
	{ .name = "in capitals",
	  .ns = { { "D0.Test", "NS1.D0.test" }, { ZONE, "ns2." ZONE } },
	  .glue = { "nS1." ZONE, "ns2." ZONE },
	  .expected = "ns1 ns2",
	  .n_expected = 2 },
	{ .name = "none", .asked = true, .expected = "ns1 ns2", .n_expected = 2, .addresses = 2 },
	{ .name = "without all addresses",
	  .ns = { { ZONE, "ns1." ZONE }, { ZONE, "ns2." ZONE } },
	  .glue = { "ns2." ZONE },
	  .expected = "ns1 ns2",
	  .n_expected = 2,
	  .addresses = 1 },
	{ .name = "of other names only",
	  .ns = { { "test", "ns1." ZONE },
		  { "sub." ZONE, "ns2." ZONE },
		  { "xd0.test", "ns3.test" } },
	  .glue = { "ns1." ZONE, "ns2." ZONE },
	  .asked = true,
	  .expected = "ns1 ns2",
	  .n_expected = 2,
	  .addresses = 2 },
	{ .name = "of another name, too",
	  .ns = { { "test", "ns9.test" }, { ZONE, "ns2." ZONE } },
	  .glue = { "ns2." ZONE },
	  .expected = "ns2",
	  .n_expected = 1 },
	{ .name = "more than are asked",
	  .many = PUB_NS_MAX + 8,
	  .expected = "",
	  .n_expected = PUB_NS_MAX },
};

struct fixture {
	struct test_net t;
	struct fake_dns *resolver, *primary;
	const struct extra *extra;
	unsigned soa_questions, ns_questions, address_questions;
	const struct set_answer *set; /* NULL: nothing at all */
	struct pub_zone *known;
	struct pub_hosts *hosts;
	bool done, closed;
	int err;
	struct pub_zone *zone;
	bool has_read, exists;
	struct pub_read read;
};

/** What the primary says about the set, when it is asked for the first time. */
struct set_answer {
	const char *name;
	bool not_aa;
	unsigned rcode;
	const char *soa; /* owner, in the authority section */
	const char *srv, *cname;
	bool confirms; /* the SOA need not be asked for */
	bool is_read;  /* the set need not be asked for again */
};

static const struct set_answer sets[] = {
	{ .name = "no such name",
	  .rcode = DNS_RCODE_NXDOMAIN,
	  .soa = ZONE,
	  .confirms = true,
	  .is_read = true },
	{ .name = "no such set", .soa = "D0.TEST", .confirms = true, .is_read = true },
	{ .name = "nobody's word", .not_aa = true, .soa = ZONE },
	{ .name = "no such set, without SOA", .is_read = true },
	{ .name = "the SOA of the zone above", .soa = "test", .is_read = true },
	{ .name = "the SOA of a zone below", .soa = "_tcp." ZONE, .is_read = true },
	{ .name = "a set", .soa = ZONE, .srv = "kms1." ZONE, .is_read = true },
	{ .name = "an alias", .soa = ZONE, .cname = "elsewhere.test" },
};

static void add_set(struct fake_reply *r, const struct set_answer *a)
{
	if (a->srv != NULL)
		fake_reply_srv(r, DNS_ANSWER, "_vlmcs._tcp." ZONE, 60, 0, 0, 1688, a->srv);
	if (a->cname != NULL)
		fake_reply_cname(r, DNS_ANSWER, "_vlmcs._tcp." ZONE, 60, a->cname);
	if (a->soa != NULL)
		fake_reply_soa(r, DNS_AUTHORITY, a->soa, 60, "ns1." ZONE, 6, 77);
}

static void add_extra(struct fake_reply *r, const struct extra *x)
{
	char name[32];

	for (size_t i = 0; i < 4 && x->ns[i].owner != NULL; i++)
		fake_reply_ns(r, DNS_AUTHORITY, x->ns[i].owner, 60, x->ns[i].ns);
	for (unsigned i = 0; i < x->many; i++) {
		snprintf(name, sizeof(name), "n%u." ZONE, i);
		fake_reply_ns(r, DNS_AUTHORITY, ZONE, 60, name);
	}
	for (size_t i = 0; i < 4 && x->glue[i] != NULL; i++)
		fake_reply_a(r, DNS_ADDITIONAL, x->glue[i], 60, "127.0.0.3");
	for (unsigned i = 0; i < x->many; i++) {
		snprintf(name, sizeof(name), "n%u." ZONE, i);
		fake_reply_a(r, DNS_ADDITIONAL, name, 60, "127.0.0.3");
	}
}

static void serve(struct fake_dns *f, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *x = ctx;
	bool primary = f == x->primary;
	char name[DNSNAME_TEXT_MAX];
	struct fake_reply r;

	assert_non_null(rq->msg);
	dns_name_format(&rq->msg->qname, name);
	if (rq->msg->qtype == DNS_TYPE_SRV && x->set != NULL) {
		fake_reply_begin(&r, rq, x->set->rcode, x->set->not_aa ? 0 : FAKE_AA);
		add_set(&r, x->set);
		fake_dns_send_reply(&rq->from, &r);
		return;
	}
	fake_reply_begin(&r, rq, 0, primary ? FAKE_AA : FAKE_RA);
	if (rq->msg->qtype == DNS_TYPE_SOA) {
		x->soa_questions += primary;
		fake_reply_soa(&r, primary ? DNS_ANSWER : DNS_AUTHORITY, ZONE, 60, "ns1." ZONE, 7,
			       60);
		if (primary)
			add_extra(&r, x->extra);
	} else if (rq->msg->qtype == DNS_TYPE_NS) {
		x->ns_questions++;
		fake_reply_ns(&r, DNS_ANSWER, ZONE, 60, "ns1." ZONE);
		fake_reply_ns(&r, DNS_ANSWER, ZONE, 60, "ns2." ZONE);
	} else if (rq->msg->qtype == DNS_TYPE_A) {
		x->address_questions += primary;
		fake_reply_a(&r, DNS_ANSWER, name, 60,
			     strcmp(name, "ns1." ZONE) == 0 ? "127.0.0.2" : "127.0.0.3");
	}
	fake_dns_send_reply(&rq->from, &r);
}

static void begin(struct fixture *f, const struct extra *x)
{
	struct fake_dns_params p = { .ip = "127.0.0.1", .on_message = serve, .ctx = f };

	memset(f, 0, sizeof(*f));
	f->extra = x;
	test_net_init(&f->t);
	f->resolver = fake_dns_new(&f->t, &p);
	f->t.net.resolvers[0] = *fake_dns_addr(f->resolver);
	f->t.net.n_resolvers = 1;
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
	pub_zone_free(f->zone);
	pub_read_done(&f->read);
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
	f->err = o->err;
	f->zone = o->zone;
	f->has_read = o->has_read;
	f->exists = o->exists;
	pub_read_done(&f->read);
	f->read = o->read;
}

static void learn(struct fixture *f)
{
	struct pub_target target = { .view = "", .key_handle = "" };
	struct pub_zone_params p = { .target = &target, .hosts = f->hosts, .known = f->known };
	struct pub_zone_op op = { .owner = f };

	f->done = false;
	assert_int_equal(dns_name_parse(ZONE, &target.domain), 0);
	pub_zone_start(&op, &f->t.net, &p, on_zone);
	test_net_run_until(&f->t, &f->done);
	assert_int_equal(f->err, 0);
	assert_non_null(f->zone);
}

static void t_name_servers_come_with_the_soa(void **state)
{
	char names[256], text[DNSNAME_TEXT_MAX];
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct extra *x = &cases[i];
		size_t len = 0;

		begin(&f, x);
		learn(&f);
		names[0] = '\0';
		for (size_t k = 0; k < f.zone->n_ns && x->many == 0; k++) {
			dns_name_format(&f.zone->ns[k].name, text);
			len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%.*s",
						k > 0 ? " " : "", (int)strcspn(text, "."), text);
		}
		if (strcmp(names, x->expected) != 0 || f.zone->n_ns != x->n_expected ||
		    f.ns_questions != x->asked || f.address_questions != x->addresses)
			fail_msg("%s: %zu name servers (%s), asked for %u times, %u addresses",
				 x->name, f.zone->n_ns, names, f.ns_questions, f.address_questions);
		for (size_t k = 0; k < f.zone->n_ns; k++)
			assert_int_equal(f.zone->ns[k].n_addrs, 1);
		end(&f);
	}
}

/* One question for two: what the answer about the set does for the zone. */
static void t_the_set_confirms_the_zone(void **state)
{
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		const struct set_answer *a = &sets[i];

		begin(&f, &cases[0]);
		f.set = a;
		learn(&f);
		if (f.soa_questions != !a->confirms || f.has_read != a->is_read ||
		    f.zone->ns_known == a->confirms)
			fail_msg("%s: the SOA was asked for %u times, read: %d", a->name,
				 f.soa_questions, f.has_read);
		assert_int_equal(f.zone->serial, a->confirms ? 6 : 7);
		if (f.has_read)
			assert_int_equal(f.exists, a->rcode == 0);
		assert_int_equal(f.read.n_seen, a->srv != NULL);
		assert_int_equal(f.zone->n_ns, a->confirms ? 0 : 2);
		end(&f);
	}
}

static void t_name_servers_and_serial_of_a_known_zone(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, &cases[0]);
	f.set = &sets[0];
	learn(&f);
	f.known = f.zone;
	learn(&f);
	assert_ptr_equal(f.zone, f.known);
	assert_int_equal(f.soa_questions, 1);
	assert_int_equal(f.ns_questions, 0);
	assert_true(f.zone->ns_known);
	assert_int_equal(f.zone->n_ns, 2);
	assert_int_equal(f.zone->serial, 7);
	assert_false(f.has_read);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_name_servers_come_with_the_soa),
		cmocka_unit_test(t_the_set_confirms_the_zone),
		cmocka_unit_test(t_name_servers_and_serial_of_a_known_zone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
