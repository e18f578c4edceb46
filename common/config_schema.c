/* Every setting of design §4, declared once. The texts stand in the example and in the manual. */
#include "common/config_priv.h"

#define FIELD(S, m) .offset = offsetof(struct S, m), .size = sizeof(((struct S *)0)->m)
#define LIST(S, m, n, most)                                                                        \
	.offset = offsetof(struct S, m), .size = sizeof(*((struct S *)0)->m),                      \
	.count = offsetof(struct S, n), .max_items = (most)
#define SCHEMA(S, table)                                                                           \
	{                                                                                          \
		.items = (table), .size = sizeof(struct S)                                         \
	}

#define MS         1
#define SECOND     1000
#define MINUTE     60000
#define DAY_MS     86400000
#define PATH_LEN   .min = 1, .max = 1024
#define SOCKET_LEN .min = 1, .max = 107 /* sun_path, with its zero */
#define PORT       .min = 1, .max = 65535
#define SRV_VALUE  .min = 0, .max = 65535

static const struct cfg_item control_items[] = {
	{ "socket", CFG_STR, FIELD(config_control, socket), SOCKET_LEN, .restart = true,
	  .def = "/run/kmsbeacon/control.sock",
	  .doc = "Socket on which the daemon takes commands such as `kmsbeacon status`." },
	{ "mode", CFG_OCTAL, FIELD(config_control, mode), .max = 0777, .restart = true,
	  .def = "0660",
	  .doc = "Permissions of the socket: who may write to it commands the daemon." },
	{ "group", CFG_STR, FIELD(config_control, group), .min = 1, .max = 32, .restart = true,
	  .def_doc = "the daemon's own group", .example = "kmsbeacon",
	  .doc = "Group that owns the socket." },
	{ 0 },
};
static const struct cfg_schema control = SCHEMA(config_control, control_items);

static const struct cfg_item node_items[] = {
	{ "target", CFG_NAME, FIELD(config_node, target), .def_doc = "this machine's full name",
	  .example = "kms1.corp.example",
	  .doc = "Name that is published for the host `local`; it needs a dot and must have an "
		 "address." },
	{ "state_dir", CFG_STR, FIELD(config_node, state_dir), PATH_LEN, .restart = true,
	  .def = "/var/lib/kmsbeacon",
	  .doc = "Folder for the state: what was published, the clients that were seen, the "
		 "lock." },
	{ "user", CFG_STR, FIELD(config_node, user), .min = 1, .max = 32, .restart = true,
	  .def_doc = "none", .example = "kmsbeacon",
	  .doc = "User that the daemon becomes when it is started as root, once its ports and "
		 "files are open. Key files have to be his, for a reload to read them." },
	{ "control", CFG_MAP, FIELD(config_node, control), .sub = &control,
	  .doc = "The control socket." },
	{ 0 },
};
static const struct cfg_schema node = SCHEMA(config_node, node_items);

static const char *const service_modes[] = { "off", "lab", "relay", NULL };
static const struct cfg_item service_items[] = {
	{ "mode", CFG_ENUM, FIELD(config_service, mode), .words = service_modes, .restart = true,
	  .def = "off", .example = "relay",
	  .doc = "relay passes requests to licensed KMS hosts; lab answers kmsbeacon's own lab "
		 "clients and refuses all others; off runs no service." },
	{ "listen", CFG_ADDR, .list = true, .one_ok = true,
	  LIST(config_service, listen, n_listen, 16), .min = CONFIG_KMS_PORT, .max = 1,
	  .restart = true, .def_doc = "all addresses, port 1688; in mode lab only loopback",
	  .example = "[\"0.0.0.0:1688\", \"[::]:1688\"]",
	  .doc = "Addresses on which the service listens." },
	{ "allow", CFG_CIDR, .list = true, .one_ok = true,
	  LIST(config_service, allow, n_allow, 1024),
	  .def_doc = "loopback, RFC 1918, IPv6 ULA, and the networks of this machine's interfaces",
	  .example = "[127.0.0.0/8, 192.0.2.0/24]",
	  .doc = "Networks of the clients; connections from elsewhere are closed before a byte is "
		 "read." },
	{ 0 },
};
static const struct cfg_schema service = SCHEMA(config_service, service_items);

/* Limits of the intervals: those of Windows' VLActivationInterval and VLRenewalInterval. */
static const char *const lab_products[] = { "windows", "server", "office", NULL };
static const struct cfg_item lab_items[] = {
	{ "key_file", CFG_STR, FIELD(config_lab, key_file), PATH_LEN, .restart = true,
	  .def_doc = "lab.key in node.state_dir, made where it is missing",
	  .example = "/etc/kmsbeacon/lab.key",
	  .doc = "Key that lab hosts and lab clients share, mode 0600 (`kmsbeacon lab keygen` "
		 "makes one)." },
	{ "activation_interval", CFG_DURATION, FIELD(config_lab, activation_interval_min),
	  .unit = MINUTE, .min = 15, .max = 43200, .def = "120m",
	  .doc = "How often a lab client that is not activated tries again, in whole minutes." },
	{ "renewal_interval", CFG_DURATION, FIELD(config_lab, renewal_interval_min), .unit = MINUTE,
	  .min = 15, .max = 43200, .def = "7d",
	  .doc = "How often an activated lab client renews, in whole minutes." },
	{ "products", CFG_ENUM, .list = true, .one_ok = true,
	  LIST(config_lab, products, n_products, 3), .words = lab_products, .def_doc = "all",
	  .example = "[windows, server]",
	  .doc = "What the lab host serves; requests of other lab clients get 0xC004F042, as those "
		 "that a host's key does not cover." },
	{ "activated", CFG_BOOL, FIELD(config_lab, activated), .def = "true",
	  .doc = "false: the lab host answers 0xC004F041, as one whose own key is not activated, "
		 "to rehearse that." },
	{ 0 },
};
static const struct cfg_schema lab = SCHEMA(config_lab, lab_items);

static const struct cfg_item upstream_items[] = {
	{ "name", CFG_ID, FIELD(config_upstream, name), .required = true, .unique = true,
	  .example = "winkms1", .doc = "Name of the host in messages and in `kmsbeacon status`." },
	{ "address", CFG_HOST, FIELD(config_upstream, address), .required = true,
	  .example = "10.0.0.11", .doc = "Its name or IP address." },
	{ "port", CFG_UINT, FIELD(config_upstream, port), PORT, .def = "1688",
	  .doc = "Its TCP port." },
	{ "priority", CFG_UINT, FIELD(config_upstream, priority), SRV_VALUE, .def = "0",
	  .doc = "Lower is asked first; clients are spread over hosts of equal priority." },
	{ "lab", CFG_BOOL, FIELD(config_upstream, lab), .def = "false",
	  .doc = "Whether it is a lab host of kmsbeacon: lab messages go to no other." },
	{ 0 },
};
static const struct cfg_schema upstream = {
	.items = upstream_items,
	.size = sizeof(struct config_upstream),
	.line = offsetof(struct config_upstream, line),
};

static const struct cfg_item pool_items[] = {
	{ "min", CFG_UINT, FIELD(config_pool, min), .max = 1024, .def = "2",
	  .doc = "Connections held open to each upstream." },
	{ "max", CFG_UINT, FIELD(config_pool, max), .min = 1, .max = 4096, .def = "256",
	  .doc = "Connections to each upstream at most." },
	{ "idle", CFG_DURATION, FIELD(config_pool, idle_ms), .unit = MS, .min = 1000, .max = DAY_MS,
	  .def = "60s",
	  .doc = "Connections beyond `min` are closed after this time without a request." },
	{ "queue", CFG_UINT, FIELD(config_pool, queue), .min = 1, .max = 65536, .def = "1024",
	  .doc = "Requests that may wait for a free connection to an upstream." },
	{ 0 },
};
static const struct cfg_schema pool = SCHEMA(config_pool, pool_items);

static const struct cfg_item relay_items[] = {
	{ "upstreams", CFG_MAP_LIST,
	  LIST(config_relay, upstreams, n_upstreams, CONFIG_UPSTREAM_MAX), .sub = &upstream,
	  .example = "- { name: winkms2, address: winkms2.corp.example, priority: 10 }",
	  .doc = "The licensed KMS hosts that answer, in order of preference." },
	{ "srv", CFG_NAME, FIELD(config_relay, srv), .def_doc = "none",
	  .example = "_kms._tcp.hosts.corp.example",
	  .doc = "Name of SRV records of your own that lead to further upstreams, looked up again "
		 "when their TTL is over. Not the name that clients ask for, _vlmcs._tcp.DOMAIN: "
		 "that leads here." },
	{ "pool", CFG_MAP, FIELD(config_relay, pool), .sub = &pool,
	  .doc = "Connections to the upstreams." },
	{ "retry", CFG_UINT, FIELD(config_relay, retry), .max = 16, .def = "1",
	  .doc = "Further upstreams that are tried when one fails; one that cannot be connected to "
		 "is passed over and does not count." },
	{ "request_timeout", CFG_DURATION, FIELD(config_relay, request_timeout_ms), .unit = MS,
	  .min = 10, .max = 600000, .def = "5s",
	  .doc = "Time an upstream has for its answer, each try." },
	{ "log_file", CFG_STR, FIELD(config_relay, log_file), PATH_LEN, .def_doc = "none",
	  .example = "/var/log/kmsbeacon/requests.log",
	  .doc = "File that gets a line of each relayed request, however many they are; a reload "
		 "opens it anew, for logrotate." },
	{ 0 },
};
static const struct cfg_schema relay = SCHEMA(config_relay, relay_items);

static const struct cfg_item key_items[] = {
	{ "name", CFG_ID, FIELD(config_key, name), .required = true, .unique = true,
	  .example = "corp",
	  .doc = "Name by which publish.domains refers to the key; its name in DNS is in the "
		 "file." },
	{ "file", CFG_STR, FIELD(config_key, file), PATH_LEN, .required = true,
	  .example = "/etc/kmsbeacon/corp.key",
	  .doc = "BIND key file with one key, readable by its owner alone (mode 0600)." },
	{ "secret", CFG_REFUSED,
	  .doc = "no secret may stand in this file; `file` names a BIND key file with mode 0600" },
	{ "algorithm", CFG_REFUSED,
	  .doc = "the algorithm stands in the key file that `file` names" },
	{ 0 },
};
static const struct cfg_schema key = {
	.items = key_items,
	.size = sizeof(struct config_key),
	.line = offsetof(struct config_key, line),
};

static const struct cfg_item host_items[] = {
	{ "name", CFG_ID, FIELD(config_host, name), .required = true, .unique = true,
	  .example = "office",
	  .doc = "Name of the host in this file and in commands; `local` is the service above." },
	{ "target", CFG_NAME, FIELD(config_host, target), .example = "kms-office.corp.example",
	  .def_doc = "node.target for `local`; else it must be given",
	  .doc = "Name that the SRV record points to." },
	{ "port", CFG_UINT, FIELD(config_host, port), PORT, .example = "1688",
	  .def_doc = "1688; for `local` that of service.listen",
	  .doc = "TCP port that the SRV record gives." },
	{ "priority", CFG_UINT, FIELD(config_host, priority), SRV_VALUE, .def = "0",
	  .example = "10", .doc = "Priority of the SRV record: clients try lower ones first." },
	{ "weight", CFG_UINT, FIELD(config_host, weight), SRV_VALUE, .def = "0",
	  .doc = "Weight of the SRV record: the share of clients within one priority." },
	{ 0 },
};
static const struct cfg_schema host = {
	.items = host_items,
	.size = sizeof(struct config_host),
	.line = offsetof(struct config_host, line),
};

static const char *const all_down[] = { "keep", "withdraw", NULL };
static const struct cfg_item health_items[] = {
	{ "interval", CFG_DURATION, FIELD(config_health, interval_ms), .unit = MS, .min = 100,
	  .max = DAY_MS, .def = "10s",
	  .doc = "Time between two probes of a host, or of an upstream." },
	{ "timeout", CFG_DURATION, FIELD(config_health, timeout_ms), .unit = MS, .min = 10,
	  .max = 60000, .def = "3s", .doc = "Time a probe may take." },
	{ "rise", CFG_UINT, FIELD(config_health, rise), .min = 1, .max = 100, .def = "2",
	  .doc = "Good probes in a row that make a host up." },
	{ "fall", CFG_UINT, FIELD(config_health, fall), .min = 1, .max = 100, .def = "3",
	  .doc = "Failed probes in a row that make a host down." },
	{ "min_stay", CFG_DURATION, FIELD(config_health, min_stay_ms), .unit = MS, .max = DAY_MS,
	  .def = "1m", .doc = "Time a host stays up or down at least, whatever its probes say." },
	{ "all_down", CFG_ENUM, FIELD(config_health, all_down), .words = all_down, .def = "keep",
	  .doc = "keep leaves the last record in DNS when no host is up; withdraw takes that one "
		 "away too." },
	{ 0 },
};
static const struct cfg_schema health = SCHEMA(config_health, health_items);

static const struct cfg_item domain_items[] = {
	{ "domain", CFG_NAME, FIELD(config_domain, domain), .required = true,
	  .example = "dept.example", .doc = "Domain that gets the record _vlmcs._tcp.DOMAIN." },
	{ "server", CFG_HOSTPORT, .list = true, .one_ok = true,
	  LIST(config_domain, server, n_server, 16), .def_doc = "the primary server that DNS names",
	  .example = "[\"192.0.2.53\", \"[2001:db8::53]:5353\"]",
	  .doc = "Servers that take the updates, names or addresses, port 53 unless given." },
	{ "key", CFG_ID, FIELD(config_domain, key_name), .example = "corp",
	  .def_doc = "none: unsigned",
	  .doc = "Name of the key (see `keys`) that signs the exchanges." },
	{ "view", CFG_ID, FIELD(config_domain, view), .example = "internal", .def_doc = "none",
	  .doc = "A label that keeps records of several views of one domain apart; the server "
		 "chooses its view by key or source." },
	{ "ttl", CFG_DURATION, FIELD(config_domain, ttl_s), .unit = SECOND, .max = 604800,
	  .def_doc = "publish.ttl", .example = "30m",
	  .doc = "TTL of the records, in whole seconds." },
	{ "hosts", CFG_ID, .list = true, .one_ok = true,
	  LIST(config_domain, host_names, n_host_names, CONFIG_HOSTS_MAX), .def_doc = "all",
	  .example = "[local, office]", .doc = "Names of the hosts that are published here." },
	{ "priority", CFG_UINT, FIELD(config_domain, priority), SRV_VALUE, .unset_ok = true,
	  .def_doc = "as under `hosts`", .example = "10",
	  .doc = "Priority of `local` in this domain." },
	{ "weight", CFG_UINT, FIELD(config_domain, weight), SRV_VALUE, .unset_ok = true,
	  .def_doc = "as under `hosts`", .example = "100",
	  .doc = "Weight of `local` in this domain." },
	{ "lab", CFG_BOOL, FIELD(config_domain, lab), .def = "false",
	  .doc = "Marks a lab domain: only there a lab service may be published, since it refuses "
		 "Windows." },
	{ "source", CFG_ADDR, .list = true, .one_ok = true,
	  LIST(config_domain, source_list, n_source_list, 2), .max = 0, .def_doc = "publish.source",
	  .example = "192.0.2.10",
	  .doc = "Address that the DNS exchanges come from; an IPv4 and an IPv6 address may be "
		 "given as a list." },
	{ 0 },
};
static const struct cfg_schema domain = {
	.items = domain_items,
	.size = sizeof(struct config_domain),
	.line = offsetof(struct config_domain, line),
	.shorthand = "domain,priority,weight",
};

static const char *const ttl_policies[] = { "adopt", "enforce", NULL };
static const char *const on_stop[] = { "keep", "withdraw", NULL };
static const struct cfg_item publish_items[] = {
	{ "ttl", CFG_DURATION, FIELD(config_publish, ttl_s), .unit = SECOND, .max = 604800,
	  .def = "1h", .doc = "TTL of the records, in whole seconds." },
	{ "ttl_policy", CFG_ENUM, FIELD(config_publish, ttl_policy), .words = ttl_policies,
	  .def = "adopt",
	  .doc = "Where records of others share the set: adopt takes their TTL, enforce sets ours "
		 "for all." },
	{ "refresh", CFG_DURATION, FIELD(config_publish, refresh_ms), .unit = MS, .min = 1000,
	  .max = 7 * DAY_MS, .def = "15m", .doc = "How often the records are read and put right." },
	{ "on_stop", CFG_ENUM, FIELD(config_publish, on_stop), .words = on_stop, .def = "keep",
	  .doc = "What the daemon does with its records when it stops." },
	{ "source", CFG_ADDR, .list = true, .one_ok = true,
	  LIST(config_publish, source_list, n_source_list, 2), .max = 0,
	  .def_doc = "the system's choice", .example = "192.0.2.10",
	  .doc = "Address that DNS exchanges come from (servers choose their view by it); an IPv4 "
		 "and an IPv6 address may be given as a list." },
	{ "notify_listen", CFG_ADDR, .list = true, .one_ok = true,
	  LIST(config_publish, notify_listen, n_notify_listen, 8), .min = 53, .max = 1,
	  .restart = true, .def_doc = "none", .example = "[\"192.0.2.10:53\"]",
	  .doc = "Addresses on which NOTIFY messages (RFC 1996) of the zones' servers are taken, "
		 "port "
		 "53 unless given: one has the records checked at once. On the server: "
		 "`also-notify`." },
	{ "domains", CFG_MAP_LIST, LIST(config_publish, domains, n_domains, CONFIG_DOMAINS_MAX),
	  .sub = &domain, .example = "- corp.example\n- other.example, 10, 100",
	  .doc = "The domains that get records. An entry is a map, or text as in Windows' "
		 "DnsDomainPublishList: DOMAIN, DOMAIN,PRIORITY or DOMAIN,PRIORITY,WEIGHT (of "
		 "`local`)." },
	{ 0 },
};
static const struct cfg_schema publish = SCHEMA(config_publish, publish_items);

static const char *const profiles[] = { "modern", "vista", NULL };
static const char *const activations[] = { "any", "ad", "kms", "token", NULL };
static const char *const product_activations[] = { "as-all", "any", "ad", "kms", "token", NULL };
static const char *const suffix_answers[] = { "first", "merged", NULL };
static const char *const cache_writes[] = { "answered", "activated", NULL };
static const char *const lone_ports[] = { "ignore", "use", NULL };

static const struct cfg_item product_items[] = {
	{ "application", CFG_ID, FIELD(config_product, application), .required = true,
	  .example = "office", .doc = "windows, office, or the GUID of an application." },
	{ "activation_id", CFG_ID, FIELD(config_product, activation_id),
	  .example = "68531fb9-5511-4989-97be-d11a0f55633f", .def_doc = "none: all its products",
	  .doc = "GUID of one product (its Activation ID in `slmgr /dlv`)." },
	{ "manual_host", CFG_STR, FIELD(config_product, manual_host), .min = 1, .max = 300,
	  .example = "kms-office.corp.example", .def_doc = "as for all",
	  .doc = "As discovery.manual_host." },
	{ "lookup_domain", CFG_NAME, FIELD(config_product, lookup_domain),
	  .example = "office.corp.example", .def_doc = "as for all",
	  .doc = "As discovery.lookup_domain." },
	{ "activation_type", CFG_ENUM, FIELD(config_product, activation),
	  .words = product_activations, .def = "as-all", .doc = "As discovery.activation_type." },
	{ 0 },
};
static const struct cfg_schema product = {
	.items = product_items,
	.size = sizeof(struct config_product),
	.line = offsetof(struct config_product, line),
};

static const struct cfg_item discovery_items[] = {
	{ "profile", CFG_ENUM, .list = true, .one_ok = true,
	  LIST(config_discovery, profiles, n_profiles, 2), .words = profiles, .def_doc = "modern",
	  .example = "[modern, vista]",
	  .doc = "Whom discovery imitates: modern (Windows 7 and later) goes by priority and "
		 "weight, vista by chance. Commands take the first, the daemon follows each." },
	{ "suffixes", CFG_NAME, .list = true, .one_ok = true,
	  LIST(config_discovery, suffixes, n_suffixes, 16),
	  .def_doc = "the four settings below, in their order; without those, the suffixes of "
		     "discovery.resolv_conf",
	  .example = "[corp.example]",
	  .doc = "Domains that discovery looks in, in this order, in place of the four settings "
		 "below." },
	{ "primary_suffix", CFG_NAME, FIELD(config_discovery, primary_suffix),
	  .example = "corp.example", .def_doc = "none",
	  .doc = "The client's primary DNS suffix, asked first." },
	{ "ad_domain", CFG_NAME, FIELD(config_discovery, ad_domain), .example = "ad.corp.example",
	  .def_doc = "none", .doc = "The Active Directory domain it has joined, asked second." },
	{ "connection_suffixes", CFG_NAME, .list = true, .one_ok = true,
	  LIST(config_discovery, connection_suffixes, n_connection_suffixes, 8),
	  .example = "[site.example]", .def_doc = "none",
	  .doc = "The suffixes of its connections (DHCP option 15), asked third." },
	{ "search_list", CFG_NAME, .list = true, .one_ok = true,
	  LIST(config_discovery, search_list, n_search_list, 8), .example = "[dept.example]",
	  .def_doc = "none", .doc = "Its DNS suffix search list, asked last." },
	{ "lookup_domain", CFG_NAME, FIELD(config_discovery, lookup_domain),
	  .example = "corp.example", .def_doc = "none",
	  .doc = "As after `slmgr /skms-domain`: only this domain is asked, the suffixes are "
		 "ignored." },
	{ "manual_host", CFG_STR, FIELD(config_discovery, manual_host), .min = 1, .max = 300,
	  .example = "kms1.corp.example:1688", .def_doc = "none",
	  .doc = "As after `slmgr /skms`: NAME, NAME:PORT, [IPv6]:PORT or :PORT; the host is used "
		 "alone, and DNS is not asked for others." },
	{ "activation_type", CFG_ENUM, FIELD(config_discovery, activation), .words = activations,
	  .def = "any",
	  .doc = "As after `slmgr /act-type`: with ad and token no KMS host is looked for." },
	{ "products", CFG_MAP_LIST,
	  LIST(config_discovery, products, n_products, CONFIG_PRODUCTS_MAX), .sub = &product,
	  .doc = "What is set for an application or one product alone; the most specific setting "
		 "counts (`kmsbeacon discover --product`)." },
	{ "suffix_answers", CFG_ENUM, FIELD(config_discovery, suffix_answers),
	  .words = suffix_answers, .def = "first",
	  .doc = "first: the first suffix with records is used alone; merged: all suffixes are "
		 "asked and their records put together. No source says which Windows does." },
	{ "port_without_host", CFG_ENUM, FIELD(config_discovery, lone_port), .words = lone_ports,
	  .def = "ignore",
	  .doc = "What a manual port without a host (`slmgr /skms :1689`) does to hosts found by "
		 "DNS: ignore it, or use it in place of the record's. No source says." },
	{ "resolvers", CFG_ADDR, .list = true, .one_ok = true,
	  LIST(config_discovery, resolvers, n_resolvers, 8), .min = 53, .max = 1,
	  .def_doc = "those of discovery.resolv_conf", .example = "[\"127.0.0.1:53\"]",
	  .doc = "Recursive DNS servers that are asked, here and everywhere else, port 53 unless "
		 "given." },
	{ "resolv_conf", CFG_STR, FIELD(config_discovery, resolv_conf), PATH_LEN,
	  .def = "/etc/resolv.conf",
	  .doc = "File with the system's resolvers and suffixes, for those not given here; the "
		 "daemon takes over its changes. With systemd-resolved, "
		 "/run/systemd/resolve/resolv.conf names the servers behind the stub." },
	{ "cache", CFG_BOOL, FIELD(config_discovery, cache), .def = "true",
	  .doc = "Whether the daemon's discovery also follows a client that remembers its host, "
		 "as Windows does." },
	{ "interval", CFG_DURATION, FIELD(config_discovery, interval_ms), .unit = MS, .max = DAY_MS,
	  .def = "5m",
	  .doc = "How often the daemon looks what clients of these suffixes see, each as if it "
		 "were the only one (not those of resolv_conf), at least 1s; 0s: never." },
	{ "cache_write", CFG_ENUM, FIELD(config_discovery, cache_write), .words = cache_writes,
	  .def = "answered",
	  .doc = "answered: a host is remembered once it has answered validly, even with too low a "
		 "count; activated: only where it activated the client. Sources disagree." },
	{ 0 },
};
static const struct cfg_schema discovery = SCHEMA(config_discovery, discovery_items);

static const struct cfg_item limits_items[] = {
	{ "connections", CFG_UINT, FIELD(config_limits, connections), .min = 1, .max = 1000000,
	  .def = "20000", .doc = "Client connections at once." },
	{ "per_address", CFG_UINT, FIELD(config_limits, per_address), .min = 1, .max = 1000000,
	  .def = "200", .doc = "Client connections at once from one address (one /64 of IPv6)." },
	{ "idle", CFG_DURATION, FIELD(config_limits, idle_ms), .unit = MS, .min = 100,
	  .max = DAY_MS, .def = "30s",
	  .doc = "A client that sends nothing for this time is disconnected." },
	{ "request", CFG_DURATION, FIELD(config_limits, request_ms), .unit = MS, .min = 100,
	  .max = DAY_MS, .def = "10s",
	  .doc = "Time from connecting to the bind, and from the first byte of a request to its "
		 "last." },
	{ 0 },
};
static const struct cfg_schema limits = SCHEMA(config_limits, limits_items);

static const struct cfg_item events_items[] = {
	{ "keep", CFG_DURATION, FIELD(config_events, keep_s), .unit = SECOND, .min = 60,
	  .max = 3650 * 86400, .def = "90d",
	  .doc = "How long events (`kmsbeacon events`) are kept in the state file." },
	{ "max", CFG_UINT, FIELD(config_events, max), .min = 100, .max = 1000000, .def = "10000",
	  .doc = "Events kept in the state file at most; the oldest go first. One for each KMS "
		 "request is held in memory and in the log only." },
	{ 0 },
};
static const struct cfg_schema events_schema = SCHEMA(config_events, events_items);

/* In the order of enum log_level. */
static const char *const levels[] = { "error", "warning", "info", "debug", NULL };
static const char *const formats[] = { "text", "json", NULL };
static const struct cfg_item log_items[] = {
	{ "level", CFG_ENUM, FIELD(config_log, level), .words = levels, .def = "info",
	  .doc = "The least important lines that are written." },
	{ "format", CFG_ENUM, FIELD(config_log, format), .words = formats, .def = "text",
	  .doc = "Lines of key=value, or a JSON object a line." },
	{ 0 },
};
static const struct cfg_schema log_schema = SCHEMA(config_log, log_items);

static const struct cfg_item root_items[] = {
	{ "node", CFG_MAP, FIELD(config, node), .sub = &node,
	  .doc = "This machine and this daemon." },
	{ "service", CFG_MAP, FIELD(config, service), .sub = &service,
	  .doc = "The KMS service of this daemon, the host called `local`." },
	{ "lab", CFG_MAP, FIELD(config, lab), .sub = &lab, .doc = "What only mode lab uses." },
	{ "relay", CFG_MAP, FIELD(config, relay), .sub = &relay,
	  .doc = "What only mode relay uses." },
	{ "keys", CFG_MAP_LIST, LIST(config, keys, n_keys, CONFIG_KEYS_MAX), .sub = &key,
	  .doc = "TSIG keys that sign DNS updates." },
	{ "hosts", CFG_MAP_LIST, LIST(config, hosts, n_hosts, CONFIG_HOSTS_MAX), .sub = &host,
	  .example = "- { name: local, priority: 0, weight: 10 }",
	  .def_doc = "`local` alone where the service is on, else none",
	  .doc = "Every KMS host that this daemon publishes and watches." },
	{ "health", CFG_MAP, FIELD(config, health), .sub = &health,
	  .doc = "When a host counts as up or down." },
	{ "publish", CFG_MAP, FIELD(config, publish), .sub = &publish,
	  .doc = "The records in DNS." },
	{ "discovery", CFG_MAP, FIELD(config, discovery), .sub = &discovery,
	  .doc = "How `kmsbeacon discover` and `kmsbeacon client` find a KMS host." },
	{ "limits", CFG_MAP, FIELD(config, limits), .sub = &limits,
	  .doc = "What clients may take of the service." },
	{ "events", CFG_MAP, FIELD(config, events), .sub = &events_schema,
	  .doc = "What `kmsbeacon events` remembers." },
	{ "log", CFG_MAP, FIELD(config, log), .sub = &log_schema, .doc = "The log, on stderr." },
	{ 0 },
};

const struct cfg_schema config_schema = { .items = root_items, .size = sizeof(struct config) };
