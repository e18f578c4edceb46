"""`kmsbeacon verify` against real named servers: silence on a healthy zone, and each planted fault by its name."""

import json

import pytest

from kblib.bind import ROOT_ZONE, Key, Zone, zone_text
from kblib.loopback import free_port

CORP = "corp.test"
SRV = f"_vlmcs._tcp.{CORP}"


class Site:
    """Two servers of the zone, a resolver that asks the first, and a configuration that names the resolver."""

    def __init__(self, named, loopback, tmp_path):
        self.named, self.loopback, self.tmp_path = named, loopback, tmp_path
        self.first, self.second = loopback.address(), loopback.address()
        self.key = Key("corp-update")
        self.primary = self.secondary = self.resolver = None

    def text(self, *lines, serial=1, ttl=300):
        return zone_text(CORP, [("ns1", self.first), ("ns2", self.second)], lines, serial=serial, ttl=ttl)

    def start(self, *lines, second=None, primary_zones=(), secondary=True):
        """`second` is the text of the other server's zone where it is not to be a secondary."""
        policy = f"update-policy {{ grant {self.key.name} name {SRV}. SRV; }};"
        tell = f"also-notify {{ {self.second} port {self.loopback.port}; }};"
        self.primary = self.named(
            "ns1", address=self.first, keys=[self.key], options=["notify-delay 0;"],
            zones=[Zone(CORP, self.text(*lines), clauses=(policy, tell)), *primary_zones],
        )
        if second:
            self.secondary = self.named("ns2", address=self.second, zones=[Zone(CORP, second)])
        elif secondary:
            zone = Zone(CORP, primaries=f"{self.first} port {self.loopback.port}", clauses=("notify no;",))
            self.secondary = self.named("ns2", address=self.second, zones=[zone])
            self.secondary.wait_serial(CORP, 1)
        self.resolver = self._resolver([CORP, *(z.name for z in primary_zones)])
        return self

    def _resolver(self, zones):
        """It asks the first server. Its own root must delegate, or it would deny the zones itself."""
        delegations = "".join(f"{z}. NS ns.{z}.\n" for z in zones)
        forward = f"type forward; forward only; forwarders {{ {self.first} port {self.loopback.port}; }};"
        return self.named(
            "resolver", zones=[Zone(".", ROOT_ZONE + delegations)],
            extra="".join(f'zone "{z}" {{ {forward} }};\n' for z in zones),
        )

    def config(self, more=""):
        path = self.tmp_path / "kmsbeacon.yaml"
        path.write_text(f"discovery: {{ resolvers: ['{self.resolver.address}:{self.resolver.port}'] }}\n{more}")
        return path


@pytest.fixture
def site(named, loopback, tmp_path):
    return Site(named, loopback, tmp_path)


@pytest.fixture
def verify(kb, site):
    """verify(...) audits the site's domain; `exit` is checked, the domain's object returned."""

    def run(*args, exit=0, config=None):
        r = kb("verify", "--json", "-c", config or site.config(), "--domain", CORP, *args)
        assert r.code == exit, r
        assert r.json["status"] == ("ok", "warning", "critical", "unknown")[exit]
        assert len(r.json["domains"]) == 1
        return r.json["domains"][0]

    return run


def ids(domain):
    return [f["id"] for f in domain["findings"]]


def hosts(kms_host, n=2):
    """Lines for n hosts that are up, at priorities 0, 10 ..."""
    lines = []
    for i in range(n):
        h = kms_host()
        lines += [f"_vlmcs._tcp SRV {i * 10} 0 {h.port} kms{i + 1}", f"kms{i + 1} A {h.address}"]
    return lines


def test_healthy_zone_has_no_finding(site, verify, kms_host):
    site.start(*hosts(kms_host))
    d = verify()
    assert d["findings"] == [] and d["status"] == "ok" and d["zone"] == CORP
    assert [(s["role"], s["state"], s["aa"]) for s in d["servers"]] == [
        ("ns", "ok", True), ("ns", "ok", True), ("resolver", "ok", False),
    ]
    assert {s["serial"] for s in d["servers"]} == {1, None}
    assert [r["target"] for r in d["servers"][2]["records"]] == [f"kms1.{CORP}", f"kms2.{CORP}"]
    assert [(r["class"], r["probability"], r["probe"]["state"]) for r in d["records"]] == [
        ("expected", 1.0, "up"), ("expected", 0.0, "up"),
    ]


def test_one_host_is_told_and_still_ok(site, verify, kms_host):
    site.start(*hosts(kms_host, 1))
    d = verify()
    assert ids(d) == ["single-point-of-failure"] and d["findings"][0]["severity"] == "info"


@pytest.mark.parametrize("behaviour, finding, state", [
    ("no-interface", "not-kms", "no-kms-interface"),
    ("nak", "no-rpc", "rpc-refused"),
    ("text", "no-rpc", "not-rpc"),
])
def test_port_that_is_no_kms_host(site, verify, kms_host, behaviour, finding, state):
    bad = kms_host(behaviour)
    site.start(*hosts(kms_host), f"_vlmcs._tcp SRV 20 0 {bad.port} bad", f"bad A {bad.address}")
    d = verify(exit=1)
    assert ids(d) == [finding]
    assert [r["probe"]["state"] for r in d["records"] if r["target"] == f"bad.{CORP}"] == [state]
    assert d["findings"][0]["hint"]


def test_targets_that_cannot_be_used(site, verify, kms_host, loopback):
    dead = loopback.address()
    closed = free_port(dead, udp=False)
    site.start(
        *hosts(kms_host), f"_vlmcs._tcp SRV 20 0 {closed} dead", f"dead A {dead}", "_vlmcs._tcp SRV 21 0 1688 gone",
        "alias CNAME kms1", "_vlmcs._tcp SRV 22 0 1688 alias", "_vlmcs._tcp SRV 23 0 0 kms1",
    )
    d = verify(exit=1)
    # alias:1688 is also closed, as kms1 listens elsewhere
    assert sorted(ids(d)) == ["dead-target", "dead-target", "port-zero", "target-cname", "target-no-address"]
    classes = {r["target"]: r["class"] for r in d["records"] if r["priority"] >= 20}
    assert classes[f"alias.{CORP}"] == "target-cname" and classes[f"gone.{CORP}"] == "dead-target"


def test_all_hosts_down(site, verify, loopback):
    dead = loopback.address()
    site.start(f"_vlmcs._tcp SRV 0 0 {free_port(dead, udp=False)} kms1", f"kms1 A {dead}")
    assert ids(verify(exit=2)) == ["all-down", "dead-target"]


@pytest.mark.parametrize("lines, finding", [
    ([], "no-records"),
    (["_vlmcs._tcp SRV 0 0 0 ."], "absent-by-dot"),
])
def test_no_host(site, verify, lines, finding):
    site.start(*lines)
    assert ids(verify(exit=2)) == [finding]


def test_alias_that_leads_nowhere_is_named(site, verify):
    site.start("_vlmcs._tcp CNAME gone.corp.test.")
    d = verify(exit=2)
    assert ids(d) == ["no-records", "aliased"]
    assert "no SRV record for gone.corp.test, to which" in d["findings"][0]["text"]


def test_expected_set(site, verify, kms_host):
    h1, h2 = kms_host(), kms_host()
    site.start(
        f"_vlmcs._tcp SRV 0 5 {h1.port} kms1", f"_vlmcs._tcp SRV 10 0 {h2.port} kms2",
        f"kms1 A {h1.address}", f"kms2 A {h2.address}",
    )
    one, two = f"kms1.{CORP}:{h1.port}", f"kms2.{CORP}:{h2.port}"
    assert ids(verify("--expect", one, "--expect", two)) == []
    assert ids(verify("--expect", one, exit=1)) == ["extra"]
    d = verify("--expect", f"{one}:1:6", "--expect", two, exit=1)
    assert ids(d) == ["priority-differs", "weight-differs"]
    d = verify("--expect", one, "--expect", two, "--expect", "kms9.corp.test:1688", exit=2)
    assert ids(d) == ["missing"] and "kms9.corp.test:1688" in d["findings"][0]["text"]


def test_against_the_configuration(site, verify, kms_host):
    ours, rogue = kms_host(), kms_host()
    site.start(
        f"_vlmcs._tcp SRV 0 10 {ours.port} kms1", f"_vlmcs._tcp SRV 0 0 {ours.port} kms1",
        f"_vlmcs._tcp SRV 5 0 {rogue.port} rogue", f"kms1 A {ours.address}", f"rogue A {rogue.address}",
    )
    config = site.config(f"""
hosts: [{{ name: office, target: kms1.{CORP}, port: {ours.port}, priority: 0, weight: 10 }}]
publish: {{ domains: [{CORP}] }}
""")
    d = verify(exit=1, config=config)
    assert sorted(ids(d)) == ["foreign-unknown", "host-self-publishes"]
    assert {(r["target"].split(".")[0], r["weight"]): r["class"] for r in d["records"]} == {
        ("kms1", 10): "mine-healthy", ("kms1", 0): "foreign-known", ("rogue", 0): "foreign-unknown",
    }


def test_Z08_dead_name_server(site, verify, kms_host):
    site.start(*hosts(kms_host), secondary=False)
    d = verify(exit=1)
    assert ids(d) == ["server-unreachable"] and f"ns2.{CORP}" in d["findings"][0]["text"]
    assert [s["state"] for s in d["servers"]] == ["ok", "unreachable", "ok"]


def test_lame_name_server(site, verify, kms_host, named):
    site.start(*hosts(kms_host), secondary=False)
    named("other", address=site.second, recursion=False)
    assert ids(verify(exit=1)) == ["server-lame"]


def test_Z09_secondary_stuck_on_an_old_serial(site, verify, kms_host):
    lines = hosts(kms_host)
    site.start(*lines, second=site.text(serial=4294967290))
    d = verify(exit=1)
    assert ids(d) == ["lag"] and d["servers"][1]["state"] == "lagging"


def test_servers_that_contradict_each_other(site, verify, kms_host):
    lines = hosts(kms_host)
    site.start(*lines, second=site.text(*lines[2:]))
    assert ids(verify(exit=1)) == ["servers-differ"]


def test_ttl_differs_between_servers(site, verify, kms_host):
    lines = hosts(kms_host)
    site.start(*lines, second=site.text(*lines, ttl=60))
    assert ids(verify(exit=1)) == ["ttl-mismatch"]


def test_resolver_with_an_old_answer(site, verify, kms_host):
    site.start(*hosts(kms_host))
    site.resolver.query(SRV, "SRV", rd=True)
    extra = kms_host()
    rdata = f"30 0 {extra.port} kms1.{CORP}."
    assert site.primary.update(CORP, ("add", SRV, 300, "SRV", rdata), key=site.key) == 0
    site.secondary.wait_serial(CORP, 2)
    d = verify("--expect", f"kms1.{CORP}", exit=2)  # whatever else: the resolver is named, as information
    stale = [f for f in d["findings"] if f["id"] == "resolver-stale"]
    assert len(stale) == 1 and stale[0]["severity"] == "info"


def test_resolver_that_does_not_know_the_zone(site, verify, kms_host, named):
    site.start(*hosts(kms_host))
    site.resolver = named("stranger")
    d = verify("--server", f"{site.first}:{site.primary.port}", exit=1)
    assert ids(d) == ["resolver-differs"]


def test_alias(site, verify, kms_host):
    """The records stand in another zone, whose servers are the ones to ask."""
    h1, h2 = kms_host(), kms_host()
    dept = zone_text("dept.test", [("ns1.corp.test.", site.first)], [
        f"kms SRV 0 0 {h1.port} kms1", f"kms SRV 10 0 {h2.port} kms2", f"kms1 A {h1.address}", f"kms2 A {h2.address}",
    ])
    site.start("_vlmcs._tcp CNAME kms.dept.test.", primary_zones=[Zone("dept.test", dept)])
    d = verify()
    assert ids(d) == ["aliased"] and d["zone"] == "dept.test"
    assert "leads to kms.dept.test" in d["findings"][0]["text"]
    assert len(d["records"]) == 2


def test_given_server_is_enough(site, kb, kms_host):
    """Without a resolver that knows the zone, and with a name server on a port of its own."""
    site.start(*hosts(kms_host))
    config = site.tmp_path / "empty.yaml"
    config.write_text("{}\n")
    server = f"{site.first}:{site.primary.port}"
    r = kb("verify", "--json", "-c", config, "--domain", CORP, "--server", server)
    assert r.code == 0 and r.json["domains"][0]["findings"] == [], r


def test_nobody_answers(site, verify, kms_host):
    site.start(*hosts(kms_host))
    for server in (site.primary, site.secondary, site.resolver):
        server.kill()
    assert ids(verify(exit=3))[0] == "no-answer"


def test_several_domains_and_the_worst_counts(site, kb, kms_host):
    bad = zone_text("dept.test", [("ns1.corp.test.", site.first)])
    site.start(*hosts(kms_host), primary_zones=[Zone("dept.test", bad)])
    names = site.tmp_path / "domains.txt"
    names.write_text(f"{CORP}\n# a comment\ndept.test\n")
    r = kb("verify", "--json", "-c", site.config(), "--domains-file", names)
    assert r.code == 2, r
    reports = {d["domain"]: d["status"] for d in map(json.loads, r.out.splitlines())}
    assert reports == {CORP: "ok", "dept.test": "critical"}


def test_one_line_for_nagios(site, kb, kms_host):
    site.start(*hosts(kms_host))
    r = kb("verify", "--nagios", "-c", site.config(), "--domain", CORP)
    assert r.code == 0 and len(r.out.splitlines()) == 1 and "OK" in r.out and "|" in r.out, r


def test_each_target_is_probed_once(site, kb, kms_host):
    host = kms_host()
    zones = [
        Zone(f"d{n}.test", zone_text(f"d{n}.test", [("ns1.corp.test.", site.first)], [
            f"_vlmcs._tcp SRV 0 0 {host.port} kms1.corp.test.",
        ])) for n in range(5)
    ]
    site.start(f"kms1 A {host.address}", primary_zones=zones)
    words = [w for n in range(5) for w in ("--domain", f"d{n}.test")]
    r = kb("verify", "--json", "-c", site.config(), *words)
    assert r.code == 0 and len(r.json["domains"]) == 5, r
    assert host.binds == 1


def test_text_for_people(site, kb, kms_host):
    bad = kms_host("no-interface")
    site.start(*hosts(kms_host), f"_vlmcs._tcp SRV 20 0 {bad.port} bad", f"bad A {bad.address}")
    r = kb("verify", "-c", site.config(), "--domain", CORP)
    assert r.code == 1, r
    for words in (CORP, "warning", f"bad.{CORP}", "not-kms", f"ns2.{CORP}"):
        assert words in r.out, words
