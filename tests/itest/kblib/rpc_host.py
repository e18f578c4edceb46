"""A scripted licensed KMS host: an RPC server that misbehaves on demand and notes everything that comes.

    host = RpcHost("127.9.8.7", name="win1", mpx=True)   in a thread of the test
    host = RpcHost.process("127.9.8.7", name="win1")     a process of its own: pause(), resume(), kill()
    host.set(fault=TOO_BUSY)                             from the next request on
    host.wait("a call came", lambda h: h.count("calls") == 1)

What is protected in a real message is random octets here (rpc_pdu.opaque_body); the answer holds a digest of the
request's body and this host's name, so a test knows of each answer whose it is and that it is whole.
"""

import asyncio
import collections
import dataclasses
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading

if __package__:
    from . import rpc_pdu
    from .process import SLOWER, die_with_parent, wait_until
else:  # the process of its own
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from kblib import rpc_pdu
    from kblib.process import SLOWER, die_with_parent, wait_until

NO_INTERFACE, NO_SYNTAX = 1, 2  # reasons of a rejected context
BATCH_S = 5.0  # a batch that does not fill up is answered all the same


@dataclasses.dataclass
class Behaviour:
    """All of it may be changed at any time; requests are judged by it when they are complete."""

    accept: str = "rpc"  # mute: accepts and reads, text: greets as something else does, close, reset
    bind: str = "ack"  # nak, no-interface, mute, close
    nak_reason: int = 1
    mpx: bool = False  # PFC_CONC_MPX in the bind_ack, and several calls at a time
    max_recv: int = 5840  # in the bind_ack, and enforced
    be: bool = False  # everything it says is big-endian
    one_in: int = 1  # the misbehaviours below hit each n-th request
    fault: int = None  # status
    delay_s: float = 0.0
    hold: bool = False  # answered by release()
    batch: int = 0  # answers wait until so many calls wait, then come last first (fragments interleaved)
    hresult: int = 0
    hresults: dict = None  # by the tag of the body; others get `hresult`
    error_body: bool = False  # answers with an error have a body too
    half: str = None  # half an answer, and then: close, reset, hang
    drop: str = None  # no answer: close, reset
    size: int = 0  # further octets in the answer's body
    fragment: int = None  # octets of the stub in each fragment of an answer
    dribble: bool = False  # one octet in each segment
    close_after: bool = False  # right after the answer
    malform: str = None  # call-id, alloc-hint, no-hresult, cut, context, kind, oversize, endless
    stale_reset_s: float = None  # a request on an association that was idle for so long gets a reset

    FIELDS = ()


Behaviour.FIELDS = tuple(f.name for f in dataclasses.fields(Behaviour))


@dataclasses.dataclass
class Call:
    association: int
    call_id: int
    be: bool
    tag: str
    major: int
    body: bytes
    fragments: int


class _Association(asyncio.Protocol):
    """One connection. All of it runs in the host's loop."""

    def __init__(self, host):
        self.host, self.does = host, host.does
        self.framer = rpc_pdu.Framer()
        self.bound = self.ended = False
        self.partial, self.waiting = {}, {}
        self.dripping = bytearray()  # what is still to be sent octet by octet
        self.max_frag = 5840
        self.n_calls = 0
        self.last_s = host.loop.time()
        self.kms_ctx = None

    def connection_made(self, transport):
        self.transport = transport
        self.peer = transport.get_extra_info("peername")[:2]
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = self.host.note_open(self)
        if self.does.accept == "text":
            transport.write(b"220 mail.example ready\r\n")
        elif self.does.accept in ("close", "reset"):
            self.end(self.does.accept)

    def connection_lost(self, exc):
        self.ended = True
        self.host.note_closed(self)

    def end(self, how):
        if how == "reset":
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        elif how == "close":
            self.transport.close()
        self.ended = True

    def data_received(self, data):
        if self.ended or self.does.accept != "rpc":
            return
        try:
            for p in self.framer.feed(data):
                self.take(p)
        except Exception as e:  # pylint: disable=broad-except
            self.host.wrong(f"association {self.number}: {type(e).__name__} {e}")
            self.end("reset")

    def take(self, p):
        if self.ended:
            return
        if p.kind in (rpc_pdu.BIND, rpc_pdu.ALTER):
            self.take_bind(p)
        elif p.kind == rpc_pdu.REQUEST:
            self.take_request(p)
        elif p.kind in (rpc_pdu.CO_CANCEL, rpc_pdu.ORPHANED):
            self.host.counts["canceled"] += 1
            self.partial.pop(p.call_id, None)
            if p.kind == rpc_pdu.ORPHANED:
                self.waiting.pop(p.call_id, None)
        else:
            self.host.wrong(f"association {self.number}: PDU of type {p.kind}")

    # ---- bind ----

    def take_bind(self, p):
        b = rpc_pdu.Bind(p)
        self.host.items.append(b.items)
        self.max_frag = b.max_recv
        self.host.note("binds")
        if self.does.bind == "mute":
            return
        if self.does.bind == "close":
            self.end("close")
        elif self.does.bind == "nak":
            self.transport.write(rpc_pdu.bind_nak(p.call_id, self.does.nak_reason, self.does.be))
        else:
            results = [self.judge(*item) for item in b.items]
            flags = rpc_pdu.WHOLE | (rpc_pdu.MPX if self.does.mpx else 0)
            self.mpx = self.does.mpx
            self.max_recv = self.does.max_recv
            self.bound = True
            self.transport.write(
                rpc_pdu.bind_ack(
                    p.call_id, results, self.max_recv, self.host.port, self.does.be, flags,
                    rpc_pdu.BIND_ACK if p.kind == rpc_pdu.BIND else rpc_pdu.ALTER_RESP,
                )
            )

    def judge(self, ctx_id, interface, syntaxes):
        if interface.uuid.bytes_le[:8] == bytes.fromhex("2c1cb76c12984045") or syntaxes[0].uuid.bytes_le[:8] == bytes.fromhex(
            "2c1cb76c12984045"
        ):
            return rpc_pdu.NEGOTIATE_ACK, 0, None
        if interface != rpc_pdu.KMS or self.does.bind == "no-interface":
            return rpc_pdu.REJECT, NO_INTERFACE, None
        if rpc_pdu.NDR32 not in syntaxes:
            return rpc_pdu.REJECT, NO_SYNTAX, None
        self.kms_ctx = ctx_id
        return rpc_pdu.ACCEPT, 0, rpc_pdu.NDR32

    # ---- requests ----

    def take_request(self, p):
        size = rpc_pdu.HEADER + len(p.rest)
        hint, ctx_id, opnum = p.unpack("IHH")
        stub = p.rest[24:] if p.flags & rpc_pdu.OBJECT else p.rest[8:]
        if not self.bound or ctx_id != self.kms_ctx or opnum != 0:
            raise ValueError(f"request to context {ctx_id}, operation {opnum}, bound {self.bound}")
        if size > self.max_recv:
            raise ValueError(f"fragment of {size} octets, {self.max_recv} are taken")
        if p.flags & rpc_pdu.FIRST:
            if p.call_id in self.partial or p.call_id in self.waiting:
                raise ValueError(f"call {p.call_id} begins twice")
            if not self.mpx and (self.partial or self.waiting):
                raise ValueError("a second call at a time, and no PFC_CONC_MPX")
            if hint and hint != len(stub) and p.flags & rpc_pdu.LAST:
                raise ValueError(f"alloc_hint {hint} of {len(stub)} octets")
            self.partial[p.call_id] = []
        elif p.call_id not in self.partial:
            raise ValueError(f"a later fragment of call {p.call_id}, which has not begun")
        self.partial[p.call_id].append(stub)
        if not p.flags & rpc_pdu.LAST:
            return
        pieces = self.partial.pop(p.call_id)
        body = rpc_pdu.request_body(b"".join(pieces), p.be)
        version = struct.unpack_from("<HH", body)[1] if len(body) >= 4 else 0
        call = Call(self.number, p.call_id, p.be, rpc_pdu.body_tag(body), version, body, len(pieces))
        idle_s, self.last_s = self.host.loop.time() - self.last_s, self.host.loop.time()
        self.n_calls += 1
        self.waiting[p.call_id] = call
        self.host.note_call(self, call, idle_s)

    # ---- answers ----

    def answer(self, call, bad):
        """`bad`: does this request meet the misbehaviour?"""
        does = self.does if bad else self.host.good()
        if self.ended or self.waiting.pop(call.call_id, None) is None:
            return []
        self.last_s = self.host.loop.time()
        if does.drop:
            self.end(does.drop)
            return []
        if does.fault is not None:
            return [rpc_pdu.fault(call.call_id, does.fault, self.kms_ctx, does.be)]
        hresult = (does.hresults or {}).get(call.tag, does.hresult)
        stub = rpc_pdu.answer_stub(self.host.name, call.body, hresult, does.be, does.size, does.error_body)
        call_id, ctx_id, hint = call.call_id, self.kms_ctx, None
        if does.malform == "call-id":
            call_id ^= 0x55
        elif does.malform == "context":
            ctx_id += 9
        elif does.malform == "alloc-hint":
            hint = 0xFFFFFFFF
        elif does.malform == "no-hresult":
            stub = stub[:-4]
        elif does.malform == "cut":
            stub = stub[:13]
        size = min(does.fragment or len(stub), self.max_frag - rpc_pdu.CALL_HEADER)
        pdus = rpc_pdu.response(call_id, stub, ctx_id, size, does.be, hint)
        if does.malform == "kind":
            pdus = [pdus[0][:2] + b"\x0c" + pdus[0][3:]]
        elif does.malform == "oversize":  # a fragment longer than anybody takes
            pdus = [pdus[0][:8] + b"\xff\xff" + pdus[0][10:]]
        elif does.malform == "endless":  # fragments of an answer that never ends
            first = rpc_pdu.response(call_id, bytes(8000), ctx_id, 4000, does.be)[0]
            pdus = [first] + [first[:3] + b"\0" + first[4:]] * 50
        return pdus

    def send(self, pdus, bad=True):
        does = self.does if bad else self.host.good()
        data = b"".join(pdus)
        if not data or self.ended:
            return
        if does.half:
            self.transport.write(bytes(self.dripping) + data[: len(data) // 2])
            self.host.note("halves")
            self.end(does.half)
            return
        self.host.note("answers")
        if does.dribble or self.dripping:
            self.drip(data)
            return
        self.transport.write(data)
        if does.close_after:
            self.end("close")

    def drip(self, data=b""):
        """Also what comes meanwhile: answers of several calls must not mix."""
        if data:
            begun = bool(self.dripping)
            self.dripping += data
            if begun:
                return
        if not self.ended and self.dripping:
            self.transport.write(bytes(self.dripping[:1]))
            del self.dripping[:1]
            self.host.loop.call_soon(self.drip)


class RpcHost:
    """On `address`, or on several; port 0: a free one. What a test may read at any time: counts, calls, errors."""

    def __init__(self, address, name="host", port=0, **behaviour):
        self.name, self.address, self.port = name, address, port
        self.does = Behaviour(**behaviour)
        self.counts = collections.Counter()
        self.calls, self.errors = [], []
        self.associations = {}  # open ones, by number
        self.peers = []  # (address, port) of each connection
        self.items = []  # (context id, interface, transfer syntaxes) of each bind
        self._held, self._batch, self._batch_timer = [], [], None
        self._good = Behaviour()
        self._news = threading.Condition()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._server = None
        self.listen()

    @staticmethod
    def process(address, name="host", port=0, **behaviour):
        return RpcHostProcess(address, name, port, **behaviour)

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    @property
    def where(self):
        return self.address, self.port

    @property
    def log(self):
        return f"{self.does}\n{dict(self.counts)}\n" + "\n".join(self.errors)

    # ---- what a test does ----

    def set(self, **behaviour):
        for key, value in behaviour.items():
            if key not in Behaviour.FIELDS:
                raise AttributeError(key)
            setattr(self.does, key, value)
        return self

    def reset(self):
        """Good again, in all but what it said of itself in binds."""
        keep = {k: getattr(self.does, k) for k in ("mpx", "max_recv", "be", "size", "fragment")}
        return self.set(**{**dataclasses.asdict(Behaviour()), **keep})

    def listen(self):
        """Open the port (again)."""

        async def do():
            family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
            sock = socket.create_server((self.address, self.port), family=family, backlog=4096)
            self.port = sock.getsockname()[1]
            self._server = await self.loop.create_server(lambda: _Association(self), sock=sock)

        self._run(do())
        return self

    def down(self, how="reset"):
        """As if it had died: the port refuses, every association ends."""

        async def do():
            if self._server is not None:
                self._server.close()
                self._server = None
            for a in list(self.associations.values()):
                a.end(how)

        self._run(do())

    def end_idle(self, how="close"):
        """End the associations without a call; how many those were."""

        async def do():
            idle = [a for a in self.associations.values() if not a.waiting and not a.ended]
            for a in idle:
                a.end(how)
            return len(idle)

        return self._run(do())

    def release(self, n=None):
        """Answer the calls that `hold` keeps, all or the first n."""

        async def do():
            now, self._held = self._held[:n], self._held[n:] if n is not None else []
            for association, call, bad in now:
                association.send(association.answer(call, bad), bad)

        self._run(do())

    def held(self):
        return len(self._held)

    def count(self, what):
        """binds, calls, answers, halves, opened, closed, canceled; open: associations now."""
        return len(self.associations) if what == "open" else self.counts[what]

    def wait(self, what, condition, timeout_s=20.0):
        with self._news:
            if not self._news.wait_for(lambda: condition(self), timeout_s * SLOWER):
                raise AssertionError(f"{self.name}, not within {timeout_s:g} s: {what}\n{self.log}")

    def check(self):
        """Nothing wrong came in."""
        assert not self.errors, self.errors

    def stop(self):
        if self.loop.is_closed():
            return
        self.down()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()
        self.check()

    # ---- from the loop ----

    def good(self):
        keep = self._good
        keep.mpx, keep.be, keep.size, keep.fragment = self.does.mpx, self.does.be, self.does.size, self.does.fragment
        return keep

    def note(self, what):
        with self._news:
            self.counts[what] += 1
            self._news.notify_all()

    def wrong(self, text):
        with self._news:
            self.errors.append(text)
            self._news.notify_all()

    def note_open(self, association):
        with self._news:
            self.counts["opened"] += 1
            self.peers.append(association.peer)
            self.associations[self.counts["opened"]] = association
            self._news.notify_all()
            return self.counts["opened"]

    def note_closed(self, association):
        with self._news:
            self.counts["closed"] += 1
            self.associations.pop(association.number, None)
            self._news.notify_all()

    def note_call(self, association, call, idle_s):
        with self._news:
            self.counts["calls"] += 1
            self.calls.append(call)
            if association.mpx and len(association.waiting) > 1:
                self.counts["multiplexed"] += 1
            bad = self.counts["calls"] % self.does.one_in == 0
            self._news.notify_all()
        does = self.does if bad else self.good()
        if does.stale_reset_s is not None and idle_s >= does.stale_reset_s and association.n_calls > 1:
            self.note("stale")
            association.end("reset")
        elif does.hold:
            with self._news:
                self._held.append((association, call, bad))
                self._news.notify_all()
        elif does.batch:
            self._gather(association, call, bad)
        elif does.delay_s:
            self.loop.call_later(does.delay_s, lambda: association.send(association.answer(call, bad), bad))
        else:
            association.send(association.answer(call, bad), bad)

    def _gather(self, association, call, bad):
        self._batch.append((association, call, bad))
        if len(self._batch) >= self.does.batch:
            self._send_batch()
        elif self._batch_timer is None:
            self._batch_timer = self.loop.call_later(BATCH_S, self._send_batch)

    def _send_batch(self):
        """Last call first; fragment by fragment of all answers in turn, where they have several."""
        if self._batch_timer:
            self._batch_timer.cancel()
        self._batch_timer = None
        batch, self._batch = self._batch[::-1], []
        answers = [(a, collections.deque(a.answer(call, bad))) for a, call, bad in batch]
        while any(pdus for _, pdus in answers):
            for association, pdus in answers:
                if pdus and not association.ended:
                    association.transport.write(pdus.popleft())
                else:
                    pdus.clear()
        for _ in answers:
            self.note("answers")


class RpcHostProcess:
    """The same as a process of its own: orders go as lines of JSON over its stdin, answers come over its stdout."""

    def __init__(self, address, name, port=0, **behaviour):
        self.name, self.address = name, address
        self._p = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), json.dumps({"address": address, "name": name, "port": port, **behaviour})],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent,
        )
        self.port = json.loads(self._p.stdout.readline())["port"]

    def _order(self, verb, **args):
        self._p.stdin.write(json.dumps({"verb": verb, **args}) + "\n")
        self._p.stdin.flush()
        return json.loads(self._p.stdout.readline())["result"]

    @property
    def where(self):
        return self.address, self.port

    @property
    def log(self):
        return f"process {self._p.pid}, exit code {self._p.poll()}"

    def set(self, **behaviour):
        self._order("set", **behaviour)
        return self

    def reset(self):
        self._order("reset")
        return self

    def release(self):
        self._order("release")

    def count(self, what):
        return self._order("count", what=what)

    def held(self):
        return self._order("held")

    def errors(self):
        return self._order("errors")

    def wait(self, what, condition, timeout_s=20.0):
        wait_until(f"{self.name}: {what}", lambda: condition(self), timeout_s)

    def pause(self):
        """SIGSTOP: the kernel goes on accepting and taking octets, nobody answers."""
        self._p.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._p.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)  # it may answer until then

    def resume(self):
        self._p.send_signal(signal.SIGCONT)

    def kill(self):
        """SIGKILL."""
        self._p.kill()
        self._p.wait()

    def stop(self):
        if self._p.poll() is None:
            self._p.send_signal(signal.SIGCONT)
            wrong = self.errors()
            self.kill()
            assert not wrong, wrong
        self._p.stdin.close()
        self._p.stdout.close()


def _serve():
    host = RpcHost(**json.loads(sys.argv[1]))
    print(json.dumps({"port": host.port}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        verb = order.pop("verb")
        result = None
        if verb == "errors":
            result = host.errors
        elif verb in ("count", "held"):
            result = getattr(host, verb)(**order)
        else:
            getattr(host, verb)(**order)
        print(json.dumps({"result": result}), flush=True)


if __name__ == "__main__":
    _serve()
