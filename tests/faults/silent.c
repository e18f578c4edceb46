#include "tests/faults/silent.h"

#include <stddef.h>

#include "tests/faults/fault.h"

/* The call ("": any) and a function of the program that it was made for, then why nothing has to be
 * said. tools/run-tests sees to it that there is such a function. */
#define SILENT(X)                                                                                  \
	X("", next_attempt,                                                                        \
	  "an exchange that cannot begin counts as one without an answer: the "                    \
	  "next attempt follows; told where none is left")                                         \
	X("", take_message, "what cannot be read is no answer: the next attempt follows")          \
	X("", start_probe, "one probe of health.fall: told when the host counts as down")          \
	X("", find_source, "the addresses of a host stay in the order of DNS")                     \
	X("", kms_link_start, "one probe, or one try of a relayed request")                        \
	X("", kms_pool_keep_warm, "one connection less in advance: made when a request needs it")  \
	X("", pool_link_age, "a connection at rest is closed at once: as kms_pool_keep_warm")      \
	X("", leg_ask, "one of A and AAAA: told where the host has no address of the other")       \
	X("uv_try_write", conn_write, "a client that has gone: its end is told at level debug")    \
	X("", silence_new, "servers that were silent are asked again each time")                   \
	X("", rsv_d_step, "a line less in what discovery tells of its way")                        \
	X("", notify_read, "the server sends its NOTIFY again, and the refresh comes anyway")      \
	X("", pub_hosts_get,                                                                       \
	  "a look at a name before or beside an UPDATE: not known, and made "                      \
	  "again with the next check")                                                             \
	X("", rpc_start, "one probe of a host: told when it counts as down")                       \
	X("", rsv_d_try, "one look of discovery: told where its result is another")                \
	X("", find_or_add, "a probe that the looks of one round do not share")                     \
	X("", memo_start, "the same")                                                              \
	X("", rsv_queries_add, "a question less in a list that says so")                           \
	X("", view_of, "what clients remember is judged with the next look")                       \
	X("", pub_zone_cache_put, "the zone is looked for again")                                  \
	X("", ask_read, "as next_attempt: another server, or another time")                        \
	X("", publish_request_parse, "told to who asked")                                          \
	X("", take_args, "told to who asked")                                                      \
	X("uv_udp_try_send", take, "as notify_read")                                               \
	X("pwrite", lock_take, "as the next one")                                                  \
	X("ftruncate", lock_take, "the lock is held; only its holder's number is not in the file") \
	X("", sync_folder, "the file is whole; after a power cut the old one may stand there")     \
	X("open", listener_new, "clients that find no descriptor wait, in place of being closed")  \
	X("accept4", accept_waiting, "nobody waited: one that is turned away is told of")          \
	X("", keep_alive, "that a silent peer has gone shows with the next request")               \
	X("", ask_server,                                                                          \
	  "a server of the zone that could not be asked did not prove: told "                      \
	  "where less than half of them did")                                                      \
	X("", rpc_client_bind, "as kms_link_start")                                                \
	X("uv_read_start", on_connected, "as kms_link_start; for DNS over TCP as next_attempt")    \
	X("uv_try_write", tcp_stream_write, "the same")                                            \
	X("write", write_text, "told by log.lost, with the next line that can be written")

static const struct {
	const char *call, *function;
} silent[] = {
#define ROW(call, function, reason) { call, #function },
	SILENT(ROW)
#undef ROW
};

/* What was only read, a socket, or a log each of whose writes was looked at is closed, whatever
 * close() says. A file that was written in whole is another matter. */
static bool is_harmless_close(void)
{
	return fault_site_has("close", "fault_call_close") &&
	       !fault_site_has("close", "file_replace") && !fault_site_has("close", "lab_keygen");
}

bool silent_is_right(void)
{
	if (!fault_site_known() || is_harmless_close())
		return true;
	for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
		if (fault_site_has(silent[i].call, silent[i].function))
			return true;
	return false;
}
