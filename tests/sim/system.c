/* The clock, random numbers, what the machine is called and has, and the output of the C library.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <malloc.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/calls.h"
#include "tests/sim/machine.h"

#define BOOT_MS   1000000u /* the machine ran for so long before */
#define OWN_PID   4000
#define FILES_MAX 1048576 /* that it is allowed, whatever this machine allows */

/* ---- time ---- */

static void timespec_of(uint64_t us, struct timespec *ret)
{
	ret->tv_sec = (time_t)(us / 1000000);
	ret->tv_nsec = (long)(us % 1000000) * 1000;
}

static uint64_t wall_us(void)
{
	return (uint64_t)sim_wall_ms() * 1000 + world->now_us % 1000;
}

int sim_call_clock_gettime(clockid_t id, struct timespec *ret)
{
	if (world == NULL)
		return clock_gettime(id, ret);
	clock_was_read();
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		timespec_of(wall_us(), ret);
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_BOOTTIME:
		timespec_of(world->now_us + BOOT_MS * UINT64_C(1000), ret);
		return 0;
	default:
		return clock_gettime(id, ret);
	}
}

time_t sim_call_time(time_t *ret)
{
	struct timespec ts;

	(void)sim_call_clock_gettime(CLOCK_REALTIME, &ts);
	if (ret != NULL)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

int sim_call_gettimeofday(struct timeval *ret, void *zone)
{
	struct timespec ts;

	(void)zone;
	(void)sim_call_clock_gettime(CLOCK_REALTIME, &ts);
	ret->tv_sec = ts.tv_sec;
	ret->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

/* ---- the machine ---- */

ssize_t sim_call_getrandom(void *buf, size_t size, unsigned flags)
{
	(void)flags;
	rng_bytes(&world->program_rng, buf, size);
	return (ssize_t)size;
}

pid_t sim_call_getpid(void)
{
	return life_process != NULL ? (pid_t)(OWN_PID + life_number) : getpid();
}

int sim_call_gethostname(char *ret, size_t size)
{
	const char *name = life_process != NULL ? life_process->hostname : NULL;

	(void)snprintf(ret, size, "%s", name != NULL ? name : "node.corp.example");
	return 0;
}

int sim_call_getrlimit(int what, struct rlimit *ret)
{
	if (what != RLIMIT_NOFILE)
		return getrlimit((__rlimit_resource_t)what, ret);
	*ret = (struct rlimit){ FILES_MAX, FILES_MAX };
	return 0;
}

int sim_call_setrlimit(int what, const struct rlimit *to)
{
	return what != RLIMIT_NOFILE ? setrlimit((__rlimit_resource_t)what, to) : 0;
}

/* Files are real. */
int sim_call_stat(const char *path, struct stat *ret)
{
	program_acts();
	return stat(path, ret);
}

int sim_call_isatty(int fd)
{
	(void)fd;
	errno = ENOTTY;
	return 0;
}

struct interface {
	struct ifaddrs i;
	struct addr at, mask;
};

static void fill_mask(const struct addr *at, struct addr *ret)
{
	unsigned bits = addr_is_loopback(at) ? 8 : 24;

	*ret = *at;
	addr_set_port(ret, 0);
	if (at->u.sa.sa_family == AF_INET) {
		ret->u.in.sin_addr.s_addr = htonl(~(UINT32_C(0xffffffff) >> bits));
		return;
	}
	memset(&ret->u.in6.sin6_addr, 0, 16);
	memset(&ret->u.in6.sin6_addr, 0xff, addr_is_loopback(at) ? 16 : 8);
}

int sim_call_getifaddrs(struct ifaddrs **ret)
{
	static char lo[] = "lo", eth[] = "eth0";
	size_t n = life_process != NULL ? life_process->n_own : 0;
	struct interface *all = calloc(n + 2, sizeof(*all));

	if (all == NULL)
		return -1;
	(void)addr_parse("127.0.0.1", 0, &all[0].at);
	(void)addr_parse("::1", 0, &all[1].at);
	for (size_t i = 0; i < n; i++)
		all[i + 2].at = life_process->own[i];
	for (size_t i = 0; i < n + 2; i++) {
		bool local = addr_is_loopback(&all[i].at);

		fill_mask(&all[i].at, &all[i].mask);
		all[i].i.ifa_next = i + 1 < n + 2 ? &all[i + 1].i : NULL;
		all[i].i.ifa_name = local ? lo : eth;
		all[i].i.ifa_flags = IFF_UP | IFF_RUNNING | (local ? IFF_LOOPBACK : 0u);
		all[i].i.ifa_addr = &all[i].at.u.sa;
		all[i].i.ifa_netmask = &all[i].mask.u.sa;
	}
	*ret = &all[0].i;
	return 0;
}

void sim_call_freeifaddrs(struct ifaddrs *list)
{
	free(list);
}

/* libuv's way to close(), sendmmsg() and recvmmsg(); what else it asks goes to the kernel. */
long sim_call_syscall(long number, ...)
{
	va_list ap;
	long a[6];

	va_start(ap, number);
	for (size_t i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_close)
		return sim_call_close((int)a[0]);
	if (number == SYS_sendmmsg || number == SYS_recvmmsg)
		sim_fail("system call %ld is not played", number);
	return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#if SIM_SANITIZED
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

size_t sim_heap_bytes(void)
{
#if SIM_SANITIZED
	return __sanitizer_get_current_allocated_bytes();
#else
	return mallinfo2().uordblks;
#endif
}

/* ---- standard output and error ---- */

FILE *sim_call_stdout, *sim_call_stderr;

int sim_call_vprintf(const char *fmt, va_list ap)
{
	return vfprintf(sim_call_stdout, fmt, ap);
}

int sim_call_printf(const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vfprintf(sim_call_stdout, fmt, ap);
	va_end(ap);
	return n;
}

int sim_call___printf_chk(int flag, const char *fmt, ...)
{
	va_list ap;
	int n;

	(void)flag;
	va_start(ap, fmt);
	n = vfprintf(sim_call_stdout, fmt, ap);
	va_end(ap);
	return n;
}

int sim_call_puts(const char *text)
{
	return fprintf(sim_call_stdout, "%s\n", text);
}

int sim_call_putchar(int c)
{
	return fputc(c, sim_call_stdout);
}
