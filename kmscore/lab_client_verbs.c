/* skms, ckms, skms-domain, skhc, ckhc, as slmgr.vbs has them (behaviour §2.2, §6.1). */
#include <string.h>

#include "common/skms.h"
#include "kmscore/lab_client.h"

static void forget_cache(struct lab_client *c)
{
	memset(&c->cache, 0, sizeof(c->cache));
}

int lab_client_skms(struct lab_client *c, const char *arg, struct err_info *info)
{
	struct skms set;
	int err = skms_parse(arg, &set, info);

	if (err != 0)
		return err;
	if (set.host[0] != '\0') {
		memcpy(c->manual_name, set.host, sizeof(c->manual_name));
		forget_cache(c);
	}
	c->manual_port = set.port;
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

	if (domain != NULL && !skms_is_domain(domain))
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
	if (c->manual_name[0] == '\0')
		return false;
	skms_bare_host(c->manual_name, ret_host);
	*ret_port = c->manual_port != 0 ? c->manual_port : KMS_PORT;
	return true;
}
