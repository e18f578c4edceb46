/* Names of types and codes, and names. */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/dns_wire.h"

static const struct {
	uint16_t type;
	const char *text;
} types[] = {
	{ T_A, "A" },     { T_NS, "NS" },     { T_CNAME, "CNAME" }, { T_SOA, "SOA" },
	{ T_PTR, "PTR" }, { T_TXT, "TXT" },   { T_AAAA, "AAAA" },   { T_SRV, "SRV" },
	{ T_OPT, "OPT" }, { T_TSIG, "TSIG" }, { T_IXFR, "IXFR" },   { T_AXFR, "AXFR" },
	{ 39, "DNAME" },  { T_ANY, "ANY" },   { 15, "MX" },         { 46, "RRSIG" },
	{ 47, "NSEC" },   { 43, "DS" },       { 48, "DNSKEY" },     { 64, "SVCB" },
	{ 65, "HTTPS" },
};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

const char *sim_type_text(uint16_t type, char buf[16])
{
	for (size_t i = 0; i < N_TYPES; i++) {
		if (types[i].type == type)
			return types[i].text;
	}
	snprintf(buf, 16, "TYPE%u", type);
	return buf;
}

uint16_t sim_type_parse(const char *text)
{
	for (size_t i = 0; i < N_TYPES; i++) {
		if (strcasecmp(types[i].text, text) == 0)
			return types[i].type;
	}
	if (strncasecmp(text, "TYPE", 4) == 0)
		return (uint16_t)strtoul(text + 4, NULL, 10);
	return 0;
}

const char *sim_rcode_text(unsigned rcode)
{
	static const char *const names[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
					     "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
					     "NXRRSET", "NOTAUTH", "NOTZONE",  "RCODE11",
					     "RCODE12", "RCODE13", "RCODE14",  "RCODE15",
					     "BADSIG",  "BADKEY",  "BADTIME" };

	return rcode < sizeof(names) / sizeof(names[0]) ? names[rcode] : "RCODE?";
}

bool sim_name_make(char ret[SIM_DNS_NAME_MAX], const char *text)
{
	size_t n = strlen(text);

	if (n > 0 && text[n - 1] == '.')
		n--;
	if (n >= SIM_DNS_NAME_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		ret[i] = (char)tolower((unsigned char)text[i]);
	ret[n] = '\0';
	return true;
}

bool sim_name_in(const char *name, const char *zone)
{
	size_t n = strlen(name), z = strlen(zone);

	if (z == 0)
		return true;
	return n >= z && strcmp(name + n - z, zone) == 0 && (n == z || name[n - z - 1] == '.');
}

const char *sim_record_target(const struct sim_record *r)
{
	const char *last = strrchr(r->rdata, ' ');

	switch (r->type) {
	case T_SRV:
		return last != NULL ? last + 1 : NULL;
	case T_NS:
	case T_CNAME:
	case T_PTR:
		return r->rdata;
	default:
		return NULL;
	}
}
