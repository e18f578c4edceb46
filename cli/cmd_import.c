#include "cli/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "common/mem.h"
#include "publisher/reg_import.h"
#include "publisher/reg_text.h"

#define CHUNK 65536

static const struct cli_option options[] = {
	{ 0, "target", "NAME", false,
	  "full name of the Windows host, for the SRV records (no export holds it)" },
	CLI_OPT_END,
};

/* 0, or an error with its sentence. */
static int read_whole(FILE *f, struct buf *ret, struct err_info *info)
{
	int err = ERR_OK;
	uint8_t *at;

	while (err == ERR_OK && !feof(f)) {
		size_t n;

		err = buf_reserve(ret, CHUNK, &at);
		if (err != ERR_OK)
			break;
		n = fread(at, 1, CHUNK, f);
		ret->len += n;
		if (n == 0 && ferror(f))
			err = err_set(info, -errno, "cannot be read: %s", strerror(errno));
	}
	if (err == ERR_LIMIT)
		return err_set(info, err, "is larger than %u MiB", REG_SIZE_MAX >> 20);
	return err;
}

/* "-" is stdin. */
static int read_file(const char *path, struct buf *ret, struct err_info *info)
{
	FILE *f;
	int err;

	if (strcmp(path, "-") == 0)
		return read_whole(stdin, ret, info);
	f = fopen(path, "rb");
	if (f == NULL)
		return err_set(info, -errno, "cannot be opened: %s", strerror(errno));
	err = read_whole(f, ret, info);
	(void)fclose(f);
	return err;
}

/* The notes begin with a line of their own each, so that they can be told from errors. */
static void print_notes(const char *path, const struct buf *notes)
{
	const char *at = (const char *)notes->data;
	size_t left = notes->len;

	while (left > 0) {
		const char *end = memchr(at, '\n', left);
		size_t len = end != NULL ? (size_t)(end - at) : left;

		(void)fprintf(stderr, "%s: %.*s\n", path, (int)len, at);
		len += end != NULL;
		at += len;
		left -= len;
	}
}

static int run(const struct cli_args *a)
{
	const char *target = cli_get(a, "target");
	const char *const *files;
	struct err_info info = { "" };
	struct buf file, yaml, notes;
	struct dns_name name;
	int err;

	if (cli_operands(a, &files) != 1)
		return cli_usage_error(a, "wants one FILE.reg (- for stdin)");
	if (target != NULL && (dns_name_parse(target, &name) != 0 || strchr(target, '.') == NULL ||
			       !pub_reg_is_target(&name)))
		return cli_usage_error(a, "--target: '%s' is no full name of a host", target);
	buf_init(&file, REG_SIZE_MAX + CHUNK);
	buf_init(&yaml, CONFIG_SIZE_MAX);
	buf_init(&notes, PUB_REG_NOTES_MAX);
	err = read_file(files[0], &file, &info);
	if (err == ERR_OK)
		err = pub_reg_import(file.data, file.len, target != NULL ? &name : NULL, &yaml,
				     &notes, &info);
	print_notes(files[0], &notes);
	if (err == ERR_OK)
		(void)fwrite(yaml.data, 1, yaml.len, stdout);
	else
		(void)fprintf(stderr, "%s: %s\n", files[0],
			      info.text[0] != '\0' ? info.text : err_text(err));
	buf_done(&notes);
	buf_done(&yaml);
	buf_done(&file);
	if (err == ERR_OK)
		return CLI_YES;
	return err == ERR_NOT_FOUND ? CLI_NO : CLI_USAGE;
}

const struct cli_command cmd_import = {
	.name = "import",
	.operands = "FILE.reg",
	.summary = "turn the exported registry key of a Windows KMS host into a configuration",
	.text = "Reads an export of the key SoftwareProtectionPlatform (reg export, or regedit) "
		"and "
		"prints a\n"
		"configuration that publishes for that host: its port, and its domains with "
		"priority "
		"and\n"
		"weight. What could not be carried over, and what is left to do, is said on "
		"stderr. "
		"The\n"
		"file may be UTF-16, as Windows writes it, or UTF-8. Nothing is changed.\n"
		"Exit code 0: printed, 1: the file has nothing of KMS, 2: it cannot be read.",
	.examples = "  reg export \"HKLM\\SOFTWARE\\Microsoft\\Windows "
		    "NT\\CurrentVersion\\SoftwareProtectionPlatform\" kms1.reg\n"
		    "  kmsbeacon import kms1.reg --target kms1.corp.example > kmsbeacon.yaml\n"
		    "  kmsbeacon check-config -c ./kmsbeacon.yaml",
	.options = options,
	.run = run,
	.usage_exit = CLI_USAGE,
};
