/* What wakes the program's loop, and whether it then does anything: an idle daemon is to wake for a
 * cause only. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "tests/sim/machine.h"

int __real_uv_run(uv_loop_t *loop, uv_run_mode mode);
int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode);

static const uv_loop_t *running; /* of this life */

/* The linker hands us the calls of uv_run() (tests/module.mk): the loop's timers hang on it. */
int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode)
{
	const uv_loop_t *outer = running;
	int rc;

	running = loop;
	rc = __real_uv_run(loop, mode);
	running = outer;
	return rc;
}

/* The one whose time it is, after a wait of so long. */
static const void *timer_due(int waited_ms)
{
	const uv_timer_t *t;

	if (running == NULL || running->timer_heap.min == NULL)
		return NULL;
	t = (const uv_timer_t *)((const char *)running->timer_heap.min -
				 offsetof(uv_timer_t, heap_node));
	return t->timeout <= running->time + (uint64_t)waited_ms ? (const void *)t->timer_cb : NULL;
}

void wake_over(void)
{
	if (world->wake == NULL)
		return;
	world->wake->n++;
	world->wake->n_vain += !world->wake_acted;
	world->wake = NULL;
}

void wake_begins(enum sim_wake_kind kind, int waited_ms)
{
	const void *timer = kind == SIM_WAKE_TIMER ? timer_due(waited_ms) : NULL;
	struct sim_wake *w = world->wakes;

	while (w < world->wakes + world->n_wakes && (w->kind != kind || w->timer != timer))
		w++;
	if (w == world->wakes + SIM_WAKES_MAX)
		sim_fail("too many causes of wake-ups");
	if (w == world->wakes + world->n_wakes) {
		*w = (struct sim_wake){ .kind = kind, .timer = timer };
		world->n_wakes++;
	}
	world->wake = w;
	world->wake_acted = false;
}

void program_acts(void)
{
	if (world != NULL)
		world->wake_acted = true;
}

size_t sim_wakes(const struct sim_wake **ret)
{
	*ret = world->wakes;
	return world->n_wakes;
}

void sim_forget_wakes(void)
{
	world->n_wakes = 0;
	world->wake = NULL;
}

static const char *last_of(const char *path, unsigned n)
{
	const char *p = path + strlen(path);

	while (p > path && (p[-1] != '/' || --n > 0))
		p--;
	return p;
}

void sim_wake_name(const struct sim_wake *w, char *ret, size_t size)
{
	static const char *const kinds[] = { [SIM_WAKE_TIMER] = "no timer",
					     [SIM_WAKE_DATAGRAM] = "datagram",
					     [SIM_WAKE_STREAM] = "stream",
					     [SIM_WAKE_OTHER] = "own descriptor" };
	char self[256] = "", cmd[512], function[128] = "", where[512] = "";
	Dl_info in;
	FILE *f;

	(void)snprintf(ret, size, "%s", kinds[w->kind]);
	if (w->timer == NULL || dladdr(w->timer, &in) == 0 ||
	    readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0)
		return;
	(void)snprintf(cmd, sizeof(cmd), "addr2line -f -e '%s' %#lx", self,
		       (unsigned long)((const char *)w->timer - (const char *)in.dli_fbase));
	f = popen(cmd, "r");
	if (f == NULL)
		sim_fail("addr2line does not start");
	if (fgets(function, sizeof(function), f) == NULL || fgets(where, sizeof(where), f) == NULL)
		sim_fail("addr2line tells nothing");
	(void)pclose(f);
	function[strcspn(function, "\n")] = '\0';
	where[strcspn(where, ":")] = '\0';
	(void)snprintf(ret, size, "%s %s", last_of(where, 2), function);
}
