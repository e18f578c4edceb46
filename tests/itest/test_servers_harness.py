"""The servers beside named: the harness starts them as asked, and what each answers to an UPDATE is on record.

The answers are those of BIND 9.18.49, Knot 3.2.6, PowerDNS 4.7.3 and NSD 4.6.1. The publisher's explanations rest on them
(publisher/explain.c): where a newer server answers otherwise, both have to learn it.
"""

import dns.exception
import dns.message
import dns.rcode
import pytest

from kblib.bind import Named
from kblib.knot import Knot
from kblib.nsd import Nsd
from kblib.pdns import Pdns
from kblib.process import wait_until
from kblib.server import Key, Primary, Zone, update_message, zone_text

ZONE = "corp.test"
SRV = f"_vlmcs._tcp.{ZONE}"
PRIMARIES = pytest.mark.parametrize("kind", (Named, Knot, Pdns))


@pytest.fixture
def key():
    return Key("corp-update")


def text(*records, ttl=300):
    return zone_text(ZONE, [("ns1", "127.0.0.1")], records, ttl)


def rr(target, ttl=300):
    return ("add", SRV, ttl, "SRV", f"0 0 1688 {target}.{ZONE}.")


def no_rr(target):
    return ("delete", SRV, "SRV", f"0 0 1688 {target}.{ZONE}.")


def shown(target, ttl=300):
    return f"{ttl} 0 0 1688 {target}.{ZONE}."


# ---- least privilege, restart, transfer ----


@PRIMARIES
def test_a_key_changes_the_srv_set_and_nothing_else(server, key, kind):
    stranger = Key("second")
    one = server(kind, "ns1", keys=[key, stranger], zones=[Zone(ZONE, text(), updaters=(key,))])
    assert one.update(ZONE, rr("kms1"), key=key) == dns.rcode.NOERROR
    assert (one.records(SRV, "SRV"), one.serial(ZONE)) == ([shown("kms1")], 2)
    for message in (
        update_message(ZONE, ("add", f"x.{ZONE}", 300, "SRV", "0 0 1688 x"), key=key),
        update_message(ZONE, ("add", f"x.{SRV}", 300, "SRV", "0 0 1688 x"), key=key),
        update_message(ZONE, ("add", SRV, 300, "TXT", "x"), key=key),
        update_message(ZONE, ("delete", f"ns1.{ZONE}", "A", "127.0.0.1"), key=key),
        update_message(ZONE, rr("kms2"), key=stranger),
        update_message(ZONE, no_rr("kms1"), key=stranger),
        update_message(ZONE, rr("kms2")),
    ):
        one.verdict(message)  # see ANSWERS for what it is: on PowerDNS a denial looks like success
    for name, rdtype in ((f"x.{ZONE}", "SRV"), (f"x.{SRV}", "SRV"), (SRV, "TXT")):
        assert one.records(name, rdtype) == []
    assert one.records(f"ns1.{ZONE}", "A") == ["300 127.0.0.1"]
    assert (one.records(SRV, "SRV"), one.serial(ZONE)) == ([shown("kms1")], 2)


@PRIMARIES
def test_restart_after_kill_keeps_the_zone_and_both_logs(server, key, kind):
    one = server(kind, "ns1", keys=[key], zones=[Zone(ZONE, text(), updaters=(key,))])
    assert one.update(ZONE, rr("kms1"), key=key) == dns.rcode.NOERROR
    one.kill()
    with pytest.raises((dns.exception.Timeout, OSError)):
        one.query(ZONE, "SOA", timeout=0.2)
    one.start()
    assert (one.records(SRV, "SRV"), one.serial(ZONE)) == ([shown("kms1")], 2)
    assert "started again" in one.log


@pytest.mark.parametrize(
    "first, second", [(Knot, Named), (Pdns, Named), (Named, Knot), (Named, Pdns), (Named, Nsd), (Knot, Nsd), (Pdns, Nsd)],
    ids=lambda kind: kind.__name__,
)
def test_update_reaches_a_secondary(server, loopback, key, first, second):
    a, b = loopback.address(), loopback.address()
    content = zone_text(ZONE, [("ns1", a), ("ns2", b)])
    primary = server(first, "ns1", address=a, keys=[key], zones=[Zone(ZONE, content, updaters=(key,), notify=(b,))])
    secondary = server(second, "ns2", address=b, zones=[Zone(ZONE, primaries=f"{a} port {loopback.port}")])
    secondary.wait_serial(ZONE, 1)
    assert primary.update(ZONE, rr("kms1"), key=key) == dns.rcode.NOERROR
    secondary.wait_serial(ZONE, 2)
    assert primary.records(SRV, "SRV") == [shown("kms1")]
    # a process of nsd with the old zone may answer yet, next to one with the new one
    wait_until("the secondary has it", lambda: secondary.records(SRV, "SRV") == [shown("kms1")])


def test_primaries_as_text():
    assert Primary.parse("127.1.2.3 port 10053") == Primary("127.1.2.3", 10053)
    assert Primary.parse('127.1.2.3 port 10053 key "k"').key == "k"
    with pytest.raises(ValueError, match="not ADDRESS port"):
        Primary.parse("127.1.2.3")


def test_tools_of_knot_and_pdns(knot, pdns):
    assert ZONE in knot("ns1", zones=[Zone(ZONE, text())]).knotc("zone-status", ZONE)
    with pytest.raises(AssertionError, match="knotc zone-status"):
        knot("ns2").knotc("zone-status", ZONE)
    one = pdns("ns3", zones=[Zone(ZONE, text(), clauses=("NOTIFY-DNSUPDATE 1",))])
    assert "NOTIFY-DNSUPDATE = 1" in one.pdnsutil("get-meta", ZONE, "NOTIFY-DNSUPDATE")
    with pytest.raises(AssertionError, match="pdnsutil check-zone"):
        one.pdnsutil("check-zone", "absent.test")


@pytest.mark.parametrize("kind, extra", [(Knot, "nonsense: yes\n"), (Nsd, "nonsense: yes\n"), (Pdns, "nonsense=yes\n")])
def test_a_configuration_error_is_shown(server, kind, extra):
    with pytest.raises(AssertionError, match="nonsense"):
        server(kind, "ns1", extra=extra)


# ---- what is answered ----

# "unsigned": a TSIG record without a MAC, "no TSIG": none, each in answer to a signed message
ANSWERS = {
    #                            named                         knotd                         pdns_server, with script   nsd
    "SOA, signed":              ("NOERROR",                    "NOERROR",                    "NOERROR",                 "NOERROR"),
    "SOA, key of other zones":  ("NOERROR",                    "NOTAUTH(BADKEY) unsigned",   "NOERROR",                 "NOERROR"),
    "SOA, unknown key":         ("NOTAUTH(BADKEY) unsigned",   "NOTAUTH(BADKEY) unsigned",   "NOTAUTH no TSIG",         "NOTAUTH(BADKEY) unsigned"),
    "SOA, wrong secret":        ("NOTAUTH(BADSIG) unsigned",   "NOTAUTH(BADSIG) unsigned",   "NOTAUTH no TSIG",         "NOTAUTH(BADSIG) unsigned"),
    "SOA, wrong algorithm":     ("NOTAUTH(BADKEY) unsigned",   "NOTAUTH(BADKEY) unsigned",   "NOTAUTH no TSIG",         "NOERROR"),
    "SOA, wrong time":          ("NOTAUTH(BADTIME)",           "NOTAUTH(BADTIME)",           "NOTAUTH no TSIG",         "NOTAUTH(BADTIME) unsigned"),
    "SOA, key in capitals":     ("NOERROR",                    "NOERROR",                    "NOTAUTH no TSIG",         "NOERROR"),
    "no key":                   ("REFUSED",                    "NOTAUTH",                    "NOERROR",                 "NOTIMP"),
    "unknown key":              ("NOTAUTH(BADKEY) unsigned",   "NOTAUTH(BADKEY) unsigned",   "REFUSED no TSIG",         "NOTIMP no TSIG"),
    "wrong secret":             ("NOTAUTH(BADSIG) unsigned",   "NOTAUTH(BADSIG) unsigned",   "REFUSED no TSIG",         "NOTIMP no TSIG"),
    "wrong algorithm":          ("NOTAUTH(BADKEY) unsigned",   "NOTAUTH(BADKEY) unsigned",   "REFUSED no TSIG",         "NOTIMP no TSIG"),
    "600 s slow":               ("NOTAUTH(BADTIME)",           "NOTAUTH(BADTIME)",           "REFUSED no TSIG",         "NOTIMP no TSIG"),
    "600 s fast":               ("NOTAUTH(BADTIME)",           "NOTAUTH(BADTIME)",           "REFUSED no TSIG",         "NOTIMP no TSIG"),
    "key of other zones":       ("REFUSED",                    "NOTAUTH(BADKEY) unsigned",   "NOERROR",                 "NOTIMP no TSIG"),
    "other name":               ("REFUSED",                    "NOTAUTH(BADKEY) unsigned",   "NOERROR",                 "NOTIMP no TSIG"),
    "other type":               ("REFUSED",                    "NOTAUTH(BADKEY) unsigned",   "NOERROR",                 "NOTIMP no TSIG"),
    "zone without updates":     ("REFUSED",                    "NOTAUTH(BADKEY) unsigned",   "NOERROR",                 "NOTIMP no TSIG"),
    "outside the zone":         ("NOTZONE",                    "NOTAUTH(BADKEY) unsigned",   "NOTZONE",                 "NOTIMP no TSIG"),
    "zone not served":          ("NOTAUTH",                    "NOTAUTH no TSIG",            "NOTAUTH",                 "NOTIMP no TSIG"),
    "name in place of zone":    ("NOTAUTH",                    "NOTAUTH no TSIG",            "NOTAUTH",                 "NOTIMP no TSIG"),
    "value not as required":    ("NXRRSET",                    "NXRRSET",                    "NXRRSET",                 "NOTIMP no TSIG"),
    "part of the values":       ("NXRRSET",                    "NXRRSET",                    "NXRRSET",                 "NOTIMP no TSIG"),
    "set required, not there":  ("NXRRSET",                    "NXRRSET",                    "NXRRSET",                 "NOTIMP no TSIG"),
    "set forbidden, there":     ("YXRRSET",                    "YXRRSET",                    "YXRRSET",                 "NOTIMP no TSIG"),
    "name required, not there": ("NXDOMAIN",                   "NXDOMAIN",                   "NXDOMAIN",                "NOTIMP no TSIG"),
    "name forbidden, there":    ("YXDOMAIN",                   "YXDOMAIN",                   "YXDOMAIN",                "NOTIMP no TSIG"),
    "_tcp required":            ("NXDOMAIN",                   "NXDOMAIN",                   "NXDOMAIN",                "NOTIMP no TSIG"),
    "CNAME at the name":        ("NOERROR",                    "NOERROR",                    "REFUSED",                 "NOTIMP no TSIG"),
    "below a delegation":       ("NOERROR",                    "NOERROR",                    "NOERROR",                 "NOTIMP no TSIG"),
    "absent record deleted":    ("NOERROR",                    "NOERROR",                    "NOERROR",                 "NOTIMP no TSIG"),
}  # fmt: skip
KINDS = (Named, Knot, Pdns, Nsd)


def soa(key):
    q = dns.message.make_query(ZONE, "SOA")
    q.use_tsig(key.keyring)
    return q


def add_in(zone, key):
    return update_message(zone, ("add", f"_vlmcs._tcp.{zone}", 300, "SRV", "0 0 1688 kms1"), key=key)


def questions(key, second):
    """The messages of ANSWERS; none of them changes the set at SRV, which holds kms1 and kms2."""

    def guarded(*prerequisite):
        return update_message(ZONE, prerequisite, rr("kms3"), key=key)

    wrong, unknown = Key(key.name), Key("nobody")
    algorithm = Key(key.name, "hmac-sha512", key.secret)
    add = rr("kms3")
    return {
        "SOA, signed": soa(key),
        "SOA, key of other zones": soa(second),
        "SOA, unknown key": soa(unknown),
        "SOA, wrong secret": soa(wrong),
        "SOA, wrong algorithm": soa(algorithm),
        "SOA, wrong time": (soa(key), -600),
        "SOA, key in capitals": soa(Key(key.name.upper(), key.algorithm, key.secret)),
        "no key": update_message(ZONE, add),
        "unknown key": update_message(ZONE, add, key=unknown),
        "wrong secret": update_message(ZONE, add, key=wrong),
        "wrong algorithm": update_message(ZONE, add, key=algorithm),
        "600 s slow": (update_message(ZONE, add, key=key), -600),
        "600 s fast": (update_message(ZONE, add, key=key), 600),
        "key of other zones": update_message(ZONE, add, key=second),
        "other name": update_message(ZONE, ("add", f"x.{ZONE}", 300, "SRV", "0 0 1688 x"), key=key),
        "other type": update_message(ZONE, ("add", SRV, 300, "TXT", "x"), key=key),
        "zone without updates": add_in("static.test", key),
        "outside the zone": update_message(ZONE, ("add", "_vlmcs._tcp.other.test", 300, "SRV", "0 0 1688 x"), key=key),
        "zone not served": add_in("absent.test", key),
        "name in place of zone": add_in(f"a.{ZONE}", key),
        "value not as required": guarded("present", SRV, "SRV", f"7 7 1688 kms7.{ZONE}."),
        "part of the values": guarded("present", SRV, "SRV", f"0 0 1688 kms1.{ZONE}."),
        "set required, not there": guarded("present", SRV, "TXT"),
        "set forbidden, there": guarded("absent", SRV, "SRV"),
        "name required, not there": guarded("present", f"x.{ZONE}"),
        "name forbidden, there": guarded("absent", SRV),
        "_tcp required": guarded("present", f"_tcp.{ZONE}"),
        "CNAME at the name": add_in("cname.test", key),
        "below a delegation": add_in("occluded.test", key),
        "absent record deleted": update_message(ZONE, no_rr("kms9"), key=key),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_answers(server, key, kind):
    second = Key("second")

    def zone(name, *records):
        return Zone(name, zone_text(name, [("ns1", "127.0.0.1")], records), updaters=() if kind is Nsd else (key,))

    one = server(
        kind, "ns1", keys=[key, second],
        zones=[
            zone(ZONE, "_vlmcs._tcp SRV 0 0 1688 kms1", "_vlmcs._tcp SRV 0 0 1688 kms2"),
            zone("cname.test", "_vlmcs._tcp CNAME kms"),
            zone("occluded.test", "_tcp NS ns.elsewhere.test."),
            Zone("static.test", zone_text("static.test", [("ns1", "127.0.0.1")])),
        ],
    )
    answers = {}
    for name, message in questions(key, second).items():
        answers[name] = one.verdict(*(message if isinstance(message, tuple) else (message,)))
    assert answers == {name: row[KINDS.index(kind)] for name, row in ANSWERS.items()}
    # NOERROR or not, nothing of it had an effect
    assert (one.records(SRV, "SRV"), one.serial(ZONE)) == ([shown("kms1"), shown("kms2")], 1)
    assert [one.serial("static.test"), one.serial("cname.test")] == [1, 1]
    assert one.records("_vlmcs._tcp.occluded.test", "SRV") == []


def test_pdns_without_a_script(pdns, key):
    """Its own access control is by zone, and a zone without TSIG-ALLOW-DNSUPDATE takes unsigned updates."""
    second = Key("second")
    open_zone = Zone("open.test", zone_text("open.test", [("ns1", "127.0.0.1")]))
    one = pdns("ns1", keys=[key, second], policy=None, zones=[Zone(ZONE, text(), updaters=(key,)), open_zone])
    assert one.verdict(update_message(ZONE, rr("kms1"))) == "REFUSED"
    assert one.verdict(update_message(ZONE, rr("kms1"), key=second)) == "REFUSED"
    assert one.verdict(update_message(ZONE, rr("kms1"), key=Key("nobody"))) == "REFUSED no TSIG"
    assert one.verdict(add_in("open.test", None)) == "NOERROR"
    assert one.serial("open.test") == 2
    assert one.verdict(update_message(ZONE, ("add", f"x.{ZONE}", 300, "A", "127.0.0.1"), key=key)) == "NOERROR"
    assert one.records(f"x.{ZONE}", "A") == ["300 127.0.0.1"]


@pytest.mark.parametrize("policy, extra", [("", "dnsupdate=no\n"), (None, "allow-dnsupdate-from=192.0.2.0/24\n")])
def test_pdns_that_takes_no_updates(pdns, key, policy, extra):
    one = pdns("ns1", keys=[key], policy=policy, extra=extra, zones=[Zone(ZONE, text(), updaters=(key,))])
    assert one.verdict(update_message(ZONE, rr("kms1"), key=key)) == "REFUSED"


def test_knot_with_an_acl_for_the_whole_zone(knot, key):
    acl = f"  - id: wide\n    key: {key.name}\n    action: update\n"
    one = knot("ns1", keys=[key], extra=acl, zones=[Zone(ZONE, text(), clauses=("acl: wide",))])
    assert one.verdict(update_message(ZONE, ("add", "x.other.test", 300, "A", "127.0.0.1"), key=key)) == "NOTZONE"
    assert one.verdict(update_message(ZONE, rr("kms1"), key=key)) == "NOERROR"


def test_knot_frozen(knot, key):
    one = knot("ns1", keys=[key], zones=[Zone(ZONE, text(), updaters=(key,))])
    one.knotc("zone-freeze", ZONE)
    assert one.verdict(update_message(ZONE, rr("kms1"), key=key)) == "REFUSED"
    one.knotc("zone-thaw", ZONE)
    assert one.verdict(update_message(ZONE, rr("kms1"), key=key)) == "NOERROR"


SECONDARIES = {
    # kind, the key is in its ACL: answer to an update, whether it reached the primary
    (Named, False): ("REFUSED", False),
    (Knot, False): ("NOTAUTH(BADKEY) unsigned", False),
    (Knot, True): ("NOERROR", True),
    (Pdns, False): ("NOERROR", True),  # forward-dnsupdate=yes, as by default
    (Nsd, False): ("NOTIMP no TSIG", False),
}


@pytest.mark.parametrize("kind, listed", SECONDARIES, ids=lambda v: getattr(v, "__name__", str(v)))
def test_update_sent_to_a_secondary(server, loopback, key, kind, listed):
    a, b = loopback.address(), loopback.address()
    content = zone_text(ZONE, [("ns1", a), ("ns2", b)])
    primary = server(Named, "ns1", address=a, keys=[key], zones=[Zone(ZONE, content, updaters=(key,), notify=(b,))])
    zone = Zone(ZONE, primaries=f"{a} port {loopback.port}", updaters=(key,) if listed else ())
    secondary = server(kind, "ns2", address=b, keys=[key], zones=[zone])
    secondary.wait_serial(ZONE, 1)
    answer, forwarded = SECONDARIES[kind, listed]
    assert secondary.verdict(update_message(ZONE, rr("kms1"), key=key)) == answer
    assert primary.serial(ZONE) == (2 if forwarded else 1)


# ---- what is done ----

EFFECTS = {
    # the changes on a set that holds kms1 with TTL 300: what named, knotd, pdns_server show afterwards
    "same again": ([rr("kms1")], [[shown("kms1")]] * 3),
    "again with another TTL": ([rr("kms1", 60)], [[shown("kms1", 60)], [shown("kms1")], [shown("kms1", 60)]]),
    "deleted, added with another TTL": ([no_rr("kms1"), rr("kms1", 60)], [[shown("kms1", 60)]] * 3),
    "a second one with another TTL": ([rr("kms2", 60)], [[shown("kms1", 60), shown("kms2", 60)]] * 3),
    "deleted in capitals": ([no_rr("KMS1")], [[], [], [shown("kms1")]]),
    "required in capitals": ([("present", SRV, "SRV", f"0 0 1688 KMS1.{ZONE}."), rr("kms2")], [[shown("kms1"), shown("kms2")]] * 3),
    "partly allowed": ([rr("kms2"), ("add", f"x.{ZONE}", 300, "A", "127.0.0.1")],
                       [[shown("kms1")], [shown("kms1")], [shown("kms1"), shown("kms2")]]),
    "the name deleted": ([("delete", SRV)], [[], [shown("kms1")], [shown("kms1")]]),
    "the set deleted": ([("delete", SRV, "SRV")], [[]] * 3),
}


@PRIMARIES
def test_effects(server, key, kind):
    """Each in a zone of its own, as they are relative to it."""
    one = server(
        kind, "ns1", keys=[key],
        zones=[Zone(f"z{i}.test", text("_vlmcs._tcp SRV 0 0 1688 kms1").replace(ZONE, f"z{i}.test"), updaters=(key,))
               for i in range(len(EFFECTS))],
    )
    done = {}
    for i, (name, (changes, _)) in enumerate(EFFECTS.items()):
        local = [tuple(v.replace(ZONE, f"z{i}.test") if isinstance(v, str) else v for v in change) for change in changes]
        one.verdict(update_message(f"z{i}.test", *local, key=key))
        done[name] = [r.replace(f"z{i}.test", ZONE) for r in one.records(f"_vlmcs._tcp.z{i}.test", "SRV")]
    assert done == {name: wanted[KINDS.index(kind)] for name, (_, wanted) in EFFECTS.items()}
