"""named as a private server: own folder, own address, no fixed port, no privilege."""

import base64
import dataclasses
import os
import re
import secrets
import shutil
import subprocess

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import dns.update

from .loopback import free_port
from .process import ROOT, Process, wait_until

SBIN_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


def find_program(name):
    """Debian keeps servers in /usr/sbin, which is in no ordinary user's PATH."""
    found = shutil.which(name, path=SBIN_PATH)
    if not found:
        raise RuntimeError(f"{name} is not installed: tools/deps test")
    return found


def _unconfined(program, work):
    """
    Debian's AppArmor profile ties /usr/sbin/named to /etc/bind and /var/cache/bind. It goes by the
    program's path, so where AppArmor is on, a copy in our own folder is what runs.
    """
    try:
        with open("/sys/module/apparmor/parameters/enabled", encoding="ascii") as f:
            enabled = f.read(1) == "Y"
    except OSError:
        enabled = False
    return shutil.copy(program, os.path.join(work, "named-copy")) if enabled else program


def preload_library():
    """lo_address.c, built once into build/: what lets named listen on any 127.x.y.z."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lo_address.c")
    library = os.path.join(ROOT, "build", "lo_address.so")
    if not os.path.exists(library) or os.path.getmtime(library) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(library), exist_ok=True)
        fresh = f"{library}.{os.getpid()}"
        subprocess.run(
            ["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", fresh, source],
            check=True, stdin=subprocess.DEVNULL,
        )
        os.replace(fresh, library)
    return library


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
        path = os.path.join(folder, self.name + ".key")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "w", encoding="ascii") as f:
            f.write(self.clause)
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


@dataclasses.dataclass
class Zone:
    """One zone of one server. `clauses` are further statements, such as "update-policy { ... };"."""

    name: str
    text: str = None  # of a primary
    primaries: str = None  # of a secondary: "127.1.2.3 port 10053 key k"
    clauses: tuple = ()
    file: str = None

    def config(self, folder, label):
        self.file = os.path.join(folder, f"{label}{self.name.rstrip('.') or 'root'}.zone")
        kind = "primary" if self.text is not None else "secondary"
        if self.text is not None and not os.path.exists(self.file):  # after a restart the file is the server's
            with open(self.file, "w", encoding="utf-8") as f:
                f.write(self.text)
        lines = [f"type {kind};", f'file "{self.file}";']
        if self.primaries:
            lines.append(f"primaries {{ {self.primaries}; }};")
        lines += self.clauses
        return f'zone "{self.name}" {{\n\t' + "\n\t".join(lines) + "\n};\n"


@dataclasses.dataclass
class View:
    name: str
    match: str  # "match-clients { key k; };"
    zones: list


# An own root: names that no zone of the test holds are NXDOMAIN here, and no packet leaves the machine.
ROOT_ZONE = "$TTL 300\n. SOA ns. root. 1 60 60 60 60\n. NS ns.\nns. A 127.0.0.1\n"


class Named:
    """
    Start with start(), which returns when the server answers; stop() at the end. `extra` is
    configuration text for the top level, such as what `kmsbeacon policy` prints.
    """

    def __init__(
        self, folder, name, address, port, zones=(), views=(), keys=(), options=(), extra="", recursion=True, ipv6=None
    ):
        self.name, self.address, self.port = name, address, port
        self.folder = os.path.join(str(folder), name)
        os.makedirs(self.folder)
        self.zones, self.views, self.keys = list(zones), list(views), list(keys)
        self.options, self.extra = list(options), extra
        self.recursion, self.ipv6 = recursion, ipv6
        self.process = None
        self._rndc_key = Key("rndc")
        self._rndc_port = free_port(address, udp=False)
        self._generations = ""  # logs of the runs before a restart

    def config(self):
        root = [] if any(z.name == "." for z in self.zones) else [Zone(".", ROOT_ZONE)]
        v6 = f"port {self.port} {{ {self.ipv6}; }}" if self.ipv6 else "{ none; }"
        text = "".join(k.clause for k in [*self.keys, self._rndc_key])
        text += f"controls {{ inet {self.address} port {self._rndc_port} allow {{ any; }} keys {{ rndc; }}; }};\n"
        options = [
            f'directory "{self.folder}";', "pid-file none;", "lock-file none;", "session-keyfile none;",
            f"port {self.port};", f"listen-on port {self.port} {{ {self.address}; }};", f"listen-on-v6 {v6};",
            f"query-source address {self.address};", f"notify-source {self.address};",
            f"transfer-source {self.address};", f"recursion {'yes' if self.recursion else 'no'};",
            "dnssec-validation no;", "empty-zones-enable no;", "minimal-responses no;", "startup-notify-rate 1000;",
            "notify-rate 1000;", "serial-query-rate 1000;", "ixfr-from-differences no;", 'server-id none;', *self.options,
        ]
        text += "options {\n\t" + "\n\t".join(options) + "\n};\n"
        for view in self.views:
            zones = "".join(z.config(self.folder, view.name + ".") for z in [*view.zones, Zone(".", ROOT_ZONE)])
            text += f'view "{view.name}" {{\n{view.match}\n{zones}}};\n'
        if not self.views:
            text += "".join(z.config(self.folder, "") for z in [*self.zones, *root])
        return text + self.extra

    def start(self):
        conf = os.path.join(self.folder, "named.conf")
        with open(os.open(conf, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as f:
            f.write(self.config())
        checked = subprocess.run(
            [find_program("named-checkconf"), conf], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if checked.returncode != 0:
            raise AssertionError(f"named-checkconf: {checked.stdout}{checked.stderr}")
        if self.process:
            self._generations += self.process.log + "\n--- started again\n"
        program = _unconfined(find_program("named"), self.folder)
        # -g: foreground, everything on stderr. One worker thread is plenty, and starts quicker.
        env = dict(os.environ, LD_PRELOAD=preload_library(), LO_ADDRESS=self.address)
        self.process = Process(f"named {self.name}", [program, "-g", "-n", "1", "-c", conf], env, self.folder)
        self.process.wait_log(r" running$")
        wait_until(f"{self.name} answers", self._answers)
        return self

    def _answers(self):
        try:
            self.query("version.bind", "TXT", rdclass="CH", timeout=0.5)
            return True
        except (dns.exception.DNSException, OSError):
            return False

    @property
    def log(self):
        return self._generations + (self.process.log if self.process else "")

    def stop(self):
        if self.process:
            self.process.stop()

    def kill(self):
        self.process.kill()

    def rndc(self, *words):
        """Run rndc; its output. A refusal is an assertion failure with what it said."""
        r = subprocess.run(
            [find_program("rndc"), "-s", self.address, "-p", str(self._rndc_port), "-c", self._rndc_conf(), *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
        )
        assert r.returncode == 0, f"rndc {' '.join(words)}: {r.stdout}{r.stderr}"
        return r.stdout

    def _rndc_conf(self):
        path = os.path.join(self.folder, "rndc.conf")
        if not os.path.exists(path):
            with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as f:
                f.write(self._rndc_key.clause + "options { default-key rndc; };\n")
        return path

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
        """An UPDATE made by dnspython. Changes: ("add", name, ttl, type, rdata), ("delete", name, type, rdata)."""
        u = dns.update.Update(zone, keyring=key.keyring if key else None)
        for op, name, *rest in changes:
            if op == "add":
                u.add(dns.name.from_text(name), *rest)
            else:
                u.delete(dns.name.from_text(name), *rest)
        return dns.query.tcp(u, self.address, port=self.port, source=source, timeout=5).rcode()

    def updates_done(self):
        """Changes that the server says it made by UPDATE."""
        return len(re.findall(r"updating zone '[^']+': (?:adding an RR|deleting an RR)", self.log))
