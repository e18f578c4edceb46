"""Drain and resume, and what withdraw holds back: over the wait, refresh and restart, with a real named."""

import json
import socket
import struct

import pytest

from kblib.bind import Key, Zone, zone_text
from kblib.process import SLOWER, wait_until

ZONE = "corp.test"
NAME = f"_vlmcs._tcp.{ZONE}"
TTL = 2


@pytest.fixture
def site(named, loopback, kb, daemon, kms_host, tmp_path):
    """site(ttl, others=...) is a primary, a secondary and a daemon that publishes `local` and `office`."""

    class Site:
        def start(self):
            self.daemon = daemon(self.config)
            self.daemon.wait_log(r"daemon\.ready")

        def restart(self):
            self.daemon.stop()
            self.start()

        def run(self, *words):
            return kb(*words)

        def kb(self, command, *words, **how):
            return kb(command, "-c", self.config, *words, **how)

        def host(self, name="local"):
            (h,) = [h for h in self.kb("status", "--json").json["hosts"] if h["name"] == name]
            return h

        def listens(self):
            """Whether the service takes connections, where it last said that it listens."""
            listen = self.kb("status", "--json").json["service"]["listen"]
            self.listen = listen or self.listen
            host, port = self.listen[0].rsplit(":", 1)
            try:
                socket.create_connection((host, int(port)), timeout=5 * SLOWER).close()
                assert listen
                return True
            except ConnectionRefusedError:
                assert not listen
                return False

        def targets(self):
            shown = [sorted(r.split()[-1] for r in s.records(NAME, "SRV")) for s in (self.primary, self.secondary)]
            return [t.split(".")[0] for t in shown[0]] if shown[0] == shown[1] else None

        def wait_targets(self, *names):
            wait_until(f"both servers show {names}", lambda: self.targets() == list(names))

    def make(ttl=TTL, hosts="local", extra=()):
        s = Site()
        key = s.key = Key("corp")
        own, office = loopback.address(), kms_host()
        s.office = office
        first, second = loopback.address(), loopback.address()
        text = zone_text(
            ZONE, [("ns1", first), ("ns2", second)],
            [f"kms1 A {own}", f"office A {office.address}", f"elsewhere A {own}", *extra], ttl=ttl,
        )
        clauses = (
            f'update-policy {{ grant corp name {NAME} SRV; }};',
            f"also-notify {{ {second} port {loopback.port}; }};",
        )
        s.primary = named("ns1", address=first, keys=[key], options=["notify-delay 0;"], zones=[Zone(ZONE, text, clauses=clauses)])
        s.secondary = named(
            "ns2", address=second, zones=[Zone(ZONE, primaries=f"{first} port {loopback.port}", clauses=("notify no;",))]
        )
        s.secondary.wait_serial(ZONE, 1)
        s.config = tmp_path / "kb.yaml"
        s.config.write_text(
            f"node: {{ target: kms1.{ZONE}, state_dir: {tmp_path}/state, control: {{ socket: {tmp_path}/sock }} }}\n"
            f'service: {{ mode: lab, listen: ["{own}:0"] }}\n'
            f"hosts: [ {{ name: local }}, {{ name: office, target: office.{ZONE}, port: {office.port} }} ]\n"
            f"keys: [ {{ name: corp, file: {key.write(str(tmp_path))} }} ]\n"
            f"publish: {{ ttl: {ttl}s, refresh: 1s, domains: [ {{ domain: {ZONE}, key: corp, lab: true, hosts: [{hosts}] }} ] }}\n"
            f'discovery: {{ suffixes: [{ZONE}], resolvers: ["{first}:{loopback.port}"] }}\n'
        )
        s.start()
        return s

    return make


def kb_client(s, *words):
    return s.run("client", *words)


def wait_cycle(s):
    """Until one more check of the daemon's own has ended."""
    before = s.kb("status", "--json").json["records"][0]["last_proven"]
    wait_until("another check", lambda: s.kb("status", "--json").json["records"][0]["last_proven"] not in (None, before))


def test_drain_waits_closes_and_lasts_until_resume(site):
    s = site(hosts="local, office")
    s.wait_targets("kms1", "office")
    assert s.listens()
    r = s.kb("drain", "--wait", "--json")
    assert r.code == 0 and r.json["state"] == "safe" and r.json["ttl_s"] == TTL, r
    assert r.json["clients_7d"] == 0 and r.json["domains"][0]["state"] == "proven"
    assert s.targets() == ["office"]
    wait_until("the listeners are closed", lambda: not s.listens())
    assert (s.host()["drained"], s.host()["drain"]) == (True, "safe")
    assert s.host("office")["drained"] is False

    wait_cycle(s)
    assert s.kb("publish").code == 0  # lifts what withdraw holds back, but no drain
    assert s.targets() == ["office"]

    s.restart()
    wait_cycle(s)
    assert s.targets() == ["office"]
    status = s.kb("status", "--json").json
    assert status["service"]["listen"] == [] and s.host()["drain"] == "safe"

    r = s.kb("resume", "local")
    assert r.code == 0, r
    s.wait_targets("kms1", "office")
    assert s.listens() and s.host()["drained"] is False


def test_a_name_that_is_no_utf8_or_empty_does_not_stand_for_none(site):
    s = site(hosts="local, office")
    s.wait_targets("kms1", "office")
    r = s.kb("drain", "--json", "m\udcfcnchen")
    assert r.code == 2 and "m?nchen" in r.json["error"]["text"], r
    r = s.kb("withdraw", "--json", "--host", "m\udcfcnchen")
    assert r.code == 2 and "m?nchen" in r.json["error"]["text"], r
    for args in (("withdraw", "--host", ""), ("withdraw", "--host="), ("publish", "-d", "")):
        r = s.kb(*args)
        assert r.code == 2 and "got an empty value" in r.err, r
    r = s.kb("drain", "")
    assert r.code == 2, r
    assert s.host()["drained"] is False and s.targets() == ["kms1", "office"]


def test_clients_are_remembered_over_resume_and_restart(site):
    s = site(hosts="local, office")
    s.wait_targets("kms1", "office")
    assert s.listens()
    folder = s.config.parent

    def ask(n):
        """The count that client n is told."""
        args = ("--state", folder / f"client{n}.json")
        assert kb_client(s, "skms", s.listen[0], *args).code == 0
        return kb_client(s, "ato", "--json", "--key", folder / "state" / "lab.key", *args).json["count"]

    assert (ask(1), ask(2)) == (1, 2)

    def clients():
        service = s.kb("status", "--json").json["service"]
        return service["count"], service["clients_30d"], service["requests"]

    assert clients() == (2, 2, 2)
    r = s.kb("drain", "--wait", "--json")
    assert r.code == 0 and r.json["clients_7d"] == 2, r
    assert "2 clients used it in the last 7 days" in s.kb("drain").out
    s.restart()  # drained, and still told
    assert s.kb("drain", "--json").json["clients_7d"] == 2
    assert s.kb("resume").code == 0
    assert clients() == (2, 2, 2)
    s.wait_targets("kms1", "office")
    assert s.listens()
    assert (ask(1), ask(3)) == (2, 3)  # the one is known, the other new
    assert clients() == (3, 3, 4)


def test_restart_during_the_wait_neither_shortens_nor_lengthens_it(site):
    s = site(ttl=600, hosts="local, office")
    s.wait_targets("kms1", "office")
    r = s.kb("drain", "--json")
    assert r.code == 0 and r.json["state"] == "waiting" and r.json["ttl_s"] == 600, r
    assert s.listens()  # who has it cached is still served
    s.restart()
    again = s.kb("drain", "local", "--json")
    assert again.code == 0 and (again.json["state"], again.json["safe_at"]) == ("waiting", r.json["safe_at"]), again
    assert s.listens() and s.host()["drained"] is True
    assert s.kb("resume").code == 0
    s.wait_targets("kms1", "office")


def test_resume_opens_the_same_port_again(site):
    s = site(hosts="local, office")
    s.wait_targets("kms1", "office")
    assert s.listens()
    before = s.listen
    assert s.kb("drain", "--wait").code == 0
    wait_until("the listeners are closed", lambda: not s.listens())
    assert s.kb("resume").code == 0
    assert s.listens() and s.listen == before
    s.wait_targets("kms1", "office")


def test_the_last_record_stays_without_force(site):
    s = site()
    s.wait_targets("kms1")
    r = s.kb("drain", "--json")
    assert r.code == 1 and r.json["state"] == "refused", r
    assert "left empty" in r.json["domains"][0]["hint"] and r.json["domains"][0]["changes"] == [], r
    assert "left empty" in s.kb("drain").out
    assert s.targets() == ["kms1"] and s.host()["drained"] is False
    assert s.kb("status", "--json").json["records"][0]["state"] in ("proven", "unchanged")

    r = s.kb("drain", "--force", "--wait")
    assert r.code == 0 and "its listeners are closed" in r.out, r
    assert s.targets() == []
    assert s.kb("resume").code == 0
    s.wait_targets("kms1")


def test_a_foreign_record_is_enough_to_drain(site):
    s = site(extra=["_vlmcs._tcp SRV 5 50 1688 elsewhere"])
    s.wait_targets("elsewhere", "kms1")
    assert s.kb("drain", "--wait").code == 0
    assert s.targets() == ["elsewhere"]


def test_a_host_that_something_else_publishes_is_not_drained(site):
    s = site(hosts="local, office")
    s.wait_targets("kms1", "office")
    own = f"7 7 {s.office.port} office.{ZONE}."
    s.primary.update(ZONE, ("add", NAME, TTL, "SRV", own), key=s.key)
    s.wait_targets("kms1", "office", "office")
    r = s.kb("drain", "office", "--json")
    assert r.code == 1 and r.json["state"] == "refused", r
    assert f"something else publishes {own[:-1]}" in r.json["domains"][0]["hint"], r
    assert s.targets() == ["kms1", "office", "office"] and s.host("office")["drained"] is False

    r = s.kb("drain", "office", "--force", "--json")
    assert r.code == 0 and r.json["state"] == "withdrawing", r
    assert "something else publishes" in r.json["text"] and s.targets() == ["kms1", "office"]
    s.primary.update(ZONE, ("delete", NAME, "SRV", own), key=s.key)
    assert s.kb("resume", "office").code == 0
    s.wait_targets("kms1", "office")
    assert s.kb("drain", "office", "--wait").code == 0


def test_another_host_is_told_safe_to_stop(site):
    s = site(hosts="local, office")
    s.wait_targets("kms1", "office")
    r = s.kb("drain", "office", "--wait")
    assert r.code == 0 and "office: safe to stop" in r.out, r
    assert s.targets() == ["kms1"] and s.listens()
    # local is the last one now
    assert s.kb("drain").code == 1
    assert s.kb("drain", "nobody").code == 2


def test_a_domain_that_cannot_be_read_refuses_a_drain(site):
    s = site(hosts="local, office")
    s.wait_targets("kms1", "office")
    s.primary.kill()
    r = s.kb("drain", "--json")
    assert r.code == 1 and r.json["state"] == "refused" and r.json["domains"][0]["state"] == "unreachable", r
    assert s.host()["drained"] is False


def test_a_client_that_hangs_up_changes_nothing(site):
    s = site(hosts="local, office")
    s.wait_targets("kms1", "office")
    c = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    c.connect(str(s.config.parent / "sock"))
    c.sendall(json.dumps({"command": "drain", "args": {"host": "local"}}).encode() + b"\n")
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()
    s.wait_targets("office")
    wait_until("drained all the same", lambda: s.host()["drain"] == "safe")


def test_withdraw_lasts_over_refresh_and_restart(site):
    s = site()
    s.wait_targets("kms1")
    assert s.kb("withdraw").code == 0
    assert s.targets() == []
    wait_cycle(s)
    assert s.targets() == []
    s.restart()
    wait_cycle(s)
    assert s.targets() == [] and s.kb("status", "--json").json["records"][0]["state"] == "withdrawn"
    assert s.host()["drained"] is False and s.listens()
    assert s.kb("resume").code == 0
    s.wait_targets("kms1")
