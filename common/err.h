/**
 * The one error space: 0, libuv's negative codes (which are -errno on Linux), and ours below
 * -10000.
 *
 * Every code has a name, a sentence and a class. The class says what a caller that has other
 * servers or other attempts left should do, so retry policy reads data instead of testing for
 * codes.
 *
 * A function that can say more than its code fills a struct err_info, and only on failure.
 */
#ifndef KMSBEACON_COMMON_ERR_H
#define KMSBEACON_COMMON_ERR_H

#include <stddef.h>

enum err_class {
	ERRC_NONE,        /* success */
	ERRC_RETRY,       /* the same request may succeed later, here or elsewhere */
	ERRC_NEXT_SERVER, /* this server is no use for the request; another may be */
	ERRC_FATAL,       /* no server will do better: the request or the set-up is wrong */
};

/* clang-format off */
#define ERR_MAP(X) \
	X(CANCELED,          -10001, FATAL,       "canceled by its owner") \
	X(TIMEOUT,           -10002, RETRY,       "no answer in time") \
	X(NOMEM,             -10003, FATAL,       "out of memory") \
	X(LIMIT,             -10004, FATAL,       "a limit was reached") \
	X(INTERNAL,          -10005, FATAL,       "internal error, please report it") \
	X(NOT_FOUND,         -10006, FATAL,       "not found") \
	X(BUSY,              -10007, RETRY,       "busy") \
	X(CLOSED,            -10008, NEXT_SERVER, "the peer closed the connection") \
	X(USAGE,             -10009, FATAL,       "wrong usage") \
	X(CONFIG,            -10010, FATAL,       "the configuration is wrong") \
	X(SECRET_READABLE,   -10011, FATAL,       "a secret file is readable by others") \
	X(PARSE,             -10012, FATAL,       "cannot be parsed") \
	X(NO_SERVER,         -10013, FATAL,       "no server to ask") \
	X(NOT_ASKED,         -10014, NEXT_SERVER, "silent before in this run, so not asked again") \
	X(DNS_MALFORMED,     -10100, NEXT_SERVER, "malformed DNS message") \
	X(DNS_MISMATCH,      -10101, RETRY,       "the DNS message answers another question") \
	X(DNS_NODATA,        -10102, FATAL,       "the name exists but has no record of this type") \
	X(DNS_CNAME_LOOP,    -10103, FATAL,       "the CNAME chain is too long or loops") \
	X(DNS_NOT_AUTH,      -10104, NEXT_SERVER, "the server does not answer with authority") \
	X(DNS_NO_ZONE,       -10105, FATAL,       "no zone found for the name") \
	X(RCODE_FORMERR,     -10201, NEXT_SERVER, "FORMERR: the server could not read the request") \
	X(RCODE_SERVFAIL,    -10202, NEXT_SERVER, "SERVFAIL: the server failed") \
	X(RCODE_NXDOMAIN,    -10203, FATAL,       "NXDOMAIN: the name does not exist") \
	X(RCODE_NOTIMP,      -10204, NEXT_SERVER, "NOTIMP: the server does not do this") \
	X(RCODE_REFUSED,     -10205, NEXT_SERVER, "REFUSED: the server does not allow this") \
	X(RCODE_YXDOMAIN,    -10206, FATAL,       "YXDOMAIN: a name exists that should not") \
	X(RCODE_YXRRSET,     -10207, FATAL,       "YXRRSET: an RRset exists that should not") \
	X(RCODE_NXRRSET,     -10208, FATAL,       "NXRRSET: an RRset that should exist does not") \
	X(RCODE_NOTAUTH,     -10209, NEXT_SERVER, "NOTAUTH: the server is not authoritative for the zone") \
	X(RCODE_NOTZONE,     -10210, FATAL,       "NOTZONE: a name is not in the zone") \
	X(RCODE_OTHER,       -10211, NEXT_SERVER, "the server answered with an unusual RCODE") \
	X(TSIG_UNSIGNED,     -10300, NEXT_SERVER, "the reply to a signed request is not signed") \
	X(TSIG_BADSIG,       -10301, RETRY,       "the signature of the reply does not verify") \
	X(TSIG_KEY,          -10302, RETRY,       "the reply is signed with another key or algorithm") \
	X(TSIG_TIME,         -10303, RETRY,       "the reply was signed at another time than now") \
	X(TSIG_PEER_BADSIG,  -10316, FATAL,       "BADSIG: the server has another secret for the key") \
	X(TSIG_PEER_BADKEY,  -10317, FATAL,       "BADKEY: the server does not know the key or its algorithm") \
	X(TSIG_PEER_BADTIME, -10318, FATAL,       "BADTIME: the clocks of server and client differ") \
	X(TSIG_PEER_BADTRUNC,-10322, FATAL,       "BADTRUNC: the server wants a longer signature") \
	X(RPC_MALFORMED,     -10400, NEXT_SERVER, "malformed RPC PDU") \
	X(RPC_NOT_RPC,       -10401, NEXT_SERVER, "the peer does not speak DCE/RPC") \
	X(RPC_NAK,           -10402, NEXT_SERVER, "the RPC bind was refused") \
	X(RPC_NO_INTERFACE,  -10403, NEXT_SERVER, "the RPC server has no KMS interface") \
	X(RPC_SYNTAX,        -10404, NEXT_SERVER, "the RPC server accepts no transfer syntax of ours") \
	X(RPC_FAULT,         -10405, NEXT_SERVER, "the RPC call ended in a fault") \
	X(LAB_MALFORMED,     -10500, FATAL,       "malformed lab message") \
	X(LAB_KEY,           -10501, FATAL,       "the lab message was made with another lab key") \
	X(LAB_AUTH,          -10502, FATAL,       "the lab message fails authentication") \
	X(LAB_NOT_LAB,       -10503, FATAL,       "not a lab message") \
	X(STORE_OPEN,        -10600, FATAL,       "the state file cannot be opened") \
	X(STORE_CORRUPT,     -10601, FATAL,       "the state file is damaged") \
	X(STORE_VERSION,     -10602, FATAL,       "the state file was written by a newer version") \
	X(STORE_FULL,        -10603, RETRY,       "the disk is full") \
	X(STORE_FAILED,      -10604, RETRY,       "the state file cannot be written")
/* clang-format on */

enum err {
	ERR_OK = 0,
#define X(name, code, cls, text) ERR_##name = (code),
	ERR_MAP(X)
#undef X
};

#define ERR_INFO_MAX 512

/** One sentence for a person, with the next step. Always terminated; filled on failure only. */
struct err_info {
	char text[ERR_INFO_MAX];
};

/** Name such as "TIMEOUT" or "ECONNREFUSED"; "UNKNOWN" for a code of nobody's. Never NULL, static.
 */
const char *err_name(int err);
/** The sentence that belongs to the code. Never NULL, static (or the C library's own for errno). */
const char *err_text(int err);
enum err_class err_class(int err);

/** Fill @p info (which may be NULL) and return @p err: `return err_set(info, ERR_CONFIG, ...)`. */
int err_set(struct err_info *info, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
