#include "common/skms.h"

#include <string.h>

#define NAME_MAX_LEN  253
#define LABEL_MAX_LEN 63

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

/** A host or domain name, or an IPv4 address, which has the same form. */
static bool is_name(const char *text, size_t len)
{
	size_t label = 0;

	if (len > 0 && text[len - 1] == '.')
		len--;
	if (len == 0 || len > NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i < len; i++) {
		label = text[i] == '.' ? 0 : label + 1;
		if (text[i] == '.' ? (i == 0 || text[i - 1] == '.') : !is_name_char(text[i]))
			return false;
		if (label > LABEL_MAX_LEN)
			return false;
	}
	return label > 0;
}

/** "[2001:db8::1]" */
static bool is_bracketed(const char *text, size_t len)
{
	char inner[ADDR_TEXT_MAX];
	struct addr a;

	if (len < 3 || len - 2 >= sizeof(inner))
		return false;
	memcpy(inner, text + 1, len - 2);
	inner[len - 2] = '\0';
	return addr_parse(inner, 0, &a) == 0 && a.u.sa.sa_family == AF_INET6;
}

static bool parse_port(const char *text, uint16_t *ret)
{
	uint32_t v = 0;

	for (size_t i = 0; text[i] != '\0'; i++) {
		if (i >= 5 || text[i] < '0' || text[i] > '9')
			return false;
		v = v * 10 + (uint32_t)(text[i] - '0');
	}
	if (v == 0 || v > UINT16_MAX)
		return false;
	*ret = (uint16_t)v;
	return true;
}

int skms_parse(const char *arg, struct skms *ret, struct err_info *info)
{
	const char *close = arg[0] == '[' ? strchr(arg, ']') : NULL;
	size_t name_len = close != NULL ? (size_t)(close - arg) + 1 : strcspn(arg, ":");
	const char *port = arg[name_len] != '\0' ? arg + name_len + 1 : "";
	uint16_t number = 0;

	if (name_len == 0 && port[0] == '\0')
		return err_set(info, ERR_USAGE,
			       "no host: give NAME, NAME:PORT, [IPv6]:PORT or :PORT");
	if (port[0] != '\0' && !parse_port(port, &number))
		return err_set(
			info, ERR_USAGE,
			"'%s' is no port (1 to 65535); an IPv6 address needs brackets, such as "
			"[2001:db8::1]:1688",
			port);
	if (name_len > 0 && !(close != NULL ? is_bracketed(arg, name_len) : is_name(arg, name_len)))
		return err_set(info, ERR_USAGE, "'%.*s' is no host name or address", (int)name_len,
			       arg);
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->host, arg, name_len); /* 254 at most, or a bracketed address */
	ret->port = number;
	return 0;
}

void skms_bare_host(const char *host, char ret[HOST_TEXT_MAX])
{
	size_t len = strnlen(host, HOST_TEXT_MAX - 1);

	memset(ret, 0, HOST_TEXT_MAX);
	if (len > 2 && host[0] == '[')
		memcpy(ret, host + 1, len - 2);
	else
		memcpy(ret, host, len);
}

bool skms_is_domain(const char *text)
{
	return is_name(text, strlen(text));
}
