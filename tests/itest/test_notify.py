"""NOTIFY from a real named, and from others."""

import socket

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import pytest

from kblib.bind import Key, Zone, zone_text
from kblib.process import wait_until

ZONE = "corp.test"
NAME = f"_vlmcs._tcp.{ZONE}"


@pytest.fixture
def site(named, tap, loopback, daemon, tmp_path):
    """A primary that also notifies the daemon, which would look again only after a quarter of an hour."""

    class Site:
        def notify(self):
            return self.daemon.command("status", "--json").json["notify"]

        def reads(self):
            """SRV questions that reached the primary."""
            question = dns.name.from_text(NAME).to_wire() + b"\0\x21\0\1"
            return sum(1 for m in self.relay.messages(dns.opcode.QUERY) if question in m.data)

        def tell(self, source, zone=ZONE, timeout=5):
            q = dns.message.make_query(zone, "SOA")
            q.set_opcode(dns.opcode.NOTIFY)
            q.flags &= ~dns.flags.RD
            return dns.query.udp(q, self.listen, port=loopback.port, source=source, timeout=timeout)

    s = Site()
    key = Key("corp")
    first, before, s.listen, s.stranger = (loopback.address() for _ in range(4))
    s.first, s.port = first, loopback.port
    text = zone_text(ZONE, [("ns1", before)], ["kms1 A 127.0.0.9"])
    s.primary = named(
        "ns1", address=first, keys=[key], options=["notify-delay 0;"],
        zones=[Zone(ZONE, text, clauses=(
            f"update-policy {{ grant corp name {NAME} SRV; }};",
            f"notify explicit; also-notify {{ {s.listen} port {loopback.port}; }};",
        ))],
    )
    s.key = key
    s.relay = tap(s.primary, address=before)
    config = tmp_path / "kb.yaml"
    config.write_text(
        f"node: {{ state_dir: {tmp_path}/state, control: {{ socket: {tmp_path}/sock }} }}\n"
        f"hosts: [ {{ name: one, target: kms1.{ZONE}, port: 1688 }} ]\n"
        f"keys: [ {{ name: corp, file: {key.write(str(tmp_path))} }} ]\n"
        f"publish:\n  ttl: 5m\n  notify_listen: {s.listen}:{loopback.port}\n"
        f'  domains: [ {{ domain: {ZONE}, key: corp, lab: true, server: ["{before}:{loopback.port}", {first}] }} ]\n'
        f'discovery: {{ resolvers: ["{before}:{loopback.port}"] }}\n'
    )
    s.daemon = daemon(config)
    s.daemon.wait_log(r"publisher\.proven")
    return s


def test_a_change_is_seen_at_once(site):
    mine = site.primary.records(NAME, "SRV")
    assert len(mine) == 1
    wait_until("the daemon heard of its own change", lambda: site.notify()["taken"] >= 1)
    mark = site.daemon.mark()
    assert site.primary.update(ZONE, ("delete", NAME, "SRV"), key=site.key) == dns.rcode.NOERROR
    site.daemon.wait_log(r"publisher\.proven", since=mark)  # long before the refresh of 15 minutes
    assert site.primary.records(NAME, "SRV") == mine


def test_Z18_forged_notify_does_nothing(site):
    wait_until("the daemon heard of its own change", lambda: site.notify()["taken"] >= 1)
    before, reads = site.notify(), site.reads()
    for source, zone in ((site.stranger, ZONE), (site.stranger, "other.test"), (site.first, "other.test")):
        with pytest.raises(dns.exception.Timeout):
            site.tell(source, zone, timeout=0.2)
    after = site.notify()
    assert after["ignored"] == before["ignored"] + 3 and after["taken"] == before["taken"]
    assert site.reads() <= reads + 1  # of its own change, where that came late
    answer = site.tell(site.first)  # from a configured server: answered as RFC 1996 says
    assert answer.opcode() == dns.opcode.NOTIFY and answer.rcode() == dns.rcode.NOERROR


def test_Z18_a_storm_costs_a_read_in_a_while(site):
    wait_until("the daemon heard of its own change", lambda: site.notify()["taken"] >= 1)
    reads, updates = site.reads(), site.relay.updates()
    q = dns.message.make_query(ZONE, "SOA")
    q.set_opcode(dns.opcode.NOTIFY)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((site.first, 0))
        while site.notify()["dropped"] == 0:
            for _ in range(500):
                s.sendto(q.to_wire(), (site.listen, site.port))
    assert site.reads() <= reads + 3
    assert site.relay.updates() == updates
