/* Who runs: one thread at a time, and it gives way only where it waits. The main thread is the one
 * for which the world goes on: events run on it, and others run while it waits. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/calls.h"
#include "tests/sim/machine.h"

#define THREADS_MAX 16

enum thread_state { THREAD_UNUSED, THREAD_RUNNABLE, THREAD_WAITS, THREAD_DEAD };

struct thread {
	enum thread_state state;
	pthread_t id;
	sem_t baton;
	uint64_t at_us; /* runnable from then on */
	uint64_t seq;   /* the order in which they began to wait */
	const void *on; /* what it waits for */
	void *(*fn)(void *);
	void *arg;
	void *result;
};

static struct thread threads[THREADS_MAX]; /* the first is the main one */
static __thread struct thread *self;
static uint64_t next_seq;
static uint64_t steps_now, clock_reads, last_us;

static void give_baton(struct thread *t)
{
	(void)sem_post(&t->baton);
}

static void wait_baton(struct thread *t)
{
	while (sem_wait(&t->baton) != 0)
		; /* a signal */
}

void threads_begin(void)
{
	memset(threads, 0, sizeof(threads));
	self = &threads[0];
	self->state = THREAD_RUNNABLE;
	(void)sem_init(&self->baton, 0, 0);
	steps_now = clock_reads = 0;
	(void)alarm(REAL_STEP_S);
}

static bool is_main(void)
{
	return self == &threads[0] || self == NULL;
}

bool threads_run_one(void)
{
	struct thread *best = NULL;

	for (size_t i = 1; i < THREADS_MAX; i++) {
		struct thread *t = &threads[i];

		if (t->state == THREAD_RUNNABLE && t->at_us <= world->now_us &&
		    (best == NULL || t->at_us < best->at_us ||
		     (t->at_us == best->at_us && t->seq < best->seq)))
			best = t;
	}
	if (best == NULL)
		return false;
	give_baton(best);
	wait_baton(&threads[0]);
	return true;
}

uint64_t threads_next_us(void)
{
	uint64_t at = NEVER_US;

	for (size_t i = 1; i < THREADS_MAX; i++)
		if (threads[i].state == THREAD_RUNNABLE && threads[i].at_us < at)
			at = threads[i].at_us;
	return at;
}

/* ---- waiting ---- */

void clock_was_read(void)
{
	if (life_process != NULL && ++clock_reads > CLOCK_READS_MAX)
		sim_fail("the program reads the clock in a circle");
}

static void count_step(void)
{
	clock_reads = 0;
	if (last_us != world->now_us) {
		last_us = world->now_us;
		steps_now = 0;
	}
	if (++steps_now > STEPS_MAX)
		sim_fail("the program runs in a circle: %u steps, and no time has passed",
			 STEPS_MAX);
	if (steps_now % 1024 == 1)
		(void)alarm(REAL_STEP_S);
}

static void step_of_the_world(uint64_t until_us)
{
	uint64_t event = event_next_us(), thread = threads_next_us();

	if (event == NEVER_US && thread == NEVER_US && until_us == NEVER_US)
		sim_fail("the program waits, and nothing is to come: no timer, no event, no "
			 "message");
	if (life_process != NULL && life_process->until > 0 &&
	    world->now_us > life_process->until * 1000)
		sim_fail("the program still runs at the time by which it should have ended");
	if (thread <= event && thread <= until_us)
		time_pass_to(thread);
	else if (event <= until_us)
		event_run();
	else
		time_pass_to(until_us);
}

bool wait_until(bool (*ready)(void *ctx), void *ctx, uint64_t until_us)
{
	if (!is_main())
		sim_fail("a thread beside the main one waits for descriptors");
	count_step();
	for (;;) {
		while (control_pump())
			;
		if (ready(ctx))
			return true;
		if (threads_run_one())
			continue;
		if (until_us <= world->now_us && event_next_us() > world->now_us)
			return false;
		step_of_the_world(until_us);
	}
}

/* A thread beside the main one gives way until it is runnable again. */
static void give_way(void)
{
	give_baton(&threads[0]);
	wait_baton(self);
}

static bool is_runnable(void *ctx)
{
	const struct thread *t = ctx;

	return t->state == THREAD_RUNNABLE;
}

static void wait_on(const void *on)
{
	self->on = on;
	self->seq = next_seq++;
	self->state = THREAD_WAITS;
	if (is_main())
		(void)wait_until(is_runnable, self, NEVER_US);
	else
		give_way();
}

static void wake_on(const void *on, bool all)
{
	do {
		struct thread *first = NULL;

		for (size_t i = 0; i < THREADS_MAX; i++)
			if (threads[i].state == THREAD_WAITS && threads[i].on == on &&
			    (first == NULL || threads[i].seq < first->seq))
				first = &threads[i];
		if (first == NULL)
			return;
		first->state = THREAD_RUNNABLE;
		first->on = NULL;
		first->at_us = world->now_us;
		first->seq = next_seq++;
	} while (all);
}

static bool never(void *ctx)
{
	(void)ctx;
	return false;
}

static void sleep_us(uint64_t us)
{
	if (is_main()) {
		(void)wait_until(never, NULL, world->now_us + us);
		return;
	}
	self->at_us = world->now_us + us;
	self->seq = next_seq++;
	give_way();
}

int sim_call_nanosleep(const struct timespec *ts, struct timespec *left)
{
	(void)left;
	sleep_us((uint64_t)ts->tv_sec * 1000000 + (uint64_t)ts->tv_nsec / 1000);
	return 0;
}

int sim_call_sched_yield(void)
{
	return 0;
}

/* ---- threads ---- */

static void *thread_main(void *arg)
{
	self = arg;
	wait_baton(self);
	self->result = self->fn(self->arg);
	self->state = THREAD_DEAD;
	wake_on(self, true);
	give_baton(&threads[0]);
	return NULL;
}

int sim_call_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
			    void *arg)
{
	struct thread *t = &threads[1];
	int rc;

	while (t < threads + THREADS_MAX && t->state != THREAD_UNUSED)
		t++;
	if (t == threads + THREADS_MAX)
		sim_fail("too many threads");
	*t = (struct thread){ .state = THREAD_RUNNABLE, .fn = fn, .arg = arg };
	t->at_us = world->now_us;
	t->seq = next_seq++;
	(void)sem_init(&t->baton, 0, 0);
	rc = pthread_create(&t->id, attr, thread_main, t);
	if (rc != 0)
		t->state = THREAD_UNUSED;
	*ret = t->id;
	return rc;
}

int sim_call_pthread_join(pthread_t id, void **ret)
{
	struct thread *t = &threads[1];
	int rc;

	while (t < threads + THREADS_MAX &&
	       (t->state == THREAD_UNUSED || pthread_equal(t->id, id) == 0))
		t++;
	if (t == threads + THREADS_MAX)
		return ESRCH;
	while (t->state != THREAD_DEAD)
		wait_on(t);
	rc = pthread_join(id, NULL);
	if (ret != NULL)
		*ret = t->result;
	(void)sem_destroy(&t->baton);
	t->state = THREAD_UNUSED;
	return rc;
}

/* ---- what they share ---- */

int sim_call_pthread_mutex_lock(pthread_mutex_t *m)
{
	int rc;

	while ((rc = pthread_mutex_trylock(m)) == EBUSY && self != NULL)
		wait_on(m);
	return rc;
}

/* What a thread beside the main one does between two locks is a job of the disk: half of its time
 * goes by before it, and half until it is told. */
int sim_call_pthread_mutex_unlock(pthread_mutex_t *m)
{
	int rc = pthread_mutex_unlock(m);

	if (self == NULL)
		return rc;
	wake_on(m, false);
	if (!is_main() && world->disk_ms > 0)
		sleep_us(world->disk_ms * UINT64_C(500));
	return rc;
}

int sim_call_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	(void)pthread_mutex_unlock(m);
	wake_on(m, false);
	wait_on(c);
	return sim_call_pthread_mutex_lock(m);
}

int sim_call_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
				    const struct timespec *until)
{
	(void)c;
	(void)m;
	(void)until;
	sim_fail("pthread_cond_timedwait() is not played");
}

int sim_call_pthread_cond_signal(pthread_cond_t *c)
{
	program_acts();
	wake_on(c, false);
	return 0;
}

int sim_call_pthread_cond_broadcast(pthread_cond_t *c)
{
	wake_on(c, true);
	return 0;
}

int sim_call_sem_wait(sem_t *s)
{
	while (sem_trywait(s) != 0) {
		if (errno != EAGAIN)
			return -1;
		wait_on(s);
	}
	return 0;
}

int sim_call_sem_post(sem_t *s)
{
	int rc = sem_post(s);

	program_acts();
	wake_on(s, false);
	return rc;
}

void sim_disk_ms(uint32_t ms)
{
	world->disk_ms = ms;
}
