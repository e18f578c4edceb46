/* What the configuration would have refused is no target either. */
#include "publisher/targets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"

static const char yaml[] = "service: { mode: \"off\" }\n"
			   "hosts: [ { name: a, target: kms1.corp.example } ]\n"
			   "publish:\n"
			   "  domains: [ { domain: corp.example, server: [192.0.2.1] } ]\n";

#define LABEL "a12345678901234567890123456789012345678901234567890123456789."

enum flaw { NONE, LONG_DOMAIN, MANY_SERVERS, NO_TARGET, ROOT_TARGET };

static void replace(char **text, const char *with)
{
	free(*text);
	*text = with != NULL ? strdup(with) : NULL;
}

static void spoil(struct config *c, enum flaw flaw)
{
	struct config_domain *d = &c->publish.domains[0];

	if (flaw == LONG_DOMAIN)
		replace(&d->domain, LABEL LABEL LABEL LABEL "example");
	if (flaw == NO_TARGET || flaw == ROOT_TARGET)
		replace(&c->hosts[0].target, flaw == ROOT_TARGET ? "." : NULL);
	if (flaw != MANY_SERVERS)
		return;
	d->server = realloc(d->server, (PUB_SERVERS_MAX + 1) * sizeof(*d->server));
	assert_non_null(d->server);
	for (; d->n_server <= PUB_SERVERS_MAX; d->n_server++)
		d->server[d->n_server] = strdup("192.0.2.1");
}

static void t_flaws_are_told(void **state)
{
	static const struct {
		enum flaw flaw;
		const char *says;
	} rows[] = {
		{ NONE, "" },
		{ LONG_DOMAIN, "too long with _vlmcs._tcp. in front" },
		{ MANY_SERVERS, "corp.example: more than 8 servers" },
		{ NO_TARGET, "host a has no usable target name: set its target" },
		{ ROOT_TARGET, "host a has no usable target name: set its target" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config_errors errs = { 0 };
		struct err_info info = { "" };
		struct pub_targets *t = NULL;
		struct config *c = NULL;
		int err;

		assert_int_equal(config_parse(yaml, sizeof(yaml) - 1, "yaml", &c, &errs), 0);
		spoil(c, rows[i].flaw);
		err = pub_targets_from_config(c, NULL, 1688, &t, &info);
		assert_int_equal(err, rows[i].flaw == NONE ? 0 : ERR_CONFIG);
		if (strstr(info.text, rows[i].says) == NULL)
			fail_msg("row %zu: '%s'", i, info.text);
		assert_true((err == 0) == (t != NULL));
		pub_targets_unref(t);
		config_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_flaws_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
