/** What `policy` and `publish --print` say of AD-integrated zones. */
#ifndef KMSBEACON_CLI_AD_NOTE_H
#define KMSBEACON_CLI_AD_NOTE_H

#include "cli/session.h"
#include "publisher/targets.h"

#define AD_NOTE_TOTAL_MS 5000 /* for all domains: it is a note, and nothing waits for it long */

/** Ask the resolvers about each domain (@p domain: about this one; NULL: all), and say on stderr
 * which zones are AD-integrated. Silence tells nothing. */
void ad_note(const char *command, struct session *s, const struct pub_targets *targets,
	     const struct dns_name *domain);

#endif
