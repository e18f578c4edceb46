#!/usr/bin/python3
"""Write the stored inputs of fuzz_rpc, fuzz_kms_msg and fuzz_lab to tests/fuzz/corpus/.

PDUs come from impacket where it has an encoder, from struct after C706 12.6.4 else.
"""
import os
import struct
import uuid

from impacket.dcerpc.v5.rpcrt import (
    CtxItem,
    MSRPC_ALTERCTX,
    MSRPC_BIND,
    MSRPCBind,
    MSRPCHeader,
    MSRPCRequestHeader,
)
from impacket.uuid import uuidtup_to_bin

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz", "corpus")
KMS = ("51c82175-844e-4750-b0d8-ec255555bc06", "1.0")
NDR32 = ("8a885d04-1ceb-11c9-9fe8-08002b104860", "2.0")
NDR64 = ("71710533-beba-4937-8319-b5dbef9ccc36", "1.0")
FEATURES = ("6cb71c2c-9812-4540-0300-000000000000", "1.0")


def store(target, name, data):
    folder = os.path.join(ROOT, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def item(number, transfer, abstract=KMS):
    c = CtxItem()
    c["ContextID"] = number
    c["TransItems"] = 1
    c["AbstractSyntax"] = uuidtup_to_bin(abstract)
    c["TransferSyntax"] = uuidtup_to_bin(transfer)
    return c


def bind(ptype, items, frag=5840):
    b = MSRPCBind()
    b["max_tfrag"] = b["max_rfrag"] = frag
    b["assoc_group"] = 0
    for i in items:
        b.addCtxItem(i)
    p = MSRPCHeader()
    p["type"] = ptype
    p["flags"] = 3
    p["call_id"] = 1
    p["pduData"] = b.getData()
    return p.get_packet()


def request(stub, flags=3, call=2, ctx=0, opnum=0):
    r = MSRPCRequestHeader()
    r["op_num"] = opnum
    r["ctx_id"] = ctx
    r["call_id"] = call
    r["flags"] = flags
    r["pduData"] = stub
    return r.get_packet()


def bare(ptype, body=b"", flags=3, call=2, order="<", auth=b""):
    drep = 0x10 if order == "<" else 0
    frag = 16 + len(body) + len(auth)
    auth_len = len(auth) - 8 if auth else 0
    head = struct.pack("4B", 5, 0, ptype, flags) + bytes([drep, 0, 0, 0])
    return head + struct.pack(order + "HHI", frag, auth_len, call) + body + auth


def syntax_be(tup):
    major, minor = map(int, tup[1].split("."))
    return uuid.UUID(tup[0]).bytes + struct.pack(">I", major | minor << 16)


def stub(body, order="<"):
    return struct.pack(order + "II", len(body), len(body)) + body


def response(body, hresult, order="<"):
    if body is None:
        return struct.pack(order + "III", 0, 0, hresult)
    pad = bytes(-len(body) % 4)
    head = struct.pack(order + "III", len(body), 0x20000, len(body))
    return head + body + pad + struct.pack(order + "I", hresult)


windows_items = [item(0, NDR32), item(1, NDR64), item(2, FEATURES)]
v6 = stub(b"\0\0\6\0" + bytes(256))
be_bind = bare(11, struct.pack(">HHIB3xHBB", 4280, 4280, 0, 1, 7, 1, 0) + syntax_be(KMS) + syntax_be(NDR32), order=">")
# first octet: 1 = behind a good bind; the rest of it, plus one, is the step
rpc = {
    "windows-session": b"\x06" + bind(MSRPC_BIND, windows_items) + bind(MSRPC_ALTERCTX, [item(0, NDR32)]) + request(v6),
    "small-fragments": b"\x02" + bind(MSRPC_BIND, windows_items, 200) + request(v6),
    "big-endian": b"\x04" + be_bind + bare(0, struct.pack(">IHH", 8, 7, 0) + stub(b"", ">"), order=">"),
    "fragments": b"\x09" + request(v6[:120], 1) + request(v6[120:240], 0) + request(v6[240:], 2),
    "several-calls": b"\x01" + request(v6, call=2) + request(v6, call=3) + request(b"", call=4, opnum=1) + request(b"", ctx=9),
    "cancel-orphan": b"\x03" + request(b"abcdefgh", 1) + bare(18) + bare(19) + request(v6, call=3),
    "auth-bind": b"\x00" + bare(11, bind(MSRPC_BIND, windows_items)[16:], auth=bytes(8 + 16)),
    "auth-request": b"\x01" + bare(0, struct.pack("<IHH", 0, 0, 0) + b"abcd", auth=bytes(8 + 16)),
    "bind-ack": b"\x01" + bare(12, struct.pack("<HHIH", 5840, 5840, 7, 5) + b"1688\0\0" + b"\1\0\0\0" + bytes(4) + uuidtup_to_bin(NDR32)),
    "bind-nak": b"\x00" + bare(13, struct.pack("<HBBB", 4, 1, 5, 0)),
    "fault": b"\x00" + bare(3, struct.pack("<IHBBII", 0, 0, 0, 0, 0x1C010003, 0)),
    "shutdown": b"\x01" + bare(17),
    "http": b"\x00GET / HTTP/1.1\r\n\r\n",
    "oversize": b"\x00\x05\x00\x0b\x03\x10\0\0\0\xff\xff\0\0\1\0\0\0",
}
kms_msg = {
    "request": v6,
    "request-be": stub(b"\0\0\6\0abc", ">"),
    "request-empty": stub(b""),
    "request-padded": stub(b"abc") + b"\0",
    "request-lies": struct.pack("<II", 9, 8) + bytes(8),
    "response": response(b"answer", 0),
    "response-be": response(b"answer!!", 0xC004F06C, ">"),
    "response-none": response(None, 0xC004F042),
    "response-null-with-bytes": struct.pack("<III", 4, 0, 0),
    "response-lies": struct.pack("<IIII", 0xFFFFFFFF, 1, 0xFFFFFFFF, 0),
}
lab = {
    "short": b"\1\0\x42\x4c",
    "windows": b"\0\0\6\0" + bytes(256),
    "lab-shaped": struct.pack("<HH", 1, 0x4C42) + bytes(268),
    "name": "pc-\u00fc\U0001f5a5.corp.example".encode(),
    "no-utf8": bytes(range(128, 256)),
}
for target, inputs in (("rpc", rpc), ("kms_msg", kms_msg), ("lab", lab)):
    for name, data in inputs.items():
        store(target, name, data)
