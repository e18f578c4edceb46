/* skms, ckms, skms-domain, skhc, ckhc: parsed as slmgr.vbs does it (behaviour §2.2, §6.1). */
#include <string.h>

#include "kmscore/lab_client.h"

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
	if (len == 0 || len > 253)
		return false;
	for (size_t i = 0; i < len; i++) {
		label = text[i] == '.' ? 0 : label + 1;
		if (text[i] == '.' ? (i == 0 || text[i - 1] == '.') : !is_name_char(text[i]))
			return false;
		if (label > 63)
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

static void forget_cache(struct lab_client *c)
{
	memset(&c->cache, 0, sizeof(c->cache));
}

int lab_client_skms(struct lab_client *c, const char *arg, struct err_info *info)
{
	const char *close = arg[0] == '[' ? strchr(arg, ']') : NULL;
	size_t name_len = close != NULL ? (size_t)(close - arg) + 1 : strcspn(arg, ":");
	/* One character is dropped, whatever it is: so does slmgr. */
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
	if (name_len > 0) {
		memset(c->manual_name, 0, sizeof(c->manual_name));
		memcpy(c->manual_name, arg, name_len); /* 253 at most, or a bracketed address */
		forget_cache(c);
	}
	c->manual_port = number;
	return 0;
}

void lab_client_ckms(struct lab_client *c)
{
	memset(c->manual_name, 0, sizeof(c->manual_name));
	c->manual_port = 0;
	forget_cache(c);
}

int lab_client_set_lookup_domain(struct lab_client *c, const char *domain, struct err_info *info)
{
	size_t len = domain != NULL ? strlen(domain) : 0;

	if (domain != NULL && !is_name(domain, len))
		return err_set(info, ERR_USAGE, "'%s' is no domain name", domain);
	if (len > 0 && domain[len - 1] == '.')
		len--;
	memset(c->lookup_domain, 0, sizeof(c->lookup_domain));
	if (len > 0)
		memcpy(c->lookup_domain, domain, len);
	return 0;
}

void lab_client_set_caching(struct lab_client *c, bool on)
{
	c->caching = on;
	if (!on)
		forget_cache(c);
}

bool lab_client_manual_host(const struct lab_client *c, char ret_host[HOST_TEXT_MAX],
			    uint16_t *ret_port)
{
	size_t len = strlen(c->manual_name);
	bool bracketed = len > 2 && c->manual_name[0] == '[';

	if (len == 0)
		return false;
	memset(ret_host, 0, HOST_TEXT_MAX);
	if (bracketed)
		memcpy(ret_host, c->manual_name + 1, len - 2);
	else
		memcpy(ret_host, c->manual_name, len);
	*ret_port = c->manual_port != 0 ? c->manual_port : KMS_PORT;
	return true;
}
