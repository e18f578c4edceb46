"""The publisher against nsupdate: 1,000 zones of one named, everything on loopback.

    BENCH_ZONES=1000 BENCH_RUNS=5 BENCH_RTT_MS=10    what may be changed

Each run begins with no record in any zone and, for kmsbeacon, with an empty state folder. nsupdate is
told server and zone, so that it sends nothing but 1,000 UPDATEs, one `send` each, in one process.
kmsbeacon does its whole run: discovery, reads, journal, updates, proof. Runs alternate; a ratio is
that of the medians. After every run dig counts the records; one that is missing ends the bench.

On bare loopback the server bounds both, so a third program says by how much: presigned.c puts the same
messages as kmsbeacon to the server, made and signed before its time begins, and does nothing else.
"""

import json
import os
import re
import statistics
import struct
import subprocess
import sys
import time

from common import BUILD, PROGRAM, QUIET, RTT_MS, RUN_TIMEOUT_S, RUNS, Delay, fact, measure, spread, write

import dns.flags
import dns.message
import dns.update

from kblib.bind import Key, Named, Zone, zone_text
from kblib.loopback import Loopback, free_port
from kblib.process import Process, wait_until

ZONES = int(os.environ.get("BENCH_ZONES", "1000"))
SRV, SOA, TARGET = "33", "6", "kms1.bench.test"

# What presigned.c sends for each zone: which zone is it, the set, the update, serial and name servers, the set.
ALL_STEPS, UPDATE_ONLY = "wqusq", "u"


class Bench:
    def __init__(self, folder):
        self.folder = folder
        net = Loopback()
        self.address = net.address()
        self.key = Key("bench")
        self.key_file = self.key.write(folder)
        self.zones = [f"site{i:04d}.example" for i in range(ZONES)]
        ns = [("ns1.bench.test.", self.address)]
        own = Zone("bench.test", zone_text("bench.test", [("ns1", self.address)], ["kms1 A 192.0.2.10"], ttl=3600))
        zones = [own]
        for z in self.zones:
            policy = f'update-policy {{ grant "{self.key.name}" name _vlmcs._tcp.{z}. SRV; }};'
            zones.append(Zone(z, zone_text(z, ns, ttl=3600), clauses=(policy,)))
        self.named = Named(
            folder, "named", self.address, net.port, zones, keys=[self.key], options=["notify no;"], extra=QUIET,
            threads=os.cpu_count() or 1,
        ).start()
        self.names = self.write("names", "".join(f"_vlmcs._tcp.{z}. SRV\n" for z in self.zones))

    def write(self, name, text):
        return write(self.folder, name, text)

    def stop(self):
        self.named.stop()

    # What both sides are measured by.

    def measure(self, argv, port=None):
        return measure(self.folder, argv, port or self.named.port)

    def present(self):
        """How many zones have the record, as dig sees it."""
        r = subprocess.run(
            ["dig", f"@{self.address}", "-p", str(self.named.port), "+short", "+norec", "+tries=3", "-f", self.names],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_TIMEOUT_S,
        )
        return len(re.findall(rf"^\d+ \d+ 1688 {re.escape(TARGET)}\.$", r.stdout, re.M))

    def expect(self, n, who):
        seen = self.present()
        if seen != n:
            raise SystemExit(f"after {who}: {seen} zones have the record, not {n}")

    def script(self, port, change):
        lines = [f"server {self.address} {port}"]
        for z in self.zones:
            lines += [f"zone {z}", f"update {change.format(owner=f'_vlmcs._tcp.{z}.')}", "send"]
        return self.write(f"nsupdate.{port}", "\n".join([*lines, ""]))

    def clean(self):
        self.measure(["nsupdate", "-k", self.key_file, self.script(self.named.port, "delete {owner} SRV")])
        self.expect(0, "cleaning up")

    def config(self, name, port, extra=""):
        state = os.path.join(self.folder, name)
        os.makedirs(state)
        domains = ", ".join(f"{{ domain: {z}, key: bench }}" for z in self.zones)
        return self.write(
            f"{name}.yaml",
            f'node: {{ target: {TARGET}, state_dir: "{state}", control: {{ socket: "{state}/sock" }} }}\n'
            f'service: {{ mode: "off" }}\nkeys: [ {{ name: bench, file: "{self.key_file}" }} ]\n'
            f"hosts: [ {{ name: kms1, target: {TARGET}, port: 1688 }} ]\n"
            f'discovery: {{ resolvers: ["{self.address}:{port}"] }}\n'
            f"publish: {{ ttl: 1h, domains: [ {domains} ]{extra} }}\nhealth: {{ interval: 1h }}\n",
        )

    # The two.

    def run_nsupdate(self, port):
        self.clean()
        add = f"add {{owner}} 3600 SRV 0 0 1688 {TARGET}."
        m = self.measure(["nsupdate", "-k", self.key_file, self.script(port, add)])
        self.expect(ZONES, "nsupdate")
        return m

    def run_kmsbeacon(self, port, n):
        self.clean()
        config = self.config(f"state.{port}.{n}", port)
        m = self.measure([PROGRAM, "publish", "--json", "-c", config], port)
        with open(os.path.join(self.folder, "stdout"), encoding="utf-8") as f:
            states = [d["state"] for d in json.load(f)["domains"]]
        if states.count("proven") != ZONES:
            raise SystemExit(f"not all proven: { {s: states.count(s) for s in set(states)} }")
        self.expect(ZONES, "kmsbeacon publish")
        return m

    def message(self, step, zone, number):
        owner = f"_vlmcs._tcp.{zone}."
        if step == "u":
            m = dns.update.Update(zone)
            m.add(owner, 3600, "SRV", f"0 0 1688 {TARGET}.")
        else:
            name, rrtype = {"w": (owner, "SOA"), "q": (owner, "SRV"), "s": (zone, "SOA")}[step]
            m = dns.message.make_query(name, rrtype, use_edns=0, payload=1232)
        m.id = number
        if step != "w":  # the one question to the resolver
            m.flags &= ~dns.flags.RD
            m.use_tsig(self.key.keyring, original_id=number)
        return m.to_wire()

    def run_presigned(self, port, steps):
        self.clean()
        path = os.path.join(self.folder, "presigned")
        with open(path, "wb") as f:
            for i, (zone, step) in enumerate((z, s) for z in self.zones for s in steps):
                wire = self.message(step, zone, i)
                f.write(struct.pack("!H", len(wire)) + wire)
        m = self.measure([os.path.join(BUILD, "bench", "presigned"), path, self.address, str(port), steps])
        self.expect(ZONES, "presigned")
        return m

    def compare(self, port, delay=None):
        """What each took, in turns, and what left for the server in one run of each."""
        programs = {"nsupdate": lambda n: self.run_nsupdate(port), "kmsbeacon": lambda n: self.run_kmsbeacon(port, n)}
        if not delay:
            for steps in (ALL_STEPS, UPDATE_ONLY):
                programs[steps] = lambda n, steps=steps: self.run_presigned(port, steps)
        took, sent = {who: [] for who in programs}, {}
        for n in range(RUNS):
            for who, run in programs.items():
                if delay:
                    delay.counts()
                took[who].append(run(n))
                if delay:
                    sent[who] = delay.counts()
                print(f"  {who:9} {n + 1}/{RUNS}: {took[who][-1]['wall_s']:7.3f} s", file=sys.stderr, flush=True)
        return took, sent

    def steady(self, port, delay):
        """What a daemon asks in one refresh in which nothing is to be done, and its peak memory."""
        config = self.config("state.daemon", port, extra=", refresh: 3s")
        env = dict(os.environ, KMSBEACON_DNS_PORT=str(port))
        daemon = Process("kmsbeacon run", [PROGRAM, "run", "-c", config], env)

        def checked_since(t):
            r = subprocess.run([PROGRAM, "status", "--json", "-c", config], capture_output=True, text=True, stdin=subprocess.DEVNULL)
            rows = json.loads(r.stdout).get("records", []) if r.returncode == 0 else []
            times = [row["last_proven"] or "" for row in rows]
            return len(times) == ZONES and min(times) > t

        def stamp():
            return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

        try:
            wait_until("the first cycle of the daemon", lambda: checked_since("0"), 60, 0.2)
            delay.counts()
            mark = stamp()
            wait_until("a refresh", lambda: checked_since(mark), 60, 0.2)
            counts = delay.counts()
            with open(f"/proc/{daemon.pid}/status", encoding="ascii") as f:
                rss_kb = int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1))
        finally:
            daemon.stop()
        return counts, rss_kb

    def over_quota(self):
        """Updates that named refused or dropped for its quota, by its own count."""
        self.named.rndc("stats")
        with open(os.path.join(self.named.folder, "named.stats"), encoding="ascii") as f:
            return sum(int(n) for n in re.findall(r"^\s*(\d+) .*quota", f.read(), re.M | re.I))


def median_s(runs):
    return statistics.median(m["wall_s"] for m in runs)


def speed(rows, name, took, least):
    peer, ours = took["nsupdate"], took["kmsbeacon"]
    ratio = median_s(peer) / median_s(ours)
    fact(rows, f"{name}: nsupdate, bare updates", f"{median_s(peer):.3f} s ({spread(peer)})", "", None)
    fact(rows, f"{name}: kmsbeacon publish, whole run", f"{median_s(ours):.3f} s ({spread(ours)})", "", None)
    fact(rows, f"{name}: kmsbeacon publishes faster than nsupdate by", f"{ratio:.1f} times", f">= {least} times", ratio >= least)


def bounds(rows, took):
    """What the server alone allows."""
    for what, steps in (("the same messages, signed beforehand", ALL_STEPS), ("the updates alone, signed beforehand", UPDATE_ONLY)):
        ratio = median_s(took["nsupdate"]) / median_s(took[steps])
        fact(rows, f"loopback: {what}", f"{ratio:.2f} times, {median_s(took[steps]):.3f} s ({spread(took[steps])})", "", None)


def asked(counts):
    kinds = {SRV: "SRV", SOA: "SOA", "2": "NS", "1": "A", "28": "AAAA"}
    return ", ".join(f"{n} {kinds.get(t, 'type ' + t)}" for t, n in sorted(counts["types"].items(), key=lambda i: -i[1]))


def run(folder, rows):
    """Add the rows of this part to the table."""
    bench = Bench(folder)
    delay = None
    try:
        print("bare loopback", file=sys.stderr)
        near, _ = bench.compare(bench.named.port)
        speed(rows, "loopback", near, 2)
        bounds(rows, near)
        delay = Delay(bench.address, free_port(bench.address), bench.named, RTT_MS)
        print(f"{RTT_MS:g} ms of round-trip delay", file=sys.stderr)
        far, sent = bench.compare(delay.port, delay)
        speed(rows, f"{RTT_MS:g} ms", far, 12)
        for who in ("nsupdate", "kmsbeacon"):
            s = sent[who]
            fact(rows, f"{who} sends", f"{s['updates']} UPDATE, {s['queries']} queries, {s['tcp']} TCP", "", None)
        quota = bench.over_quota()
        fact(rows, "updates over named's update-quota", str(quota), "0", quota == 0)
        mb = max(m["rss_kb"] for m in [*near["kmsbeacon"], *far["kmsbeacon"]]) / 1024
        fact(rows, f"peak memory, publish, {ZONES} domains", f"{mb:.1f} MB", "<= 40 MB", mb <= 40)
        counts, rss_kb = bench.steady(delay.port, delay)
        steady = counts["updates"] == 0 and counts["types"].get(SRV) == ZONES and counts["queries"] == ZONES
        fact(rows, "a refresh with nothing to do: UPDATE", str(counts["updates"]), "0", counts["updates"] == 0)
        fact(rows, "a refresh with nothing to do: queries", asked(counts), f"{ZONES} SRV", steady)
        mb = rss_kb / 1024
        fact(rows, f"peak memory, daemon, {ZONES} domains", f"{mb:.1f} MB", "<= 40 MB", mb <= 40)
    finally:
        if delay:
            delay.stop()
        bench.stop()
    return f"publisher: {ZONES} zones"
