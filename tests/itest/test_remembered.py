"""
The host that a client remembers (/skhc, /ckhc, /skms, /ckms), for `discover --cache` and for the lab client. For the
client that the daemon plays: test_watch.py.
"""

import json

import pytest

from kblib.bind import Zone, zone_text

CORP = "corp.test"
OWNER = f"_vlmcs._tcp.{CORP}"


def srv(port, priority=0, name="kms1"):
    return f"_vlmcs._tcp SRV {priority} 0 {port} {name}"


@pytest.fixture
def zone(named, loopback):
    def start(*lines):
        address = loopback.address()
        text = zone_text(CORP, [("ns1", address)], lines)
        return named("ns1", address=address, zones=[Zone(CORP, text, clauses=("allow-update { any; };",))])

    return start


@pytest.fixture
def discover(kb, tmp_path):
    """discover(server, ...) with the cache file .cache; what was selected, and how many questions that took."""

    def run(server, *words, code=0):
        r = kb(
            "discover", "--json", "--domain", CORP, "--server", f"{server.address}:{server.port}", "--cache", run.cache, *words
        )
        assert r.code == code, r
        run.err = r.err
        run.steps = r.json["steps"]
        s = r.json["selected"]
        return (s and s["target"].split(".")[0], s and s["source"], sum(q["type"] == "SRV" for q in r.json["queries"]))

    run.cache = tmp_path / "cache.json"
    run.file = lambda: json.loads(run.cache.read_text())
    return run


def test_no_cache_asks_dns_each_time_and_forgets(zone, kms_host, discover):
    """/ckhc, and /skhc after it: nothing comes back of what was forgotten."""
    one, two = kms_host(), kms_host()
    server = zone(srv(one.port), f"kms1 A {one.address}", f"kms2 A {two.address}")
    assert discover(server) == ("kms1", "dns", 1)
    assert discover(server) == ("kms1", "cache", 0)
    assert discover(server, "--no-cache") == ("kms1", "dns", 1)
    assert discover.file()["caching"] is False and discover.file()["host"] is None
    assert discover(server, "--no-cache") == ("kms1", "dns", 1)
    server.update(CORP, ("delete", OWNER, "SRV"), ("add", OWNER, 300, "SRV", f"0 0 {two.port} kms2.{CORP}."))
    assert discover(server) == ("kms2", "dns", 1)
    assert discover.file()["caching"] is True and discover.file()["host"]["name"] == f"kms2.{CORP}"
    assert discover(server) == ("kms2", "cache", 0)


def test_S10_remembered_host_of_a_lower_tier(zone, kms_host, discover):
    """No return to the better host while the remembered one answers, as Windows does; --no-cache shows what DNS says."""
    backup, best = kms_host(), kms_host()
    server = zone(srv(backup.port, 10, "backup"), f"backup A {backup.address}", f"best A {best.address}")
    assert discover(server) == ("backup", "dns", 1)
    server.update(CORP, ("add", OWNER, 300, "SRV", f"0 0 {best.port} best.{CORP}."))
    assert discover(server) == ("backup", "cache", 0)
    assert any("priority and weight do not count" in s["detail"] for s in discover.steps)
    backup.stop()
    assert discover(server) == ("best", "dns", 1)
    kept = kms_host(address=backup.address, port=backup.port)
    assert discover(server) == ("best", "cache", 0)  # and there it stays now
    assert kept.binds == 0


def test_S11_remembered_host_has_left_dns(zone, kms_host, discover):
    old, new = kms_host(), kms_host()
    server = zone(srv(old.port), f"kms1 A {old.address}", f"kms2 A {new.address}")
    discover(server)
    server.update(CORP, ("delete", OWNER, "SRV"))
    assert discover(server) == ("kms1", "cache", 0)  # it answers, and DNS is not asked
    server.update(CORP, ("add", OWNER, 300, "SRV", f"0 0 {new.port} kms2.{CORP}."))
    old.stop()
    assert discover(server) == ("kms2", "dns", 1)  # within the same attempt
    assert discover.file()["host"]["name"] == f"kms2.{CORP}"


def test_S11_remembered_host_is_in_dns_but_dead(zone, kms_host, discover):
    """The reverse. DNS names only the dead host: the client fails, and still remembers it (S08)."""
    one = kms_host()
    server = zone(srv(one.port), f"kms1 A {one.address}")
    discover(server)
    one.stop()
    assert discover(server, code=1) == (None, None, 1)
    assert discover.file()["host"]["name"] == f"kms1.{CORP}"
    kms_host(address=one.address, port=one.port)
    assert discover(server) == ("kms1", "cache", 0)


def test_remembered_address_is_used_without_a_lookup(zone, kms_host, discover):
    """Windows 8 and later remember the address: a host that got another one is found again by DNS."""
    old, new = kms_host(), kms_host()
    server = zone(srv(old.port), f"kms1 A {old.address}")
    discover(server)
    host = f"kms1.{CORP}"
    server.update(
        CORP, ("delete", host, "A"), ("add", host, 300, "A", new.address), ("delete", OWNER, "SRV"),
        ("add", OWNER, 300, "SRV", f"0 0 {new.port} {host}."),
    )
    assert discover(server) == ("kms1", "cache", 0) and old.binds == 2
    old.stop()
    assert discover(server) == ("kms1", "dns", 1) and new.binds == 1
    assert discover.file()["host"]["address"] == new.address


def test_file_of_a_newer_version(zone, kms_host, discover):
    """Neither understood nor replaced; the discovery goes on without it. Files of others: test_discover.py."""
    one = kms_host()
    server = zone(srv(one.port), f"kms1 A {one.address}")
    text = '{"version": 2, "hosts": []}'
    discover.cache.write_text(text)
    assert discover(server) == ("kms1", "dns", 1)
    assert str(discover.cache) in discover.err and "written by a newer kmsbeacon" in discover.err
    assert discover.cache.read_text() == text


def test_file_that_cannot_be_written(zone, kms_host, discover, tmp_path):
    """Said, and carried on: the host is found all the same."""
    one = kms_host()
    server = zone(srv(one.port), f"kms1 A {one.address}")
    discover.cache = tmp_path / "nowhere" / "cache.json"
    assert discover(server) == ("kms1", "dns", 1)
    assert "not remembered" in discover.err and str(discover.cache) in discover.err


# ---- the lab client ----


@pytest.fixture
def client(kb, lab, zone):
    """Two lab hosts, the first preferred; client.ato() gives (host, source) of each attempt."""

    class Client:
        def __init__(self):
            self.one = lab(name="one")
            self.two = lab(name="two", key_file=self.one.folder / "state" / "lab.key")
            self.state = self.one.folder / "c.json"
            self.server = zone(
                srv(self.one.where[1]), srv(self.two.where[1], 5, "kms2"), f"kms1 A {self.one.where[0]}",
                f"kms2 A {self.two.where[0]}",
            )

        def verb(self, *words):
            r = kb("client", *words, "--state", self.state)
            assert r.code == 0, r
            return r.out

        def ato(self):
            key = self.one.folder / "state" / "lab.key"
            at = f"{self.server.address}:{self.server.port}"
            r = kb("client", "ato", "--json", "--state", self.state, "--key", key, "--domain", CORP, "--server", at)
            return [(a["host"].split(".")[0], a["source"]) for a in r.json["attempts"]]

    return Client()


def test_verbs_of_the_client(client):
    assert client.ato() == [("kms1", "dns")]
    assert client.ato() == [("kms1", "cache")]
    assert "caching is disabled" in client.verb("ckhc")
    assert client.ato() == [("kms1", "dns")]
    assert client.ato() == [("kms1", "dns")]  # each time
    assert "caching is enabled" in client.verb("skhc")
    assert client.ato() == [("kms1", "dns")]  # what was forgotten stays so
    assert client.ato() == [("kms1", "cache")]
    client.verb("ckms")  # the documented way to flush
    assert client.ato() == [("kms1", "dns")]
    client.verb("skms", client.two.address)
    assert client.ato() == [(client.two.where[0].split(".")[0], "manual")]
    client.verb("ckms")
    assert client.ato() == [("kms1", "dns")]  # neither the host set by hand nor an older one is remembered


def test_S10_S11_client_stays_on_its_host(client):
    """It remembers kms2, which is the worse one, and then is in DNS no more."""
    first = f"0 0 {client.one.where[1]} kms1.{CORP}."
    second = f"5 0 {client.two.where[1]} kms2.{CORP}."
    client.server.update(CORP, ("delete", OWNER, "SRV", first))
    assert client.ato() == [("kms2", "dns")]
    client.server.update(CORP, ("add", OWNER, 300, "SRV", first))
    assert client.ato() == [("kms2", "cache")]
    client.server.update(CORP, ("delete", OWNER, "SRV", second))
    assert client.ato() == [("kms2", "cache")]
    client.two.stop()
    assert client.ato() == [("kms2", "cache"), ("kms1", "dns")]
    assert client.ato() == [("kms1", "cache")]
