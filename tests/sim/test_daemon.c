/* The real daemon in the played machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/sim_dns.h"
#include "tests/sim/sim_kms.h"

#define DAY_MS UINT64_C(86400000)

struct scene {
	char dir[64];
	char config[128];
	struct addr own;
	size_t *n_ready, *n_answers; /* in the world */
	bool show;
};

static void on_line(void *ctx, const char *line)
{
	struct scene *s = ctx;

	if (s->show)
		(void)dprintf(STDERR_FILENO, "%8llu %s\n", (unsigned long long)sim_now(), line);
	if (strstr(line, "daemon.ready") != NULL)
		++*s->n_ready;
}

#define KEY                                                                                        \
	"key \"corp\" {\n\talgorithm hmac-sha256;\n\tsecret "                                      \
	"\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\";\n};\n"

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

static void write_config(struct scene *s, const char *rest)
{
	char text[2048], key[128], resolv[128];

	(void)snprintf(s->dir, sizeof(s->dir), "%s/kmsbeacon-sim-XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(s->dir));
	(void)snprintf(s->config, sizeof(s->config), "%s/kmsbeacon.yaml", s->dir);
	(void)snprintf(key, sizeof(key), "%s/corp.key", s->dir);
	write_file(key, KEY);
	(void)snprintf(resolv, sizeof(resolv), "%s/resolv.conf", s->dir);
	write_file(resolv, "nameserver 10.0.0.1\n");
	(void)snprintf(text, sizeof(text),
		       "node:\n  state_dir: %s\n  target: kms1.corp.example\n"
		       "  control:\n    socket: %s/control\n"
		       "keys:\n  - { name: corp, file: %s }\n"
		       "discovery:\n  resolv_conf: %s\n%s",
		       s->dir, s->dir, key, resolv, rest);
	write_file(s->config, text);
}

static void remove_dir(const struct scene *s)
{
	char cmd[128];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", s->dir);
	assert_int_equal(system(cmd), 0);
}

static void begin(struct scene *s, uint64_t seed)
{
	*s = (struct scene){ .show = getenv("SIM_SHOW") != NULL };
	sim_new(seed);
	assert_int_equal(addr_parse("10.0.0.2", 0, &s->own), 0);
	s->n_ready = sim_alloc(sizeof(*s->n_ready));
	s->n_answers = sim_alloc(sizeof(*s->n_answers));
}

static struct sim_life run(struct scene *s)
{
	char *argv[] = { (char[]){ "kmsbeacon" }, (char[]){ "run" }, (char[]){ "-c" }, s->config,
			 NULL };
	const struct sim_process p = {
		.argc = 4,
		.argv = argv,
		.own = &s->own,
		.n_own = 1,
		.line = on_line,
		.ctx = s,
	};

	return sim_run(&p);
}

static void send_signal(void *ctx, uint64_t arg)
{
	(void)ctx;
	sim_signal((int)arg);
}

static void t_starts_and_stops(void **state)
{
	struct scene s;
	struct sim_life life;

	(void)state;
	begin(&s, 1);
	write_config(&s, "service:\n  mode: \"off\"\n");
	sim_at(10 * DAY_MS, send_signal, NULL, SIGTERM);
	life = run(&s);
	assert_int_equal(life.end, SIM_ENDED);
	assert_int_equal(life.code, 0);
	assert_int_equal(life.sockets + life.files, 0);
	assert_int_equal(*s.n_ready, 1);
	assert_in_range(sim_now(), 10 * DAY_MS, 10 * DAY_MS + 10000);
	remove_dir(&s);
}

/* ---- commands, a crash, a reload ---- */

static void on_answer(void *ctx, const char *line)
{
	struct scene *s = ctx;

	if (line != NULL && strstr(line, "\"exit\":0") != NULL)
		++*s->n_answers;
	if (s->show)
		(void)dprintf(STDERR_FILENO, "%8llu answer: %s\n", (unsigned long long)sim_now(),
			      line != NULL ? line : "none");
}

static void ask_status(void *ctx, uint64_t arg)
{
	struct scene *s = ctx;
	char path[96];

	(void)arg;
	(void)snprintf(path, sizeof(path), "%s/control", s->dir);
	sim_control(path, "{\"command\":\"status\"}", on_answer, s);
}

static void crash(void *ctx, uint64_t arg)
{
	(void)ctx;
	(void)arg;
	sim_crash();
}

static void t_answers_crashes_and_comes_again(void **state)
{
	struct scene s;
	struct sim_life life;

	(void)state;
	begin(&s, 1);
	write_config(&s, "service:\n  mode: lab\n  listen: [\"10.0.0.2:1688\"]\n");
	sim_at(1000, ask_status, &s, 0);
	sim_at(2000, send_signal, NULL, SIGHUP);
	sim_at(3000, crash, NULL, 0);
	life = run(&s);
	assert_int_equal(life.end, SIM_CRASHED);
	assert_int_equal(sim_now(), 3000);
	sim_at(9000, ask_status, &s, 0);
	sim_at(10000, send_signal, NULL, SIGTERM);
	life = run(&s);
	assert_int_equal(life.end, SIM_ENDED);
	assert_int_equal(life.code, 0);
	assert_int_equal(*s.n_ready, 2);
	assert_int_equal(*s.n_answers, 2);
	remove_dir(&s);
}

static uint64_t lab_run(uint64_t seed)
{
	struct scene s;

	begin(&s, seed);
	write_config(&s, "service:\n  mode: lab\n  listen: [\"10.0.0.2:1688\"]\n");
	sim_at(DAY_MS / 2, send_signal, NULL, SIGTERM);
	assert_int_equal(run(&s).end, SIM_ENDED);
	remove_dir(&s);
	return sim_digest();
}

static void t_daemon_runs_alike(void **state)
{
	(void)state;
	assert_true(lab_run(3) == lab_run(3));
}

/* ---- the daemon publishes ---- */

#define LAB       "service:\n  mode: lab\n  listen: [\"10.0.0.2:1688\"]\n"
#define PUBLISHES LAB "publish:\n  domains:\n    - { domain: corp.example, key: corp, lab: true }\n"

static void on_dns(void *ctx, const struct sim_dns_event *e)
{
	const struct scene *s = ctx;

	if (s->show)
		(void)dprintf(STDERR_FILENO, "%8llu %s\n", (unsigned long long)sim_now(), e->line);
}

static void t_publishes_for_days(void **state)
{
	struct sim_dns_server *ns;
	struct sim_record r;
	struct sim_zone *z;
	struct scene s;
	struct sim_life life;

	(void)state;
	begin(&s, 1);
	ns = sim_dns_server("ns1", "10.0.0.53");
	(void)sim_resolver("dns", "10.0.0.1", true);
	z = sim_zone("corp.example", &ns, 1, KEY, NULL);
	sim_zone_add(z, "kms1.corp.example", "A", 300, "10.0.0.2");
	sim_dns_watch(on_dns, &s);
	write_config(&s, PUBLISHES);
	sim_at(30 * DAY_MS, send_signal, NULL, SIGTERM);
	life = run(&s);
	assert_int_equal(life.end, SIM_ENDED);
	assert_int_equal(life.sockets + life.files, 0);
	assert_int_equal(sim_zone_records(z, ns, "_vlmcs._tcp.corp.example", "SRV", &r, 1), 1);
	assert_string_equal(r.rdata, "0 0 1688 kms1.corp.example");
	remove_dir(&s);
}

/* ---- at rest ---- */

#define REST_BEGINS_MS 600000
#define REST_MS        600000
#define CAUSES_MAX     8

/** What may wake it in ten minutes in which nobody wants anything of it, and how often. */
struct rest {
	const char *config;
	struct {
		const char *name;
		uint64_t most;
	} causes[CAUSES_MAX];
};

static void forget_wakes(void *ctx, uint64_t arg)
{
	(void)ctx;
	(void)arg;
	sim_forget_wakes();
}

static uint64_t most_of(const struct rest *r, const char *name)
{
	for (size_t i = 0; i < CAUSES_MAX && r->causes[i].name != NULL; i++)
		if (strcmp(r->causes[i].name, name) == 0)
			return r->causes[i].most;
	return 0;
}

static void judge_rest(void *ctx, uint64_t arg)
{
	const struct rest *r = ctx;
	char name[128], wrong[256] = "";
	const struct sim_wake *w;
	size_t n = sim_wakes(&w);

	(void)arg;
	for (size_t i = 0; i < n; i++) {
		unsigned long long all = w[i].n, vain = w[i].n_vain, most;

		sim_wake_name(&w[i], name, sizeof(name));
		most = most_of(r, name);
		if (getenv("SIM_SHOW") != NULL)
			(void)dprintf(STDERR_FILENO, "%4llu, %llu in vain: %s\n", all, vain, name);
		if (vain > 0 || all > most)
			(void)snprintf(wrong, sizeof(wrong),
				       "%llu wake-ups at rest by %s, %llu in vain, not %llu", all,
				       name, vain, most);
	}
	if (wrong[0] != '\0')
		sim_fail("%s", wrong);
	sim_signal(SIGTERM);
}

static void rests(const struct rest *r)
{
	struct sim_dns_server *ns;
	struct sim_life life;
	struct sim_zone *z;
	struct scene s;

	begin(&s, 1);
	ns = sim_dns_server("ns1", "10.0.0.53");
	(void)sim_resolver("dns", "10.0.0.1", true);
	z = sim_zone("corp.example", &ns, 1, KEY, NULL);
	sim_zone_add(z, "kms1.corp.example", "A", 300, "10.0.0.2");
	sim_zone_add(z, "win1.corp.example", "A", 300, "10.0.0.11");
	(void)sim_kms_host("win1", "10.0.0.11:1688");
	(void)sim_kms_host("win2", "10.0.0.12:1688");
	write_config(&s, r->config);
	sim_at(REST_BEGINS_MS, forget_wakes, NULL, 0);
	sim_at(REST_BEGINS_MS + REST_MS, judge_rest, (void *)(uintptr_t)r, 0);
	life = run(&s);
	if (life.end == SIM_BROKEN)
		print_error("%s\n", sim_failure());
	assert_int_equal(life.end, SIM_ENDED);
	remove_dir(&s);
}

static void t_rest_of_a_publisher(void **state)
{
	static const struct rest rest = {
		"service: { mode: \"off\" }\n"
		"hosts: [ { name: win1, target: win1.corp.example, port: 1688 } ]\n"
		"publish: { domains: [ { domain: corp.example, key: corp } ] }\n",
		{
			{ "daemon/health.c on_timer", 60 },
			{ "stream", 120 },
			{ "publisher/engine.c on_timer", 1 },
			{ "datagram", 121 },
			{ "net/udp_pool.c on_timer", 61 },
			{ "daemon/resolv_watch.c on_timer", 10 },
		},
	};

	(void)state;
	rests(&rest);
}

static void t_rest_of_a_lab_host(void **state)
{
	static const struct rest rest = { PUBLISHES,
					  {
						  { "publisher/engine.c on_timer", 1 },
						  { "datagram", 1 },
						  { "net/udp_pool.c on_timer", 1 },
						  { "daemon/resolv_watch.c on_timer", 10 },
					  } };

	(void)state;
	rests(&rest);
}

static void t_rest_of_a_relay(void **state)
{
	static const struct rest rest = {
		"service: { mode: relay, listen: [\"10.0.0.2:1688\"] }\n"
		"relay: { upstreams: [ { name: win1, address: 10.0.0.11 }, { name: win2, address: "
		"10.0.0.12 } ] }\n"
		"publish: { domains: [ { domain: corp.example, key: corp } ] }\n",
		{
			{ "kmscore/relay.c on_timer", 60 },
			{ "stream", 240 },
			{ "publisher/engine.c on_timer", 1 },
			{ "datagram", 1 },
			{ "net/udp_pool.c on_timer", 1 },
			{ "daemon/resolv_watch.c on_timer", 10 },
		},
	};

	(void)state;
	rests(&rest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_starts_and_stops),
		cmocka_unit_test(t_answers_crashes_and_comes_again),
		cmocka_unit_test(t_daemon_runs_alike),
		cmocka_unit_test(t_publishes_for_days),
		cmocka_unit_test(t_rest_of_a_publisher),
		cmocka_unit_test(t_rest_of_a_lab_host),
		cmocka_unit_test(t_rest_of_a_relay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
