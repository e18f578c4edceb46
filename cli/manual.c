#include "cli/manual.h"

#include <string.h>

#include "cli/command.h"
#include "common/roff.h"
#include "common/version.h"

/* ---- the manual page ---- */

/** Lines of a help text: paragraphs are filled anew, indented lines (tables, examples) stay. */
static void print_text(const char *text, FILE *out)
{
	bool kept = false;

	while (*text != '\0') {
		size_t n = strcspn(text, "\n");
		bool keep = text[0] == ' ';

		if (keep != kept)
			(void)fputs(keep ? ".PP\n.RS 2\n.nf\n" : ".fi\n.RE\n", out);
		kept = keep;
		if (n == 0)
			(void)fputs(".PP", out);
		else
			roff_print(keep ? text + 2 : text, n - (keep ? 2 : 0), out);
		(void)fputc('\n', out);
		text += n + (text[n] == '\n');
	}
	if (kept)
		(void)fputs(".fi\n.RE\n", out);
}

static void print_string(const char *text, FILE *out)
{
	roff_print(text, strlen(text), out);
}

static void print_option(const struct cli_option *o, FILE *out)
{
	(void)fputs(".TP\n", out);
	if (o->letter != 0)
		(void)fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
	(void)fputs("\\fB\\-\\-", out);
	print_string(o->name, out);
	(void)fputs("\\fR", out);
	if (o->arg != NULL) {
		(void)fputs(" \\fI", out);
		print_string(o->arg, out);
		(void)fputs("\\fR", out);
	}
	(void)fputs(o->repeat ? " ...\n" : "\n", out);
	print_string(o->help, out);
	(void)fputc('\n', out);
}

static void print_command(const struct cli_command *c, FILE *out)
{
	(void)fputs(".SS kmsbeacon ", out);
	print_string(c->name, out);
	(void)fputs(" [options]", out);
	if (c->operands[0] != '\0') {
		(void)fputc(' ', out);
		print_string(c->operands, out);
	}
	(void)fputc('\n', out);
	print_text(c->text, out);
	for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++)
		print_option(o, out);
	if (c->examples != NULL) {
		(void)fputs(".PP\nExamples:\n", out);
		print_text(c->examples, out);
	}
}

static const char page_head[] =
	".SH NAME\n"
	"kmsbeacon \\- publish and prove KMS host records, discover KMS hosts, relay to them\n"
	".SH SYNOPSIS\n"
	".B kmsbeacon\n"
	".I COMMAND\n"
	"[options]\n"
	".SH DESCRIPTION\n"
	"One daemon (\\fBkmsbeacon run\\fR) and one command for the administrator of a network "
	"whose Windows and Office clients activate against licensed KMS hosts. It keeps the "
	"_vlmcs._tcp SRV records right in zones that take RFC 2136 updates and proves them on "
	"every name server, finds hosts as a Windows client does, audits domains, puts licensed "
	"hosts behind one address, and rehearses a deployment with lab hosts and lab clients.\n"
	".PP\n"
	"It never forges an activation: activations come from hosts that Microsoft licensed to "
	"the site. Messages of the lab are of its own kind, which Windows does not accept.\n"
	".SH COMMANDS\n";

static const char page_tail[] =
	".SH EXIT STATUS\n"
	"0 yes, 1 no, 2 usage or configuration. \\fBverify\\fR: 0 ok, 1 warning, 2 critical, "
	"3 unknown, as Nagios plug\\-ins; its usage and configuration errors are 3.\n"
	".SH FILES\n"
	".TP\n"
	"/etc/kmsbeacon/kmsbeacon.yaml\n"
	"the configuration, see \\fBkmsbeacon.yaml\\fR(5)\n"
	".TP\n"
	"/var/lib/kmsbeacon\n"
	"what has to outlive the daemon (\\fInode.state_dir\\fR): which records are ours, drains, "
	"events, counts\n"
	".TP\n"
	"/run/kmsbeacon/control.sock\n"
	"through which the commands talk to the daemon (\\fInode.control.socket\\fR)\n"
	".SH ENVIRONMENT\n"
	".TP\n"
	"KMSBEACON_CONFIG\n"
	"the configuration file where \\fB\\-c\\fR is not given\n"
	".TP\n"
	"NO_COLOR\n"
	"no colours on a terminal\n"
	".SH SEE ALSO\n"
	"\\fBkmsbeacon.yaml\\fR(5), \\fBnamed\\fR(8), \\fBnsupdate\\fR(1)\n";

void cli_print_manual(FILE *out)
{
	const struct cli_command *c;

	(void)fprintf(out, ".TH KMSBEACON 1 \"\" \"kmsbeacon %s\" \"User Commands\"\n",
		      KMSBEACON_VERSION);
	(void)fputs(page_head, out);
	for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++)
		print_command(c, out);
	(void)fputs(page_tail, out);
}

/* ---- completion ---- */

static void print_option_words(const struct cli_command *c, FILE *out)
{
	for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++)
		(void)fprintf(out, "--%s ", o->name);
	(void)fputs("--help", out);
}

/** Options whose value is a file, as "--a|-a|--b". @return whether there are any. */
static bool print_file_options(const struct cli_command *c, FILE *out)
{
	bool any = false;

	for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++) {
		if (o->arg == NULL || strncmp(o->arg, "FILE", 4) != 0)
			continue;
		(void)fprintf(out, "%s--%s", any ? "|" : "", o->name);
		if (o->letter != 0)
			(void)fprintf(out, "|-%c", o->letter);
		any = true;
	}
	return any;
}

/** Options that take another value. */
static void print_value_options(const struct cli_command *c, FILE *out)
{
	bool any = false;

	for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++) {
		if (o->arg == NULL || strncmp(o->arg, "FILE", 4) == 0)
			continue;
		(void)fprintf(out, "%s--%s", any ? "|" : "\t\tcase $prev in ", o->name);
		if (o->letter != 0)
			(void)fprintf(out, "|-%c", o->letter);
		any = true;
	}
	if (any)
		(void)fputs(") return ;; esac\n", out);
}

static void print_case(const struct cli_command *c, FILE *out)
{
	const char *words = c->words != NULL ? c->words : "";
	bool file = strstr(c->operands, "FILE") != NULL;

	(void)fprintf(out, "\t%s)\n\t\tcase $prev in ", c->name);
	if (!print_file_options(c, out))
		(void)fputs("''", out);
	(void)fputs(") COMPREPLY=($(compgen -f -- \"$cur\")); return ;; esac\n", out);
	print_value_options(c, out);
	(void)fputs("\t\tif [[ $cur == -* ]]; then COMPREPLY=($(compgen -W \"", out);
	print_option_words(c, out);
	(void)fprintf(out,
		      "\" -- \"$cur\"))\n\t\telse COMPREPLY=($(compgen %s-W \"%s\" -- "
		      "\"$cur\")); fi ;;\n",
		      file ? "-f " : "", words);
}

void cli_print_completion(FILE *out)
{
	const struct cli_command *c;

	(void)fputs("# bash completion of kmsbeacon: made by `kmsbeacon --completion`\n"
		    "_kmsbeacon() {\n"
		    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
		    "\tCOMPREPLY=()\n"
		    "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
		    "\t\tCOMPREPLY=($(compgen -W \"",
		    out);
	for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++)
		(void)fprintf(out, "%s ", c->name);
	(void)fputs("--help --version\" -- \"$cur\"))\n\t\treturn\n\tfi\n"
		    "\tcase ${COMP_WORDS[1]} in\n",
		    out);
	for (size_t i = 0; (c = cli_command_at(i)) != NULL; i++)
		print_case(c, out);
	(void)fputs("\tesac\n}\ncomplete -o filenames -F _kmsbeacon kmsbeacon\n", out);
}
