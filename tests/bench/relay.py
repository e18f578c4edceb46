"""The relay against HAProxy (mode tcp, one thread) and nginx (stream, one worker), all in one run.

    BENCH_RELAY_S=3      seconds of each run        BENCH_RELAY_IDLE=20000      idle clients to hold

An exchange is what a KMS client does: connect, bind, request, response, close. Bodies are opaque octets with version
6.0 and the size of genuine ones; two hosts (rpchost.c) answer, and the load generator (kmsload.c) looks at each answer
whether it is the one to its own request. Hosts and generator are the same for all three.

The relay has one core for itself, hosts and generator share the others. So the rate is that of the whole chain, and
says how much a relay of this speed gets through where all else costs the same; what the relay itself takes is said by
the exchanges of a second of its processor time, as the kernel's scheduler counted it, all threads of it. Runs of the
three alternate.
"""

import json
import os
import resource
import signal
import statistics
import struct
import subprocess
import sys
import threading

from common import BUILD, PROGRAM, RUNS, cpu_s, fact, memory, spread, version, write
from kblib.loopback import Loopback, free_port
from kblib.process import Process, die_with_parent, wait_until
from kms import LOAD

SECONDS = float(os.environ.get("BENCH_RELAY_S", "3"))
IDLE = 10000
HELD = int(os.environ.get("BENCH_RELAY_IDLE", "20000"))
SPARE_FDS = 100  # of a relay, beside its clients
AT_ONCE = (64, 1000)
KILL_AFTER_S, KILL_S, PATIENCE_MS = 2, 6, 5000
BODY = 260  # request and response of a Windows 11 client, 292 and 300 octets with their headers
CORES = sorted(os.sched_getaffinity(0))
RELAY_CORES, OTHER_CORES = ([CORES[0]], CORES[1:]) if len(CORES) > 1 else (CORES, CORES)
# as Windows sends it: KMS 1.0 with NDR32, with NDR64, and feature negotiation
KMS = "7521c8514e845047b0d8ec255555bc0601000000"
BIND = bytes.fromhex(
    "05000b0310000000a000000001000000d016d0160000000003000000"
    f"00000100{KMS}045d888aeb1cc9119fe808002b10486002000000"
    f"01000100{KMS}33057171babe37498319b5dbef9ccc3601000000"
    f"02000100{KMS}2c1cb76c12984045030000000000000001000000"
)


def pinned(cores):
    def before_exec():
        die_with_parent()
        os.sched_setaffinity(0, cores)

    return before_exec


class Host:
    """rpchost.c"""

    def __init__(self, address, *options):
        self._p = subprocess.Popen(
            [os.path.join(BUILD, "bench", "rpchost"), address, str(BODY), *options], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, preexec_fn=pinned(OTHER_CORES),
        )
        self.address, self.port = address, int(self._p.stdout.readline())

    def signal(self, number):
        self._p.send_signal(number)

    def counts(self):
        """Since the last call."""
        self._p.stdin.write("\n")
        self._p.stdin.flush()
        return json.loads(self._p.stdout.readline())

    def stop(self):
        self._p.kill()
        self._p.wait(10)


# ---- the three, each as an administrator would set it up who wants failures to be seen soon ----

HAPROXY = """global
  nbthread 1
  maxconn {conns}
defaults
  mode tcp
  balance roundrobin
  timeout connect 3s
  timeout client 1h
  timeout server 1h
  option redispatch 1
  retries 3
  option tcp-check
  tcp-check connect
  tcp-check send-binary {bind}
  tcp-check expect rbinary ^05000C[01]3
  default-server check inter 1s fall 2 rise 2 on-marked-down shutdown-sessions
listen kms
  bind {at} backlog 4096
{hosts}
"""

NGINX = """load_module {modules}/ngx_stream_module.so;
worker_processes 1;
daemon off;
master_process off;
error_log stderr crit;
pid {folder}/nginx.pid;
events {{ worker_connections {conns}; multi_accept on; }}
stream {{
  upstream kms {{
{hosts}
  }}
  server {{
    listen {at} backlog=4096;
    proxy_pass kms;
    proxy_connect_timeout 3s;
    proxy_timeout 1h;
  }}
}}
"""

KMSBEACON = """node: {{ target: kms1.bench.test, state_dir: {folder}/state, control: {{ socket: {folder}/sock }} }}
service: {{ mode: relay, listen: ['{address}:{port}'] }}
hosts: []
relay: {{ request_timeout: 2s, upstreams: [ {hosts} ] }}
health: {{ interval: 1s }}
limits: {{ connections: {conns}, per_address: 1000, idle: 1h }}
"""


class Relay(Process):
    """Common to the three: .where is its address and port."""

    def __init__(self, folder, config, hosts, argv, each):
        name = self.title
        self.address = Loopback().address()
        self.where = [self.address, str(free_port(self.address))]
        conns = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FDS
        if name == "HAProxy":
            conns //= 2  # it counts clients, each of two descriptors
        text = config.format(
            folder=folder, address=self.address, port=self.where[1], at=":".join(self.where), conns=conns,
            bind=BIND.hex(), modules="/usr/lib/nginx/modules", hosts=each(hosts),
        )
        path = write(folder, name + ".conf", text)
        env = dict(os.environ, LC_ALL="C.UTF-8")
        super().__init__(name, [*argv, path], env=env, preexec=pinned(RELAY_CORES))


class HAProxy(Relay):
    title = "HAProxy"

    def __init__(self, folder, hosts):
        def each(hosts):
            return "\n".join(f"  server h{i} {h.address}:{h.port}" for i, h in enumerate(hosts))

        super().__init__(folder, HAPROXY, hosts, ["/usr/sbin/haproxy", "-db", "-f"], each)


class Nginx(Relay):
    title = "nginx"

    def __init__(self, folder, hosts):
        def each(hosts):
            return "\n".join(f"    server {h.address}:{h.port} max_fails=1 fail_timeout=10s;" for h in hosts)

        super().__init__(folder, NGINX, hosts, ["/usr/sbin/nginx", "-e", "stderr", "-c"], each)


class Kmsbeacon(Relay):
    title = "kmsbeacon"

    def __init__(self, folder, hosts):
        def each(hosts):
            return ", ".join(f"{{ name: h{i}, address: {h.address}, port: {h.port} }}" for i, h in enumerate(hosts))

        super().__init__(folder, KMSBEACON, hosts, [PROGRAM, "run", "-c"], each)

    def ready(self):
        self.wait_log(r"daemon\.ready")
        for i in (0, 1):
            self.wait_log(rf"upstream\.state .*name=h{i} .*to=up")


def start(which, folder, hosts):
    path = os.path.join(folder, which.title)
    os.makedirs(path, exist_ok=True)
    relay = which(path, hosts)
    if hasattr(relay, "ready"):
        relay.ready()

    def answers():
        r = subprocess.run([LOAD, "run", *relay.where, "1", "0.01", os.path.join(folder, "pdus")], capture_output=True)
        return r.returncode == 0

    wait_until(f"{relay.name} relays", answers)
    return relay


def pdus(folder):
    """A bind and one request: its body is the version, and octets that mean nothing."""
    stub = struct.pack("<IIHH", BODY, BODY, 0, 6) + bytes(i * 37 & 0xFF for i in range(BODY - 4))
    request = struct.pack("<BBBBIHHIIHH", 5, 0, 0, 3, 0x10, 24 + len(stub), 0, 2, len(stub), 0, 0) + stub
    with open(os.path.join(folder, "pdus"), "wb") as f:
        f.write(BIND + request)


def generator(relay, folder, n, seconds, *options):
    return subprocess.Popen(
        [LOAD, "run", *relay.where, str(n), str(seconds), os.path.join(folder, "pdus"), "stamp", *options],
        stdout=subprocess.PIPE, text=True, preexec_fn=pinned(OTHER_CORES),
    )


def result(process):
    out = process.communicate(timeout=120)[0]
    if process.returncode != 0:
        raise SystemExit(f"kmsload ended with {process.returncode}")
    return json.loads(out)


def load(relay, folder, n):
    before = cpu_s(relay.pid)
    m = result(generator(relay, folder, n, SECONDS))
    used = cpu_s(relay.pid) - before
    if m["failed"]:
        raise SystemExit(f"{relay.name}: exchanges failed without a reason to: {m}")
    m["per_cpu_s"] = m["done"] / used
    m["per_s"] = m["done"] / m["wall_s"]
    m["busy"] = used / m["wall_s"]
    return m


def compare(folder, all_three, n_runs, *host_options):
    """{relay: {clients at once: its runs}}"""
    net = Loopback()
    hosts = [Host(net.address(), *host_options) for _ in range(2)]
    relays = []
    runs = {}
    try:
        for which in all_three:
            relays.append(start(which, folder, hosts))
        for i in range(n_runs):
            print(f"relay: run {i + 1} of {n_runs} {' '.join(host_options)}", file=sys.stderr)
            for n in AT_ONCE:
                for relay in relays:
                    runs.setdefault(relay.name, {}).setdefault(n, []).append(load(relay, folder, n))
    finally:
        for relay in relays:
            relay.stop()
        for host in hosts:
            host.stop()
    return runs


def kill(folder, which, number):
    """Load on two hosts, of which one gets a signal and does not come back: what kmsload says."""
    net = Loopback()
    hosts = [Host(net.address()) for _ in range(2)]
    relay = None
    try:
        relay = start(which, folder, hosts)
        p = generator(relay, folder, AT_ONCE[0], KILL_S, f"patience={PATIENCE_MS}")
        timer = threading.Timer(KILL_AFTER_S, hosts[0].signal, [number])
        timer.start()
        m = result(p)
        timer.join()
        return m
    finally:
        if relay:
            relay.kill()
        for host in hosts:
            host.stop()


def hold(relay, folder, n):
    """Octets of the relay's memory that each of n bound clients takes; None: they are not all held."""
    before = memory(relay.pid)["rss"]
    with subprocess.Popen(
        [LOAD, "hold", *relay.where, str(n), os.path.join(folder, "pdus")], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, preexec_fn=pinned(OTHER_CORES),
    ) as p:
        held = p.stdout.readline().strip() == "held"
        each = (memory(relay.pid)["rss"] - before) * 1024 / n
        p.stdin.close()
    return each if held else None


# ---- the rows ----


def median(runs, what):
    return statistics.median(m[what] for m in runs)


def compare_rows(rows, runs, targets):
    for n in AT_ONCE:
        for what, unit in (("per_cpu_s", "exchanges a CPU-second"), ("per_s", "exchanges a second")):
            for name in runs:
                m = runs[name][n]
                figure = f"{median(m, what):.0f} ({spread(m, what, 0)})"
                if what == "per_s":
                    figure += f", its core {median(m, 'busy'):.0%} busy"
                fact(rows, f"{n} at once: {name}, {unit}", figure, "", None)
            ratio = median(runs["kmsbeacon"][n], what) / median(runs["HAProxy"][n], what)
            goal = targets[what]
            fact(rows, f"{n} at once: kmsbeacon has of HAProxy's {unit}", f"{ratio:.2f}", f">= {goal:g}", ratio >= goal)
        for what, text in (("p50_us", "p50"), ("p99_us", "p99")):
            ms = {name: median(runs[name][n], what) / 1e3 for name in runs}
            figure = ", ".join(f"{v:.1f}" for v in ms.values()) + " ms"
            met = ms["kmsbeacon"] <= ms["HAProxy"] if what == "p99_us" else None
            target = "<= HAProxy's" if met is not None else ""
            fact(rows, f"{n} at once: {text} of {', '.join(ms)}", figure, target, met)


def short_rows(rows, runs, title):
    for n in AT_ONCE:
        names = ", ".join(runs)
        for what, text, digits in (("per_cpu_s", "a CPU-second", 0), ("p99_us", "p99", 1)):
            values = {name: median(runs[name][n], what) / (1e3 if what == "p99_us" else 1) for name in runs}
            figure = ", ".join(f"{v:.{digits}f}" for v in values.values())
            if what == "p99_us":
                figure += " ms"
            else:
                figure += f": {values['kmsbeacon'] / values['HAProxy']:.2f} of HAProxy's"
            fact(rows, f"{title}, {n} at once, {text}: {names}", figure, "", None)


def failures(m):
    kinds = ", ".join(f"{m[k]} {k.replace('_', ' ')}" for k in ("no_connection", "ended", "no_answer", "anothers", "silent") if m[k])
    return f"{m['failed']} of {m['done'] + m['failed']}" + (f" ({kinds})" if kinds else "")


def kill_rows(folder, rows, all_three):
    for number, text in ((signal.SIGKILL, "killed"), (signal.SIGSTOP, "stopped (hangs)")):
        for which in all_three:
            print(f"relay: one host {text}: {which.title}", file=sys.stderr)
            m = kill(folder, which, number)
            ours = which is Kmsbeacon
            what = f"one of two hosts {text}: {which.title}, failed exchanges"
            fact(rows, what, failures(m), "0" if ours else "", m["failed"] == 0 if ours else None)


def hold_rows(folder, rows, all_three):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    net = Loopback()
    hosts = [Host(net.address()) for _ in range(2)]
    most = min(HELD, limit - SPARE_FDS)
    try:
        for which in all_three:
            ours = which is Kmsbeacon
            counts = (IDLE, most) if ours else (min(IDLE, limit // 2 - SPARE_FDS),)
            for n in counts:
                relay = start(which, folder, hosts)
                each = hold(relay, folder, n)
                relay.kill()
                figure = f"{each:.0f} octets each" if each is not None else "not held"
                if ours and n == most and most < HELD:
                    figure += f" (the machine allows {limit} descriptors)"
                met = (each is not None and each <= 4096) if ours else None
                what = f"{n} idle bound clients: {which.title}"
                fact(rows, what, figure, "<= 4096 octets" if ours else "", met)
    finally:
        for host in hosts:
            host.stop()


def run(folder, rows):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    all_three = [HAProxy, Nginx, Kmsbeacon]
    targets = {"per_cpu_s": 1.5, "per_s": 1.25}
    pdus(folder)
    compare_rows(rows, compare(folder, all_three, RUNS), targets)
    # to be known, without a target: fewer runs do
    for option, title in (("mpx", "hosts multiplex"), ("delay=5", "hosts take 5 ms")):
        short_rows(rows, compare(folder, all_three, (RUNS + 1) // 2, option), title)
    kill_rows(folder, rows, all_three)
    hold_rows(folder, rows, all_three)
    haproxy = version(["/usr/sbin/haproxy", "-v"], r"version (\S+)")
    nginx = version(["/usr/sbin/nginx", "-v"], r"nginx/(\S+)")
    return f"relay: HAProxy {haproxy}, nginx {nginx}, {SECONDS:g} s"
