"""A client of the KMS interface, as the tests need one: either octet order, any fragments, any source address.

KmsCaller is one connection; ask_many() and Load are many at once, each request a connection of its own as Windows
does it. Every answer is compared, octet for octet, with the one that the scripted host must have given.
"""

import asyncio
import collections
import dataclasses
import socket
import struct
import threading
import time

from . import rpc_pdu
from .process import SLOWER


class Refused(Exception):
    """bind_nak; .reason."""

    def __init__(self, reason):
        super().__init__(f"bind_nak, reason {reason}")
        self.reason = reason


class Faulted(Exception):
    """A fault; .status."""

    def __init__(self, status):
        super().__init__(f"fault 0x{status:08X}")
        self.status = status


class Ended(Exception):
    """The connection ended in place of an answer; .partial: octets of one had come."""

    def __init__(self, partial=b""):
        super().__init__(f"closed after {len(partial)} octets of an answer")
        self.partial = partial


@dataclasses.dataclass
class Answer:
    stub: bytes
    be: bool
    fragments: int

    @property
    def hresult(self):
        return rpc_pdu.response_body(self.stub, self.be)[0]

    @property
    def body(self):
        return rpc_pdu.response_body(self.stub, self.be)[1]

    @property
    def by(self):
        """The scripted host's name."""
        return rpc_pdu.answered_by(self.body)


class _Exchange:
    """What one association has got: octets in; an Answer, or an exception, out. No I/O."""

    def __init__(self):
        self.framer = rpc_pdu.Framer()
        self.octets = b""  # of an answer that is not whole
        self.stub, self.fragments = b"", 0

    def bound(self, p):
        if p.kind == rpc_pdu.BIND_NAK:
            raise Refused(p.unpack("H")[0])
        if p.kind == rpc_pdu.FAULT:
            raise Faulted(p.unpack("I", 8)[0])
        assert p.kind == rpc_pdu.BIND_ACK, p
        ack = rpc_pdu.BindAck(p)
        assert any(r[0] == rpc_pdu.ACCEPT for r in ack.results), ack
        return ack

    def answer(self, p, call_id):
        assert p.call_id == call_id, (p, call_id)
        if p.kind == rpc_pdu.FAULT:
            assert not self.fragments, "a fault after a part of an answer"
            raise Faulted(p.unpack("I", 8)[0])
        assert p.kind == rpc_pdu.RESPONSE, p
        assert bool(p.flags & rpc_pdu.FIRST) == (self.fragments == 0), p
        self.fragments += 1
        self.stub += p.rest[8:]
        if not p.flags & rpc_pdu.LAST:
            return None
        done = Answer(self.stub, p.be, self.fragments)
        self.stub, self.fragments = b"", 0
        return done


class KmsCaller:
    """Blocking. `source`: an address of 127.0.0.0/8 to call from."""

    def __init__(self, where, source=None, be=False, max_recv=5840, timeout_s=20, bind=True, items=None):
        self.be, self.max_recv = be, max_recv
        self.socket = socket.create_connection(where, timeout=timeout_s * SLOWER, source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._x = _Exchange()
        self._pdus = collections.deque()
        self._call_id = 1
        if bind:
            try:
                self.bind(items or [(0, rpc_pdu.KMS, (rpc_pdu.NDR32,))])
            except BaseException:
                self.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def read_pdu(self):
        while not self._pdus:
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                raise Ended(self._x.octets)
            self._pdus += self._x.framer.feed(data)
            self._x.octets = b"" if self._x.framer.empty else data
        p = self._pdus.popleft()
        if p.kind in (rpc_pdu.RESPONSE, rpc_pdu.FAULT):
            assert rpc_pdu.HEADER + len(p.rest) <= self.max_recv, p
        return p

    def bind(self, items):
        self.socket.sendall(rpc_pdu.bind(items, max_recv=self.max_recv, be=self.be))
        self.ack = self._x.bound(self.read_pdu())
        return self.ack

    def send(self, body, size=None, dribble=False):
        """`size`: octets of the stub in each fragment; `dribble`: one octet a segment."""
        self._call_id += 1
        data = b"".join(rpc_pdu.request(self._call_id, rpc_pdu.request_stub(body, self.be), size=size, be=self.be))
        for octet in data if dribble else ():
            self.socket.sendall(bytes([octet]))
        if not dribble:
            self.socket.sendall(data)

    def read(self):
        while True:
            done = self._x.answer(self.read_pdu(), self._call_id)
            if done:
                return done

    def ask(self, body, **how):
        self.send(body, **how)
        return self.read()

    def ended(self):
        """The other side has closed, and said nothing before."""
        try:
            self.read_pdu()
        except Ended as e:
            return not e.partial
        return False


def ask_once(where, body=None, source=None, **how):
    """A connection, a request, its answer."""
    with KmsCaller(where, source, **how) as c:
        return c.ask(rpc_pdu.opaque_body() if body is None else body)


# ---- many at once ----


@dataclasses.dataclass
class Outcome:
    """Of one exchange. `error` None: answered, and `answer` is whole."""

    body: bytes
    source: str
    answer: Answer = None
    error: BaseException = None
    s: float = 0.0

    @property
    def by(self):
        return self.answer.by if self.answer else None

    def check(self, size=0):
        """Byte-exact what a scripted host answers, whichever it was."""
        if self.error:
            raise self.error
        a = self.answer
        wanted = rpc_pdu.answer_stub(a.by, self.body, a.hresult, a.be, size)
        assert a.stub == wanted, f"{a.stub.hex()}\nwanted {wanted.hex()}"


class _Client(asyncio.Protocol):
    """One exchange; `done` is a future of its Answer."""

    def __init__(self, body, be, done):
        self.body, self.be, self.done = body, be, done
        self.x = _Exchange()
        self.is_bound = False

    def connection_made(self, transport):
        self.transport = transport
        transport.write(rpc_pdu.bind(be=self.be))

    def data_received(self, data):
        try:
            for p in self.x.framer.feed(data):
                if not self.is_bound:
                    self.x.bound(p)
                    self.is_bound = True
                    self.transport.write(b"".join(rpc_pdu.request(2, rpc_pdu.request_stub(self.body, self.be), be=self.be)))
                    continue
                answer = self.x.answer(p, 2)
                if answer and not self.done.done():
                    self.done.set_result(answer)
        except Exception as e:  # pylint: disable=broad-except
            if not self.done.done():
                self.done.set_exception(e)
        if self.done.done():
            self.transport.close()

    def connection_lost(self, exc):
        if not self.done.done():
            self.done.set_exception(Ended(b"" if self.x.framer.empty and not self.x.fragments else b"?"))


async def _exchange(where, body, source, be, timeout_s):
    loop = asyncio.get_running_loop()
    outcome, started = Outcome(body, source), time.monotonic()
    done = loop.create_future()
    transport = None
    try:
        local = (source, 0) if source else None
        transport, _ = await asyncio.wait_for(
            loop.create_connection(lambda: _Client(body, be, done), *where, local_addr=local), timeout_s * SLOWER)
        outcome.answer = await asyncio.wait_for(done, timeout_s * SLOWER)
    except Exception as e:  # pylint: disable=broad-except
        outcome.error = e
    finally:
        if transport:
            transport.close()
        if done.done() and not done.cancelled():
            done.exception()  # read, so that nobody is told of it
    outcome.s = time.monotonic() - started
    return outcome


def ask_many(where, n, concurrent=50, source=None, body=None, be=False, timeout_s=30, after=None):
    """Outcomes of n exchanges. `source(i)` and `body(i)` give each its own; `after(outcome, done)` sees each end."""

    async def run():
        order = iter(range(n))
        outcomes = []

        async def worker():
            for i in order:
                one = await _exchange(
                    where, body(i) if body else rpc_pdu.opaque_body(), source(i) if source else None, be, timeout_s)
                outcomes.append(one)
                if after:
                    after(one, len(outcomes))

        await asyncio.gather(*(worker() for _ in range(min(n, concurrent))))
        return outcomes

    return asyncio.run(run())


class Load:
    """Exchanges without a pause, in a thread, until stop() gives their outcomes."""

    def __init__(self, where, concurrent=50, source=None, body=None, timeout_s=30):
        self.name, self.outcomes = "load", []
        self._end = False
        self._news = threading.Condition()
        self._where, self._concurrent, self._timeout_s = where, concurrent, timeout_s
        self._source, self._body = source, body
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()

    @property
    def log(self):
        return f"{len(self.outcomes)} exchanges, {sum(1 for o in self.outcomes if o.error)} failed"

    async def _run(self):
        async def worker(i):
            while not self._end:
                body = self._body(i) if self._body else rpc_pdu.opaque_body()
                one = await _exchange(self._where, body, self._source(i) if self._source else None, False, self._timeout_s)
                with self._news:
                    self.outcomes.append(one)
                    self._news.notify_all()

        await asyncio.gather(*(worker(i) for i in range(self._concurrent)))

    def wait_for(self, n, timeout_s=30):
        """Until n more exchanges have ended."""
        with self._news:
            wanted = len(self.outcomes) + n
            assert self._news.wait_for(lambda: len(self.outcomes) >= wanted, timeout_s * SLOWER), self.log

    def stop(self):
        self._end = True
        self._thread.join(60)
        assert not self._thread.is_alive(), "exchanges that do not end"
        return self.outcomes
