"""What the multi-host run plays on: three name servers, three nodes that relay, four KMS hosts behind them.

    ns1 (primary), ns2, ns3     named, one zone; clients and nodes use all three as their resolvers
    kms1, kms2, kms3            kmsbeacon relays; each publishes all three, with its own probes as the gate
    up1, up2 and up3, up4       kmsbeacon lab hosts with one key; the second two are the first two's backup;
                                kms1 knows them by address, the other nodes by name

All on addresses of 127.0.0.0/8 of their own. The nodes' and hosts' time of day can be stepped, as the primary's.
"""

import concurrent.futures
import datetime
import json
import pathlib
import signal
import socket
import time

import dns.exception

from kblib.bind import Key, Named, Zone, zone_text
from kblib.clock import clock_environment, write_clock
from kblib.lab import LabKey
from kblib.loopback import Loopback, free_port
from kblib.process import wait_until
from kblib.program import Daemon, run_program

from clients import fill_counts

DOMAIN = "corp.test"
OWNER = f"_vlmcs._tcp.{DOMAIN}"
TTL_S = 2
INTERVAL_S, PROBE_S, FALL, RISE = 0.5, 2, 3, 2  # of the nodes' probes
REQUEST_TIMEOUT_S = 2
CLIENTS = 120  # as many addresses: hosts are chosen by the client's address
PATIENCE_S = 60  # for what has no bound of its own; the machine may be busy


class Daemonic:
    """A kmsbeacon that is started, killed and started again; `log` is that of all its lives."""

    def __init__(self, folder, name, address, port, resolvers_port, text):
        self.name, self.address, self.port = name, address, port
        self.folder = folder / name
        self.folder.mkdir()
        self._config = self.folder / "kmsbeacon.yaml"
        self._config.write_text(
            f"node: {{ target: {name}.{DOMAIN}, state_dir: {self.folder}/state, control: {{ socket: {self.folder}/sock }} }}\n{text}"
        )
        self._clock = str(self.folder / "clock")
        self._resolvers_port = resolvers_port
        self._past = ""
        self.daemon = None
        self._down = True  # because we wanted it
        self.step_clock(0)

    def launch(self):
        assert self._down, f"{self.name} runs, or ended by itself"
        self._down = False
        if self.daemon:
            self._past += self.daemon.log + "\n--- started again\n"
        self.daemon = Daemon(self._config, self.name, self._resolvers_port, env=clock_environment(self._clock))
        return self

    def wait_ready(self):
        self.daemon.wait_log(r"daemon\.ready", PATIENCE_S)
        return self

    def start(self):
        return self.launch().wait_ready()

    def stop(self):
        """In order."""
        if not self._down:
            self._down = True
            assert self.daemon.running, f"{self.name} ended by itself:\n{self.daemon.log[-5000:]}"
            self.daemon.signal(signal.SIGCONT)
            self.daemon.stop(PATIENCE_S)

    def kill(self):
        assert self.daemon.running, f"{self.name} ended by itself:\n{self.daemon.log[-5000:]}"
        self._down = True
        self.daemon.kill()

    def signal(self, number):
        self.daemon.signal(number)

    def step_clock(self, ahead_s):
        write_clock(self._clock, ahead_s)

    @property
    def log(self):
        return self._past + (self.daemon.log if self.daemon else "")

    def status(self):
        """As `kmsbeacon status --json`, without starting a program for it; None where nobody answers now."""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(10)
                s.connect(str(self.folder / "sock"))
                s.sendall(b'{"command": "status"}\n')
                with s.makefile("rb") as f:
                    return json.loads(f.read())["report"]
        except (OSError, ValueError, KeyError):
            return None


class Scene:
    """start() returns when everything is up, published and proven; stop() ends all, in order."""

    owner = OWNER

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.loopback = Loopback()
        ns = [self.loopback.address() for _ in range(3)]
        self.dns_port = self.loopback.port
        nodes = [self.loopback.address() for _ in range(3)]
        hosts = [self.loopback.address() for _ in range(4)]
        self.kms_port = free_port(*nodes, *hosts, udp=False)
        self.client_addresses = [f"{self.loopback.prefix}.{100 + i}" for i in range(CLIENTS)]
        self.resolvers = [(address, self.dns_port) for address in ns]

        key_file = self.folder / "lab.key"
        made = run_program(["lab", "keygen", key_file])
        assert made.code == 0, made
        self.key = LabKey(key_file)
        self._update_key = Key("corp-update")
        self._update_key_file = self._update_key.write(str(self.folder))

        names = [(f"kms{i}", a) for i, a in enumerate(nodes, 1)] + [(f"up{i}", a) for i, a in enumerate(hosts, 1)]
        self.name_servers = self._name_servers(ns, names)
        self.primary, *self.secondaries = self.name_servers
        self.hosts = [
            Daemonic(self.folder, f"up{i}", address, self.kms_port, self.dns_port, self._host_config(address, key_file))
            for i, address in enumerate(hosts, 1)
        ]
        self.nodes = [
            Daemonic(self.folder, f"kms{i}", address, self.kms_port, self.dns_port, self._node_config(i, address))
            for i, address in enumerate(nodes, 1)
        ]

    def _name_servers(self, addresses, names):
        first, *others = addresses
        text = zone_text(
            DOMAIN, [(f"ns{i}", a) for i, a in enumerate(addresses, 1)], [f"{name} A {a}" for name, a in names],
            ttl=TTL_S, minimum=TTL_S,
        )
        own = Zone(DOMAIN, text, updaters=(self._update_key,), notify=tuple(others))
        copy = Zone(DOMAIN, primaries=f"{first} port {self.dns_port}", clauses=("notify no;",))
        primary = Named(self.folder, "ns1", first, self.dns_port, zones=[own], keys=[self._update_key])
        return [primary, *(Named(self.folder, f"ns{i}", a, self.dns_port, zones=[copy]) for i, a in enumerate(others, 2))]

    @property
    def _discovery(self):
        at = ", ".join(f'"{address}:{port}"' for address, port in self.resolvers)
        return f"discovery: {{ suffixes: [{DOMAIN}], resolvers: [{at}], interval: 0s }}\n"

    def _host_config(self, address, key_file):
        return (
            f'service: {{ mode: lab, listen: ["{address}:{self.kms_port}"] }}\n'
            f"lab: {{ key_file: {key_file} }}\nhosts: []\nlimits: {{ per_address: 1000 }}\n{self._discovery}"
        )

    def _node_config(self, number, address):
        upstreams = "".join(
            f"    - {{ name: {h.name}, address: {h.address if number == 1 else f'{h.name}.{DOMAIN}'}, "
            f"port: {self.kms_port}, priority: {10 * (i // 2)}, lab: true }}\n"
            for i, h in enumerate(self.hosts)
        )
        others = "".join(
            f", {{ name: kms{i}, target: kms{i}.{DOMAIN}, port: {self.kms_port} }}" for i in (1, 2, 3) if i != number
        )
        return (
            f'service: {{ mode: relay, listen: ["{address}:{self.kms_port}"] }}\n'
            f"relay:\n  request_timeout: {REQUEST_TIMEOUT_S}s\n  upstreams:\n{upstreams}"
            f"keys: [ {{ name: corp, file: {self._update_key_file} }} ]\n"
            f"hosts: [ {{ name: local }}{others} ]\n"
            f"health: {{ interval: {INTERVAL_S * 1000:.0f}ms, timeout: {PROBE_S}s, rise: {RISE}, fall: {FALL}, min_stay: 0s }}\n"
            f"publish: {{ ttl: {TTL_S}s, refresh: 1s, domains: [ {{ domain: {DOMAIN}, key: corp, lab: true }} ] }}\n"
            f"{self._discovery}"
        )

    def start(self):
        for s in self.name_servers:
            s.start().wait_serial(DOMAIN, 1)
        self._start_all(self.hosts)
        fill_counts(self.key, self.client_addresses, self.hosts)
        for host in self.hosts:
            host.stop()  # their counts are on disk then, and outlive any kill
        self._start_all([*self.hosts, *self.nodes])
        self.wait_settled()
        return self

    @staticmethod
    def _start_all(daemons):
        for d in daemons:
            d.launch()
        for d in daemons:
            d.wait_ready()

    def stop(self):
        def end(one):
            if isinstance(one, Named) and one.process:
                one.process.signal(signal.SIGCONT)
            one.stop()

        # side by side, since each waits for its process; the first exception is passed on
        with concurrent.futures.ThreadPoolExecutor(max_workers=10) as pool:
            for ended in [pool.submit(end, one) for one in self.everything]:
                ended.result()

    @property
    def everything(self):
        return [*self.name_servers, *self.nodes, *self.hosts]

    # What is published, as the servers say it.

    def target(self, node):
        return f"{node.name}.{DOMAIN}."

    def shown(self, server):
        """The targets that this name server shows now, sorted; None where it does not answer."""
        try:
            return sorted(r.split()[-1] for r in server.records(OWNER, "SRV", timeout=2))
        except (dns.exception.DNSException, OSError):
            return None

    def wait_shown(self, targets, servers=None, timeout_s=PATIENCE_S):
        """Until each of these servers shows these targets; the seconds that took."""
        began = time.monotonic()
        for server in servers or self.name_servers:
            wait_until(f"{server.name} shows {targets}", lambda s=server: self.shown(s) == targets, timeout_s)
        return time.monotonic() - began

    @property
    def all_targets(self):
        return sorted(self.target(n) for n in self.nodes)

    # Whether all is well.

    def trouble(self, since_ms=0):
        """What is not as it should be, as one sentence; "" where all is. Records must have been proven since then."""
        for server in self.name_servers:
            shown = self.shown(server)
            if shown != self.all_targets:
                return f"{server.name} shows {shown}"
        for node in self.nodes:
            status = node.status()
            if status is None:
                return f"{node.name} does not answer"
            wrong = [h["name"] for h in status["hosts"] if h["state"] != "up"]
            wrong += [f"{u['name']} ({u['state']})" for u in status["upstreams"] if u["state"] != "up"]
            (record,) = status["records"]
            if wrong:
                return f"{node.name} says not up: {', '.join(wrong)}"
            if record["last_error"] or record["state"] not in ("proven", "unchanged"):
                return f"{node.name} says of the record: {record['state']}, {record['last_error']}"
            if _milliseconds(record["last_proven"]) < since_ms:
                return f"{node.name} has not proven the record since"
        return ""

    def wait_settled(self, timeout_s=PATIENCE_S):
        """Until all is well again, proven by each node after now."""
        now_ms = time.time() * 1000 - 1000  # times in `status` are whole seconds
        last = [""]

        def settled():
            last[0] = self.trouble(now_ms)
            return not last[0]

        try:
            wait_until("all is well", settled, timeout_s, every_s=0.1)
        except AssertionError:
            raise AssertionError(f"not well after {timeout_s:g} s: {last[0]}") from None


def _milliseconds(rfc3339):
    return datetime.datetime.fromisoformat(rfc3339.replace("Z", "+00:00")).timestamp() * 1000 if rfc3339 else 0
