/* The relay between a request and its hosts, which the test plays, without memory. */
#include "tests/lib/relay_world.h"

#include "daemon/upstreams_priv.h"
#include "tests/faults/fault.h"

/* Without room for the first answer it is given at once: one answer in any case. */
static int held_answer(void)
{
	struct want x;
	int err = 0;

	setup(2);
	begin();
	fault_begin();
	request(&x, "192.0.2.1:4711");
	answers(0, HR_HOST_MISMATCH);
	if (x.ended == 0)
		answers(1, 0);
	fault_end();
	assert_int_equal(x.ended, 1);
	if (x.got[15] == 'b') {
		assert_answer(&x, 'b', 0);
	} else {
		assert_answer(&x, 'a', HR_HOST_MISMATCH);
		err = ERR_NOMEM;
	}
	end();
	return err;
}

/* The refusal of a lab request where no host is a lab host is made here. */
static int refusal(void)
{
	struct want x;

	setup(1);
	begin();
	fault_begin();
	request_of(&x, "192.0.2.1:4711", false, LAB_VERSION_MAJOR, 16);
	settle();
	fault_end();
	assert_int_equal(x.ended, 1);
	if (x.err != 0)
		assert_fault(&x, ERR_NOMEM, RPC_S_OUT_OF_MEMORY);
	end();
	return x.err;
}

/* A host that fails requests gets a copy of one; where there is no room for it, another time. */
static int trial(void)
{
	struct want x;
	uint64_t due;
	size_t copies;

	setup(2);
	w.rules.interval_ms = 40;
	begin();
	for (unsigned i = 0; i < 3; i++) {
		request(&x, "192.0.2.1:4711");
		faults(0, RPC_S_PROTO_ERROR);
		bound(0, 0);
		answers(1, 0);
	}
	assert_int_equal(state_of(0), RELAY_FAULTS);
	for (due = uv_now(&w.t.loop) + 2 * w.rules.interval_ms; uv_now(&w.t.loop) < due;)
		(void)uv_run(&w.t.loop, UV_RUN_ONCE);
	fault_begin();
	request(&x, "192.0.2.1:4711");
	fault_end();
	copies = w.pool[0]->n_calls;
	if (copies > 0)
		answers(0, 0);
	answers(1, 0);
	assert_answer(&x, 'b', 0);
	end();
	return copies > 0 ? 0 : ERR_NOMEM;
}

/* What the next process is told: all hosts with all addresses, or nothing, so that what stands in
 * the state file stays. */
static int known_hosts(void)
{
	struct upstream_known hosts[2] = { 0 }, *read = NULL;
	char srv[HOST_TEXT_MAX];
	json_t *known;

	for (size_t i = 0; i < 2; i++) {
		hosts[i].row = (struct upstream_row){ .port = 1688 };
		(void)snprintf(hosts[i].row.name, sizeof(hosts[i].row.name), "kms%zu", i);
		(void)snprintf(hosts[i].row.host, sizeof(hosts[i].row.host), "kms%zu.test", i);
		assert_int_equal(addr_parse("192.0.2.1", 1688, &hosts[i].addrs[0]), 0);
		assert_int_equal(addr_parse("2001:db8::1", 1688, &hosts[i].addrs[1]), 0);
		hosts[i].n_addrs = 2;
	}
	fault_begin();
	known = upstream_known_json(hosts, 2, "");
	fault_end();
	if (known == NULL)
		return ERR_NOMEM;
	assert_int_equal(upstream_known_parse(known, &read, srv), 2);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(read[i].n_addrs, 2);
	free(read);
	json_decref(known);
	return 0;
}

static const struct fault_scenario scenarios[] = {
	{ .name = "held_answer", .run = held_answer },
	{ .name = "refusal", .run = refusal },
	{ .name = "trial", .run = trial },
	{ .name = "known_hosts", .run = known_hosts },
};

int main(void)
{
	return fault_run("fault_relay", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
