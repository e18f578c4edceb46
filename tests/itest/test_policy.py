"""What `kmsbeacon policy` prints, pasted into real servers: it is enough, and it is no more than that."""

import os
import re
import subprocess

import dns.rcode
import dns.tsig
import pytest

from kblib.bind import Key, Zone, find_program, zone_text

CORP = "corp.test"
SRV = f"_vlmcs._tcp.{CORP}"
TARGET = f"0 0 1688 kms1.{CORP}."
PART = re.compile(r"^(?://|#|;|--) ---- (.*) ----$", re.M)


def parts(text):
    """What goes where: {place: lines}. What stands before the first place is for the reader alone."""
    pieces = PART.split(text)
    assert all(line.startswith(("//", "#")) for line in pieces[0].splitlines()), pieces[0]
    return dict(zip(pieces[1::2], (p.lstrip("\n") for p in pieces[2::2])))


def part(text, place):
    found = [v for k, v in parts(text).items() if place in k]
    assert len(found) == 1, f"{place}: {list(parts(text))}"
    return found[0]


class Site:
    """A zone on one server, which is the resolver too, and a configuration that publishes one host there."""

    def __init__(self, kb, loopback, kms_host, tmp_path):
        self.kb, self.tmp_path, self.loopback = kb, tmp_path, loopback
        self.address, self.host = loopback.address(), kms_host()
        self.key, self.other = Key("corp-update"), Key("other")
        self.where = f"{self.address}:{loopback.port}"

    def config(self, more=""):
        path = self.tmp_path / "kb.yaml"
        path.write_text(
            f"node: {{ state_dir: {self.tmp_path}/state, control: {{ socket: {self.tmp_path}/sock }} }}\n"
            f"service: {{ mode: 'off' }}\ndiscovery: {{ resolvers: ['{self.where}'] }}\n"
            f"keys: [ {{ name: corp, file: {self.key.write(str(self.tmp_path))} }} ]\n"
            f"hosts: [ {{ name: win, target: kms1.{CORP}, port: {self.host.port} }} ]\n"
            f"publish: {{ domains: [ {{ domain: {CORP}, key: corp, lab: true{more} }} ] }}\n"
        )
        return path

    def policy(self, *words):
        r = self.kb("policy", "-c", self.config(), "--domain", CORP, *words)
        assert r.code == 0 and r.err == "", r
        assert self.key.secret not in r.out
        return r.out

    def text(self, *lines):
        return zone_text(CORP, [("ns1", self.address)], [f"kms1 A {self.host.address}", *lines])

    def publish(self, config, command="publish", state="proven"):
        r = self.kb(command, "--json", "-c", config)
        assert r.json["domains"][0]["state"] == state, r
        assert r.code == 0, r
        return r.json["domains"][0]


@pytest.fixture
def site(kb, loopback, kms_host, tmp_path):
    return Site(kb, loopback, kms_host, tmp_path)


def attempt(server, zone, *change, key):
    """The answer to one add, and whether the record is there afterwards."""
    name, ttl, rdtype, rdata = change
    try:
        rcode = dns.rcode.to_text(server.update(zone, ("add", name, ttl, rdtype, rdata), key=key))
    except dns.tsig.PeerBadKey:
        rcode = "BADKEY"
    return rcode, any(rdata.strip('"') in r for r in server.records(name, rdtype))


def only_srv_of_the_name(server, site, zone, refused):
    """`refused`: what this server answers to what it does not let through."""
    for change in (
        (SRV, 300, "TXT", '"x"'),
        (SRV, 300, "A", "127.0.0.1"),
        (f"below.{SRV}", 300, "SRV", TARGET),
        *([] if zone == SRV else [(f"_tcp.{CORP}", 300, "SRV", TARGET), (f"kms1.{CORP}", 300, "A", "127.9.9.9"),
                                  (f"_ldap._tcp.{CORP}", 300, "SRV", TARGET), (CORP, 300, "NS", "evil.test.")]),
    ):
        assert attempt(server, zone, *change, key=site.key) == (refused, False), change
    for key in (None, site.other):
        assert attempt(server, zone, SRV, 300, "SRV", TARGET, key=key)[1] is False
    assert attempt(server, zone, SRV, 300, "SRV", TARGET, key=site.key) == ("NOERROR", True)


def test_bind_grants_the_srv_set_and_nothing_else(site, named):
    server = named("ns1", address=site.address, keys=[site.key, site.other],
                   zones=[Zone(CORP, site.text(), clauses=(site.policy(),))])
    only_srv_of_the_name(server, site, CORP, "REFUSED")
    config = site.config()
    ours = f"3600 0 0 {site.host.port} kms1.{CORP}."
    site.publish(config)
    assert any(r.endswith(ours.split(" ", 1)[1]) for r in server.records(SRV, "SRV"))
    site.publish(config, "withdraw")
    assert server.records(SRV, "SRV") == [f"300 {TARGET}"]  # what was there before us


def test_bind_restricted_reading_is_enough(site, named):
    text = site.policy()
    line = re.search(r"^//\s*(allow-query \{) \.\.\.; (key .*)$", text, re.M)
    server = named("ns1", address=site.address, keys=[site.key],
                   zones=[Zone(CORP, site.text(), clauses=(text, f"{line.group(1)} {line.group(2)}"))])
    assert server.query(CORP, "SOA").rcode() == dns.rcode.REFUSED
    site.publish(site.config(f", server: '{site.where}'"))
    assert server.records(SRV, "SRV", key=site.key) == [f"3600 0 0 {site.host.port} kms1.{CORP}."]


def test_bind_policy_of_two_domains_is_two_texts(site, kb, tmp_path):
    path = site.config()
    path.write_text(path.read_text().replace("domains: [", "domains: [ { domain: dept.test, key: corp, view: in },"))
    r = kb("policy", "-c", path)
    assert re.findall(r"^\tgrant .*$", r.out, re.M) == [
        f'\tgrant "corp-update" name _vlmcs._tcp.{d}. SRV;' for d in ("dept.test", CORP)
    ]
    assert "dept.test (view in)" in r.out


def test_bind_delegated_zone_works_end_to_end(site, named):
    text = site.policy("--delegate", "--ns", f"ns1.{CORP}")
    above = site.text() + part(text, "the zone above")  # a static zone: no update-policy
    server = named("ns1", address=site.address, keys=[site.key, site.other], zones=[Zone(CORP, above)],
                   extra=part(text, "named.conf"))
    with open(os.path.join(server.folder, f"{SRV}.zone"), "w", encoding="ascii") as f:
        f.write(part(text, "the file "))
    server.rndc("reload")
    server.wait_serial(SRV, 1)
    only_srv_of_the_name(server, site, SRV, "REFUSED")
    assert attempt(server, CORP, f"x.{CORP}", 300, "SRV", TARGET, key=site.key) == ("REFUSED", False)
    server.update(SRV, ("delete", SRV, "SRV", TARGET), key=site.key)
    config = site.config()
    domain = site.publish(config)
    assert domain["zone"] == SRV
    assert server.records(SRV, "SRV") == [f"3600 0 0 {site.host.port} kms1.{CORP}."]
    r = site.kb("verify", "--json", "-c", config, "--domain", CORP)
    assert r.code == 0, r
    r = site.kb("discover", "--json", "-c", config, "--domain", CORP)
    assert r.json["selected"]["port"] == site.host.port, r
    assert server.serial(CORP) == 1
    site.publish(config, "withdraw")
    assert server.records(SRV, "SRV") == []


def test_names_of_the_delegation(site, kb):
    text = site.policy("--delegate")
    assert f"; replace ns1.{CORP}." in text and f"{SRV}. 3600 IN NS ns1.{CORP}." in text
    r = kb("policy", "-c", site.config(", server: ['dns1.corp.test:5353', 192.0.2.1]"), "--delegate")
    assert "replace" not in r.out and f"{SRV}. 3600 IN NS dns1.corp.test." in r.out, r
    text = site.policy("--delegate", "--ns", "b.test", "--ns", "a.test")
    assert re.findall(r"3600 IN NS (\S+)$", text, re.M) == ["b.test.", "a.test."]
    assert f"{SRV}. IN SOA b.test. " in text


@pytest.mark.parametrize("words, hint", [
    (["--for", "nsd"], "bind|knot|pdns"),
    (["--ns", "a.test"], "--delegate"),
    (["--delegate", "--ns", "."], "no name of a server"),
    (["--domain", "none.test"], "none.test"),
])
def test_wrong_use_is_said(site, words, hint):
    r = site.kb("policy", "-c", site.config(), *words)
    assert r.code == 2 and hint in r.err and r.out == "", r


@pytest.mark.parametrize("server", ["bind", "knot", "pdns"])
def test_domain_without_key_is_said(site, server):
    path = site.config()
    path.write_text(path.read_text().replace(", key: corp", ""))
    r = site.kb("policy", "-c", path, "--for", server)
    assert r.code == 2 and "has no key" in r.err and r.out == "", r


# Knot: its ACL denies with BADKEY.


def test_knot_acl_lets_the_srv_set_through_and_nothing_else(site, knot):
    text = site.policy("--for", "knot")
    clause = [line.strip() for line in part(text, "entry of the zone").splitlines() if not line.startswith("#")]
    server = knot("ns1", address=site.address, keys=[site.key, site.other], extra=part(text, "before the section"),
                  zones=[Zone(CORP, site.text(), clauses=clause)])
    only_srv_of_the_name(server, site, CORP, "BADKEY")
    config = site.config()
    site.publish(config)
    assert len(server.records(SRV, "SRV")) == 2
    site.publish(config, "withdraw")
    assert server.records(SRV, "SRV") == [f"300 {TARGET}"]


def test_knot_delegated_zone_works_end_to_end(site, knot, tmp_path):
    text = site.policy("--for", "knot", "--delegate", "--ns", f"ns1.{CORP}")
    (tmp_path / f"{SRV}.zone").write_text(part(text, "the file "))
    storage = f"template:\n  - id: default\n    storage: {tmp_path}\n"
    server = knot("ns1", address=site.address, keys=[site.key, site.other],
                  zones=[Zone(CORP, site.text() + part(text, "the zone above"))],
                  extra=part(text, "before the section") + storage + part(text, "in the section"))
    server.wait_serial(SRV, 1)
    only_srv_of_the_name(server, site, SRV, "BADKEY")
    server.update(SRV, ("delete", SRV, "SRV", TARGET), key=site.key)
    config = site.config(f", server: '{site.where}'")
    assert site.publish(config)["zone"] == SRV
    assert server.records(SRV, "SRV") == [f"3600 0 0 {site.host.port} kms1.{CORP}."]
    assert server.serial(CORP) == 1


# PowerDNS: its script leaves out what it refuses, and the answer is NOERROR all the same.


@pytest.fixture
def commands(tmp_path):
    """Run the part "commands" as it stands: pdnsutil works on this server's database, systemctl does nothing."""

    def run(server, text):
        tools = tmp_path / "tools"
        tools.mkdir()
        for name, line in (
            ("pdnsutil", f'exec {find_program("pdnsutil")} --config-dir={server.folder} "$@"'), ("systemctl", ":"),
        ):
            (tools / name).write_text(f"#!/bin/sh\n{line}\n")
            (tools / name).chmod(0o755)
        r = subprocess.run(
            ["sh", "-eu"], input=text, env={"PATH": f"{tools}:{os.environ['PATH']}"}, cwd=tmp_path, capture_output=True,
            text=True, timeout=60,
        )
        assert r.returncode == 0, r.stdout + r.stderr

    return run


def pdns_with(pdns, site, text, zones):
    settings = part(text, "pdns.conf").splitlines()
    assert settings[0] == "dnsupdate=yes" and settings[1].startswith("lua-dnsupdate-policy-script=") and len(settings) == 2
    server = pdns("ns1", address=site.address, keys=[site.other], zones=zones, policy=part(text, "kmsbeacon-update.lua"))
    assert all(line.split("=")[0] + "=" in server.config() for line in settings)  # the harness gives both
    return server


def test_pdns_script_lets_the_srv_set_through_and_nothing_else(site, pdns, commands):
    text = site.policy("--for", "pdns")
    server = pdns_with(pdns, site, text, [Zone(CORP, site.text())])
    commands(server, part(text, "commands"))
    only_srv_of_the_name(server, site, CORP, "NOERROR")
    config = site.config()
    before = server.serial(CORP)
    site.publish(config)
    assert len(server.records(SRV, "SRV")) == 2 and server.serial(CORP) == before + 1
    site.publish(config, "withdraw")
    assert server.records(SRV, "SRV") == [f"300 {TARGET}"]


def test_pdns_delegated_zone_works_end_to_end(site, pdns, commands, tmp_path):
    text = site.policy("--for", "pdns", "--delegate", "--ns", f"ns1.{CORP}")
    server = pdns_with(pdns, site, text, [Zone(CORP, site.text() + part(text, "the zone above"))])
    (tmp_path / f"{SRV}.zone").write_text(part(text, "the file _vlmcs"))
    commands(server, part(text, "commands"))
    server.wait_serial(SRV, 1)
    only_srv_of_the_name(server, site, SRV, "NOERROR")
    server.update(SRV, ("delete", SRV, "SRV", TARGET), key=site.key)
    assert site.publish(site.config(f", server: '{site.where}'"))["zone"] == SRV
    assert server.records(SRV, "SRV") == [f"3600 0 0 {site.host.port} kms1.{CORP}."]
    assert server.serial(CORP) == 1
