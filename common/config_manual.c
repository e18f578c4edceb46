/* kmsbeacon.yaml(5): the settings come from the schema, the frame is here. */
#include "common/config.h"
#include "common/config_priv.h"
#include "common/version.h"

void config_print_manual(FILE *out)
{
	(void)fputs(
		".TH KMSBEACON.YAML 5 \"\" \"kmsbeacon " KMSBEACON_VERSION "\" \"File Formats\"\n"
		".SH NAME\n"
		"kmsbeacon.yaml \\- configuration of kmsbeacon\n"
		".SH DESCRIPTION\n"
		"One file in YAML, by default " CONFIG_PATH_DEFAULT ". Every setting has a "
		"default or is optional unless it says that it must be given. Unknown and "
		"duplicate keys are errors; \\fBkmsbeacon check\\-config\\fR reports all "
		"mistakes with line and column, \\fBcheck\\-config \\-\\-dump\\fR prints what "
		"is in force, \\fBcheck\\-config \\-\\-example\\fR a file with every setting as a "
		"comment.\n"
		".PP\n"
		"SIGHUP or \\fBkmsbeacon reload\\fR applies changes, but for settings that say "
		"they need a restart. Durations are a whole number with ms, s, m, h or d. A "
		"name in the list below such as \\fBpublish.domains[].ttl\\fR is the setting "
		"\\fBttl\\fR of an entry of the list \\fBdomains\\fR in the section "
		"\\fBpublish\\fR.\n"
		".SH SETTINGS\n",
		out);
	cfg_print_manual(&config_schema, out);
	(void)fputs(".SH EXAMPLE\n.nf\n"
		    "node: { target: kms1.corp.example }\n"
		    "keys:\n"
		    "  \\- { name: corp, file: /etc/kmsbeacon/corp.key }\n"
		    "hosts:\n"
		    "  \\- { name: kms1, target: kms1.corp.example, port: 1688, weight: 10 }\n"
		    "publish:\n"
		    "  ttl: 1h\n"
		    "  domains:\n"
		    "    \\- { domain: corp.example, key: corp }\n"
		    ".fi\n.SH SEE ALSO\n\\fBkmsbeacon\\fR(1), \\fBtsig\\-keygen\\fR(8)\n",
		    out);
}
