/* `status --dlv`: the labels of `slmgr /dlv` on a KMS host, in its order (behaviour §6.2). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/status_text.h"

static long long number(const json_t *obj, const char *key)
{
	return (long long)json_integer_value(json_object_get(obj, key));
}

/* What Windows' labels say of a licence has no counterpart: nothing here is licensed, and the
 * Description says what it is. */
static void print_product(const json_t *report, const char *mode)
{
	(void)printf("Software licensing service version: kmsbeacon %s\n",
		     json_text(report, "version", ""));
	(void)printf("Name: kmsbeacon, %s\n", mode[0] == 'l' ? "lab host" : "relay");
	(void)printf("Description: %s\n\n",
		     mode[0] == 'l' ? "rehearses activation with lab clients; activates no Windows"
				    : "passes requests to licensed KMS hosts");
}

static long long listening_port(const json_t *service)
{
	const char *at = json_string_value(json_array_get(json_object_get(service, "listen"), 0));
	const char *colon = at != NULL ? strrchr(at, ':') : NULL;

	return colon != NULL ? strtoll(colon + 1, NULL, 10) : 0;
}

/* slmgr's order; "extended grace" is not among its lines. */
static void print_by_licence(const json_t *service)
{
	static const struct {
		const char *key, *label;
	} lines[] = {
		{ "unlicensed", "Unlicensed" },
		{ "licensed", "Licensed" },
		{ "initial_grace", "Initial grace period" },
		{ "expired_or_out_of_tolerance", "License expired or Hardware out of tolerance" },
		{ "non_genuine_grace", "Non-genuine grace period" },
		{ "notification", "Notification" },
	};
	const json_t *by = json_object_get(service, "by_licence");

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		(void)printf("    Requests with License Status %s: %lld\n", lines[i].label,
			     number(by, lines[i].key));
}

static void print_upstreams(const json_t *list)
{
	const json_t *u;
	size_t i;

	json_array_foreach(list, i, u)(void) printf(
		"    Requests answered by %s (%s): %lld\n", json_text(u, "name", ""),
		json_text(u, "state", "unknown"), number(u, "requests") - number(u, "failed"));
}

void status_print_dlv(const json_t *report)
{
	const json_t *service = json_object_get(report, "service");
	const char *mode = json_text(service, "mode", "off");

	if (mode[0] == 'o') {
		(void)printf("Key Management Service is not enabled on this machine "
			     "(service.mode: off)\n");
		return;
	}
	print_product(report, mode);
	(void)printf("Key Management Service is enabled on this machine\n");
	if (mode[0] == 'r')
		(void)printf("    Current count: see slmgr /dlv on each upstream\n");
	else
		(void)printf("    Current count: %lld\n", number(service, "count"));
	(void)printf("    Listening on Port: %lld\n", listening_port(service));
	(void)printf("    DNS publishing %s\n",
		     json_is_true(json_object_get(service, "published")) ? "enabled" : "disabled");
	(void)printf("    KMS priority: Normal\n\n");
	(void)printf("Key Management Service cumulative requests received from clients\n");
	(void)printf("    Total requests received: %lld\n", number(service, "requests"));
	(void)printf("    Failed requests received: %lld\n", number(service, "failed"));
	if (mode[0] == 'r') /* it does not read what is in requests */
		print_upstreams(json_object_get(report, "upstreams"));
	else
		print_by_licence(service);
}
