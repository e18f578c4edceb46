/**
 * How resolver/ and publisher/ have a host probed without knowing the KMS protocol: an interface
 * that kmscore/probe implements and daemon/ or cli/ hands over.
 */
#ifndef KMSBEACON_NET_PROBER_H
#define KMSBEACON_NET_PROBER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "net/net.h"

/** What a host is; anything but up is down (design §3). The text forms are the JSON's. */
enum probe_state {
	PROBE_UP,               /* "up" */
	PROBE_NO_KMS_INTERFACE, /* "no-kms-interface": an RPC server without the KMS interface */
	PROBE_RPC_REFUSED,      /* "rpc-refused": bind_nak */
	PROBE_NOT_RPC,          /* "not-rpc": something else owns the port */
	PROBE_REFUSED,          /* "refused": connection refused */
	PROBE_TIMEOUT,          /* "timeout": no connection or no answer in time, or no route */
	PROBE_UNRESOLVED,       /* "unresolved": the name has no address */
	PROBE_STATE_COUNT_,
};
const char *probe_state_name(enum probe_state s);

#define PROBE_DETAIL_MAX 160

struct probe_result {
	enum probe_state state;
	struct addr addr;              /* the address that was asked; unset when unresolved */
	double rtt_ms;                 /* connect to last byte; 0 where nothing answered */
	char detail[PROBE_DETAIL_MAX]; /* one clause for a person */

	/** The probe was a request for activation (the lab client's), so these mean something: with
	 * PROBE_UP the host answered validly, if only "count too low". */
	bool activation;
	uint32_t hresult; /* what the host or the exchange came to; 0: activated */
	bool final;       /* no other host need be asked, though this one is not up (0xC004F042) */
};

struct probe_op;
typedef void probe_done_fn(struct probe_op *op, const struct probe_result *r);

/** One running probe, owned by the caller; lifetime rules as net/udp_exchange.h. */
struct probe_op {
	void *owner; /* the caller's */
	/** The caller's: the name that the address belongs to, for who shows it; may be NULL.
	 * Borrowed until done(). */
	const char *host;
	/* private */
	probe_done_fn *done;
	void *impl;
	uv_timer_t late; /* brings done() where start failed: nothing else could be allocated */
};

struct prober {
	void (*start)(const struct prober *p, struct probe_op *op, struct net *net,
		      const struct addr *addr, uint32_t timeout_ms, probe_done_fn *done);
	void (*cancel)(struct probe_op *op);
	void *ctx;
};

#endif
