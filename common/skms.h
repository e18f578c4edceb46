/**
 * What `slmgr /skms` takes, read exactly as slmgr reads it (behaviour §2.2): one parser for the
 * lab client's verb, for `discover --manual-host` and for discovery.manual_host.
 *
 *	NAME   NAME:PORT   [IPv6]   [IPv6]:PORT   :PORT
 *
 * An argument that begins with "[" and has a "]": the name goes up to "]", brackets kept; of what
 * follows the first character is dropped, whatever it is, and the rest is the port. Any other: the
 * first ":" parts name and port. So an IPv6 address needs brackets: 2001:db8::1:1688 would be the
 * host "2001", and is refused for its port.
 */
#ifndef KMSBEACON_COMMON_SKMS_H
#define KMSBEACON_COMMON_SKMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/err.h"

struct skms {
	char host[HOST_TEXT_MAX]; /* as typed, brackets kept; "": only a port was given */
	uint16_t port;            /* 0: none was given, which clears the one set before */
};

/** 0, or ERR_USAGE with a sentence; then @p ret is not touched. */
int skms_parse(const char *arg, struct skms *ret, struct err_info *info);
/** The host for connecting: without the brackets of an IPv6 address. */
void skms_bare_host(const char *host, char ret[HOST_TEXT_MAX]);
/** What `/skms-domain` takes: a domain name, with or without a trailing dot. */
bool skms_is_domain(const char *text);

#endif
