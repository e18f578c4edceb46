#include "kmscore/bind_judge.h"

#include <errno.h>
#include <stdio.h>

#include "common/err.h"

enum probe_state kms_connect_judge(int err, bool connected, char *detail, size_t size)
{
	switch (err) {
	case ERR_CANCELED:
		(void)snprintf(detail, size, "canceled");
		return PROBE_TIMEOUT;
	case ERR_TIMEOUT:
	case -ETIMEDOUT:
		(void)snprintf(detail, size, "%s",
			       connected ? "connected, but no answer in time"
					 : "no connection in time");
		return PROBE_TIMEOUT;
	case ERR_CLOSED:
	case -ECONNRESET:
	case -EPIPE:
		(void)snprintf(detail, size, "the host closed the connection without an answer");
		return PROBE_REFUSED;
	case -ECONNREFUSED:
		(void)snprintf(detail, size, "connection refused: nothing listens on the port");
		return PROBE_REFUSED;
	case -EHOSTUNREACH:
	case -ENETUNREACH:
		(void)snprintf(detail, size, "no route to the host: %s", err_text(err));
		return PROBE_TIMEOUT;
	default:
		(void)snprintf(detail, size, "not probed: %s", err_text(err));
		return PROBE_TIMEOUT;
	}
}

enum probe_state kms_bind_judge(const struct kms_client_result *k, const char *syntaxes,
				char *detail, size_t size)
{
	switch (k->err) {
	case 0:
		(void)snprintf(detail, size, "the KMS interface accepts binds (%s)", syntaxes);
		return PROBE_UP;
	case ERR_RPC_NO_INTERFACE:
		(void)snprintf(detail, size,
			       "an RPC server without the KMS interface: no KMS host, or its "
			       "service is not active");
		return PROBE_NO_KMS_INTERFACE;
	case ERR_RPC_SYNTAX:
		(void)snprintf(detail, size, "the KMS interface does not take %s", syntaxes);
		return PROBE_RPC_REFUSED;
	case ERR_RPC_NAK:
		(void)snprintf(detail, size, "%s refused: %s (%u)",
			       k->rejected ? "the KMS context was" : "the bind was",
			       k->rejected ? rpc_reason_text(k->reason) : rpc_nak_text(k->reason),
			       k->reason);
		return PROBE_RPC_REFUSED;
	case ERR_RPC_FAULT:
		(void)snprintf(detail, size, "the bind was answered with fault 0x%08X: %s",
			       k->fault_status, rpc_fault_text(k->fault_status));
		return PROBE_RPC_REFUSED;
	case ERR_RPC_NOT_RPC:
		(void)snprintf(detail, size, "the port answers, but not in DCE/RPC");
		return PROBE_NOT_RPC;
	case ERR_RPC_MALFORMED:
	case ERR_LIMIT:
		(void)snprintf(detail, size, "the answer to the bind is malformed");
		return PROBE_NOT_RPC;
	default:
		return kms_connect_judge(k->err, k->stage > KMS_CLIENT_CONNECT, detail, size);
	}
}

bool kms_connect_is_local(int err)
{
	switch (err) {
	case ERR_CANCELED:
	case ERR_NOMEM:
	case -ENOMEM:
	case -ENOBUFS:
	case -EMFILE:
	case -ENFILE:
	case -EADDRNOTAVAIL:
		return true;
	default:
		return false;
	}
}
