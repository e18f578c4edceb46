/**
 * A prober that asks each address once: who asks for it again, at the same time or later, gets the
 * same answer, until probe_memo_forget(). So one round of looks costs each host one connection,
 * however many records, suffixes and profiles lead to it.
 *
 * Bounded: PROBE_MEMO_MAX addresses are asked between two probe_memo_forget(), PROBE_MEMO_PARALLEL
 * at once; the rest waits, and beyond the maximum the answer is `timeout`, "not asked".
 */
#ifndef KMSBEACON_DAEMON_PROBE_MEMO_H
#define KMSBEACON_DAEMON_PROBE_MEMO_H

#include "net/prober.h"

#define PROBE_MEMO_MAX      1024
#define PROBE_MEMO_PARALLEL 16

struct probe_memo;

/** @p real is borrowed for the memo's life. NULL without memory. */
struct probe_memo *probe_memo_new(struct net *net, const struct prober *real);
/** For its users; valid for the memo's life. The timeout of an address is that of who asked first.
 */
const struct prober *probe_memo_prober(const struct probe_memo *m);
/** Ask anew from now on. What is being asked goes on; nobody may be waiting for it. */
void probe_memo_forget(struct probe_memo *m);
/** Nobody may be waiting. Cancels what runs; @p done runs once, from the loop, when all is freed.
 */
void probe_memo_free(struct probe_memo *m, void (*done)(void *ctx), void *ctx);

#endif
