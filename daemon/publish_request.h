/**
 * What a person asks of the publisher, as a value: from the command line, over the control socket,
 * to publisher/. One form for both ways, so that a command does the same with and without a daemon.
 */
#ifndef KMSBEACON_DAEMON_PUBLISH_REQUEST_H
#define KMSBEACON_DAEMON_PUBLISH_REQUEST_H

#include <jansson.h>

#include "publisher/reconcile.h"

#define PUBLISH_TIMEOUT_MAX_MS 3600000u
#define PUBLISH_HOST_MAX       64

struct publish_request {
	bool withdraw; /* else publish */
	bool dry_run;
	bool adopted;
	bool orphans;
	bool has_domain;
	struct dns_name domain;
	char host[PUBLISH_HOST_MAX]; /* "": all */
	uint32_t timeout_ms;
};

/** As the "args" of a control request; a new reference. */
json_t *publish_request_json(const struct publish_request *rq);
/** 0 or ERR_PARSE with a sentence. @p args may be NULL. */
int publish_request_parse(bool withdraw, const json_t *args, struct publish_request *ret,
			  struct err_info *info);
/** ERR_USAGE with a sentence where it names a domain or host that the configuration does not have.
 */
int publish_request_check(const struct publish_request *rq, const struct pub_targets *targets,
			  struct err_info *info);
/** For publisher/; borrows from @p rq. */
void publish_request_view(const struct publish_request *rq, struct pub_request *ret);

#endif
