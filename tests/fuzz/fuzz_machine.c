/*
 * What the machine says of its own name: hostname, /etc/hosts and /etc/resolv.conf, parted by NUL.
 * What is found is a name that the configuration takes, begins as the hostname does, and stands in
 * what was read; and a comment, or a line behind, changes nothing.
 */
#include <string.h>

#include "common/config.h"
#include "common/config_priv.h"
#include "tests/fuzz/fuzz.h"

static bool find(const char *const part[3], char ret[CONFIG_FQDN_MAX])
{
	memset(ret, 'x', CONFIG_FQDN_MAX);
	return config_find_fqdn(part[0], part[1], part[2], ret);
}

/* As `node: target:`, in a file of its own. */
static bool config_takes(const char *name)
{
	struct config_errors errs = { 0 };
	struct config *cfg = NULL;
	char text[CONFIG_FQDN_MAX + 64];
	int n = snprintf(text, sizeof(text), "node: { target: \"%s\" }\n", name);
	int err = config_parse(text, (size_t)n, "fuzz", &cfg, &errs);

	config_errors_done(&errs);
	config_free(cfg);
	return err == 0;
}

static void check_comment(const char *const part[3], const char *name)
{
	char again[CONFIG_FQDN_MAX];
	size_t len = strlen(part[1]);
	char *longer = malloc(len + 64);
	const char *const with[3] = { part[0], longer, part[2] };

	FUZZ_CHECK(longer != NULL);
	(void)snprintf(longer, len + 64, "# 127.0.0.1 %.20s.comment.test\n%s", part[0], part[1]);
	FUZZ_CHECK(find(with, again) && strcmp(again, name) == 0);
	free(longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 3); /* an end for each part */
	char name[CONFIG_FQDN_MAX];
	const char *part[3];

	FUZZ_CHECK(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	part[0] = text;
	part[1] = part[0] + strlen(part[0]) + 1;
	part[2] = part[1] + strlen(part[1]) + 1;
	if (strlen(part[0]) < 256 && find(part, name)) {
		FUZZ_CHECK(memchr(name, '\0', CONFIG_FQDN_MAX) != NULL &&
			   strchr(name, '.') != NULL);
		FUZZ_CHECK(config_takes(name));
		FUZZ_CHECK(strncasecmp(name, part[0], strcspn(part[0], ".")) == 0);
		if (strpbrk(part[0], "\r\n") == NULL)
			check_comment(part, name);
	}
	free(text);
	return 0;
}
