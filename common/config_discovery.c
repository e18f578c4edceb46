/* What is wrong with the section `discovery` as a whole. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/config_priv.h"
#include "common/skms.h"

static bool is_guid(const char *text)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	size_t n = 0;

	for (; text[n] != '\0' && form[n] != '\0'; n++)
		if (form[n] == '-' ? text[n] != '-' : !isxdigit((unsigned char)text[n]))
			return false;
	return text[n] == '\0' && form[n] == '\0';
}

/** @p lone: a port without a host may be given. */
static void check_manual_host(char *const *host, bool lone, struct cfg *cfg)
{
	struct err_info why;
	struct skms set;

	if (*host == NULL)
		return;
	if (skms_parse(*host, &set, &why) != 0)
		cfg_complain(cfg, false, host, "%s", why.text);
	else if (!lone && set.host[0] == '\0')
		cfg_complain(cfg, false, host, "'%s' has no host name", *host);
}

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcasecmp(a, b) == 0;
}

static void check_products(const struct config_discovery *d, struct cfg *cfg)
{
	for (size_t i = 0; i < d->n_products; i++) {
		const struct config_product *p = &d->products[i];

		check_manual_host(&p->manual_host, false, cfg);
		if (p->application != NULL && !is_guid(p->application) &&
		    strcasecmp(p->application, "windows") != 0 &&
		    strcasecmp(p->application, "office") != 0)
			cfg_complain(cfg, false, &p->application,
				     "'%s' is neither windows nor office nor a GUID",
				     p->application);
		if (p->activation_id != NULL && !is_guid(p->activation_id))
			cfg_complain(cfg, false, &p->activation_id, "'%s' is no GUID",
				     p->activation_id);
		for (size_t k = 0; k < i && p->application != NULL; k++)
			if (same_text(d->products[k].application, p->application) &&
			    same_text(d->products[k].activation_id, p->activation_id))
				cfg_complain(cfg, false, &p->application,
					     "the same product is already in line %u",
					     d->products[k].line);
	}
}

void config_check_discovery(const struct config_discovery *d, struct cfg *cfg)
{
	if (cfg_is_bad(cfg, "discovery"))
		return;
	if (d->interval_ms > 0 && d->interval_ms < 1000)
		cfg_complain(cfg, false, &d->interval_ms,
			     "is too short; 1s to 1d is allowed, or 0s for never");
	check_manual_host(&d->manual_host, true, cfg);
	check_products(d, cfg);
}
