/* What must hold, whatever happened. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "net/dnsmsg.h"
#include "tests/chaos/chaos.h"

static bool has(const struct sim_record *set, size_t n, const char *rdata)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(set[i].rdata, rdata) == 0)
			return true;
	return false;
}

/* ---- zones: nothing of others' is ever changed ---- */

static unsigned zone_index(const struct chaos *c, const struct sim_zone *z)
{
	for (unsigned i = 0; i < CHAOS_ZONES; i++)
		if (c->zone[i] == z)
			return i;
	sim_fail("an update of a zone that nobody made");
}

static void srv_owner(unsigned zone, char ret[SIM_DNS_NAME_MAX])
{
	snprintf(ret, SIM_DNS_NAME_MAX, "_vlmcs._tcp.%s", chaos_zone_name[zone]);
}

static bool is_known(const struct chaos *c, unsigned zone, const char *rdata)
{
	for (size_t i = 0; i < c->n_known; i++)
		if (c->known[i].zone == zone && strcmp(c->known[i].rdata, rdata) == 0)
			return true;
	return false;
}

static bool is_of_ours(const char *rdata)
{
	return strstr(rdata, " 1688 relay.corp.example") != NULL ||
	       strstr(rdata, " 1688 office.corp.example") != NULL;
}

/* Another TTL is a deletion and an addition here. */
static bool only_ttl(const struct chaos *c, const struct sim_zone *z, unsigned zone,
		     const struct sim_record *r)
{
	static struct sim_record set[CHAOS_SET_MAX];
	size_t n = sim_zone_records(z, c->server[zone == 0 ? 0 : 2], r->owner, "SRV", set,
				    CHAOS_SET_MAX);

	return has(set, n, r->rdata) && sim_now() - c->others_added_at[zone] < CHAOS_CHECK_MS;
}

static void on_change(void *ctx, const struct sim_zone *z, bool added, const struct sim_record *r)
{
	struct chaos *c = ctx;
	unsigned zone = zone_index(c, z);
	char owner[SIM_DNS_NAME_MAX];

	srv_owner(zone, owner);
	if (r->type != DNS_TYPE_SRV || strcmp(r->owner, owner) != 0)
		chaos_broken(c, "an UPDATE changed %s, type %u", r->owner, r->type);
	if (!is_of_ours(r->rdata) && only_ttl(c, z, zone, r))
		return;
	if (added && !is_of_ours(r->rdata))
		chaos_broken(c, "an UPDATE added %s %s, which nobody asked for", owner, r->rdata);
	if (!added && !is_known(c, zone, r->rdata))
		chaos_broken(c, "an UPDATE deleted %s %s, which the program never added", owner,
			     r->rdata);
	if (!added || is_known(c, zone, r->rdata))
		return;
	if (c->n_known == CHAOS_KNOWN)
		sim_fail("CHAOS_KNOWN is too small");
	c->known[c->n_known].zone = zone;
	snprintf(c->known[c->n_known++].rdata, SIM_DNS_RDATA_MAX, "%s", r->rdata);
}

static void crash_now(void *ctx, uint64_t life)
{
	struct chaos *c = ctx;

	if (c->end != CHAOS_RUNS || c->lives != life)
		return;
	chaos_note(c, "crash behind an update");
	c->end = CHAOS_CRASHES;
	sim_crash();
}

static void on_dns(void *ctx, const struct sim_dns_event *e)
{
	struct chaos *c = ctx;

	if (!e->is_update)
		return;
	chaos_note(c, "%s", e->line);
	c->updates++;
	if (c->phase == CHAOS_STEADY)
		chaos_broken(c, "an UPDATE where there was nothing to do: %s", e->line);
	if (sim_now() - c->burst_from > CHAOS_BURST_MS) {
		c->burst_from = sim_now();
		c->burst = 0;
	}
	if (++c->burst > CHAOS_BURST)
		chaos_broken(c, "more than %d updates in %d s", CHAOS_BURST, CHAOS_BURST_MS / 1000);
	if (c->crash_at_update && c->end == CHAOS_RUNS) {
		c->crash_at_update = false;
		sim_after(chaos_rand(0, 40), crash_now, c, c->lives);
	}
}

/* ---- clients: each request ends once ---- */

static int client_of(const char *line, size_t len)
{
	for (int i = 0; i < CHAOS_CLIENTS; i++)
		if (strlen(chaos_client_name[i]) == len &&
		    strncmp(chaos_client_name[i], line, len) == 0)
			return i;
	return -1;
}

static void on_kms(void *ctx, const char *line)
{
	struct chaos *c = ctx;
	size_t word = strcspn(line, " ");
	const char *what = line + word + (line[word] == ' ');
	int i = client_of(line, word);

	if (i < 0 || strcmp(what, "closed") == 0) /* a connection that was held */
		return;
	if (strncmp(what, "asked ", 6) == 0) {
		if (c->book[i].waits)
			chaos_broken(c, "%s: the request before has not ended", line);
		c->book[i].waits = true;
		c->book[i].asked++;
		return;
	}
	if (!c->book[i].waits)
		chaos_broken(c, "%s: a second end of one request", line);
	c->book[i].waits = false;
	c->book[i].ended++;
	if (strncmp(what, "got ", 4) == 0 && strstr(what, "0x00000000") != NULL) {
		c->answered++;
		return;
	}
	c->failed++;
	chaos_note(c, "%s", line);
	if (strstr(what, "wrong-answer") != NULL)
		chaos_broken(c, "%s: the answer to another request", line);
	if (c->phase == CHAOS_STEADY)
		chaos_broken(c, "%s, and all hosts are well", line);
}

void chaos_judge_watch(struct chaos *c)
{
	sim_dns_watch(on_dns, c);
	sim_dns_watch_changes(on_change, c);
	sim_kms_watch(on_kms, c);
}

/* ---- after quiet ---- */

static void judge_set(struct chaos *c, unsigned zone, const struct sim_dns_server *s)
{
	static struct sim_record set[CHAOS_SET_MAX];
	static char wanted[CHAOS_SET_MAX][SIM_DNS_RDATA_MAX];
	size_t n_wanted = chaos_wanted(c, zone, wanted), n;
	char owner[SIM_DNS_NAME_MAX];

	srv_owner(zone, owner);
	n = sim_zone_records(c->zone[zone], s, owner, "SRV", set, CHAOS_SET_MAX);
	for (size_t i = 0; i < n_wanted; i++)
		if (!has(set, n, wanted[i]))
			chaos_broken(c, "%s lacks %s %s", sim_dns_name(s), owner, wanted[i]);
	for (size_t i = 0; i < n; i++) {
		bool is_wanted = false;

		for (size_t k = 0; k < n_wanted; k++)
			is_wanted = is_wanted || strcmp(set[i].rdata, wanted[k]) == 0;
		if (!is_wanted && is_known(c, zone, set[i].rdata))
			chaos_broken(c, "left behind on %s: %s %s", sim_dns_name(s), owner,
				     set[i].rdata);
	}
}

void chaos_judge_settled(struct chaos *c)
{
	judge_set(c, 0, c->server[0]);
	judge_set(c, 0, c->server[1]);
	judge_set(c, 1, c->server[2]);
	judge_set(c, 1, c->server[0]);
}

/* ---- what the program says of itself ---- */

static void on_status(void *ctx, const char *line)
{
	struct chaos *c = ctx;
	json_t *all = line != NULL ? json_loads(line, 0, NULL) : NULL;
	json_t *records = json_object_get(json_object_get(all, "report"), "records"), *r;
	size_t i;

	if (json_array_size(records) != CHAOS_ZONES)
		chaos_broken(c, "status: %s", line != NULL ? line : "no answer");
	json_array_foreach(records, i, r)
	{
		const char *state = json_string_value(json_object_get(r, "state"));

		if (state == NULL ||
		    (strcmp(state, "proven") != 0 && strcmp(state, "unchanged") != 0))
			chaos_broken(c, "status: records[%zu] is %s: %s", i, state, line);
	}
	json_decref(all);
	c->judged = true;
}

static void judge_level(struct chaos *c)
{
	size_t heap = sim_heap_bytes(), sockets = sim_open_sockets();

	if (sockets > CHAOS_SOCKETS)
		chaos_broken(c, "%zu sockets are open in quiet", sockets);
	chaos_note(c, "level: %zu octets of heap, %zu sockets", heap, sockets);
	if (c->life_of_level == c->lives && heap > c->level_heap + CHAOS_HEAP)
		chaos_broken(c, "the heap has grown from %zu to %zu octets", c->level_heap, heap);
	if (c->life_of_level != c->lives) {
		c->life_of_level = c->lives;
		c->level_heap = heap;
	}
}

void chaos_judge_steady(struct chaos *c)
{
	char path[96];

	chaos_judge_settled(c);
	judge_level(c);
	c->judged = false;
	snprintf(path, sizeof(path), "%s/control", c->dir);
	sim_control(path, "{\"command\": \"status\"}", on_status, c);
}

void chaos_judge_life(struct chaos *c, const struct sim_life *life)
{
	static const char *const how[] = { "ended by itself", "crashed", "broke" };

	if (life->end == SIM_BROKEN)
		chaos_broken(c, "%s", sim_failure());
	if (c->end == CHAOS_CRASHES ? life->end != SIM_CRASHED
				    : life->end != SIM_ENDED || c->end != CHAOS_STOPS)
		chaos_broken(c, "the program %s, code %d", how[life->end], life->code);
	if (life->end == SIM_ENDED && life->code != 0)
		chaos_broken(c, "told to stop, the program ended with %d", life->code);
	if (life->end == SIM_ENDED && life->sockets > 0)
		chaos_broken(c, "%zu sockets are left open", life->sockets);
	if (life->end == SIM_CRASHED)
		c->crashes++;
	else
		c->stops++;
}
