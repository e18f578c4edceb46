/*
 * chaos [-v] [SEED [ROUNDS]]: the random whole-system test (chaos.h). One TAP-like line, and with a
 * failure the trace and the command that repeats it. -v: the trace as it goes.
 */
#include "tests/chaos/chaos.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS    3
#define SHOWN     60 /* lines of the trace */
#define DIRECT_MS 1000

uint32_t chaos_rand(uint32_t lo, uint32_t hi)
{
	return lo + rng_below(sim_rng(), hi - lo + 1);
}

bool chaos_chance(uint32_t percent)
{
	return chaos_rand(0, 99) < percent;
}

/* ---- the trace ---- */

static void print_line(FILE *f, const struct chaos_line *l)
{
	unsigned s = (unsigned)(l->ms / 1000);

	(void)fprintf(f, "  %u:%02u:%02u.%03u %s\n", s / 3600, s / 60 % 60, s % 60,
		      (unsigned)(l->ms % 1000), l->text);
}

void chaos_note(struct chaos *c, const char *fmt, ...)
{
	struct chaos_line *l = &c->line[c->n_lines++ % CHAOS_LINES];
	va_list ap;

	l->ms = sim_now();
	va_start(ap, fmt);
	(void)vsnprintf(l->text, sizeof(l->text), fmt, ap);
	va_end(ap);
	if (c->verbose)
		print_line(stderr, l);
}

void chaos_broken(struct chaos *c, const char *fmt, ...)
{
	size_t first = c->n_lines > SHOWN ? c->n_lines - SHOWN : 0;
	char why[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	for (size_t i = first; i < c->n_lines && !c->verbose; i++)
		print_line(stderr, &c->line[i % CHAOS_LINES]);
	sim_fail("round %u of %u: %s", c->round, c->rounds, why);
}

static void on_log(void *ctx, const char *line)
{
	struct chaos *c = ctx;

	chaos_note(c, "log %s", line);
	if (strstr(line, "err=INTERNAL") != NULL)
		chaos_broken(c, "an error that must not be: %s", line);
}

/* ---- the director ---- */

static void set_phase(struct chaos *c, enum chaos_phase phase, uint64_t ms)
{
	static const char *const names[] = { "trouble", "settling", "steady", "over" };

	c->phase = phase;
	c->phase_ends = sim_now() + ms;
	chaos_note(c, "round %u: %s", c->round, names[phase]);
}

static void finish(struct chaos *c)
{
	set_phase(c, CHAOS_OVER, 0);
	c->end = CHAOS_STOPS;
	sim_signal(SIGTERM);
}

static void next_phase(struct chaos *c)
{
	switch (c->phase) {
	case CHAOS_TROUBLE:
		chaos_faults_end(c, true);
		set_phase(c, CHAOS_SETTLING, CHAOS_SETTLE_MS);
		break;
	case CHAOS_SETTLING:
		chaos_judge_settled(c);
		set_phase(c, CHAOS_STEADY, CHAOS_STEADY_MS);
		break;
	case CHAOS_STEADY:
		if (!c->judged) {
			chaos_judge_steady(c);
			break;
		}
		c->judged = false;
		if (++c->round > c->rounds)
			finish(c);
		else
			set_phase(c, CHAOS_TROUBLE, chaos_rand(5, 90) * (uint64_t)CHAOS_MINUTE);
		break;
	case CHAOS_OVER:
		break;
	}
}

static void direct(void *ctx, uint64_t arg)
{
	struct chaos *c = ctx;

	if (c->phase == CHAOS_OVER)
		return;
	sim_after(c->phase == CHAOS_TROUBLE ? chaos_rand(100, 60000) : DIRECT_MS, direct, c, arg);
	if (sim_now() >= c->phase_ends) {
		if (c->end == CHAOS_RUNS) /* else wait for the next life */
			next_phase(c);
	} else if (c->phase == CHAOS_TROUBLE) {
		chaos_faults_end(c, false);
		chaos_fault_begin(c);
	}
}

/* ---- lives ---- */

static void live(struct chaos *c)
{
	char path[96], command[] = "run", option[] = "-c", name[] = "kmsbeacon";
	char *argv[] = { name, command, option, path, NULL };
	struct sim_process p = { .argc = 4, .argv = argv, .n_own = 1, .line = on_log, .ctx = c };
	struct sim_life life;
	struct addr own;

	(void)snprintf(path, sizeof(path), "%s/kmsbeacon.yaml", c->dir);
	if (addr_parse("10.0.0.2", 0, &own) != 0)
		sim_fail("the address of the relay is wrong");
	p.own = &own;
	chaos_config_write(c);
	c->lives++;
	c->end = CHAOS_RUNS;
	chaos_note(c, "life %u", c->lives);
	life = sim_run(&p);
	chaos_judge_life(c, &life);
	if (c->phase != CHAOS_OVER)
		sim_idle(sim_now() +
			 (chaos_chance(70) ? chaos_rand(10, 5000) : chaos_rand(5000, 1200000)));
}

static void remove_folder(const char *dir)
{
	char command[96];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command) != 0)
		(void)fprintf(stderr, "chaos: %s is left behind\n", dir);
}

static struct chaos *new_chaos(uint64_t seed, unsigned rounds, bool verbose)
{
	struct chaos *c;
	char state[96];

	sim_new(seed);
	c = sim_alloc(sizeof(*c));
	c->rounds = rounds;
	c->round = 1;
	c->verbose = verbose;
	(void)snprintf(c->dir, sizeof(c->dir), "%s/kmsbeacon-chaos-XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(c->dir) == NULL)
		sim_fail("cannot make a folder");
	(void)snprintf(state, sizeof(state), "%s/state", c->dir);
	if (mkdir(state, 0700) != 0)
		sim_fail("cannot make %s", state);
	return c;
}

int main(int argc, char **argv)
{
	bool verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
	char **arg = argv + 1 + verbose;
	uint64_t seed = arg[0] != NULL ? strtoull(arg[0], NULL, 10) : 1;
	unsigned rounds =
		arg[0] != NULL && arg[1] != NULL ? (unsigned)strtoul(arg[1], NULL, 10) : ROUNDS;
	struct chaos *c = new_chaos(seed, rounds, verbose);

	chaos_scene(c);
	chaos_config_draw(c);
	chaos_judge_watch(c);
	chaos_clients_begin(c);
	set_phase(c, CHAOS_SETTLING, CHAOS_SETTLE_MS); /* the first time without trouble */
	sim_after(DIRECT_MS, direct, c, 0);
	while (c->phase != CHAOS_OVER)
		live(c);
	remove_folder(c->dir);
	(void)printf(
		"seed %llu: %.1f days, %u faults, %u lives (%u crashes), %u reloads, %u updates, "
		"%u requests answered, %u failed\n",
		(unsigned long long)seed, (double)sim_now() / 86400000.0, c->faults, c->lives,
		c->crashes, c->reloads, c->updates, c->answered, c->failed);
	return 0;
}
