#include "tests/faults/fault.h"

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
#include <time.h>
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

#define RUN_S 20 /* one run of a scenario; much less where nothing hangs */

static const char *const kind_name[FAULT_KINDS] = { "alloc", "uv",  "sqlite", "system",
						    "disk",  "eio", "short",  "gone" };

/* Seen by the processes of fault_child.h, too. */
struct plan {
	enum fault_kind kind;
	bool all_after; /* the calls after it fail too, as on a disk that is full */
	unsigned n;     /* the call that fails; 0: none */
	atomic_bool armed;
	atomic_bool in_child; /* only the calls of the child that asked for it count */
	atomic_uint calls;    /* the store has a thread of its own */
	atomic_uint hits;
};

static struct {
	const char *scenario; /* NULL: none runs */
	struct plan *plan;
	bool is_child; /* this process is the one whose calls count with in_child */
	bool trace;    /* show where the call stands */
	bool all;      /* $FAULTS: each fault, also of scenarios that cost much */
	unsigned seed; /* which of them are taken */
	char text[128];
} st;

/* The program's text, and within it that of the played peers (tests/module.mk names the section).
 */
extern const char __executable_start[], etext[], __start_fake_text[], __stop_fake_text[];

static bool within(const void *p, const char *from, const char *to)
{
	return (uintptr_t)p >= (uintptr_t)from && (uintptr_t)p < (uintptr_t)to;
}

/* Frames of the program have frame pointers; the walk ends where a library has called it. */
__attribute__((no_sanitize("address", "undefined"))) static bool for_a_fake(void)
{
	void *const *frame = __builtin_frame_address(0);

	for (;;) {
		void *const *next = (void *const *)frame[0];

		if (within(frame[1], __start_fake_text, __stop_fake_text))
			return true;
		if (!within(frame[1], __executable_start, etext) || next <= frame)
			return false;
		frame = next;
	}
}

bool fault_hit(enum fault_kind kind)
{
	struct plan *p = st.plan;
	unsigned n;

	if (p == NULL || !atomic_load(&p->armed) || kind != p->kind ||
	    atomic_load(&p->in_child) != st.is_child || for_a_fake())
		return false;
	n = atomic_fetch_add(&p->calls, 1) + 1;
	if (p->n == 0 || (n != p->n && !(p->all_after && n > p->n)))
		return false;
	(void)atomic_fetch_add(&p->hits, 1);
	if (st.trace && __sanitizer_print_stack_trace != NULL)
		__sanitizer_print_stack_trace();
	return true;
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
	atomic_store(&st.plan->calls, 0);
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
	unsigned calls;    /* that can fail */
	unsigned injected; /* faults */
	unsigned told;     /* runs that ended with an error */
};

static void each_fault(const struct fault_scenario *s, enum fault_kind kind, bool all_after,
		       struct count *c)
{
	unsigned step = 1;

	assert_int_equal(run_once(s, kind, 0, false), 0);
	c->calls = atomic_load(&st.plan->calls);
	if (s->at_most > 0 && !st.all && c->calls > s->at_most)
		step = (c->calls + s->at_most - 1) / s->at_most;
	for (unsigned i = 1 + (step > 1 ? st.seed % step : 0); i <= c->calls; i += step) {
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
	unsigned total = 0, calls = 0;

	fprintf(stderr, "# %s:", s->name);
	for (unsigned k = 0; k < FAULT_KINDS; k++) {
		struct count c = { 0 }, after = { 0 };

		each_fault(s, k, false, &c);
		if (c.calls > 0 && k != FAULT_ALLOC && k != FAULT_UV)
			each_fault(s, k, true, &after);
		if (c.calls > 0)
			fprintf(stderr, " %s %u/%u", kind_name[k], c.told + after.told,
				c.injected + after.injected);
		total += c.injected + after.injected;
		calls += c.calls + after.calls;
	}
	fprintf(stderr, " (%u faults", total);
	if (s->at_most > 0 && !st.all)
		fprintf(stderr, " of %u, FAULTS_SEED=%u", calls, st.seed);
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
	if (only != NULL && *only != '\0') {
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

/* The one that $KMSBEACON_FAULT names, or all. */
static bool is_wanted(const struct fault_scenario *s)
{
	const char *only = getenv("KMSBEACON_FAULT");
	size_t len = strlen(s->name);

	return only == NULL || *only == '\0' ||
	       (strncmp(only, s->name, len) == 0 && only[len] == ':');
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
	st.seed = seed != NULL ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)time(NULL) % 10000;
	for (size_t i = 0; i < n; i++) {
		if (!is_wanted(&list[i]))
			continue;
		copy[i] = list[i];
		tests[n_tests++] = (struct CMUnitTest){ copy[i].name, fault_test, NULL,
							fault_teardown, &copy[i] };
	}
	json_set_alloc_funcs(json_memory, free);
	if (n_tests == 0) {
		fprintf(stderr, "%s: KMSBEACON_FAULT names no scenario of this program\n", group);
		return 1;
	}
	return _cmocka_run_group_tests(group, tests, n_tests, NULL, NULL);
}
