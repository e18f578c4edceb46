/** Between the files of the configuration. */
#ifndef KMSBEACON_COMMON_CONFIG_PRIV_H
#define KMSBEACON_COMMON_CONFIG_PRIV_H

#include "common/cfg.h"
#include "common/config.h"

extern const struct cfg_schema config_schema;

/** Fill what is worked out: defaults that depend on others, inherited values, handles as indices. 0
 * or ERR_NOMEM. @p cfg (NULL: no file) tells what was given and gets the handles that name nothing.
 */
int config_resolve(struct config *c, struct cfg *cfg);
/** What is wrong between settings. */
void config_check(const struct config *c, struct cfg *cfg);
void config_check_relay(const struct config *c, struct cfg *cfg);
void config_check_discovery(const struct config_discovery *d, struct cfg *cfg);

#define CONFIG_FQDN_MAX 254
/**
 * This machine's name with its domain: @p hostname itself where it has a dot, else the name in
 * @p hosts (text of /etc/hosts) that begins with it, else with the first suffix of @p resolv
 * (/etc/resolv.conf). Asks no server. false where none of them tells.
 */
bool config_find_fqdn(const char *hostname, const char *hosts, const char *resolv,
		      char ret[CONFIG_FQDN_MAX]);
/** The same for this machine, from its files. */
bool config_machine_fqdn(char ret[CONFIG_FQDN_MAX]);
/** Networks of this machine's interfaces at this moment; at most @p max of them. 0, or the error of
 * the system that keeps them from being read. */
int config_connected_nets(struct cidr *ret, size_t max, size_t *ret_n);
/** Whether @p a is the address of an interface of this machine at this moment. */
bool config_machine_has(const struct addr *a);

#endif
