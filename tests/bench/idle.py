"""A daemon with one domain that has nothing to do: how soon it is there, what it takes, how often it wakes.

    BENCH_IDLE_S=60      seconds that the idle ones are watched

The start: from exec to the line that says that the record is proven, with an empty state folder, against a shell
script of the usual kind: nsupdate, then dig until the record is there. Both on one named; runs alternate.

Memory is told in three figures, since pages of the libraries are the same memory for all programs that use them:
what is its own (anonymous: heap, stacks, relocated data), PSS (own pages, and of each shared one its share), RSS (all
that is mapped, shared or not). The target is held against RSS, the largest of them. One daemon runs at a time.

Rest: wake-ups are the kernel's voluntary context switches of all threads, and processor time is what its scheduler
counted. A second daemon of each kind runs under strace; each return from epoll_wait is put down to what it brought or
what was done after it. What brought nothing and led to nothing is a wake-up without cause. HAProxy (mode tcp) checks
the same two servers as often, with a bind as kmsbeacon's.
"""

import os
import re
import signal
import statistics
import subprocess
import sys
import time

from common import PROGRAM, QUIET, RUNS, cpu_s, fact, mappings, memory, spread, write
from kblib.bind import Key, Named, Zone, zone_text
from kblib.loopback import Loopback, free_port
from kblib.process import Process, wait_until
from relay import BIND, Host, pdus
import relay

WATCHED_S = float(os.environ.get("BENCH_IDLE_S", "60"))
CLIENTS = 1000
ZONES, FIRST = 16, "corp0.test"
OWNER = f"_vlmcs._tcp.{FIRST}."
MODES = ("off", "lab", "relay")
TITLES = {"off": "mode off, one host probed", "lab": "mode lab", "relay": "mode relay, two upstreams"}
INTERVAL_S = 10  # between probes: our default

HAPROXY = """global
  nbthread 1
defaults
  mode tcp
  timeout connect 3s
  timeout client 1h
  timeout server 1h
  option tcp-check
  tcp-check connect
  tcp-check send-binary {bind}
  tcp-check expect rbinary ^05000C[01]3
  default-server check inter {interval}s fall 3 rise 2
listen kms
  bind {at}
{hosts}
"""


class Site:
    """One named with a zone for each daemon, so that none sees the records of another, and two KMS hosts."""

    def __init__(self, folder):
        self.folder = folder
        self.net = Loopback()
        self.address = self.net.address()
        self.hosts = [Host(self.net.address()) for _ in range(2)]
        self.key = Key("bench")
        self.key_file = self.key.write(folder)
        zones = []
        for z in (f"corp{i}.test" for i in range(ZONES)):
            grant = f'update-policy {{ grant "{self.key.name}" name _vlmcs._tcp.{z}. SRV; }};'
            records = [f"ns1 A {self.address}", f"kms1 A {self.hosts[0].address}"]
            zones.append(Zone(z, zone_text(z, [(f"ns1.{z}.", self.address)], records), clauses=(grant,)))
        self.named = Named(
            folder, "named", self.address, self.net.port, zones, keys=[self.key], options=["notify no;"], extra=QUIET
        ).start()
        etc = os.path.join(folder, "etc")  # its own: what happens in its folder is looked at
        os.mkdir(etc)
        self.resolv_conf = write(etc, "resolv.conf", f"nameserver {self.address}\n")
        self.n = self.zones_used = 0  # corp0.test is for what begins and ends by itself

    def stop(self):
        self.named.stop()
        for h in self.hosts:
            h.stop()

    def config(self, mode, zone, extra=""):
        """With a state folder of its own."""
        self.n += 1
        target = f"kms1.{zone}"
        state = os.path.join(self.folder, f"state{self.n}")
        os.mkdir(state)
        local = self.net.address() if mode != "off" else None
        service = f"mode: {mode}, listen: ['{local}:0']" if local else 'mode: "off"'
        hosts = "name: local" if local else f"name: kms1, target: {target}, port: {self.hosts[0].port}"
        upstreams = ", ".join(f"{{ name: h{i}, address: {h.address}, port: {h.port} }}" for i, h in enumerate(self.hosts))
        return write(
            self.folder, f"idle{self.n}.yaml",
            f"node: {{ target: {target}, state_dir: {state}, control: {{ socket: {state}/sock }} }}\n"
            f"service: {{ {service} }}\nhosts: [ {{ {hosts} }} ]\n"
            + (f"relay: {{ upstreams: [ {upstreams} ] }}\n" if mode == "relay" else "")
            + f"keys: [ {{ name: bench, file: {self.key_file} }} ]\n"
            f"discovery: {{ resolv_conf: {self.resolv_conf} }}\n"
            f"health: {{ interval: {INTERVAL_S}s }}\n"
            f"publish: {{ domains: [ {{ domain: {zone}, key: bench, lab: true }} ] }}\n" + extra,
        )

    def env(self):
        return dict(os.environ, LC_ALL="C.UTF-8", KMSBEACON_DNS_PORT=str(self.net.port))

    def daemon(self, mode, extra=""):
        """Up, in a zone of its own, its record proven, its hosts known."""
        self.zones_used += 1
        config = self.config(mode, f"corp{self.zones_used}.test", extra)
        d = Process("kmsbeacon", [PROGRAM, "run", "-c", config], self.env())
        d.wait_log(r"publisher\.proven")
        if mode == "off":
            d.wait_log(r"host\.up")
        if mode == "relay":
            for i in range(len(self.hosts)):
                d.wait_log(rf"upstream\.state .*name=h{i} .*to=up")
        return d

    def nsupdate(self, change):
        return write(
            self.folder, "nsupdate.in", f"server {self.address} {self.net.port}\nzone {FIRST}\nupdate {change}\nsend\n"
        )

    def clean(self):
        script = self.nsupdate(f"delete {OWNER} SRV")
        subprocess.run(["nsupdate", "-k", self.key_file, script], stdin=subprocess.DEVNULL, check=True, timeout=60)


# ---- the start ----


def timed_script(site):
    site.clean()
    script = site.nsupdate(f"add {OWNER} 3600 SRV 0 0 1688 kms1.{FIRST}.")
    dig = f"dig @{site.address} -p {site.net.port} +short +norec {OWNER} SRV"
    began = time.monotonic()
    subprocess.run(
        ["sh", "-c", f"nsupdate -k {site.key_file} {script} && until {dig} | grep -q 1688; do :; done"],
        stdin=subprocess.DEVNULL, check=True, timeout=60,
    )
    return {"wall_s": (time.monotonic() - began) * 1e3}


def timed_publish(site):
    site.clean()
    config = site.config("off", FIRST)
    began = time.monotonic()
    subprocess.run(
        [PROGRAM, "publish", "-c", config], env=site.env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True,
        timeout=60,
    )
    return {"wall_s": (time.monotonic() - began) * 1e3}


def timed_daemon(site):
    site.clean()
    config = site.config("off", FIRST)
    began = time.monotonic()
    d = Process("kmsbeacon", [PROGRAM, "run", "-c", config], site.env())
    try:
        d.wait_log(r"publisher\.proven")
        return {"wall_s": (time.monotonic() - began) * 1e3}
    finally:
        d.stop()


def start_rows(site, rows):
    programs = {"nsupdate, then dig": timed_script, "kmsbeacon run": timed_daemon, "kmsbeacon publish": timed_publish}
    took = {name: [] for name in programs}
    for i in range(RUNS):
        print(f"idle: start {i + 1} of {RUNS}", file=sys.stderr, flush=True)
        for name, run_it in programs.items():
            took[name].append(run_it(site))
    ms = {name: statistics.median(m["wall_s"] for m in runs) for name, runs in took.items()}
    peer = ms["nsupdate, then dig"]
    for name, runs in took.items():
        ratio = "" if name.startswith("nsupdate") else f", {peer / ms[name]:.2f} times as fast"
        fact(rows, f"start to the first proven record: {name}", f"{ms[name]:.0f} ms ({spread(runs, digits=0)}){ratio}", "", None)


# ---- memory ----


def mb(kb):
    return f"{kb / 1024:.1f}"


def told(m):
    return f"{mb(m['rss'])} MB RSS, {mb(m['pss'])} PSS, {mb(m['own'])} its own"


def consists_of(pid):
    """Its resident pages: of the libraries' files, of the program's file, and all else."""
    kb = mappings(pid)
    libraries = {re.sub(r"[-.].*", "", name): n for name, n in kb.items() if ".so" in name}
    program = kb.get(os.path.basename(PROGRAM), 0)
    most = sorted(libraries.items(), key=lambda i: -i[1])[:3]
    rest = sum(kb.values()) - sum(libraries.values()) - program
    return (
        f"libraries {mb(sum(libraries.values()))} MB ({', '.join(f'{name} {mb(n)}' for name, n in most)}), "
        f"program {mb(program)}, heap and stacks {mb(rest)}"
    )


def memory_rows(site, rows):
    for mode in MODES:
        print(f"idle: memory, mode {mode}", file=sys.stderr, flush=True)
        d = site.daemon(mode)
        m = memory(d.pid)
        fact(rows, f"idle memory: {TITLES[mode]}", told(m), "<= 8 MB", m["rss"] <= 8 * 1024)
        fact(rows, f"idle memory: {TITLES[mode]}, of what", consists_of(d.pid), "", None)
        d.stop()
    config = "limits: { per_address: 2000, idle: 1h }\n"
    d = site.daemon("relay", config)
    d.where = d.wait_log(r"service\.listening.* address=(\S+)").group(1).rsplit(":", 1)
    each = relay.hold(d, site.folder, CLIENTS)
    d.stop()
    text = f"{each:.0f} octets each" if each is not None else "not held"
    fact(rows, f"mode relay, {CLIENTS} idle bound clients", text, "<= 4096 octets", each is not None and each <= 4096)
    p = haproxy(site)
    fact(rows, "idle memory: HAProxy, two servers checked", told(memory(p.pid)), "", None)
    p.stop()


def haproxy(site):
    at = f"{site.net.address()}:{free_port()}"
    hosts = "\n".join(f"  server h{i} {h.address}:{h.port}" for i, h in enumerate(site.hosts))
    path = write(site.folder, "haproxy.conf", HAPROXY.format(bind=BIND.hex(), interval=INTERVAL_S, at=at, hosts=hosts))
    p = Process("HAProxy", ["/usr/sbin/haproxy", "-db", "-f", path])
    host, port = at.rsplit(":", 1)

    def answers():
        return subprocess.run([relay.LOAD, "run", host, port, "1", "0.01", os.path.join(site.folder, "pdus")], capture_output=True).returncode == 0

    wait_until("HAProxy relays", answers)
    return p


# ---- rest ----


def switches(pid):
    """How often its threads gave way of their own accord: each is a wait, and so a wake-up."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as f:
            total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M).group(1))
    return total


WAITS = ("epoll_wait", "epoll_pwait", "futex", "restart_syscall")
FOLLOWS = {  # the first call after a timer
    "socket": "begins: probe", "sendto": "manager's watchdog", "close": "DNS sockets closed", "epoll_ctl": "DNS sockets closed",
    "futex": "begins: store", "stat": "looks at resolv.conf", "newfstatat": "looks at resolv.conf",
}


def causes(trace):
    """{cause: wake-ups} of what strace wrote of one daemon."""
    kinds, counts, unfinished = {}, {}, {}
    pending = None  # the wake-up by a timer whose consequence is still to be seen

    def count(cause):
        counts[cause] = counts.get(cause, 0) + 1

    for line in trace.splitlines():
        m = re.match(r"(\d+)\s+[\d.:]+\s+(.*)", line)
        if not m:
            continue
        pid, call = m.groups()
        if call.endswith("<unfinished ...>"):
            unfinished[pid] = call[: -len("<unfinished ...>")]
            continue
        r = re.match(r"<\.\.\. \w+ resumed>(.*)", call)
        if r:
            call = unfinished.pop(pid, "") + r.group(1)
        name = call.split("(", 1)[0]
        if name in ("socket", "accept4"):
            fd = call.rsplit("= ", 1)[-1]
            kinds[fd] = "DNS" if "SOCK_DGRAM" in call else "control" if "AF_UNIX" in call else "probe"
        if pending and (name not in WAITS or "FUTEX_WAKE" in call):
            count("begins: DNS" if "SOCK_DGRAM" in call else FOLLOWS.get(name, name))
            pending = None
        if name in ("epoll_wait", "epoll_pwait"):
            r = re.search(r"(\[.*\]|NULL|0x\w+), \d+, (-?\d+)(?:, .*)?\)\s+= (-?\d+)", call)
            if not r:
                continue
            if pending:
                count("nothing")
                pending = None
            if r.group(3) == "0" and r.group(2) != "0":
                pending = True
            elif int(r.group(3)) > 0:
                fd = re.search(r"u64=(\d+)|u32=(\d+)", r.group(1))
                count(f"{kinds.get(fd.group(1) or fd.group(2), 'signal or store')} answers" if fd else "events")
        elif name == "futex" and "resumed" in line:
            count("store")
    return counts


def rest_rows(site, rows):
    watched = {TITLES[mode]: site.daemon(mode) for mode in MODES}
    watched["HAProxy, two servers checked"] = haproxy(site)
    traced = {mode: site.daemon(mode) for mode in MODES}
    traces, tracers = {}, {}
    try:
        time.sleep(3)  # what follows a start is over
        for mode, d in traced.items():
            traces[mode] = os.path.join(site.folder, f"strace.{mode}")
            tracers[mode] = Process("strace", ["strace", "-f", "-ttt", "-s", "16", "-o", traces[mode], "-p", str(d.pid)])
            tracers[mode].wait_log("attached")
        before = {name: (switches(p.pid), cpu_s(p.pid)) for name, p in watched.items()}
        print(f"idle: watched for {WATCHED_S:g} s", file=sys.stderr, flush=True)
        time.sleep(WATCHED_S)
        for name, p in watched.items():
            n, cpu = switches(p.pid) - before[name][0], cpu_s(p.pid) - before[name][1]
            a_minute = 60 / WATCHED_S
            fact(rows, f"at rest: {name}", f"{n * a_minute:.0f} wake-ups, {cpu * a_minute * 1e3:.1f} ms of processor time a minute", "", None)
    finally:
        for t in tracers.values():
            t.signal(signal.SIGINT)
            t.wait()
        for p in [*watched.values(), *traced.values()]:
            p.stop()
    for mode, path in traces.items():
        with open(path, encoding="utf-8", errors="replace") as f:
            counts = causes(f.read())
        text = ", ".join(f"{n} {cause}" for cause, n in sorted(counts.items(), key=lambda i: -i[1])) or "none"
        nothing = counts.get("nothing", 0)
        fact(rows, f"at rest: causes, {TITLES[mode]}", text, "nothing: 0", nothing == 0)


def run(folder, rows):
    site = Site(folder)
    pdus(folder)
    try:
        start_rows(site, rows)
        memory_rows(site, rows)
        rest_rows(site, rows)
    finally:
        site.stop()
    return f"idle: watched for {WATCHED_S:g} s"
