/* The played machine under programs of a few lines: the clock, lives, threads, and how it fails. */
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
#include <uv.h>

#include "tests/sim/calls.h"
#include "tests/sim/sim.h"

/* In a life, where an assertion of cmocka would go on with the other tests. */
#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x))                                                                          \
			sim_fail("%s:%d: %s", __FILE__, __LINE__, #x);                             \
	} while (0)

/* What the program and the test both see. */
static struct shared {
	uint64_t at[16];
	size_t n, events;
	int result;
	char text[256];
} * shared;

static void begin(uint64_t seed)
{
	sim_new(seed);
	shared = sim_alloc(sizeof(*shared));
}

static void note_time(void)
{
	MUST(shared->n < 16);
	shared->at[shared->n++] = sim_now();
}

static void on_line(void *ctx, const char *line)
{
	(void)ctx;
	(void)snprintf(shared->text, sizeof(shared->text), "%s", line);
}

static void on_output(void *ctx, const char *text, size_t len)
{
	(void)ctx;
	(void)snprintf(shared->text, sizeof(shared->text), "%.*s", (int)len, text);
}

static struct sim_life run(int (*program)(int argc, char **argv))
{
	char *argv[] = { (char[]){ "program" }, NULL };
	const struct sim_process p = {
		.argc = 1,
		.argv = argv,
		.main = program,
		.line = on_line,
		.output = on_output,
	};

	return sim_run(&p);
}

static void ends_well(int (*program)(int argc, char **argv))
{
	struct sim_life life = run(program);

	if (life.end != SIM_ENDED || life.code != 0)
		fail_msg("end %d, code %d: %s", (int)life.end, life.code, sim_failure());
}

/* ---- the clock ---- */

static void on_timer(uv_timer_t *t)
{
	note_time();
	if (shared->n == 3)
		uv_close((uv_handle_t *)t, NULL);
}

static int ticks(int argc, char **argv)
{
	uv_timer_t t;
	uv_loop_t loop;

	(void)argc;
	(void)argv;
	MUST(uv_loop_init(&loop) == 0);
	MUST(uv_timer_init(&loop, &t) == 0);
	MUST(uv_timer_start(&t, on_timer, 7, 86400000) == 0);
	MUST(uv_run(&loop, UV_RUN_DEFAULT) == 0);
	return uv_loop_close(&loop);
}

static void t_timers_come_to_the_millisecond(void **state)
{
	(void)state;
	begin(1);
	ends_well(ticks);
	assert_int_equal(shared->n, 3);
	assert_int_equal(shared->at[0], 7);
	assert_int_equal(shared->at[1], 7 + 86400000);
	assert_int_equal(shared->at[2], 7 + 2 * 86400000);
	assert_int_equal(sim_timeouts(), 3);
}

static void step_clock(void *ctx, uint64_t arg)
{
	(void)ctx;
	sim_step_clock((int64_t)arg);
	shared->events++;
}

static int sees_clocks(int argc, char **argv)
{
	struct timespec wall, mono, later, nap = { 5, 0 };

	(void)argc;
	(void)argv;
	MUST(sim_call_clock_gettime(CLOCK_REALTIME, &wall) == 0);
	MUST(sim_call_clock_gettime(CLOCK_MONOTONIC, &mono) == 0);
	MUST(wall.tv_sec == SIM_EPOCH_S);
	MUST(sim_call_nanosleep(&nap, NULL) == 0);
	MUST(sim_call_clock_gettime(CLOCK_REALTIME, &later) == 0);
	MUST(later.tv_sec - wall.tv_sec == 5 + 3600);
	MUST(sim_call_time(NULL) == later.tv_sec);
	MUST(sim_call_clock_gettime(CLOCK_MONOTONIC, &later) == 0);
	MUST(later.tv_sec - mono.tv_sec == 5);
	return 0;
}

static void t_stepped_clock_moves_the_wall_only(void **state)
{
	(void)state;
	begin(1);
	sim_at(2000, step_clock, NULL, 3600000);
	ends_well(sees_clocks);
	assert_int_equal(shared->events, 1);
	assert_int_equal(sim_now(), 5000);
}

/* ---- lives ---- */

static int writes(int argc, char **argv)
{
	(void)argv;
	MUST(sim_call_printf("%d word", argc) > 0);
	MUST(sim_call_puts("s") >= 0);
	return 3;
}

static int complains(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	(void)fprintf(sim_call_stderr, "half a ");
	MUST(sim_call_write(STDERR_FILENO, "line\n", 5) == 5);
	sim_call_exit(2);
}

static int leaves_open(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	MUST(dup(STDIN_FILENO) >= 0);
	MUST(sim_call_socket(AF_INET, SOCK_DGRAM, 0) >= 0);
	MUST(sim_call_socket(AF_INET, SOCK_STREAM, 0) >= 0);
	return 0;
}

static void t_what_is_left_open_is_counted(void **state)
{
	struct sim_life life;

	(void)state;
	begin(1);
	life = run(leaves_open);
	assert_int_equal(life.sockets, 2);
	assert_int_equal(life.files, 1);
	life = run(ticks);
	assert_int_equal(life.sockets + life.files, 0);
}

static void t_output_and_code_are_told(void **state)
{
	struct sim_life life;

	(void)state;
	begin(1);
	life = run(writes);
	assert_int_equal(life.end, SIM_ENDED);
	assert_int_equal(life.code, 3);
	assert_string_equal(shared->text, "1 words\n");
	life = run(complains);
	assert_int_equal(life.end, SIM_ENDED);
	assert_int_equal(life.code, 2);
}

static void crash(void *ctx, uint64_t arg)
{
	(void)ctx;
	(void)arg;
	sim_crash();
}

static char path[64];

static int lives_twice(int argc, char **argv)
{
	struct timespec nap = { 100, 0 };
	int fd;

	(void)argc;
	(void)argv;
	if (shared->n++ > 0)
		return access(path, F_OK) == 0 ? 0 : 1;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	MUST(fd >= 0);
	(void)sim_call_nanosleep(&nap, NULL);
	return 9;
}

static void t_crash_keeps_files_and_world(void **state)
{
	struct sim_life life;

	(void)state;
	begin(1);
	(void)snprintf(path, sizeof(path), "/tmp/kmsbeacon-sim-%ld", (long)getpid());
	sim_at(50000, crash, NULL, 0);
	sim_at(60000, step_clock, NULL, 0);
	sim_at(300000, step_clock, NULL, 0);
	life = run(lives_twice);
	assert_int_equal(life.end, SIM_CRASHED);
	assert_int_equal(sim_now(), 50000);
	sim_idle(200000);
	assert_int_equal(sim_now(), 200000);
	assert_int_equal(shared->events, 1);
	life = run(lives_twice);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(life.end, SIM_ENDED);
	assert_int_equal(life.code, 0);
	assert_int_equal(shared->n, 2);
}

/* ---- signals ---- */

static void send_signal(void *ctx, uint64_t arg)
{
	(void)ctx;
	sim_signal((int)arg);
}

static void on_signal(uv_signal_t *s, int signum)
{
	shared->result = signum;
	note_time();
	uv_close((uv_handle_t *)s, NULL);
}

static int takes_signal(int argc, char **argv)
{
	uv_signal_t s;
	uv_loop_t loop;

	(void)argc;
	(void)argv;
	MUST(uv_loop_init(&loop) == 0);
	MUST(uv_signal_init(&loop, &s) == 0);
	MUST(uv_signal_start(&s, on_signal, SIGHUP) == 0);
	MUST(uv_run(&loop, UV_RUN_DEFAULT) == 0);
	return uv_loop_close(&loop);
}

static int takes_none(int argc, char **argv)
{
	struct timespec nap = { 3600, 0 };

	(void)argc;
	(void)argv;
	return sim_call_nanosleep(&nap, NULL);
}

static void t_signals_are_delivered(void **state)
{
	struct sim_life life;

	(void)state;
	begin(1);
	sim_at(1234, send_signal, NULL, SIGHUP);
	ends_well(takes_signal);
	assert_int_equal(shared->result, SIGHUP);
	assert_int_equal(shared->at[0], 1234);
	sim_at(5000, send_signal, NULL, SIGTERM);
	life = run(takes_none);
	assert_int_equal(life.end, SIM_ENDED);
	assert_int_equal(life.code, 128 + SIGTERM);
	assert_int_equal(sim_now(), 5000);
}

/* ---- threads ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER, idle = PTHREAD_COND_INITIALIZER;
static int jobs, ended;

static void *worker(void *arg)
{
	(void)sim_call_pthread_mutex_lock(&lock);
	while (ended < 3) {
		while (jobs == 0)
			(void)sim_call_pthread_cond_wait(&work, &lock);
		jobs--;
		(void)sim_call_pthread_mutex_unlock(&lock);
		(void)sim_call_pthread_mutex_lock(&lock);
		ended++;
		note_time();
		(void)sim_call_pthread_cond_signal(&idle);
	}
	(void)sim_call_pthread_mutex_unlock(&lock);
	return arg;
}

static int has_thread(int argc, char **argv)
{
	pthread_t t;
	void *result = NULL;

	(void)argc;
	MUST(sim_call_pthread_create(&t, NULL, worker, argv) == 0);
	(void)sim_call_pthread_mutex_lock(&lock);
	jobs = 3;
	(void)sim_call_pthread_cond_signal(&work);
	while (ended < 3)
		(void)sim_call_pthread_cond_wait(&idle, &lock);
	(void)sim_call_pthread_mutex_unlock(&lock);
	MUST(sim_call_pthread_join(t, &result) == 0);
	MUST(result == argv);
	return 0;
}

static void t_thread_takes_the_time_of_the_disk(void **state)
{
	(void)state;
	begin(1);
	sim_disk_ms(20);
	ends_well(has_thread);
	assert_int_equal(shared->n, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(shared->at[i], 10 * (i + 1));
}

static void on_work(uv_work_t *w)
{
	(void)w;
	shared->events++;
}

static void after_work(uv_work_t *w, int status)
{
	(void)w;
	MUST(status == 0);
	note_time();
}

static int has_pool(int argc, char **argv)
{
	uv_work_t w[6];
	uv_loop_t loop;

	(void)argc;
	(void)argv;
	MUST(uv_loop_init(&loop) == 0);
	for (size_t i = 0; i < 6; i++)
		MUST(uv_queue_work(&loop, &w[i], on_work, after_work) == 0);
	MUST(uv_run(&loop, UV_RUN_DEFAULT) == 0);
	MUST(uv_loop_close(&loop) == 0);
	uv_library_shutdown();
	return 0;
}

static void t_pool_of_libuv_runs(void **state)
{
	(void)state;
	begin(1);
	ends_well(has_pool);
	assert_int_equal(shared->events, 6);
	assert_int_equal(shared->n, 6);
}

/* ---- how it fails ---- */

static int waits_for_nothing(int argc, char **argv)
{
	struct epoll_event ev;

	(void)argc;
	(void)argv;
	return sim_call_epoll_wait(sim_call_epoll_create1(0), &ev, 1, -1);
}

static int runs_in_a_circle(int argc, char **argv)
{
	struct epoll_event ev;
	int fd = sim_call_epoll_create1(0);

	(void)argv;
	while (argc > 0)
		(void)sim_call_epoll_wait(fd, &ev, 1, 0);
	return 0;
}

static int reads_clock(int argc, char **argv)
{
	time_t begun = sim_call_time(NULL);

	(void)argv;
	while (argc > 0 && sim_call_time(NULL) == begun)
		;
	return 0;
}

static int aborts(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	abort();
}

static int never_ends(int argc, char **argv)
{
	struct timespec nap = { 3600, 0 };

	(void)argv;
	while (argc > 0)
		(void)sim_call_nanosleep(&nap, NULL);
	return 0;
}

static int overruns(int argc, char **argv)
{
	volatile char *p = malloc(4);

	(void)argv;
	p[argc * 4] = 1;
	return 0;
}

static void *volatile kept;

static int forgets(int argc, char **argv)
{
	(void)argv;
	for (int i = 0; i < 100; i++) /* an old value on the stack would excuse one */
		kept = malloc(1000);
	MUST(kept != NULL);
	kept = NULL;
	return argc - 1;
}

static void t_what_is_broken_is_told(void **state)
{
	static const struct {
		int (*program)(int argc, char **argv);
		const char *text;
		bool by_sanitizer;
	} rows[] = {
		{ waits_for_nothing, "nothing is to come", false },
		{ runs_in_a_circle, "runs in a circle", false },
		{ reads_clock, "reads the clock in a circle", false },
		{ aborts, "ended by", false },
		{ never_ends, "still runs", false },
		{ overruns, "sanitizer", true },
		{ forgets, "given back", true },
	};
	char *argv[] = { (char[]){ "program" }, NULL };
	struct sim_process p = { .argc = 1, .argv = argv, .until = 86400000 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(1);
		if (rows[i].by_sanitizer && !SIM_SANITIZED)
			continue;
		p.main = rows[i].program;
		assert_int_equal(sim_run(&p).end, SIM_BROKEN);
		if (strstr(sim_failure(), rows[i].text) == NULL)
			fail_msg("row %zu: %s", i, sim_failure());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_timers_come_to_the_millisecond),
		cmocka_unit_test(t_stepped_clock_moves_the_wall_only),
		cmocka_unit_test(t_output_and_code_are_told),
		cmocka_unit_test(t_what_is_left_open_is_counted),
		cmocka_unit_test(t_crash_keeps_files_and_world),
		cmocka_unit_test(t_signals_are_delivered),
		cmocka_unit_test(t_thread_takes_the_time_of_the_disk),
		cmocka_unit_test(t_pool_of_libuv_runs),
		cmocka_unit_test(t_what_is_broken_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
