/**
 * A scripted DNS server inside the test's own loop: UDP and TCP on one free loopback port.
 *
 * It decides nothing: each message goes to the test's function, which sends back bytes, now or
 * later, from this port or another, or closes or resets the connection, or does nothing. Replies
 *are made with fake_reply.h, signed with fake_tsig.h.
 *
 *	static void serve(struct fake_dns *f, const struct fake_dns_request *rq, void *ctx)
 *	{
 *		struct fake_reply r;
 *
 *		fake_reply_begin(&r, rq, DNS_RCODE_NOERROR, FAKE_AA);
 *		fake_reply_srv(&r, DNS_ANSWER, "_vlmcs._tcp.corp.example", 3600, 0, 0, 1688,
 *"kms1.corp.example"); fake_dns_send_reply(&rq->from, &r);
 *	}
 */
#ifndef KMSBEACON_TESTS_LIB_FAKE_DNS_H
#define KMSBEACON_TESTS_LIB_FAKE_DNS_H

#include "net/dnsmsg.h"
#include "tests/lib/fake_reply.h"
#include "tests/lib/test_net.h"

struct fake_dns;

/** Where a reply goes. A value: copy it to answer later; sending to a connection that is gone does
 * nothing. */
struct fake_dns_peer {
	struct fake_dns *f;
	bool tcp;
	struct addr addr; /* TCP: only in on_connect */
	uint64_t conn;    /* TCP: which connection */
};

/** One message that came. Borrowed during the call. */
struct fake_dns_request {
	const uint8_t *data;
	size_t len;
	struct dns_msg *msg; /* parsed; NULL where it cannot be */
	bool tcp;
	unsigned n; /* messages this server had before, UDP and TCP together */
	struct fake_dns_peer from;
};

typedef void fake_dns_fn(struct fake_dns *f, const struct fake_dns_request *rq, void *ctx);

enum { FAKE_NO_UDP = 1, FAKE_NO_TCP = 2 }; /* that port stays closed: connection refused */

struct fake_dns_params {
	const char *ip;   /* NULL: "127.0.0.1" */
	uint16_t port;    /* 0: a free one */
	unsigned without; /* FAKE_NO_* */
	fake_dns_fn *on_message;
	/** A TCP connection, before anything was read of it; may be NULL. */
	void (*on_connect)(struct fake_dns *f, const struct fake_dns_peer *peer, void *ctx);
	/** Bytes of a TCP connection as they come; NULL: framed into on_message. */
	void (*on_bytes)(struct fake_dns *f, const struct fake_dns_peer *peer, const uint8_t *data,
			 size_t len, void *ctx);
	void *ctx;
};

struct fake_dns *fake_dns_new(struct test_net *t, const struct fake_dns_params *p);
/** Closes everything; the memory goes when the loop has run (test_net_done). */
void fake_dns_free(struct fake_dns *f);
const struct addr *fake_dns_addr(const struct fake_dns *f);
/** Messages that came by UDP. */
unsigned fake_dns_udp_count(const struct fake_dns *f);

/** One message: a datagram, or length and bytes over TCP. */
void fake_dns_send(const struct fake_dns_peer *to, const void *data, size_t len);
void fake_dns_send_reply(const struct fake_dns_peer *to, const struct fake_reply *r);
void fake_dns_send_after(const struct fake_dns_peer *to, const struct fake_reply *r, uint32_t ms);
/** Bytes as they are, without a length before them. */
void fake_dns_send_raw(const struct fake_dns_peer *to, const void *data, size_t len);
/** The datagram from another port (failure-modes U17). */
void fake_dns_send_elsewhere(const struct fake_dns_peer *to, const struct fake_reply *r);
/** TCP: orderly close after what was sent; reset. */
void fake_dns_close(const struct fake_dns_peer *to);
void fake_dns_reset(const struct fake_dns_peer *to);

#endif
