#include "daemon/keys.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/err.h"

int keys_load(const struct config *cfg, struct keys *ret, struct config_errors *errs)
{
	int result = 0;

	*ret = (struct keys){ .n = cfg->n_keys };
	if (cfg->n_keys == 0)
		return 0;
	ret->list = calloc(cfg->n_keys, sizeof(struct tsig_key *));
	if (ret->list == NULL) {
		ret->n = 0;
		config_errors_add(errs, cfg, 0, "keys", "%s", err_text(ERR_NOMEM));
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < cfg->n_keys; i++) {
		struct err_info info;
		char key[64];

		if (tsig_key_load(cfg->keys[i].file, &ret->list[i], &info) == 0)
			continue;
		(void)snprintf(key, sizeof(key), "keys.%s.file", cfg->keys[i].name);
		config_errors_add(errs, cfg, cfg->keys[i].line, key, "%s", info.text);
		result = ERR_CONFIG;
	}
	if (result != 0)
		keys_done(ret);
	return result;
}

void keys_done(struct keys *k)
{
	for (size_t i = 0; i < k->n; i++)
		tsig_key_unref(k->list[i]);
	free(k->list);
	*k = (struct keys){ 0 };
}
