#include "common/config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the above, which it needs */
#include <cmocka.h>

static struct config *c;
static struct config_errors errs;

static int parse(const char *text)
{
	errs = (struct config_errors){ 0 };
	return config_parse(text, strlen(text), "k.yaml", &c, &errs);
}

static void done(void)
{
	config_free(c);
	c = NULL;
	config_errors_done(&errs);
}

static void print_messages(void)
{
	for (size_t i = 0; i < errs.n_errors; i++)
		print_message("%s\n", errs.errors[i].text);
	for (size_t i = 0; i < errs.n_warnings; i++)
		print_message("warning: %s\n", errs.warnings[i].text);
}

static void good(const char *text)
{
	int err = parse(text);

	if (err != 0 || errs.n_warnings != 0)
		print_messages();
	assert_int_equal(err, 0);
	assert_int_equal(errs.n_errors, 0);
	assert_int_equal(errs.n_warnings, 0);
	assert_non_null(c);
}

static void addr_is(const struct addr *a, const char *want)
{
	char buf[ADDR_TEXT_MAX];

	addr_format(a, buf);
	assert_string_equal(buf, want);
}

#define NODE "node: { target: kms1.corp.example }\n"

/* The example of design §4. */
static const char design[] =
	"node:\n"
	"  target: kms1.corp.example        # a comment\n"
	"  state_dir: /var/lib/kmsbeacon\n"
	"  control: { socket: /run/kmsbeacon/control.sock, mode: \"0660\", group: kmsbeacon }\n"
	"service:\n"
	"  mode: relay\n"
	"  listen: [\"0.0.0.0:1688\", \"[::]:1688\"]\n"
	"  allow: [192.0.2.0/24]\n"
	"lab: { key_file: /etc/kmsbeacon/lab.key, activation_interval: 120m, renewal_interval: 7d "
	"}\n"
	"relay:\n"
	"  upstreams:\n"
	"    - { name: winkms1, address: 10.0.0.11, port: 1688, priority: 0 }\n"
	"    - { name: winkms2, address: winkms2.corp.example, priority: 10 }\n"
	"  pool: { min: 2, max: 256, idle: 60s, queue: 1024 }\n"
	"  retry: 1\n"
	"  request_timeout: 5s\n"
	"keys:\n"
	"  - { name: corp, file: /etc/kmsbeacon/corp.key }\n"
	"hosts:\n"
	"  - { name: local, priority: 0, weight: 10 }\n"
	"  - { name: office, target: kms-office.corp.example, port: 1688, priority: 10, weight: 0 "
	"}\n"
	"health: { interval: 10s, timeout: 3s, rise: 2, fall: 3, min_stay: 1m, all_down: keep }\n"
	"publish:\n"
	"  ttl: 1h\n"
	"  ttl_policy: adopt\n"
	"  refresh: 15m\n"
	"  on_stop: keep\n"
	"  source: 192.0.2.10\n"
	"  domains:\n"
	"    - corp.example\n"
	"    - { domain: dept.example, server: [\"192.0.2.53\", \"[2001:db8::53]:5353\"], key: "
	"corp,\n"
	"        view: internal, ttl: 30m, hosts: [local] }\n"
	"    - Other.Example., 10, 100\n"
	"discovery: { profile: modern, suffixes: [corp.example], resolvers: [\"127.0.0.1:53\"], "
	"cache: "
	"true }\n"
	"limits: { connections: 20000, per_address: 200, idle: 30s }\n"
	"log: { level: info, format: text }\n";

static void t_design_example(void **state)
{
	const struct config_domain *d;
	uint16_t priority, weight;

	(void)state;
	good(design);
	assert_string_equal(c->origin, "k.yaml");
	assert_string_equal(c->node.target, "kms1.corp.example");
	assert_int_equal(c->node.control.mode, 0660);
	assert_int_equal(c->service.mode, CONFIG_SERVICE_RELAY);
	assert_int_equal(c->service.n_listen, 2);
	assert_false(c->service.listen_is_default || c->service.allow_is_default ||
		     c->lab.key_file_is_default);
	assert_int_equal(c->lab.activation_interval_min, 120);
	assert_int_equal(c->lab.renewal_interval_min, 7 * 24 * 60);
	assert_int_equal(c->relay.n_upstreams, 2);
	assert_string_equal(c->relay.upstreams[1].address, "winkms2.corp.example");
	assert_int_equal(c->relay.upstreams[1].port, 1688);
	assert_int_equal(c->relay.upstreams[1].line, 13);
	assert_int_equal(c->relay.pool.idle_ms, 60000);
	assert_int_equal(c->relay.request_timeout_ms, 5000);
	assert_int_equal(c->n_hosts, 2);
	assert_true(c->hosts[0].is_local);
	assert_string_equal(c->hosts[0].target, "kms1.corp.example");
	assert_int_equal(c->hosts[0].port, 1688);
	assert_false(c->hosts[1].is_local);
	assert_int_equal(c->publish.ttl_s, 3600);
	addr_is(&c->publish.source.v4, "192.0.2.10:0");
	assert_false(addr_is_set(&c->publish.source.v6));
	assert_int_equal(c->publish.n_domains, 3);

	d = &c->publish.domains[0]; /* everything inherited */
	assert_string_equal(d->domain, "corp.example");
	assert_string_equal(d->view, "");
	assert_int_equal(d->ttl_s, 3600);
	assert_int_equal(d->key, -1);
	assert_int_equal(d->n_server, 0);
	assert_int_equal(d->n_hosts, 2);
	assert_int_equal(d->line, 30);
	addr_is(&d->source.v4, "192.0.2.10:0");
	config_srv_values(d, &c->hosts[0], &priority, &weight);
	assert_int_equal(priority, 0);
	assert_int_equal(weight, 10);

	d = &c->publish.domains[1];
	assert_int_equal(d->key, 0);
	assert_string_equal(d->view, "internal");
	assert_int_equal(d->ttl_s, 1800);
	assert_int_equal(d->n_server, 2);
	assert_string_equal(d->server[1], "[2001:db8::53]:5353");
	assert_int_equal(d->n_hosts, 1);
	assert_int_equal(d->hosts[0], 0);

	d = &c->publish.domains[2];
	assert_string_equal(d->domain, "other.example");
	config_srv_values(d, &c->hosts[0], &priority, &weight);
	assert_int_equal(priority, 10);
	assert_int_equal(weight, 100);
	config_srv_values(d, &c->hosts[1], &priority, &weight); /* of `local` alone */
	assert_int_equal(priority, 10);
	assert_int_equal(weight, 0);

	addr_is(&c->discovery.resolvers[0], "127.0.0.1:53");
	assert_true(c->discovery.cache);
	assert_int_equal(c->limits.idle_ms, 30000);
	assert_int_equal(c->log.level, LOG_INFO);
	done();
}

static void t_defaults(void **state)
{
	struct addr a;
	bool in = false;

	(void)state;
	assert_int_equal(config_new_defaults(&c), 0);
	assert_null(c->origin);
	assert_string_equal(c->node.state_dir, "/var/lib/kmsbeacon");
	assert_string_equal(c->lab.key_file, "/var/lib/kmsbeacon/lab.key");
	assert_true(c->lab.key_file_is_default);
	assert_int_equal(c->service.mode, CONFIG_SERVICE_OFF);
	assert_true(c->service.listen_is_default);
	addr_is(&c->service.listen[0], "0.0.0.0:1688");
	addr_is(&c->service.listen[1], "[::]:1688");
	assert_true(c->service.allow_is_default);
	assert_int_equal(addr_parse("172.31.0.1", 1, &a), 0);
	for (size_t i = 0; i < c->service.n_allow; i++) {
		in = in || cidr_contains(&c->service.allow[i], &a);
		assert_true(c->service.allow[i].prefix > 0);
	}
	assert_true(in);
	assert_int_equal(c->n_hosts, 0);
	assert_int_equal(c->relay.pool.max, 256);
	assert_int_equal(c->health.min_stay_ms, 60000);
	assert_int_equal(c->discovery.n_resolvers, 0);
	assert_string_equal(c->discovery.resolv_conf, "/etc/resolv.conf");
	assert_int_equal(c->discovery.n_profiles, 1);
	assert_int_equal(c->discovery.profiles[0], CONFIG_PROFILE_MODERN);
	assert_int_equal(c->discovery.interval_ms, 300000);
	if (c->node.target != NULL)
		assert_non_null(strchr(c->node.target, '.'));
	done();
}

static void t_discovery(void **state)
{
	(void)state;
	good("discovery: { profile: vista, interval: 0s, resolv_conf: /run/resolv.conf }\n");
	assert_int_equal(c->discovery.n_profiles, 1);
	assert_int_equal(c->discovery.profiles[0], CONFIG_PROFILE_VISTA);
	assert_int_equal(c->discovery.interval_ms, 0);
	assert_string_equal(c->discovery.resolv_conf, "/run/resolv.conf");
	done();
	good("discovery: { profile: [vista, modern], interval: 1s }\n");
	assert_int_equal(c->discovery.n_profiles, 2);
	assert_int_equal(c->discovery.profiles[0], CONFIG_PROFILE_VISTA);
	assert_int_equal(c->discovery.profiles[1], CONFIG_PROFILE_MODERN);
	done();
}

static void t_what_depends_on_the_mode(void **state)
{
	(void)state;
	good(NODE
	     "service: { mode: lab }\npublish: { domains: [{ domain: x.example, lab: true }] }\n");
	addr_is(&c->service.listen[0], "127.0.0.1:1688");
	addr_is(&c->service.listen[1], "[::1]:1688");
	assert_int_equal(c->n_hosts, 1); /* `local`, without being written */
	assert_true(c->hosts[0].is_local);
	assert_int_equal(c->publish.domains[0].n_hosts, 1);
	done();
	good(NODE "service: { mode: lab, listen: \"192.0.2.1:1689\" }\n"
		  "publish: { domains: [{ domain: x.example, lab: true }] }\n");
	addr_is(&c->service.listen[0], "192.0.2.1:1689");
	assert_int_equal(c->hosts[0].port, 1689); /* no warning: a lab domain */
	done();
	good(NODE "service: { mode: lab, listen: \"127.0.0.1:0\" }\n"
		  "hosts: [{ name: local, port: 1700 }]\n");
	assert_int_equal(c->hosts[0].port, 1700);
	done();
	good(NODE "service: { mode: lab, listen: \"127.0.0.1:0\" }\n");
	assert_int_equal(c->hosts[0].port, 0); /* as the kernel will say */
	done();
}

#define OFFICE "hosts: [{ name: office, target: kms.corp.example }]\n"
#define RELAY                                                                                      \
	"service: { mode: relay }\n"                                                               \
	"relay: { upstreams: [{ name: w, address: kms.corp.example }] }\n"

static const struct {
	const char *text, *want;
} contradictions[] = {
	/* an unknown key, as the documentation shows it */
	{ "publish:\n  tll: 5\n", "k.yaml:2:3: publish.tll: unknown key, did you mean ttl?" },
	/* the service and what is published */
	{ NODE "service: { mode: lab }\npublish:\n  domains:\n    - corp.example\n",
	  "k.yaml:5:7: publish.domains[0].domain: `local` is published here and "
	  "service.mode is "
	  "lab, which refuses Windows for good; for a lab domain add `lab: true`, else "
	  "leave `local` out of the hosts" },
	{ NODE "hosts: [{ name: local }]\npublish:\n  domains:\n    - corp.example\n",
	  "k.yaml:5:7: publish.domains[0].domain: `local` is published here, but "
	  "service.mode is "
	  "off: clients would find nothing; set the mode, or leave `local` out of the "
	  "hosts" },
	{ NODE "publish: { domains: [a.example] }\n",
	  "k.yaml:2:21: publish.domains: there is no host to publish; give `hosts`, or set "
	  "service.mode" },
	{ NODE "service: { mode: relay }\n",
	  "k.yaml:1:1: relay.upstreams: service.mode is relay, which needs at least one "
	  "upstream, a licensed KMS host; or relay.srv, a name whose SRV records lead to them" },
	{ NODE "service: { mode: relay, listen: 127.0.0.1:1700 }\n"
	       "relay: { upstreams: [{ name: w, address: 127.0.0.1, port: 1700 }] }\n",
	  "k.yaml:3:42: relay.upstreams[0].address: 127.0.0.1 port 1700 is service.listen of this "
	  "very daemon: requests would go in a circle; name the licensed host itself" },
	{ NODE "service: { mode: relay }\n"
	       "relay: { upstreams: [{ name: w, address: 0.0.0.0 }] }\n",
	  "k.yaml:3:42: relay.upstreams[0].address: 0.0.0.0 is no address of a host" },
	{ NODE "service: { mode: relay }\n"
	       "relay: { upstreams: [{ name: w, address: \"ff02::1\" }] }\n",
	  "k.yaml:3:42: relay.upstreams[0].address: ff02::1 is no address of a host" },
	{ NODE "service: { mode: relay }\n"
	       "relay: { upstreams: [{ name: w, address: 255.255.255.255 }] }\n",
	  "k.yaml:3:42: relay.upstreams[0].address: 255.255.255.255 is no address of a host" },
	{ NODE "service: { mode: relay }\n"
	       "relay: { upstreams: [{ name: w, address: \"fe80::1\" }] }\n",
	  "k.yaml:3:42: relay.upstreams[0].address: fe80::1 is an address of one link: name the "
	  "interface that leads there too, as fe80::1%eth0" },
	{ NODE "service: { mode: relay }\n" /* on all addresses */
	       "relay: { upstreams: [{ name: w, address: localhost }] }\n",
	  "k.yaml:3:42: relay.upstreams[0].address: localhost port 1688 is service.listen of this "
	  "very daemon: requests would go in a circle; name the licensed host itself" },
	{ NODE "service: { mode: relay }\n"
	       "relay: { srv: _vlmcs._tcp.a.example }\n"
	       "publish: { domains: [a.example] }\n",
	  "k.yaml:3:15: relay.srv: `local` is published under this name (line 4): requests would "
	  "go in a circle; give the hosts a name of their own, such as _kms._tcp.hosts.a.example" },
	{ NODE "service: { mode: relay }\n"
	       "relay: { upstreams: [{ name: w, address: 192.0.2.1, lab: true }] }\n"
	       "publish: { domains: [{ domain: l.example, lab: true }, a.example] }\n",
	  "k.yaml:4:56: publish.domains[1].domain: `local` is published here, and all its "
	  "upstreams are lab hosts, which no Windows client may be sent to; for a lab domain add "
	  "`lab: true`, else give a licensed upstream" },
	{ "relay: { pool: { min: 20, max: 10 } }\n",
	  "k.yaml:1:23: relay.pool.min: 20 is more than relay.pool.max, which is 10" },
	/* discovery */
	{ "discovery: { profile: [vista, vista] }\n",
	  "k.yaml:1:31: discovery.profile[1]: 'vista' is given twice" },
	{ "discovery: { profile: xp }\n",
	  "k.yaml:1:23: discovery.profile[0]: 'xp' is not known here, modern or vista is allowed" },
	{ "discovery: { interval: 999ms }\n",
	  "k.yaml:1:24: discovery.interval: is too short; 1s to 1d is allowed, or 0s for never" },
	/* names */
	{ "node: { target: kms1 }\n",
	  "k.yaml:1:17: node.target: 'kms1' has no dot; a full name such as "
	  "kms1.corp.example is needed" },
	{ "hosts: [{ name: a, target: kms }]\n",
	  "k.yaml:1:28: hosts[0].target: 'kms' has no dot; a full name such as "
	  "kms.corp.example is needed" },
	{ "hosts:\n  - { name: a }\n",
	  "k.yaml:2:5: hosts[0].target: is missing: the name that the SRV record of 'a' "
	  "points to" },
	{ "hosts: [{ name: a, target: 192.0.2.1 }]\n",
	  "k.yaml:1:28: hosts[0].target: '192.0.2.1' looks like an address, a name is "
	  "needed" },
	{ NODE RELAY "hosts: [{ name: local, target: other.corp.example }]\n",
	  "k.yaml:4:32: hosts[0].target: the target of `local` is node.target "
	  "(kms1.corp.example); change that, and leave this out" },
	/* handles */
	{ OFFICE "publish:\n  domains:\n    - { domain: a.example, key: crop }\n",
	  "k.yaml:4:33: publish.domains[0].key: no key has the name 'crop'; `keys` has: "
	  "none" },
	{ OFFICE "keys: [{ name: corp, file: f }, { name: b, file: g }]\npublish:\n"
		 "  domains:\n    - { domain: a.example, key: crop }\n",
	  "k.yaml:5:33: publish.domains[0].key: no key has the name 'crop'; `keys` has: "
	  "corp, b" },
	{ OFFICE "publish: { domains: [{ domain: a.example, hosts: [offic] }] }\n",
	  "k.yaml:2:51: publish.domains[0].hosts[0]: no host has the name 'offic'; `hosts` "
	  "has: office" },
	{ OFFICE "publish: { domains: [{ domain: a.example, hosts: [office, office] }] }\n",
	  "k.yaml:2:59: publish.domains[0].hosts[1]: 'office' is given twice" },
	/* domains */
	{ OFFICE "publish:\n  domains:\n    - a.example\n    - b.example\n    - A.Example.\n",
	  "k.yaml:6:7: publish.domains[2].domain: a.example is already in line 4" },
	{ OFFICE "publish:\n  domains:\n    - { domain: a.example, view: x, key: k }\n"
		 "    - { domain: a.example, view: x }\nkeys: [{ name: k, file: f }]\n",
	  "k.yaml:5:17: publish.domains[1].domain: a.example in view x is already in line "
	  "4" },
	{ OFFICE "publish:\n  domains:\n    - { domain: a.example, view: x }\n"
		 "    - a.example\n",
	  "k.yaml:5:7: publish.domains[1].domain: has the same server, key and source as "
	  "a.example in line 4: the server would show both the same view, since it chooses "
	  "by key or source" },
	{ OFFICE "publish: { domains: [_vlmcs._tcp.a.example] }\n",
	  "k.yaml:2:22: publish.domains[0].domain: give the domain alone: a.example; "
	  "_vlmcs._tcp. is put in front of it" },
	{ OFFICE "publish:\n  domains:\n    - a.example, 10\n",
	  "k.yaml:4:7: publish.domains[0].priority: is for `local`, which is not published "
	  "here; give it under `hosts`" },
	{ "hosts: [{ name: a, target: k.x.example }, { name: b, target: K.x.example }]\n"
	  "publish:\n  domains:\n    - a.example\n",
	  "k.yaml:4:7: publish.domains[0].domain: the hosts 'a' and 'b' both mean "
	  "k.x.example "
	  "port "
	  "1688; publish one of them here" },
	{ "publish: { source: [192.0.2.1, 192.0.2.2] }\n",
	  "k.yaml:1:32: publish.source[1]: a second address of the same family; one IPv4 "
	  "and one IPv6 address are allowed" },
	{ "publish: { source: \"192.0.2.1:53\" }\n",
	  "k.yaml:1:20: publish.source[0]: '192.0.2.1:53' has a port, an address alone is "
	  "allowed" },
	/* discovery */
	{ "discovery: { manual_host: \"2001:db8::1:1688\" }\n",
	  "k.yaml:1:27: discovery.manual_host: 'db8::1:1688' is no port (1 to 65535); an IPv6 "
	  "address needs brackets, such as [2001:db8::1]:1688" },
	{ "discovery: { products: [{ application: office, manual_host: \":1688\" }] }\n",
	  "k.yaml:1:61: discovery.products[0].manual_host: ':1688' has no host name" },
	{ "discovery: { products: [{ application: excel }] }\n",
	  "k.yaml:1:40: discovery.products[0].application: 'excel' is neither windows nor office "
	  "nor a GUID" },
	{ "discovery: { products: [{ application: office, activation_id: 12 }] }\n",
	  "k.yaml:1:63: discovery.products[0].activation_id: '12' is no GUID" },
	{ "discovery:\n  products:\n    - { application: office }\n    - { application: Office }\n",
	  "k.yaml:4:22: discovery.products[1].application: the same product is already in line 3" },
	/* what must not be here */
	{ "keys: [{ name: k, file: f, secret: c2VjcmV0 }]\n",
	  "k.yaml:1:28: keys[0].secret: no secret may stand in this file; `file` names a "
	  "BIND key file with mode 0600" },
	{ "lab: { activation_interval: 5m }\n",
	  "k.yaml:1:29: lab.activation_interval: '5m' is out of range, 15m to 30d is "
	  "allowed" },
	{ "", "k.yaml:1:1: the file is empty; it needs at least one setting" },
};

static void t_errors_between_settings(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(contradictions) / sizeof(contradictions[0]); i++) {
		assert_int_equal(parse(contradictions[i].text), ERR_CONFIG);
		assert_null(c);
		if (errs.n_errors != 1)
			print_messages();
		assert_int_equal(errs.n_errors, 1);
		assert_string_equal(errs.errors[0].text, contradictions[i].want);
		done();
	}
}

static void t_same_domain_in_several_views(void **state)
{
	(void)state;
	good(OFFICE
	     "keys: [{ name: k, file: f }]\n"
	     "publish:\n"
	     "  domains:\n"
	     "    - a.example\n"
	     "    - { domain: a.example, view: key, key: k }\n"
	     "    - { domain: a.example, view: server, server: ns.example }\n"
	     "    - { domain: a.example, view: source, source: [192.0.2.1, \"2001:db8::1\"] }\n"
	     "    - b.a.example\n"); /* below another: its records have another name */
	addr_is(&c->publish.domains[3].source.v6, "[2001:db8::1]:0");
	assert_int_equal(c->publish.domains[2].n_server, 1);
	done();
}

static void t_same_target_in_different_domains(void **state)
{
	(void)state;
	good("hosts: [{ name: a, target: k.x.example }, { name: b, target: k.x.example, "
	     "priority: 9 }]\n"
	     "publish: { domains: [{ domain: a.example, hosts: a }, { domain: b.example, hosts: b "
	     "}] }\n");
	assert_int_equal(c->publish.domains[1].hosts[0], 1);
	done();
}

static void t_warnings(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ NODE RELAY "hosts:\n  - name: local\n  - name: office\n"
			     "    target: kms.corp.example\n"
			     "publish: { domains: [a.example] }\n",
		  "k.yaml:6:11: hosts[1].name: 'office' is published and also the upstream 'w': "
		  "clients "
		  "reach it both through the relay and beside it" },
		{ NODE "service: { mode: relay }\n"
		       "relay: { upstreams: [{ name: v, address: Kms.x.example },\n"
		       "  { name: w, address: kms.x.example., port: 9 },\n"
		       "  { name: x, address: kms.x.example. }] }\n",
		  "k.yaml:5:23: relay.upstreams[2].address: kms.x.example port 1688 is the "
		  "upstream 'v' of line 3 already: one host is asked, and counted, as two" },
		{ NODE "service: { mode: relay }\n"
		       "relay: { upstreams: [{ name: w, address: kms1.corp.example }] }\n",
		  "k.yaml:3:42: relay.upstreams[0].address: kms1.corp.example is node.target, the "
		  "name of this very service; name the licensed host itself" },
		{ NODE "service: { mode: relay }\n"
		       "relay: { upstreams: [{ name: v, address: 198.51.100.1 },\n"
		       "  { name: w, address: 198.51.100.2, lab: true }] }\n"
		       "publish: { domains: [a.example] }\n",
		  "k.yaml:4:42: relay.upstreams[1].lab: 'w' is a lab host, and `local` is "
		  "published in a.example, which is no lab domain: while lab hosts alone are up, "
		  "Windows clients that still come are taken, and get a fault for an answer" },
		{ "hosts: [{ name: a, target: kms.x.example, port: 1689 }]\n"
		  "publish: { domains: [a.example] }\n",
		  "k.yaml:1:49: hosts[0].port: port 1689 is published for 'a'; clients that are "
		  "given a host without a port use 1688" },
		{ OFFICE "publish: { ttl: 0s, domains: [a.example] }\n",
		  "k.yaml:2:17: publish.ttl: a TTL of 0 lets nobody keep the answer: each "
		  "discovery "
		  "asks the authoritative servers" },
		{ OFFICE "publish: { domains: [{ domain: a.example, ttl: 0s }] }\n",
		  "k.yaml:2:48: publish.domains[0].ttl: a TTL of 0 lets nobody keep the answer: "
		  "each "
		  "discovery asks the authoritative servers" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(rows[i].text), 0);
		if (errs.n_warnings != 1)
			print_messages();
		assert_int_equal(errs.n_warnings, 1);
		assert_int_equal(errs.n_errors, 0);
		assert_string_equal(errs.warnings[0].text, rows[i].want);
		done();
	}
	/* other ports and addresses than our own, hosts that records name, a domain for the lab */
	good(NODE
	     "service: { mode: relay, listen: [\"127.0.0.1:1700\", \"127.0.0.2:0\"] }\n"
	     "relay: { srv: _KMS._tcp.hosts.x.example, log_file: r.log, upstreams: [\n"
	     "  { name: v, address: 127.0.0.1 }, { name: w, address: 127.0.0.3, port: 1700 },\n"
	     "  { name: x, address: \"::1\", port: 1700, lab: true }] }\n"
	     "publish: { domains: [{ domain: l.example, lab: true }] }\n");
	assert_string_equal(c->relay.srv, "_kms._tcp.hosts.x.example");
	assert_string_equal(c->relay.log_file, "r.log");
	done();
	good(NODE "service: { mode: relay }\nrelay: { srv: _vlmcs._tcp.hosts.x.example }\n"
		  "publish: { domains: [x.example] }\n");
	done();
	/* not published: nothing to warn of */
	good(NODE RELAY "hosts: [{ name: o, target: kms.corp.example, port: 9 }]\n");
	done();
}

/* In the order of the file, and nothing that only follows from another error. */
static void t_all_errors_at_once(void **state)
{
	(void)state;
	assert_int_equal(parse("node: { target: kms1 }\n" /* found last, shown first */
			       "publish:\n"
			       "  domains:\n"
			       "    - { domain: a.example, key: k, hosts: [h] }\n"
			       "keys:\n"
			       "  - { name: k k, file: f }\n"
			       "hosts:\n"
			       "  - { name: h h }\n"
			       "relay: { retry: x }\n"
			       "service: { mode: relay }\n"),
			 ERR_CONFIG);
	assert_int_equal(errs.n_errors, 4);
	assert_int_equal(errs.errors[0].line, 1);
	assert_int_equal(errs.errors[1].line, 6);
	assert_int_equal(errs.errors[2].line, 8);
	assert_int_equal(errs.errors[3].line, 9);
	done();
}

static void t_many_errors_are_counted(void **state)
{
	char text[40 * 400] = "";
	size_t len = 0;

	(void)state;
	for (int i = 0; i < 400; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "nonsense%d: 1\n", i);
	assert_int_equal(parse(text), ERR_CONFIG);
	assert_int_equal(errs.n_errors, CONFIG_MSGS_MAX);
	assert_int_equal(errs.dropped, 300);
	assert_int_equal(errs.errors[99].line, 100);
	done();
}

/* As large as it may be, and bad for whatever compares each with each. */
static void t_many_domains(void **state)
{
	size_t max = CONFIG_SIZE_MAX, len;
	char *text = malloc(max + 1);

	(void)state;
	assert_non_null(text);
	len = (size_t)snprintf(text, max, OFFICE "publish:\n  domains:\n");
	for (int i = 0; i < CONFIG_DOMAINS_MAX; i++)
		len += (size_t)snprintf(text + len, max - len,
					"  - { domain: a.example, view: v%d, server: s%d.x }\n", i,
					i);
	good(text);
	assert_int_equal(c->publish.n_domains, CONFIG_DOMAINS_MAX);
	done();
	len = (size_t)snprintf(text, max, OFFICE "publish:\n  domains:\n");
	for (int i = 0; i <= CONFIG_DOMAINS_MAX; i++)
		len += (size_t)snprintf(text + len, max - len, "  - d%d.example\n", i % 10);
	assert_int_equal(parse(text), ERR_CONFIG);
	assert_string_equal(errs.errors[0].text,
			    "k.yaml:4:3: publish.domains: has 10001 entries, 10000 are allowed");
	done();
	*strrchr(text, '-') = '#';
	assert_int_equal(parse(text), ERR_CONFIG);
	assert_int_equal(errs.n_errors, CONFIG_MSGS_MAX);
	assert_int_equal(errs.n_errors + errs.dropped, CONFIG_DOMAINS_MAX - 10);
	done();
	free(text);
}

static char *dump(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	config_dump(c, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void t_dump_reads_back(void **state)
{
	static const char *const rows[] = {
		design,
		NODE "service: { mode: lab, listen: [\"127.0.0.1:0\"] }\n"
		     "publish: { domains: [{ domain: x.example, lab: true }] }\n",
		OFFICE "publish: { source: [192.0.2.1, \"2001:db8::1\"] }\n",
		"log: { level: debug, format: json }\n",
		"node: { state_dir: \"/b\xc3\xbcro \xe2\x82\xac \xf0\x9f\x98\x80\" }\n",
		"discovery: { profile: [vista, modern], interval: 0s, resolv_conf: r }\n",
		"discovery: { primary_suffix: corp.example, search_list: [a.example, b.example],\n"
		"  manual_host: \":1700\", cache_write: activated, products: [\n"
		"    { application: office, lookup_domain: o.example, activation_type: kms }] }\n",
	};
	char *first, *again;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		good(rows[i]);
		first = dump();
		done();
		good(first);
		again = dump();
		done();
		assert_string_equal(first, again);
		free(first);
		free(again);
	}
}

static char *example(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	config_print_example(out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void t_example_is_the_file(void **state)
{
	static char file[65536];
	char *text = example();
	FILE *f = fopen("configs/kmsbeacon.yaml", "re");
	size_t n;

	(void)state;
	assert_non_null(f);
	n = fread(file, 1, sizeof(file) - 1, f);
	file[n] = '\0';
	assert_int_equal(fclose(f), 0);
	assert_string_equal(file, text);
	free(text);
}

/* As it is, it means the defaults; with every setting switched on it is a complete file. */
static void t_example_is_right(void **state)
{
	char *text = example(), *on = malloc(strlen(text) + 1), *out = on;
	size_t settings = 0;

	(void)state;
	assert_non_null(on);
	good(text);
	assert_int_equal(c->service.mode, CONFIG_SERVICE_OFF);
	assert_int_equal(c->publish.n_domains, 0);
	done();
	for (const char *p = text; *p != '\0';) {
		size_t indent = strspn(p, " "), len = strcspn(p, "\n") + 1;

		memcpy(out, p, indent);
		out += indent;
		if (p[indent] == '#' && p[indent + 1] != ' ' && p[indent + 1] != '\n') {
			indent++;
			settings++;
		}
		memcpy(out, p + indent, len - indent);
		out += len - indent;
		p += len;
	}
	*out = '\0';
	assert_true(settings > 50);
	good(on);
	assert_int_equal(c->service.mode, CONFIG_SERVICE_RELAY);
	assert_int_equal(c->publish.n_domains, 3);
	assert_int_equal(c->publish.domains[2].ttl_s, 1800);
	assert_int_equal(c->n_keys, 1);
	assert_string_equal(c->node.control.group, "kmsbeacon");
	done();
	free(on);
	free(text);
}

static void t_files(void **state)
{
	char dir[] = "/tmp/test_config.XXXXXX", path[64];
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/k.yaml", dir);
	errs = (struct config_errors){ 0 };
	assert_int_equal(config_load(path, &c, &errs), ERR_CONFIG);
	assert_null(c);
	assert_int_equal(errs.n_errors, 1);
	assert_non_null(strstr(errs.errors[0].text, "No such file"));
	done();
	assert_int_equal(config_load(dir, &c, &errs), ERR_CONFIG);
	assert_non_null(strstr(errs.errors[0].text, "not a regular file"));
	done();
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fputs("log: { level: debug }\n", f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(config_load(path, &c, &errs), 0);
	assert_int_equal(c->log.level, LOG_DEBUG);
	assert_string_equal(c->origin, path);
	config_errors_add(&errs, c, 12, "keys.corp.file", "cannot open %s", "f");
	assert_non_null(strstr(errs.errors[0].text, "/k.yaml:12: keys.corp.file: cannot open f"));
	done();
	assert_int_equal(truncate(path, CONFIG_SIZE_MAX + 1), 0);
	assert_int_equal(config_load(path, &c, &errs), ERR_CONFIG);
	assert_non_null(strstr(errs.errors[0].text, "are allowed"));
	done();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void on_change(void *ctx, const char *setting)
{
	char *all = ctx;
	size_t len = strlen(all);

	(void)snprintf(all + len, 200 - len, "%s ", setting);
}

static void t_listening_elsewhere(void **state)
{
	struct addr at[2];

	(void)state;
	assert_int_equal(addr_parse("127.0.0.7:1700", 0, &at[0]), 0);
	assert_int_equal(addr_parse("[::1]:1701", 0, &at[1]), 0);
	good(NODE RELAY);
	assert_int_equal(config_set_listen(c, at, 2), 0);
	assert_int_equal(c->service.n_listen, 2);
	assert_false(c->service.listen_is_default);
	addr_is(&c->service.listen[1], "[::1]:1701");
	assert_int_equal(c->hosts[0].port, 1700); /* what is published follows */
	done();
	good(NODE RELAY "hosts: [{ name: local, port: 1688 }]\n");
	assert_int_equal(config_set_listen(c, at, 1), 0);
	assert_int_equal(c->hosts[0].port, 1688); /* unless it was given: a firewall maps it */
	done();
}

static void t_need_restart(void **state)
{
	char changes[200] = "";
	struct config *before;

	(void)state;
	good("service: { allow: 10.0.0.0/8 }\n" OFFICE);
	before = c;
	good("service: { mode: lab, listen: 127.0.0.1, allow: 192.0.2.1 }\nlog: { level: debug }\n"
	     "node: { target: a.example, state_dir: /x, control: { mode: \"0600\" } }\n");
	config_need_restart(before, c, on_change, changes);
	assert_string_equal(changes, "node.state_dir node.control.mode service.mode service.listen "
				     "lab.key_file ");
	config_free(before);
	done();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_design_example),
		cmocka_unit_test(t_defaults),
		cmocka_unit_test(t_discovery),
		cmocka_unit_test(t_what_depends_on_the_mode),
		cmocka_unit_test(t_errors_between_settings),
		cmocka_unit_test(t_same_domain_in_several_views),
		cmocka_unit_test(t_same_target_in_different_domains),
		cmocka_unit_test(t_warnings),
		cmocka_unit_test(t_all_errors_at_once),
		cmocka_unit_test(t_many_errors_are_counted),
		cmocka_unit_test(t_many_domains),
		cmocka_unit_test(t_dump_reads_back),
		cmocka_unit_test(t_example_is_the_file),
		cmocka_unit_test(t_example_is_right),
		cmocka_unit_test(t_files),
		cmocka_unit_test(t_listening_elsewhere),
		cmocka_unit_test(t_need_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
