#include "daemon/publish_request.h"

#include <string.h>

#include "common/utf8.h"

json_t *publish_request_json(const struct publish_request *rq)
{
	char name[DNSNAME_TEXT_MAX], host[PUBLISH_HOST_MAX];

	memcpy(host, rq->host, sizeof(host));
	utf8_mend(host); /* else there is no object at all, and no host stands for all */
	return json_pack("{s:b, s:b, s:b, s:s*, s:s*, s:I}", "dry_run", rq->dry_run, "adopted",
			 rq->adopted, "orphans", rq->orphans, "domain",
			 rq->has_domain ? dns_name_format(&rq->domain, name) : NULL, "host",
			 host[0] != '\0' ? host : NULL, "timeout_ms", (json_int_t)rq->timeout_ms);
}

int publish_request_parse(bool withdraw, const json_t *args, struct publish_request *ret,
			  struct err_info *info)
{
	int dry_run = 0, adopted = 0, orphans = 0;
	const char *domain = NULL, *host = NULL;
	json_int_t timeout_ms = PUB_TIMEOUT_MS;
	json_error_t why;

	/* One of another type or name is not one that is left out: that stands for all. */
	if (args != NULL && json_unpack_ex((json_t *)(uintptr_t)args, &why, JSON_STRICT,
					   "{s?s, s?s, s?b, s?b, s?b, s?I}", "domain", &domain,
					   "host", &host, "dry_run", &dry_run, "adopted", &adopted,
					   "orphans", &orphans, "timeout_ms", &timeout_ms) != 0)
		return err_set(info, ERR_PARSE,
			       "domain and host are texts, timeout_ms is a number, what else there "
			       "is true or false: %s",
			       why.text);
	*ret = (struct publish_request){
		.withdraw = withdraw,
		.dry_run = dry_run != 0,
		.adopted = adopted != 0,
		.orphans = orphans != 0,
		.has_domain = domain != NULL,
	};
	if (domain != NULL && dns_name_parse(domain, &ret->domain) != 0)
		return err_set(info, ERR_PARSE, "domain: not a domain name");
	if (host != NULL && host[0] == '\0')
		return err_set(info, ERR_PARSE, "host: the name is empty");
	if (host != NULL && strlen(host) >= sizeof(ret->host))
		return err_set(info, ERR_PARSE, "host: the name is too long");
	if (host != NULL)
		memcpy(ret->host, host, strlen(host) + 1);
	if (timeout_ms < 1000 || timeout_ms > (json_int_t)PUBLISH_TIMEOUT_MAX_MS)
		return err_set(info, ERR_PARSE, "timeout_ms: 1000 to %u", PUBLISH_TIMEOUT_MAX_MS);
	ret->timeout_ms = (uint32_t)timeout_ms;
	return 0;
}

int publish_request_check(const struct publish_request *rq, const struct pub_targets *targets,
			  struct err_info *info)
{
	char name[DNSNAME_TEXT_MAX];

	if (rq->orphans)
		return 0; /* what is no longer configured is what it is about */
	if (pub_targets_count(targets) == 0)
		return err_set(info, ERR_CONFIG,
			       "no domain is configured; add one under publish.domains");
	if (rq->has_domain && !pub_targets_has_domain(targets, &rq->domain))
		return err_set(info, ERR_USAGE, "%s is not under publish.domains",
			       dns_name_format(&rq->domain, name));
	if (rq->host[0] != '\0' && !pub_targets_has_host(targets, rq->host))
		return err_set(info, ERR_USAGE, "no domain publishes a host named '%s'", rq->host);
	return 0;
}

void publish_request_view(const struct publish_request *rq, struct pub_request *ret)
{
	*ret = (struct pub_request){
		.mode = rq->withdraw ? PUB_WITHDRAW : PUB_PUBLISH,
		.dry_run = rq->dry_run,
		.domain = rq->has_domain ? &rq->domain : NULL,
		.host = rq->host[0] != '\0' ? rq->host : NULL,
		.adopted = rq->adopted,
		.orphans = rq->orphans,
		.timeout_ms = rq->timeout_ms,
	};
}
