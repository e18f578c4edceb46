"""What all name servers under test have in common.

A server has its own folder and address and no privilege. start() returns when it answers; stop() ends it. What
it says to a client that is not ours comes from query(), records(), serial() and the two update methods.
"""

import base64
import dataclasses
import os
import re
import secrets
import shutil
import socket
import struct
import time
import unittest.mock

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import dns.update

from .process import Process, wait_until

SBIN_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
OWNER = "_vlmcs._tcp"  # the name below the domain whose SRV set a publisher may change


def find_program(name):
    """Debian keeps servers in /usr/sbin, which is in no ordinary user's PATH."""
    found = shutil.which(name, path=SBIN_PATH)
    if not found:
        raise RuntimeError(f"{name} is not installed: tools/deps test")
    return found


def write_private(path, text):
    """A file that may hold secrets."""
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as f:
        f.write(text)
    return path


@dataclasses.dataclass(frozen=True)
class Key:
    """A TSIG key; the secret is new each time."""

    name: str
    algorithm: str = "hmac-sha256"
    secret: str = dataclasses.field(default_factory=lambda: base64.b64encode(secrets.token_bytes(32)).decode())

    @property
    def clause(self):
        return f'key "{self.name}" {{\n\talgorithm {self.algorithm};\n\tsecret "{self.secret}";\n}};\n'

    @property
    def keyring(self):
        return dns.tsigkeyring.from_text({self.name + ".": (self.algorithm, self.secret)})

    def write(self, folder, mode=0o600):
        """A BIND key file, as tsig-keygen writes it."""
        path = write_private(os.path.join(folder, self.name + ".key"), self.clause)
        os.chmod(path, mode)
        return path


def zone_text(name, nameservers, records=(), ttl=300, serial=1, minimum=60):
    """
    A zone file. `nameservers` are (host, address) pairs, the primary first; a host without a dot lies in
    the zone. `records` are lines of zone file text. Times are short, so that a secondary is never far behind.
    """
    lines = [f"$ORIGIN {name.rstrip('.')}.", f"$TTL {ttl}"]
    lines.append(f"@ SOA {nameservers[0][0]} hostmaster {serial} 2 1 3600 {minimum}")
    for host, address in nameservers:
        lines.append(f"@ NS {host}")
        if "." not in host:
            lines.append(f"{host} {'AAAA' if ':' in address else 'A'} {address}")
    return "\n".join([*lines, *records, ""])


@dataclasses.dataclass(frozen=True)
class Primary:
    """Where a secondary gets a zone from."""

    address: str
    port: int
    key: str = None

    @classmethod
    def parse(cls, text):
        m = re.fullmatch(r'(\S+) port (\d+)(?: key "?([^\s"]+)"?)?', text)
        if not m:
            raise ValueError(f"not ADDRESS port PORT [key NAME]: {text}")
        return cls(m.group(1), int(m.group(2)), m.group(3))


@dataclasses.dataclass
class Zone:
    """
    One zone of one server. What every server can do is said in fields of its own; `clauses` are further
    statements about this zone in the server's own language ("update-policy { ... };", "acl: x").
    """

    name: str
    text: str = None  # of a primary
    primaries: str = None  # of a secondary: "127.1.2.3 port 10053 key k"
    clauses: tuple = ()
    file: str = None
    updaters: tuple = ()  # keys that may change the SRV set at _vlmcs._tcp, and nothing else
    notify: tuple = ()  # addresses of secondaries (at the server's own port) that are told of each change at once

    @property
    def owner(self):
        return f"{OWNER}.{self.name.rstrip('.')}"

    @property
    def primary(self):
        return Primary.parse(self.primaries)

    def write(self, folder, label=""):
        """Make the zone file; after a restart it is there, and is the server's."""
        self.file = os.path.join(folder, f"{label}{self.name.rstrip('.') or 'root'}.zone")
        if self.text is not None and not os.path.exists(self.file):
            with open(self.file, "w", encoding="utf-8") as f:
                f.write(self.text)
        return self.file


class Server:
    """A subclass has _prepare(): write what the program needs, return (argv, environment or None)."""

    program = None

    def __init__(self, folder, name, address, port, zones=(), keys=(), extra=""):
        self.name, self.address, self.port = name, address, port
        self.folder = os.path.join(str(folder), name)
        os.makedirs(self.folder)
        self.zones, self.keys, self.extra = list(zones), list(keys), extra
        self.process = None
        self._generations = ""  # logs of the runs before a restart

    def _prepare(self):
        raise NotImplementedError

    def start(self):
        argv, env = self._prepare()
        if self.process:
            self._generations += self.process.log + "\n--- started again\n"
        self.process = Process(f"{self.program} {self.name}", argv, env, self.folder)
        wait_until(f"{self.name} answers", self._answers)
        return self

    def _answers(self):
        if not self.process.running:
            raise AssertionError(f"{self.process.name} ended:\n{self.process.log}")
        try:
            return self._ready()
        except (dns.exception.DNSException, OSError):
            return False

    def _ready(self):
        """Whether it serves what it was given; a secondary's zones may take longer."""
        # by TCP, where nobody listens is known at once
        self.query("version.bind", "TXT", rdclass="CH", tcp=True, timeout=2)
        return all(self.serial(z.name, tcp=True, timeout=2) is not None for z in self.zones if z.text is not None)

    @property
    def log(self):
        return self._generations + (self.process.log if self.process else "")

    def stop(self):
        if self.process:
            self.process.stop()

    def kill(self):
        self.process.kill()

    # What the server says, by an implementation that is not ours.

    def query(self, name, rdtype, key=None, source=None, tcp=False, rdclass="IN", timeout=5.0, rd=False):
        q = dns.message.make_query(name, rdtype, rdclass=rdclass)
        if not rd:
            q.flags &= ~dns.flags.RD
        if key:
            q.use_tsig(key.keyring)
        ask = dns.query.tcp if tcp else dns.query.udp
        return ask(q, self.address, port=self.port, source=source, timeout=timeout)

    def records(self, name, rdtype, **how):
        """The answers as sorted text, each "TTL RDATA"; empty where there is none."""
        answer = self.query(name, rdtype, **how)
        wanted = dns.name.from_text(name)
        return sorted(
            f"{rrset.ttl} {rdata}" for rrset in answer.answer if rrset.name == wanted for rdata in rrset
        )

    def serial(self, zone, **how):
        """Of the zone as this server has it; None where it has none."""
        answer = self.query(zone, "SOA", **how)
        if answer.rcode() != dns.rcode.NOERROR or not answer.flags & dns.flags.AA or not answer.answer:
            return None
        return answer.answer[0][0].serial

    def wait_serial(self, zone, serial, timeout_s=20.0, **how):
        """Until this (secondary) server has at least `serial`. Tests never wrap it."""
        return wait_until(
            f"{self.name} has {zone} {serial}", lambda: (self.serial(zone, **how) or -1) >= serial, timeout_s
        )

    def update(self, zone, *changes, key=None, source=None):
        """An UPDATE made by dnspython; its rcode. A TSIG error, and an answer that is not signed, is an exception."""
        u = update_message(zone, *changes, key=key)
        return dns.query.tcp(u, self.address, port=self.port, source=source, timeout=5).rcode()

    def verdict(self, message, clock_s=0):
        """
        What the server answers to a dnspython message, signed or not, as text: "NOERROR", "NOTAUTH(BADKEY)".
        Where the message was signed and the answer is not, " unsigned" (a TSIG record without a MAC) or
        " no TSIG" follows; a MAC of another key or time is an exception. `clock_s` is how wrong the client's clock is.
        """
        with unittest.mock.patch("dns.message.time") as clock:
            clock.time.return_value = time.time() + clock_s
            wire = message.to_wire()
        answer = self._exchange_tcp(wire)
        seen = []

        def validate(wire, key, owner, rdata, now, *rest):
            seen.append(rdata)
            if rdata.mac and rdata.error == 0:
                return _validate(wire, key, owner, rdata, now + clock_s, *rest)
            return None

        with unittest.mock.patch("dns.tsig.validate", validate):
            reply = dns.message.from_wire(answer, keyring=message.keyring, request_mac=message.mac or b"")
        text = dns.rcode.to_text(reply.rcode())
        if not message.tsig:
            return text
        if not seen:
            return text + " no TSIG"
        if seen[0].error:
            text += f"({dns.rcode.to_text(seen[0].error, tsig=True)})"
        return text if seen[0].mac else text + " unsigned"

    def _exchange_tcp(self, wire):
        with socket.create_connection((self.address, self.port), timeout=5) as s:
            s.sendall(struct.pack("!H", len(wire)) + wire)
            with s.makefile("rb") as f:
                head = f.read(2)
                if len(head) < 2:
                    raise EOFError(f"{self.name} closed the connection without an answer")
                return f.read(struct.unpack("!H", head)[0])


_validate = dns.tsig.validate


def update_message(zone, *changes, key=None):
    """
    Changes: ("add", name, ttl, type, rdata), ("delete", name, type, rdata). Prerequisites: ("present", name[, type[,
    rdata]]), ("absent", name[, type]).
    """
    u = dns.update.Update(zone, keyring=key.keyring if key else None)
    for op, name, *rest in changes:
        getattr(u, op)(dns.name.from_text(name), *rest)
    return u
