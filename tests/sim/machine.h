/**
 * What the files of the played machine share; nobody else includes it.
 *
 * Who lives where: the world (clock, events, connections, what is under way) and all that hangs on
 * it is in shared memory and survives a life. The program's side (descriptors, epoll sets, threads,
 * its output) is of one life and gone with it.
 *
 *	world.c    memory, clock, events         net.c      rules, datagrams, addresses
 *	stream.c   connections                   sockets.c  descriptors and the calls on them
 *	stream_rx.c what arrives on them          inout.c    reading and writing on them
 *	epoll.c    epoll sets, waiting           threads.c  who runs
 *	system.c   clock, random, host           life.c     fork, output, the end
 *	control.c  the control socket             wakes.c    what wakes the program
 */
#ifndef KMSBEACON_TESTS_SIM_MACHINE_H
#define KMSBEACON_TESTS_SIM_MACHINE_H

#include <sys/socket.h>

#include "tests/sim/sim.h"

#define LATENCY_DEFAULT_US 200
#define WINDOW             65536u /* bytes under way and unread, one direction of a connection */
#define SEND_BUFFER        65536u /* and those that wait for it */
#define PIECE_MAX          1460u
#define NEVER_US           UINT64_MAX
#define FD_MAX             65536
#define PORTS_MAX          256
#define OWN_MAX            16
#define LOG_LINES          24
#define LOG_WIDTH          320
#define BLOCK_CLASSES      24
#define STEPS_MAX          200000u  /* at one instant: the program runs in a circle */
#define CLOCK_READS_MAX    5000000u /* between two steps */
#define REAL_STEP_S        60       /* a step that takes so long hangs */

struct event {
	uint64_t at_us, seq;
	sim_event_fn *fn;
	void *ctx;
	uint64_t arg;
};

struct udp_port {
	struct addr at;
	sim_datagram_fn *fn;
	void *ctx;
};

struct tcp_port {
	struct addr at;
	const struct sim_conn_ops *ops;
	void *ctx;
};

struct sim_conn;
struct sim_socket;

struct world {
	uint64_t seed, now_us, seq;
	int64_t wall_step_ms;
	struct rng rng, net_rng, program_rng; /* apart, so that none shifts the others */
	size_t used;                          /* bytes of the memory */
	void *parts[SIM_N_PARTS];             /* of the models */
	void *blocks[BLOCK_CLASSES];          /* given back, by size */
	struct event events[SIM_EVENTS_MAX];  /* a heap */
	size_t n_events, n_flights, n_conns;
	struct sim_rule rules[SIM_RULES_MAX];
	size_t n_rules;
	struct udp_port udp_ports[PORTS_MAX];
	struct tcp_port tcp_ports[PORTS_MAX];
	size_t n_udp_ports, n_tcp_ports;
	struct sim_conn *conns; /* all there are */
	struct sim_conn *free_conns;
	uint32_t disk_ms;
	uint64_t timeouts, digest;
	struct sim_wake wakes[SIM_WAKES_MAX];
	size_t n_wakes;
	struct sim_wake *wake; /* the one that is not over; NULL: none */
	bool wake_acted;
	char log[LOG_LINES][LOG_WIDTH]; /* the last lines of the program */
	uint64_t n_log;
	char failure[512];
	/* the life, told to the parent */
	bool life_over;
	struct sim_life life;
};

extern struct world *world;

/* ---- world.c ---- */

/** As sim_alloc(), but it can be given back. */
void *block_get(size_t size);
void block_put(void *p);
void event_at_us(uint64_t at_us, sim_event_fn *fn, void *ctx, uint64_t arg);
/** Around what is not the program's, for sim_plays(). */
void play_begin(void);
void play_end(void);
/** When the next one comes; NEVER_US. */
uint64_t event_next_us(void);
/** Let time pass up to the next event and carry it out. */
void event_run(void);
void time_pass_to(uint64_t us);
/** What crosses the border of the machine, for comparing two runs. */
void digest_add(const char *what, const void *data, size_t len);

/* ---- net.c ---- */

const struct sim_rule *rule_for(const struct addr *from, const struct addr *to);
/** How long one message takes. */
uint64_t rule_delay_us(const struct sim_rule *r);
void flight_began(void);
void flight_ended(void);
bool addr_is_own(const struct addr *a);
/** The address from which this machine sends to @p to; false: there is none of that family. */
bool addr_source(const struct addr *to, struct addr *ret);
/** From the program. */
void datagram_send(const struct addr *from, const struct addr *to, const uint8_t *data, size_t len);

/* ---- stream.c: connections ---- */

enum piece_kind { PIECE_SYN, PIECE_SYNACK, PIECE_DATA, PIECE_FIN, PIECE_RST };

struct piece {
	struct piece *next;
	uint64_t at_us;
	enum piece_kind kind;
	unsigned tries;
	size_t len, taken;
	uint8_t data[];
};

struct pieces {
	struct piece *head, *tail;
};

enum conn_owner {
	OWNER_NOBODY, /* what comes is answered with a reset */
	OWNER_MODEL,
	OWNER_SOCKET, /* of the program */
	OWNER_QUEUE,  /* waits for accept() */
};

enum conn_state { CONN_NEW, CONN_CONNECTING, CONN_OPEN, CONN_DEAD };

/** One end of a connection. */
struct sim_conn {
	struct sim_conn *next; /* of all, or of the free ones */
	struct sim_conn *other;
	bool used;
	enum conn_owner owner;
	enum conn_state state;
	const struct sim_conn_ops *ops;
	void *ctx;
	struct sim_socket *socket; /* owner, or the listener in whose queue it waits */
	struct addr local, peer;
	struct pieces rx, tx, air; /* arrived; to be sent; on the way to the other */
	size_t rx_bytes, tx_bytes;
	size_t outstanding; /* on the way, or unread at the other */
	uint64_t last_at_us;
	unsigned n_events;
	bool rx_end, tx_end, held, kept;
	int err; /* positive errno, to be told once */
	uint64_t id;
	uint64_t heard_us; /* when something came */
	struct keepalive {
		uint32_t idle_s, every_s, tries; /* idle_s 0: none */
		uint32_t missed;
	} keep;
};

struct sim_conn *conn_connect(const struct addr *from, const struct addr *to);
void conn_send(struct sim_conn *c, const uint8_t *data, size_t len);
struct tcp_port *tcp_port_of(const struct addr *at);
/** Our side is at its end. */
void conn_shut(struct sim_conn *c);
/** Its owner lets it go: with a reset, or in order. */
void conn_release(struct sim_conn *c, bool reset);
/** Up to @p size bytes that have arrived. */
size_t conn_take(struct sim_conn *c, uint8_t *ret, size_t size, bool peek);
void conn_push(struct sim_conn *c, enum piece_kind kind, const uint8_t *data, size_t len);
void conn_launch(struct sim_conn *c);
void conn_end_model(struct sim_conn *c, int err);
void conn_die(struct sim_conn *c, int err);
struct piece *pieces_take(struct pieces *p);
void pieces_put(struct pieces *p, struct piece *x);
void pieces_drop(struct pieces *p);
/** stream_rx.c: it has arrived at @p c. @return false: not now, again later */
bool conn_arrived(struct sim_conn *c, struct piece *p);
void conn_take_model(struct sim_conn *c);
void conn_keep_alive(struct sim_conn *c, const struct keepalive *k);
/** The end of a life: what the kernel does to its connections. */
void conns_end_life(bool crash);

/* ---- sockets.c: the program's descriptors ---- */

enum socket_kind { SOCKET_DATAGRAM, SOCKET_STREAM, SOCKET_LISTENS };

struct datagram {
	struct datagram *next;
	struct addr from;
	size_t len;
	uint8_t data[];
};

struct sim_socket {
	int fd, family;
	enum socket_kind kind;
	struct addr local, peer; /* unset: not bound, not connected */
	int err;                 /* positive errno, to be told once */
	struct datagram *head, *tail;
	size_t n_datagrams;
	struct sim_conn *conn;
	struct sim_conn *queue[128]; /* to be accepted */
	size_t n_queue, backlog;
	bool shut_read, linger_reset, connect_told;
	struct keepalive keep;
};

/** NULL: a real descriptor. */
struct sim_socket *socket_of(int fd);
struct sim_socket *socket_listening(const struct addr *at);
/** For a datagram; the best match, or NULL. */
struct sim_socket *socket_datagram(const struct addr *to, const struct addr *from);
void socket_put_datagram(struct sim_socket *s, const struct addr *from, const uint8_t *data,
			 size_t len);
/** EPOLLIN, ... */
uint32_t socket_events(const struct sim_socket *s);
size_t sockets_open(void);

/* ---- epoll.c, threads.c ---- */

/** Wait in the calling thread, which lets others run and, on the main thread, the world go on.
 * @p ready must not change anything. @return false: @p until_us has come */
bool wait_until(bool (*ready)(void *ctx), void *ctx, uint64_t until_us);
bool epoll_forget(int fd);  /* a descriptor is closed; true: it was an epoll set */
bool threads_run_one(void); /* @return false: none can run now */
uint64_t threads_next_us(void);
void threads_begin(void);
void clock_was_read(void); /* for nothing, should it be all that happens */

/* ---- wakes.c ---- */

/** A wait has ended; for a timer, after this long. */
void wake_begins(enum sim_wake_kind kind, int waited_ms);
/** What it led to is over: the next wait begins. */
void wake_over(void);
/** Does something that can be seen from outside its loop. */
void program_acts(void);

/* ---- life.c, control.c ---- */

extern const struct sim_process *life_process; /* NULL: there is no life now */
extern uint64_t life_number;
void life_stderr(const char *text, size_t len);
void life_stdout(const char *text, size_t len);
void life_end(enum sim_end end, int code) __attribute__((noreturn));
bool control_pump(void); /* @return true: something happened */
void control_end(void);

#endif
