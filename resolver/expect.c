/* rsv_expect_parse() of audit.h. Pure. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/audit.h"
#include "resolver/cache.h"

/** A number of 16 bits without sign or blanks. */
static bool parse_u16(const char *text, uint16_t *ret)
{
	unsigned long v;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno != 0 || *end != '\0' || v > UINT16_MAX)
		return false;
	*ret = (uint16_t)v;
	return true;
}

int rsv_expect_parse(const char *text, struct rsv_expect *ret, struct err_info *info)
{
	char copy[DNSNAME_TEXT_MAX + 24], *field[4] = { copy }, *colon;
	size_t n = 1;

	memset(ret, 0, sizeof(*ret));
	ret->port = RSV_KMS_PORT;
	if (strlen(text) >= sizeof(copy))
		return err_set(info, ERR_PARSE, "%.40s...: too long", text);
	memcpy(copy, text, strlen(text) + 1);
	while (n < 4 && (colon = strchr(field[n - 1], ':')) != NULL) {
		*colon = '\0';
		field[n++] = colon + 1;
	}
	if (dns_name_parse(field[0], &ret->target) != 0 || dns_name_is_root(&ret->target))
		return err_set(info, ERR_PARSE, "%s: TARGET is not a host name", text);
	if (n > 1 && (!parse_u16(field[1], &ret->port) || ret->port == 0))
		return err_set(info, ERR_PARSE, "%s: PORT is a number from 1 to 65535", text);
	ret->has_priority = n > 2;
	if (n > 2 && !parse_u16(field[2], &ret->priority))
		return err_set(info, ERR_PARSE, "%s: PRIO is a number from 0 to 65535", text);
	ret->has_weight = n > 3;
	if (n > 3 && !parse_u16(field[3], &ret->weight))
		return err_set(info, ERR_PARSE, "%s: WEIGHT is a number from 0 to 65535", text);
	return 0;
}
