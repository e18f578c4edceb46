#include "daemon/env.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "net/resolv_conf.h"
#include "net/silence.h"
#include "net/udp_pool.h"

/* For test set-ups without the right to bind port 53; not a setting, because no real network needs
 * it. */
#define DNS_PORT_VARIABLE "KMSBEACON_DNS_PORT"

static uint16_t dns_port(void)
{
	const char *text = getenv(DNS_PORT_VARIABLE);
	unsigned long port = text != NULL ? strtoul(text, NULL, 10) : 0;

	return port <= UINT16_MAX ? (uint16_t)port : 0;
}

void env_configure(struct env *e, const struct config *cfg)
{
	struct net *n = &e->net;

	n->source4 = cfg->publish.source.v4;
	n->source6 = cfg->publish.source.v6;
	n->dns_port = dns_port();
	n->n_resolvers = 0;
	for (size_t i = 0; i < cfg->discovery.n_resolvers && i < NET_RESOLVERS_MAX; i++)
		n->resolvers[n->n_resolvers++] = cfg->discovery.resolvers[i];
	if (n->n_resolvers == 0) {
		struct resolv_conf rc;

		/* An unreadable file reads as an empty one: 127.0.0.1, as in the C library. */
		(void)resolv_conf_read(cfg->discovery.resolv_conf, &rc);
		memcpy(n->resolvers, rc.servers, sizeof(n->resolvers));
		n->n_resolvers = rc.n_servers;
		for (size_t i = 0; n->dns_port != 0 && i < n->n_resolvers; i++)
			addr_set_port(&n->resolvers[i], n->dns_port);
	}
}

int env_init(struct env *e, const struct config *cfg, struct err_info *info)
{
	int err;

	(void)signal(SIGPIPE, SIG_IGN); /* a peer that hangs up is an error code, not our end */
	err = uv_loop_init(&e->loop);

	if (err != 0)
		return err_set(info, err, "cannot make an event loop: %s", err_text(err));
	rng_init_system(&e->rng);
	e->net = (struct net){ .loop = &e->loop,
			       .clock = clock_system(),
			       .rng = &e->rng,
			       .udp = udp_pool_new(&e->loop),
			       .silence = silence_new() };
	if (e->net.udp == NULL) {
		silence_free(e->net.silence);
		(void)uv_loop_close(&e->loop);
		return err_set(info, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	}
	env_configure(e, cfg);
	return 0;
}

void env_done(struct env *e)
{
	(void)uv_run(&e->loop, UV_RUN_DEFAULT); /* callbacks that are still due */
	udp_pool_close(e->net.udp);
	silence_free(e->net.silence);
	(void)uv_run(&e->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&e->loop) != 0)
		abort();
}
