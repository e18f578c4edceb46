/* What can go wrong, as a table. Most of it lasts for a time; the rest happens at one moment. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/chaos/chaos.h"

struct chaos_kind {
	const char *name;
	unsigned n; /* of how many things one is meant; 0: none in particular */
	void (*begin)(struct chaos *c, unsigned what);
	void (*end)(struct chaos *c, unsigned what); /* NULL: it is over at once */
};

static bool is_running(const struct chaos *c)
{
	return c->end == CHAOS_RUNS;
}

/* ---- name servers: one member of their ways ---- */

#define WAY(member, value)                                                                         \
	static void begin_##member(struct chaos *c, unsigned i)                                    \
	{                                                                                          \
		sim_dns_ways(c->server[i])->member = (value);                                      \
	}                                                                                          \
	static void end_##member(struct chaos *c, unsigned i)                                      \
	{                                                                                          \
		sim_dns_ways(c->server[i])->member = 0;                                            \
	}
#define SERVER(member)                                                                             \
	{                                                                                          \
		"server " #member, CHAOS_SERVERS, begin_##member, end_##member                     \
	}

static uint16_t an_rcode(void)
{
	static const uint16_t rcodes[] = { 1, 2, 4, 5, 9, 10 }; /* FORMERR .. NOTZONE */

	return rcodes[chaos_rand(0, 5)];
}

WAY(down, true)
WAY(silent, true)
WAY(no_tcp, true)
WAY(only_tcp, true)
WAY(query_rcode, an_rcode())
WAY(update_rcode, an_rcode())
WAY(update_ignored, true)
WAY(update_answer_lost, true)
WAY(unsigned_answers, true)
WAY(tsig_error, (uint16_t)chaos_rand(16, 18)) /* BADSIG .. BADTIME */
WAY(answer_ms, chaos_rand(100, 6000))
WAY(transfer_ms, chaos_rand(1000, 120000))
WAY(no_transfer, true)

/* ---- the network between the program and one other ---- */

static void link_rule(unsigned i, const struct sim_rule *how, bool drop)
{
	static const char *const others[] = { "10.0.0.53", "10.0.0.54", "10.0.0.55", "10.0.0.1",
					      "10.0.1.1",  "10.0.1.2",  "10.0.1.3" };
	struct sim_rule r = *how;
	struct addr self, other;

	if (addr_parse("10.0.0.2", 0, &self) != 0 || addr_parse(others[i], 0, &other) != 0)
		sim_fail("an address of a link is wrong");
	for (int back = 0; back < 2; back++) {
		r.from = back ? other : self;
		r.to = back ? self : other;
		if (drop)
			sim_rule_drop(&r.from, &r.to);
		else
			sim_rule(&r);
	}
}
#define N_LINKS 7

static void begin_cut(struct chaos *c, unsigned i)
{
	(void)c;
	link_rule(i, &(struct sim_rule){ .cut = true }, false);
}

static void begin_lossy(struct chaos *c, unsigned i)
{
	(void)c;
	link_rule(i,
		  &(struct sim_rule){ .latency_us = chaos_rand(200, 300000),
				      .jitter_us = chaos_rand(0, 2000000),
				      .lose = (uint16_t)chaos_rand(0, 600),
				      .repeat = (uint16_t)chaos_rand(0, 400) },
		  false);
}

static void end_link(struct chaos *c, unsigned i)
{
	(void)c;
	link_rule(i, &(struct sim_rule){ 0 }, true);
}

/* ---- KMS hosts ---- */

static void begin_host(struct chaos *c, unsigned i)
{
	sim_kms_behave(c->host[i], (enum sim_kms_way)chaos_rand(SIM_KMS_DOWN, SIM_KMS_HALF));
}

static void end_host(struct chaos *c, unsigned i)
{
	sim_kms_behave(c->host[i], SIM_KMS_ANSWERS);
}

static void begin_hresult(struct chaos *c, unsigned i)
{
	static const uint32_t codes[] = { 0xC004F042, 0xC004F041, 0xC004F039, 0xC004F06C,
					  0xC004F038 };

	sim_kms_set_hresult(c->host[i], codes[chaos_rand(0, 4)]);
}

static void end_hresult(struct chaos *c, unsigned i)
{
	sim_kms_set_hresult(c->host[i], 0);
}

static void begin_slow(struct chaos *c, unsigned i)
{
	sim_kms_set_answer_ms(c->host[i], chaos_rand(100, 20000));
}

static void end_slow(struct chaos *c, unsigned i)
{
	sim_kms_set_answer_ms(c->host[i], 0);
}

static void drop_host(struct chaos *c, unsigned i)
{
	sim_kms_drop(c->host[i], chaos_chance(50));
}

/* ---- others who change the zones ---- */

static void srv_owner(unsigned zone, char ret[SIM_DNS_NAME_MAX])
{
	snprintf(ret, SIM_DNS_NAME_MAX, "_vlmcs._tcp.%s", chaos_zone_name[zone]);
}

/* Not while its server ignores updates: the zone's serial then moves, and nobody could tell that
 * from an update that somebody undid. */
static bool may_change(const struct chaos *c, unsigned zone)
{
	return !sim_dns_ways(c->server[zone == 0 ? 0 : 2])->update_ignored;
}

static void foreign_adds(struct chaos *c, unsigned i)
{
	char owner[SIM_DNS_NAME_MAX], rdata[SIM_DNS_RDATA_MAX], host[SIM_DNS_NAME_MAX];

	if (!may_change(c, i))
		return;
	srv_owner(i, owner);
	snprintf(host, sizeof(host), "other%u.corp.example", ++c->n_foreign);
	snprintf(rdata, sizeof(rdata), "%u %u 1688 %s", chaos_rand(0, 2), chaos_rand(0, 9), host);
	if (chaos_chance(70)) /* else its target has no address */
		sim_zone_add(c->zone[0], host, "A", 3600,
			     chaos_chance(50) ? "10.0.1.2" : "10.0.7.7");
	sim_zone_add(c->zone[i], owner, "SRV", chaos_chance(50) ? 3600 : 300, rdata);
	c->others_added_at[i] = sim_now();
}

/* One of the set, whosever it is. */
static void foreign_deletes(struct chaos *c, unsigned i)
{
	static struct sim_record set[CHAOS_SET_MAX];
	struct sim_dns_server *primary = c->server[i == 0 ? 0 : 2];
	char owner[SIM_DNS_NAME_MAX];
	size_t n;

	if (!may_change(c, i))
		return;
	srv_owner(i, owner);
	n = sim_zone_records(c->zone[i], primary, owner, "SRV", set, CHAOS_SET_MAX);
	if (n > 0)
		sim_zone_delete(c->zone[i], owner, "SRV",
				set[chaos_rand(0, (uint32_t)n - 1)].rdata);
}

static void foreign_clears(struct chaos *c, unsigned i)
{
	char owner[SIM_DNS_NAME_MAX];

	if (!may_change(c, i))
		return;
	srv_owner(i, owner);
	sim_zone_delete(c->zone[i], owner, "SRV", NULL);
}

/* ---- the program ---- */

static void reload(struct chaos *c, unsigned what)
{
	(void)what;
	chaos_config_draw(c);
	chaos_config_write(c);
	c->reloads++;
	if (is_running(c))
		sim_signal(SIGHUP);
}

static void stop(struct chaos *c, unsigned what)
{
	(void)what;
	if (!is_running(c))
		return;
	c->end = CHAOS_STOPS;
	if (chaos_chance(50))
		chaos_config_draw(c); /* what the next one finds */
	sim_signal(SIGTERM);
}

static void crash(struct chaos *c, unsigned what)
{
	(void)what;
	if (!is_running(c))
		return;
	c->end = CHAOS_CRASHES;
	if (chaos_chance(50))
		chaos_config_draw(c);
	chaos_config_write(c);
	sim_crash();
}

static void crash_at_update(struct chaos *c, unsigned what)
{
	reload(c, what); /* so that there is one */
	c->crash_at_update = true;
}

static void begin_clock(struct chaos *c, unsigned what)
{
	int64_t by = (int64_t)chaos_rand(1, 86400) * 1000;

	(void)what;
	if (chaos_chance(50))
		by = -by;
	sim_step_clock(by);
	c->clock_off_ms += by;
}

static void end_clock(struct chaos *c, unsigned what)
{
	(void)what;
	sim_step_clock(-c->clock_off_ms);
	c->clock_off_ms = 0;
}

static void begin_slow_disk(struct chaos *c, unsigned what)
{
	(void)c;
	(void)what;
	sim_disk_ms(chaos_rand(50, 5000));
}

static void end_slow_disk(struct chaos *c, unsigned what)
{
	(void)c;
	(void)what;
	sim_disk_ms(2);
}

static const struct chaos_kind kinds[] = {
	SERVER(down),
	SERVER(silent),
	SERVER(no_tcp),
	SERVER(only_tcp),
	SERVER(query_rcode),
	SERVER(update_rcode),
	SERVER(update_ignored),
	SERVER(update_answer_lost),
	SERVER(unsigned_answers),
	SERVER(tsig_error),
	SERVER(answer_ms),
	SERVER(transfer_ms),
	SERVER(no_transfer),
	{ "link cut", N_LINKS, begin_cut, end_link },
	{ "link lossy", N_LINKS, begin_lossy, end_link },
	{ "host broken", CHAOS_HOSTS, begin_host, end_host },
	{ "host says no", CHAOS_HOSTS, begin_hresult, end_hresult },
	{ "host slow", CHAOS_HOSTS, begin_slow, end_slow },
	{ "host drops its connections", CHAOS_HOSTS, drop_host, NULL },
	{ "others add a record", CHAOS_ZONES, foreign_adds, NULL },
	{ "others delete a record", CHAOS_ZONES, foreign_deletes, NULL },
	{ "others clear the set", CHAOS_ZONES, foreign_clears, NULL },
	{ "reload", 0, reload, NULL },
	{ "stop", 0, stop, NULL },
	{ "crash", 0, crash, NULL },
	{ "crash at the next update", 0, crash_at_update, NULL },
	{ "clock stepped", 0, begin_clock, end_clock },
	{ "disk slow", 0, begin_slow_disk, end_slow_disk },
};

static struct chaos_fault *free_place(struct chaos *c)
{
	for (size_t i = 0; i < CHAOS_FAULTS; i++)
		if (c->fault[i].kind == NULL)
			return &c->fault[i];
	return NULL;
}

static bool is_under_way(const struct chaos *c, const struct chaos_kind *k, unsigned what)
{
	for (size_t i = 0; i < CHAOS_FAULTS; i++)
		if (c->fault[i].kind == k && c->fault[i].what == what)
			return true;
	return false;
}

void chaos_fault_begin(struct chaos *c)
{
	const struct chaos_kind *k = &kinds[chaos_rand(0, sizeof(kinds) / sizeof(kinds[0]) - 1)];
	unsigned what = k->n > 0 ? chaos_rand(0, k->n - 1) : 0;
	struct chaos_fault *f = free_place(c);

	if (f == NULL || is_under_way(c, k, what))
		return;
	c->faults++;
	if (k->end != NULL)
		*f = (struct chaos_fault){ k, what, sim_now() + chaos_rand(1000, 900000) };
	chaos_note(c, "fault: %s %u%s", k->name, what, k->end != NULL ? " begins" : "");
	k->begin(c, what);
}

void chaos_faults_end(struct chaos *c, bool all)
{
	for (size_t i = 0; i < CHAOS_FAULTS; i++) {
		struct chaos_fault *f = &c->fault[i];

		if (f->kind == NULL || (!all && f->until > sim_now()))
			continue;
		chaos_note(c, "fault: %s %u ends", f->kind->name, f->what);
		f->kind->end(c, f->what);
		f->kind = NULL;
	}
	if (all)
		c->crash_at_update = false;
}
