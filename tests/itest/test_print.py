"""`publish --print`: real programs take what it writes, and the static zone made of it is proven."""

import subprocess

import pytest

from kblib.bind import Key, Zone, find_program, zone_text

CORP = "corp.test"
SRV = f"_vlmcs._tcp.{CORP}"


@pytest.fixture
def place(named, loopback, kms_host, tmp_path):
    """One server of the zone (also the resolver), one KMS host on a port of its own, a configuration."""

    class Place:
        address, host, key = loopback.address(), kms_host(), Key("corp-update")

        def config(self, more=""):
            path = tmp_path / "kb.yaml"
            where = f"{self.address}:{loopback.port}"
            path.write_text(
                f"node: {{ state_dir: {tmp_path}/state, control: {{ socket: {tmp_path}/sock }} }}\n"
                f"service: {{ mode: 'off' }}\ndiscovery: {{ resolvers: ['{where}'] }}\n"
                f"keys: [ {{ name: corp, file: {self.key.write(str(tmp_path))} }} ]\n"
                f"hosts: [ {{ name: win, target: kms1.{CORP}, port: {self.host.port}, weight: 7 }} ]\n"
                f"publish:\n  ttl: 20m\n  domains: [ {{ domain: {CORP}, server: '{where}'{more} }} ]\n"
            )
            return path

        def text(self, *lines):
            return zone_text(CORP, [("ns1", self.address)], [f"kms1 A {self.host.address}", *lines])

        def start(self, text, *clauses):
            return named("ns1", address=self.address, keys=[self.key], zones=[Zone(CORP, text, clauses=clauses)])

        def check(self, text):
            file = tmp_path / "checked.zone"
            file.write_text(text)
            r = subprocess.run([find_program("named-checkzone"), CORP, file], capture_output=True, text=True)
            assert r.returncode == 0, r.stdout + r.stderr

    return Place()


def printed(kb, config, form):
    r = kb("publish", "-c", config, "--print", form)
    assert r.code == 0 and r.err == "", r
    return r.out


def test_zone_lines_make_a_static_zone_that_is_proven(kb, place):
    config = place.config()
    text = place.text() + printed(kb, config, "zone")
    place.check(text)
    server = place.start(text)
    assert server.records(SRV, "SRV") == [f"1200 0 7 {place.host.port} kms1.{CORP}."]
    expected = f"kms1.{CORP}:{place.host.port}:0:7"
    r = kb("verify", "--json", "-c", config, "--domain", CORP, "--expect", expected)
    assert r.code == 0 and r.json["status"] == "ok", r
    assert [x["class"] for x in r.json["domains"][0]["records"]] == ["mine-healthy"]
    r = kb("publish", "--json", "-c", config)  # a static zone: there is nothing to send, and it is proven
    assert r.code == 0 and r.json["domains"][0]["state"] == "unchanged", r
    assert "update" not in server.log.lower().replace("update-policy", ""), server.log


def test_nsupdate_applies_what_is_printed(kb, place, tmp_path):
    config = place.config(", key: corp")
    foreign = f"_vlmcs._tcp 1200 SRV 0 0 1688 other.{CORP}."
    server = place.start(
        place.text(foreign, "other A 127.0.0.1"), f"update-policy {{ grant {place.key.name} name {SRV}. SRV; }};",
    )
    script = tmp_path / "script"
    script.write_text(printed(kb, config, "nsupdate"))
    assert place.key.secret not in script.read_text()
    key = [line.split()[4] for line in script.read_text().splitlines() if line.startswith("; signed: nsupdate -k ")]
    r = subprocess.run([find_program("nsupdate"), "-k", key[0], script], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0 and r.stderr == "", r
    ours = f"1200 0 7 {place.host.port} kms1.{CORP}."
    assert server.records(SRV, "SRV") == sorted([ours, f"1200 0 0 1688 other.{CORP}."])
    assert server.updates_done() == 1


def test_what_we_published_and_no_longer_want_goes(kb, place, tmp_path):
    """The journal knows it, and foreign records stay."""
    config = place.config(", key: corp, lab: true")
    foreign = f"1200 0 0 1688 other.{CORP}."
    server = place.start(
        place.text(f"_vlmcs._tcp {foreign.replace(' ', ' SRV ', 1)}", "other A 127.0.0.1"),
        f"update-policy {{ grant {place.key.name} name {SRV}. SRV; }};",
    )
    assert kb("publish", "-c", config).code == 0
    old, new = place.host.port, 1688
    config.write_text(config.read_text().replace(f"port: {old}", f"port: {new}"))
    zone = printed(kb, config, "zone").splitlines()
    assert zone[1:] == [f"; remove: {SRV}. IN SRV 0 7 {old} kms1.{CORP}.", f"{SRV}. 1200 IN SRV 0 7 {new} kms1.{CORP}."]
    where = f"-ComputerName '{place.address}' -ZoneName '{CORP}'"
    powershell = [x for x in printed(kb, config, "powershell").splitlines() if not x.startswith("#")]
    assert powershell[0] == (
        f"Get-DnsServerResourceRecord -RRType Srv {where} -Name '_vlmcs._tcp' | Where-Object {{ "
        f"$_.RecordData.Priority -eq 0 -and $_.RecordData.Weight -eq 7 -and $_.RecordData.Port -eq {old} -and "
        f"$_.RecordData.DomainName.TrimEnd('.') -eq 'kms1.{CORP}' }} | Remove-DnsServerResourceRecord -Force {where}"
    )
    script = tmp_path / "script"
    script.write_text(printed(kb, config, "nsupdate"))
    r = subprocess.run(
        [find_program("nsupdate"), "-k", place.key.write(str(tmp_path)), script], capture_output=True, text=True, timeout=60,
    )
    assert r.returncode == 0, r
    assert server.records(SRV, "SRV") == sorted([foreign, f"1200 0 7 {new} kms1.{CORP}."])
    config.write_text(config.read_text().replace(f"port: {new}", f"port: {old}"))
    assert "remove" not in printed(kb, config, "zone")


def test_powershell_carries_every_value(kb, place):
    lines = [x for x in printed(kb, place.config(), "powershell").splitlines() if not x.startswith("#")]
    assert lines == [
        f"Add-DnsServerResourceRecord -Srv -ComputerName '{place.address}' -ZoneName '{CORP}' -Name '_vlmcs._tcp'"
        f" -DomainName 'kms1.{CORP}' -Priority 0 -Weight 7 -Port {place.host.port} -TimeToLive 0.00:20:00"
    ]


def test_no_network_is_needed_and_no_state_is_made(kb, place, tmp_path):
    assert SRV in printed(kb, place.config(), "zone")  # no server runs
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("words, hint", [
    (["--print", "bind"], "zone|nsupdate|powershell"),
    (["--print", "zone", "--json"], "--json"),
    (["--print", "zone", "--domain", "other.test"], "other.test"),
])
def test_wrong_use_is_said(kb, place, words, hint):
    r = kb("publish", "-c", place.config(), *words)
    assert r.code == 2 and hint in r.err, r
    if "--json" in words:
        assert r.json["error"]["code"] == "USAGE", r
    else:
        assert r.out == "", r
