/** One request to a running daemon over its control socket (daemon/control.h says the protocol). */
#ifndef KMSBEACON_CLI_CONTROL_CLIENT_H
#define KMSBEACON_CLI_CONTROL_CLIENT_H

#include <jansson.h>
#include <stdint.h>

#include "common/err.h"

#define CONTROL_ANSWER_MAX                                                                         \
	(64u << 20) /* bytes of one answer: 10,000 domains with room to spare                      \
		     */

struct control_result {
	int exit_code;
	json_t *report; /* the caller's to release; NULL with `error` */
	json_t *error;  /* {"code", "text"}; NULL with `report` */
};

/**
 * Ask and wait, at most @p timeout_ms. @p args (may be NULL) is borrowed.
 * @return 0 with @p ret filled; ERR_NOT_FOUND where no daemon listens; TIMEOUT, EACCES ..., with @p
 * info.
 */
int control_ask(const char *path, const char *command, json_t *args, uint64_t timeout_ms,
		struct control_result *ret, struct err_info *info);
/** For people: all texts of it as text_escape() makes them (output.h). */
void control_result_escape(struct control_result *r);

#endif
