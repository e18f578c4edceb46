/* The commands, each as a process: whatever fails, it ends with an exit code that is not 0 and says
 * why, or with the right result; and what it prints of JSON is whole. */
#include <fcntl.h>
#include <getopt.h>
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
#include "common/file.h"
#include "kmscore/service.h"
#include "tests/faults/fault.h"
#include "tests/faults/fault_child.h"
#include "tests/lib/fake_tsig.h"
#include "tests/lib/lab_files.h"
#include "tests/lib/pub_site.h"

#define AT_MOST   2 /* of a kind, in the short run */
#define WORDS     24
#define TIMES     15 /* as fast: what waits for an answer that a fault ate */
#define LEAKED    23 /* exit code of the leak check */
#define WORDS_MAX 16384

/* What has to be put back before a run. */
enum before {
	NOTHING,
	NO_STATE,  /* nothing published */
	PUBLISHED, /* our record is in the zone, and in the state file */
	NO_CLIENT, /* the same, and no lab client has a memory */
	NO_FILE,   /* that the command makes */
	RESUMED,   /* nothing is drained */
	DRAINED,
};

/* %A: configuration without a daemon, %C: the same with a key, %B: of one that runs, %H: a KMS
 * host's address, %P: its port, %K: the lab key, %D: folder. */
#define COMMANDS(X)                                                                                \
	X(status_json, 0, NOTHING, "status --json -c %B")                                          \
	X(status, 0, NOTHING, "status -c %B")                                                      \
	X(status_dlv, 0, NOTHING, "status --dlv -c %B")                                            \
	X(status_prometheus, 0, NOTHING, "status --prometheus -c %B")                              \
	X(events, 0, NOTHING, "events -c %B")                                                      \
	X(events_json, 0, NOTHING, "events --json -c %B")                                          \
	X(drain, 0, RESUMED, "drain local --force -c %B")                                          \
	X(resume_json, 0, DRAINED, "resume local --json -c %B")                                    \
	X(reload, 0, NOTHING, "reload -c %B")                                                      \
	X(publish, 0, NO_STATE, "publish -c %A")                                                   \
	X(publish_json, 0, NO_STATE, "publish --json -c %A")                                       \
	X(publish_dry, 0, NO_STATE, "publish --dry-run --json -c %A")                              \
	X(publish_print, 0, NO_STATE, "publish --print zone -c %A")                                \
	X(withdraw_json, 0, PUBLISHED, "withdraw --json -c %A")                                    \
	X(discover, 0, PUBLISHED, "discover --seed 1 --no-cache --explain -d d0.test -c %A")       \
	X(discover_json, 0, PUBLISHED,                                                             \
	  "discover --seed 1 --cache %D/cache.json --json -d d0.test -c %A")                       \
	X(verify, 0, PUBLISHED, "verify -d d0.test -c %A")                                         \
	X(verify_json, 0, PUBLISHED, "verify --json -d d0.test -d d1.test -c %A")                  \
	X(verify_nagios, 0, PUBLISHED, "verify --nagios -d d0.test -c %A")                         \
	X(verify_file, 2, PUBLISHED, "verify --json --domains-file %D/domains -c %A")              \
	X(probe, 0, NOTHING, "probe %H -c %A")                                                     \
	X(probe_json, 0, NOTHING, "probe --json kms1.d0.test:%P -c %A")                            \
	X(client_ato, 0, NO_CLIENT,                                                                \
	  "client ato --key %K --state %D/client.json --name pc1 -c %A --json")                    \
	X(client_dlv, 0, NO_CLIENT, "client dlv --state %D/client.json --name pc1 -c %A")          \
	X(client_skms, 0, NO_CLIENT, "client skms --state %D/client.json kms.test --name pc1")     \
	X(check_config, 0, NOTHING, "check-config -c %A")                                          \
	X(check_config_dump, 0, NOTHING, "check-config --dump -c %A")                              \
	X(import, 0, NOTHING, "import %D/export.reg --target kms1.corp.test")                      \
	X(policy, 0, NOTHING, "policy --domain d0.test -c %C")                                     \
	X(explain, 0, NOTHING, "explain 0xC004F074")                                               \
	X(explain_json, 0, NOTHING, "explain --json")                                              \
	X(keygen, 0, NO_FILE, "lab keygen %D/new.key")                                             \
	X(manual, 0, NOTHING, "--manual")                                                          \
	X(help, 0, NOTHING, "publish --help")

struct command {
	const char *name;
	int code;
	enum before before;
	const char *line;
	char words[WORDS][128];
	char *argv[WORDS + 1];
	int argc;
	char *printed; /* by the first run without a fault */
};

static struct command commands[] = {
#define ROW(name, code, before, line) { #name, code, before, line, { "" }, { NULL }, 0, NULL },
	COMMANDS(ROW)
#undef ROW
};

static struct {
	struct pub_site site; /* large */
	struct lab_files lab;
	struct kms_service *host;
	struct fault_child daemon;
	char dir[64], socket[96], port[8], at[ADDR_TEXT_MAX];
	uint8_t state[1 << 20]; /* with our record */
	size_t state_len;
} w;

static char *path_of(const char *name)
{
	static char path[2][128];
	static int which;

	which = !which;
	snprintf(path[which], sizeof(path[which]), "%s/%s", w.dir, name);
	return path[which];
}

static void write_text(const char *name, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void write_text(const char *name, const char *fmt, ...)
{
	FILE *f = fopen(path_of(name), "w");
	va_list ap;

	assert_non_null(f);
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	assert_int_equal(fclose(f), 0);
}

/* ---- the world ---- */

static void write_configs(void)
{
	write_text("a.yaml",
		   "node: { state_dir: %s/a, control: { socket: %s/none } }\n"
		   "lab: { key_file: %s }\n"
		   "hosts:\n  - { name: one, target: kms1.d0.test, port: %s, weight: 10 }\n"
		   "publish:\n  domains:\n    - { domain: d0.test, lab: true, hosts: [one] }\n"
		   "discovery: { suffixes: [d0.test], resolvers: [\"127.0.0.1:%u\"] }\n",
		   w.dir, w.dir, w.lab.key_file, w.port, w.site.port);
	write_text(
		"b.yaml",
		"node: { target: kms1.d1.test, state_dir: %s/b, control: { socket: %s } }\n"
		"service: { mode: lab, listen: [\"127.0.0.1:0\"] }\n"
		"lab: { key_file: %s }\n"
		"health: { interval: 1d }\n"
		"publish:\n  domains:\n    - { domain: d1.test, lab: true, hosts: [local] }\n"
		"discovery: { interval: 0s, suffixes: [d1.test], resolvers: [\"127.0.0.1:%u\"] }\n",
		w.dir, w.socket, w.lab.key_file, w.site.port);
	write_text("tsig.key", "%s\n", FAKE_TSIG_KEY_TEXT);
	assert_int_equal(chmod(path_of("tsig.key"), 0600), 0);
	write_text("c.yaml",
		   "keys:\n  - { name: corp, file: %s/tsig.key }\n"
		   "hosts:\n  - { name: one, target: kms1.d0.test }\n"
		   "publish:\n  domains:\n    - { domain: d0.test, key: corp, hosts: [one] }\n"
		   "discovery: { resolvers: [\"127.0.0.1:%u\"] }\n",
		   w.dir, w.site.port);
	write_text("domains", "d0.test\nd1.test\nd2.test\n");
	write_text("export.reg",
		   "Windows Registry Editor Version 5.00\r\n\r\n"
		   "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\"
		   "SoftwareProtectionPlatform]\r\n"
		   "\"KeyManagementServiceListeningPort\"=\"1689\"\r\n");
}

static int run_daemon(void *ctx)
{
	char *argv[] = { (char[]){ "kmsbeacon" }, (char[]){ "run" }, (char[]){ "-c" }, ctx, NULL };

	return cli_main(4, argv);
}

static int run_words(void *ctx)
{
	struct command *c = ctx;

	optind = 0;
	return cli_main(c->argc, c->argv);
}

static void start_host(void)
{
	struct addr listen = test_addr("127.0.0.1:0");
	struct kms_service_params p = { .mode = KMS_MODE_LAB,
					.listen = &listen,
					.n_listen = 1,
					.lab_key_file = w.lab.key_file,
					.limits = { .idle_ms = 60000 } };
	struct err_info info;

	w.site.t.clock.wall_ms = clock_wall_ms(clock_system());
	assert_int_equal(kms_service_new(&w.site.t.net, &p, &w.host, &info), 0);
	addr_format(kms_service_addr(w.host, 0), w.at);
	snprintf(w.port, sizeof(w.port), "%u", addr_port(kms_service_addr(w.host, 0)));
}

static void add_word(struct command *c, const char *word, size_t len)
{
	char *to = c->words[++c->argc];

	for (size_t i = 0; i < len; i++) {
		const char *put = NULL;
		size_t at = strlen(to);

		if (word[i] == '%') {
			i++;
			put = word[i] == 'A'   ? path_of("a.yaml")
			      : word[i] == 'C' ? path_of("c.yaml")
			      : word[i] == 'B' ? path_of("b.yaml")
			      : word[i] == 'H' ? w.at
			      : word[i] == 'P' ? w.port
			      : word[i] == 'K' ? w.lab.key_file
					       : w.dir;
		}
		snprintf(to + at, sizeof(c->words[0]) - at, "%.*s", put != NULL ? 127 : 1,
			 put != NULL ? put : word + i);
	}
	c->argv[c->argc] = to;
}

static void make_words(struct command *c)
{
	static char name[] = "kmsbeacon";

	c->argv[0] = name;
	for (const char *at = c->line; *at != '\0'; at += strspn(at, " ")) {
		size_t len = strcspn(at, " ");

		assert_true(c->argc + 2 < WORDS);
		add_word(c, at, len);
		at += len;
	}
	c->argc++;
}

static int start_and_wait(struct fault_child *child, struct command *c, const char *stdout_to)
{
	const struct fault_child_params p = {
		.main = run_words, .ctx = c, .counts = true, .speed = TIMES, .stdout_to = stdout_to
	};

	fault_child_start(child, &w.site.t, &p);
	return fault_child_wait(child);
}

static void forget(const char *name)
{
	(void)unlink(path_of(name));
}

/* A count that activates. */
static void activate_fleet(void)
{
	struct command c = {
		.line = "client fleet --count 30 --key %K --state %D/fleet.json -c %A"
	};
	struct fault_child child;

	make_words(&c);
	(void)start_and_wait(&child, &c, NULL);
	fault_child_done(&child);
}

/* As it is after `publish`: the record, and what the state file has of it. */
static void keep_published(void)
{
	struct fault_child child;
	struct buf state;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, "publish") != 0)
			continue;
		if (start_and_wait(&child, &commands[i], NULL) != 0)
			fault_child_fail(&child, "publish");
		fault_child_done(&child);
	}
	assert_int_equal(w.site.servers[SITE_PRIMARY].sets[0].n, 1);
	buf_init(&state, sizeof(w.state));
	assert_int_equal(file_read(path_of("a/state.db"), &state), 0);
	memcpy(w.state, state.data, state.len);
	w.state_len = state.len;
	buf_done(&state);
}

static void begin_world(void)
{
	struct fault_child_params p = { .main = run_daemon };
	char port[8];

	pub_site_serve(&w.site);
	w.site.host_ip = "127.0.0.1";
	snprintf(port, sizeof(port), "%u", w.site.port);
	setenv("KMSBEACON_DNS_PORT", port, 1);
	unsetenv("KMSBEACON_CONFIG");
	lab_files_make(&w.lab);
	snprintf(w.dir, sizeof(w.dir), "%s/fault_cli.XXXXXX", fault_folder());
	assert_non_null(mkdtemp(w.dir));
	snprintf(w.socket, sizeof(w.socket), "%s/socket", w.dir);
	start_host();
	write_configs();
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		make_words(&commands[i]);
	keep_published();
	activate_fleet();
	p.ctx = path_of("b.yaml");
	fault_child_start(&w.daemon, &w.site.t, &p);
	if (!fault_child_says(&w.daemon, 0, "daemon.ready") ||
	    !fault_child_says(&w.daemon, 0, "publisher.proven"))
		fault_child_fail(&w.daemon, "the daemon that is asked does not start");
}

static void on_freed(void *ctx)
{
	*(bool *)ctx = true;
}

static void end_world(void)
{
	bool freed = false;
	char remove[96];

	(void)kill(w.daemon.pid, SIGTERM);
	if (fault_child_wait(&w.daemon) != 0)
		fault_child_fail(&w.daemon, "the daemon that was asked");
	fault_child_done(&w.daemon);
	kms_service_free(w.host, on_freed, &freed);
	test_net_run_until(&w.site.t, &freed);
	lab_files_remove(&w.lab);
	pub_site_unserve(&w.site);
	snprintf(remove, sizeof(remove), "rm -r %s", w.dir);
	assert_int_equal(system(remove), 0);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		free(commands[i].printed);
}

/* ---- a run ---- */

static void ask_daemon(const char *request)
{
	json_t *answer = fault_ask(&w.site.t, w.socket, request);

	assert_non_null(answer);
	assert_int_equal(json_integer_value(json_object_get(answer, "exit")), 0);
	json_decref(answer);
}

/* Until its record is there again. */
static void resume(void)
{
	ask_daemon("{\"command\":\"resume\",\"args\":{\"host\":\"local\"}}");
	ask_daemon("{\"command\":\"publish\",\"args\":{\"domain\":\"d1.test\"}}");
	assert_int_equal(w.site.servers[SITE_PRIMARY].sets[1].n, 1);
}

static void put_back(enum before before)
{
	static const char *const state[] = { "a/state.db", "a/state.db-wal", "a/state.db-shm",
					     "cache.json", "client.json",    "new.key" };
	struct pub_site_set *set = &w.site.servers[SITE_PRIMARY].sets[0];
	int fd;

	for (size_t i = 0; i < sizeof(state) / sizeof(state[0]); i++)
		forget(state[i]);
	set->n = w.site.servers[SITE_SECONDARY].sets[0].n = 0;
	if (before == PUBLISHED || before == NO_CLIENT) {
		pub_site_add(&w.site, 0, 0, 10, addr_port(kms_service_addr(w.host, 0)),
			     "kms1.d0.test", 3600);
		fd = open(path_of("a/state.db"), O_WRONLY | O_CREAT, 0600);
		assert_int_equal(write(fd, w.state, w.state_len), w.state_len);
		close(fd);
	}
	if (before == RESUMED || before == DRAINED)
		resume();
	if (before == DRAINED)
		ask_daemon("{\"command\":\"drain\",\"args\":{\"host\":\"local\",\"force\":true}}");
}

/* A CMID, which is random, as one number. */
static size_t guid_span(const char *text)
{
	return strspn(text, "0123456789abcdef-") == 36 ? 36 : 0;
}

/* Numbers differ from run to run: times, durations, serials. */
static char *without_numbers(const char *text)
{
	char *out = calloc(1, strlen(text) + 2), *at = out;

	assert_non_null(out);
	while (*text != '\0') {
		if (*text == ' ' || *text == '\n') { /* columns are as wide as what is in them */
			*at++ = ' ';
			text += strspn(text, " \n");
			continue;
		}
		if (guid_span(text) > 0) {
			*at++ = '#';
			text += guid_span(text);
			continue;
		}
		if (*text < '0' || *text > '9') {
			*at++ = *text++;
			continue;
		}
		*at++ = '#';
		text += strspn(text, "0123456789.:-eTZ");
	}
	return out;
}

static int compare_words(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t sorted_words(char *text, char **words, size_t max)
{
	static const char between[] = " {}[],";
	size_t n = 0;

	for (char *at = strtok_r(text, between, &text); at != NULL && n < max;
	     at = strtok_r(NULL, between, &text))
		words[n++] = at;
	qsort(words, n, sizeof(*words), compare_words);
	return n;
}

/* Questions that are asked side by side are told in the order of their answers. */
static bool same_words(const char *a, const char *b)
{
	static char *words[2][WORDS_MAX];
	char *copy[2] = { strdup(a), strdup(b) };
	size_t n = sorted_words(copy[0], words[0], WORDS_MAX);
	bool same = sorted_words(copy[1], words[1], WORDS_MAX) == n;

	for (size_t i = 0; same && i < n; i++)
		same = strcmp(words[0][i], words[1][i]) == 0;
	free(copy[0]);
	free(copy[1]);
	return same;
}

static bool is_json(const struct command *c)
{
	return strstr(c->line, "--json") != NULL;
}

/* Each line that it printed is an object. */
static void check_json(struct fault_child *child)
{
	const char *at = child->printed.text;

	while (*at != '\0') {
		size_t len = strcspn(at, "\n");
		json_t *o = json_loadb(at, len, 0, NULL);

		if (o == NULL || at[len] != '\n')
			fault_child_fail(child, "it printed half of an object");
		json_decref(o);
		at += len + 1;
	}
}

static unsigned times(const char *text, const char *word)
{
	unsigned n = 0;

	for (text = strstr(text, word); text != NULL; text = strstr(text + 1, word))
		n++;
	return n;
}

/* A server, say, of which the report now tells that it could not be asked, and why. */
static bool report_tells(const struct command *c, const char *printed)
{
	static const char *const words[] = { "warning",   "out of memory",   "unknown",
					     "no answer", "\"rcode\":null",  "serial -",
					     " - ",       "\"serial\":null", "unreachable",
					     "timeout",   "timed out",       "no descriptor",
					     "cannot",    "open files",      "left_out",
					     "left out" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (times(printed, words[i]) > times(c->printed, words[i]))
			return true;
	return false;
}

static int check(struct command *c, struct fault_child *child)
{
	char *printed;
	bool same, tells;

	if (child->code > 3 || child->code < 0)
		fault_child_fail(child, child->code == LEAKED ? "it leaks" : "it crashed");
	if (is_json(c) && fault_kind() != FAULT_DISK && fault_kind() != FAULT_EIO)
		check_json(child);
	printed = without_numbers(child->printed.text);
	if (c->printed == NULL) {
		c->printed = printed;
		if (child->code != c->code)
			fault_child_fail(child, "it does not work without a fault either");
		return 0;
	}
	same = same_words(printed, c->printed);
	tells = child->said.len > 0 || report_tells(c, printed);
	free(printed);
	if (child->code == c->code && same)
		return 0;
	if (child->code == 0 && !tells)
		fprintf(stderr, "\nwithout a fault: %s\n", c->printed);
	if (child->code == 0 && !tells)
		fault_child_fail(child, "exit code 0, and not the right result");
	if (!tells && (child->printed.len == 0 || same))
		fault_child_fail(child, "it failed and did not say why");
	return 1;
}

static int command(struct command *c)
{
	struct fault_child child;
	int err;

	put_back(c->before);
	fault_begin_child();
	(void)start_and_wait(&child, c, NULL);
	fault_end();
	err = check(c, &child);
	fault_child_done(&child);
	return err;
}

/* A disk that is full when stdout is written. */
static void check_full(struct command *c)
{
	struct fault_child child;

	put_back(c->before);
	(void)start_and_wait(&child, c, "/dev/full");
	if (child.code < 1 || child.code > 3)
		fault_child_fail(&child, "nothing could be printed, and that is not its exit code");
	if (strstr(child.said.text, "written") == NULL)
		fault_child_fail(&child, "nothing could be printed, and it does not say so");
	fault_child_done(&child);
}

#define RUN(name, code, before, line)                                                              \
	static int run_##name(void)                                                                \
	{                                                                                          \
		return command(&commands[AT_##name]);                                              \
	}                                                                                          \
	static void begin_##name(void)                                                             \
	{                                                                                          \
		check_full(&commands[AT_##name]);                                                  \
	}
#define AT(name, code, before, line) AT_##name,
enum { COMMANDS(AT) };
COMMANDS(RUN)

static const struct fault_scenario scenarios[] = {
#define SCENARIO(n, code, before, line)                                                            \
	{ .name = #n, .run = run_##n, .begin = begin_##n, .at_most = AT_MOST },
	COMMANDS(SCENARIO)
#undef SCENARIO
};

int main(void)
{
	int failed;

	alarm(30); /* until the first run sets its own */
	begin_world();
	failed = fault_run("fault_cli", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
	end_world();
	return failed;
}
