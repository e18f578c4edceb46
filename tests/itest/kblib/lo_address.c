/*
 * Preloaded into servers under test: the machine's 127.0.0.1 is seen as $LO_ADDRESS.
 *
 * Linux lets anybody bind any address of 127.0.0.0/8, but named listens only on addresses that an
 * interface lists, and lo lists one. Adding more takes root and changes the machine; this takes
 * neither, and so several servers can share one port, each on an address of its own.
 *
 * The time of day is shifted by as many seconds as the file $LO_CLOCK holds (8 octets), read each
 * time.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

int getifaddrs(struct ifaddrs **ret)
{
	static int (*real)(struct ifaddrs **);
	const char *text = getenv("LO_ADDRESS");
	struct in_addr wanted;
	int r;

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "getifaddrs");
	r = real(ret);
	if (r != 0 || text == NULL || inet_pton(AF_INET, text, &wanted) != 1)
		return r;
	for (struct ifaddrs *i = *ret; i != NULL; i = i->ifa_next) {
		struct sockaddr_in *in = (struct sockaddr_in *)(void *)i->ifa_addr;

		if (in != NULL && in->sin_family == AF_INET &&
		    in->sin_addr.s_addr == htonl(INADDR_LOOPBACK))
			in->sin_addr = wanted;
	}
	return r;
}

static int64_t shift_s(void)
{
	static const int64_t none, *at;
	const char *path;
	void *map;
	int fd;

	if (at != NULL)
		return *(const volatile int64_t *)at;
	at = &none;
	path = getenv("LO_CLOCK");
	fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return 0;
	map = mmap(NULL, sizeof(*at), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		at = map;
	return *(const volatile int64_t *)at;
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
	static int (*real)(clockid_t, struct timespec *);
	int r;

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
	r = real(id, ret);
	if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ret->tv_sec += shift_s();
	return r;
}
