"""Every fault by its name, and nothing else: each test plants one and asserts exactly what `verify` finds.

Most faults are zones of one pair of servers, audited in one run; what needs servers or a journal of its own follows.
"""

import json
import threading
from dataclasses import dataclass, field

import pytest

from kblib.bind import Key, Named, View, Zone, zone_text
from kblib.kms_host import KmsHost
from kblib.loopback import Loopback, free_port
from kblib.process import wait_until
from kblib.program import run_program
from kblib.site import CORP, SRV
from kblib.tap import QUERY


@dataclass
class Fault:
    """
    A zone on two name servers, and what is to be found. `{p1}` and so on in the lines are ports of hosts. `second`
    is what the second server has instead of the same lines; `serials` are those of the two.
    """

    found: list
    lines: list
    second: list = None
    serials: tuple = (1, 1)
    ttl: int = 300
    second_ttl: int = None
    ns: tuple = ("ns1", "ns2")  # the first is the MNAME
    second_ns: tuple = None
    absent: bool = False  # the second server does not have the zone
    signed: bool = False
    secondary: bool = False
    more: list = field(default_factory=list)  # further lines on both servers


K1 = "_vlmcs._tcp SRV 0 0 {p1} kms1.hosts.test."
K2 = "_vlmcs._tcp SRV 10 0 {p2} kms2.hosts.test."
BOTH = [K1, K2]

FAULTS = {
    # what is in order, in more than one way
    "healthy": Fault([], BOTH),
    "configured": Fault([], BOTH),
    "signed": Fault([], BOTH, signed=True, secondary=True),
    "hidden-primary": Fault([], BOTH, ns=("hidden.hosts.test.", "ns1", "ns2")),
    "domain-controllers": Fault([], BOTH, serials=(70, 2000), second_ns=("ns2", "ns1")),
    "behind-but-the-same": Fault([], BOTH, serials=(9, 7)),
    "wildcard-beside": Fault([], BOTH, more=["* A 127.0.0.1", "*.other TXT x"]),
    "two-ports": Fault([], [*BOTH, "_vlmcs._tcp SRV 20 0 {p4} kms1.hosts.test."]),
    # the set
    "no-records": Fault(["no-records"], []),
    "missing": Fault(["missing", "single-point-of-failure"], [K1]),
    "foreign": Fault(["foreign-unknown"], [*BOTH, "_vlmcs._tcp SRV 20 0 {p3} kms3.hosts.test."]),
    "priority": Fault(["priority-differs"], [K1, "_vlmcs._tcp SRV 11 0 {p2} kms2.hosts.test."]),
    "weight": Fault(["weight-differs"], [K1, "_vlmcs._tcp SRV 10 9 {p2} kms2.hosts.test."]),
    "self-published": Fault(["host-self-publishes"], [*BOTH, "_vlmcs._tcp SRV 0 0 {p2} kms2.hosts.test."]),
    "self-published-here": Fault(["host-self-publishes"], [*BOTH, "_vlmcs._tcp SRV 0 0 {p2} kms2.hosts.test."]),
    "duplicate": Fault(["duplicate-record"], [*BOTH, "_vlmcs._tcp SRV 20 7 {p2} kms2.hosts.test."]),
    "wildcard": Fault(["wildcard"], [r.replace("_vlmcs", "*") for r in BOTH]),
    "wildcard-alias": Fault(["no-records", "wildcard"], ["* CNAME www", "www A 127.0.0.1"]),
    "aliased": Fault(["aliased"], ["_vlmcs._tcp CNAME kms.hosts.test."]),
    "absent": Fault(["absent-by-dot"], ["_vlmcs._tcp SRV 0 0 0 ."]),
    "absent-beside": Fault(["absent-by-dot"], [*BOTH, "_vlmcs._tcp SRV 0 0 0 ."]),
    "ttl-zero": Fault(["ttl-zero"], ["$TTL 0", *BOTH]),
    "ttl-long": Fault(["ttl-long"], ["$TTL 86401", *BOTH]),
    "ttl-differs": Fault(["ttl-mismatch"], BOTH, second_ttl=60),
    "one-host": Fault(["single-point-of-failure"], [K1]),
    "one-machine": Fault(["single-point-of-failure"], [K1, "_vlmcs._tcp SRV 10 0 {p1} again.hosts.test."]),
    "one-priority": Fault(["equal-priorities"], [K1, "_vlmcs._tcp SRV 0 0 {p2} kms2.hosts.test."]),
    "suffix1": Fault(["suffixes-differ"], BOTH),
    "suffix2": Fault(["single-point-of-failure", "suffixes-differ"], [K1]),
    "too-many": Fault(
        ["duplicate-record", "single-point-of-failure", "too-many-records"],
        [f"_vlmcs._tcp SRV 0 {w} {{p1}} kms1.hosts.test." for w in range(1, 1030)],
    ),
    # hosts behind records
    "all-down": Fault(["all-down", "dead-target"], ["_vlmcs._tcp SRV 0 0 {closed} kms1.hosts.test."]),
    "dead": Fault(["dead-target"], [*BOTH, "_vlmcs._tcp SRV 20 0 {closed} kms1.hosts.test."]),
    "stale-address": Fault(["dead-address"], [*BOTH, "_vlmcs._tcp SRV 20 0 {p3} moved.hosts.test."]),
    "two-families": Fault([], [*BOTH, "_vlmcs._tcp SRV 20 0 {p3} dual.hosts.test."]),
    "no-rpc": Fault(["no-rpc"], [*BOTH, "_vlmcs._tcp SRV 20 0 {text} text.hosts.test."]),
    "not-kms": Fault(["not-kms"], [*BOTH, "_vlmcs._tcp SRV 20 0 {strange} strange.hosts.test."]),
    "gone": Fault(["target-no-address"], [*BOTH, "_vlmcs._tcp SRV 20 0 1688 gone.hosts.test."]),
    "cname": Fault(["target-cname"], [*BOTH, "_vlmcs._tcp SRV 20 0 {p3} alias.hosts.test."]),
    "link-local": Fault(["target-link-local"], [*BOTH, "_vlmcs._tcp SRV 20 0 {p3} linked.hosts.test."]),
    "port-zero": Fault(["port-zero"], [*BOTH, "_vlmcs._tcp SRV 20 0 0 kms1.hosts.test."]),
    # servers
    "differ": Fault(["servers-differ"], BOTH, second=[K1]),
    "controllers-differ": Fault(["servers-differ"], BOTH, second=[K1], serials=(70, 2000), second_ns=("ns2", "ns1")),
    "stuck": Fault(["lag"], BOTH, second=[K1], serials=(9, 7)),
    "stuck-wrapped": Fault(["lag"], BOTH, second=[K1], serials=(3, 4294967290)),
    "backwards": Fault(["serial-backwards", "single-point-of-failure"], [K1], second=BOTH, serials=(1, 3)),
    "outside-view": Fault(["serial-backwards"], BOTH, second=[], serials=(5, 900)),
    "backwards-but-the-same": Fault(["serial-backwards"], BOTH, serials=(1, 3)),
    "dead-server": Fault(["server-unreachable"], BOTH, ns=("ns1", "ns2", "dead.hosts.test.")),
    "nameless-server": Fault(["server-unreachable"], BOTH, ns=("ns1", "ns2", "nowhere.hosts.test.")),
    "lame": Fault(["server-lame"], BOTH, absent=True),
}
CONFIGURED = ("configured", "missing", "foreign", "priority", "weight", "self-published-here")


class Estate:
    """All the zones on two servers; the first one is the resolver, too."""

    def __init__(self, folder):
        self.net = Loopback()
        self.first, self.second = self.net.address(), self.net.address()
        kinds = {"p1": "up", "p2": "up", "p3": "up", "text": "text", "strange": "no-interface"}
        self.hosts = {k: KmsHost(self.net.address(), b) for k, b in kinds.items()}
        self.hosts["p4"] = KmsHost(self.hosts["p1"].address)
        self.ports = {k: h.port for k, h in self.hosts.items()}
        self.ports["closed"] = free_port(self.hosts["p1"].address, udp=False)
        hosts = zone_text("hosts.test", [("ns1", self.first)], [line.format(**self.ports) for line in self._host_lines()])
        first, second = [Zone("hosts.test", hosts)], []
        for name, fault in FAULTS.items():
            self._add(name, fault, first, second)
        self.named = [
            Named(folder, "ns1", self.first, self.net.port, zones=first, options=["max-records-per-type 0;"]).start(),
            Named(
                folder, "ns2", self.second, self.net.port, zones=second, options=["max-records-per-type 0;"], recursion=False
            ).start(),
        ]
        self.named[1].wait_serial("signed.test", 1)
        self.config = folder / "kmsbeacon.yaml"
        self.config.write_text(self._config(folder))
        self.found = self._audit(folder)

    def _host_lines(self):
        address = {k: h.address for k, h in self.hosts.items()}
        return [
            f"kms1 A {address['p1']}", f"again A {address['p1']}", f"kms2 A {address['p2']}",
            f"kms3 A {address['p3']}", f"text A {address['text']}", f"strange A {address['strange']}", "alias CNAME kms3",
            f"moved A {address['p3']}", f"moved A {address['p1']}", f"dual A {address['p3']}", "dual AAAA ::1",
            f"linked A {address['p3']}", "linked AAAA fe80::1", f"dead A {self.net.address()}",
            "kms SRV 0 0 {p1} kms1", "kms SRV 10 0 {p2} kms2",
        ]

    def _text(self, name, fault, second):
        lines = fault.second if second and fault.second is not None else fault.lines
        names = fault.second_ns if second and fault.second_ns else fault.ns
        addresses = {"ns1": self.first, "ns2": self.second}
        text = zone_text(
            f"{name}.test", [(n, addresses.get(n, "")) for n in names],
            [line.format(**self.ports) for line in [*fault.more, *lines]], serial=fault.serials[second],
            ttl=fault.second_ttl if second and fault.second_ttl else fault.ttl,
        )
        return text.replace("@ NS hidden.hosts.test.\n", "")

    def _add(self, name, fault, first, second):
        domain = f"{name}.test"
        clauses = [f"also-notify {{ {self.second} port {self.net.port}; }};"] if fault.secondary else []
        if fault.signed:
            clauses.append("dnssec-policy default; inline-signing yes;")
        first.append(Zone(domain, self._text(name, fault, 0), clauses=tuple(clauses)))
        if fault.secondary:
            second.append(Zone(domain, primaries=f"{self.first} port {self.net.port}", clauses=("notify no;",)))
        elif not fault.absent:
            second.append(Zone(domain, self._text(name, fault, 1)))

    def _config(self, folder):
        one, two = self.ports["p1"], self.ports["p2"]
        return (
            f"node: {{ state_dir: {folder}/state }}\n"
            f"discovery: {{ resolvers: ['{self.first}:{self.net.port}'], suffixes: [suffix1.test, suffix2.test] }}\n"
            f"hosts:\n- {{ name: one, target: kms1.hosts.test, port: {one}, priority: 0, weight: 0 }}\n"
            f"- {{ name: two, target: kms2.hosts.test, port: {two}, priority: 10, weight: 0 }}\n"
            f"publish: {{ domains: [{', '.join(f'{n}.test' for n in CONFIGURED)}] }}\n"
        )

    def run(self, *args):
        return run_program(["verify", "-c", self.config, *args], dns_port=self.net.port)

    def _audit(self, folder):
        names = folder / "domains.txt"
        names.write_text("".join(f"{n}.test\n" for n in FAULTS))
        r = self.run("--json", "--domains-file", names)
        return {d["domain"].removesuffix(".test"): d for d in map(json.loads, r.out.splitlines())}

    def stop(self):
        for s in [*self.named, *self.hosts.values()]:
            s.stop()


@pytest.fixture(scope="module")
def estate(tmp_path_factory):
    e = Estate(tmp_path_factory.mktemp("faults"))
    yield e
    e.stop()


def ids(domain):
    return sorted(f["id"] for f in domain["findings"])


@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault_is_named_and_nothing_else(estate, name):
    d = estate.found[name]
    assert ids(d) == FAULTS[name].found, json.dumps(d["findings"], indent=1)
    severities = {f["severity"] for f in d["findings"]}
    worst = "critical" if "critical" in severities else "warning" if "warning" in severities else "ok"
    assert d["status"] == worst
    for f in d["findings"]:
        assert 0 < len(f["text"]) < 200 and f["hint"] and not f["hint"].endswith("."), f


# ---- a change that is on its way ----


def test_Z07_healthy_zone_with_two_secondaries_and_updates_in_flight(named, tap, loopback, kms_host, kb, tmp_path):
    """BIND's own notify delay of 5 s: one change is on its way when the audit begins, another comes while it waits."""
    addresses = [loopback.address() for _ in range(3)]
    hosts = [kms_host() for _ in range(4)]
    key = Key("corp-update")
    lines = [f"_vlmcs._tcp SRV {i * 10} 0 {h.port} kms{i}" for i, h in enumerate(hosts[:2])]
    lines += [f"kms{i} A {h.address}" for i, h in enumerate(hosts)]
    zone = Zone(CORP, zone_text(CORP, [(f"ns{i}", a) for i, a in enumerate(addresses)], lines), updaters=[key])
    tell = " ".join(f"{a} port {loopback.port};" for a in addresses[1:])
    zone.clauses = (f"also-notify {{ {tell} }};",)
    primary = named("ns0", address=addresses[0], zones=[zone], keys=[key])
    copy = {"primaries": f"{addresses[0]} port {loopback.port}", "clauses": ("notify no;",)}
    secondaries = [named(f"ns{i}", address=addresses[i], zones=[Zone(CORP, **copy)]) for i in (1, 2)]
    for s in secondaries:
        s.wait_serial(CORP, 1)

    def add(i):
        assert primary.update(CORP, ("add", SRV, 300, "SRV", f"{i}0 0 {hosts[i].port} kms{i}.{CORP}."), key=key) == 0

    add(2)
    for s in secondaries:
        s.wait_serial(CORP, 2)
    add(3)  # of this the secondaries learn 5 s after the notice before it
    config = tmp_path / "kmsbeacon.yaml"
    resolver = tap(primary)
    config.write_text(f"discovery: {{ resolvers: ['{resolver.address}:{loopback.port}'] }}\n")
    result = []
    audit = threading.Thread(target=lambda: result.append(kb("verify", "--json", "-c", config, "--domain", CORP)))
    audit.start()
    wait_until("the audit asks", lambda: b"_vlmcs" in b"".join(m.data for m in resolver.messages()))
    third = f"{hosts[3].port} kms3.{CORP}."
    change = [("delete", SRV, "SRV", f"30 0 {third}"), ("add", SRV, 300, "SRV", f"40 0 {third}")]
    assert primary.update(CORP, *change, key=key) == 0
    audit.join()
    assert result[0].code == 0, result[0]
    d = result[0].json["domains"][0]
    assert d["status"] == "ok" and d["findings"] == [] and len(d["servers"]) == 4, result[0]
    assert {s["serial"] for s in d["servers"] if s["role"] == "ns"} == {4}
    assert [r["priority"] for r in d["records"]] == [0, 10, 20, 40]


def test_domain_in_two_views_of_which_one_is_seen(named, loopback, kms_host, kb, tmp_path):
    """What is configured for the inside is not missing outside, nor the other way round."""
    address, inside = loopback.address(), loopback.address()
    up = [kms_host() for _ in range(4)]
    lines = [f"kms{i} A {h.address}" for i, h in enumerate(up)]
    records = [f"_vlmcs._tcp SRV {i % 2 * 10} 0 {h.port} kms{i}" for i, h in enumerate(up)]
    named("ns1", address=address, views=[
        View(name, f"match-clients {{ {who}; }};", [Zone(CORP, zone_text(CORP, [("ns1", address)], [*lines, *mine]))])
        for name, who, mine in (("in", inside, records[:2]), ("out", "any", records[2:]))
    ])
    entries = [
        f"{{ name: h{i}, target: kms{i}.{CORP}, port: {h.port}, priority: {i % 2 * 10}, weight: 0 }}" for i, h in enumerate(up)
    ]
    config = tmp_path / "kmsbeacon.yaml"
    outside = loopback.address()
    for source, port in ((inside, up[0].port), (outside, up[2].port)):
        config.write_text(
            f"discovery: {{ resolvers: ['{address}:{loopback.port}'] }}\nhosts: [{', '.join(entries)}]\n"
            f"publish:\n  source: {source}\n  domains:\n  - {{ domain: {CORP}, view: in, source: {inside}, hosts: [h0, h1] }}\n"
            f"  - {{ domain: {CORP}, view: out, source: {outside}, hosts: [h2, h3] }}\n"
        )
        r = kb("verify", "--json", "-c", config)
        assert r.code == 0 and len(r.json["domains"]) == 1, r
        d = r.json["domains"][0]
        assert d["findings"] == [] and d["records"][0]["port"] == port, r


# ---- what this machine knows: journal and key ----


@pytest.fixture
def hosts(site, kms_host):
    """The two hosts that the zone of `site` has names for, up; as entries of `hosts:`, at priorities 0 and 10."""
    up = [kms_host(address="127.0.0.9") for _ in range(2)]
    return [
        f"{{ name: h{i + 1}, target: kms{i + 1}.{CORP}, port: {h.port}, priority: {i * 10}, weight: 10 }}"
        for i, h in enumerate(up)
    ]


@pytest.fixture
def found(site):
    """found(**config) audits the domain of `site`; the ids of what is found, and {id: text} as .texts."""

    def run(*args, **config):
        r = site.kb("verify", "--json", "-c", site.config(**config), *(args or ("--domain", CORP)))
        domains = {d["domain"]: d for d in r.json["domains"]}
        run.domains = domains
        run.texts = {f["id"]: f["text"] for f in domains[CORP]["findings"]}
        return ids(domains[CORP])

    return run


def test_published_records_are_ours(site, hosts, found):
    site.start()
    site.one(state="proven", hosts=hosts)
    assert found(hosts=hosts) == []
    assert [(r["class"], r["journal"]) for r in found.domains[CORP]["records"]] == [("mine-healthy", "published")] * 2


def test_orphans(site, hosts, found):
    site.start()
    site.one(state="proven", hosts=hosts)
    other = ["{ domain: other.test, lab: true, key: corp }"]
    assert found(hosts=hosts, domains=other) == ["orphan", "orphan"]
    assert "the domain is no longer configured" in found.texts["orphan"]
    # without --domain it is audited, too
    found("--server", f"{site.first}:{site.loopback.port}", hosts=hosts, domains=other)
    assert set(found.domains) == {"other.test", CORP}
    # one host is no longer configured: the next publish removes it, as the hint says
    assert found(hosts=hosts[:1]) == ["orphan"] and found.texts["orphan"].startswith(f"kms2.{CORP}")
    site.one(state="proven", hosts=hosts[:1])
    assert found(hosts=hosts[:1]) == ["single-point-of-failure"]
    # and so does the other half of the hint
    assert found(hosts=hosts[:1], domains=other) == ["orphan", "single-point-of-failure"]
    site.one("withdraw", "--orphans", state="proven", hosts=hosts[:1], domains=other)
    assert found(hosts=hosts[:1], domains=other) == ["no-records"]


def test_withdrawn_record(site, hosts, found):
    site.start()
    site.one(state="proven", hosts=hosts)
    site.one("withdraw", "--host", "h2", state="proven", hosts=hosts)
    assert found(hosts=hosts) == ["single-point-of-failure", "withdrawn"]
    assert found.texts["withdrawn"].startswith(f"kms2.{CORP}:")
    site.one("withdraw", state="proven", hosts=hosts)
    assert found(hosts=hosts) == ["no-records", "withdrawn", "withdrawn"]
    # what --expect names is expected, whatever the journal knows
    assert found("--domain", CORP, "--expect", f"kms1.{CORP}", hosts=hosts) == ["missing"]


def test_withdrawn_record_that_comes_back(site, hosts, found):
    site.start()
    site.one(state="proven", hosts=hosts)
    rdata = next(r for r in site.shown() if "kms2" in r).split(" ", 1)[1]
    site.one("withdraw", "--host", "h2", state="proven", hosts=hosts)
    assert site.primary.update(CORP, ("add", SRV, 3600, "SRV", rdata), key=site.key) == 0
    site.secondary.wait_serial(CORP, site.primary.serial(CORP))
    assert found(hosts=hosts) == ["another-publisher"]
    site.one(state="unchanged", hosts=hosts)


def test_record_that_somebody_else_removed(site, hosts, found):
    site.start()
    site.one(state="proven", hosts=hosts)
    rdata = next(r for r in site.shown() if "kms2" in r).split(" ", 1)[1]
    assert site.primary.update(CORP, ("delete", SRV, "SRV", rdata), key=site.key) == 0
    site.secondary.wait_serial(CORP, site.primary.serial(CORP))
    assert found(hosts=hosts) == ["missing", "single-point-of-failure"]
    assert "though it was from here" in found.texts["missing"]


def test_clock_skew(site, hosts, found):
    """Seen before updates fail, and when they do. The server goes on answering questions that are not signed."""
    site.start()
    site.one(state="proven", hosts=hosts)
    site.primary.set_clock(50)
    assert found(hosts=hosts) == []
    site.primary.set_clock(120)
    assert found(hosts=hosts) == ["clock-skew"]
    assert 115 <= int(found.texts["clock-skew"].split(" is ")[1].split()[0]) <= 121
    site.primary.set_clock(-4000)
    assert found(hosts=hosts) == ["clock-skew"] and "s behind ours" in found.texts["clock-skew"]


def test_key_that_the_primary_does_not_accept(site, hosts, found):
    site.start()
    site.one(state="proven", hosts=hosts)
    Key(site.key.name).write(site.folder)
    assert found(hosts=hosts) == ["key-refused"] and "BADSIG" in found.texts["key-refused"], found.texts


# ---- of the publisher ----


def test_target_that_nobody_could_look_up(site):
    site.start()

    def no_answer(m):
        if m.opcode != QUERY or b"elsewhere" not in m.data:
            return m.reply
        return m.reply[:3] + bytes([m.reply[3] & 0xF0 | 2]) + m.reply[4:]  # SERVFAIL

    site.tap.on_reply = no_answer
    d = site.one(state="proven", hosts=["{ name: a, target: kms.elsewhere.test, port: 1688 }"])
    assert "target-unchecked" in ids(d), d
