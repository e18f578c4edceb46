#include "tests/faults/fault.h"

#include <execinfo.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>
#include <jansson.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>

/* make coverage counts lines without the sanitizers; a leak is found by make faults. */
#pragma weak __sanitizer_print_stack_trace
#pragma weak __sanitizer_set_death_callback
#pragma weak __lsan_do_recoverable_leak_check
#pragma weak __sanitizer_symbolize_pc

#define RUN_S       20 /* one run of a scenario; much less where nothing hangs */
#define SITE_FRAMES 16
#define SITE_OURS   3 /* of them: keep_site(), fault_hit(), fault_call_NAME() */
#define SITE_TEXT   1024

static const char *const kind_name[FAULT_KINDS] = { "alloc", "uv",  "sqlite", "system",
						    "disk",  "eio", "short",  "gone" };

/* Seen by the processes of fault_child.h, too. */
struct plan {
	enum fault_kind kind;
	bool all_after; /* the calls after it fail too, as on a disk that is full */
	unsigned n;     /* the call that fails; 0: none */
	atomic_bool armed;
	atomic_bool in_child;           /* only the calls of the child that asked for it count */
	atomic_uint calls[FAULT_KINDS]; /* the store has a thread of its own */
	atomic_uint hits;
	void *site[SITE_FRAMES]; /* of the first hit */
};

static struct {
	const char *scenario; /* NULL: none runs */
	struct plan *plan;
	bool is_child; /* this process is the one whose calls count with in_child */
	bool trace;    /* show where the call stands */
	bool all;      /* $FAULTS: each fault, also of scenarios that cost much */
	unsigned seed; /* which of them are taken */
	bool (*is_peer)(void);
	char text[128];
} st;

/* The program's text, and within it that of the played peers (tests/module.mk names the section).
 */
extern const char __executable_start[], etext[];
extern const char __start_fake_text[] __attribute__((weak)),
	__stop_fake_text[] __attribute__((weak));

static bool within(const void *p, const char *from, const char *to)
{
	return (uintptr_t)p >= (uintptr_t)from && (uintptr_t)p < (uintptr_t)to;
}

/* Frames of the program have frame pointers; the walk ends where a library has called it. */
__attribute__((no_sanitize("address", "undefined"))) static bool for_a_fake(void)
{
	void *const *frame = __builtin_frame_address(0);

	if (st.is_peer != NULL)
		return st.is_peer();
	for (;;) {
		void *const *next = (void *const *)frame[0];

		if (within(frame[1], __start_fake_text, __stop_fake_text))
			return true;
		if (!within(frame[1], __executable_start, etext) || next <= frame)
			return false;
		frame = next;
	}
}

static void keep_site(struct plan *p)
{
	int n = backtrace(p->site, SITE_FRAMES);

	while (n < SITE_FRAMES)
		p->site[n++] = NULL;
}

bool fault_hit(enum fault_kind kind)
{
	struct plan *p = st.plan;
	unsigned n;

	if (p == NULL || !atomic_load(&p->armed) || (p->n != 0 && kind != p->kind) ||
	    atomic_load(&p->in_child) != st.is_child || for_a_fake())
		return false;
	n = atomic_fetch_add(&p->calls[kind], 1) + 1;
	if (p->n == 0 || (n != p->n && !(p->all_after && n > p->n)))
		return false;
	if (atomic_fetch_add(&p->hits, 1) == 0)
		keep_site(p);
	if (st.trace && __sanitizer_print_stack_trace != NULL)
		__sanitizer_print_stack_trace();
	return true;
}

const char *fault_repeat(void)
{
	return st.text;
}

unsigned fault_hits(void)
{
	return atomic_load(&st.plan->hits);
}

bool fault_site_known(void)
{
	return __sanitizer_symbolize_pc != NULL;
}

/* "fault_call_malloc < buf_reserve < ...": of the calls that were made to fail, the first one. */
const char *fault_site_text(void)
{
	static char text[SITE_TEXT];
	size_t len = 0;

	text[0] = '\0';
	if (fault_hits() == 0 || !fault_site_known())
		return text;
	for (size_t i = SITE_OURS - 1; i < SITE_FRAMES && st.plan->site[i] != NULL; i++) {
		char name[128];

		/* the call itself, not what it returns to */
		__sanitizer_symbolize_pc((char *)st.plan->site[i] - 1, "%f", name, sizeof(name));
		if (len + strlen(name) + 4 > sizeof(text))
			break;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
					i >= SITE_OURS ? " < " : "", name);
	}
	return text;
}

static bool has_word(const char *text, const char *prefix, const char *word)
{
	char whole[128];
	size_t len = (size_t)snprintf(whole, sizeof(whole), "%s%s", prefix, word);

	for (const char *at = strstr(text, whole); at != NULL; at = strstr(at + 1, whole))
		if ((at == text || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			return true;
	return false;
}

bool fault_site_has(const char *call, const char *function)
{
	const char *text = fault_site_text();

	return (*call == '\0' || has_word(text, "fault_call_", call)) &&
	       has_word(text, "", function);
}

void fault_peers(bool (*is_peer)(void))
{
	st.is_peer = is_peer;
}

void fault_begin(void)
{
	atomic_store(&st.plan->in_child, false);
	atomic_store(&st.plan->armed, true);
}

void fault_begin_child(void)
{
	atomic_store(&st.plan->in_child, true);
	atomic_store(&st.plan->armed, true);
}

void fault_end(void)
{
	atomic_store(&st.plan->armed, false);
}

enum fault_kind fault_kind(void)
{
	return st.plan->kind;
}

void fault_is_child(bool counts)
{
	st.is_child = counts;
	st.scenario = NULL;
}

static void say(void)
{
	ssize_t n = write(STDERR_FILENO, st.text, strlen(st.text));

	(void)n;
}

static void on_alarm(int sig)
{
	(void)sig;
	say();
	_exit(1);
}

static int run_once(const struct fault_scenario *s, enum fault_kind kind, unsigned n,
		    bool all_after)
{
	int err;

	st.scenario = s->name;
	st.plan->kind = kind;
	st.plan->n = n;
	st.plan->all_after = all_after;
	for (size_t i = 0; i < FAULT_KINDS; i++)
		atomic_store(&st.plan->calls[i], 0);
	atomic_store(&st.plan->hits, 0);
	snprintf(st.text, sizeof(st.text), "# with KMSBEACON_FAULT=%s:%s:%u%s\n", s->name,
		 kind_name[kind], n, all_after ? "+" : "");
	alarm(RUN_S);
	err = s->run();
	alarm(0);
	assert_false(atomic_load(&st.plan->armed));
	st.scenario = NULL;
	return err;
}

struct count {
	unsigned injected; /* faults */
	unsigned told;     /* runs that ended with an error */
};

static void each_fault(const struct fault_scenario *s, enum fault_kind kind, unsigned calls,
		       bool all_after, struct count *c)
{
	unsigned step = 1;

	if (s->at_most > 0 && !st.all && calls > s->at_most)
		step = (calls + s->at_most - 1) / s->at_most;
	for (unsigned i = 1 + (step > 1 ? st.seed % step : 0); i <= calls; i += step) {
		c->told += run_once(s, kind, i, all_after) != 0;
		c->injected += atomic_load(&st.plan->hits) > 0;
	}
}

/* SCENARIO:KIND:NUMBER[+]. @return whether this scenario is meant; *ret_told: its error */
static bool only_one(const struct fault_scenario *s, const char *text)
{
	size_t len = strlen(s->name);
	char *end;

	if (strncmp(text, s->name, len) != 0 || text[len] != ':')
		return false;
	text += len + 1;
	for (unsigned k = 0; k < FAULT_KINDS; k++) {
		len = strlen(kind_name[k]);
		if (strncmp(text, kind_name[k], len) != 0 || text[len] != ':')
			continue;
		assert_int_equal(run_once(s, k, 0, false), 0);
		keep_site(st.plan);
		atomic_store(&st.plan->hits, 1);
		(void)fault_site_text(); /* what the symbolizer opens is open before a life */
		st.trace = true;
		k = (unsigned)run_once(s, k, (unsigned)strtoul(text + len + 1, &end, 10),
				       strchr(text, '+') != NULL);
		fprintf(stderr, "# ended with %d\n", (int)k);
		return true;
	}
	return false;
}

static unsigned every_fault(const struct fault_scenario *s)
{
	unsigned total = 0, calls[FAULT_KINDS], n_calls = 0;

	assert_int_equal(run_once(s, FAULT_ALLOC, 0, false), 0);
	for (unsigned k = 0; k < FAULT_KINDS; k++)
		calls[k] = atomic_load(&st.plan->calls[k]);
	fprintf(stderr, "# %s:", s->name);
	for (unsigned k = 0; k < FAULT_KINDS; k++) {
		bool and_after = k != FAULT_ALLOC && k != FAULT_UV;
		struct count c = { 0 };

		if (calls[k] == 0)
			continue;
		each_fault(s, k, calls[k], false, &c);
		if (and_after)
			each_fault(s, k, calls[k], true, &c);
		fprintf(stderr, " %s %u/%u", kind_name[k], c.told, c.injected);
		total += c.injected;
		n_calls += calls[k] * (and_after ? 2 : 1);
	}
	fprintf(stderr, " (%u faults", total);
	if (s->at_most > 0 && !st.all)
		fprintf(stderr, " of %u, FAULTS_SEED=%u", n_calls, st.seed);
	fprintf(stderr, ")\n");
	return total;
}

static void fault_test(void **state)
{
	struct fault_scenario *s = *state;
	const char *only = getenv("KMSBEACON_FAULT");

	signal(SIGALRM, on_alarm);
	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(say);
	if (s->begin != NULL)
		s->begin();
	if (only != NULL && *only != '\0' && only[strlen(only) - 1] != ':') {
		assert_true(only_one(s, only));
	} else {
		assert_true(every_fault(s) > 0);
		assert_int_equal(run_once(s, FAULT_ALLOC, 0, false), 0);
	}
	if (s->end != NULL)
		s->end();
	snprintf(st.text, sizeof(st.text), "# %s leaks\n", s->name);
	st.scenario = s->name;
	if (__lsan_do_recoverable_leak_check != NULL)
		assert_int_equal(__lsan_do_recoverable_leak_check(), 0);
	st.scenario = NULL;
}

static int fault_teardown(void **state)
{
	(void)state;
	alarm(0);
	fault_end();
	if (st.scenario != NULL)
		say();
	st.scenario = NULL;
	return 0;
}

const char *fault_folder(void)
{
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static void *json_memory(size_t size)
{
	return fault_hit(FAULT_ALLOC) ? NULL : malloc(size);
}

/* The one that $KMSBEACON_FAULT names, as NAME: or with one fault of it, or all. */
static bool is_wanted(const struct fault_scenario *s)
{
	const char *only = getenv("KMSBEACON_FAULT");
	size_t len = strlen(s->name);

	return only == NULL || *only == '\0' ||
	       (strncmp(only, s->name, len) == 0 && only[len] == ':');
}

/** Whether it does so of its caller. */
__attribute__((noinline)) static bool names_functions(void)
{
	char name[128] = "";

	__sanitizer_symbolize_pc(__builtin_return_address(0), "%f", name, sizeof(name));
	return strcmp(name, "fault_run") == 0;
}

int fault_run(const char *group, const struct fault_scenario *list, size_t n)
{
	static struct fault_scenario copy[FAULT_SCENARIOS_MAX];
	static struct CMUnitTest tests[FAULT_SCENARIOS_MAX];
	const char *faults = getenv("FAULTS"), *seed = getenv("FAULTS_SEED");
	size_t n_tests = 0;

	st.plan = mmap(NULL, sizeof(*st.plan), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (st.plan == MAP_FAILED || n > FAULT_SCENARIOS_MAX)
		return 1;
	st.all = faults != NULL && strcmp(faults, "all") == 0;
	st.seed = seed != NULL ? (unsigned)strtoul(seed, NULL, 10) : 1;
	for (size_t i = 0; i < n; i++) {
		if (!is_wanted(&list[i]))
			continue;
		copy[i] = list[i];
		tests[n_tests++] = (struct CMUnitTest){ copy[i].name, fault_test, NULL,
							fault_teardown, &copy[i] };
	}
	json_set_alloc_funcs(json_memory, free);
	keep_site(st.plan); /* what backtrace() loads is loaded now */
	if (fault_site_known() && !names_functions()) {
		fprintf(stderr,
			"%s: the sanitizers do not find llvm-symbolizer, and no call has a name: "
			"tools/deps test installs it\n",
			group);
		return 1;
	}
	if (n_tests == 0) {
		fprintf(stderr, "%s: KMSBEACON_FAULT names no scenario of this program\n", group);
		return 1;
	}
	return _cmocka_run_group_tests(group, tests, n_tests, NULL, NULL);
}
