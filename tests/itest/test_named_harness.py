"""The harness itself: what it says of a server is true, so that other tests may believe it."""

import os
import stat
import subprocess

import dns.exception
import dns.rcode
import pytest

from kblib.bind import Key, View, Zone, find_program, zone_text
from kblib.loopback import has_ipv6
from kblib.process import Process
from kblib.tap import QUERY, UPDATE

ZONE = "corp.test"
SRV = f"_vlmcs._tcp.{ZONE}"


@pytest.fixture
def key():
    return Key("corp-update")


def primary_and_secondary(named, loopback, key):
    """Two servers of ZONE, told of each other; `key` may change the SRV set and nothing else."""
    first, second = loopback.address(), loopback.address()
    text = zone_text(ZONE, [("ns1", first), ("ns2", second)], ["kms1 A 127.0.0.1"])
    policy = f"update-policy {{ grant {key.name} name {SRV}. SRV; }};"
    notify = f"also-notify {{ {second} port {loopback.port}; }};"
    primary = named(
        "ns1", address=first, keys=[key], options=["notify-delay 0;"], zones=[Zone(ZONE, text, clauses=(policy, notify))]
    )
    secondary = named(
        "ns2", address=second, zones=[Zone(ZONE, primaries=f"{first} port {loopback.port}", clauses=("notify no;",))]
    )
    secondary.wait_serial(ZONE, 1)
    return primary, secondary


def test_update_reaches_the_secondary(named, loopback, key):
    primary, secondary = primary_and_secondary(named, loopback, key)
    assert primary.update(ZONE, ("add", SRV, 300, "SRV", "0 0 1688 kms1"), key=key) == dns.rcode.NOERROR
    assert primary.serial(ZONE) == 2
    secondary.wait_serial(ZONE, 2)
    assert secondary.records(SRV, "SRV") == primary.records(SRV, "SRV") == [f"300 0 0 1688 kms1.{ZONE}."]
    assert primary.updates_done() == 1


def test_policy_is_enforced(named, loopback, key):
    primary, _ = primary_and_secondary(named, loopback, key)
    other = ("add", f"x.{ZONE}", 300, "A", "127.0.0.1")
    assert primary.update(ZONE, other, key=key) == dns.rcode.REFUSED
    assert primary.update(ZONE, ("add", SRV, 300, "SRV", "0 0 1688 kms1")) == dns.rcode.REFUSED
    assert primary.update(ZONE, ("add", SRV, 300, "SRV", "0 0 1688 kms1"), key=key) == dns.rcode.NOERROR
    assert primary.records(f"x.{ZONE}", "A") == []


def test_nsupdate_reads_our_key_file(named, loopback, key, tmp_path):
    primary, _ = primary_and_secondary(named, loopback, key)
    path = key.write(tmp_path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    script = f"server {primary.address} {primary.port}\nzone {ZONE}\nadd {SRV}. 60 SRV 1 2 1688 kms1.{ZONE}.\nsend\n"
    subprocess.run([find_program("nsupdate"), "-k", path], input=script, text=True, check=True, timeout=30)
    assert primary.records(SRV, "SRV") == [f"60 1 2 1688 kms1.{ZONE}."]


def test_views_by_key_and_by_source(named, loopback):
    inside, source = Key("inside"), loopback.address()

    def zones(target):
        return [Zone(ZONE, zone_text(ZONE, [("ns1", "127.0.0.1")], [f"_vlmcs._tcp SRV 0 0 1688 {target}"]))]

    server = named(
        "ns1",
        keys=[inside],
        views=[
            View("keyed", "match-clients { key inside; };", zones("a")),
            View("near", f"match-clients {{ {source}; }};", zones("b")),
            View("other", "match-clients { any; };", zones("c")),
        ],
    )
    assert server.records(SRV, "SRV", key=inside) == [f"300 0 0 1688 a.{ZONE}."]
    assert server.records(SRV, "SRV", source=source) == [f"300 0 0 1688 b.{ZONE}."]
    assert server.records(SRV, "SRV") == [f"300 0 0 1688 c.{ZONE}."]


def test_names_of_nobody_stay_on_this_machine(named):
    server = named("ns1")
    assert server.query("www.example", "A", rd=True).rcode() == dns.rcode.NXDOMAIN


def test_restart_keeps_the_zone_and_both_logs(named, loopback, key):
    primary, _ = primary_and_secondary(named, loopback, key)
    primary.rndc("freeze", ZONE)
    assert primary.update(ZONE, ("add", SRV, 300, "SRV", "0 0 1688 kms1"), key=key) == dns.rcode.REFUSED
    primary.rndc("thaw", ZONE)
    assert primary.update(ZONE, ("add", SRV, 300, "SRV", "0 0 1688 kms1"), key=key) == dns.rcode.NOERROR
    primary.kill()
    with pytest.raises((dns.exception.Timeout, OSError)):
        primary.query(ZONE, "SOA", timeout=0.2)
    primary.start()
    assert primary.records(SRV, "SRV") == [f"300 0 0 1688 kms1.{ZONE}."]
    assert primary.updates_done() == 1 and "started again" in primary.log


def test_tap_records_and_keeps_the_source(named, tap, loopback, key):
    source = loopback.address()
    policy = f"update-policy {{ grant {key.name} name {SRV}. SRV; }};"
    server = named(
        "ns1", keys=[key], options=[f"allow-query {{ {source}; }};"],
        zones=[Zone(ZONE, zone_text(ZONE, [("ns1", "127.0.0.1")]), clauses=(policy,))],
    )
    relay = tap(server)
    real, server.address = server.address, relay.address
    assert server.query(ZONE, "SOA", source=source).rcode() == dns.rcode.NOERROR
    assert server.query(ZONE, "SOA", source=source, tcp=True).rcode() == dns.rcode.NOERROR
    assert server.query(ZONE, "SOA").rcode() == dns.rcode.REFUSED
    assert [(m.proto, m.client, m.opcode, m.rcode) for m in relay.messages()] == [
        ("udp", source, QUERY, 0), ("tcp", source, QUERY, 0), ("udp", "127.0.0.1", QUERY, 5),
    ]
    assert relay.updates() == 0
    change = ("add", SRV, 300, "SRV", "0 0 1688 kms1")
    assert server.update(ZONE, change, key=key, source=source) == dns.rcode.NOERROR
    assert relay.updates() == 1
    assert relay.messages(UPDATE)[0].rcode == 0
    server.address = real


def test_tap_drops_what_it_is_told_to(named, tap):
    server = named("ns1")
    left = [1]
    relay = tap(server, on_reply=lambda m: m.reply if not left or left.pop() is None else None)
    server.address, real = relay.address, server.address
    with pytest.raises(dns.exception.Timeout):
        server.query(".", "SOA", timeout=0.3)
    assert server.query(".", "SOA").rcode() == dns.rcode.NOERROR
    assert len(relay.messages(QUERY)) == 2
    server.address = real


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_ipv6(named):
    server = named("ns1", ipv6="::1")
    server.address = "::1"
    assert server.query(".", "SOA").rcode() == dns.rcode.NOERROR


def test_a_process_that_ends_is_not_waited_for():
    p = Process("echo", ["sh", "-c", "echo one; echo two"])
    assert p.wait_log("tw(.)").group(1) == "o"
    with pytest.raises(AssertionError, match="ended before it said"):
        p.wait_log("three", timeout_s=60)
    assert p.wait() == 0
