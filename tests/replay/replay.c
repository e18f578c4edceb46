/* tests/replay/README.md says what this runs. */
#include "tests/replay/replay.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static bool make_folder(struct play *p)
{
	const char *tmp = getenv("TMPDIR");
	char state[TEXT_MAX];

	(void)snprintf(p->dir, sizeof(p->dir), "%s/replay.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(p->dir) == NULL) {
		perror(p->dir);
		return false;
	}
	(void)snprintf(state, sizeof(state), "%s/state", p->dir);
	return mkdir(state, 0700) == 0;
}

static void tell_failure(const struct play *p, const char *program)
{
	const struct stmt *st = &p->s->stmt[p->pc < p->s->n ? p->pc : p->s->n - 1];
	size_t first = p->n_lines > TAIL ? p->n_lines - TAIL : 0;
	char when[32];

	(void)fprintf(stderr, "%s:%d: %s\n    %s\n", p->s->path, st->line, st->text, p->why);
	(void)fprintf(stderr, "    now it is %s; what was seen last:\n",
		      text_time(sim_now(), when));
	for (size_t i = first; !p->verbose && i < p->n_lines; i++)
		(void)fprintf(stderr, "    %s  %s\n", text_time(p->line[i].ms, when),
			      p->line[i].text);
	(void)fprintf(stderr, "    again: %s -v %s\n", program, p->s->path);
}

int main(int argc, char **argv)
{
	bool verbose = argc == 3 && strcmp(argv[1], "-v") == 0;
	static struct script script;
	struct play *p;
	int code;

	if (argc != 2 && !verbose) {
		(void)fprintf(stderr, "Usage: %s [-v] FILE\n", argv[0]);
		return 2;
	}
	if (!script_load(argv[argc - 1], &script))
		return 1;
	sim_new(script.seed);
	p = sim_alloc(sizeof(*p));
	p->s = &script;
	p->verbose = verbose;
	p->err_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
	if (!make_folder(p))
		return 1;
	play_run(p);
	code = p->failed ? 1 : 0;
	if (p->failed)
		tell_failure(p, argv[0]);
	else
		(void)printf("ok   %s:%s, %s of virtual time\n", script.path, script.title,
			     text_time(sim_now(), (char[32]){ 0 }));
	(void)nftw(p->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return code;
}
