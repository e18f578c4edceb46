"""`kmsbeacon events`: what the daemon remembers, over a restart, and as it happens."""

import json
import os
import re
import signal
import socket
import subprocess

import pytest

from kblib.bind import Key, Zone, zone_text
from kblib.process import die_with_parent, wait_until
from kblib.program import PROGRAM, environment

ZONE = "corp.test"
NAME = f"_vlmcs._tcp.{ZONE}"


@pytest.fixture
def site(named, loopback, kb, daemon, tmp_path):
    class Site:
        def start(self):
            self.daemon = daemon(self.config)
            self.daemon.wait_log(r"daemon\.ready")

        def kb(self, command, *words, **how):
            return kb(command, "-c", self.config, *words, **how)

        def events(self, *words):
            return [json.loads(line) for line in self.kb("events", "--json", *words).out.splitlines()]

        def ids(self, *words):
            return [e["id"] for e in self.events(*words) if e["id"]]

        def activate(self):
            """One lab client, one request."""
            listen = self.kb("status", "--json").json["service"]["listen"][0]
            self.kb("client", "skms", listen)
            self.kb("client", "ato")

    s = Site()
    own, server = loopback.address(), loopback.address()
    key = Key("corp")
    text = zone_text(ZONE, [("ns1", server)], [f"kms1 A {own}"])
    s.named = named(
        "ns1", address=server, keys=[key],
        zones=[Zone(ZONE, text, clauses=(f"update-policy {{ grant corp name {NAME} SRV; }};",))],
    )
    s.config = tmp_path / "kb.yaml"
    s.config.write_text(
        f"node: {{ target: kms1.{ZONE}, state_dir: {tmp_path}/state, control: {{ socket: {tmp_path}/sock }} }}\n"
        f'service: {{ mode: lab, listen: ["{own}:0"] }}\n'
        f"keys: [ {{ name: corp, file: {key.write(str(tmp_path))} }} ]\n"
        f'discovery: {{ resolvers: ["{server}:{loopback.port}"], interval: 0s }}\n'
        f"publish: {{ domains: [ {{ domain: {ZONE}, key: corp, lab: true }} ] }}\n"
    )
    s.start()
    s.daemon.wait_log(r"publisher\.proven")
    return s


def test_published_and_served_and_kept_over_a_restart(site):
    site.activate()
    wait_until("the request is among the events", lambda: 12290 in site.ids())
    assert 12294 in site.ids()
    (published,) = [e for e in site.events() if e["id"] == 12294]
    assert (published["level"], published["hresult"], published["info"]) == ("info", "0x00000000", ZONE)
    (served,) = [e for e in site.events() if e["id"] == 12290]
    # behaviour 4.3: nine fields, separated by commas alone
    assert re.fullmatch(r"0x0,\d+,[^,]+,[0-9a-f-]{36},\d{4}/\d\d/\d\d \d\d:\d\d,\d,\d,\d+,[0-9a-f-]{36}", served["info"]), served
    numbers = [e["seq"] for e in site.events()]
    assert numbers == sorted(set(numbers))
    site.daemon.stop()
    site.start()
    names = [e["name"] for e in site.events()]
    assert "daemon.stopped" in names and names.count("daemon.ready") == 2 and 12294 in site.ids()
    assert 12290 not in site.ids()  # of single requests: memory and log only


def test_text_is_windows_layout(site):
    site.activate()
    wait_until("the request is among the events", lambda: 12290 in site.ids())
    blocks = site.kb("events").out.strip().split("\n\n")
    (block,) = [b for b in blocks if "12290" in b]
    lines = block.split("\n")
    assert [line.split(":")[0] for line in lines[:4]] == ["Date", "Source", "Event ID", "Level"]
    assert lines[4] == "An activation request has been processed."
    assert lines[5] == "Info:" and lines[6].startswith("0x0,")


def test_service_that_could_not_start_is_12291(site, loopback):
    site.daemon.stop()
    usual = site.config.read_text()
    with socket.create_server((loopback.address(), 0)) as taken:
        host, port = taken.getsockname()
        site.config.write_text(re.sub(r"listen: \[.*?\]", f'listen: ["{host}:{port}"]', usual))
        assert site.kb("run").code == 1
    site.config.write_text(usual)
    site.start()
    (failed,) = [e for e in site.events() if e["id"] == 12291]
    assert (failed["level"], failed["hresult"], failed["info"]) == ("error", "0x80072740", "0x80072740")
    assert f"{host}:{port}" in failed["text"]


def test_failed_publishing_is_12293(site):
    site.named.stop()
    site.kb("withdraw")
    (failed, *_) = [e for e in site.events() if e["id"] == 12293]
    assert failed["level"] == "warning"
    assert failed["info"] == f"{failed['hresult']}, {ZONE}"
    assert failed["hresult"] != "0x00000000" and ZONE in failed["text"]


def test_follow_prints_what_happens(site):
    p = subprocess.Popen(
        [PROGRAM, "events", "-c", str(site.config), "--follow", "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=environment(), preexec_fn=die_with_parent,
    )
    try:
        while json.loads(p.stdout.readline())["id"] != 12294:
            pass
        site.activate()
        while json.loads(p.stdout.readline())["id"] != 12290:
            pass
        os.kill(site.daemon.pid, signal.SIGHUP)
        while json.loads(p.stdout.readline())["name"] != "reload.done":
            pass
        site.daemon.stop()
        p.stdout.read()
        assert p.wait(20) == 1
        assert "daemon" in p.stderr.read()
    finally:
        p.kill()
        p.wait()


def test_since(site):
    assert site.events("--since", "2999-01-01T00:00:00Z") == []
    assert site.events("--since", "1h")
    r = site.kb("events", "--since", "yesterday")
    assert r.code == 2 and "yesterday" in r.err
