"""Table S: discovery against real named, scripted name servers and KMS hosts. Tests carry the id of their row."""

import json
import time

import dns.flags
import dns.rcode
import dns.rrset
import pytest

from kblib.bind import Zone, zone_text
from kblib.loopback import free_port, has_ipv6
from kblib.process import SLOWER

CORP, DEPT = "corp.test", "dept.test"
SRV = f"_vlmcs._tcp.{CORP}"
needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


@pytest.fixture
def zones(named, loopback):
    """zones(corp=[lines], ...) starts a server with these zones, of these lines."""

    def start(options=(), **lines):
        address = loopback.address()
        texts = {f"{n}.test": zone_text(f"{n}.test", [("ns1", address)], more) for n, more in lines.items()}
        return named("ns1", address=address, options=options, zones=[Zone(n, text) for n, text in texts.items()])

    return start


@pytest.fixture
def scripted(fake_dns, loopback):
    """scripted(lines, on_query) answers for corp.test as a script says; it claims to recurse."""

    def start(lines=(), on_query=None, **how):
        address = how.setdefault("address", loopback.address())
        return fake_dns(CORP, zone_text(CORP, [("ns1", address)], lines), on_query=on_query, **how)

    return start


@pytest.fixture
def discover(kb):
    def run(server, *args, code=0, domains=(CORP,)):
        servers = server if isinstance(server, (list, tuple)) else [server]
        words = [w for d in domains for w in ("--domain", d)]
        words += [w for s in servers for w in ("--server", f"{s.address}:{s.port}")]
        r = kb("discover", "--json", *words, *args)
        assert r.code == code, r
        return r.json

    return run


def host_lines(host, name, priority=0, weight=0):
    return [f"_vlmcs._tcp SRV {priority} {weight} {host.port} {name}", f"{name} A {host.address}"]


def probed(report):
    return {c["target"].split(".")[0]: c["probe"] and c["probe"]["state"] for c in report["candidates"]}


def asked(report, kind="SRV"):
    return [q["name"] for q in report["queries"] if q["type"] == kind]


def steps(report):
    return "\n".join(s["detail"] for s in report["steps"])


# ---- the set and its order ----


def test_S03_the_next_tier_only_when_the_first_is_gone(zones, kms_host, discover):
    tiers = [kms_host() for _ in range(3)]
    lines = [line for n, h in enumerate(tiers) for line in host_lines(h, f"tier{n}", 10 * n, 65535 * (n > 0))]
    server = zones(corp=lines)
    for alive in range(3):
        report = discover(server, "--no-cache")
        assert report["selected"]["target"] == f"tier{alive}.{CORP}"
        want = {f"tier{n}": "refused" if n < alive else "up" if n == alive else None for n in range(3)}
        assert probed(report) == want
        tiers[alive].stop()
    report = discover(server, "--no-cache", code=1)
    assert report["result"]["code"] == "0xC004F074" and set(probed(report).values()) == {"refused"}


@pytest.mark.parametrize("lines, code, text", [
    (["_vlmcs._tcp SRV 0 0 0 ."], "0x8007251D", "there is no KMS host here"),
    (["_vlmcs._tcp SRV 0 0 0 kms1"], "0xC004F074", "is passed over: port 0"),
], ids=["dot", "port_0"])
def test_S04_absent_service_is_not_looked_for_elsewhere(zones, kms_host, discover, lines, code, text):
    """Neither in the next suffix nor at the address of the domain itself."""
    host = kms_host()
    server = zones(corp=[*lines, f"@ A {host.address}", f"kms1 A {host.address}"], dept=host_lines(host, "kms1"))
    report = discover(server, domains=(CORP, DEPT), code=1)
    assert report["selected"] is None and report["result"]["code"] == code
    assert asked(report) == [SRV] and text in steps(report).replace("\n", " ")
    assert host.binds == 0 and not any(c["probe"] for c in report["candidates"])


def test_S04_empty_set_is_no_record(zones, kms_host, discover):
    host = kms_host()
    server = zones(corp=['_vlmcs._tcp TXT "nothing yet"', f"@ A {host.address}"], dept=host_lines(host, "kms1"))
    report = discover(server, code=1)
    assert report["result"]["code"] == "0x8007251D" and asked(report, "A") == []
    report = discover(server, domains=(CORP, DEPT))
    assert report["selected"]["target"] == f"kms1.{DEPT}"


@pytest.mark.parametrize("alias", [
    "_vlmcs._tcp CNAME _vlmcs._tcp.dept.test.", "_tcp DNAME _tcp.dept.test.", "_vlmcs._tcp CNAME a.hop.test.",
], ids=["cname", "dname", "chain"])
def test_S05_alias_before_the_records(zones, kms_host, discover, alias):
    host = kms_host()
    server = zones(
        corp=[alias], dept=host_lines(host, "kms1"),
        hop=["a CNAME b", "b CNAME c.d", "d DNAME e", "c.e CNAME _vlmcs._tcp.dept.test."],
    )
    report = discover(server)
    assert report["selected"]["target"] == f"kms1.{DEPT}"
    assert "through the alias _vlmcs._tcp.dept.test" in steps(report)


@pytest.mark.parametrize("alias, end", [("_vlmcs._tcp CNAME gone", "gone"), ("_tcp DNAME ns1", "_vlmcs.ns1")])
def test_S05_alias_that_leads_nowhere_is_named(zones, discover, alias, end):
    report = discover(zones(corp=[alias]), code=1)
    assert report["result"]["code"] == "0x8007232B"
    assert f"the name is an alias that leads to {end}.{CORP}" in steps(report)


def test_S05_target_is_an_alias(zones, kms_host, discover):
    """Against RFC 2782, but it is common, and Windows follows it."""
    host = kms_host()
    server = zones(corp=[f"_vlmcs._tcp SRV 0 0 {host.port} kms", "kms CNAME host.dept.test."], dept=[f"host A {host.address}"])
    report = discover(server)
    assert report["selected"]["target"] == f"kms.{CORP}" and report["selected"]["address"] == host.address


@pytest.mark.parametrize("lines", [
    ["_vlmcs._tcp CNAME loop", "loop CNAME _vlmcs._tcp"],
    ["_vlmcs._tcp CNAME n0", *[f"n{n} CNAME n{n + 1}" for n in range(12)]],
    ["_tcp DNAME x._tcp"],
], ids=["loop", "long", "growing"])
def test_S05_chains_end(zones, discover, lines):
    report = discover(zones(corp=lines), code=1)
    assert report["selected"] is None and len(report["queries"]) == 1
    assert "the name is an alias, and the chain loops or is too long: after 9 aliases" in steps(report)
    assert report["result"]["code"] == "0x8007232A" and report["queries"][0]["rcode"] == "SERVFAIL"  # named gives up


@pytest.mark.parametrize("n, tcp", [(12, False), (30, True), (60, True)], ids=["512", "1232", "2048"])
def test_S06_answers_of_any_size(zones, discover, n, tcp):
    lines = [f"_vlmcs._tcp SRV 0 0 1688 a-rather-long-host-name-{i}" for i in range(n)]
    server = zones(corp=[*lines, "a-rather-long-host-name-7 A 127.0.0.1"])
    report = discover(server, "--probe", "none")
    assert report["queries"][0]["tcp"] == tcp and report["queries"][0]["answers"] == n
    assert len({c["target"] for c in report["candidates"]}) == n
    assert report["selected"]["target"] == f"a-rather-long-host-name-7.{CORP}"


def test_S07_names_at_their_limits(zones, kms_host, discover):
    label, host = "x" * 63, kms_host()
    long = f"{label}.{label}.{label}.{'y' * (63 - 12)}"  # 255 octets with corp.test and the root
    server = zones(corp=[*host_lines(host, label), f"_vlmcs._tcp SRV 9 0 1 {long}", f"{long} A {host.address}"])
    report = discover(server)
    assert report["selected"]["target"] == f"{label}.{CORP}"
    assert [c["target"] for c in report["candidates"]] == [f"{label}.{CORP}", f"{long}.{CORP}"]
    assert report["candidates"][1]["addresses"] == [host.address]


# ---- failures are not absence ----


def test_S08_server_that_fails_is_not_no_record(scripted, kms_host, discover, tmp_path):
    host, cache = kms_host(), tmp_path / "cache.json"
    server = scripted(host_lines(host, "kms1"))
    discover(server, "--cache", cache)
    before = cache.read_bytes()
    host.stop()
    for rcode in (dns.rcode.SERVFAIL, dns.rcode.REFUSED):
        server.on_query = lambda query, reply, rcode=rcode: reply.set_rcode(rcode) or reply
        report = discover(server, "--cache", cache, code=1)
        assert report["result"]["code"] in ("0x8007232A", "0x8007232D"), report["result"]
        assert cache.read_bytes() == before  # the host that was good once stays


def test_S08_audit_does_not_call_a_failing_server_empty(scripted, kms_host, kb):
    server = scripted(host_lines(kms_host(), "kms1"))

    def fail_srv(query, reply):
        if query.question[0].name.to_text().startswith("_vlmcs"):
            reply.set_rcode(dns.rcode.SERVFAIL)
            reply.answer.clear()
        return reply

    server.on_query = fail_srv
    r = kb("verify", "--json", "--domain", CORP, "--server", f"{server.address}:{server.port}")
    ids = [f["id"] for f in r.json["domains"][0]["findings"]]
    assert r.code == 3 and ids[0] == "no-answer" and "missing" not in ids, r


def test_S09_suffixes_in_their_order(zones, kms_host, discover):
    host, other = kms_host(), kms_host()
    server = zones(corp=[], dept=host_lines(host, "kms1"), third=host_lines(other, "kms3"))
    report = discover(server, domains=(CORP, DEPT, "third.test"))
    assert report["selected"]["target"] == f"kms1.{DEPT}"
    assert asked(report) == [SRV, f"_vlmcs._tcp.{DEPT}"]
    assert [q["rcode"] for q in report["queries"] if q["type"] == "SRV"] == ["NXDOMAIN", "NOERROR"]
    assert discover(server, domains=("third.test", DEPT))["selected"]["target"] == "kms3.third.test"


# ---- values ----


@pytest.mark.parametrize("sent, shown", [(0, 0), (2**31 - 1, 2**31 - 1), (2**31, 0), (2**32 - 1, 0)])
def test_S12_extreme_ttls(scripted, kms_host, discover, sent, shown):
    """RFC 2181 §8: what has the highest bit set is read as 0."""
    host = kms_host()

    def with_ttl(query, reply):
        for rrset in reply.answer:
            rrset.ttl = sent
        return reply

    report = discover(scripted(host_lines(host, "kms1"), with_ttl))
    assert [c["ttl"] for c in report["candidates"]] == [shown]
    assert report["selected"]["target"] == f"kms1.{CORP}"


def test_S13_same_target_on_two_ports_is_two_hosts(zones, kms_host, loopback, discover):
    good = kms_host()
    closed = free_port(good.address, udp=False)
    server = zones(corp=[
        f"_vlmcs._tcp SRV 0 0 {closed} kms1", f"_vlmcs._tcp SRV 5 0 {closed} kms1", f"_vlmcs._tcp SRV 9 0 {good.port} KMS1",
        f"kms1 A {good.address}",
    ])
    report = discover(server)
    assert report["selected"]["port"] == good.port
    assert "passed over: it was tried already" in steps(report)
    assert asked(report, "A") == [f"kms1.{CORP}"]


@needs_ipv6
@pytest.mark.parametrize("listens", ["::1", "127.0.0.1"])
def test_S14_the_other_family_before_the_next_host(zones, kms_host, loopback, discover, listens):
    first = kms_host(address=loopback.address() if listens != "::1" else "::1")
    second = kms_host()
    v4 = first.address if listens != "::1" else loopback.address()
    server = zones(corp=[
        f"_vlmcs._tcp SRV 0 0 {first.port} kms1", f"kms1 A {v4}", "kms1 AAAA ::1", *host_lines(second, "kms2", 10),
    ])
    report = discover(server)
    assert report["selected"] == {
        "target": f"kms1.{CORP}", "port": first.port, "address": first.address, "source": "dns",
    }
    assert sorted(report["candidates"][0]["addresses"]) == sorted([v4, "::1"]) and second.binds == 0


def test_S15_one_silent_name_server_holds_nothing_up(scripted, kms_host, discover):
    host = kms_host()
    silent = scripted(on_query=lambda query, reply: None)
    good = scripted(host_lines(host, "kms1"))
    began = time.monotonic()
    report = discover([silent, good])
    took = time.monotonic() - began
    assert report["selected"]["target"] == f"kms1.{CORP}"
    assert took < 2 * SLOWER, f"{took:.1f} s for one server that does not answer"


def test_S16_order_of_the_answer_does_not_matter(scripted, discover):
    lines = [f"_vlmcs._tcp SRV 0 {w} 1688 k{w}" for w in range(8)] + [f"k{w} A 127.0.0.1" for w in range(8)]
    rotation = iter(range(100))

    def rotate(query, reply):
        for i, rrset in enumerate(reply.answer):
            records, by = list(rrset), next(rotation) % len(rrset)
            reply.answer[i] = dns.rrset.from_rdata_list(rrset.name, rrset.ttl, records[by:] + records[:by])
        return reply

    server = scripted(lines, rotate)
    orders = set()
    for _ in range(4):
        report = discover(server, "--probe", "none", "--seed", "5")
        orders.add(json.dumps([c["target"] for c in report["candidates"]]))
    assert len(orders) == 1
