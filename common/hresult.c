#include "common/hresult.h"

#include <errno.h>
#include <stdio.h>

#include "common/err.h"

static const struct hresult_info table[] = {
#define X(name, code, symbol, meaning, cause, next) { (code), symbol, meaning, cause, next },
	HRESULT_MAP(X)
#undef X
};

#define N_TABLE (sizeof(table) / sizeof(table[0]))

const struct hresult_info *hresult_find(uint32_t code)
{
	for (size_t i = 0; i < N_TABLE; i++)
		if (table[i].code == code)
			return &table[i];
	return NULL;
}

const char *hresult_text(uint32_t code)
{
	const struct hresult_info *info = hresult_find(code);

	return info != NULL ? info->meaning : "unknown code";
}

size_t hresult_count(void)
{
	return N_TABLE;
}

const struct hresult_info *hresult_at(size_t i)
{
	return i < N_TABLE ? &table[i] : NULL;
}

const char *hresult_format(uint32_t code, char buf[HRESULT_TEXT_MAX])
{
	snprintf(buf, HRESULT_TEXT_MAX, "0x%08X", code);
	return buf;
}

#define DNS_WIN32_BASE 9000u /* Windows numbers DNS errors from here, RCODEs first */

uint32_t hresult_from_rcode(unsigned rcode)
{
	if (rcode == 0)
		return HR_OK;
	if (rcode <= 10 || (rcode >= 16 && rcode <= 18))
		return 0x80070000u | (DNS_WIN32_BASE + rcode);
	return HR_DNS_RCODE;
}

uint32_t hresult_from_err(int err)
{
	switch (err) {
	case ERR_OK:
		return HR_OK;
	case ERR_TSIG_PEER_BADSIG:
		return HR_DNS_BADSIG;
	case ERR_TSIG_PEER_BADKEY:
		return HR_DNS_BADKEY;
	case ERR_TSIG_PEER_BADTIME:
		return HR_DNS_BADTIME;
	case ERR_TSIG_UNSIGNED:
	case ERR_TSIG_BADSIG:
	case ERR_TSIG_KEY:
	case ERR_TSIG_TIME:
		return HR_DNS_UNSECURED;
	case ERR_DNS_MALFORMED:
	case ERR_DNS_MISMATCH:
		return HR_DNS_BAD_PACKET;
	case ERR_DNS_NODATA:
		return HR_DNS_NO_RECORDS;
	case ERR_NO_SERVER:
		return HR_DNS_NO_SERVERS;
	case ERR_TIMEOUT:
	case ERR_CLOSED:
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -ETIMEDOUT:
	case -4095: /* UV_EOF: the peer closed */
		return HR_TIMEOUT;
	default:
		break;
	}
	/* ERR_RCODE_FORMERR .. ERR_RCODE_NOTZONE are -10200 - RCODE (common/err.h). */
	if (err <= ERR_RCODE_FORMERR && err >= ERR_RCODE_NOTZONE)
		return hresult_from_rcode((unsigned)(ERR_RCODE_FORMERR - err) + 1u);
	return HR_DNS_RCODE;
}
