#include <sys/resource.h>

#include "cli/command.h"

int main(int argc, char **argv)
{
	const struct rlimit none = { 0, 0 };

	/* A core file would hold the keys (failure-modes T14). */
	(void)setrlimit(RLIMIT_CORE, &none);
	return cli_main(argc, argv);
}
