"""Windows clients by the hundred: each finds its KMS host by DNS, activates, and has the answer verified.

One activation is what one attempt of a Windows client is: the SRV set from the first resolver that answers, in the
order of RFC 2782, and one host after the other until one answers validly. A client of an even number remembers
the host that served it, as Windows does, and asks DNS only when that one has failed. An activation has failed where no
host of the set activated the client: that is what must never happen.
"""

import asyncio
import contextlib
import os
import random
import socket
import struct
import threading
import time

import dns.exception
import dns.message
import dns.rdatatype
from cryptography.exceptions import InvalidTag

from kblib import rpc_pdu

THRESHOLD = 25  # clients that a host must have seen: N-policy of a Windows client
RATE = 60  # activations begun in a second
IN_FLIGHT_MAX = 400
CONNECT_S = 5
ANSWER_S = 8  # Windows has no time limit for a call; this one is longer than a relay may take
DNS_TRIES_S = (1, 2, 4)  # of each resolver, as Windows grows more patient
STALL_S = 0.05



class HostFailed(Exception):
    """Why this host did not activate the client."""


def host_failure(error):
    """One clause for the story of an activation."""
    if isinstance(error, HostFailed):
        return str(error)
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else type(error).__name__
    return repr(error)


async def read_pdus(reader, framer):
    """At least one."""
    while True:
        data = await reader.read(8192)
        if not data:
            raise HostFailed("closed the connection")
        found = framer.feed(data)
        if found:
            return found


async def exchange(reader, writer, stub):
    """Bind and one call, as Windows does it; the stub of the response."""
    framer = rpc_pdu.Framer()
    writer.write(rpc_pdu.bind())
    (ack,) = await read_pdus(reader, framer)
    if ack.kind == rpc_pdu.BIND_NAK:
        raise HostFailed(f"bind_nak, reason {ack.unpack('H')[0]}")
    if ack.kind != rpc_pdu.BIND_ACK:
        raise HostFailed(f"PDU of type {ack.kind} in place of a bind_ack")
    if rpc_pdu.BindAck(ack).results[0][0] != rpc_pdu.ACCEPT:
        raise HostFailed("the KMS interface was rejected")
    writer.writelines(rpc_pdu.request(2, stub))
    answer = b""
    while True:
        for p in await read_pdus(reader, framer):
            if p.kind == rpc_pdu.FAULT:
                raise HostFailed(f"fault 0x{p.unpack('I', 8)[0]:08X}")
            if p.kind != rpc_pdu.RESPONSE or p.call_id != 2:
                raise HostFailed(f"PDU of type {p.kind} to call {p.call_id} in place of the response")
            answer += p.rest[8:]
            if p.flags & rpc_pdu.LAST:
                return answer


def rfc2782(records):
    """(priority, weight, target, port) in the order in which a client asks them."""
    ordered = []
    for priority in sorted({r[0] for r in records}):
        group = [r for r in records if r[0] == priority]
        random.shuffle(group)
        group.sort(key=lambda r: r[1] != 0)  # zero weights first
        while group:
            draw = random.randint(0, sum(r[1] for r in group))
            for r in group:
                draw -= r[1]
                if draw <= 0:
                    break
            group.remove(r)
            ordered.append(r)
    return ordered


class Client:
    def __init__(self, number, address):
        self.name = f"pc{number:04}"
        self.address = address
        self.cmid = os.urandom(16)
        self.remembers = number % 2 == 0
        self.remembered = None  # (target, address, port)
        self.busy = False


async def ask(key, client, where, threshold=THRESHOLD):
    """One host; HostFailed where it did not answer, or not with the activation of this very client."""
    when = time.time()
    body = key.seal(client.cmid, client.name, THRESHOLD, when)
    reader, writer = await asyncio.wait_for(
        asyncio.open_connection(*where, local_addr=(client.address, 0)), CONNECT_S
    )
    try:
        stub = await asyncio.wait_for(exchange(reader, writer, rpc_pdu.request_stub(body)), ANSWER_S)
    finally:
        writer.close()
    try:
        hresult, answer = rpc_pdu.response_body(stub)
    except (AssertionError, struct.error) as e:
        raise HostFailed(f"not the results of the operation: {e}") from None
    if hresult != 0:
        raise HostFailed(f"HRESULT 0x{hresult:08X}")
    try:
        count, _, _ = key.open_for(answer, body, client.cmid, when)
    except (InvalidTag, AssertionError) as e:
        raise HostFailed(f"not the answer to this request: {str(e) or 'it cannot be decrypted'}") from None
    if count < threshold:
        raise HostFailed(f"count {count} is below {threshold}")


def fill_counts(key, addresses, hosts):
    """Let each of these hosts see twice as many clients as one needs."""

    async def all_of_them():
        machines = [Client(i, a) for i, a in enumerate(addresses[: 2 * THRESHOLD])]
        for host in hosts:
            for begin in range(0, len(machines), 10):
                some = machines[begin : begin + 10]
                await asyncio.gather(*(ask(key, m, (host.address, host.port), threshold=0) for m in some))

    asyncio.run(all_of_them())


class Phase:
    """What the clients saw while one fault lasted; an activation belongs to the phase it began in."""

    def __init__(self, name):
        self.name = name
        self.began = self.done = self.failed = self.moved = self.resolver_moved = 0
        self.slowest_s = 0.0
        self.stories = []  # of the activations that failed, whole
        self.moves = []  # of those that another host than the first served


class Load:
    """start() begins the activations, in a thread of their own; stop() ends them. Read its numbers at any time."""

    STORIES_MAX = 50

    def __init__(self, scene, rate=RATE):
        self.key, self.resolvers, self.owner, self.rate = scene.key, scene.resolvers, scene.owner, rate
        self.clients = [Client(i, a) for i, a in enumerate(scene.client_addresses)]
        self.phase = Phase("before the first fault")
        self.phases = [self.phase]
        self.served = {}  # by address: activations
        self.stalled_s = 0.0  # time that the machine did not give us: bounds are extended by it
        self._began = time.monotonic()
        self._stopping = threading.Event()
        self._error = None
        self._thread = threading.Thread(target=self._run, name="clients", daemon=True)

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        self._stopping.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "activations have not ended"
        self.check()

    def check(self):
        """The clients themselves work."""
        if self._error:
            raise AssertionError("the clients have ended") from self._error

    @property
    def done(self):
        return sum(p.done for p in self.phases)

    @property
    def failed(self):
        return sum(p.failed for p in self.phases)

    @contextlib.contextmanager
    def during(self, name):
        """The phase of one fault. At its end its activations have ended too."""
        outer, phase = self.phase, Phase(name)
        self.phases.append(phase)
        self.phase = phase
        try:
            yield phase
        finally:
            self.phase = outer
        self._wait("activations of the phase have ended", lambda: phase.done == phase.began)

    def wait_done(self, more, of=None):
        """Until so many further activations have ended: an event that shows that the load goes on."""
        of = of or self
        target = of.done + more
        self._wait(f"{more} further activations", lambda: of.done >= target)

    def wait_served(self, address, more):
        """Until this host has served so many further ones."""
        target = self.served.get(address, 0) + more
        self._wait(f"{address} serves {more} clients", lambda: self.served.get(address, 0) >= target)

    def _wait(self, what, condition):
        end = time.monotonic() + 60
        while not condition():
            self.check()
            assert time.monotonic() < end, f"not within 60 s: {what}"
            time.sleep(0.02)

    # In the thread.

    def _run(self):
        try:
            asyncio.run(self._main())
        except BaseException as e:  # pylint: disable=broad-except
            self._error = e

    async def _main(self):
        watch = asyncio.create_task(self._watch_stalls())
        running = set()
        due = time.monotonic()
        turn = 0
        while not self._stopping.is_set():
            turn += 1
            client = self.clients[turn % len(self.clients)]
            if not client.busy and len(running) < IN_FLIGHT_MAX:
                client.busy = True
                task = asyncio.create_task(self._one(client))
                running.add(task)
                task.add_done_callback(running.discard)
            due = max(due + 1 / self.rate, time.monotonic() - 0.5)  # what was missed for long is not made up for
            await asyncio.sleep(max(0, due - time.monotonic()))
            for task in [t for t in running if t.done()]:
                task.result()
        await asyncio.gather(*running)
        watch.cancel()

    async def _watch_stalls(self):
        while True:
            before = time.monotonic()
            await asyncio.sleep(STALL_S)
            late = time.monotonic() - before - STALL_S
            if late > STALL_S:
                self.stalled_s += late

    async def _one(self, client):
        phase = self.phase
        phase.began += 1
        began = time.monotonic()
        story = []
        ok = await self._activate(client, phase, story)
        took = time.monotonic() - began
        phase.slowest_s = max(phase.slowest_s, took)
        whole = (
            f"at {began - self._began:.2f} s, for {took:.2f} s, while '{phase.name}', ended while '{self.phase.name}': "
            f"{client.name} ({client.address}): " + "; ".join(story)
        )
        if not ok:
            phase.failed += 1
            phase.stories += [whole] if len(phase.stories) < self.STORIES_MAX else []
        elif any(not s.startswith("resolver ") for s in story):
            phase.moved += 1
            phase.moves += [whole] if len(phase.moves) < self.STORIES_MAX else []
        phase.done += 1
        client.busy = False

    async def _activate(self, client, phase, story):
        """One attempt; whether a host activated the client. `story` gets a clause for each thing that went wrong."""
        if client.remembered:
            if await self._try(client, client.remembered, "remembered ", story):
                return True
            client.remembered = None
        found = await self._discover(client, phase, story)
        for host in found:
            if await self._try(client, host, "", story):
                client.remembered = host if client.remembers else None
                return True
        if not found:
            story.append("no host found")
        return False

    async def _try(self, client, host, how, story):
        began = time.monotonic()
        try:
            await ask(self.key, client, host[1:])
        except (HostFailed, OSError, asyncio.TimeoutError) as e:
            story.append(f"{how}{host[0]} ({host[1]}): {host_failure(e)} after {1000 * (time.monotonic() - began):.0f} ms")
            return False
        self.served[host[1]] = self.served.get(host[1], 0) + 1
        return True

    async def _discover(self, client, phase, story):
        """The hosts in the client's order: (target, address, port)."""
        answer = await self._resolve(client, self.owner, "SRV", phase, story)
        if answer is None:
            return []
        records, addresses = [], {}
        for rrset in [*answer.answer, *answer.additional]:
            for r in rrset:
                if rrset.rdtype == dns.rdatatype.SRV:
                    records.append((r.priority, r.weight, r.target, r.port))
                elif rrset.rdtype == dns.rdatatype.A:
                    addresses[rrset.name] = r.address
        found = []
        for _, _, target, port in rfc2782(records):
            if target not in addresses:
                a = await self._resolve(client, target, "A", phase, story)
                addresses.update({rrset.name: rrset[0].address for rrset in a.answer} if a else {})
            if target in addresses:
                found.append((target.to_text(omit_final_dot=True), addresses[target], port))
            else:
                story.append(f"{target} has no address")
        return found

    async def _resolve(self, client, name, rdtype, phase, story):
        """The first answer with data or without; None where no resolver answered."""
        query = dns.message.make_query(name, rdtype)
        first = int.from_bytes(client.cmid[:2], "big")
        loop = asyncio.get_running_loop()
        for tries, patience_s in enumerate(DNS_TRIES_S):
            for i in range(len(self.resolvers)):
                at = self.resolvers[(first + i) % len(self.resolvers)]
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                    s.setblocking(False)
                    try:
                        s.connect(at)
                        await loop.sock_sendall(s, query.to_wire())
                        reply = dns.message.from_wire(await asyncio.wait_for(loop.sock_recv(s, 4096), patience_s))
                        if query.is_response(reply) and reply.rcode() == 0:
                            phase.resolver_moved += i > 0 or tries > 0
                            return reply
                        story.append(f"resolver {at[0]}: rcode {reply.rcode()}")
                    except (OSError, asyncio.TimeoutError, dns.exception.DNSException) as e:
                        story.append(f"resolver {at[0]}: {host_failure(e)}")
        return None
