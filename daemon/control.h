/**
 * The control socket: how `kmsbeacon status`, `publish`, `drain` ... talk to a running daemon.
 *
 * A Unix stream socket. The client sends one line of JSON, {"command": "...", "args": {...}}; the
 * daemon answers with one line, {"exit": N, "report": {...}} or {"exit": N, "error": {"code",
 * "text"}}, and closes. Who may connect is decided by the file's mode and group. Bounds:
 * CONTROL_CLIENTS_MAX clients, CONTROL_LINE_MAX bytes a request, CONTROL_REQUEST_MS until the
 * request is complete.
 */
#ifndef KMSBEACON_DAEMON_CONTROL_H
#define KMSBEACON_DAEMON_CONTROL_H

#include <jansson.h>
#include <sys/types.h>
#include <uv.h>

#include "common/err.h"

#define CONTROL_CLIENTS_MAX 32
#define CONTROL_LINE_MAX    65536u
#define CONTROL_REQUEST_MS  5000

struct control;
struct control_call; /* one request that waits for its answer */

/**
 * Take a request. It must end in control_answer() exactly once, now or later, also when the client
 * has gone meanwhile. @p args is borrowed during the call; an object, or NULL.
 */
typedef void control_handler_fn(void *ctx, struct control_call *call, const char *command,
				const json_t *args);

struct control_params {
	const char *path;
	mode_t mode;
	const char *group; /* NULL: the process's */
	control_handler_fn *handler;
	void *ctx;
};

/** Bind; a socket file that nobody answers is replaced. On failure @p info names the path and the
 * cause. */
int control_new(uv_loop_t *loop, const struct control_params *p, struct control **ret,
		struct err_info *info);
/** Answer and close. Takes over @p report, made in the turn of the loop of this call; where memory
 * was short meanwhile, the client is told that instead (json_memory.h). */
void control_answer(struct control_call *call, int exit_code, json_t *report);
/** Answer with an error object instead. */
void control_fail(struct control_call *call, int exit_code, const char *code, const char *text);
/**
 * Stop listening, remove the file, close every client; @p done runs once, from the loop, when that
 * is through. Calls that are still out must have been answered before.
 */
void control_free(struct control *c, void (*done)(void *ctx), void *ctx);

#endif
