#!/usr/bin/python3
"""Write the first inputs of the fuzz targets of the answer path (rsv_answer, rsv_audit).

    tests/tools/make_answer_corpus.py tests/fuzz/corpus

Whole answers for rsv_answer; for rsv_audit the same, as servers send them over TCP. Other files stay.
"""

import pathlib
import struct
import sys

OWNER = b"\x06_vlmcs\x04_tcp\x04corp\x07example\x00"
AT_OWNER, AT_CORP = b"\xc0\x0c", b"\xc0\x18"  # where the question has them
SRV, CNAME, SOA, IN = 33, 5, 6, 1
NOERROR, NXDOMAIN, AA, TC = 0x8000, 0x8003, 0x0400, 0x0200


def rr(owner, kind, rdata, ttl=300):
    return owner + struct.pack(">HHIH", kind, IN, ttl, len(rdata)) + rdata


def srv(target, priority=0, weight=0, port=1688, owner=AT_OWNER, ttl=300):
    return rr(owner, SRV, struct.pack(">HHH", priority, weight, port) + target, ttl)


def soa(serial=1):
    return rr(AT_CORP, SOA, b"\x03ns1" + AT_CORP + b"\xc0\x18" + struct.pack(">5I", serial, 60, 60, 60, 60))


def message(answers, authority=(), flags=NOERROR | AA, question=OWNER, ident=0x1234):
    head = struct.pack(">6H", ident, flags, 1, len(answers), len(authority), 0)
    return head + question + struct.pack(">HH", SRV, IN) + b"".join(answers) + b"".join(authority)


def kms(n):
    return bytes([4 + (n > 9)]) + b"kms%d" % n + AT_CORP


def name(*labels):
    return b"".join(bytes([len(x)]) + x for x in labels) + b"\x00"


def chain(length):
    """Aliases one after the other, and a record at the end."""
    at = [AT_OWNER] + [name(b"a%02d" % i, b"corp", b"example") for i in range(length)]
    return message([rr(at[i], CNAME, at[i + 1]) for i in range(length)] + [srv(kms(1), owner=at[-1])])


def many(n):
    """Few octets a record, so that as many as possible stand in 64 KiB."""
    return message([srv(b"\x02k\x31" + AT_CORP if i == 0 else b"\xc0\x3c", i >> 8, i & 255, 1 + i) for i in range(n)])


def longest():
    label = b"a" * 63
    return name(label, label, label, b"a" * 61)


ANSWERS = {
    "two-hosts": message([srv(kms(1), 0, 10), srv(kms(2), 10)]),
    "empty": message([], [soa()]),
    "gone": message([], [soa()], flags=NXDOMAIN | AA),
    "not-authoritative": message([srv(kms(1))], flags=NOERROR | 0x80),
    "absent": message([srv(b"\x00", port=0)]),
    "absent-beside-a-host": message([srv(b"\x00", port=0), srv(kms(1))]),
    "ttls-differ": message([srv(kms(1), ttl=5), srv(kms(2), ttl=3600)]),
    "ttl-past-2-31": message([srv(kms(1), ttl=0x80000001)]),
    "one-host-twice": message([srv(kms(1), 0, 10), srv(kms(1), 0, 0), srv(kms(1), 0, 0)]),
    "ports": message([srv(kms(n), port=p) for n, p in enumerate((0, 1, 1688, 65535))]),
    "chain-of-8": chain(8),
    "chain-of-9": chain(9),
    "alias-of-itself": message([rr(AT_OWNER, CNAME, AT_OWNER)]),
    "other-question": message([srv(kms(1))], question=name(b"_vlmcs", b"_tcp", b"else", b"example")),
    "record-of-another-name": message([srv(kms(1), owner=AT_CORP)]),
    "pointer-to-itself": message([srv(b"\xc0\x40")]),
    "pointer-forward": message([srv(b"\xc0\xff")]),
    "name-of-255": message([srv(longest())]),
    "name-of-256": message([srv(b"\x01b" + longest())]),
    "octets-that-need-escapes": message([srv(kms(1)), srv(name(b"k|m\n\x00s\xff", b"\"\\.;"), port=1691)]),
    "truncated": message([srv(kms(1))], flags=NOERROR | AA | TC)[:-3],
    "rdata-too-long": message([rr(AT_OWNER, SRV, struct.pack(">HHH", 0, 0, 1688) + kms(1) + b"x")]),
    "64-kib": many(3200),
}
PAIRS = {
    "servers-agree": ("two-hosts", "two-hosts", "not-authoritative"),
    "servers-differ": ("two-hosts", "one-host-twice", "two-hosts"),
    "one-has-nothing": ("two-hosts", "gone", "empty"),
    "other-question": ("other-question", "two-hosts", "empty"),
    "all-strange": ("octets-that-need-escapes", "ports", "chain-of-8"),
    "broken": ("name-of-256", "pointer-to-itself", "rdata-too-long"),
    "64-kib": ("64-kib", "two-hosts", "absent-beside-a-host"),
    "one-silent": ("absent",),
    "one-strange": ("octets-that-need-escapes",),
}


def framed(labels):
    return b"".join(struct.pack(">H", len(ANSWERS[x])) + ANSWERS[x] for x in labels)


def main():
    root = pathlib.Path(sys.argv[1])
    for target, files in (("rsv_answer", ANSWERS), ("rsv_audit", {k: framed(v) for k, v in PAIRS.items()})):
        folder = root / target
        folder.mkdir(parents=True, exist_ok=True)
        for label, data in files.items():
            (folder / label).write_bytes(data)


if __name__ == "__main__":
    main()
