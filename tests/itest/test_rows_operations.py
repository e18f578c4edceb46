"""Table O: what goes wrong around a daemon in its daily life. Tests carry the id of their row."""

import json
import os
import re
import resource
import signal
import socket
import threading

import pytest

from kblib import no_ipv6
from kblib.bind import Zone, zone_text
from kblib.clock import clock_environment
from kblib.process import SLOWER, die_with_parent, wait_until
from kblib.site import CORP, HOST, ONE, SRV
from kblib.tap import UPDATE

KEY = 'key "k" {\n\talgorithm hmac-sha256;\n\tsecret "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ISE=";\n};\n'
GOOD = """\
# a comment
node:
  target: kms1.corp.test
service: { mode: off }
keys:
  - { name: corp, file: k.key }
hosts:
  - { name: office, target: kms1.corp.test }
publish:
  ttl: 30m
  domains:
    - { domain: corp.test, key: corp }
"""


def write_private(path, data):
    path.write_bytes(data)
    path.chmod(0o600)


@pytest.fixture
def check(kb, tmp_path):
    """check(text) runs check-config on it; code 0 unless `code` says otherwise."""

    def run(text, *args, code=0, key=KEY):
        write_private(tmp_path / "k.key", key.encode())
        path = tmp_path / "kb.yaml"
        write_private(path, text.replace("k.key", str(tmp_path / "k.key")).encode())
        r = kb("check-config", "-c", path, *args)
        assert r.code == code, r
        return r

    return run


# ---- the configuration ----


def test_O01_line_ends_of_windows(check):
    plain = check(GOOD, "--dump").out
    assert "ttl: 30m" in plain
    assert check("\ufeff" + GOOD.replace("\n", "\r\n"), "--dump", key=KEY.replace("\n", "\r\n")).out == plain
    r = check(GOOD.replace("\n", "\r\n").replace("ttl: 30m", "tll: 30m"), code=2)
    assert ":10:3: publish.tll: unknown key, did you mean ttl?\n" in r.err


def test_O02_key_given_twice(check):
    r = check(GOOD + "publish: { ttl: 1h }\n", code=2)
    assert ":13:1: publish: given twice; keep one of them" in r.err
    r = check(GOOD.replace("  ttl: 30m\n", "  ttl: 30m\n  ttl: 1h\n"), code=2)
    assert ":11:3: publish.ttl: given twice; keep one of them" in r.err


def test_O03_key_that_nobody_knows(check):
    r = check(GOOD + "metrics: true\n", code=2)
    assert ":13:1: metrics: unknown key" in r.err


@pytest.mark.parametrize("text, sentence", [
    ("#" * (1 << 20) + "\n" + GOOD, "1048576 are allowed"),
    ("[" * 100000, "more than 16 maps and lists within each other"),
    ("a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b]\n", "anchors (&) are not allowed"),
    ("node: { target: " + "a" * 500000 + " }\n", "is longer than the 253 characters"),
], ids=["size", "depth", "aliases", "scalar"])
def test_O04_huge_file(check, text, sentence):
    r = check(text, code=2)
    assert sentence in r.err and len(r.err) < 4000, r.err[:4000]


def test_O05_reload_with_an_invalid_file_keeps_the_old_one(lab):
    d = lab()
    config = d.folder / "kb.yaml"
    good = config.read_text()
    for bad in (good + "nonsense: 1\n", good.replace("mode: lab", "mode: lap")):
        config.write_text(bad)
        mark = d.mark()
        d.signal(signal.SIGHUP)
        d.wait_log(r"reload\.refused", since=mark)
        r = d.command("status", "--json")  # the command finds it by the same file
        assert r.code == 0 and r.json["service"]["mode"] == "lab" and "has errors (kmsbeacon check-config" in r.err, r
        r = d.command("publish", "--json")
        assert r.code == 2 and r.json["error"]["code"] == "CONFIG" and ":" in r.json["error"]["text"], r
        socket.create_connection(d.where, timeout=5 * SLOWER).close()
    for bad in ("\0\0", "", "a: [\n"):
        config.write_text(bad)
        mark = d.mark()
        d.signal(signal.SIGHUP)
        d.wait_log(r"reload\.refused", since=mark)
        r = d.command("status")  # nothing tells where its socket is
        assert r.code == 1 and "has errors" in r.err and "/run/kmsbeacon/control.sock" in r.err, r
    socket.create_connection(d.where, timeout=5 * SLOWER).close()


def test_O06_algorithm_that_is_not_there(check):
    r = check(GOOD, code=2, key=KEY.replace("hmac-sha256", "hmac-sha3-256"))
    assert "k.key:2: unknown algorithm; known are hmac-sha1" in r.err and "c2Vj" not in r.err


def test_O07_domains_that_overlap(check):
    """The same records under two entries; a domain below another one is no overlap, its records have a name of their own."""
    twice = GOOD + "    - { domain: Corp.Test., key: corp }\n"
    assert "publish.domains[1].domain: corp.test is already in line 12" in check(twice, code=2).err
    assert check(GOOD + "    - { domain: dept.corp.test, key: corp }\n").err == ""
    views = GOOD + "    - { domain: corp.test, view: other, key: corp }\n"
    assert "the server would show both the same view" in check(views, code=2).err


def test_O08_ttl_of_zero(check):
    r = check(GOOD.replace("ttl: 30m", "ttl: 0s"))
    assert "warning" in r.err and "publish.ttl: a TTL of 0 lets nobody keep the answer" in r.err


def test_O09_target_that_is_an_alias(site):
    """Only DNS knows: said before anything is sent, also in a dry run."""
    site.start("alias CNAME kms1", secondary=False)
    for args, code in (("--dry-run",), 0), ((), 1):
        alias = "{ name: a, target: alias.corp.test, port: 1688 }"
        r = site.kb("publish", "--json", *args, "-c", site.config(hosts=[alias]))
        d = r.json["domains"][0]
        assert r.code == code and "target-cname" in [f["id"] for f in d["findings"]], r
        assert site.tap.updates() == 0 and site.shown() == []


def test_O10_port_that_is_not_the_usual_one(check):
    r = check(GOOD.replace("target: kms1.corp.test }", "target: kms1.corp.test, port: 1689 }"))
    assert "warning" in r.err and "port 1689 is published for 'office'" in r.err


# ---- while it runs ----


def test_O13_clock_that_jumps(site, daemon):
    """An hour on and an hour back, for the daemon and the server at once: nothing storms, nothing stops."""
    site.start(secondary=False)
    config = site.config(publish="  refresh: 1s\n")
    config.write_text(config.read_text() + "health: { interval: 1h }\n")  # which would wake the publisher too
    d = daemon(config, env=clock_environment(site.primary.clock_file))
    d.wait_log(r"daemon\.ready")
    state = lambda: d.command("status", "--json").json["records"][0]["state"]
    wait_until("it is published", lambda: state() in ("proven", "unchanged"))  # the next reading may be done by now
    for ahead in (3600, -3600, 0):
        site.primary.set_clock(ahead)
        before = len(site.tap.messages())
        wait_until("it goes on reading", lambda: len(site.tap.messages()) > before + 1, timeout_s=10)
        assert len(site.tap.messages()) < before + 20
        wait_until("it is well", lambda: state() in ("proven", "unchanged"))  # a jump in an exchange costs that one
    assert site.tap.updates() == 1


def no_room():
    """As on a full disk: files cannot grow."""
    die_with_parent()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))


def test_O14_full_disk_and_discovery(site, kb, kms_host, tmp_path):
    """The host is found and told; that it cannot be remembered is said, and the old file stays whole."""
    host = kms_host()
    site.start(f"_vlmcs._tcp SRV 0 0 {host.port} host", f"host A {host.address}", secondary=False)
    cache = tmp_path / "cache.json"
    old = json.dumps({"version": 1, "caching": True, "host": None})
    cache.write_text(old)
    words = ["discover", "--json", "--domain", CORP, "--server", f"{site.first}:{site.loopback.port}", "--cache", cache]
    r = kb(*words, preexec=no_room)
    assert r.code == 0 and r.json["selected"]["address"] == host.address, r
    assert str(cache) in r.err and cache.read_text() == old, r
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("cache")] == ["cache.json"]


@pytest.mark.skipif(not no_ipv6.supported, reason="the number of socket() is not known here")
def test_O15_no_ipv6_stack(site, kb, daemon, kms_host, tmp_path):
    """Names with an AAAA record, a listener on [::], and no IPv6 socket to be had."""

    def v4_only():
        die_with_parent()
        no_ipv6.without_ipv6()

    host = kms_host()
    site.start(
        f"_vlmcs._tcp SRV 0 0 {host.port} kms6", f"kms6 A {host.address}", "kms6 AAAA 2001:db8::6", "ns1 AAAA 2001:db8::53",
        secondary=False,
    )
    words = ["--json", "--domain", CORP, "--server", f"{site.first}:{site.loopback.port}"]
    r = kb("discover", *words, preexec=v4_only)
    assert r.code == 0 and r.json["selected"]["address"] == host.address, r
    assert kb("publish", "--json", "-c", site.config(), preexec=v4_only).json["domains"][0]["state"] == "proven"
    config = tmp_path / "both.yaml"
    text = (
        f"node: {{ target: kms1.lab.test, state_dir: {tmp_path}/lab, control: {{ socket: {tmp_path}/labsock }} }}\n"
        f"service: {{ mode: lab, listen: ['{site.loopback.address()}:0'%s] }}\n"
    )
    config.write_text(text % ", '[::]:0'")
    r = kb("run", "-c", config, preexec=v4_only)
    assert r.code == 1 and "cannot listen on [::]:0: this machine has no IPv6; remove the address" in r.err, r
    config.write_text(text % "")
    d = daemon(config, preexec=v4_only)
    d.wait_log(r"daemon\.ready")
    (listen,) = d.command("status", "--json").json["service"]["listen"]
    assert kb("probe", listen).code == 0


def test_O16_started_before_the_network_is_up(site, daemon):
    """No name server answers yet: the daemon is ready all the same, and publishes as soon as one does."""
    d = daemon(site.config(publish="  refresh: 1s\n"))
    d.wait_log(r"daemon\.ready")
    d.wait_log(r"publisher\.failed")
    assert d.command("status", "--json").json["records"][0]["state"] == "unreachable"
    site.start(secondary=False)
    wait_until("it is published", lambda: site.shown() == [f"3600 {ONE}"])
    wait_until("status says so", lambda: d.command("status", "--json").json["records"][0]["state"] in ("proven", "unchanged"))


def test_O17_metrics_during_reloads(lab):
    """Somebody scrapes it while it reloads: each answer is whole."""
    d = lab()
    stop, seen, wrong = threading.Event(), [], []

    def scrape():
        while not stop.is_set():
            r = d.command("status", "--json")
            (seen if r.code == 0 and r.json["service"]["mode"] == "lab" else wrong).append(r)
            r = d.command("status", "--prometheus")
            (seen if r.code == 0 and re.search(r"^kmsbeacon_\w+(\{.*\})? \S+\n\Z", r.out, re.M) else wrong).append(r)

    scraper = threading.Thread(target=scrape)
    scraper.start()
    try:
        for n in range(10):
            mark = d.mark()
            d.signal(signal.SIGHUP)
            d.wait_log(r"reload\.done", since=mark)
    finally:
        stop.set()
        scraper.join()
    assert len(seen) >= 2 and not wrong, wrong


def test_O18_two_copies(lab, kb, tmp_path, started):
    """Of one configuration, and of two that want the same port: the second one ends and says who has it."""
    d = lab()
    config = d.folder / "kb.yaml"
    r = kb("run", "-c", config)
    assert r.code == 1 and f"process {d.pid}" in r.err, r
    other = tmp_path / "other.yaml"
    other.write_text(config.read_text().replace(f"{d.folder}/", f"{tmp_path}/other-").replace(':0"', f':{d.where[1]}"'))
    r = kb("run", "-c", other)
    assert r.code == 1 and f"cannot listen on {d.address}: another program has this port" in r.err, r
    assert d.status()["service"]["mode"] == "lab"
    d.kill()  # what is left behind by a crash is no other copy
    started.remove(d)
    again = lab()
    assert again.status()["uptime_s"] < 20
    assert os.path.exists(d.folder / "sock")


def test_O12_reload_swaps_domains_hosts_and_health_while_an_update_is_out(site, daemon):
    other = Zone("other.test", zone_text("other.test", [("ns1", site.first)]), updaters=(site.key,))
    site.start(zones=[other], secondary=False)
    held, go = threading.Event(), threading.Event()

    def hold(m):
        if m.opcode == UPDATE and not held.is_set():
            held.set()
            go.wait(10)
        return m.data

    def reload(**config):
        path = site.config(**config)
        mark = d.mark()
        d.signal(signal.SIGHUP)
        d.wait_log(r"reload\.done", since=mark)
        return path

    site.tap.on_query = hold
    d = daemon(site.config(publish="  refresh: 1s\n"))
    assert held.wait(20)
    two = HOST.replace("name: one", "name: two").replace("kms1", "kms2")
    both = [f"{{ domain: {z}, lab: true, key: corp }}" for z in (CORP, "other.test")]
    reload(hosts=[two], domains=both, publish="  refresh: 1s\n")
    go.set()
    moved = [f"3600 {ONE.replace('kms1', 'kms2')}"]
    wait_until("the new host stands alone", lambda: site.shown() == moved)  # nothing of the update that was out is left
    wait_until("the new domain, too", lambda: site.primary.records("_vlmcs._tcp.other.test", "SRV") == moved)
    assert site.tap.messages(UPDATE)[0].rcode == 0
    assert [h["name"] for h in d.command("status", "--json").json["hosts"]] == ["two"]
    with open(site.config(hosts=[two], domains=both), "a", encoding="utf-8") as f:
        f.write("health: { interval: 100ms, timeout: 1s, fall: 1, min_stay: 0ms }\n")
    d.signal(signal.SIGHUP)

    def is_down():
        return [h["state"] for h in d.command("status", "--json").json["hosts"]] == ["down"]

    # by the rule before, every 10 s and at the third failure, it would take 20 s
    wait_until("the new health rule is in force", is_down, timeout_s=6)
    assert not d.count_log(r"publisher\.failed")
