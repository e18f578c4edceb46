"""The daemon's own discovery: what clients see, in `status`, and a line when that changes."""

import json
import os
import signal

import pytest

from kblib.bind import ROOT_ZONE, Zone, zone_text
from kblib.process import wait_until

CORP, DEPT = "corp.test", "dept.test"
OWNER = f"_vlmcs._tcp.{CORP}"
UPDATES = ("allow-update { any; };",)


def srv(host, priority=0, weight=0, name="kms1"):
    return f"_vlmcs._tcp SRV {priority} {weight} {host.port} {name}"


@pytest.fixture
def zone(named, loopback):
    """zone([lines], ...) starts a server with corp.test, of these lines."""

    def start(lines, name="ns1", address=None, ttl=300, **how):
        address = address or loopback.address()
        text = zone_text(CORP, [("ns1", address)], lines, ttl=ttl)
        return named(name, address=address, zones=[Zone(CORP, text, clauses=UPDATES)], **how)

    return start


@pytest.fixture
def watch(daemon, tmp_path, loopback):
    """watch(server, "more: settings") starts a daemon that looks at corp.test every second."""

    def start(server, more="", discovery="", health="", name="watch", wait=True):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        config = folder / "kb.yaml"
        resolvers = f"resolvers: ['{server.address}:{server.port}'], " if server else ""
        suffixes = "" if "suffixes" in discovery else f"suffixes: [{CORP}], "
        interval = "" if "interval" in discovery else "interval: 1s, "
        config.write_text(
            f"node: {{ state_dir: {folder}/state, control: {{ socket: {folder}/sock }} }}\n"
            f"health: {{ interval: 200ms, timeout: 1s, min_stay: 0s{health} }}\n"
            f"discovery: {{ {resolvers}{suffixes}{interval}{discovery} }}\n{more}"
        )
        d = daemon(config, name=name)
        d.folder, d.config_file = folder, config
        d.seen = lambda: d.command("status", "--json").json["discovery"]
        if wait:
            d.wait_log(r"discovery\.first")
        return d

    return start


def events(d, name):
    return [e for e in map(json.loads, d.command("events", "--json").out.splitlines()) if e["name"] == name]


def change(server, *changes):
    assert server.update(CORP, *changes) == 0


def test_a_changed_record_is_told_within_one_look(zone, watch, kms_host):
    one, two = kms_host(), kms_host()
    server = zone([srv(one), f"kms1 A {one.address}", f"kms2 A {two.address}"])
    d = watch(server, discovery="profile: [modern, vista]")
    d.wait_log(rf"discovery\.first profile=vista domain={CORP} now=\"0 0 {one.port} kms1.{CORP} up\" code=0x00000000")
    seen = d.seen()
    assert [(s["profile"], s["domain"]) for s in seen] == [("modern", CORP), ("vista", CORP)]
    assert seen[0]["candidates"] == [{
        "target": f"kms1.{CORP}", "port": one.port, "priority": 0, "weight": 0, "ttl": 300, "probability": 1.0, "state": "up",
    }]
    assert seen[0]["result"]["code"] == "0x00000000" and seen[0]["settled"]
    assert seen[0]["since"] <= seen[0]["last_run"] <= seen[0]["next_run"]

    mark = d.mark()
    change(server, ("add", OWNER, 300, "SRV", f"10 0 {two.port} kms2.{CORP}."))
    line = d.wait_log(r"discovery\.changed profile=modern.*", since=mark).group(0)
    assert f'was="0 0 {one.port} kms1.{CORP} up"' in line and "code=0x00000000" in line, line
    assert f'now="0 0 {one.port} kms1.{CORP} up, 10 0 {two.port} kms2.{CORP} up"' in line, line
    assert [c["probability"] for c in d.seen()[0]["candidates"]] == [1.0, 0.0]
    wait_until("vista knows it too", lambda: [c["probability"] for c in d.seen()[1]["candidates"]] == [0.5, 0.5])

    mark = d.mark()
    change(server, ("delete", OWNER, "SRV"))
    d.wait_log(r"discovery\.changed profile=modern.* now=none code=0x8007232B", since=mark)
    assert d.seen()[0]["candidates"] == []
    d.stop()


def test_a_host_that_dies_and_comes_back(zone, watch, kms_host):
    one = kms_host()
    d = watch(zone([srv(one), f"kms1 A {one.address}"]))
    one.stop()
    line = d.wait_log(r"discovery\.changed.*").group(0)
    assert "code=0xC004F074" in line and "down\"" in line, line
    assert d.seen()[0]["result"]["text"] == "0 of 1 host is up"
    mark = d.mark()
    kms_host(address=one.address, port=one.port)
    d.wait_log(r"discovery\.changed.*code=0x00000000", since=mark)
    assert d.count_log(r"discovery\.changed") == 2
    wait_until("both events", lambda: len(events(d, "discovery.changed")) == 2)
    (first,), (down, up) = events(d, "discovery.first"), events(d, "discovery.changed")
    assert [(e["level"], e["hresult"]) for e in (first, down, up)] == [
        ("info", "0x00000000"), ("warning", "0xC004F074"), ("info", "0x00000000"),
    ]
    assert f"Clients of '{CORP}' (modern) now see 0 0 {one.port} kms1.{CORP} down" in down["text"]


def test_status_for_people(zone, watch, kms_host):
    one, two = kms_host(), kms_host()
    server = zone([
        srv(one, 0, 10), srv(two, 0, 30, "a-host-with-a-rather-long-name"), f"kms1 A {one.address}",
        f"a-host-with-a-rather-long-name A {two.address}",
    ])
    d = watch(server)
    out = d.command("status").out
    assert f"modern clients of {CORP}\n  2 of 2 hosts are up\n" in out, out
    assert "74.4%" in out and "25.6%" in out, out  # (w + 1/n) / (S + 1)
    assert max(map(len, out.splitlines())) <= 100, out
    assert "remembered host: " in out, out


def test_S12_a_resolver_is_asked_when_its_ttl_is_over(zone, watch, named, tap, kms_host, loopback):
    """The record changes behind a resolver that still knows the old one: clients see the old one, and nobody asks."""
    one, two = kms_host(), kms_host()
    primary = zone([srv(one), f"kms1 A {one.address}", f"kms2 A {two.address}"], ttl=3000)
    forward = f"type forward; forward only; forwarders {{ {primary.address} port {loopback.port}; }};"
    root = Zone(".", ROOT_ZONE + f"{CORP}. NS ns.{CORP}.\n")
    resolver = named("resolver", zones=[root], extra=f'zone "{CORP}" {{ {forward} }};\n')
    relay = tap(resolver)
    d = watch(relay)
    change(primary, ("delete", OWNER, "SRV"), ("add", OWNER, 3000, "SRV", f"0 0 {two.port} kms2.{CORP}."))
    asked, before = len(relay.messages()), one.binds
    wait_until("two more looks at the host", lambda: one.binds >= before + 2)
    # the client that remembers asks nobody either
    assert len(relay.messages()) == asked
    assert d.count_log(r"discovery\.changed") == 0
    # a reload is a new beginning; the resolver's own answer is what clients see
    resolver.rndc("flush")
    d.signal(signal.SIGHUP)
    d.wait_log(rf"discovery\.changed.*now=\"0 0 {two.port} kms2.{CORP} up\"")


def test_S17_other_resolvers_in_resolv_conf(zone, watch, kms_host, tmp_path):
    """Another network: the file names another server, which knows another host."""
    one, two = kms_host(), kms_host()
    here = zone([srv(one), f"kms1 A {one.address}"])
    there = zone([srv(two), f"kms1 A {two.address}"], name="ns2")
    conf = tmp_path / "resolv.conf"
    conf.write_text(f"nameserver {here.address}\nsearch elsewhere.test\n")
    d = watch(None, discovery=f"resolv_conf: '{conf}', interval: 1h")
    d.wait_log(rf"discovery\.first.*now=\"0 0 {one.port} ")
    fresh = tmp_path / "fresh"
    fresh.write_text(f"# of the VPN\nnameserver {there.address}\n")
    os.rename(fresh, conf)
    d.wait_log(rf"resolvers\.changed.*resolvers={there.address}:{there.port} ")
    d.wait_log(rf"discovery\.changed.*was=\"0 0 {one.port} .*now=\"0 0 {two.port} ")
    conf.write_text(conf.read_text() + "options timeout:1\n")  # no other server: nothing to do
    conf.unlink()
    assert d.count_log(r"resolvers\.changed") == 1


def test_S17_a_reload_begins_to_watch_the_file(zone, watch, kms_host, tmp_path):
    one = kms_host()
    server = zone([srv(one), f"kms1 A {one.address}"])
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.0.0.1\n")
    d = watch(server, discovery=f"resolv_conf: '{conf}'")
    conf.write_text(f"nameserver {server.address}\n")
    # and now taken from it, by a reload
    text = d.config_file.read_text()
    d.config_file.write_text(text.replace(f"resolvers: ['{server.address}:{server.port}'], ", ""))
    d.signal(signal.SIGHUP)
    d.wait_log(r"reload\.done")
    assert d.count_log(r"resolvers\.changed") == 0
    conf.write_text("nameserver 127.0.0.1\n")
    d.wait_log(r"resolvers\.changed")


def test_reload_changes_what_is_looked_at(zone, watch, kms_host):
    one = kms_host()
    server = zone([srv(one), f"kms1 A {one.address}"])
    d = watch(server)
    text = d.config_file.read_text()
    d.config_file.write_text(text.replace(f"suffixes: [{CORP}]", f"suffixes: [{CORP}, {DEPT}]"))
    d.signal(signal.SIGHUP)
    d.wait_log(rf"discovery\.first profile=modern domain={DEPT} now=none code=0x8007232B")
    assert d.count_log(rf"discovery\.first.*domain={CORP}") == 1
    d.config_file.write_text(text.replace("interval: 1s", "interval: 0s"))
    d.signal(signal.SIGHUP)
    wait_until("nothing is looked at", lambda: d.seen() == [])


def test_stop_during_a_look(watch, loopback, tap, zone, kms_host):
    """The server does not answer, and then the host does not: the daemon stops in time all the same."""
    one = kms_host("mute")
    server = zone([srv(one), f"kms1 A {one.address}"])
    silent = tap(server, on_query=lambda m: None)
    d = watch(silent, wait=False)
    wait_until("a question", lambda: silent.messages())
    d.stop()
    d = watch(server, name="second", wait=False)
    wait_until("a probe", lambda: one.binds)
    d.stop()


# ---- the host that a client remembers ----


def remembered(d):
    return [(e["level"], e["text"]) for e in events(d, "discovery.remembered")]


def test_S11_remembered_host_has_left_dns(zone, watch, kms_host):
    """It still answers, so clients that remember it stay, also after a restart; when it dies they come back to DNS."""
    old, new = kms_host(), kms_host()
    server = zone([srv(old), f"kms1 A {old.address}", f"kms2 A {new.address}"])
    d = watch(server)
    cache = d.folder / "state" / "discovery" / f"modern.{CORP}.json"
    wait_until("it is remembered", cache.exists)
    assert cache.stat().st_mode & 0o777 == 0o600
    assert json.loads(cache.read_text())["host"]["name"] == f"kms1.{CORP}"
    d.stop()
    change(server, ("delete", OWNER, "SRV"), ("add", OWNER, 300, "SRV", f"0 0 {new.port} kms2.{CORP}."))
    d = watch(server)
    d.wait_log(rf"discovery\.remembered.*host=kms1.{CORP} port={old.port} standing=gone")
    seen = d.seen()[0]
    assert (seen["cached"]["target"], seen["cached"]["standing"]) == (f"kms1.{CORP}", "gone")
    assert seen["caching_client"]["selected"] == {"target": f"kms1.{CORP}", "port": old.port, "source": "cache"}
    assert [c["target"] for c in seen["candidates"]] == [f"kms2.{CORP}"]
    out = d.command("status").out
    assert "not in DNS any more" in out and max(map(len, out.splitlines())) <= 100, out
    assert remembered(d) == [("warning", f"Clients of '{CORP}' (modern) that remember kms1.{CORP}:{old.port} stay there until it "
                              "fails: it answers, but is no longer in DNS")]
    old.stop()
    d.wait_log(rf"discovery\.remembered.*host=kms2.{CORP} port={new.port} standing=best")
    wait_until("the event", lambda: len(remembered(d)) == 2)
    level, text = remembered(d)[1]
    assert level == "info" and f"kms2.{CORP}:{new.port}" in text and "as DNS says" in text


def test_S10_remembered_host_of_a_lower_tier(zone, watch, kms_host):
    """As Windows: no return to the better host while the remembered one answers. That is said, not hidden."""
    backup, best = kms_host(), kms_host()
    server = zone([srv(backup, 10, 0, "backup"), f"backup A {backup.address}", f"best A {best.address}"])
    d = watch(server)
    change(server, ("add", OWNER, 300, "SRV", f"0 0 {best.port} best.{CORP}."))
    d.wait_log(rf"discovery\.remembered.*host=backup.{CORP} .*standing=lower")
    seen = d.seen()[0]
    assert seen["caching_client"]["selected"]["target"] == f"backup.{CORP}"
    assert "a better one is up" in d.command("status").out
    ((level, text),) = remembered(d)
    assert level == "warning" and f"backup.{CORP}:{backup.port}" in text and "a better priority is up" in text
    # discovery.cache: false is /ckhc for the client that the daemon plays
    d.config_file.write_text(d.config_file.read_text().replace("interval: 1s,", "interval: 1s, cache: false,"))
    d.signal(signal.SIGHUP)
    wait_until("nothing is remembered", lambda: d.seen()[0]["cached"] is None)
    cache = json.loads((d.folder / "state" / "discovery" / f"modern.{CORP}.json").read_text())
    assert cache["caching"] is False and cache["host"] is None


@pytest.mark.parametrize("text, replaced", [("{broken", True), ('{"version": 99, "caching": true}', False)])
def test_cache_file_that_cannot_be_read(zone, watch, kms_host, tmp_path, text, replaced):
    """Said, and carried on; what a newer version wrote stays."""
    one = kms_host()
    cache = tmp_path / "watch" / "state" / "discovery" / f"modern.{CORP}.json"
    cache.parent.mkdir(parents=True)
    cache.write_text(text)
    d = watch(zone([srv(one), f"kms1 A {one.address}"]))
    assert str(cache) in d.wait_log(r"discovery\.cache .*").group(0)
    wait_until("it is remembered", lambda: (d.seen()[0]["cached"] or {}).get("target") == f"kms1.{CORP}")
    if replaced:
        wait_until("a good file", lambda: cache.read_text() != text)
        assert json.loads(cache.read_text())["host"]["name"] == f"kms1.{CORP}"
    d.stop()
    assert replaced or cache.read_text() == text


def test_cache_file_that_cannot_be_written(zone, watch, kms_host, tmp_path):
    one = kms_host()
    server = zone([srv(one), f"kms1 A {one.address}"])
    state = tmp_path / "watch" / "state"
    state.mkdir(parents=True)
    (state / "discovery").write_text("a file in the place of the folder")
    d = watch(server)
    d.wait_log(r"level=warning.*discovery\.cache.*the host found is not remembered|discovery\.cache .*not remembered")
    before = d.seen()[0]["last_run"]
    wait_until("it goes on", lambda: d.seen()[0]["last_run"] > before)
    assert d.seen()[0]["cached"]["target"] == f"kms1.{CORP}"  # in memory
    assert d.count_log(r"discovery\.cache ") <= 2  # not at each look
