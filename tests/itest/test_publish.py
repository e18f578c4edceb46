"""The publisher against real named servers that are configured from what `kmsbeacon policy` prints.

The primary stands behind a recording relay, so that "sends no UPDATE" is counted on the wire.
"""

import time

import pytest

from kblib.bind import Key, View, Zone, zone_text
from kblib.loopback import has_ipv6
from kblib.process import SLOWER, wait_until
from kblib.site import CORP, HOST, ONE, SRV

FOREIGN = f"0 0 1688 other.{CORP}."


def changes(d):
    return [(c["op"], c["rr"].split(" IN SRV ")[1]) for c in d["changes"]]


def states(d):
    return [p["state"] for p in d["proof"]]


def test_publish_is_proven_on_primary_and_secondary(site):
    site.start()
    d = site.one(state="proven")
    assert (d["domain"], d["zone"], d["view"], d["server"]) == (CORP, CORP, "", f"ns1.{CORP}")
    assert (d["rcode"], d["hresult"], d["hint"]) == ("NOERROR", "0x00000000", None)
    assert d["changes"] == [{"op": "add", "rr": f"{SRV} 3600 IN SRV 0 10 1688 kms1.{CORP}", "host": "one"}]
    port = site.loopback.port
    assert [(p["server"], p["address"], p["state"]) for p in d["proof"]] == [
        (f"ns1.{CORP}", f"{site.first}:{port}", "ok"),
        (f"ns2.{CORP}", f"{site.second}:{port}", "ok"),
    ]
    assert d["proof"][0]["serial"] == d["proof"][1]["serial"] == site.primary.serial(CORP)
    assert site.shown() == site.secondary.records(SRV, "SRV") == [f"3600 {ONE}"]


def test_second_publish_sends_no_update(site):
    site.start()
    site.one(state="proven")
    assert site.tap.updates() == 1
    d = site.one(state="unchanged")
    assert d["changes"] == [] and states(d) == ["ok", "ok"]
    assert site.tap.updates() == 1


def test_foreign_record_survives_publish_and_withdraw(site):
    site.start(f"_vlmcs._tcp SRV {FOREIGN}")
    d = site.one(state="proven")
    assert site.shown() == [f"300 {FOREIGN}", f"300 {ONE}"]  # U03: with the TTL it had
    assert [f["id"] for f in d["findings"]] == ["ttl-adopted"]
    d = site.one("withdraw", state="proven")
    assert changes(d) == [("delete", ONE.rstrip("."))]
    assert site.shown() == site.secondary.records(SRV, "SRV") == [f"300 {FOREIGN}"]
    site.one("withdraw", state="unchanged")


def test_U07_changed_priority_is_one_message(site):
    site.start()
    site.one(state="proven")
    d = site.one(state="proven", hosts=["{ name: one, target: kms1.corp.test, port: 1688, priority: 5, weight: 10 }"])
    assert [op for op, _ in changes(d)] == ["delete", "add"]
    assert site.tap.updates() == 2
    assert site.shown() == [f"3600 5 10 1688 kms1.{CORP}."]


def test_changed_ttl_is_one_message(site):
    site.start()
    site.one(state="proven")
    site.one(state="proven", domain=", ttl: 10m")
    assert site.shown() == [f"600 {ONE}"]
    site.one(state="unchanged", domain=", ttl: 10m")
    assert site.tap.updates() == 2


def test_U06_case_is_no_difference(site):
    site.start("_VLMCS._TCP SRV 0 10 1688 KMS1.Corp.Test.")
    d = site.one(state="unchanged", domain=", ttl: 5m")
    assert d["changes"] == [] and site.tap.updates() == 0
    # found there: not ours to remove, unless asked to
    site.one("withdraw", state="unchanged")
    assert len(site.shown()) == 1
    site.one("withdraw", "--adopted", state="proven")
    assert site.shown() == []


def test_alias_is_followed_and_said(site):
    site.start("_vlmcs._tcp CNAME kms-records", clauses=[f"update-policy {{ grant corp-update name kms-records.{CORP}. SRV; }};"])
    d = site.one(state="proven")
    assert d["owner"] == f"kms-records.{CORP}"
    assert [f["id"] for f in d["findings"]] == ["aliased"]
    assert site.primary.records(f"kms-records.{CORP}", "SRV") == [f"3600 {ONE}"]


def test_U01_alias_that_may_not_be_changed(site):
    site.start("_vlmcs._tcp CNAME kms-records")
    d = site.one(state="refused", exit=1)
    assert (d["rcode"], d["hresult"]) == ("REFUSED", "0x8007232D")
    assert f"CNAME present at {SRV} leads to kms-records.{CORP}" in d["hint"]


def test_U01_alias_that_leads_nowhere(site):
    site.start("_vlmcs._tcp CNAME kms.elsewhere.test.", secondary=False)
    d = site.one(state="blocked", exit=1)
    assert f"CNAME present at {SRV} leads to kms.elsewhere.test" in d["hint"]
    assert site.tap.updates() == 0


def test_T03_wrong_secret(site):
    site.start()
    site.key_file = Key("corp-update").write(site.folder / "..")
    d = site.one(state="refused", exit=1)
    assert (d["rcode"], d["hresult"]) == ("BADSIG", "0x80072338")
    assert "another secret" in d["hint"]
    assert site.tap.updates() == 0 and site.shown() == []


def test_T03_unknown_key_and_algorithm(site):
    site.start()
    site.key_file = Key("somebody-else").write(site.folder)
    d = site.one(state="refused", exit=1)
    assert (d["rcode"], d["hresult"]) == ("BADKEY", "0x80072339")
    assert "key somebody-else" in d["hint"]  # the name that the server hears, not our handle of it
    site.key_file = Key("corp-update", "hmac-sha512", site.key.secret).write(site.folder)
    assert site.one(state="refused", exit=1)["rcode"] == "BADKEY"


@pytest.mark.parametrize("algorithm", ["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-md5"])
def test_T13_algorithms(site, algorithm):
    site.key = Key("corp-update", algorithm)
    site.key_file = site.key.write(site.folder)
    site.start(secondary=False)
    site.run(exit=0)
    assert site.shown() == [f"3600 {ONE}"]


def test_unreachable_server(site):
    site.start(secondary=False)
    begin = time.monotonic()
    d = site.one("publish", "--timeout", "4s", state="unreachable", exit=1, domain=f", server: ['{site.loopback.address()}']")
    assert time.monotonic() - begin < 8 * SLOWER
    assert d["hresult"] == "0x800705B4" and "no answer from" in d["hint"]


def test_refused_by_policy(site):
    site.start(clauses=["update-policy { grant other-key name x. SRV; };"], keys=[Key("other-key")])
    d = site.one(state="refused", exit=1)
    assert (d["rcode"], d["hresult"]) == ("REFUSED", "0x8007232D")
    assert "kmsbeacon policy" in d["hint"]
    assert site.shown() == []


def test_U23_frozen_zone(site):
    site.start()
    site.one(state="proven")
    site.primary.rndc("freeze", CORP)
    d = site.one(state="refused", exit=1, domain=", ttl: 10m")
    assert "frozen" in d["hint"]
    site.primary.rndc("thaw", CORP)
    site.one(state="proven", domain=", ttl: 10m")


def test_Z01_server_is_a_secondary(site):
    site.start()
    secondary = site.named(
        "keyed", keys=[site.key],
        zones=[Zone(CORP, primaries=f"{site.primary.address} port {site.loopback.port}", clauses=("notify no;",))],
    )
    secondary.wait_serial(CORP, 1)
    d = site.one(state="refused", exit=1, domain=f", server: ['{secondary.address}']")
    assert "secondary" in d["hint"] and f"ns1.{CORP}" in d["hint"]
    assert site.shown() == []


def test_Z01_server_is_a_secondary_without_the_key(site):
    """What it says of the key alone would send people to the wrong server."""
    site.start()
    d = site.one(state="refused", exit=1, domain=f", server: ['{site.second}']")
    assert d["rcode"] == "BADKEY" and d["address"] == f"{site.second}:{site.loopback.port}", d
    said = f"the SOA names ns1.{CORP} as the primary, so this server may be a secondary"
    assert "does not know key corp-update" in d["hint"] and said in d["hint"], d
    stranger = Key("stranger").write(str(site.folder))
    d = site.one(state="refused", exit=1, keys=f", {{ name: other, file: {stranger} }}",
                 domains=[f"{{ domain: {CORP}, lab: true, key: other, server: '{site.first}' }}"])
    assert d["rcode"] == "BADKEY" and "secondary" not in d["hint"], d


def test_U02_name_lies_in_a_child_zone_elsewhere(site):
    site.start("_tcp NS ns.child", "ns.child A 127.0.0.77")
    d = site.one(state="blocked", exit=1, domain=f", server: ['{site.first}']")
    assert f"child zone _tcp.{CORP}" in d["hint"]
    assert site.tap.updates() == 0


def test_U02_child_zone_on_the_same_server(site):
    child = Zone(
        f"_tcp.{CORP}", zone_text(f"_tcp.{CORP}", [(f"ns1.{CORP}.", site.first)]),
        clauses=(f"update-policy {{ grant corp-update name {SRV}. SRV; }};",),
    )
    site.start("_tcp NS ns1", zones=[child], options=("notify-delay 0;", "check-names primary ignore;"))
    d = site.one(state="proven")
    assert d["zone"] == f"_tcp.{CORP}"
    assert site.shown() == [f"3600 {ONE}"]


def test_delegated_policy_makes_a_zone_that_works(site):
    """All of it is taken from what the command prints: zone statement, first content, delegation."""
    text = site.policy("--delegate")
    lines = [line.removeprefix("//").strip() for line in text.splitlines()]
    content = lines[lines.index("$TTL 3600"):][:3]
    delegation = next(line for line in lines if line.startswith(f"{SRV}. IN NS"))
    body = text[text.index("\tupdate-policy"):text.index("\n};\n")]
    site.start(delegation, zones=[Zone(SRV, "\n".join([*content, ""]), clauses=(body,))], clauses=("allow-update { none; };",))
    d = site.run()[0]
    assert d["zone"] == SRV and d["state"] == "proven", d
    assert site.shown() == [f"3600 {ONE}"]


def test_U04_limited_ttl_is_no_loop(site):
    site.ttl = 60
    site.start(clauses=[site.policy(), "max-zone-ttl 100;"], secondary=False)
    d = site.run()[0]
    assert site.shown() == [f"100 {ONE}"]
    assert [f["id"] for f in d["findings"] if f["id"] == "ttl-limited"] == ["ttl-limited"]
    d = site.run()[0]
    assert d["state"] == "unchanged" and "ttl-limited" not in [f["id"] for f in d["findings"]]
    assert site.tap.updates() == 1


def test_Z07_secondary_behind_named_defaults(site):
    """notify-delay is 5 s: the record arrives late there, and that is no fault."""
    site.start(options=())
    begin = time.monotonic()
    d = site.one(state="proven")
    assert states(d) == ["ok", "ok"]
    assert time.monotonic() - begin < 20 * SLOWER


def test_Z08_dead_secondary_does_not_hinder(site):
    site.start(secondary=False)
    d = site.one(state="proven")
    assert states(d) == ["ok", "unknown"]
    assert [f["id"] for f in d["findings"]] == ["server-unknown"]


def test_Z09_secondary_that_no_longer_transfers(site):
    site.start()
    site.secondary.stop()
    zone = Zone(CORP, site.text())
    site.named("ns2-stuck", address=site.second, zones=[zone])
    d = site.one("publish", "--timeout", "3s", state="lagging", exit=1)
    assert states(d) == ["ok", "lagging"]
    assert f"ns2.{CORP}" in d["hint"] and d["hresult"] == "0x8007251D"
    assert site.shown() == [f"3600 {ONE}"]


def test_P09_dry_run_shows_the_plan_and_sends_nothing(site):
    site.start(f"_vlmcs._tcp SRV {FOREIGN}")
    d = site.one("publish", "--dry-run", state="planned")
    assert changes(d) == [("add", ONE.rstrip("."))]
    r = site.kb("publish", "--dry-run", "-c", site.config())
    assert r.code == 0 and f"+ {SRV} 300 IN SRV 0 10 1688 kms1.{CORP}" in r.out
    assert site.tap.updates() == 0 and site.shown() == [f"300 {FOREIGN}"]
    r = site.kb("withdraw", "--dry-run", "-c", site.config())
    assert r.code == 0 and r.out.splitlines()[0::2] == [f"{CORP}  planned", "  nothing to change"], r


def test_text_for_people(site):
    site.start()
    r = site.kb("publish", "-c", site.config())
    assert r.code == 0, r
    lines = r.out.splitlines()
    assert lines[0] == f"{CORP}  proven"
    assert lines[2] == f"  + {SRV} 3600 IN SRV 0 10 1688 kms1.{CORP}"
    assert lines[3].split()[0] == f"ns1.{CORP}" and lines[3].endswith("ok")
    assert lines[4].split()[0] == f"ns2.{CORP}" and lines[4].endswith("ok")


def test_target_checks(site):
    site.start("alias CNAME kms1")
    d = site.one(state="blocked", exit=1, hosts=["{ name: a, target: nowhere.corp.test, port: 1688 }", HOST])
    assert [f["id"] for f in d["findings"]] == ["target-no-address"]
    assert site.shown() == [f"3600 {ONE}"]
    d = site.one(state="blocked", exit=1, hosts=["{ name: a, target: alias.corp.test, port: 1688 }", HOST])
    assert [f["id"] for f in d["findings"]] == ["target-cname"]
    d = site.one(
        state="blocked", exit=1, hosts=["{ name: a, target: kms2.corp.test, port: 1688 }"],
        domains=[f"{{ domain: {CORP}, key: corp }}"],
    )
    assert [f["id"] for f in d["findings"]] == ["target-loopback"]


def test_U26_large_set_is_read_by_tcp_and_left_alone(site):
    foreign = [f"_vlmcs._tcp SRV 0 0 {2000 + i} a-host-with-a-long-name-{i}.corp.test." for i in range(500)]
    site.start(*foreign, options=("notify-delay 0;", "max-records-per-type 0;"), secondary=False)
    d = site.run()[0]
    assert d["state"] == "proven" and changes(d) == [("add", ONE.rstrip("."))], d["hint"]
    shown = site.primary.records(SRV, "SRV", tcp=True)
    assert len(shown) == 501
    site.run("withdraw")
    assert len(site.primary.records(SRV, "SRV", tcp=True)) == 500
    updates = [m for m in site.tap.messages() if m.opcode == 5]
    assert len(updates) == 2 and all(len(m.data) < 512 for m in updates)


def test_Z06_two_views_by_key(site, named, loopback):
    inside, outside = Key("inside"), Key("outside")

    def view(name, key):
        text = zone_text(CORP, [("ns1", site.first)], ["kms1 A 127.0.0.9", "kms2 A 127.0.0.9"])
        return View(
            name, f"match-clients {{ key {key.name}; }};",
            [Zone(CORP, text, clauses=(f"update-policy {{ grant {key.name} name {SRV}. SRV; }};",))],
        )

    server = named("ns1", address=site.first, keys=[inside, outside], views=[view("in", inside), view("out", outside)])
    files = {k.name: k.write(site.folder) for k in (inside, outside)}
    keys = "".join(f", {{ name: {n}, file: {f} }}" for n, f in files.items())
    hosts = [HOST, "{ name: two, target: kms2.corp.test, port: 1688 }"]
    config = {
        "hosts": hosts, "keys": keys,
        "domains": [
            f"{{ domain: {CORP}, lab: true, key: inside, view: internal, hosts: [one], server: ['{site.first}'] }}",
            f"{{ domain: {CORP}, lab: true, key: outside, view: external, hosts: [two], server: ['{site.first}'] }}",
        ],
    }
    domains = site.run(**config)
    assert [(d["view"], d["state"]) for d in domains] == [("internal", "proven"), ("external", "proven")], domains
    assert server.records(SRV, "SRV", key=inside) == [f"3600 {ONE}"]
    assert server.records(SRV, "SRV", key=outside) == [f"3600 0 0 1688 kms2.{CORP}."]


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_Z16_primary_by_ipv6(site):
    site.start(secondary=False, ipv6="::1")
    d = site.run(domain=f", server: ['[::1]:{site.loopback.port}']")[0]
    assert d["address"] == f"[::1]:{site.loopback.port}"
    assert site.shown() == [f"3600 {ONE}"]


def test_many_zones_and_one_without_permission(site):
    """More zones than named's update-quota (100): none is lost, and one that refuses stops no other."""
    names = [f"z{i}.test" for i in range(130)]
    zones = [
        Zone(
            n, zone_text(n, [("ns1", site.first)], ["kms1 A 127.0.0.9"]),
            clauses=(f"update-policy {{ grant corp-update name _vlmcs._tcp.{n}. SRV; }};" if n != "z7.test" else "",),
        )
        for n in names
    ]
    site.start(zones=zones, secondary=False)
    domains = site.run(exit=1, domains=[f"{{ domain: {n}, lab: true, key: corp }}" for n in names])
    assert [d["domain"] for d in domains] == names
    assert [d["domain"] for d in domains if d["state"] != "proven"] == ["z7.test"]
    assert site.tap.updates() == len(names)


# ---- the daemon ----


def row(d, domain=CORP):
    return next(r for r in d.command("status", "--json").json["records"] if r["domain"] == domain)


def test_daemon_publishes_and_withdraw_lasts(site, daemon):
    site.start()
    path = site.config(publish="  refresh: 1s\n")
    d = daemon(path)
    wait_until("it is published", lambda: site.shown() == [f"3600 {ONE}"])
    wait_until("it is proven", lambda: row(d)["state"] in ("proven", "unchanged"))
    r = d.command("withdraw", "--json")
    assert r.code == 0 and r.json["domains"][0]["state"] == "proven", r
    assert site.shown() == [] and row(d)["state"] == "withdrawn"
    before = site.tap.updates()
    checks = len(site.tap.messages())
    wait_until("it was checked again", lambda: len(site.tap.messages()) > checks + 3)
    assert site.shown() == [] and site.tap.updates() == before
    d.stop()
    d = daemon(path)  # and over a restart
    d.wait_log(r"daemon\.ready")
    wait_until("it has checked", lambda: row(d)["state"] == "withdrawn")
    assert site.shown() == []
    r = d.command("publish", "--json")
    assert r.code == 0 and r.json["domains"][0]["state"] == "proven", r
    assert site.shown() == [f"3600 {ONE}"]


def test_Z12_daemon_repairs_what_was_lost(site, daemon):
    site.start()
    daemon(site.config(publish="  refresh: 1s\n"))
    wait_until("it is published", lambda: len(site.shown()) == 1)
    assert site.primary.update(CORP, ("delete", SRV, "SRV"), key=site.key) == 0
    wait_until("it is back", lambda: site.shown() == [f"3600 {ONE}"])


def test_P08_on_stop(site, daemon):
    site.start()
    d = daemon(site.config(publish="  on_stop: withdraw\n"))
    wait_until("it is published", lambda: len(site.shown()) == 1)
    d.stop()
    assert site.shown() == []
    d = daemon(site.config(publish="  on_stop: keep\n"))
    wait_until("it is published again", lambda: len(site.shown()) == 1)
    d.stop()
    assert len(site.shown()) == 1


def test_no_secret_at_any_log_level(site, daemon):
    site.start()
    site.log_level = "debug"
    d = daemon(site.config())
    wait_until("it is published", lambda: len(site.shown()) == 1)
    d.stop()
    secret = site.key.secret
    parts = [secret[i:i + 8] for i in range(0, len(secret) - 8)]
    assert not any(p in d.log for p in parts)
