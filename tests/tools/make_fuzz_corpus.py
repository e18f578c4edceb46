#!/usr/bin/python3
"""Write the first inputs of the DNS fuzz targets from the test vectors, and those of rpc_client.

    tests/tools/make_fuzz_corpus.py tests/fuzz/corpus

Inputs that the fuzzer found and that are kept have other names; they stay.
"""

import pathlib
import random
import struct
import sys

import make_dnsmsg_vectors
import make_tsig_vectors

KEY_FILES = {
    "plain": b'key "kms" {\n\talgorithm hmac-sha256;\n\tsecret "YWJjZGVmZ2g=";\n};\n',
    "comments": b'# a\n// b\n/* c\n */ key kms // d\n{ secret YWJjZA==; algorithm "HMAC-SHA1."; };',
    "crlf": b'key kms.corp.example. {\r\nalgorithm hmac-md5;\r\nsecret "YQ==";\r\n};\r\n',
    "truncated": b"key kms { algorithm hmac-sha512-256; secret YQ==; };",
    "two": b"key a { algorithm hmac-sha384; secret YQ==; }; key b { secret YQ==; algorithm "
           b"hmac-sha224; };",
    "escapes": b'\xef\xbb\xbfkey "a\\.b\\"c" { algorithm hmac-sha512; secret "Y W J j"; };',
    "not-a-key": b"options { directory \"/var\"; };",
    "bad-base64": b"key a { algorithm hmac-sha256; secret \"YR==\"; };",
}


def rpc_pdu(ptype, flags, call_id, body, big=False):
    """A connection-oriented PDU of RPC 5.0, C706 12.6."""
    order = ">" if big else "<"
    return struct.pack(order + "BBBB4sHHI", 5, 0, ptype, flags,
                       bytes([0 if big else 0x10, 0, 0, 0]), 16 + len(body), 0, call_id) + body


def rpc_client_inputs():
    """What a server says; before it a step, and what the target offers (see the target)."""
    nothing = bytes(8)
    stub = bytes(range(60))

    def response(call_id, flags, part, big=False):
        return rpc_pdu(2, flags, call_id, nothing + part, big)

    one_by_one = b"".join(response(i, 3, stub) for i in range(2, 8))
    mixed = b"".join(response(i, flags, stub[at:at + 20], i == 3)
                     for at, flags in ((0, 1), (20, 0), (40, 2)) for i in (4, 2, 3))
    fault = rpc_pdu(3, 3, 2, struct.pack("<IHHII", 32, 0, 0, 0x1C010014, 0))
    nak = rpc_pdu(13, 3, 1, struct.pack("<HBBB", 1, 1, 5, 0))
    reject = rpc_pdu(12, 3, 1, struct.pack("<HHIH2sB3sHH20s", 5840, 5840, 7, 0, b"", 1, b"",
                                           2, 1, b""))
    mpx = bytes([4, 0x1 | 0x2 | 0x8 | 0x20])
    dropping = bytes([0, 0x1 | 0x4 | 0x8 | 0x10])
    plain = bytes([30, 0x8])
    return {
        "one-by-one": plain + one_by_one,
        "mixed": mpx + mixed,
        "dropped": dropping + mixed + one_by_one,
        "fault-and-on": plain + fault + response(3, 3, stub),
        "twice": mpx + response(2, 3, stub) * 2,
        "not-asked": plain + response(99, 3, stub),
        "no-first": plain + response(2, 2, stub),
        "long": plain + b"".join(response(2, i == 0, bytes(3000)) for i in range(6)),
        "shutdown": mpx + rpc_pdu(17, 3, 0, b""),
        "nak": bytes([0, 0]) + nak,
        "reject": bytes([0, 0]) + reject,
        "http": bytes([0, 3]) + b"HTTP/1.0 400 Bad Request\r\n\r\n",
    }


def main():
    random.seed(1)
    root = pathlib.Path(sys.argv[1])
    inputs = {"dnsmsg": {}, "tsig": {}, "tsig_key": KEY_FILES,
              "rpc_client": rpc_client_inputs()}
    inputs["dnsmsg"].update(make_dnsmsg_vectors.builds())
    for label, message in make_dnsmsg_vectors.parses():
        inputs["dnsmsg"]["reply-" + label] = message.to_wire(max_size=65535)
    inputs["dnsmsg"]["update-forms"] = make_dnsmsg_vectors.update_message().to_wire()
    algorithm = make_tsig_vectors.ALGORITHMS["hmac-sha256"]
    for row in make_tsig_vectors.rows_of("hmac-sha256", *algorithm):
        if row[0] == "request":
            inputs["tsig"]["request"] = row[2]
        else:
            inputs["tsig"][row[1]] = row[2]
    for target, files in inputs.items():
        folder = root / target
        folder.mkdir(parents=True, exist_ok=True)
        for label, data in files.items():
            (folder / label).write_bytes(data)


if __name__ == "__main__":
    main()
