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
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>
#include <jansson.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>

#define RUN_S 20 /* one run of a scenario; much less where nothing hangs */

static const char *const kind_name[FAULT_KINDS] = { "alloc", "uv", "sqlite", "system", "disk" };

static struct {
	const char *scenario; /* NULL: none runs */
	enum fault_kind kind;
	bool all_after; /* the calls after it fail too, as on a disk that is full */
	unsigned n;     /* the call that fails; 0: none */
	atomic_bool armed;
	atomic_uint calls; /* the store has a thread of its own */
	bool trace;        /* show where the call stands */
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
	unsigned n;

	if (!atomic_load(&st.armed) || kind != st.kind || for_a_fake())
		return false;
	n = atomic_fetch_add(&st.calls, 1) + 1;
	if (st.n == 0 || (n != st.n && !(st.all_after && n > st.n)))
		return false;
	if (st.trace)
		__sanitizer_print_stack_trace();
	return true;
}

void fault_begin(void)
{
	atomic_store(&st.armed, true);
}

void fault_end(void)
{
	atomic_store(&st.armed, false);
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
	st.kind = kind;
	st.n = n;
	st.all_after = all_after;
	atomic_store(&st.calls, 0);
	snprintf(st.text, sizeof(st.text), "# with KMSBEACON_FAULT=%s:%s:%u%s\n", s->name,
		 kind_name[kind], n, all_after ? "+" : "");
	alarm(RUN_S);
	err = s->run();
	alarm(0);
	assert_false(atomic_load(&st.armed));
	st.scenario = NULL;
	return err;
}

/* @return how many faults were injected; *ret_told: how many of the runs ended with an error */
static unsigned each_fault(const struct fault_scenario *s, enum fault_kind kind, bool all_after,
			   unsigned *ret_told)
{
	unsigned n;

	assert_int_equal(run_once(s, kind, 0, false), 0);
	n = atomic_load(&st.calls);
	for (unsigned i = 1; i <= n; i++)
		*ret_told += run_once(s, kind, i, all_after) != 0;
	return n;
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

static void fault_test(void **state)
{
	struct fault_scenario *s = *state;
	const char *only = getenv("KMSBEACON_FAULT");
	unsigned n, told, total = 0;

	signal(SIGALRM, on_alarm);
	__sanitizer_set_death_callback(say);
	if (only != NULL && *only != '\0') {
		if (!only_one(s, only))
			skip();
	} else {
		fprintf(stderr, "# %s:", s->name);
		for (unsigned k = 0; k < FAULT_KINDS; k++) {
			told = 0;
			n = each_fault(s, k, false, &told);
			if (n > 0)
				fprintf(stderr, " %s %u/%u", kind_name[k], told, n);
			total += n;
			if (n == 0 || k == FAULT_ALLOC || k == FAULT_UV)
				continue;
			total += each_fault(s, k, true, &told);
		}
		fprintf(stderr, " (%u faults)\n", total);
		assert_true(total > 0);
		assert_int_equal(run_once(s, FAULT_ALLOC, 0, false), 0);
	}
	snprintf(st.text, sizeof(st.text), "# %s leaks\n", s->name);
	st.scenario = s->name;
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

int fault_run(const char *group, const struct fault_scenario *list, size_t n)
{
	static struct fault_scenario copy[FAULT_SCENARIOS_MAX];
	static struct CMUnitTest tests[FAULT_SCENARIOS_MAX];

	for (size_t i = 0; i < n && i < FAULT_SCENARIOS_MAX; i++) {
		copy[i] = list[i];
		tests[i] = (struct CMUnitTest){ copy[i].name, fault_test, NULL, fault_teardown,
						&copy[i] };
	}
	json_set_alloc_funcs(json_memory, free);
	if (n == 0 || n > FAULT_SCENARIOS_MAX)
		return 1;
	return _cmocka_run_group_tests(group, tests, n, NULL, NULL);
}
