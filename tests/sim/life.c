/* A life of the program: a child process, what it writes, and its end. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "cli/command.h"
#include "tests/sim/calls.h"
#include "tests/sim/machine.h"

#if SIM_SANITIZED
int __lsan_do_recoverable_leak_check(void);
void __lsan_register_root_region(const void *p, size_t size);
#endif

#define LINE_MAX_ 65536u

const struct sim_process *life_process;
uint64_t life_number;

static char line[LINE_MAX_];
static size_t line_len;
static char *output;
static size_t output_len;
static size_t files_before;

/* ---- what it writes ---- */

static void take_line(void)
{
	line[line_len] = '\0';
	line_len = 0;
	(void)snprintf(world->log[world->n_log++ % LOG_LINES], LOG_WIDTH, "%.*s", LOG_WIDTH - 1,
		       line);
	play_begin();
	if (life_process->line != NULL)
		life_process->line(life_process->ctx, line);
	play_end();
}

void life_stderr(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '\n' && line_len < LINE_MAX_ - 1)
			line[line_len++] = text[i];
		else
			take_line();
	}
}

void life_stdout(const char *text, size_t len)
{
	(void)fwrite(text, 1, len, sim_call_stdout);
}

static ssize_t write_stderr(void *cookie, const char *text, size_t len)
{
	(void)cookie;
	life_stderr(text, len);
	return (ssize_t)len;
}

static void open_output(void)
{
	static const cookie_io_functions_t to_lines = { .write = write_stderr };
	int null = open("/dev/null", O_RDONLY);

	sim_call_stdout = open_memstream(&output, &output_len);
	sim_call_stderr = fopencookie(NULL, "w", to_lines);
	if (sim_call_stdout == NULL || sim_call_stderr == NULL || null < 0)
		sim_fail("cannot open the program's output");
	(void)setvbuf(sim_call_stderr, NULL, _IONBF, 0);
	if (null != STDIN_FILENO) {
		(void)dup2(null, STDIN_FILENO);
		(void)close(null);
	}
}

static void give_output(void)
{
	(void)fclose(sim_call_stderr);
	sim_call_stderr = NULL;
	if (line_len > 0)
		take_line();
	(void)fclose(sim_call_stdout);
	sim_call_stdout = NULL;
	if (life_process->output != NULL)
		life_process->output(life_process->ctx, output, output_len);
	free(output);
	output = NULL;
}

/* ---- the end ---- */

static size_t count_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		(void)closedir(d);
	return n;
}

static void look_for_leaks(void)
{
#if SIM_SANITIZED
	__lsan_register_root_region(world, world->used);
	if (__lsan_do_recoverable_leak_check() != 0)
		sim_fail("the program has not given back all of its memory");
#endif
}

void life_end(enum sim_end end, int code)
{
	control_end();
	world->life.end = end;
	world->life.code = code;
	conns_end_life(end == SIM_CRASHED);
	give_output();
	world->life_over = true;
	_exit(0);
}

void sim_crash(void)
{
	if (life_process == NULL)
		sim_fail("sim_crash() while the program does not run");
	life_end(SIM_CRASHED, 0);
}

void sim_call_exit(int code)
{
	life_end(SIM_ENDED, code);
}

static bool ends_by_default(int signum)
{
	struct sigaction was;

	return sigaction(signum, NULL, &was) == 0 && was.sa_handler == SIG_DFL &&
	       (was.sa_flags & SA_SIGINFO) == 0 && signum != SIGCHLD && signum != SIGWINCH;
}

void sim_signal(int signum)
{
	if (life_process == NULL)
		sim_fail("sim_signal() while the program does not run");
	if (ends_by_default(signum))
		life_end(SIM_ENDED, 128 + signum);
	(void)raise(signum); /* events run on the main thread, which takes it at once */
}

/* ---- the whole ---- */

static void __attribute__((noreturn)) live(const struct sim_process *p)
{
	static const char *const not_ours[] = { "NOTIFY_SOCKET",  "LISTEN_PID",   "LISTEN_FDS",
						"LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC" };
	const struct rlimit none = { 0, 0 };
	struct rlimit files;
	int code;

	life_process = p;
	for (size_t i = 0; i < sizeof(not_ours) / sizeof(not_ours[0]); i++)
		(void)unsetenv(not_ours[i]);
	(void)setenv("TZ", "UTC", 1);
	(void)setrlimit(RLIMIT_CORE, &none);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	open_output();
	threads_begin();
	files_before = count_files();
	optind = 0;
	code = (p->main != NULL ? p->main : cli_main)(p->argc, p->argv);
	uv_library_shutdown(); /* its descriptors for all loops are no leak */
	world->life.sockets = sockets_open();
	world->life.files = count_files() - files_before - sockets_open();
	look_for_leaks();
	life_end(SIM_ENDED, code);
}

struct sim_life sim_run(const struct sim_process *p)
{
	int status = 0;
	pid_t pid;

	if (life_process != NULL)
		sim_fail("sim_run() while the program runs");
	life_number++;
	world->life_over = false;
	world->life = (struct sim_life){ 0 };
	(void)fflush(NULL); /* or both would write it */
	pid = fork();
	if (pid < 0)
		sim_fail("fork: %s", strerror(errno));
	if (pid == 0)
		live(p);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (world->life_over && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return world->life;
	if (WIFSIGNALED(status) && world->failure[0] == '\0')
		(void)snprintf(world->failure, sizeof(world->failure), "the program ended by %s",
			       strsignal(WTERMSIG(status)));
	else if (world->failure[0] == '\0')
		(void)snprintf(world->failure, sizeof(world->failure),
			       "the program ended with code %d: see what a sanitizer says above",
			       WEXITSTATUS(status));
	return (struct sim_life){ .end = SIM_BROKEN, .code = WTERMSIG(status) };
}
