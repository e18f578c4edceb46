/*
 * Preloaded into servers under test: the machine's 127.0.0.1 is seen as $LO_ADDRESS.
 *
 * Linux lets anybody bind any address of 127.0.0.0/8, but named listens only on addresses that an
 * interface lists, and lo lists one. Adding more takes root and changes the machine; this takes
 * neither, and so several servers can share one port, each on an address of its own.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>

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
