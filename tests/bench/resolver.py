"""SRV and address lookups for 10,000 domains, beside dnsperf and dig, from one named; everything on loopback.

    BENCH_DOMAINS=10000 BENCH_RUNS=5 BENCH_RTT_MS=10 BENCH_DIG_DOMAINS=300    what may be changed

Three questions belong to a domain: SRV of _vlmcs._tcp.DOMAIN, A and AAAA of the host it names, another
one for each domain, so that no table of ours answers twice. All three programs put the same ones.
kmsbeacon runs `verify --lookup-only`, which also judges each domain and writes it as JSON. A lookup is
counted where named counts the request (at 10 ms, where the delay does): what we would ask twice is
seen. Every run must find every record and every address; one that is missing ends the bench.

The second part is the whole audit of as many domains, which share two hosts, for figures without a
rival: nothing else does the same.
"""

import json
import os
import re
import statistics
import subprocess
import sys

from common import PROGRAM, QUIET, RTT_MS, RUN_TIMEOUT_S, RUNS, Delay, fact, measure, spread, write

from kblib.bind import Named, Zone, zone_text
from kblib.kms_host import KmsHost
from kblib.loopback import Loopback, free_port
from kblib.process import die_with_parent

DOMAINS = int(os.environ.get("BENCH_DOMAINS", "10000"))
DIG_DOMAINS = min(DOMAINS, int(os.environ.get("BENCH_DIG_DOMAINS", "300")))
FEW = max(1, DOMAINS // 10)
LOOKUPS = 3  # of one domain


class Bench:
    def __init__(self, folder):
        self.folder = folder
        net = Loopback()
        self.address = net.address()
        self.hosts = [KmsHost(net.address()) for _ in range(2)]
        ns = [("ns1.bench.test.", self.address)]
        self.named = Named(
            folder, "named", self.address, net.port, [
                Zone("bench.test", zone_text("bench.test", [("ns1", self.address)])),
                Zone("single.test", zone_text("single.test", ns, self.own_targets(), ttl=3600)),
                Zone("shared.test", zone_text("shared.test", ns, self.shared_targets(), ttl=3600)),
            ], options=["notify no;"], extra=QUIET, threads=os.cpu_count() or 1,
        ).start()
        self.questions = self.write("questions", "".join(self.questions_of(DOMAINS)))
        self.few_questions = self.write("questions.dig", "".join(self.questions_of(DIG_DOMAINS)))

    @staticmethod
    def own_targets():
        for i in range(DOMAINS):
            yield f"_vlmcs._tcp.d{i:05} SRV 0 0 1688 kms.d{i:05}"
            yield f"kms.d{i:05} A 10.{i >> 16}.{i >> 8 & 255}.{i & 255}"
            yield f"kms.d{i:05} AAAA 2001:db8::{i:x}"

    def shared_targets(self):
        for n, h in enumerate(self.hosts):
            yield f"kms{n} A {h.address}"
        for i in range(DOMAINS):
            for n, h in enumerate(self.hosts):
                yield f"_vlmcs._tcp.d{i:05} SRV {n * 10} 0 {h.port} kms{n}"

    @staticmethod
    def questions_of(n):
        for i in range(n):
            yield f"_vlmcs._tcp.d{i:05}.single.test SRV\n"
            yield f"kms.d{i:05}.single.test A\nkms.d{i:05}.single.test AAAA\n"

    def write(self, name, text):
        return write(self.folder, name, text)

    def stop(self):
        self.named.stop()
        for h in self.hosts:
            h.stop()

    def requests(self):
        """How many requests named has had since it started, rndc's own not among them."""
        path = os.path.join(self.named.folder, "named.stats")
        if os.path.exists(path):
            os.unlink(path)
        self.named.rndc("stats")
        with open(path, encoding="ascii") as f:
            return int(re.search(r"(\d+) IPv4 requests received", f.read()).group(1))

    def verify(self, zone, n, port, *args):
        """One run, its figures and the reports it wrote."""
        config = self.write(f"config.{port}", f'discovery: {{ resolvers: ["{self.address}:{port}"] }}\n')
        domains = self.write(f"{zone}.{n}", "".join(f"d{i:05}.{zone}\n" for i in range(n)))
        m = measure(
            self.folder, [PROGRAM, "verify", "--json", "-c", config, "--domains-file", domains, *args], port, codes=(0, 1),
        )
        with open(os.path.join(self.folder, "stdout"), encoding="utf-8") as f:
            return m, [json.loads(line) for line in f]

    def look_up(self, n, port):
        m, reports = self.verify("single.test", n, port, "--lookup-only")
        found = sum(len(r["records"]) == 1 and len(r["records"][0]["addresses"]) == 2 for r in reports)
        if found != n:
            raise SystemExit(f"kmsbeacon found {found} of {n} domains with all their addresses")
        return m

    def dnsperf(self):
        """One pass over all questions; its own figure, without its start."""
        r = subprocess.run(
            ["dnsperf", "-s", self.address, "-p", str(self.named.port), "-d", self.questions, "-n", "1"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, preexec_fn=die_with_parent,
        )
        done = re.search(r"Queries completed:\s+(\d+)", r.stdout)
        if r.returncode != 0 or not done or int(done.group(1)) < 0.999 * LOOKUPS * DOMAINS:
            raise SystemExit(f"dnsperf: {r.stdout}{r.stderr}")
        return {"rate": float(re.search(r"Queries per second:\s+([0-9.]+)", r.stdout).group(1))}

    def dig(self, port):
        m = measure(
            self.folder, ["dig", f"@{self.address}", "-p", str(port), "+norec", "+short", "-f", self.few_questions], port,
        )
        with open(os.path.join(self.folder, "stdout"), encoding="ascii") as f:
            if len(f.readlines()) != LOOKUPS * DIG_DOMAINS:
                raise SystemExit("dig did not find everything")
        m["rate"] = LOOKUPS * DIG_DOMAINS / m["wall_s"]
        return m


def say(who, n, m):
    print(f"  {who:9} {n + 1}/{RUNS}: {m['rate']:8.0f} lookups/s", file=sys.stderr, flush=True)


def median(runs, what="rate"):
    return statistics.median(m[what] for m in runs)


def rate(runs, unit):
    return f"{median(runs):.0f}/s {unit}".strip() + f" ({spread(runs, 'rate', 0)})"


def beside_dnsperf(bench, rows):
    print(f"{DOMAINS} domains, bare loopback", file=sys.stderr)
    peer, ours, asked = [], [], []
    for n in range(RUNS):
        peer.append(bench.dnsperf())
        say("dnsperf", n, peer[-1])
        before = bench.requests()
        m = bench.look_up(DOMAINS, bench.named.port)
        asked.append(bench.requests() - before)
        m["rate"] = LOOKUPS * DOMAINS / m["wall_s"]
        ours.append(m)
        say("kmsbeacon", n, m)
    share = median(ours) / median(peer)
    fact(rows, "lookups: dnsperf", rate(peer, ""), "", None)
    fact(rows, "lookups: kmsbeacon verify --lookup-only, whole run", rate(ours, ""), "", None)
    fact(rows, "lookups: kmsbeacon's share of dnsperf's", f"{share:.2f}", ">= 0.50", share >= 0.5)
    want = LOOKUPS * DOMAINS
    fact(rows, f"requests at named for {DOMAINS} domains", str(max(asked)), str(want), max(asked) <= 1.01 * want)
    return ours


def beside_dig(bench, rows):
    delay = Delay(bench.address, free_port(bench.address), bench.named, RTT_MS)
    try:
        print(f"{RTT_MS:g} ms of round-trip delay", file=sys.stderr)
        peer, ours = [], []
        for n in range(RUNS):
            peer.append(bench.dig(delay.port))
            say("dig -f", n, peer[-1])
            delay.counts()
            m = bench.look_up(DOMAINS, delay.port)
            m["rate"] = delay.counts()["queries"] / m["wall_s"]
            ours.append(m)
            say("kmsbeacon", n, m)
    finally:
        delay.stop()
    times = median(ours) / median(peer)
    fact(rows, f"{RTT_MS:g} ms: dig -f, {DIG_DOMAINS} domains", rate(peer, ""), "", None)
    fact(rows, f"{RTT_MS:g} ms: kmsbeacon, {DOMAINS} domains", rate(ours, ""), "", None)
    fact(rows, f"{RTT_MS:g} ms: kmsbeacon looks up faster than dig -f by", f"{times:.0f} times", ">= 10 times", times >= 10)
    return ours


def memory(rows, what, few, many):
    a, b = (max(m["rss_kb"] for m in runs) / 1024 for runs in (few, many))
    fact(rows, f"peak memory, {what}, {FEW} domains", f"{a:.1f} MB", "", None)
    fact(rows, f"peak memory, {what}, {DOMAINS} domains", f"{b:.1f} MB", "the same", b <= 1.1 * a)


def audit(bench, rows):
    print("the whole audit", file=sys.stderr)
    runs = {FEW: [], DOMAINS: []}
    for n in range(RUNS):
        for count, list_ in runs.items():
            m, reports = bench.verify("shared.test", count, bench.named.port)
            if sum(r["status"] == "ok" for r in reports) != count:
                raise SystemExit(f"not all ok: {[r for r in reports if r['status'] != 'ok'][:1]}")
            m["rate"] = count / m["wall_s"]
            list_.append(m)
        print(f"  kmsbeacon {n + 1}/{RUNS}: {m['rate']:8.0f} domains/s", file=sys.stderr, flush=True)
    fact(rows, "whole audit: kmsbeacon verify", rate(runs[DOMAINS], "domains"), "", None)
    memory(rows, "whole audit", runs[FEW], runs[DOMAINS])


def run(folder, rows):
    """Add the rows of this part to the table."""
    bench = Bench(folder)
    try:
        many = beside_dnsperf(bench, rows) + beside_dig(bench, rows)
        memory(rows, "lookups", [bench.look_up(FEW, bench.named.port) for _ in range(RUNS)], many)
        audit(bench, rows)
    finally:
        bench.stop()
    return f"resolver: {DOMAINS} domains"
