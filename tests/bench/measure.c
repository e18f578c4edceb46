/*
 * Run a program and tell what it took.
 *
 *     measure OUTPUT PROGRAM [ARGUMENT]...
 *
 * The program's stdout goes to the file OUTPUT; one line of JSON goes to stdout. A small parent of
 * its own, because Linux counts the memory that a child had before exec as the child's.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	struct timespec a, b;
	struct rusage ru;
	int status, out;
	pid_t pid;

	if (argc < 3)
		return 2;
	out = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	pid = out >= 0 ? fork() : -1;
	if (pid == 0) {
		(void)dup2(out, STDOUT_FILENO);
		(void)execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &ru) != pid) {
		perror("measure");
		return 1;
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	printf("{\"code\": %d, \"wall_s\": %.6f, \"cpu_s\": %.6f, \"rss_kb\": %ld}\n",
	       WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
	       (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9,
	       seconds(ru.ru_utime) + seconds(ru.ru_stime), ru.ru_maxrss);
	return 0;
}
