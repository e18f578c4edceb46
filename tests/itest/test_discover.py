"""`kmsbeacon discover` against a real named: what a Windows client would do, and what it would show."""

import json

import pytest

from kblib.bind import Zone, zone_text
from kblib.loopback import free_port

CORP, DEPT = "corp.test", "dept.test"


@pytest.fixture
def zone(named, loopback):
    """zone(name=[lines]) starts a server with these zones, of these lines."""

    def start(**zones):
        address = loopback.address()
        texts = {f"{name}.test": zone_text(f"{name}.test", [("ns1", address)], lines) for name, lines in zones.items()}
        return named("ns1", address=address, zones=[Zone(name, text) for name, text in texts.items()])

    return start


def srv(host, priority=0, weight=0, name="kms1"):
    port = host if isinstance(host, int) else host.port
    return f"_vlmcs._tcp SRV {priority} {weight} {port} {name}"


def discover(kb, server, *args, code=0, domains=(CORP,)):
    words = [w for d in domains for w in ("--domain", d)]
    r = kb("discover", "--json", *words, "--server", f"{server.address}:{server.port}", *args)
    assert r.code == code, r
    return r.json


def test_lowest_priority_is_selected(kb, zone, kms_host):
    first, second = kms_host(), kms_host()
    server = zone(corp=[
        srv(second, 10, 0, "kms2"), srv(first, 0, 0, "KMS1"), f"kms1 A {first.address}", f"kms2 A {second.address}",
    ])
    report = discover(kb, server)
    assert report["selected"] == {
        "target": "kms1.corp.test", "port": first.port, "address": first.address, "source": "dns",
    }
    assert report["result"]["code"] == "0x00000000"
    assert report["domains"] == [CORP] and report["profile"] == "modern"
    assert [c["target"] for c in report["candidates"]] == ["kms1.corp.test", "kms2.corp.test"]
    assert [c["probability"] for c in report["candidates"]] == [1.0, 0.0]
    assert report["candidates"][0]["probe"]["state"] == "up"
    assert report["candidates"][1]["probe"] is None and report["candidates"][1]["addresses"] == [second.address]
    assert report["queries"][0] == report["queries"][0] | {
        "name": "_vlmcs._tcp.corp.test", "type": "SRV", "server": f"{server.address}:{server.port}",
        "rcode": "NOERROR", "answers": 2, "tcp": False,
    }
    assert (first.binds, second.binds) == (1, 0)


def test_next_host_when_the_first_is_down(kb, zone, kms_host, loopback):
    naked, mailer, good = kms_host("no-interface"), kms_host("text"), kms_host()
    dead = loopback.address()
    closed = free_port(dead, udp=False)
    server = zone(corp=[
        srv(closed, 0, 0, "gone"), srv(naked, 1, 0, "rpc"), srv(mailer, 2, 0, "mail"), srv(good, 3, 0, "good"),
        f"gone A {dead}", f"rpc A {naked.address}", f"mail A {mailer.address}", f"good A {good.address}",
    ])
    report = discover(kb, server)
    assert report["selected"]["target"] == "good.corp.test"
    states = [c["probe"]["state"] for c in report["candidates"]]
    assert states == ["refused", "no-kms-interface", "not-rpc", "up"]


def test_all_hosts_down(kb, zone, loopback):
    dead = loopback.address()
    server = zone(corp=[srv(free_port(dead, udp=False)), f"kms1 A {dead}"])
    report = discover(kb, server, code=1)
    assert report["selected"] is None and report["result"]["code"] == "0xC004F074"


def test_without_probe_the_first_candidate(kb, zone, loopback):
    dead = loopback.address()
    server = zone(corp=[srv(1688), f"kms1 A {dead}"])
    report = discover(kb, server, "--probe", "none")
    assert report["selected"]["address"] == dead
    assert report["candidates"][0]["probe"] is None


@pytest.mark.parametrize("lines, hresult, rcode", [
    ([], "0x8007232B", "NXDOMAIN"),
    (['_vlmcs._tcp TXT "no SRV here"'], "0x8007251D", "NOERROR"),
    (["_vlmcs._tcp SRV 0 0 0 ."], "0x8007251D", "NOERROR"),
])
def test_no_record(kb, zone, lines, hresult, rcode):
    report = discover(kb, zone(corp=lines), code=1)
    assert report["result"]["code"] == hresult
    assert report["queries"][0]["rcode"] == rcode
    assert report["candidates"] == [] and report["selected"] is None


def test_no_server(kb, loopback):
    address = loopback.address()
    r = kb("discover", "--json", "--domain", CORP, "--server", f"{address}:{loopback.port}")
    assert r.code == 1 and r.json["result"]["code"] == "0x8007232A"
    assert r.json["queries"][0]["rcode"] is None


def test_cached_host_without_dns(kb, zone, kms_host, tmp_path):
    host = kms_host()
    server = zone(corp=[srv(host), f"kms1 A {host.address}"])
    cache = tmp_path / "cache.json"
    assert discover(kb, server, "--cache", cache)["selected"]["source"] == "dns"
    assert json.loads(cache.read_text())["host"]["name"] == "kms1.corp.test"
    assert cache.stat().st_mode & 0o777 == 0o600
    server.stop()
    report = discover(kb, server, "--cache", cache)
    assert report["selected"]["source"] == "cache" and report["queries"] == []
    host.stop()
    report = discover(kb, server, "--cache", cache, code=1)  # back to DNS, which is gone
    assert report["result"]["code"] == "0x8007232A"
    assert json.loads(cache.read_text())["host"]["name"] == "kms1.corp.test"  # S08: and yet it stays


@pytest.mark.parametrize("content", ["{broken", "", "my notes\n", '{"version": 1, "hosts": []}'])
def test_file_that_is_no_cache_is_left_alone(kb, zone, kms_host, tmp_path, content):
    host = kms_host()
    server = zone(corp=[srv(host), f"kms1 A {host.address}"])
    other = tmp_path / "notes"
    other.write_text(content)
    for words in ((), ("--no-cache",)):
        r = kb("discover", "--json", "--domain", CORP, "--server", f"{server.address}:{server.port}", "--cache", other, *words)
        assert r.code == 2 and str(other) in r.err and "left as it is" in r.err
        assert other.read_text() == content and host.binds == 0
    other.unlink()
    assert discover(kb, server, "--cache", other)["selected"]["source"] == "dns"
    assert json.loads(other.read_text())["host"]["port"] == host.port


def test_cache_is_a_regular_file(kb, tmp_path):
    """A device such as /dev/null would be replaced by a file, where root asks for that."""
    for path in ("/dev/null", tmp_path):
        r = kb("discover", "--domain", CORP, "--cache", path)
        assert r.code == 2 and f"{path}: not a cache file of kmsbeacon" in r.err


def test_same_seed_same_order(kb, zone):
    lines = [srv(1688, 0, w, f"k{w}") for w in range(8)] + [f"k{w} A 127.0.0.1" for w in range(8)]
    server = zone(corp=lines)
    order = lambda *a: [c["target"] for c in discover(kb, server, "--probe", "none", *a)["candidates"]]
    one = order("--seed", "1")
    assert one == order("--seed", "1")
    assert any(order("--seed", str(n)) != one for n in range(2, 6))
    assert sorted(order("--seed", "1", "--profile", "vista")) == sorted(one)


def people(kb, server, *args):
    r = kb("discover", "--server", f"{server.address}:{server.port}", *args)
    assert max(map(len, r.out.splitlines())) <= 100
    return r


def test_explanation_for_people(kb, zone, kms_host):
    host = kms_host()
    server = zone(corp=[srv(host), f"kms1 A {host.address}"])
    r = people(kb, server, "--domain", CORP, "--explain")
    assert r.code == 0
    for words in ("kms1.corp.test", "priority", "_vlmcs._tcp.corp.test", "suffix", "probe", "select"):
        assert words in r.out, words


def test_verdict_comes_first(kb, zone, kms_host, loopback):
    host, dead = kms_host(), loopback.address()
    closed = free_port(dead, udp=False)
    name = "a-host-with-a-name-that-leaves-no-room-for-much-beside-it"
    server = zone(corp=[
        srv(closed, 0, 0, name), srv(host, 1), f"{name} A {dead}", f"{name} AAAA 2001:db8:1234:5678:9abc:def0:1234:5678",
        f"kms1 A {host.address}",
    ], dept=[])
    args = ("-d", DEPT, "-d", CORP, "--explain")
    lines = people(kb, server, *args).out.splitlines()
    assert lines[0] == f"kms1.corp.test:{host.port} at {host.address} answers"
    assert lines[1:3] == ["  found by DNS in corp.test, profile modern", "  after 2 tries that failed: clients lose time there"]
    host.stop()
    r = people(kb, server, *args)
    assert r.code == 1
    assert r.out.splitlines()[0] == "no host: such a client shows 0xC004F074 SL_E_VL_BINDING_SERVICE_UNAVAILABLE"
    assert "0x8007232B DNS_ERROR_RCODE_NAME_ERROR" in r.out  # of the first suffix
    assert f"0x800706BA, 0x00000000, kms1.corp.test:{host.port}" in r.out
