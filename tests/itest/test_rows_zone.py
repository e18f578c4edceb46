"""Table Z, against real named: zone, primary, views and secondaries. Tests carry the id of their row."""

import os
import struct

import dns.flags
import dns.rdatatype
import pytest

from kblib.bind import ROOT_ZONE, Key, View, Zone, zone_text
from kblib.loopback import has_ipv6
from kblib.process import SLOWER, wait_until
from kblib.site import CORP, ONE, SRV

DOMAIN = f"{{ domain: {CORP}, lab: true, key: corp, server: ['%s'] }}"
needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


def states(d):
    return [p["state"] for p in d["proof"]]


def restore(server, zone, text):
    """The zone file of a server that is down, as it comes from a backup: no journal, an older serial."""
    with open(zone.file, "w", encoding="utf-8") as f:
        f.write(text)
    if os.path.exists(zone.file + ".jnl"):
        os.remove(zone.file + ".jnl")
    server.start()


# ---- finding the primary ----


@pytest.mark.parametrize("mname", ["no_address", "dead"])
def test_Z02_wrong_mname_is_named_and_server_overrides(site, mname):
    dead = [] if mname == "no_address" else [f"hidden A {site.loopback.address()}"]
    text = site.text
    site.text = lambda *lines: text(*lines, *dead).replace("@ SOA ns1 ", "@ SOA hidden ")
    site.start(secondary=False)
    d = site.one("publish", "--timeout", "4s", state="unreachable" if dead else "blocked", exit=1)
    if dead:
        assert "no answer from" in d["hint"] and f"the SOA names hidden.{CORP}" in d["hint"], d
        assert "`server:`" in d["hint"]
    else:
        assert f"the primary hidden.{CORP}" in d["hint"] and "`server:`" in d["hint"], d
    assert site.shown() == []
    d = site.run(domain=f", server: ['{site.first}']")[0]
    assert d["state"] == "proven" and site.shown() == [f"3600 {ONE}"]


@needs_ipv6
@pytest.mark.parametrize("addresses, ipv6", [
    (["A {first}"], True),
    (["AAAA ::1"], True),
    (["A {dead}", "AAAA ::1"], True),
    (["A {first}", "AAAA ::1"], False),  # nobody listens there
], ids=["A", "AAAA", "dead_A", "dead_AAAA"])
def test_Z03_addresses_of_the_primary(site, named, addresses, ipv6):
    dead = site.loopback.address()
    lines = [f"ns1 {a.format(first=site.first, dead=dead)}" for a in addresses]
    text = zone_text(CORP, [(f"ns1.{CORP}.", site.first)], [*lines, "kms1 A 127.0.0.9"])
    policy = site.policy()
    server = named(
        "ns1", address=site.first, keys=[site.key], ipv6="::1" if ipv6 else None, zones=[Zone(CORP, text, clauses=(policy,))]
    )
    d = site.run()[0]
    assert d["state"] == "proven", d
    assert server.records(SRV, "SRV") == [f"3600 {ONE}"]


def test_Z04_forwarder_is_no_primary(site, named):
    """It knows the key, so it answers signed; but without authority it gets no UPDATE."""
    site.start(secondary=False)
    forward = f"type forward; forward only; forwarders {{ {site.primary.address} port {site.loopback.port}; }};"
    forwarder = named(
        "forwarder", keys=[site.key], zones=[Zone(".", ROOT_ZONE + f"{CORP}. NS ns.{CORP}.\n")],
        extra=f'zone "{CORP}" {{ {forward} }};\n',
    )
    d = site.run(exit=1, domains=[DOMAIN % forwarder.address])[0]
    assert d["state"] == "blocked" and "set `server:`" in d["hint"] and d["changes"] == [], d
    assert site.tap.updates() == 0 and site.shown() == []


def without_tsig(m):
    at = m.reply.rfind(b"\x0bcorp-update\0")
    if at < 0:
        return m.reply
    (additional,) = struct.unpack_from("!H", m.reply, 10)
    return m.reply[:10] + struct.pack("!H", additional - 1) + m.reply[12:at]


def test_Z04_answer_without_tsig_counts_for_nothing(site):
    site.start(secondary=False)
    site.tap.on_reply = without_tsig
    d = site.run("publish", "--timeout", f"{3 * SLOWER:g}s", exit=1, domains=[DOMAIN % site.first])[0]
    assert d["state"] in ("unreachable", "refused") and d["changes"] == [] and "unsigned" in d["hint"], d
    assert site.tap.updates() == 0 and site.shown() == []


def view(site, name, match, grant):
    text = zone_text(CORP, [("ns1", site.first)], ["kms1 A 127.0.0.9"])
    return View(name, match, [Zone(CORP, text, clauses=grant)])


def test_Z04_zone_in_a_view_that_only_the_key_opens(site, named):
    grant = (f"update-policy {{ grant corp-update name {SRV}. SRV; }};",)
    server = named("ns1", address=site.first, keys=[site.key], views=[
        view(site, "in", "match-clients { key corp-update; };", grant), View("rest", "match-clients { any; };", []),
    ])
    d = site.run(domains=[DOMAIN % site.first])[0]
    assert d["state"] == "proven" and server.records(SRV, "SRV", key=site.key) == [f"3600 {ONE}"]


def test_Z06_view_by_source_address(site, named):
    """Read and written in one view: with another source it is the other view, which refuses, and nothing mixes."""
    inside = site.loopback.address()
    other = Key("other-key")
    grants = [(f"update-policy {{ grant {k} name {SRV}. SRV; }};",) for k in ("corp-update", "other-key")]
    server = named("ns1", address=site.first, keys=[site.key, other], views=[
        view(site, "in", f"match-clients {{ {inside}; }};", grants[0]), view(site, "out", "match-clients { any; };", grants[1]),
    ])
    d = site.run(exit=1, domains=[DOMAIN % site.first])[0]
    assert d["state"] == "refused" and d["rcode"] == "REFUSED", d
    assert server.records(SRV, "SRV", source=inside) == server.records(SRV, "SRV") == []
    d = site.run(publish=f"  source: {inside}\n", domains=[DOMAIN % site.first])[0]
    assert d["state"] == "proven", d
    assert server.records(SRV, "SRV", source=inside) == [f"3600 {ONE}"]
    assert server.records(SRV, "SRV") == []


# ---- what happens to the zone ----


def test_Z10_zone_restored_from_a_backup(site):
    """Its serial has gone back, and it is behind that of the secondary. The next round repairs it."""
    site.start()
    site.one(state="proven")
    site.one(state="proven", domain=", ttl: 10m")
    assert site.secondary.wait_serial(CORP, 3)
    site.primary.stop()
    restore(site.primary, site.primary.zones[0], site.text())
    assert site.primary.serial(CORP) == 1 and site.shown() == []
    d = site.run("publish", "--timeout", "5s", domain=", ttl: 10m")[0]
    assert d["state"] == "proven" and [c["op"] for c in d["changes"]] == ["add"], d
    assert site.shown() == [f"600 {ONE}"]


def test_Z10_audit_of_a_zone_restored_from_a_backup(site):
    """The secondary takes nothing from a primary with an older serial, and the audit says so."""
    site.start()
    site.one(state="proven")
    site.one(state="proven", domain=", ttl: 10m")
    assert site.secondary.wait_serial(CORP, 3)
    site.primary.stop()
    restore(site.primary, site.primary.zones[0], site.text())
    found, _, r = audit(site, site.primary)
    assert "serial-backwards" in found and f"the primary ns1.{CORP}" in found["serial-backwards"], r
    assert "lag" not in found and "servers-differ" not in found, r
    assert {s["name"]: s["serial"] for s in r.json["domains"][0]["servers"] if s["name"]} == {f"ns1.{CORP}": 1, f"ns2.{CORP}": 3}


def test_Z11_zone_edited_by_hand(site):
    site.start(secondary=False)
    site.run()
    site.primary.rndc("freeze", CORP)
    file = site.primary.zones[0].file

    def written():
        with open(file, encoding="utf-8") as f:
            return "1688" in f.read()

    # rndc answers before named has put the new file in the place of the old one
    wait_until("named has written the zone", written)
    with open(file, "a", encoding="utf-8") as f:
        f.write(f"by-hand.{CORP}. 300 IN A 127.0.0.8\n{SRV}. 3600 IN SRV 0 0 1688 by-hand.{CORP}.\n")
    site.primary.rndc("thaw", CORP)
    wait_until("the edit is loaded", lambda: len(site.shown()) == 2)
    d = site.run()[0]
    assert d["state"] == "unchanged" and site.tap.updates() == 1, d
    site.run("withdraw")
    assert site.shown() == [f"3600 0 0 1688 by-hand.{CORP}."]


def test_Z12_server_killed_before_it_wrote_the_zone(site):
    site.start(secondary=False)
    site.run()
    site.primary.kill()
    site.primary.start()
    assert site.shown() == [f"3600 {ONE}"]
    assert site.run()[0]["state"] == "unchanged" and site.tap.updates() == 1


def test_Z12_Z10_daemon_repairs_a_server_that_lost_its_journal(site, daemon):
    site.start(secondary=False)
    daemon(site.config(publish="  refresh: 1s\n", domains=[DOMAIN % site.first]))
    wait_until("it is published", lambda: site.shown() == [f"3600 {ONE}"])
    site.primary.kill()
    restore(site.primary, site.primary.zones[0], site.text())
    wait_until("it is back", lambda: site.shown() == [f"3600 {ONE}"], timeout_s=40)


def test_Z13_inline_signing(site):
    """The signer shows a change a moment after the answer to the UPDATE: the proof asks again."""
    site.start(clauses=(site.policy(), "dnssec-policy default; inline-signing yes;"))
    wait_until("it is signed", lambda: site.primary.records(CORP, "DNSKEY"))
    d = site.one(state="proven")
    assert states(d) == ["ok", "ok"]
    assert site.shown() == site.secondary.records(SRV, "SRV") == [f"3600 {ONE}"]
    site.one("withdraw", state="proven")
    assert site.shown() == []


def test_Z14_resolvers_that_disagree_are_told_apart(site, named):
    """Each resolver by itself: the one that still has the old answer is named, with how long it may keep it."""
    site.start(secondary=False)
    old, fresh = (resolver(site, named, n) for n in ("old", "fresh"))
    old.query(SRV, "SRV", rd=True)
    site.run()
    found, states_of, r = audit(site, old, fresh)
    assert states_of == {old.address: "stale", fresh.address: "ok"}, r
    assert old.address in found["negative-cached"], r


def audit(site, *resolvers):
    """What verify finds through these resolvers, and what it says of each of them: (ids, {address: state}, report)."""
    path = site.folder / "audit.yaml"
    path.write_text(f"discovery: {{ resolvers: [{', '.join(repr(f'{r.address}:{r.port}') for r in resolvers)}] }}\n")
    r = site.kb("verify", "--json", "-c", path, "--domain", CORP)
    d = r.json["domains"][0]
    states_of = {s["address"].rsplit(":", 1)[0]: s["state"] for s in d["servers"] if s["role"] == "resolver"}
    return {f["id"]: f["text"] for f in d["findings"]}, states_of, r


def resolver(site, named, name):
    forward = f"type forward; forward only; forwarders {{ {site.primary.address} port {site.loopback.port}; }};"
    root = Zone(".", ROOT_ZONE + f"{CORP}. NS ns.{CORP}.\n")
    return named(name, zones=[root], extra=f'zone "{CORP}" {{ {forward} }};\n')


def test_Z14_resolver_of_several_caches(site, fake_dns):
    """Caches behind one address that are not of one age: it answers now this, now that."""
    site.start(secondary=False)
    site.run()
    asked = []

    def one_of_two(query, reply):
        reply.flags = reply.flags & ~dns.flags.AA | dns.flags.RA
        if query.question[0].rdtype == dns.rdatatype.SRV:
            asked.append(1)
            if len(asked) % 2 == 0:
                reply.answer.clear()
                reply.authority.append(reply_soa)
        return reply

    text = site.text(f"_vlmcs._tcp 3600 SRV {ONE}")
    balanced = fake_dns(CORP, text, on_query=one_of_two)
    reply_soa = balanced.zone.get_rrset(balanced.origin, dns.rdatatype.SOA)
    found, states_of, r = audit(site, balanced)
    assert "resolver-inconsistent" in found and "resolver-stale" not in found, r
    assert len(asked) >= 3 and states_of[balanced.address] in ("ok", "stale"), r


def test_Z15_absence_in_a_cache_is_no_fault(site, named):
    """Information, with the seconds that are left; a resolver that asks after the publish has the record."""
    site.start(secondary=False)
    early = resolver(site, named, "early")
    early.query(SRV, "SRV", rd=True)
    site.run()
    found, states_of, r = audit(site, early)
    assert states_of == {early.address: "stale"}, r
    seconds = int(found["negative-cached"].rsplit("up to ", 1)[1].split()[0])
    assert 0 < seconds <= 60, r
    early.rndc("flush")
    found, states_of, r = audit(site, early)
    assert "negative-cached" not in found and states_of == {early.address: "ok"}, r


def test_Z15_negative_answer_in_a_resolver_is_explained(site):
    site.start(secondary=False)
    r = site.kb("discover", "--json", "--explain", "--no-cache", "--probe", "none", "--domain", CORP, "-c", site.config())
    assert r.code == 1 and r.json["selected"] is None, r
    assert any("may stay unseen for 60 s" in s["detail"] for s in r.json["steps"]), r  # the zone's SOA minimum


def test_Z15_first_publish_tells_how_long_resolvers_may_not_know(site):
    # RFC 2308: the smaller one of the SOA's minimum (60) and its TTL, which is that of the zone
    site.ttl = 45
    site.start(secondary=False)
    assert site.one("publish", "--dry-run", state="planned")["negative_ttl"] == 45
    r = site.kb("publish", "-c", site.config())
    assert r.code == 0 and "may say for 45 s more that there is no record" in r.out, r
    assert site.one(state="unchanged")["negative_ttl"] is None
    site.one("withdraw", state="proven")
    assert site.one(state="proven", domain=f", server: '{site.first}'")["negative_ttl"] == 45
    # where another record was there, no resolver has learned that there is none
    site.one("withdraw", state="proven")
    site.primary.update(CORP, ("add", SRV, 300, "SRV", f"0 0 1688 other.{CORP}."), key=site.key)
    assert site.one(state="proven")["negative_ttl"] is None


def test_Z17_broken_zones_hold_up_no_other(site):
    """A zone nobody serves, one whose primary is dead, one frozen: each fails by itself, the others finish."""
    grant = "update-policy { grant corp-update name _vlmcs._tcp.%s. SRV; };"
    names = [f"z{i}.test" for i in range(40)]
    zones = [Zone(n, zone_text(n, [("ns1", site.first)], ["kms1 A 127.0.0.9"]), clauses=(grant % n,)) for n in names]
    site.start(zones=zones, secondary=False)
    site.primary.rndc("freeze", "z3.test")
    dead = site.loopback.address()
    domains = [f"{{ domain: {n}, lab: true, key: corp }}" for n in names if n not in ("z1.test", "z2.test")]
    domains += ["{ domain: nobody.invalid, lab: true, key: corp }"]
    domains += [f"{{ domain: z2.test, lab: true, key: corp, server: ['{dead}'] }}"]
    got = {d["domain"]: d for d in site.run("publish", "--timeout", "6s", exit=1, domains=domains)}
    failed = {n: d["state"] for n, d in got.items() if d["state"] != "proven"}
    assert failed == {"z3.test": "refused", "nobody.invalid": "blocked", "z2.test": "unreachable"}
    assert all(got[n]["hint"] for n in failed)
