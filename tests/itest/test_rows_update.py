"""Rows U of failure-modes.md (the UPDATE exchange) that a real named or a scripted server shows best.

docs/failure-modes.md lists where each row is tested.
"""

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest

from kblib.bind import Zone, zone_text
from kblib.fakedns import unsigned
from kblib.process import wait_until
from kblib.site import CORP, ONE, SRV
from kblib.tap import UPDATE

FOREIGN = f"0 0 1688 other.{CORP}."
OTHER_PRIORITY = "{ name: one, target: kms1.corp.test, port: 1688, priority: 5, weight: 10 }"


def finding_ids(d):
    return [f["id"] for f in d["findings"]]


def update_messages(site):
    """What left as UPDATE, read by dnspython."""
    return [dns.message.from_wire(m.data, keyring=site.key.keyring, continue_on_error=True) for m in site.tap.messages(UPDATE)]


def test_U01_cname_appears_between_read_and_update(site):
    """NOERROR, and nothing was added: named drops the SRV beside a CNAME that came in between."""
    site.start(clauses=[f"update-policy {{ grant corp-update zonesub ANY; }};"], secondary=False)

    def add_cname(m):
        if m.opcode == UPDATE and site.tap.updates() == 1:
            site.primary.update(CORP, ("add", SRV, 60, "CNAME", f"elsewhere.{CORP}."), key=site.key)
        return m.data

    site.tap.on_query = add_cname
    d = site.one(state="blocked", exit=1)
    assert d["hint"].startswith(f"not visible: CNAME present at {SRV} (it leads to elsewhere.{CORP})"), d
    assert d["hresult"] == "0x8007251D"
    assert site.primary.records(SRV, "CNAME") == [f"60 elsewhere.{CORP}."]
    assert site.primary.records(f"elsewhere.{CORP}", "SRV") == []


def test_U03_ttl_of_others_is_kept_unless_enforced(site):
    site.start(f"_vlmcs._tcp SRV {FOREIGN}", secondary=False)
    d = site.run()[0]
    assert site.shown() == [f"300 {FOREIGN}", f"300 {ONE}"] and "ttl-adopted" in finding_ids(d)
    site.run(publish="  ttl_policy: enforce\n")
    assert site.shown() == [f"3600 {FOREIGN}", f"3600 {ONE}"]
    updates = site.tap.updates()
    site.run(publish="  ttl_policy: enforce\n")
    assert site.tap.updates() == updates


def test_U05_steady_state_sends_no_update(site, daemon):
    site.start(secondary=False)
    d = daemon(site.config(publish="  refresh: 1s\n"))
    wait_until("it is published", lambda: site.shown() == [f"3600 {ONE}"])
    serial = site.primary.serial(CORP)
    reads = len(site.tap.messages())
    wait_until("it was checked three times more", lambda: len(site.tap.messages()) >= reads + 5)
    d.stop()
    assert site.tap.updates() == 1 and site.primary.serial(CORP) == serial


def test_U08_U09_only_exact_deletes_leave_and_a_half_allowed_message_does_nothing(site):
    site.start(f"_vlmcs._tcp SRV {FOREIGN}", secondary=False)
    site.run()
    site.run(hosts=[OTHER_PRIORITY])
    site.run(hosts=[OTHER_PRIORITY], publish="  ttl_policy: enforce\n")
    site.run("withdraw")
    assert [r.split(" ", 1)[1] for r in site.shown()] == [FOREIGN]
    messages = update_messages(site)
    assert len(messages) == 4
    for m in messages:
        assert [(z.name.to_text(), z.rdtype) for z in m.zone] == [(f"{CORP}.", dns.rdatatype.SOA)]
        for rrset in m.update:
            assert rrset.rdtype == dns.rdatatype.SRV and rrset.name == dns.name.from_text(SRV)
            assert len(rrset) == 1  # with its RDATA: neither a name nor a set is deleted
            assert rrset.deleting in (None, dns.rdataclass.NONE)
            if rrset.deleting is not None:
                assert rrset.ttl == 0

    # two domains in one zone, one of them not allowed: neither hides the other
    sub = f"sub.{CORP}"
    domains = [f"{{ domain: {n}, lab: true, key: corp }}" for n in (CORP, sub)]
    got = {d["domain"]: d for d in site.run(exit=1, domains=domains)}
    assert got[CORP]["state"] == "proven"
    assert (got[sub]["state"], got[sub]["rcode"]) == ("refused", "REFUSED")
    assert site.primary.records(f"_vlmcs._tcp.{sub}", "SRV") == [] and len(site.shown()) == 2


def test_U10_U11_health_withdrawal_carries_the_whole_set(site, daemon, kms_host):
    """The prerequisite lists every record that was read; yxdomain and its like are never used."""
    address = site.loopback.address()
    one = kms_host(address=address)
    two = kms_host(address=address)
    hosts = [f"{{ name: h{h.port}, target: kms.{CORP}, port: {h.port} }}" for h in (one, two)]
    site.start(f"kms A {address}", secondary=False)
    path = site.config(hosts=hosts)
    path.write_text(path.read_text() + "health: { interval: 100ms, timeout: 1s, rise: 1, fall: 2, min_stay: 0s }\n")
    daemon(path)
    wait_until("both are published", lambda: len(site.shown()) == 2)
    both = sorted(r.split(" ", 1)[1] for r in site.shown())
    wait_until("both were probed", lambda: one.binds > 1 and two.binds > 1)
    two.stop()
    wait_until("the dead one is withdrawn", lambda: len(site.shown()) == 1)
    assert site.shown()[0].split()[3] == str(one.port)
    withdrawal = update_messages(site)[-1]
    assert sorted(r.to_text() for rrset in withdrawal.prerequisite for r in rrset) == both
    for m in update_messages(site):
        for rrset in m.prerequisite:
            assert rrset.rdclass == dns.rdataclass.IN and rrset.rdtype == dns.rdatatype.SRV and rrset.deleting is None


def test_U12_wildcard_is_told_before_anything_is_written(site):
    site.start(f"* SRV {FOREIGN}", secondary=False)
    planned = site.one("publish", "--dry-run", state="planned")
    assert finding_ids(planned) == ["wildcard"] and site.tap.updates() == 0
    assert [c["op"] for c in planned["changes"]] == ["add"]
    assert planned["changes"][0]["rr"].split()[1] == "3600"  # the wildcard's TTL is not the set's
    d = site.run()[0]
    assert d["state"] == "proven" and finding_ids(d)[0] == "wildcard", d
    assert site.shown() == [f"3600 {ONE}"]
    assert site.run()[0]["state"] == "unchanged"


def test_U12_records_beside_a_wildcard_are_no_wildcard(site):
    site.start(f"_vlmcs._tcp SRV {FOREIGN}", f"*._tcp SRV 9 9 9 x.{CORP}.", secondary=False)
    d = site.run()[0]
    assert "wildcard" not in finding_ids(d) and len(site.shown()) == 2


def test_U13_one_message_for_each_zone_and_the_longest_wins(site):
    sub = f"sub.{CORP}"
    policy = f"update-policy {{ grant corp-update name _vlmcs._tcp.{sub}. SRV; }};"
    child = Zone(sub, zone_text(sub, [(f"ns1.{CORP}.", site.first)]), clauses=(policy,))
    site.start("sub NS ns1", zones=[child], secondary=False)
    domains = [f"{{ domain: {n}, lab: true, key: corp }}" for n in (CORP, sub)]
    assert {d["zone"]: d["state"] for d in site.run(domains=domains)} == {CORP: "proven", sub: "proven"}
    assert sorted(m.zone[0].name.to_text() for m in update_messages(site)) == [f"{CORP}.", f"{sub}."]


def test_U18_U19_U27_truncated_reply_then_lost_reply(site):
    """TC=1: the update again over TCP, signed anew. A lost reply: again, and no alarm about our own record."""
    site.start(secondary=False)

    def truncate(m):
        if m.opcode == UPDATE and m.proto == "udp":
            return m.reply[:2] + bytes([m.reply[2] | 2, m.reply[3]]) + bytes(8)
        return m.reply

    site.tap.on_reply = truncate
    site.run()
    protos = [m.proto for m in site.tap.messages(UPDATE)]
    assert protos == ["udp", "tcp"] and site.shown() == [f"3600 {ONE}"]

    lost = []
    site.tap.on_reply = lambda m: lost.append(m) if m.opcode == UPDATE and not lost else m.reply
    d = site.run(hosts=[OTHER_PRIORITY])[0]
    assert d["state"] == "proven" and lost
    assert site.shown() == [f"3600 5 10 1688 kms1.{CORP}."]

    # U27: each attempt verified by dnspython, which takes one TSIG only; no two have the same MAC
    assert all(m.rcode == dns.rcode.NOERROR for m in site.tap.messages(UPDATE))
    messages = update_messages(site)
    assert all(m.had_tsig for m in messages) and len({m.mac for m in messages}) == len(messages) == 4


def test_U21_notimp_is_no_reason_to_try_again(site, fake_dns):
    def refuse(query, reply):
        reply.set_rcode(dns.rcode.NOTIMP)
        return reply

    server = fake_dns(CORP, site.text(), key=site.key, on_update=refuse, address=site.first)
    d = site.run(exit=1, domain=f", server: ['{server.address}']")[0]
    assert (d["state"], d["rcode"]) == ("refused", "NOTIMP")
    assert "--print zone" in d["hint"]
    assert len(server.updates) == 1 and server.updates[0].edns == -1


def test_U22_servfail_says_what_to_look_for(site):
    two = [f"_vlmcs._tcp SRV {FOREIGN}", f"_vlmcs._tcp SRV 1 1 1688 third.{CORP}."]
    site.start(*two, clauses=[site.policy(), "max-records-per-type 2;"], secondary=False)
    d = site.run(exit=1)[0]
    assert (d["state"], d["rcode"], d["hresult"]) == ("refused", "SERVFAIL", "0x8007232A"), d
    assert "max-records-per-type" in d["hint"] and "log" in d["hint"]
    assert len(site.shown()) == 2


def test_U23_frozen_zone_lists_the_causes(site):
    """REFUSED before any success: nobody can tell the cause, so all of them are named."""
    site.start(secondary=False)
    site.primary.rndc("freeze", CORP)
    d = site.run(exit=1)[0]
    assert d["rcode"] == "REFUSED"
    for cause in ("policy", "static", "frozen", "secondary"):
        assert cause in d["hint"], d
    site.primary.rndc("thaw", CORP)
    assert site.run()[0]["state"] == "proven"


@pytest.mark.parametrize("first", ["dead", "not-primary", "refuses"])
def test_U28_the_next_server_does_it(site, fake_dns, first):
    """A server that is down, or one that refuses because it is no primary, does not end the run."""
    site.start(secondary=False)
    address = site.loopback.address()
    server = None

    def refuse(query, reply):
        if first == "not-primary":
            return unsigned(reply, dns.rcode.NOTAUTH)
        reply.set_rcode(dns.rcode.REFUSED)
        return reply

    if first != "dead":
        server = fake_dns(CORP, site.text(), key=site.key, address=address, on_update=refuse)
    d = site.run(domain=f", server: ['{address}', '{site.first}']")[0]
    assert d["state"] == "proven" and site.shown() == [f"3600 {ONE}"], d
    assert server is None or len(server.updates) == 1
    assert d["address"] == f"{site.first}:{site.loopback.port}"
