/**
 * `kmsbeacon import`: an exported SoftwareProtectionPlatform key as a configuration. Pure.
 *
 * The configuration publishes for that Windows host as for any host elsewhere: it goes on answering
 * clients, kmsbeacon keeps its records. What the values mean is in the behaviour notes, §1.4; what
 * has no place in the configuration is told in the notes, a sentence a line.
 */
#ifndef KMSBEACON_PUBLISHER_REG_IMPORT_H
#define KMSBEACON_PUBLISHER_REG_IMPORT_H

#include <stdbool.h>

#include "common/err.h"
#include "common/mem.h"
#include "net/dnsname.h"

#define PUB_REG_DOMAINS_MAX 4096        /* of DnsDomainPublishList */
#define PUB_REG_NOTES_MAX   (1u << 20)  /* bytes; further notes are counted */
#define PUB_REG_INVENTED    "change-me" /* first label of a target that nobody named */

/**
 * @p target is the name of the host, which no export holds; NULL: where the key is that of a client
 * with a host set by hand, that host, else one is invented that has no address and so is never
 * published. The YAML reads without errors whatever was in the file.
 * @return 0; ERR_PARSE ("line N: ..."); ERR_NOT_FOUND where the file has nothing of KMS; ERR_LIMIT,
 *         ERR_NOMEM. @p yaml and @p notes are initialised by the caller.
 */
int pub_reg_import(const uint8_t *data, size_t len, const struct dns_name *target, struct buf *yaml,
		   struct buf *notes, struct err_info *info);

/** Whether the configuration takes the name as a target: a dot, and nothing but letters, digits, -
 * and _ in its labels. */
bool pub_reg_is_target(const struct dns_name *target);

#endif
