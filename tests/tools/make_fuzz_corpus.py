#!/usr/bin/python3
"""Write the first inputs of the DNS fuzz targets from the test vectors.

    tests/tools/make_fuzz_corpus.py tests/fuzz/corpus

Inputs that the fuzzer found and that are kept have other names; they stay.
"""

import pathlib
import random
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


def main():
    random.seed(1)
    root = pathlib.Path(sys.argv[1])
    inputs = {"dnsmsg": {}, "tsig": {}, "tsig_key": KEY_FILES}
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
