/**
 * One machine and its network, played: the real program runs in them, in virtual time.
 *
 * The programs of tests/replay and tests/chaos are linked with copies of libkmsbeacon.a and of
 * libuv in which the system calls for sockets, epoll, time, randomness and threads go to this
 * folder instead (tests/module.mk: a function `sim_call_NAME` takes the calls of NAME). So
 * everything above the system calls is the real thing: libuv's loop, the daemon from its
 * configuration file to its signals, SQLite and its files, the control socket. What is played is
 * the other side: name servers (sim_dns.h), KMS hosts and clients (sim_kms.h), what the network
 * does to messages, and the clocks. Nothing waits: when nothing can run, the clock jumps to the
 * next event. The same seed gives the same run.
 *
 * A *life* is one run of the program, in a child process: so a crash is one (all descriptors
 * closed, files as they are), and a fault found by a sanitizer ends the test. What outlives it, the
 * world, is in memory shared by all lives: everything that models keep must come from sim_alloc().
 *
 * Threads run one at a time and give way only where they wait, in an order that does not depend on
 * the machine; a job of the store costs virtual time (sim_disk_ms).
 *
 * Times are in milliseconds since the world began unless they end in _us. The world begins at
 * SIM_EPOCH of the wall clock.
 */
#ifndef KMSBEACON_TESTS_SIM_SIM_H
#define KMSBEACON_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/rng.h"

#define SIM_EPOCH_S     1767571200 /* Mon 2026-01-05 00:00:00 UTC */
#define SIM_MEMORY_MAX  (256u << 20)
#define SIM_EVENTS_MAX  16384
#define SIM_FLIGHT_MAX  4096 /* datagrams, and pieces of streams, under way */
#define SIM_CONNS_MAX   512
#define SIM_SOCKETS_MAX 1024 /* of the program */
#define SIM_RULES_MAX   64
#define SIM_PACKET_MAX  65535
#define SIM_WAKES_MAX   64

/** Is this built with AddressSanitizer (which tells of leaks too)? */
#define SIM_SANITIZED 0
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#undef SIM_SANITIZED
#define SIM_SANITIZED 1
#endif
#endif

/* ---- the world ---- */

/** Make it, empty; one that was before is gone. Everything random in it comes from @p seed. */
void sim_new(uint64_t seed);
/** Zeroed memory of the world, never given back. Ends the program where SIM_MEMORY_MAX is used up.
 */
void *sim_alloc(size_t size);
/** What a model keeps in the world, one of each: made, zeroed, when it is first asked for. */
enum sim_part {
	SIM_PART_DNS,
	SIM_PART_DNS_NET,
	SIM_PART_KMS_HOSTS,
	SIM_PART_KMS_CLIENTS,
	SIM_N_PARTS
};
void *sim_part(enum sim_part which, size_t size);
struct rng *sim_rng(void);

uint64_t sim_now(void);
uint64_t sim_now_us(void);
/** Wall clock; sim_step_clock() moves it, and only it. */
int64_t sim_wall_ms(void);
void sim_step_clock(int64_t by_ms);

/** Called at a time, between two steps of the program; survives the life. */
typedef void sim_event_fn(void *ctx, uint64_t arg);
void sim_at(uint64_t at_ms, sim_event_fn *fn, void *ctx, uint64_t arg);
void sim_after(uint64_t ms, sim_event_fn *fn, void *ctx, uint64_t arg);

/** Ends the test with this sentence, the seed, the time and the last lines of the log: in a life,
 * the life (SIM_BROKEN). */
void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/** That sentence, or why a life broke otherwise; "" where nothing did. */
const char *sim_failure(void);
/** Of all that crossed the border of the machine, and when: the same for two runs that are alike.
 */
uint64_t sim_digest(void);

/* ---- datagrams, as a model sends and gets them ---- */

typedef void sim_datagram_fn(void *ctx, const struct addr *to, const struct addr *from,
			     const uint8_t *data, size_t len);
/** Take what comes to @p at (address and port). A port that nobody has taken answers with
 * ECONNREFUSED, as a kernel does. */
void sim_udp_open(const struct addr *at, sim_datagram_fn *fn, void *ctx);
void sim_udp_close(const struct addr *at);
void sim_udp_send(const struct addr *from, const struct addr *to, const uint8_t *data, size_t len);

/* ---- streams ---- */

struct sim_conn;
struct sim_conn_ops {
	void (*open)(struct sim_conn *c);
	/** All of it is taken. */
	void (*data)(struct sim_conn *c, const uint8_t *data, size_t len);
	/** The end, once, whoever made it; also of a connection that was never open, and at the end
	 * of a life. @p err: 0 the peer closed in order, else a negative errno. The connection is
	 * gone on return. */
	void (*closed)(struct sim_conn *c, int err);
};
/** Accept connections to @p at. */
void sim_tcp_listen(const struct addr *at, const struct sim_conn_ops *ops, void *ctx);
/** Refuse them from now on; those that are open stay. */
void sim_tcp_unlisten(const struct addr *at);
/** Connect to @p to, a listening socket of the program; open() or closed() follows. */
struct sim_conn *sim_tcp_connect(const struct addr *from, const struct addr *to,
				 const struct sim_conn_ops *ops, void *ctx);
void *sim_conn_ctx(const struct sim_conn *c);
void sim_conn_set_ctx(struct sim_conn *c, void *ctx);
const struct addr *sim_conn_peer(const struct sim_conn *c);
void sim_conn_write(struct sim_conn *c, const uint8_t *data, size_t len);
/** In order, after what was written; or with a reset. closed() does not follow. */
void sim_conn_close(struct sim_conn *c);
void sim_conn_reset(struct sim_conn *c);
/** Nothing more is written, and data() goes on: closed() follows when the peer has closed too. */
void sim_conn_shutdown(struct sim_conn *c);
/** Read nothing for now, so that the peer's window shuts. */
void sim_conn_hold(struct sim_conn *c, bool hold);

/* ---- what the network does ---- */

/** A rule for messages from one host to another (addresses without port; unset: any). The last one
 * that was set and fits counts. Chances are in 1/1000. */
struct sim_rule {
	struct addr from, to;
	uint32_t latency_us, jitter_us; /* jitter: up to so much more, each message by itself, so
					   that datagrams overtake each other */
	uint16_t lose, repeat;          /* datagrams */
	bool cut;                       /* nothing arrives, connections hang */
};
/** Set it, or replace the one with the same from and to. Where none fits: 200 us. */
void sim_rule(const struct sim_rule *r);
void sim_rule_drop(const struct addr *from, const struct addr *to);

/* ---- the program ---- */

enum sim_end {
	SIM_ENDED,   /* by itself: `code` */
	SIM_CRASHED, /* by sim_crash() */
	SIM_BROKEN,  /* a sanitizer, an abort, a signal, or sim_fail(): the test has failed */
};

struct sim_life {
	enum sim_end end;
	int code;
	size_t sockets, files; /* left open when main() returned: played sockets, other descriptors
				*/
};

struct sim_process {
	int argc;
	char **argv;                        /* [0] "kmsbeacon"; what cli_main() is given */
	int (*main)(int argc, char **argv); /* NULL: cli_main() */
	/** Addresses of this machine: the source of what it sends (the first of a family, unless
	 * bound), and where it can be reached. Loopback is always among them. */
	const struct addr *own;
	size_t n_own;
	const char *hostname; /* NULL: node.corp.example */
	/** Each line the program writes to stderr, without its newline; may be NULL. */
	void (*line)(void *ctx, const char *line);
	/** What it wrote to stdout, at its end; may be NULL. */
	void (*output)(void *ctx, const char *text, size_t len);
	void *ctx;
	uint64_t until; /* it fails if it still runs then; 0: no limit */
};

/** Run it, from now on until it ends. The world goes on meanwhile. */
struct sim_life sim_run(const struct sim_process *p);
/** Let the world go on without the program. */
void sim_idle(uint64_t until_ms);
/** The same, to the next event only, however far. @return false: there is none. */
bool sim_idle_next(void);
/** From an event: SIGTERM, SIGHUP ... as the system delivers it. */
void sim_signal(int signum);
/** From an event: the life ends here, as by SIGKILL or a power cut. */
void sim_crash(void) __attribute__((noreturn));
/** Virtual time that a write to disk takes; default 2. */
void sim_disk_ms(uint32_t ms);
/** Whether it is a model or a callback of the test that runs now, and not the program. */
bool sim_plays(void);
/** Descriptors the program has open that stand for sockets; its heap (0 where that cannot be known:
 * sanitizers and glibc tell). */
size_t sim_open_sockets(void);
size_t sim_heap_bytes(void);
/** Calls of epoll_wait that ended because their time was over, in all lives. */
uint64_t sim_timeouts(void);

/** What a wake-up of the program's loop came from. */
enum sim_wake_kind {
	SIM_WAKE_TIMER,
	SIM_WAKE_DATAGRAM,
	SIM_WAKE_STREAM,
	SIM_WAKE_OTHER, /* its own pipes: the store's thread, signals, the control socket */
};
struct sim_wake {
	enum sim_wake_kind kind;
	const void *timer; /* its callback; NULL: another kind, or no timer's time had come */
	uint64_t n;
	uint64_t
		n_vain; /* of them those after which the program neither sent, read, opened,
			   closed or wrote anything, looked at no file, nor gave work to a thread */
};
/** All there were since the world began, or since they were forgotten; those that are over. */
size_t sim_wakes(const struct sim_wake **ret);
void sim_forget_wakes(void);
/** "daemon/health.c on_timer", "datagram" ... */
void sim_wake_name(const struct sim_wake *w, char *ret, size_t size);

/** Send one request, a JSON object, to the control socket at @p path, from an event; @p answer gets
 * the line that came, or NULL where there was none. */
void sim_control(const char *path, const char *request, void (*answer)(void *ctx, const char *line),
		 void *ctx);

#endif
