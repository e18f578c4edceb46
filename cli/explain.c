#include "cli/explain.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/codes.h"
#include "common/err.h"
#include "common/findings.h"
#include "common/hresult.h"
#include "common/word.h"
#include "net/prober.h"

#define WIN32_FACILITY 0x80070000u
#define NEAR_MAX       4 /* changes of letters up to which a name is near */

/* ---- the parts of the list ---- */

static bool hresult_row(size_t i, struct explain_row *ret)
{
	const struct hresult_info *h = hresult_at(i);

	if (h == NULL)
		return false;
	*ret = (struct explain_row){ .kind = "HRESULT",
				     .has_number = true,
				     .number = h->code,
				     .name = h->symbol,
				     .meaning = h->meaning,
				     .cause = h->cause,
				     .next_step = h->next_step };
	(void)hresult_format(h->code, ret->code);
	return true;
}

static bool code_row(size_t i, struct explain_row *ret)
{
	const struct code_info *c = codes_at(i);

	if (c == NULL)
		return false;
	*ret = (struct explain_row){ .kind = code_family_name(c->family),
				     .has_number = true,
				     .number = c->code,
				     .name = c->name,
				     .meaning = c->meaning,
				     .cause = c->cause,
				     .next_step = c->next_step };
	if ((c->family == CODE_DNS && c->code <= 10) ||
	    (c->family == CODE_TSIG && c->code >= 16 && c->code <= 18))
		ret->hresult = hresult_from_rcode(c->code);
	(void)snprintf(ret->code, sizeof(ret->code),
		       c->family == CODE_FAULT || c->family == CODE_STATUS ? "0x%08X" : "%u",
		       c->code);
	return true;
}

static const struct {
	int code;
	const char *name;
	const char *text;
} own_errors[] = {
#define X(name, code, cls, text) { (code), #name, text },
	ERR_MAP(X)
#undef X
};

static bool error_row(size_t i, struct explain_row *ret)
{
	static const char *const next[] = {
		[ERRC_NONE] = "nothing to do",
		[ERRC_RETRY] = "kmsbeacon tries again by itself; look at the peer if it stays so",
		[ERRC_NEXT_SERVER] = "kmsbeacon asks the next server; look at this one",
		[ERRC_FATAL] = "no other server would help: read the sentence beside it",
	};

	if (i >= sizeof(own_errors) / sizeof(own_errors[0]))
		return false;
	*ret = (struct explain_row){ .kind = "error of kmsbeacon",
				     .name = own_errors[i].name,
				     .meaning = own_errors[i].text,
				     .cause = "",
				     .next_step = next[err_class(own_errors[i].code)] };
	return true;
}

static bool state_row(size_t i, struct explain_row *ret)
{
	static const struct {
		const char *meaning, *cause, *next_step;
	} t[PROBE_STATE_COUNT_] = {
		[PROBE_UP] = { "the host answers and has the KMS interface", "nothing is wrong",
			       "whether it is activated and for which products only an activation "
			       "shows" },
		[PROBE_NO_KMS_INTERFACE] = { "an RPC server answers, but it has no KMS interface",
					     "no KMS host, or its host key or service is not "
					     "active",
					     "check on the target: slmgr /dlv" },
		[PROBE_RPC_REFUSED] = { "an RPC server answers and refuses the bind",
					"overload, a limit, or a policy; the detail has the reason",
					"explain the reason that stands beside it" },
		[PROBE_NOT_RPC] = { "something answers that does not speak RPC",
				    "another service owns the port, or a proxy stands before it",
				    "check target and port of the record" },
		[PROBE_REFUSED] = { "the connection is refused",
				    "the service is stopped, the port is another one, or a "
				    "firewall rejects",
				    "start the service; check port and firewall" },
		[PROBE_TIMEOUT] = { "no connection or no answer in time, or no route",
				    "the machine is down or a firewall drops TCP 1688",
				    "check machine and firewall (rule SPPSVC-In-TCP on Windows)" },
		[PROBE_UNRESOLVED] = { "the name has no address",
				       "a stale record, or an address record is missing",
				       "add an A or AAAA record, or delete the SRV record" },
	};

	if (i >= PROBE_STATE_COUNT_)
		return false;
	*ret = (struct explain_row){ .kind = "state of a host",
				     .name = probe_state_name((enum probe_state)i),
				     .meaning = t[i].meaning,
				     .cause = t[i].cause,
				     .next_step = t[i].next_step };
	return true;
}

static bool finding_row(size_t i, struct explain_row *ret)
{
	const struct finding_info *f;

	if (i >= FINDING_COUNT_)
		return false;
	f = finding_info((enum finding_id)i);
	*ret = (struct explain_row){ .kind = "finding",
				     .name = f->id,
				     .meaning = f->meaning,
				     .cause = "",
				     .next_step = f->hint };
	return true;
}

bool explain_at(size_t i, struct explain_row *ret)
{
	const size_t n_err = sizeof(own_errors) / sizeof(own_errors[0]);

	if (i < hresult_count())
		return hresult_row(i, ret);
	i -= hresult_count();
	if (i < codes_count())
		return code_row(i, ret);
	i -= codes_count();
	if (i < PROBE_STATE_COUNT_)
		return state_row(i, ret);
	i -= PROBE_STATE_COUNT_;
	if (i < FINDING_COUNT_)
		return finding_row(i, ret);
	i -= FINDING_COUNT_;
	return i < n_err && error_row(i, ret);
}

/* ---- looking something up ---- */

static bool parse_base(const char *text, int base, uint32_t *ret)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, base);
	if (end == text || *end != '\0' || errno != 0 || v > UINT32_MAX || v < INT32_MIN)
		return false;
	*ret = (uint32_t)v; /* a negative one is an HRESULT as a signed number */
	return true;
}

/** How many readings of @p text as a number there are, the likelier first. */
static size_t numbers(const char *text, uint32_t ret[2])
{
	const char *digits = text[0] == '-' ? text + 1 : text;
	size_t n = 0, len = strlen(digits);

	if (strncasecmp(text, "0x", 2) == 0)
		return isxdigit((unsigned char)text[2]) && parse_base(text, 16, &ret[0]) ? 1 : 0;
	if (!isxdigit((unsigned char)digits[0]))
		return 0;
	if (strspn(digits, "0123456789") == len && parse_base(text, 10, &ret[n]))
		n++;
	/* 80070005 is more often an HRESULT without its 0x than eighty million */
	if (text[0] != '-' && len >= 4 && strspn(digits, "0123456789abcdefABCDEF") == len &&
	    parse_base(text, 16, &ret[n]))
		n++;
	return n;
}

static bool name_is(const struct explain_row *r, const char *name, size_t len)
{
	return r->name[0] != '\0' && strlen(r->name) == len && strncasecmp(r->name, name, len) == 0;
}

static void add(struct explain_row ret[EXPLAIN_MATCHES_MAX], size_t *n, const struct explain_row *r)
{
	if (*n < EXPLAIN_MATCHES_MAX)
		ret[(*n)++] = *r;
}

static size_t find_number(uint32_t v, struct explain_row ret[EXPLAIN_MATCHES_MAX])
{
	struct explain_row r;
	size_t n = 0;

	for (size_t i = 0; explain_at(i, &r); i++)
		if (r.has_number && (r.number == v || (v > 0 && v <= UINT16_MAX && v != r.number &&
						       r.number == (WIN32_FACILITY | v))))
			add(ret, &n, &r);
	return n;
}

/** The status flags that @p v is made of; 0 where it holds anything else. */
static size_t find_flags(uint32_t v, struct explain_row ret[EXPLAIN_MATCHES_MAX])
{
	const struct code_info *c;
	struct explain_row r;
	size_t n = 0;

	for (size_t i = 0; (c = codes_at(i)) != NULL; i++) {
		if (c->family != CODE_STATUS || (v & c->code) == 0)
			continue;
		v &= ~c->code;
		if (code_row(i, &r))
			add(ret, &n, &r);
	}
	return v == 0 ? n : 0;
}

static size_t find_name(const char *name, size_t len, struct explain_row ret[EXPLAIN_MATCHES_MAX])
{
	struct explain_row r;
	size_t n = 0;

	for (size_t i = 0; explain_at(i, &r); i++)
		if (name_is(&r, name, len))
			add(ret, &n, &r);
	return n;
}

size_t explain_find(const char *text, struct explain_row ret[EXPLAIN_MATCHES_MAX])
{
	const char *inner = strchr(text, '(');
	size_t len = strlen(text), n = find_name(text, len, ret), k;
	uint32_t number[2];

	if (n > 0)
		return n;
	if (inner != NULL && len > 0 && text[len - 1] == ')') {
		struct explain_row more[EXPLAIN_MATCHES_MAX];

		/* the inner one is the reason, so it comes first */
		n = find_name(inner + 1, len - (size_t)(inner - text) - 2, ret);
		k = find_name(text, (size_t)(inner - text), more);
		for (size_t i = 0; n > 0 && i < k; i++)
			add(ret, &n, &more[i]);
		return k > 0 ? n : 0;
	}
	k = numbers(text, number);
	for (size_t i = 0; i < k && n == 0; i++)
		n = find_number(number[i], ret);
	for (size_t i = 0; i < k && n == 0; i++)
		n = find_flags(number[i], ret);
	return n;
}

static void lower(const char *text, char ret[WORD_MAX])
{
	size_t i = 0;

	for (; text[i] != '\0' && i + 1 < WORD_MAX; i++)
		ret[i] = (char)tolower((unsigned char)text[i]);
	ret[i] = '\0';
}

/** How far @p r is from what was asked; small is near. */
static unsigned how_far(const struct explain_row *r, const char *wanted)
{
	char name[WORD_MAX], code[WORD_MAX];
	unsigned by_name, by_code;

	lower(r->name, name);
	lower(r->code, code);
	if (strlen(wanted) >= 4 && strstr(name, wanted) != NULL)
		return 1; /* a part of a long symbol */
	by_name = name[0] != '\0' ? word_distance(wanted, name) : UINT32_MAX;
	by_code = strlen(code) >= 10 ? word_distance(wanted, code) : UINT32_MAX;
	return by_name < by_code ? by_name : by_code;
}

size_t explain_near(const char *text, struct explain_row ret[EXPLAIN_MATCHES_MAX])
{
	char wanted[WORD_MAX];
	struct explain_row r;
	unsigned most;
	size_t n = 0;

	lower(text, wanted);
	most = (unsigned)strlen(wanted) / 3;
	if (most > NEAR_MAX)
		most = NEAR_MAX;
	for (unsigned d = 1; d <= most; d++)
		for (size_t i = 0; explain_at(i, &r); i++)
			if (how_far(&r, wanted) == d)
				add(ret, &n, &r);
	return n;
}
