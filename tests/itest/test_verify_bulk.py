"""`kmsbeacon verify` over many domains, over time and for Nagios, against one real named."""

import json
import os
import pty
import re
import signal
import subprocess

import pytest

from kblib.bind import Key, Named, Zone, zone_text
from kblib.kms_host import KmsHost
from kblib.loopback import Loopback
from kblib.process import Process, die_with_parent
from kblib.program import PROGRAM, environment, run_program

GOOD = [f"d{i:02}.test" for i in range(30)]
PERFDATA = re.compile(r"'?[^=' ]+'?=-?[0-9.]+(s|ms|us|%|B|KB|MB|GB|TB|c)?(;[0-9.:~@]*){0,4}")


class Estate:
    """Thirty domains that are well, one without hosts, one with a dead host, one that may be changed."""

    def __init__(self, folder):
        self.net = Loopback()
        self.folder = folder
        self.hosts = [KmsHost(self.net.address()) for _ in range(2)]
        ns = [("ns1.hosts.test.", self.net.address())]
        self.key = Key("watch")
        targets = [f"kms{i} A {h.address}" for i, h in enumerate(self.hosts)]
        self.records = [f"_vlmcs._tcp SRV {i * 10} 0 {h.port} kms{i}.hosts.test." for i, h in enumerate(self.hosts)]
        texts = {
            "hosts.test": zone_text("hosts.test", [("ns1", ns[0][1])], targets),
            "none.test": zone_text("none.test", ns),
            "dead.test": zone_text("dead.test", ns, [*self.records, "_vlmcs._tcp SRV 20 0 1688 gone"]),
            **{d: zone_text(d, ns, self.records) for d in GOOD},
        }
        self.third = self.net.address()
        watched = zone_text("watch.test", ns, [*self.records, f"third A {self.third}"])
        zones = [Zone(name, text) for name, text in texts.items()]
        zones.append(Zone("watch.test", watched, updaters=[self.key]))
        self.named = Named(folder, "ns1", ns[0][1], self.net.port, zones=zones, keys=[self.key]).start()
        self.config = folder / "kmsbeacon.yaml"
        self.config.write_text(f"discovery: {{ resolvers: ['{self.named.address}:{self.named.port}'] }}\n")

    def file(self, text):
        path = self.folder / "domains.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def argv(self, *args):
        return ["verify", "-c", self.config, *args]

    def run(self, *args, **how):
        return run_program(self.argv(*args), dns_port=self.net.port, **how)

    def start(self, *args, **how):
        """The program with its stdin and stdout as pipes."""
        return subprocess.Popen(
            [PROGRAM, *(str(a) for a in self.argv(*args))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment(self.net.port), preexec_fn=die_with_parent, **{"stderr": subprocess.PIPE, **how},
        )

    def watch(self, *args):
        return Process("verify --watch", [PROGRAM, *self.argv("--watch", "1s", *args)], environment(self.net.port))

    def change(self, *change):
        assert self.named.update("watch.test", change, key=self.key) == 0

    def stop(self):
        self.named.stop()
        for h in self.hosts:
            h.stop()


@pytest.fixture(scope="module")
def estate(tmp_path_factory):
    e = Estate(tmp_path_factory.mktemp("estate"))
    yield e
    e.stop()


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_file_in_its_order_with_its_slips(estate):
    text = b"\xef\xbb\xbf# sites\r\n" + f"d03.test\r\n\r\n  none.test.  # no host\nD01.test\n".encode()
    text += b"bad..name\nm\xc3\xbcnchen.test\n" + b"x" * 5000 + b"\nd02.test"
    r = estate.run("--json", "--domains-file", estate.file(text))
    assert r.code == 2 and r.err == "", r
    got = lines_of(r.out)
    assert [d["domain"] for d in got if "line" not in d] == ["d03.test", "none.test", "d01.test", "d02.test"]
    assert [(d["line"], d["status"]) for d in got if "line" in d] == [(6, "unknown"), (7, "unknown"), (8, "unknown")]
    assert [d["status"] for d in got] == ["ok", "critical", "ok", "unknown", "unknown", "unknown", "ok"]
    assert "xn--" in got[4]["error"]["text"] and "too long" in got[5]["error"]["text"]


def test_many_domains_in_the_order_of_the_file(estate):
    names = GOOD * 4 + ["none.test"] + GOOD
    r = estate.run("--json", "--domains-file", "-", stdin="\n".join(names))
    assert r.code == 2 and [d["domain"] for d in lines_of(r.out)] == names, r


def test_each_target_is_probed_once_for_all_domains(estate):
    before = [h.binds for h in estate.hosts]
    r = estate.run("--json", "--domains-file", estate.file("\n".join(GOOD)))
    assert r.code == 0, r
    assert [h.binds - b for h, b in zip(estate.hosts, before)] == [1, 1]


def test_text_shows_what_is_not_ok_and_ends_with_the_sum(estate):
    r = estate.run("--domains-file", estate.file("\n".join([*GOOD, "none.test", "dead.test", "bad..name"])))
    assert r.code == 2 and r.err == "", r
    assert "d03.test" not in r.out
    blocks = r.out.split("\n\n")
    assert blocks[0].startswith("critical  none.test: no record; ") and "no-records" in blocks[0]
    assert "warning  dead.test: 3 records, 2 of 3 up; " in r.out and f"unknown  line {len(GOOD) + 3}: 'bad..name'" in r.out
    end = blocks[-1].splitlines()
    assert end[0].startswith("critical  33 domains: 30 ok, 1 critical, 1 warning, 1 unknown; 63 records; ")
    assert [w.split()[0] for w in end[1:]] == ["FINDING", "no-records", "target-no-address"]
    assert max(map(len, r.out.splitlines())) <= 100


def test_few_domains_are_shown_in_full(estate):
    r = estate.run("--domain", GOOD[0], "--domain", GOOD[1])
    assert r.code == 0 and r.out.count("kms0.hosts.test") == 2, r
    assert r.out.splitlines()[-1].startswith("ok  2 domains: 2 ok; 4 records")
    r = estate.run("--domain", GOOD[0], "--domain", "none.test", "--json")
    assert [d["domain"] for d in r.json["domains"]] == [GOOD[0], "none.test"] and r.json["status"] == "critical"


def test_lookup_only_asks_the_resolver_and_nobody_else(estate):
    before = [h.binds for h in estate.hosts]
    r = estate.run("--lookup-only", "--json", "--domains-file", estate.file("\n".join([*GOOD[:3], "none.test", "dead.test"])))
    assert r.code == 2, r
    got = lines_of(r.out)
    # the hosts of this test are on loopback, which is nothing to publish
    findings = [[f["id"] for f in d["findings"] if f["id"] != "target-loopback"] for d in got]
    assert findings == [[], [], [], ["no-records"], ["target-no-address"]]
    assert [[s["role"] for s in d["servers"]] for d in got] == [["resolver"]] * 5
    assert [rec["addresses"] for rec in got[0]["records"]] == [[h.address] for h in estate.hosts]
    assert got[0]["records"][0]["probe"] is None and got[0]["zone"] is None
    assert [h.binds for h in estate.hosts] == before
    kms0 = f"kms0.hosts.test:{estate.hosts[0].port}"
    r = estate.run("--lookup-only", "--domain", GOOD[0], "--expect", kms0, "--expect", "kms9.hosts.test")
    assert r.code == 2 and "missing" in r.out and "extra" in r.out and estate.hosts[0].address in r.out, r


def test_no_domain_at_all(estate):
    assert estate.run("--domains-file", estate.file("# none\n")).code == 3
    assert estate.run("--domains-file", estate.folder).code == 3
    assert estate.run("--domains-file", estate.folder / "missing").code == 3
    r = estate.run("--domains-file", "-", "--domain", "a.test")
    assert r.code == 3 and "not both" in r.err


def test_results_come_while_the_file_is_still_written(estate):
    p = estate.start("--json", "--domains-file", "-")
    for name in GOOD[:3]:
        p.stdin.write(f"{name}\n")
        p.stdin.flush()
        assert json.loads(p.stdout.readline())["domain"] == name
    p.stdin.close()
    assert p.wait(20) == 0 and p.stdout.read() == ""
    assert p.stderr.read() == ""


def test_interrupt_ends_it_cleanly(estate):
    p = estate.start("--domains-file", "-")
    p.stdin.write("none.test\n")
    p.stdin.flush()
    assert p.stdout.readline().startswith("critical  none.test")
    p.send_signal(signal.SIGINT)
    assert p.wait(20) == 3
    err = p.stderr.read()
    assert "interrupted, 1 domains" in err


def test_reader_that_goes_away(estate):
    p = estate.start("--json", "--domains-file", "-")
    p.stdin.write("d00.test\n")
    p.stdin.flush()
    p.stdout.readline()
    p.stdout.close()
    p.stdin.write("\n".join(GOOD))
    p.stdin.close()
    assert p.wait(20) == 3
    assert p.stderr.read() == ""


@pytest.mark.parametrize("more", [[], ["--nagios"]])
def test_progress_only_on_a_terminal(estate, more):
    main, other = pty.openpty()
    p = estate.start("--domains-file", "-", *more, stderr=other)
    os.close(other)
    seen = b""
    p.stdin.write("none.test\nd00.test\n")
    p.stdin.flush()
    if not more:
        while b"2 domains, " not in seen:
            seen += os.read(main, 4096)
        assert b": 1 ok, 1 critical, 0 warning" in seen
    p.stdin.close()
    assert p.wait(20) == 2
    os.set_blocking(main, False)
    try:
        while chunk := os.read(main, 4096):
            seen += chunk
    except OSError:
        pass
    os.close(main)
    assert (seen == b"") if more else seen.endswith(b"\r\x1b[K"), seen


def nagios(estate, *args, exit):
    r = estate.run("--nagios", *args)
    assert r.code == exit and len(r.out.splitlines()) == 1 and r.out.count("|") == 1, r
    text, perf = r.out.rstrip("\n").split(" | ")
    assert text.startswith("KMS " + ("OK", "WARNING", "CRITICAL", "UNKNOWN")[exit] + " - ")
    for item in perf.split(" "):
        assert PERFDATA.fullmatch(item), item
    return text, {k: v.split(";")[0] for k, v in (i.split("=") for i in perf.split(" "))}


def test_nagios_one_line_for_all(estate):
    text, perf = nagios(estate, "--domain", GOOD[0], exit=0)
    assert perf["domains"] == "1" and perf["records"] == "2" and perf["up"] == "2" and perf["time"].endswith("s")
    text, perf = nagios(estate, "--domains-file", estate.file("\n".join([*GOOD, "dead.test", "none.test"])), exit=2)
    assert "30 of 32 domains ok, 1 critical, 1 warning" in text and "none.test: " in text
    assert perf["domains_critical"] == "1" and perf["domains_warning"] == "1" and perf["down"] == "1"
    text, _ = nagios(estate, "--domain", "dead.test", exit=1)
    assert text.startswith("KMS WARNING - dead.test: gone.dead.test")


def test_nagios_says_so_when_it_cannot_begin(estate):
    r = estate.run("--nagios", "--watch", "30s", "--domain", GOOD[0])
    assert r.code == 3 and "not both" in r.err and r.out.startswith("KMS UNKNOWN - ")
    assert estate.run("--nagios", "--json", "--domain", GOOD[0]).code == 3
    assert estate.run("--watch", "10", "--domain", GOOD[0]).code == 3


def test_watch_tells_changes_only(estate):
    extra = f"30 0 {estate.hosts[0].port} kms0.hosts.test."
    p = estate.watch("--json", "--domain", "watch.test", "--domain", GOOD[0])
    try:
        p.wait_log(r'"domain":"d00.test".*"status":"ok"|"status":"ok".*"domain":"d00.test"')
        p.wait_log(r'"watch.test"')
        estate.change("add", "_vlmcs._tcp.watch.test", 300, "SRV", extra)
        added = json.loads(p.wait_log(r".*record-added.*").group())
        assert added["domain"] == "watch.test" and added["priority"] == 30 and re.match(r"20\d\d-.*Z$", added["time"])
        mark = p.mark()
        estate.change("delete", "_vlmcs._tcp.watch.test", "SRV")
        p.wait_log(r"finding-appeared.*no-records", since=mark)
        p.signal(signal.SIGINT)
        assert p.wait() == 2, p.log  # as the last round was
        changes = [json.loads(line) for line in p.lines[mark:]]
        assert sorted(c["change"] for c in changes if c["change"] != "finding-cleared") == [
            "finding-appeared", "record-removed", "record-removed", "record-removed", "status",
        ]
        assert {c["domain"] for c in changes} == {"watch.test"}
    finally:
        p.kill()
        for i, h in enumerate(estate.hosts):
            estate.change("add", "_vlmcs._tcp.watch.test", 300, "SRV", f"{i * 10} 0 {h.port} kms{i}.hosts.test.")


def test_watch_for_people_sees_a_host_go(estate):
    host = KmsHost(estate.third)
    estate.change("add", "_vlmcs._tcp.watch.test", 300, "SRV", f"30 0 {host.port} third.watch.test.")
    p = estate.watch("--domains-file", estate.file("watch.test\n"))
    try:
        p.wait_log(r"third.watch.test +\d+ +30")
        host.stop()
        m = p.wait_log(r"^20\S+Z  watch.test  host third.watch.test:\d+: up -> (\S+)")
        assert m.group(1) == "refused"
        p.wait_log(r"watch.test  finding appeared: warning dead-target: third.watch.test")
        p.signal(signal.SIGTERM)
        assert p.wait() == 1, p.log
    finally:
        p.kill()
        host.stop()
        estate.change("delete", "_vlmcs._tcp.watch.test", "SRV", f"30 0 {host.port} third.watch.test.")
