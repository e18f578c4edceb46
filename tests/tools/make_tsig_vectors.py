#!/usr/bin/python3
"""Write tests/data/tsig_vectors.h: TSIG requests and replies as dnspython signs them.

    tests/tools/make_tsig_vectors.py > tests/data/tsig_vectors.h

dnspython shares no code with kmsbeacon, so agreement in both directions says that both follow
RFC 8945. Everything is fixed (times, ids, secrets): the output never changes.
"""

import base64
import io
import random
import struct
from unittest import mock

import dns.message
import dns.name
import dns.rcode
import dns.rrset
import dns.tsig
import dns.update

import vectors

NOW = 1_700_000_000
ID = 0x2A17
OTHER_ID = 0xBEEF
ALGORITHMS = {
    "hmac-sha1": (dns.tsig.HMAC_SHA1, 20),
    "hmac-sha224": (dns.tsig.HMAC_SHA224, 28),
    "hmac-sha256": (dns.tsig.HMAC_SHA256, 32),
    "hmac-sha384": (dns.tsig.HMAC_SHA384, 48),
    "hmac-sha512": (dns.tsig.HMAC_SHA512, 64),
    # lower case, as we write it; the digest is over lower case anyway
    "hmac-md5": (dns.name.from_text("hmac-md5.sig-alg.reg.int."), 16),
}


def secret(length):
    return bytes((i * 37 + 11) & 0xFF for i in range(length))


def signed(message, key, when, request_mac=b"", original_id=None, error=0, other=b""):
    """The message as dnspython renders and signs it at that time."""
    message.use_tsig(key, fudge=300, original_id=original_id, tsig_error=error, other_data=other)
    message.request_mac = request_mac
    with mock.patch("time.time", return_value=when):
        return message.to_wire()


def mac_of(wire, key):
    with mock.patch("time.time", return_value=NOW):
        message = dns.message.from_wire(wire, keyring={key.name: key})
    return message.tsig[0].mac


def with_tsig(wire, name, algorithm, when, mac, original_id, error, other=b"", rrclass=255, ttl=0,
              fudge=300):
    """Append a TSIG record made by hand, for what dnspython would not sign."""
    rdata = io.BytesIO()
    algorithm.to_wire(rdata)
    rdata.write(struct.pack("!HIHH", when >> 32, when & 0xFFFFFFFF, fudge, len(mac)) + mac)
    rdata.write(struct.pack("!HHH", original_id, error, len(other)) + other)
    record = name.to_wire() + struct.pack("!HHIH", 250, rrclass, ttl, len(rdata.getvalue()))
    arcount = struct.unpack("!H", wire[10:12])[0]
    return wire[:10] + struct.pack("!H", arcount + 1) + wire[12:] + record + rdata.getvalue()


def update():
    u = dns.update.UpdateMessage("corp.example.", id=ID)
    u.add("_vlmcs._tcp", 3600, "SRV", "0 10 1688 kms1.corp.example.")
    u.delete("_vlmcs._tcp", "SRV", "10 10 1688 kms2.corp.example.")
    return u


def reply_to(request, rcode=dns.rcode.NOERROR):
    r = dns.message.make_response(request)
    r.id = ID
    r.set_rcode(rcode)
    return r


def srv_reply():
    """A reply to a query with compressed names and EDNS (failure-modes T09)."""
    q = dns.message.make_query("_vlmcs._tcp.corp.example.", "SRV", id=ID)
    r = dns.message.make_response(q)
    r.use_edns(0, payload=1232)
    r.answer.append(dns.rrset.from_text("_VLMCS._tcp.Corp.example.", 300, "IN", "SRV",
                                        "0 0 1688 kms1.corp.example.",
                                        "10 0 1688 kms2.corp.example."))
    return r


def rows_of(name, algorithm, mac_len):
    key_name = dns.name.from_text("host-kms.corp.example.")
    key = dns.tsig.Key(key_name, secret(mac_len), algorithm)
    # as a server may write it: digests are over lower case
    loud = dns.tsig.Key(dns.name.from_text("Host-KMS.Corp.example."), secret(mac_len), algorithm)
    request = update()
    plain = request.to_wire()
    mac = mac_of(signed(update(), key, NOW), key)
    # dnspython compresses the name of the key, we do not; that is not part of the digest
    wire = with_tsig(plain, key_name, algorithm, NOW, mac, ID, 0)
    assert mac_of(wire, key) == mac  # and dnspython verified it

    def reply(when=NOW + 1, key=key, request_mac=mac, **kw):
        rcode = kw.pop("rcode", dns.rcode.NOERROR)
        return signed(reply_to(request, rcode), key, when, request_mac, **kw)

    def row(label, data, expect, error=0, verified=True, skew="", now=NOW):
        return (name, label, data, expect, error, verified, skew, now)

    notauth = dns.rcode.NOTAUTH
    unsigned = reply_to(request, notauth).to_wire()
    server_time = struct.pack("!HI", 0, NOW - 4000)
    forwarded = reply(original_id=OTHER_ID)

    def resized(size):
        """A right MAC, cut or followed by zeros."""
        with mock.patch("time.time", return_value=NOW):
            true = dns.message.from_wire(reply(when=NOW), keyring={key.name: key}, request_mac=mac)
        return with_tsig(reply_to(request).to_wire(), key_name, algorithm, NOW,
                         true.tsig[0].mac[:size].ljust(size, b"\0"), ID, 0)

    ok = "ERR_OK"
    yield ("request", name, plain, wire, mac, secret(mac_len))
    yield row("plain", reply(), ok)
    yield row("capitals", reply(key=loud), ok)
    yield row("edns-and-compression", signed(srv_reply(), key, NOW, mac), ok)
    yield row("forwarded", forwarded, ok)
    yield row("without-request-mac", reply(request_mac=b""), "ERR_TSIG_BADSIG", verified=False)
    yield row("other-request-mac", reply(request_mac=mac[::-1]), "ERR_TSIG_BADSIG", verified=False)
    yield row("other-secret", reply(key=dns.tsig.Key(key_name, b"x" * mac_len, algorithm)),
              "ERR_TSIG_BADSIG", verified=False)
    yield row("other-name", reply(key=dns.tsig.Key("other.example.", secret(mac_len), algorithm)),
              "ERR_TSIG_KEY", verified=False)
    foreign = dns.tsig.HMAC_SHA256 if name != "hmac-sha256" else dns.tsig.HMAC_SHA512
    yield row("other-algorithm", reply(key=dns.tsig.Key(key_name, secret(mac_len), foreign)),
              "ERR_TSIG_KEY", verified=False)
    yield row("oldest-in-time", reply(when=NOW - 300), ok)
    yield row("newest-in-time", reply(when=NOW + 300), ok)
    yield row("stale", reply(when=NOW - 301), "ERR_TSIG_TIME", skew="-301")
    yield row("stale-by-ten-minutes", reply(when=NOW - 600), "ERR_TSIG_TIME", skew="-600")
    yield row("from-the-future", reply(when=NOW + 301), "ERR_TSIG_TIME", skew="301")
    yield row("badtime", reply(when=NOW, rcode=notauth, error=18, other=server_time),
              "ERR_TSIG_PEER_BADTIME", 18, skew="-4000")
    yield row("badtime-unsigned",
              with_tsig(unsigned, key_name, algorithm, NOW, b"", ID, 18, server_time),
              "ERR_TSIG_PEER_BADTIME", 18, False, "-4000")
    yield row("badtime-wrong-mac",
              with_tsig(unsigned, key_name, algorithm, NOW, b"\0" * mac_len, ID, 18, server_time),
              "ERR_TSIG_BADSIG", 18, False, "-4000")
    yield row("badtrunc", reply(rcode=notauth, error=22), "ERR_TSIG_PEER_BADTRUNC", 22)
    yield row("badsig", with_tsig(unsigned, key_name, algorithm, NOW, b"", ID, 16),
              "ERR_TSIG_PEER_BADSIG", 16, False)
    yield row("badkey", with_tsig(unsigned, key_name, algorithm, NOW, b"", ID, 17),
              "ERR_TSIG_PEER_BADKEY", 17, False)
    yield row("badkey-other-algorithm", with_tsig(unsigned, key_name, foreign, NOW, b"", ID, 17),
              "ERR_TSIG_PEER_BADKEY", 17, False)
    yield row("badkey-other-name",
              with_tsig(unsigned, dns.name.from_text("x."), algorithm, NOW, b"", ID, 17),
              "ERR_TSIG_KEY", 17, False)
    yield row("unknown-error", reply(rcode=notauth, error=21), "ERR_RCODE_OTHER", 21)
    yield row("empty-mac", with_tsig(reply_to(request).to_wire(), key_name, algorithm, NOW, b"",
                                     ID, 0), "ERR_TSIG_BADSIG", verified=False)
    yield row("whole-mac", resized(mac_len), ok)
    yield row("half-mac", resized(mac_len // 2), "ERR_TSIG_BADSIG", verified=False)
    yield row("long-mac", resized(mac_len + 1), "ERR_TSIG_BADSIG", verified=False)
    yield row("refused", reply(rcode=dns.rcode.REFUSED), ok)


def main():
    random.seed(1)  # dnspython shuffles the records of a set
    requests, replies = [], []
    for name, (algorithm, mac_len) in ALGORITHMS.items():
        for item in rows_of(name, algorithm, mac_len):
            if item[0] == "request":
                _, alg, plain, wire, mac, key = item
                b64 = base64.b64encode(key).decode()
                requests.append(
                    f'\t{{ "{alg}", "{b64}",\n{vectors.c_string(plain)},\n'
                    f"{vectors.c_string(wire)},\n{vectors.c_string(mac)} }},\n")
            else:
                alg, label, data, expect, error, verified, skew, now = item
                replies.append(
                    f'\t{{ "{alg}", "{label}", {expect}, {error}, {str(verified).lower()}, '
                    f"{str(skew != '').lower()}, {skew or 0},\n{vectors.c_string(data)} }},\n")
    body = f"""#define TSIG_VECTOR_NOW {NOW}u
#define TSIG_VECTOR_KEY_NAME "host-kms.corp.example"

static const struct tsig_request_vector {{
\tconst char *alg, *secret; /* base64 */
\tconst char *plain, *wire, *mac;
}} tsig_request_vectors[] = {{
{"".join(requests)}}};

/* Replies to the request of the same algorithm, and what tsig_verify() says at TSIG_VECTOR_NOW. */
static const struct tsig_reply_vector {{
\tconst char *alg, *label;
\tint expect;
\tuint16_t error;
\tbool verified, has_skew;
\tint64_t skew_s;
\tconst char *wire;
}} tsig_reply_vectors[] = {{
{"".join(replies)}}};
"""
    print(vectors.header("make_tsig_vectors.py", "TSIG as dnspython does it.", body), end="")


if __name__ == "__main__":
    main()
