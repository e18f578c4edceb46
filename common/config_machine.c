/* What the configuration takes from the machine: its name and its networks. */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cfg_priv.h"
#include "common/config_priv.h"

#define TEXT_MAX 65536 /* of /etc/hosts and /etc/resolv.conf, what is read */

/* The next word of a line into *ret_word; false at its end or at a comment. */
static bool next_word(const char **p, const char **ret_word, size_t *ret_len)
{
	while (**p == ' ' || **p == '\t')
		(*p)++;
	*ret_word = *p;
	*ret_len = strcspn(*p, " \t\r\n#;");
	*p += *ret_len;
	return *ret_len > 0;
}

static const char *next_line(const char *p)
{
	p += strcspn(p, "\n");
	return *p == '\n' ? p + 1 : p;
}

/* As node.target, the setting in whose place it stands, would be read; with a dot. */
static bool take_name(const char *text, size_t len, char ret[CONFIG_FQDN_MAX])
{
	static const struct cfg_item target = { .key = "target", .type = CFG_NAME };
	char copy[CONFIG_FQDN_MAX], why[CFG_TEXT_MAX], *name = NULL;
	bool ok;

	while (len > 0 && text[len - 1] == '.')
		len--;
	if (len >= CONFIG_FQDN_MAX || memchr(text, '.', len) == NULL)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	ok = cfg_value_parse(&target, copy, &name, why) == 0;
	if (ok)
		(void)snprintf(ret, CONFIG_FQDN_MAX, "%s", name);
	free(name);
	return ok;
}

static bool from_hosts(const char *hostname, const char *hosts, char ret[CONFIG_FQDN_MAX])
{
	size_t hlen = strlen(hostname), len;
	const char *word;

	for (const char *line = hosts; *line != '\0'; line = next_line(line)) {
		const char *p = line;

		if (!next_word(&p, &word, &len)) /* the address */
			continue;
		while (next_word(&p, &word, &len))
			if (len > hlen && strncasecmp(word, hostname, hlen) == 0 &&
			    word[hlen] == '.' && take_name(word, len, ret))
				return true;
	}
	return false;
}

/* The first suffix of the last `search` or `domain` line, which is the one that counts. */
static bool from_resolv(const char *hostname, const char *resolv, char ret[CONFIG_FQDN_MAX])
{
	char name[2 * CONFIG_FQDN_MAX];
	const char *word, *suffix = NULL;
	size_t len, suffix_len = 0;

	for (const char *line = resolv; *line != '\0'; line = next_line(line)) {
		const char *p = line;

		if (!next_word(&p, &word, &len) || len != 6 ||
		    (strncmp(word, "search", 6) != 0 && strncmp(word, "domain", 6) != 0))
			continue;
		if (next_word(&p, &word, &len)) {
			suffix = word;
			suffix_len = len;
		}
	}
	while (suffix_len > 0 && *suffix == '.') {
		suffix++;
		suffix_len--;
	}
	if (suffix_len == 0 || suffix_len >= CONFIG_FQDN_MAX)
		return false;
	(void)snprintf(name, sizeof(name), "%.253s.%.*s", hostname, (int)suffix_len, suffix);
	return take_name(name, strlen(name), ret);
}

bool config_find_fqdn(const char *hostname, const char *hosts, const char *resolv,
		      char ret[CONFIG_FQDN_MAX])
{
	if (hostname[0] == '\0')
		return false;
	return take_name(hostname, strlen(hostname), ret) || from_hosts(hostname, hosts, ret) ||
	       from_resolv(hostname, resolv, ret);
}

/* As much as there is, up to a limit; a file that cannot be read is an empty one. */
static void read_text(const char *path, char buf[TEXT_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t len = 0;
	ssize_t n;

	if (fd >= 0) {
		while (len < TEXT_MAX - 1 && (n = read(fd, buf + len, TEXT_MAX - 1 - len)) > 0)
			len += (size_t)n;
		(void)close(fd);
	}
	buf[len] = '\0';
}

bool config_machine_fqdn(char ret[CONFIG_FQDN_MAX])
{
	char hostname[256] = "";
	char *text = malloc((size_t)2 * TEXT_MAX);
	bool found = false;

	/* Not getaddrinfo: it may ask DNS and hold up the start for as long as that is away. */
	if (text != NULL && gethostname(hostname, sizeof(hostname) - 1) == 0) {
		read_text("/etc/hosts", text);
		read_text("/etc/resolv.conf", text + TEXT_MAX);
		found = config_find_fqdn(hostname, text, text + TEXT_MAX, ret);
	}
	free(text);
	return found;
}

/* The network of an interface's address: its bits under the mask. */
static bool net_of(const struct ifaddrs *i, struct cidr *ret)
{
	struct addr addr, mask;
	uint8_t *a, *m;
	size_t len;

	if (i->ifa_addr == NULL || i->ifa_netmask == NULL || (i->ifa_flags & IFF_UP) == 0)
		return false;
	if (addr_from_sockaddr(&addr, i->ifa_addr) != 0)
		return false;
	memset(&mask, 0, sizeof(mask));
	if (i->ifa_addr->sa_family == AF_INET) {
		memcpy(&mask.u.in, i->ifa_netmask, sizeof(mask.u.in));
		a = (uint8_t *)&addr.u.in.sin_addr;
		m = (uint8_t *)&mask.u.in.sin_addr;
		len = 4;
	} else {
		memcpy(&mask.u.in6, i->ifa_netmask, sizeof(mask.u.in6));
		addr.u.in6.sin6_scope_id = 0;
		a = addr.u.in6.sin6_addr.s6_addr;
		m = mask.u.in6.sin6_addr.s6_addr;
		len = 16;
	}
	ret->prefix = 0;
	for (size_t b = 0; b < len; b++) {
		a[b] &= m[b];
		ret->prefix += (unsigned)__builtin_popcount(m[b]);
	}
	ret->net = addr;
	return ret->prefix > 0; /* a mask of 0 would mean everybody */
}

int config_connected_nets(struct cidr *ret, size_t max, size_t *ret_n)
{
	struct ifaddrs *list = NULL;
	size_t n = 0;

	*ret_n = 0;
	if (getifaddrs(&list) != 0)
		return -errno;
	for (const struct ifaddrs *i = list; i != NULL && n < max; i = i->ifa_next)
		if (net_of(i, &ret[n]))
			n++;
	freeifaddrs(list);
	*ret_n = n;
	return 0;
}

bool config_machine_has(const struct addr *a)
{
	struct ifaddrs *list = NULL;
	struct addr own;
	bool found = false;

	if (getifaddrs(&list) != 0)
		return false;
	for (const struct ifaddrs *i = list; i != NULL && !found; i = i->ifa_next)
		found = i->ifa_addr != NULL && addr_from_sockaddr(&own, i->ifa_addr) == 0 &&
			addr_same_host(&own, a);
	freeifaddrs(list);
	return found;
}
