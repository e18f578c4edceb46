/* Memory that outlives a life, the clock, and what happens when. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/sim/machine.h"

#define ALIGN      16u
#define BLOCK_HEAD 16u

struct world *world;

void sim_new(uint64_t seed)
{
	void *p;

	if (life_process != NULL)
		sim_fail("sim_new() while the program runs");
	if (world != NULL)
		(void)munmap(world, SIM_MEMORY_MAX);
	world = NULL;
	p = mmap(NULL, SIM_MEMORY_MAX, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED) {
		perror("memory of the played world");
		exit(1);
	}
	world = p;
	world->used = (sizeof(*world) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	world->seed = seed;
	world->disk_ms = 2;
	rng_init_seed(&world->rng, seed);
	rng_init_seed(&world->net_rng, seed ^ UINT64_C(0x6e6574776f726b));
	rng_init_seed(&world->program_rng, seed ^ UINT64_C(0x70726f6772616d));
}

void *sim_alloc(size_t size)
{
	size_t n = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	uint8_t *p = (uint8_t *)world + world->used;

	if (size > SIM_MEMORY_MAX || n > SIM_MEMORY_MAX - world->used)
		sim_fail("the world's memory is used up (SIM_MEMORY_MAX)");
	world->used += n;
	return p; /* fresh pages are zero */
}

void *sim_part(enum sim_part which, size_t size)
{
	if (world->parts[which] == NULL)
		world->parts[which] = sim_alloc(size);
	return world->parts[which];
}

struct block {
	struct block *next; /* while it is free */
	size_t class;
};

void *block_get(size_t size)
{
	size_t class = 0;
	struct block *b;

	while (((size_t)64 << class) < size + BLOCK_HEAD)
		if (++class == BLOCK_CLASSES)
			sim_fail("a block of %zu bytes is too large", size);
	b = world->blocks[class];
	if (b != NULL) {
		world->blocks[class] = b->next;
		memset(b, 0, (size_t)64 << class);
	} else {
		b = sim_alloc((size_t)64 << class);
	}
	b->class = class;
	return (uint8_t *)b + BLOCK_HEAD;
}

void block_put(void *p)
{
	struct block *b;

	if (p == NULL)
		return;
	b = (struct block *)(void *)((uint8_t *)p - BLOCK_HEAD);
	b->next = world->blocks[b->class];
	world->blocks[b->class] = b;
}

struct rng *sim_rng(void)
{
	return &world->rng;
}

/* ---- the clock ---- */

uint64_t sim_now(void)
{
	return world->now_us / 1000;
}

uint64_t sim_now_us(void)
{
	return world->now_us;
}

int64_t sim_wall_ms(void)
{
	return SIM_EPOCH_S * INT64_C(1000) + (int64_t)(world->now_us / 1000) + world->wall_step_ms;
}

void sim_step_clock(int64_t by_ms)
{
	world->wall_step_ms += by_ms;
}

void time_pass_to(uint64_t us)
{
	if (us > world->now_us)
		world->now_us = us;
}

/* ---- events ---- */

static bool before(const struct event *a, const struct event *b)
{
	return a->at_us < b->at_us || (a->at_us == b->at_us && a->seq < b->seq);
}

static void swap(size_t i, size_t j)
{
	struct event e = world->events[i];

	world->events[i] = world->events[j];
	world->events[j] = e;
}

void event_at_us(uint64_t at_us, sim_event_fn *fn, void *ctx, uint64_t arg)
{
	struct event *h = world->events;
	size_t i = world->n_events;

	if (i == SIM_EVENTS_MAX)
		sim_fail("too much is to happen (SIM_EVENTS_MAX)");
	h[i] = (struct event){ at_us > world->now_us ? at_us : world->now_us, world->seq++, fn, ctx,
			       arg };
	world->n_events++;
	for (; i > 0 && before(&h[i], &h[(i - 1) / 2]); i = (i - 1) / 2)
		swap(i, (i - 1) / 2);
}

static unsigned playing;

void play_begin(void)
{
	playing++;
}

void play_end(void)
{
	playing--;
}

bool sim_plays(void)
{
	return playing > 0;
}

uint64_t event_next_us(void)
{
	return world->n_events > 0 ? world->events[0].at_us : NEVER_US;
}

void event_run(void)
{
	struct event *h = world->events;
	struct event e = h[0];
	size_t n = --world->n_events;

	h[0] = h[n];
	for (size_t i = 0, c; (c = 2 * i + 1) < n; i = c) {
		if (c + 1 < n && before(&h[c + 1], &h[c]))
			c++;
		if (!before(&h[c], &h[i]))
			break;
		swap(i, c);
	}
	time_pass_to(e.at_us);
	play_begin();
	e.fn(e.ctx, e.arg);
	play_end();
}

void sim_at(uint64_t at_ms, sim_event_fn *fn, void *ctx, uint64_t arg)
{
	event_at_us(at_ms * 1000, fn, ctx, arg);
}

void sim_after(uint64_t ms, sim_event_fn *fn, void *ctx, uint64_t arg)
{
	event_at_us(world->now_us + ms * 1000, fn, ctx, arg);
}

void sim_idle(uint64_t until_ms)
{
	if (life_process != NULL)
		sim_fail("sim_idle() while the program runs");
	while (event_next_us() <= until_ms * 1000)
		event_run();
	time_pass_to(until_ms * 1000);
}

bool sim_idle_next(void)
{
	if (life_process != NULL)
		sim_fail("sim_idle_next() while the program runs");
	if (world->n_events == 0)
		return false;
	event_run();
	return true;
}

/* ---- comparing and failing ---- */

static void digest_bytes(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = world->digest != 0 ? world->digest : UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	world->digest = h;
}

void digest_add(const char *what, const void *data, size_t len)
{
	digest_bytes(&world->now_us, sizeof(world->now_us));
	digest_bytes(what, strlen(what));
	digest_bytes(data, len);
}

uint64_t sim_digest(void)
{
	return world->digest;
}

const char *sim_failure(void)
{
	return world->failure;
}

static void say_time(char *buf, size_t size)
{
	uint64_t ms = sim_now();

	(void)snprintf(buf, size, "day %llu %02llu:%02llu:%02llu.%03llu",
		       (unsigned long long)(ms / 86400000), (unsigned long long)(ms / 3600000 % 24),
		       (unsigned long long)(ms / 60000 % 60), (unsigned long long)(ms / 1000 % 60),
		       (unsigned long long)(ms % 1000));
}

void sim_fail(const char *fmt, ...)
{
	char text[512], when[64];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (world == NULL) {
		(void)dprintf(STDERR_FILENO, "FAILED: %s\n", text);
		_exit(1);
	}
	say_time(when, sizeof(when));
	(void)dprintf(STDERR_FILENO, "FAILED: %s\n  seed %llu, at %s\n", text,
		      (unsigned long long)world->seed, when);
	for (uint64_t i = world->n_log > LOG_LINES ? world->n_log - LOG_LINES : 0; i < world->n_log;
	     i++)
		(void)dprintf(STDERR_FILENO, "  | %s\n", world->log[i % LOG_LINES]);
	(void)snprintf(world->failure, sizeof(world->failure), "%s", text);
	if (life_process != NULL)
		_exit(1); /* the parent sees that it has not ended by itself */
	exit(1);
}
