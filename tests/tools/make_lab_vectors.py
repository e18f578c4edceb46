#!/usr/bin/python3
"""Print the test vectors of the lab envelope (kmscore/lab.h, tests/unit/test_lab.c).

An implementation of its own: python3-cryptography, nothing of kmsbeacon.
"""
import hashlib
import struct
import uuid

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY = bytes(range(32))
KEY_ID = hashlib.sha256(b"kmsbeacon-lab-id" + KEY).digest()[:8]
HEADER = struct.pack("<HH", 1, 0x4C42) + KEY_ID


def derive(info):
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(KEY)


C2S = derive(b"kmsbeacon lab c2s")
S2C = derive(b"kmsbeacon lab s2c")


def guid(first):
    return uuid.UUID(bytes=bytes(range(first, first + 16))).bytes


FILETIME = (1795262400 + 11644473600) * 10000000  # 2026-11-21T12:00:00Z
RQ_NONCE = bytes(range(0xA0, 0xAC))
RS_NONCE = bytes(range(0xB0, 0xBC))
NAME = "lab-\u00fc\U0001f5a5.corp.example"

request = b"".join(guid(f) for f in (0x10, 0x20, 0x30, 0x40, 0x50))
request += struct.pack("<QIIII", FILETIME, 2, 43200, 25, 1)
request += NAME.encode("utf-16-le").ljust(128, b"\0")
response = guid(0x10) + struct.pack("<Q", FILETIME) + RQ_NONCE
response += struct.pack("<III", 26, 120, 10080) + b"lab-host-pid".ljust(64, b"\0")


def seal(key, nonce, direction, plain):
    return HEADER + nonce + AESGCM(key).encrypt(nonce, plain, HEADER + direction)


def show(name, data):
    text = data.hex()
    print("#define %s" % name)
    for i in range(0, len(text), 64):
        print('\t"%s"' % text[i : i + 64])


show("KEY_ID", KEY_ID)
show("C2S", C2S)
show("S2C", S2C)
show("REQUEST", seal(C2S, RQ_NONCE, b"C", request))
show("RESPONSE", seal(S2C, RS_NONCE, b"S", response))
