"""
The main job, end to end: a named configured from what `kmsbeacon policy` prints, a daemon in lab mode, and each
thing that a first user relies on - published, proven, unchanged without an UPDATE, foreign records untouched,
discovered, bound to, withdrawn.
"""

import signal

import pytest
from impacket.dcerpc.v5 import transport
from impacket.uuid import uuidtup_to_bin

from kblib.bind import Key, Zone, zone_text

ZONE = "corp.test"
NAME = f"_vlmcs._tcp.{ZONE}"
FOREIGN = f"300 5 50 1688 elsewhere.{ZONE}."
KMS = ("51c82175-844e-4750-b0d8-ec255555bc06", "1.0")


@pytest.fixture
def site(named, loopback, kb, tap, daemon, tmp_path):
    """primary, secondary, a recording relay before the primary, and a configuration with one lab host."""

    class Site:
        pass

    s = Site()
    s.key = Key("corp")
    s.host = loopback.address()
    first, second, before = loopback.address(), loopback.address(), loopback.address()
    key_file = s.key.write(str(tmp_path))
    s.config = tmp_path / "kb.yaml"
    s.config.write_text(
        f"node: {{ target: kms1.{ZONE}, state_dir: {tmp_path}/state, control: {{ socket: {tmp_path}/sock }} }}\n"
        f'service: {{ mode: lab, listen: ["{s.host}:0"] }}\n'
        f"keys: [ {{ name: corp, file: {key_file} }} ]\n"
        f"publish: {{ ttl: 5m, domains: [ {{ domain: {ZONE}, key: corp, lab: true }} ] }}\n"
        f'discovery: {{ suffixes: [{ZONE}], resolvers: ["{before}:{loopback.port}"] }}\n'
    )
    policy = kb("policy", "-c", s.config).out
    # The NS record of the primary leads to the relay before it, so every message to it is seen.
    text = zone_text(
        ZONE, [("ns1", before), ("ns2", second)], [f"kms1 A {s.host}", f"elsewhere A {s.host}", "_vlmcs._tcp SRV 5 50 1688 elsewhere"]
    )
    s.primary = named(
        "ns1", address=first, keys=[s.key], options=["notify-delay 0;"],
        zones=[Zone(ZONE, text, clauses=(policy, f"also-notify {{ {second} port {loopback.port}; }};"))],
    )
    s.relay = tap(s.primary, address=before)
    s.secondary = named(
        "ns2", address=second, zones=[Zone(ZONE, primaries=f"{first} port {loopback.port}", clauses=("notify no;",))]
    )
    s.secondary.wait_serial(ZONE, 1)
    s.kb = lambda command, *words, **how: kb(command, "-c", s.config, *words, **how)
    s.daemon = daemon(s.config)
    s.daemon.wait_log(r"daemon\.ready")
    s.listen = s.kb("status", "--json").json["service"]["listen"][0]
    s.port = int(s.listen.rsplit(":", 1)[1])
    s.ours = f"300 0 0 {s.port} kms1.{ZONE}."
    return s


def one(result):
    (domain,) = result.json["domains"]
    return domain


def test_the_main_job(site):
    # published, and proven on primary and secondary
    first = one(site.kb("publish", "--json"))
    assert first["state"] in ("proven", "unchanged"), first  # the daemon may have been quicker than the command
    assert {p["server"]: p["state"] for p in first["proof"]} == {f"ns1.{ZONE}": "ok", f"ns2.{ZONE}": "ok"}
    expected = sorted([site.ours, FOREIGN])
    assert site.primary.records(NAME, "SRV") == site.secondary.records(NAME, "SRV") == expected
    assert site.relay.updates() == 1 and site.primary.updates_done() == 1

    # again: nothing to do, and no UPDATE leaves
    again = site.kb("publish", "--json")
    assert again.code == 0 and one(again)["state"] == "unchanged" and one(again)["changes"] == []
    assert site.relay.updates() == 1

    # found as a Windows client would
    found = site.kb("discover", "--json")
    assert found.code == 0, found
    selected = found.json["selected"]
    assert (selected["target"], selected["port"], selected["source"]) == (f"kms1.{ZONE}", site.port, "dns")

    # an RPC client that is not ours binds, and the probe says up
    rpc = transport.TCPTransport(site.host, site.port)
    dce = rpc.get_dce_rpc()
    dce.connect()
    dce.bind(uuidtup_to_bin(KMS))
    dce.disconnect()
    probe = site.kb("probe", "--json", site.listen)
    assert probe.code == 0 and probe.json["hosts"][0]["state"] == "up"

    # withdrawn: ours is gone, the foreign one is where it was, on both servers
    gone = site.kb("withdraw", "--json")
    assert gone.code == 0 and one(gone)["state"] == "proven", gone
    assert site.primary.records(NAME, "SRV") == site.secondary.records(NAME, "SRV") == [FOREIGN]
    assert site.relay.updates() == 2


def test_withdrawn_stays_withdrawn_over_a_restart(site, daemon):
    assert site.kb("publish", "--json").code == 0
    assert one(site.kb("withdraw", "--json"))["state"] == "proven"
    site.daemon.signal(signal.SIGTERM)
    assert site.daemon.wait() == 0
    updates = site.relay.updates()
    second = daemon(site.config, name="second")
    second.wait_log(r"daemon\.ready")
    record = site.kb("status", "--json").json["records"][0]
    for _ in range(200):  # status is asked until the first check has ended
        if record["state"] != "pending":
            break
        record = site.kb("status", "--json").json["records"][0]
    assert record["state"] == "withdrawn", record
    assert site.primary.records(NAME, "SRV") == [FOREIGN]
    assert site.relay.updates() == updates
    assert site.kb("publish", "--json").code == 0
    assert len(site.primary.records(NAME, "SRV")) == 2


def test_without_a_daemon_the_command_does_the_same(site):
    site.daemon.signal(signal.SIGTERM)
    assert site.daemon.wait() == 0
    text = site.config.read_text().replace(f'listen: ["{site.host}:0"]', f'listen: ["{site.host}:{site.port}"]')
    site.config.write_text(text)
    assert site.kb("withdraw", "--json").code == 0
    assert site.primary.records(NAME, "SRV") == [FOREIGN]
    first = one(site.kb("publish", "--json"))  # what was held back is published again
    assert first["state"] == "proven" and [c["op"] for c in first["changes"]] == ["add"], first
    assert {p["server"]: p["state"] for p in first["proof"]} == {f"ns1.{ZONE}": "ok", f"ns2.{ZONE}": "ok"}
    assert site.primary.records(NAME, "SRV") == site.secondary.records(NAME, "SRV") == sorted([site.ours, FOREIGN])
    plan = one(site.kb("withdraw", "--dry-run", "--json"))
    assert plan["state"] == "planned" and [c["op"] for c in plan["changes"]] == ["delete"], plan
    updates = site.relay.updates()
    assert one(site.kb("withdraw", "--json"))["state"] == "proven"
    assert site.relay.updates() == updates + 1
    assert site.primary.records(NAME, "SRV") == [FOREIGN]


def test_wrong_secret_unknown_key_and_silence_are_one_sentence_each(site, tmp_path):
    site.daemon.signal(signal.SIGTERM)
    assert site.daemon.wait() == 0
    before = site.primary.records(NAME, "SRV")
    right = site.key.secret
    Key("corp").write(str(tmp_path))
    wrong = site.kb("publish", "--json")
    assert wrong.code == 1 and one(wrong)["state"] == "refused" and one(wrong)["rcode"] == "BADSIG", wrong
    assert "secret" in one(wrong)["hint"]
    text = Key("other").clause
    (tmp_path / "corp.key").write_text(text)
    unknown = site.kb("publish", "--json")
    assert unknown.code == 1 and one(unknown)["rcode"] == "BADKEY", unknown
    assert site.primary.records(NAME, "SRV") == before
    site.relay.stop()
    silent = site.kb("publish", "--json", "--timeout", "3s")
    assert silent.code == 1 and one(silent)["state"] == "unreachable", silent
    assert "resolvers" in one(silent)["hint"]
    for r in (wrong, unknown, silent):
        assert right not in r.out + r.err
