/* The whole daemon in the played machine (tests/sim/sim.h): whatever fails while it starts, serves,
 * is told to read its configuration, to drain, to withdraw, or to stop, it says so, goes on, and
 * puts all right; or it does not start, says why, and starts the next time.
 *
 * A run is a life of nine minutes in virtual time, in which calls fail in one of its phases; behind
 * them everything must work. The calls of a life are the same in each run, so that "the n-th" is
 * the same call. */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "cli/command.h"
#include "common/log.h"
#include "tests/faults/fault.h"
#include "tests/faults/silent.h"
#include "tests/sim/sim_dns.h"
#include "tests/sim/sim_kms.h"

#define AT_MOST    2 /* of a kind, in the short run */
#define SECOND     UINT64_C(1000)
#define SAID_MAX   (1u << 20)
#define EVENTS_MAX 64
#define OWNER      "_vlmcs._tcp.corp.example"
#define KEY                                                                                        \
	"key \"corp\" {\n\talgorithm hmac-sha256;\n\tsecret "                                      \
	"\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\";\n};\n"

#define MODES(X)                                                                                   \
	X(publish, "office",                                                                       \
	  "hosts:\n  - { name: office, target: office.corp.example, weight: # }\n",                \
	  "office.corp.example", NULL)                                                             \
	X(relay, "local",                                                                          \
	  "service: { mode: relay, listen: [\"10.0.0.2:1688\"], allow: [10.0.0.0/8] }\n"           \
	  "relay:\n  log_file: @/requests.log\n  upstreams:\n"                                     \
	  "    - { name: w1, address: 10.0.0.11 }\n"                                               \
	  "    - { name: w2, address: w2.corp.example, priority: 1 }\n"                            \
	  "hosts:\n  - { name: local, weight: # }\n",                                              \
	  "kms1.corp.example", "0x00000000 from w1")                                               \
	X(lab, "local",                                                                            \
	  "service: { mode: lab, listen: [\"10.0.0.2:1688\"], allow: [10.0.0.0/8] }\n"             \
	  "hosts:\n  - { name: local, weight: # }\n",                                              \
	  "kms1.corp.example", "0xC004F042")

struct mode {
	const char *name, *host, *config, *target;
	const char *answer; /* that a client gets; NULL: there is no service */
};

#define ROW(name, host, config, target, answer) { #name, host, config, target, answer },
static const struct mode modes[] = { MODES(ROW) };
#undef ROW

/* When calls fail: seconds of the first life. */
#define PHASES(X)                                                                                  \
	X(start, 0, 40)                                                                            \
	X(serve, 60, 100)                                                                          \
	X(reload, 120, 160)                                                                        \
	X(check, 180, 220)                                                                         \
	X(drain, 240, 290)                                                                         \
	X(withdraw, 300, 350)                                                                      \
	X(stop, 519, 1000)

struct phase {
	const char *name;
	uint64_t from_s, to_s;
};

#define ROW(name, from, to) { #name, from, to },
static const struct phase phases[] = { PHASES(ROW) };
#undef ROW

enum request {
	ASK_STATUS,
	ASK_EVENTS,
	ASK_DRAIN_STATUS,
	ASK_RELOAD,
	ASK_DRAIN,
	ASK_RESUME,
	ASK_WITHDRAW,
	ASK_PUBLISH,
	ASK_COUNT_,
};

static const char *const requests[ASK_COUNT_] = {
	[ASK_STATUS] = "{\"command\":\"status\"}",
	[ASK_EVENTS] = "{\"command\":\"events\",\"args\":{}}",
	[ASK_DRAIN_STATUS] = "{\"command\":\"drain-status\",\"args\":{\"host\":\"@\"}}",
	[ASK_RELOAD] = "{\"command\":\"reload\"}",
	[ASK_DRAIN] = "{\"command\":\"drain\",\"args\":{\"host\":\"@\",\"force\":true}}",
	[ASK_RESUME] = "{\"command\":\"resume\",\"args\":{\"host\":\"@\"}}",
	[ASK_WITHDRAW] = "{\"command\":\"withdraw\",\"args\":{}}",
	[ASK_PUBLISH] = "{\"command\":\"publish\",\"args\":{}}",
};

/* From the phase on. */
struct told {
	unsigned refused;     /* requests whose answer is no report, or not "exit": 0 */
	unsigned client_told; /* requests of clients that got no good answer */
	/* warnings and errors of the log, by their names */
	struct {
		char event[48];
		unsigned n;
	} events[EVENTS_MAX];
	size_t n;
};

/* Of one run, in memory of the world. */
struct seen {
	bool armed, ready;
	bool unusable; /* this life has no state file */
	bool strayed;  /* one had none: what it published is not known to be ours any more */
	bool text;     /* on stderr, and no line of the log */
	struct told told;
	int exits[ASK_COUNT_]; /* of the last one of each kind; -1: none */
	char client[128];      /* the last line of the client */
	char said[SAID_MAX];
	size_t len;
};

static struct {
	char dir[64], config[96], socket[96];
	const struct mode *mode;
	const struct phase *phase; /* NULL: no call fails in this life */
	uint64_t life, began_ms;
	struct addr own, listen, notify;
	struct sim_zone *zone;
	struct sim_dns_server *ns;
	struct sim_kms_client *client;
	struct seen *seen;
	unsigned silent; /* faults of this scenario that were not told, and should have been */
	bool show;
} w;

/* ---- what it says ---- */

static void keep_text(const char *line)
{
	struct seen *s = w.seen;
	size_t n = strlen(line);

	if (w.show)
		(void)dprintf(STDERR_FILENO, "%8llu %s\n", (unsigned long long)sim_now(), line);
	if (n + 2 > sizeof(s->said) - s->len)
		return;
	memcpy(s->said + s->len, line, n);
	s->len += n;
	s->said[s->len++] = '\n';
	s->said[s->len] = '\0';
}

static void add_event(struct told *t, const char *event, size_t len)
{
	size_t i = 0;

	while (i < t->n &&
	       (strncmp(t->events[i].event, event, len) != 0 || t->events[i].event[len] != '\0'))
		i++;
	if (i == EVENTS_MAX || len >= sizeof(t->events[0].event))
		return;
	if (i == t->n)
		(void)snprintf(t->events[t->n++].event, sizeof(t->events[0].event), "%.*s",
			       (int)len, event);
	t->events[i].n++;
}

static const char *word_of(const char *line, size_t i)
{
	while (i-- > 0) {
		line += strcspn(line, " ");
		line += strspn(line, " ");
	}
	return line;
}

/* "TIME LEVEL MODULE EVENT ...". The tap sees what a full disk keeps from stderr. */
static void on_log(void *ctx, const char *line)
{
	const char *level = word_of(line, 1), *event = word_of(line, 3);
	struct seen *s = w.seen;

	(void)ctx;
	keep_text(line);
	if (strncmp(event, "daemon.ready ", 13) == 0)
		s->ready = true;
	if (strncmp(event, "state.unusable ", 15) == 0)
		s->unusable = s->strayed = true;
	if (s->armed && (strncmp(level, "warning ", 8) == 0 || strncmp(level, "error ", 6) == 0))
		add_event(&s->told, event, strcspn(event, " "));
}

static void on_stderr(void *ctx, const char *line)
{
	(void)ctx;
	if (strncmp(line, "2026-", 5) == 0)
		return; /* on_log() has it */
	keep_text(line);
	w.seen->text = true;
}

static void on_client(void *ctx, const char *line)
{
	struct seen *s = w.seen;

	(void)ctx;
	if (strncmp(line, "c1 ", 3) != 0 || strncmp(line, "c1 asked", 8) == 0)
		return;
	keep_text(line);
	(void)snprintf(s->client, sizeof(s->client), "%s", line);
	if (w.mode->answer == NULL || strstr(line, w.mode->answer) == NULL)
		s->told.client_told++;
}

/* Whether there is more than in a run without a fault. */
static bool more_told(const struct told *now, const struct told *before)
{
	if (now->refused > before->refused || now->client_told > before->client_told)
		return true;
	for (size_t i = 0; i < now->n; i++) {
		unsigned n = 0;

		for (size_t k = 0; k < before->n; k++)
			if (strcmp(now->events[i].event, before->events[k].event) == 0)
				n = before->events[k].n;
		if (now->events[i].n > n)
			return true;
	}
	return false;
}

/* ---- the world ---- */

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || close(fd) != 0)
		sim_fail("cannot write %s", path);
}

/* With @ and # replaced. */
static void fill(const char *from, char *ret, size_t size, const char *at, const char *number)
{
	size_t len = 0;

	for (; *from != '\0' && len < size; from++) {
		const char *put = *from == '@' ? at : *from == '#' ? number : NULL;

		len += (size_t)snprintf(ret + len, size - len, "%.*s", put != NULL ? 64 : 1,
					put != NULL ? put : from);
	}
}

static void write_config(unsigned weight)
{
	char text[2048], more[1024], number[16];

	(void)snprintf(number, sizeof(number), "%u", weight);
	fill(w.mode->config, more, sizeof(more), w.dir, number);
	(void)snprintf(text, sizeof(text),
		       "node: { state_dir: %s/state, target: kms1.corp.example,\n"
		       "        control: { socket: %s } }\n"
		       "keys:\n  - { name: corp, file: %s/corp.key }\n"
		       "health: { min_stay: 0s }\n"
		       "%s"
		       "publish:\n  notify_listen: [\"10.0.0.2:53\"]\n"
		       "  domains:\n    - { domain: corp.example, key: corp, lab: %s }\n"
		       "discovery: { resolvers: [10.0.0.1], suffixes: [corp.example] }\n",
		       w.dir, w.socket, w.dir, more,
		       strcmp(w.mode->name, "lab") == 0 ? "true" : "false");
	write_file(w.config, text);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void make_files(void)
{
	char path[96];

	(void)nftw(w.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkdir(w.dir, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/corp.key", w.dir);
	write_file(path, KEY);
	write_config(10);
}

static void make_world(void)
{
	struct sim_dns_server *ns[2];

	sim_new(1);
	assert_int_equal(addr_parse("10.0.0.2", 0, &w.own), 0);
	assert_int_equal(addr_parse("10.0.0.2", 1688, &w.listen), 0);
	assert_int_equal(addr_parse("10.0.0.2", 53, &w.notify), 0);
	w.seen = sim_alloc(sizeof(*w.seen));
	ns[0] = w.ns = sim_dns_server("ns1", "10.0.0.53");
	ns[1] = sim_dns_server("ns2", "10.0.0.54");
	(void)sim_resolver("dns", "10.0.0.1", false);
	w.zone = sim_zone("corp.example", ns, 2, KEY, NULL);
	sim_zone_add(w.zone, "kms1.corp.example", "A", 300, "10.0.0.2");
	sim_zone_add(w.zone, "office.corp.example", "A", 300, "10.0.0.9");
	sim_zone_add(w.zone, "w2.corp.example", "A", 300, "10.0.0.12");
	(void)sim_kms_host("office", "10.0.0.9:1688");
	(void)sim_kms_host("w1", "10.0.0.11:1688");
	(void)sim_kms_host("w2", "10.0.0.12:1688");
	w.client = sim_kms_client("c1", "10.0.9.1");
	sim_kms_watch(on_client, NULL);
	w.life = 0;
}

/* ---- what happens in a life ---- */

static void on_answer(void *ctx, const char *line)
{
	bool report = line != NULL && strstr(line, ",\"report\":") != NULL;
	int *ret_exit = ctx;

	*ret_exit = report && strncmp(line, "{\"exit\":0,", 10) == 0 ? 0 : 1;
	if (w.seen->armed)
		w.seen->told.refused += (*ret_exit != 0) + !report;
	keep_text(line != NULL ? line : "no answer");
}

static void ask(enum request what)
{
	char text[128];

	fill(requests[what], text, sizeof(text), w.mode->host, "");
	keep_text(text);
	w.seen->exits[what] = -1;
	sim_control(w.socket, text, on_answer, &w.seen->exits[what]);
}

static void ask_as_client(void)
{
	w.seen->client[0] = '\0';
	if (w.mode->answer != NULL && !sim_kms_waits(w.client))
		sim_kms_ask(w.client, &w.listen);
}

static const char *records(void)
{
	static char text[512];
	struct sim_record r[4];
	size_t n = sim_zone_records(w.zone, w.ns, OWNER, "SRV", r, 4);

	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
			       i > 0 ? " | " : "", r[i].rdata);
	return text;
}

/* Behind all faults: everything works. */
static void prove(void)
{
	const struct seen *s = w.seen;
	char wanted[128];

	if (s->exits[ASK_STATUS] != 0)
		sim_fail("status is not answered when no call fails any more");
	if (s->exits[ASK_RELOAD] != 0)
		sim_fail("the configuration cannot be read again when no call fails any more");
	if (w.mode->answer != NULL && strstr(s->client, w.mode->answer) == NULL)
		sim_fail("a client gets no answer when no call fails any more: %s", s->client);
	if (s->unusable)
		return; /* the next life has the state file */
	if (s->exits[ASK_PUBLISH] != 0)
		sim_fail("no check is proven when no call fails any more");
	(void)snprintf(wanted, sizeof(wanted), "0 20 1688 %s", w.mode->target);
	if (s->strayed ? strstr(records(), wanted) == NULL : strcmp(records(), wanted) != 0)
		sim_fail("the zone has '%s' when no call fails any more", records());
}

static void somebody_deletes(void)
{
	char rdata[128];

	(void)snprintf(rdata, sizeof(rdata), "0 20 1688 %s", w.mode->target);
	sim_zone_delete(w.zone, OWNER, "SRV", rdata);
	sim_zone_notify(w.zone, w.ns, &w.notify);
}

enum step {
	DO_ASK, /* + request */
	DO_CLIENT = ASK_COUNT_,
	DO_CONFIG,
	DO_DELETE,
	DO_PROVE,
	DO_ARM,
	DO_DISARM,
	DO_SIGNAL, /* + its number */
};

static void on_step(void *ctx, uint64_t arg)
{
	unsigned what = arg & 0xffff;

	(void)ctx;
	if (arg >> 16 != w.life)
		return; /* of a life that ended early */
	if (what < DO_CLIENT)
		ask(what);
	else if (what == DO_CLIENT)
		ask_as_client();
	else if (what == DO_CONFIG)
		write_config(20);
	else if (what == DO_DELETE)
		somebody_deletes();
	else if (what == DO_PROVE)
		prove();
	else if (what == DO_ARM)
		w.seen->armed = true;
	else if (what == DO_DISARM)
		fault_end();
	else
		sim_signal((int)what - DO_SIGNAL);
	if (what == DO_ARM)
		fault_begin();
}

static void at(uint64_t s, unsigned what)
{
	sim_at(w.began_ms + s * SECOND, on_step, NULL, w.life << 16 | what);
}

static void plan_proof(uint64_t s)
{
	at(s, DO_ASK + ASK_RELOAD);
	at(s + 10, DO_ASK + ASK_RESUME); /* which may say that nothing is drained */
	at(s + 20, DO_ASK + ASK_PUBLISH);
	at(s + 40, DO_ASK + ASK_STATUS);
	at(s + 40, DO_CLIENT);
	at(s + 60, DO_PROVE);
	at(s + 70, DO_SIGNAL + SIGTERM);
}

static void plan_first_life(void)
{
	at(60, DO_ASK + ASK_STATUS);
	at(61, DO_ASK + ASK_EVENTS);
	at(62, DO_CLIENT);
	at(63, DO_ASK + ASK_DRAIN_STATUS);
	at(120, DO_CONFIG);
	at(121, DO_SIGNAL + SIGHUP);
	at(140, DO_ASK + ASK_RELOAD);
	at(181, DO_DELETE);
	at(200, DO_ASK + ASK_PUBLISH);
	at(241, DO_ASK + ASK_DRAIN);
	at(262, DO_ASK + ASK_RESUME);
	at(301, DO_ASK + ASK_WITHDRAW);
	at(320, DO_ASK + ASK_PUBLISH);
	plan_proof(450);
}

static int run_program(int argc, char **argv)
{
	log_set_tap(on_log, NULL);
	if (w.phase != NULL && w.phase->from_s == 0) {
		w.seen->armed = true;
		fault_begin();
	}
	return cli_main(argc, argv);
}

static struct sim_life live(const struct phase *phase)
{
	char *argv[] = { (char[]){ "kmsbeacon" }, (char[]){ "run" }, (char[]){ "-c" }, w.config,
			 NULL };
	const struct sim_process p = {
		.argc = 4,
		.argv = argv,
		.main = run_program,
		.own = &w.own,
		.n_own = 1,
		.line = on_stderr,
	};
	struct sim_life life;

	w.phase = phase;
	w.life++;
	w.began_ms = sim_now();
	w.seen->ready = w.seen->unusable = w.seen->text = false;
	if (phase != NULL) {
		plan_first_life();
		if (phase->from_s > 0)
			at(phase->from_s, DO_ARM);
		at(phase->to_s, DO_DISARM);
	} else {
		at(1, DO_CONFIG); /* whether the life before came so far or not */
		plan_proof(60);
	}
	life = sim_run(&p);
	fault_end();
	w.seen->armed = false;
	return life;
}

/* ---- a run ---- */

static void fail_run(const char *why)
{
	fprintf(stderr, "\n%s", w.seen->said);
	fail_msg("%s: %s", why, fault_site_text());
}

static void check_life(const struct sim_life *life)
{
	if (life->end != SIM_ENDED)
		fail_run(sim_failure());
	if (life->code == 0 && w.seen->ready) {
		if (life->sockets + life->files != 0)
			fail_run("descriptors are left open at its end");
		return;
	}
	if (w.seen->ready)
		fail_run("it ended with an error that was none when it started");
	if (strstr(w.seen->said, " daemon.failed ") == NULL && !w.seen->text)
		fail_run("it did not start and does not say why");
	if (life->code != 1 && life->code != 2)
		fail_run("it did not start, with another exit code than 1 or 2");
}

static int run(const struct mode *mode, const struct phase *phase)
{
	static const struct phase *baseline_of;
	static const struct mode *baseline_in;
	static struct told baseline;
	struct sim_life life;
	bool ready, again, said;

	w.mode = mode;
	make_world();
	make_files();
	life = live(phase);
	check_life(&life);
	ready = w.seen->ready;
	again = !ready || w.seen->unusable || phase->from_s == 0 || phase->to_s == 1000;
	if (baseline_of != phase || baseline_in != mode) {
		baseline = w.seen->told;
		baseline_of = phase;
		baseline_in = mode;
	}
	said = !ready || more_told(&w.seen->told, &baseline);
	if (again) {
		life = live(NULL);
		check_life(&life);
		if (!w.seen->ready || w.seen->unusable)
			fail_run("it does not start, or not with its state file, the next time");
	}
	/* half of a write is no error, for the rest follows; a peer that has gone is none of ours
	 */
	if (fault_hits() > 0 && !said && fault_kind() != FAULT_SHORT &&
	    fault_kind() != FAULT_GONE && !silent_is_right()) {
		w.silent++;
		fprintf(stderr, "\nsilent: %s\n%s", fault_site_text(), fault_repeat());
	}
	return said ? 1 : 0;
}

static void begin_scenario(void)
{
	w.silent = 0;
}

static void end_scenario(void)
{
	assert_int_equal(w.silent, 0);
}

#define RUN(mode, phase)                                                                           \
	static int run_##mode##_##phase(void)                                                      \
	{                                                                                          \
		return run(&modes[MODE_##mode], &phases[PHASE_##phase]);                           \
	}
#define MODE(name, host, config, target, answer) MODE_##name,
#define PHASE(name, from, to)                    PHASE_##name,
enum { MODES(MODE) };
enum { PHASES(PHASE) };
#define RUN_publish(name, from, to) RUN(publish, name)
#define RUN_relay(name, from, to)   RUN(relay, name)
#define RUN_lab(name, from, to)     RUN(lab, name)
PHASES(RUN_publish)
PHASES(RUN_relay)
PHASES(RUN_lab)

#define SCENARIO(m, p)                                                                             \
	{ .name = #m "_" #p,                                                                       \
	  .run = run_##m##_##p,                                                                    \
	  .begin = begin_scenario,                                                                 \
	  .end = end_scenario,                                                                     \
	  .at_most = AT_MOST },
#define SCENARIO_publish(name, from, to) SCENARIO(publish, name)
#define SCENARIO_relay(name, from, to)   SCENARIO(relay, name)
#define SCENARIO_lab(name, from, to)     SCENARIO(lab, name)
static const struct fault_scenario scenarios[] = { PHASES(SCENARIO_publish) PHASES(SCENARIO_relay)
							   PHASES(SCENARIO_lab) };

int main(void)
{
	int failed;

	(void)snprintf(w.dir, sizeof(w.dir), "%s/fault_daemon.XXXXXX", fault_folder());
	if (mkdtemp(w.dir) == NULL)
		return 1;
	(void)snprintf(w.config, sizeof(w.config), "%s/kmsbeacon.yaml", w.dir);
	(void)snprintf(w.socket, sizeof(w.socket), "%s/socket", w.dir);
	w.show = getenv("SIM_SHOW") != NULL;
	fault_peers(sim_plays);
	failed = fault_run("fault_daemon", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
	(void)nftw(w.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return failed;
}
