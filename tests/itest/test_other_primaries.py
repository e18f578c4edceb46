"""The publisher against each make of primary: the same configuration, the same result."""

import pytest

from kblib.bind import Named
from kblib.knot import Knot
from kblib.nsd import Nsd
from kblib.pdns import Pdns
from kblib.server import Key, Zone, zone_text

ZONE = "corp.test"
SRV = f"_vlmcs._tcp.{ZONE}"
PRIMARIES = pytest.mark.parametrize("kind", (Named, Knot, Pdns))
FOREIGN = f"300 5 50 1688 elsewhere.{ZONE}."


@pytest.fixture
def site(server, loopback, kb, tmp_path):
    """site(kind, *records) starts the primary; .run(command, hosts) gives the one domain of its report."""

    class Site:
        def __call__(self, kind, *records):
            self.key = Key("corp-update")
            address = loopback.address()
            text = zone_text(ZONE, [("ns1", address)], ["kms1 A 127.0.0.9", "elsewhere A 127.0.0.9", *records])
            updaters = () if kind is Nsd else (self.key,)
            self.primary = server(kind, "ns1", address=address, keys=[self.key], zones=[Zone(ZONE, text, updaters=updaters)])
            self.key_file = self.key.write(str(tmp_path))
            return self

        def run(self, command, *words, host="priority: 0", ttl="5m", more="", code=0):
            config = tmp_path / "kb.yaml"
            config.write_text(
                f"node: {{ state_dir: {tmp_path}/state, control: {{ socket: {tmp_path}/sock }} }}\n"
                f"keys: [ {{ name: k, file: {self.key_file} }} ]\n"
                f"hosts: [ {{ name: one, target: kms1.{ZONE}, port: 1688, {host} }} ]\n"
                f'publish: {{ ttl: {ttl}, {more} domains: [ {{ domain: {ZONE}, key: k, lab: true, '
                f'server: ["{self.primary.address}:{loopback.port}"] }} ] }}\n'
            )
            r = kb(command, "-c", config, "--json", *words)
            assert r.code == code, r
            return r.json["domains"][0]

        def shown(self):
            return self.primary.records(SRV, "SRV")

    return Site()


@PRIMARIES
def test_life_of_a_record(site, kind):
    s = site(kind, "_vlmcs._tcp SRV 5 50 1688 elsewhere")
    ours = f"300 {{}} 0 1688 kms1.{ZONE}."
    assert s.run("publish")["state"] == "proven"
    assert s.shown() == sorted([ours.format(0), FOREIGN])
    serial = s.primary.serial(ZONE)
    assert s.run("publish")["state"] == "unchanged" and s.primary.serial(ZONE) == serial
    changed = s.run("publish", host="priority: 7")
    assert [c["op"] for c in changed["changes"]] == ["delete", "add"]
    assert s.shown() == sorted([ours.format(7), FOREIGN])
    assert s.run("withdraw", host="priority: 7")["state"] == "proven"
    assert s.shown() == [FOREIGN]


@PRIMARIES
def test_ttl_of_our_own_set_is_changed(site, kind):
    s = site(kind)
    s.run("publish")
    assert s.shown() == [f"300 0 0 1688 kms1.{ZONE}."]
    assert s.run("publish", ttl="10m")["state"] == "proven"
    assert s.shown() == [f"600 0 0 1688 kms1.{ZONE}."]


@PRIMARIES
def test_U06_capitals_that_another_typed_are_matched_and_deleted(site, kind):
    s = site(kind)
    put = ("add", SRV, 300, "SRV", f"0 0 1688 KMS1.Corp.Test.")
    assert s.primary.update(ZONE, put, key=s.key) == 0
    found = s.run("publish")
    assert found["state"] == "unchanged" and found["changes"] == [], found
    assert s.run("withdraw", "--adopted")["state"] == "proven"
    assert s.shown() == []


@PRIMARIES
def test_wrong_secret_is_said(site, kind, tmp_path):
    s = site(kind)
    Key("corp-update").write(str(tmp_path))
    result = s.run("publish", code=1)
    # PowerDNS answers without a signature, which proves nothing: then the sentence alone tells
    assert result["state"] == ("unreachable" if kind is Pdns else "refused"), result
    assert "secret" in result["hint"], result
    assert s.shown() == []


def test_nsd_has_no_update_and_says_so(site):
    s = site(Nsd)
    result = s.run("publish", code=1)
    # its NOTIMP is unsigned: that proves nothing, so the sentence alone tells
    assert result["state"] == "unreachable" and result["rcode"] is None, result
    assert "no dynamic update" in result["hint"] and "--print zone" in result["hint"], result
    assert s.shown() == []


def test_record_put_into_nsds_zone_file_is_proven(site):
    s = site(Nsd, "_vlmcs._tcp SRV 0 0 1688 kms1", "_vlmcs._tcp SRV 5 50 1688 elsewhere")
    result = s.run("publish")
    assert (result["state"], result["changes"]) == ("unchanged", []), result
    assert [p["state"] for p in result["proof"]] == ["ok"], result
