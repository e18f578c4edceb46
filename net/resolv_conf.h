/** Name servers and suffixes from resolv.conf(5) text. Pure; reading the file is one function
 * beside it. */
#ifndef KMSBEACON_NET_RESOLV_CONF_H
#define KMSBEACON_NET_RESOLV_CONF_H

#include "common/addr.h"
#include "net/dnsname.h"
#include "net/net.h"

#define RESOLV_SUFFIXES_MAX 16

struct resolv_conf {
	struct addr servers[NET_RESOLVERS_MAX]; /* port 53 */
	size_t n_servers;
	struct dns_name
		suffixes[RESOLV_SUFFIXES_MAX]; /* search or domain: the last line of either wins */
	size_t n_suffixes;
};

/** Lines that make no sense are passed over, as the C library does. No server: 127.0.0.1
 * (resolv.conf(5)). */
void resolv_conf_parse(const char *text, size_t len, struct resolv_conf *ret);
/** 0, or -errno where @p path cannot be read (then @p ret is as for an empty file). */
int resolv_conf_read(const char *path, struct resolv_conf *ret);

#endif
