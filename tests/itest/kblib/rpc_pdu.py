"""DCE/RPC PDUs and the stubs of the KMS operation, in both octet orders, as the tests write and read them.

Bodies of KMS messages are opaque: what tests put into them is a version, a tag, and random octets.
"""

import dataclasses
import hashlib
import os
import struct
import uuid

REQUEST, RESPONSE, FAULT, BIND, BIND_ACK, BIND_NAK, ALTER, ALTER_RESP = 0, 2, 3, 11, 12, 13, 14, 15
CO_CANCEL, ORPHANED = 18, 19
FIRST, LAST, MPX, DID_NOT_EXECUTE, OBJECT = 1, 2, 0x10, 0x20, 0x80
WHOLE = FIRST | LAST
HEADER, CALL_HEADER = 16, 24
ACCEPT, REJECT, NEGOTIATE_ACK = 0, 2, 3
TOO_BUSY = 0x1C010014


@dataclasses.dataclass(frozen=True)
class Syntax:
    """An interface or a transfer syntax."""

    uuid: uuid.UUID
    major: int
    minor: int = 0

    def pack(self, be=False):
        version = self.minor << 16 | self.major
        return (self.uuid.bytes if be else self.uuid.bytes_le) + struct.pack(order(be) + "I", version)

    @staticmethod
    def unpack(data, be=False):
        version = struct.unpack_from(order(be) + "I", data, 16)[0]
        raw = bytes(data[:16])
        return Syntax(uuid.UUID(bytes=raw) if be else uuid.UUID(bytes_le=raw), version & 0xFFFF, version >> 16)


KMS = Syntax(uuid.UUID("51c82175-844e-4750-b0d8-ec255555bc06"), 1)
NDR32 = Syntax(uuid.UUID("8a885d04-1ceb-11c9-9fe8-08002b104860"), 2)


def order(be):
    return ">" if be else "<"


def pdu(kind, call_id, rest, flags=WHOLE, be=False):
    """A whole PDU; `rest` is what follows the header."""
    drep = b"\0\0\0\0" if be else b"\x10\0\0\0"
    return struct.pack("<BBBB4s", 5, 0, kind, flags, drep) + struct.pack(
        order(be) + "HHI", HEADER + len(rest), 0, call_id) + rest


@dataclasses.dataclass
class Pdu:
    kind: int
    flags: int
    be: bool
    call_id: int
    rest: bytes  # behind the header

    def unpack(self, fmt, at=0):
        return struct.unpack_from(order(self.be) + fmt, self.rest, at)


class Framer:
    """Octets in, PDUs out."""

    def __init__(self):
        self._data = bytearray()

    @property
    def empty(self):
        return not self._data

    def feed(self, data):
        self._data += data
        at, found = 0, []
        while len(self._data) - at >= HEADER:
            if self._data[at] != 5:
                raise ValueError(f"no RPC: {bytes(self._data[at:at + 32])!r}")
            be = not self._data[at + 4] & 0x10
            size, _, call_id = struct.unpack_from(order(be) + "HHI", self._data, at + 8)
            if size < HEADER:
                raise ValueError(f"a PDU of {size} octets")
            if len(self._data) - at < size:
                break
            rest = bytes(self._data[at + HEADER : at + size])
            found.append(Pdu(self._data[at + 2], self._data[at + 3], be, call_id, rest))
            at += size
        del self._data[:at]
        return found


def bind(items=((0, KMS, (NDR32,)),), call_id=1, max_recv=5840, be=False, flags=WHOLE, kind=BIND):
    o = order(be)
    rest = struct.pack(o + "HHIB3x", max_recv, max_recv, 0, len(items))
    for ctx_id, interface, syntaxes in items:
        rest += struct.pack(o + "HBx", ctx_id, len(syntaxes)) + interface.pack(be) + b"".join(s.pack(be) for s in syntaxes)
    return pdu(kind, call_id, rest, flags, be)


@dataclasses.dataclass
class Bind:
    max_recv: int
    items: list  # of (context id, interface, transfer syntaxes)

    def __init__(self, p):
        self.max_recv, n = p.unpack("2xHxxxxB")
        self.items, at = [], 12
        for _ in range(n):
            ctx_id, n_syntaxes = p.unpack("HB", at)
            every = [Syntax.unpack(p.rest[at + 4 + 20 * i : at + 24 + 20 * i], p.be) for i in range(1 + n_syntaxes)]
            self.items.append((ctx_id, every[0], tuple(every[1:])))
            at += 4 + 20 * (1 + n_syntaxes)


def bind_ack(call_id, results, max_recv=5840, port=1688, be=False, flags=WHOLE, kind=BIND_ACK):
    """`results`: (result, reason, transfer syntax or None) of each item."""
    o = order(be)
    name = b"%d\0" % port if kind == BIND_ACK else b""
    rest = struct.pack(o + "HHIH", max_recv, max_recv, 0x1234, len(name)) + name
    rest += bytes(-(HEADER + len(rest)) % 4)
    rest += struct.pack(o + "B3x", len(results))
    for result, reason, syntax in results:
        rest += struct.pack(o + "HH", result, reason) + (syntax.pack(be) if syntax else bytes(20))
    return pdu(kind, call_id, rest, flags, be)


@dataclasses.dataclass
class BindAck:
    max_recv: int
    mpx: bool
    results: list  # of (result, reason, transfer syntax)

    def __init__(self, p):
        self.max_recv, n = p.unpack("2xH4xH")
        self.mpx = bool(p.flags & MPX)
        at = 10 + n
        at += -(HEADER + at) % 4
        self.results = []
        for i in range(p.rest[at]):
            here = at + 4 + 24 * i
            self.results.append((*p.unpack("HH", here), Syntax.unpack(p.rest[here + 4 : here + 24], p.be)))


def bind_nak(call_id, reason, be=False):
    return pdu(BIND_NAK, call_id, struct.pack(order(be) + "HBBB", reason, 1, 5, 0), be=be)


def fault(call_id, status, ctx_id=0, be=False):
    rest = struct.pack(order(be) + "IHBBII", 32, ctx_id, 0, 0, status, 0)
    return pdu(FAULT, call_id, rest, WHOLE | DID_NOT_EXECUTE, be)


def _fragments(kind, call_id, stub, tail, size, be, alloc_hint):
    size = size or max(1, len(stub))
    pieces = [stub[i : i + size] for i in range(0, len(stub), size)] or [b""]
    for i, piece in enumerate(pieces):
        flags = (FIRST if i == 0 else 0) | (LAST if i == len(pieces) - 1 else 0)
        hint = len(stub) - i * size if alloc_hint is None else alloc_hint
        yield pdu(kind, call_id, struct.pack(order(be) + "IHH", hint, *tail) + piece, flags, be)


def request(call_id, stub, ctx_id=0, opnum=0, size=None, be=False):
    """The PDUs of one request, each with up to `size` octets of the stub."""
    return list(_fragments(REQUEST, call_id, stub, (ctx_id, opnum), size, be, None))


def response(call_id, stub, ctx_id=0, size=None, be=False, alloc_hint=None):
    return list(_fragments(RESPONSE, call_id, stub, (ctx_id, 0), size, be, alloc_hint))


def request_stub(body, be=False):
    """The arguments of the one operation, NDR32."""
    return struct.pack(order(be) + "II", len(body), len(body)) + body


def request_body(stub, be=False):
    size, count = struct.unpack_from(order(be) + "II", stub)
    assert (size, count) == (len(stub) - 8, len(stub) - 8), stub.hex()
    return stub[8:]


def response_stub(body, hresult=0, be=False, referent=0x00020000):
    """Its results; `body` None: no body."""
    o = order(be)
    if body is None:
        return struct.pack(o + "III", 0, 0, hresult)
    return struct.pack(o + "III", len(body), referent, len(body)) + body + bytes(-len(body) % 4) + struct.pack(o + "I", hresult)


def response_body(stub, be=False):
    """(HRESULT, body) of its results."""
    o = order(be)
    size, pointer = struct.unpack_from(o + "II", stub)
    if not pointer:
        assert (size, len(stub)) == (0, 12), stub.hex()
        return struct.unpack_from(o + "I", stub, 8)[0], b""
    assert struct.unpack_from(o + "I", stub, 8)[0] == size
    end = (12 + size + 3) & ~3
    assert len(stub) == end + 4
    return struct.unpack_from(o + "I", stub, end)[0], stub[12 : 12 + size]


# ---- opaque bodies ----

TAG_LEN = 16


def opaque_body(tag="windows", size=260, major=6, minor=0):
    """What a client asks in these tests: a version in the clear, a tag for the scripted host, random octets."""
    head = struct.pack("<HH", minor, major) + tag.encode().ljust(TAG_LEN, b"\0")
    return head + os.urandom(size - len(head))


def body_tag(body):
    return body[4 : 4 + TAG_LEN].rstrip(b"\0").decode("latin-1")


def answer_body(name, body, size=0):
    """What the scripted host `name` answers to `body`: recognisable, and another one for each request."""
    digest = hashlib.sha256(body).digest()
    return body[:4] + digest + name.encode().ljust(TAG_LEN, b"\0") + hashlib.shake_128(digest).digest(size)


def answer_stub(name, body, hresult=0, be=False, size=0, error_body=False):
    """The whole answer, octet for octet. A failure has no body, as a rule."""
    with_body = hresult == 0 or error_body
    return response_stub(answer_body(name, body, size) if with_body else None, hresult, be)


def answered_by(body):
    """The name of the host in an answer's body; "" where there is none."""
    return body[36 : 36 + TAG_LEN].rstrip(b"\0").decode("latin-1")
