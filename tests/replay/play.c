/* The interpreter, and the lives of the program. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/replay/replay.h"

#define COMMAND_MS (60u * 60000u) /* no command takes longer */
#define END_MS     60000          /* nor does the daemon's end */

#define CONFIG_FILE "@DIR/kmsbeacon.yaml"

/* ---- what is seen ---- */

void play_see(struct play *p, const char *fmt, ...)
{
	size_t left = sizeof(p->text) - p->bytes;
	char *at = p->text + p->bytes, when[32];
	va_list ap;
	int n;

	if (p->n_lines == LINES_MAX || left < 4096) {
		(void)play_fail(p, "the script sees more than %d lines, or %u octets of them",
				LINES_MAX, LINES_BYTES);
		return;
	}
	va_start(ap, fmt);
	n = vsnprintf(at, left, fmt, ap);
	va_end(ap);
	p->bytes += (size_t)n < left ? (size_t)n + 1 : left;
	p->line[p->n_lines++] = (struct seen_line){ sim_now(), at };
	if (p->verbose)
		(void)dprintf(p->err_fd, "%s  %s\n", text_time(sim_now(), when), at);
	play_soon(p);
}

/* "2026-01-05T00:00:00Z info module event ..." becomes "log event ..." */
static void on_line(void *ctx, const char *line)
{
	struct play *p = ctx;
	const char *at = line;

	for (int i = 0; i < 3 && at != NULL; i++) {
		at = strchr(at, ' ');
		if (at != NULL)
			at++;
	}
	if (at != NULL && strlen(line) > 20 && line[10] == 'T' && line[19] == 'Z')
		play_see(p, "log %s", at);
	else
		play_see(p, "err %s", line);
}

static void on_output(void *ctx, const char *text, size_t len)
{
	struct play *p = ctx;

	if (len >= sizeof(p->output))
		len = sizeof(p->output) - 1;
	memcpy(p->output, text, len);
	p->output[len] = '\0';
	p->output_len = len;
}

static void on_dns(void *ctx, const struct sim_dns_event *e)
{
	play_see(ctx, "%s", e->line);
}

static void on_kms(void *ctx, const char *line)
{
	play_see(ctx, "%s", line);
}

enum step play_fail(struct play *p, const char *fmt, ...)
{
	va_list ap;

	if (p->failed)
		return STEP_WAIT;
	va_start(ap, fmt);
	(void)vsnprintf(p->why, sizeof(p->why), fmt, ap);
	va_end(ap);
	p->failed = true;
	return STEP_WAIT;
}

/* ---- the interpreter ---- */

static void advance(struct play *p);

static void tick(void *ctx, uint64_t life)
{
	struct play *p = ctx;

	if (life != p->life)
		return; /* of a program that is gone */
	p->soon = false;
	advance(p);
}

void play_soon(struct play *p)
{
	if (p->soon)
		return;
	p->soon = true;
	sim_after(0, tick, p, p->life);
}

enum step play_wake(struct play *p, uint64_t at_ms)
{
	if (p->wake != at_ms && at_ms > sim_now())
		sim_at(at_ms, tick, p, p->life);
	p->wake = at_ms;
	return STEP_WAIT;
}

static enum step one_step(struct play *p)
{
	const struct stmt *st = &p->s->stmt[p->pc];
	char when[32];

	if (p->begun)
		return st->verb->more(p, st);
	if (p->verbose)
		(void)dprintf(p->err_fd, "%s  %d: %s\n", text_time(sim_now(), when), st->line,
			      st->text);
	p->begun = true;
	p->look = p->from;
	p->left = 0;
	return st->verb->begin(p, st);
}

/* As far as it goes without waiting. */
static void advance(struct play *p)
{
	while (!p->failed && p->pc < p->s->n) {
		enum step s;

		if (!p->begun)
			p->wake = 0;
		s = one_step(p);
		if (s == STEP_LIFE) {
			p->begun = false; /* play_run() begins it, and this may be an event */
			return;
		}
		if (s == STEP_WAIT && !p->failed)
			return;
		if (p->failed)
			break;
		if (p->s->stmt[p->pc].verb->more != NULL && !p->s->stmt[p->pc].verb->keeps_time)
			p->base = sim_now(); /* it has let time pass */
		p->pc++;
		p->begun = false;
	}
	if (p->running && p->failed)
		sim_crash();
	if (!p->running || !p->is_daemon)
		return;
	if (!p->over) {
		p->over = true;
		p->base = sim_now();
		sim_signal(SIGTERM);
	} else if (sim_now() >= p->base + END_MS) {
		(void)play_fail(p, "at the end of the script the daemon does not end");
		sim_crash();
	}
	(void)play_wake(p, p->base + END_MS);
}

/* ---- lives ---- */

static void live(struct play *p, int argc, char **argv, bool daemon)
{
	struct sim_process proc = { .argc = argc,
				    .argv = argv,
				    .own = p->own,
				    .n_own = p->n_own,
				    .line = on_line,
				    .output = on_output,
				    .ctx = p,
				    .until = daemon ? 0 : sim_now() + COMMAND_MS };
	struct sim_life end;

	p->life++;
	p->running = true;
	p->is_daemon = daemon;
	p->soon = false;
	p->wake = 0;
	p->output_len = 0;
	p->base = sim_now();
	p->begun = !daemon;
	if (daemon) {
		p->pc++; /* `start` is done when it runs */
		play_soon(p);
	}
	end = sim_run(&proc);
	p->life++;
	p->running = false;
	p->soon = false;
	p->wake = 0;
	p->code = end.code;
	if (end.end == SIM_BROKEN)
		(void)play_fail(p, "the program broke: what it said stands above");
	else if (end.end == SIM_ENDED)
		play_see(p, "exit %d", end.code);
	else if (!p->failed)
		play_see(p, "killed");
	if (p->over && !p->failed && (end.end != SIM_ENDED || end.code != 0))
		(void)play_fail(p, "at the end of the script the daemon ended with code %d",
				end.code);
	if (!daemon) {
		p->pc++;
		p->begun = false;
	}
}

static void live_daemon(struct play *p)
{
	char *argv[] = { play_fill(p, "kmsbeacon"), play_fill(p, "run"), play_fill(p, "-c"),
			 play_fill(p, CONFIG_FILE), NULL };

	live(p, 4, argv, true);
}

static void live_command(struct play *p, const struct stmt *st, bool goes_on)
{
	char *argv[WORDS_MAX + 4];
	int argc = 0;

	argv[argc++] = play_fill(p, "kmsbeacon");
	for (size_t i = 1; i < st->n; i++)
		argv[argc++] = play_fill(p, st->word[i]);
	if (p->config != NULL && argc > 1) {
		/* behind the command, before its arguments */
		memmove(argv + 4, argv + 2, (size_t)(argc - 2) * sizeof(*argv));
		argv[2] = play_fill(p, "-c");
		argv[3] = play_fill(p, CONFIG_FILE);
		argc += 2;
	}
	argv[argc] = NULL;
	live(p, argc, argv, goes_on);
}

void play_run(struct play *p)
{
	sim_dns_watch(on_dns, p);
	sim_kms_watch(on_kms, p);
	while (!p->failed && !p->over && p->pc < p->s->n) {
		const struct stmt *st;

		advance(p);
		if (p->failed || p->pc == p->s->n)
			break;
		st = &p->s->stmt[p->pc];
		if (strcmp(st->word[0], "start") == 0 && st->n == 1)
			live_daemon(p);
		else if (strcmp(st->word[0], "start") == 0)
			live_command(p, st, true);
		else if (strcmp(st->word[0], "run") == 0)
			live_command(p, st, false);
		else if (!sim_idle_next())
			(void)play_fail(p, "nothing can come any more");
	}
}
