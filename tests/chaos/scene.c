/* Who is there: the servers and zones, the hosts, the clients, and the program's configuration. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/chaos/chaos.h"

#define SELF "10.0.0.2"
#define KEY                                                                                        \
	"key \"corp\" { algorithm hmac-sha256; secret "                                            \
	"\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"; };\n"

const char *const chaos_zone_name[] = { "corp.example", "dept.example" };
const char *const chaos_server_name[] = { "ns1", "ns2", "ns3" };
const char *const chaos_host_name[] = { "kms1", "kms2", "office" };
const char *const chaos_client_name[] = { "c1", "c2", "c3", "c4",  "c5",  "c6",
					  "c7", "c8", "c9", "c10", "c11", "c12" };

static const char *const server_ip[] = { "10.0.0.53", "10.0.0.54", "10.0.0.55" };
static const char *const host_at[] = { "10.0.1.1:1688", "10.0.1.2:1688", "10.0.1.3:1688" };

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (f == NULL || fchmod(fileno(f), 0600) != 0 || fputs(text, f) == EOF || fclose(f) != 0)
		sim_fail("cannot write %s", path);
}

void chaos_scene(struct chaos *c)
{
	struct sim_dns_server *second[2];

	for (unsigned i = 0; i < CHAOS_SERVERS; i++)
		c->server[i] = sim_dns_server(chaos_server_name[i], server_ip[i]);
	(void)sim_resolver("dns", "10.0.0.1", true);
	c->zone[0] = sim_zone(chaos_zone_name[0], c->server, 2, KEY, NULL);
	second[0] = c->server[2];
	second[1] = c->server[0];
	c->zone[1] = sim_zone(chaos_zone_name[1], second, 2, KEY, NULL);
	sim_zone_add(c->zone[0], "relay.corp.example", "A", 3600, SELF);
	sim_zone_add(c->zone[0], "office.corp.example", "A", 3600, "10.0.1.3");
	for (unsigned i = 0; i < CHAOS_HOSTS; i++)
		c->host[i] = sim_kms_host(chaos_host_name[i], host_at[i]);
	for (unsigned i = 0; i < CHAOS_CLIENTS; i++) {
		char ip[24];

		snprintf(ip, sizeof(ip), "10.0.9.%u", i + 1);
		c->client[i] = sim_kms_client(chaos_client_name[i], ip);
		sim_kms_keep(c->client[i], i % 3 == 0);
	}
	write_file(c->dir, "corp.key", KEY);
}

void chaos_config_draw(struct chaos *c)
{
	c->config = (struct chaos_config){
		.local_weight = (uint16_t)chaos_rand(0, 3),
		.office_priority = (uint16_t)chaos_rand(0, 1),
		.office_in_second = chaos_chance(50),
		.ttl_s = chaos_chance(50) ? 3600 : 1800,
		.refresh_min = chaos_chance(50) ? 15 : 5,
		.local_weighted_first = chaos_chance(50),
	};
}

void chaos_config_write(const struct chaos *c)
{
	const struct chaos_config *g = &c->config;
	char text[4096];

	snprintf(text, sizeof(text),
		 "node: { target: relay.corp.example, state_dir: %s/state, control: { socket: "
		 "%s/control } }\n"
		 "service: { mode: relay, listen: [\"" SELF ":1688\"], allow: [10.0.0.0/8] }\n"
		 "relay:\n"
		 "  upstreams:\n"
		 "    - { name: kms1, address: 10.0.1.1, priority: %d }\n"
		 "    - { name: kms2, address: 10.0.1.2, priority: %d }\n"
		 "keys: [ { name: corp, file: %s/corp.key } ]\n"
		 "hosts:\n"
		 "  - { name: local, weight: %u }\n"
		 "  - { name: office, target: office.corp.example, port: 1688, priority: %u }\n"
		 "publish:\n"
		 "  ttl: %us\n"
		 "  refresh: %um\n"
		 "  domains:\n"
		 "    - { domain: %s, key: corp, hosts: [local, office] }\n"
		 "    - { domain: %s, key: corp, hosts: [%s] }\n"
		 "discovery: { suffixes: [%s], resolvers: [\"10.0.0.1:53\"] }\n",
		 c->dir, c->dir, g->local_weighted_first ? 0 : 1, g->local_weighted_first ? 1 : 0,
		 c->dir, g->local_weight, g->office_priority, g->ttl_s, g->refresh_min,
		 chaos_zone_name[0], chaos_zone_name[1],
		 g->office_in_second ? "local, office" : "local", chaos_zone_name[0]);
	write_file(c->dir, "kmsbeacon.yaml", text);
}

size_t chaos_wanted(const struct chaos *c, unsigned zone,
		    char ret[CHAOS_SET_MAX][SIM_DNS_RDATA_MAX])
{
	const struct chaos_config *g = &c->config;
	size_t n = 0;

	snprintf(ret[n++], SIM_DNS_RDATA_MAX, "0 %u 1688 relay.corp.example", g->local_weight);
	if (zone == 0 || g->office_in_second)
		snprintf(ret[n++], SIM_DNS_RDATA_MAX, "%u 0 1688 office.corp.example",
			 g->office_priority);
	return n;
}

static void client_turn(void *ctx, uint64_t i)
{
	struct chaos *c = ctx;
	struct addr at;

	if (c->phase == CHAOS_OVER)
		return;
	if (addr_parse(SELF, 1688, &at) != 0)
		sim_fail("the address of the relay is wrong");
	if (!sim_kms_waits(c->client[i]))
		sim_kms_ask(c->client[i], &at);
	sim_after(chaos_rand(1000, c->phase == CHAOS_TROUBLE ? 60000 : 600000), client_turn, c, i);
}

void chaos_clients_begin(struct chaos *c)
{
	for (unsigned i = 0; i < CHAOS_CLIENTS; i++)
		sim_after(chaos_rand(1000, 60000), client_turn, c, i);
}
