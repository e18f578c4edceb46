"""Table P, against real named: what is read, planned, owned, and gated by health. Tests carry the id of their row."""

import resource
import shutil
import signal
import sqlite3
import subprocess
import threading

import pytest

from kblib.bind import Key, Zone, zone_text
from kblib.kms_host import KmsHost
from kblib.loopback import free_port
from kblib.process import SLOWER, die_with_parent, wait_until
from kblib.program import PROGRAM, environment
from kblib.site import CORP, ONE, SRV, Site
from kblib.tap import QUERY, UPDATE

FOREIGN = f"0 0 1688 other.{CORP}."
SRV_QUESTION = b"\x06_vlmcs\x04_tcp\x04corp\x04test\0\0\x21"
QUICK = "{ interval: 100ms, timeout: 1s, rise: 1, fall: 2, min_stay: 0ms }"


def host(name="one", target="kms1", port=1688, priority=0, weight=10):
    return f"{{ name: {name}, target: {target}.{CORP}, port: {port}, priority: {priority}, weight: {weight} }}"


class Rows(Site):
    """The site of the publisher's tests, with a configuration for each of several daemons."""

    def daemon_config(self, name="a", hosts=(host(),), health=QUICK, publish="", key=None, resolver=None):
        key = key or self.key
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        path = folder / "kb.yaml"
        path.write_text(
            f"node: {{ state_dir: {folder}/state, control: {{ socket: {folder}/sock }} }}\n"
            f"service: {{ mode: off }}\n"
            f"keys: [{{ name: k, file: {key.write(folder)} }}]\n"
            f"hosts: [{', '.join(hosts)}]\n"
            f"health: {health}\n"
            f"publish:\n  refresh: 1s\n{publish}"
            f"  domains: [{{ domain: {CORP}, lab: true, key: k, server: ['{self.first}'] }}]\n"
            f"discovery: {{ resolvers: ['{resolver or self.first}:{self.loopback.port}'] }}\n"
        )
        return path

    def rdata(self):
        """The set without TTLs."""
        return [text.split(" ", 1)[1] for text in self.shown()]

    def reads(self):
        """Questions for the set that came to the primary."""
        return len([m for m in self.tap.messages(QUERY) if SRV_QUESTION in m.data])

    def wait_cycles(self, n=2, daemons=1):
        """Until the daemons have read the set n more times each."""
        before = self.reads()
        wait_until("the set was read again", lambda: self.reads() >= before + n * daemons + 1)


@pytest.fixture
def site(named, tap, loopback, kb, tmp_path):
    return Rows(named, tap, loopback, kb, tmp_path)


def row(d):
    (only,) = d.command("status", "--json").json["records"]
    return only


def changes(d):
    return [c["op"] for c in d["changes"]]


def ids(d):
    return [f["id"] for f in d["findings"]]


def wait_health(d, **wanted):
    def said():
        return {h["name"]: h["state"] for h in d.command("status", "--json").json["hosts"]} == wanted

    wait_until(f"hosts are {wanted}", said)


def wait_rdata(site, *wanted):
    wait_until(f"the set is {wanted}", lambda: site.rdata() == sorted(wanted))


# ---- reading ----


def cut(m):
    """The answer section is lost, the counts say otherwise."""
    return m.reply[:40] if b"_vlmcs" in m.data else m.reply


def refuse(m):
    return m.reply[:3] + bytes([m.reply[3] & 0xF0 | 2]) + m.reply[4:] if b"_vlmcs" in m.data else m.reply


def silence(m):
    return None if b"_vlmcs" in m.data else m.reply


@pytest.mark.parametrize("tamper", [cut, refuse, silence], ids=["P02_cut", "P01_servfail", "P01_silence"])
def test_P01_P02_failed_read_plans_nothing(site, tamper):
    site.start(f"_vlmcs._tcp SRV {FOREIGN}", secondary=False)
    server = f", server: ['{site.first}']"
    site.one(state="proven", domain=server)
    before, updates = site.shown(), site.tap.updates()
    site.tap.on_reply = tamper
    d = site.run("publish", "--timeout", "2s", exit=1, hosts=[host(priority=7)], domain=server)[0]
    assert d["state"] in ("unreachable", "refused", "blocked") and d["changes"] == [] and d["hint"], d
    d = site.run("withdraw", "--timeout", "2s", exit=1, domain=server)[0]
    assert d["changes"] == []
    assert site.shown() == before and site.tap.updates() == updates


# ---- what is ours ----


def test_P03_only_our_own_record_is_ever_removed(site):
    others = ["0 0 1688 other", "5 5 1689 kms1", "0 10 1689 kms1", "3 10 1688 kms1"]
    site.start(*(f"_vlmcs._tcp SRV {o}" for o in others), secondary=False)
    site.one(state="proven")
    site.one(state="proven", hosts=[host(priority=9)])
    site.one("withdraw", "--adopted", state="proven", hosts=[host(priority=9)])
    assert site.rdata() == sorted(f"{o}.{CORP}." for o in others)


@pytest.mark.parametrize("field", [{"priority": 3}, {"weight": 4}, {"port": 1700}, {"target": "kms2"}], ids=lambda f: [*f][0])
def test_P06_changed_field_replaces_the_old_record(site, field):
    site.start(f"_vlmcs._tcp SRV {FOREIGN}", secondary=False)
    site.one(state="proven")
    d = site.one(state="proven", hosts=[host(**field)])
    assert changes(d) == ["delete", "add"] and site.tap.updates() == 2
    assert len(site.rdata()) == 2 and FOREIGN in site.rdata() and ONE not in site.rdata()


def test_P05_state_file_lost(site):
    """What is in DNS is adopted by its RDATA, and no longer ours to delete."""
    site.start(f"_vlmcs._tcp SRV {FOREIGN}", secondary=False)
    site.one(state="proven")
    shutil.rmtree(site.folder / "state")
    d = site.one(state="unchanged")
    assert d["changes"] == [] and site.tap.updates() == 1
    d = site.one("withdraw", state="unchanged")
    assert "adopted" in ids(d)
    assert site.rdata() == sorted([FOREIGN, ONE])
    site.one("withdraw", "--adopted", state="proven")
    assert site.rdata() == [FOREIGN]


def state_file(site):
    return site.folder / "state" / "state.db"


def test_P05_state_file_corrupt(site):
    site.start(secondary=False)
    site.one(state="proven")
    path = state_file(site)
    data = bytearray(path.read_bytes())
    data[:4096] = b"\xa5" * 4096
    path.write_bytes(data)
    r = site.kb("publish", "--json", "-c", site.config())
    assert r.code == 0 and r.json["domains"][0]["state"] == "unchanged", r
    assert "damaged" in r.err and [p.name for p in path.parent.glob("*damaged*")], r
    assert site.rdata() == [ONE] and site.tap.updates() == 1


def test_P05_state_file_of_a_newer_version(site):
    """It is not touched. What is configured is added, nothing is deleted."""
    site.start(secondary=False)
    site.one(state="proven")
    path = state_file(site)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE store_schema SET version = 9999")
    db.close()
    before = path.read_bytes()
    d = site.run(hosts=[host(priority=5)])[0]
    assert changes(d) == ["add"] and "journal-failed" in ids(d), d
    assert site.rdata() == sorted([ONE, f"5 10 1688 kms1.{CORP}."])
    assert path.read_bytes() == before


def test_P05_O14_state_file_cannot_grow(site):
    """As on a full disk: what is configured goes out, deletes wait until there is room."""
    site.start(secondary=False)
    site.one(state="proven")
    new = [host(priority=5)]

    def no_room():
        die_with_parent()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))

    p = subprocess.run(
        [PROGRAM, "publish", "-c", str(site.config(hosts=new))], preexec_fn=no_room, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, env=environment(site.loopback.port), timeout=60 * SLOWER,
    )
    assert "journal-failed" in p.stdout or "journal" in p.stderr, p
    assert site.rdata() == sorted([ONE, f"5 10 1688 kms1.{CORP}."]), p
    site.one(state="proven", hosts=new)
    assert site.rdata() == [f"5 10 1688 kms1.{CORP}."]


# ---- crashes ----


def run_and_kill(site, command, config, step, after):
    """The command is killed when the server gets (or has answered) its message number `step`. Whether it was."""
    p = subprocess.Popen(
        [PROGRAM, command, "-c", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=environment(site.loopback.port), preexec_fn=die_with_parent,
    )
    lock, count = threading.Lock(), [0]

    def at(data):
        with lock:
            count[0] += 1
            if count[0] == step:
                p.kill()
                p.wait()
        return None if count[0] >= step else data

    if after:
        site.tap.on_reply = lambda m: at(m.reply)
    else:
        site.tap.on_query = lambda m: at(m.data)
    code = p.wait(30)
    site.tap.on_query, site.tap.on_reply = (lambda m: m.data), (lambda m: m.reply)
    return code == -signal.SIGKILL


NEW = [host(target="kms2", port=1700, priority=7)]


@pytest.mark.parametrize("after", [False, True], ids=["before_the_message", "after_the_answer"])
@pytest.mark.parametrize("what", ["publish", "rename", "withdraw"])
def test_P06_P08_killed_at_every_step(site, what, after):
    """Then target, port and priority are changed: nothing of ours is left behind, nothing foreign touched."""
    site.start(f"_vlmcs._tcp SRV {FOREIGN}", secondary=False)
    domain = f", server: ['{site.first}']"
    updates, step, killed = 0, 0, True
    while killed:
        step += 1
        assert step < 60
        if what != "publish":
            site.one(state="proven", domain=domain)
        hosts = [host(priority=3)] if what == "rename" else [host()]
        config = site.config(hosts=hosts, domain=domain)
        before = site.tap.updates()
        killed = run_and_kill(site, "withdraw" if what == "withdraw" else "publish", config, step, after)
        updates += killed and site.tap.updates() > before
        site.run(hosts=NEW, domain=domain)
        assert site.rdata() == sorted([FOREIGN, f"7 10 1700 kms2.{CORP}."]), f"killed at step {step}"
        site.one("withdraw", state="proven", hosts=NEW, domain=domain)
        assert site.rdata() == [FOREIGN], f"killed at step {step}"
        shutil.rmtree(site.folder / "state")
    assert step > 4 and updates > 1  # some were killed after the UPDATE had left, too


def test_P08_daemon_killed_between_update_and_proof(site, daemon):
    site.start(f"_vlmcs._tcp SRV {FOREIGN}", secondary=False)
    done = threading.Event()

    def lose(m):
        if m.opcode == UPDATE:
            done.set()
            return None
        return m.reply

    site.tap.on_reply = lose
    d = daemon(site.daemon_config())
    wait_until("the update was done", done.is_set)
    d.kill()
    d.stop = d.kill
    assert site.rdata() == sorted([FOREIGN, ONE])
    site.tap.on_reply = lambda m: m.reply
    d = daemon(site.daemon_config(hosts=NEW))
    wait_rdata(site, FOREIGN, f"7 10 1700 kms2.{CORP}.")


def test_P08_second_sigterm_does_not_wait_for_dns(site, daemon):
    site.start(secondary=False)
    d = daemon(site.daemon_config(publish="  on_stop: withdraw\n"))
    wait_rdata(site, ONE)
    mark = len(site.tap.messages())
    site.tap.on_query = lambda m: None
    d.signal(signal.SIGTERM)
    wait_until("it is at work", lambda: len(site.tap.messages()) > mark)
    d.signal(signal.SIGTERM)
    assert d.wait(5) == 0
    assert site.rdata() == [ONE]


def test_P06_domain_that_is_no_longer_configured(site, daemon):
    other = Zone("other.test", zone_text("other.test", [("ns1", site.first)]), clauses=(
        "update-policy { grant corp-update name _vlmcs._tcp.other.test. SRV; };",))
    site.start(f"_vlmcs._tcp SRV {FOREIGN}", zones=[other], secondary=False)
    both = [f"{{ domain: {d}, lab: true, key: corp }}" for d in (CORP, "other.test")]
    site.run(domains=both)
    r = site.kb("publish", "-c", site.config(domains=both[1:]))
    said = "1 domain, no longer configured, still has records"
    assert r.code == 0 and said in r.err, r
    assert site.rdata() == sorted([FOREIGN, ONE])  # nothing goes unasked
    alone = site.kb("publish", "--json", "-c", site.config(domains=both[1:]))
    assert alone.json["orphans"] == [{"domain": CORP, "view": ""}] and said in alone.err, alone
    d = daemon(site.config(domains=both[1:]))
    d.wait_log(f"publisher.orphan domain={CORP}")
    d.wait_log("daemon.ready")
    asked = d.command("publish", "--json")
    assert asked.json["orphans"] == alone.json["orphans"] and said in asked.err, asked
    rows = d.command("status", "--json").json["records"]
    assert {r["domain"]: r["state"] for r in rows}[CORP] == "orphan"
    gone = d.command("withdraw", "--orphans", "--json")
    assert gone.code == 0 and [x["domain"] for x in gone.json["domains"]] == [CORP], gone
    assert gone.json["orphans"] == [], gone
    assert site.rdata() == [FOREIGN] and len(site.primary.records("_vlmcs._tcp.other.test", "SRV")) == 1
    assert CORP not in [r["domain"] for r in d.command("status", "--json").json["records"]]
    again = d.command("withdraw", "--orphans")
    assert again.code == 0 and again.out.startswith("nothing to do: no domain that is no longer configured"), again


# ---- others who publish ----


def two_daemons(site, daemon, first, second):
    a, b = daemon(site.daemon_config("a", first), name="a"), daemon(site.daemon_config("b", second), name="b")
    for d in (a, b):
        d.wait_log("daemon.ready")
        wait_until("it has checked", lambda d=d: row(d)["state"] in ("proven", "unchanged"))
    updates, shown = site.tap.updates(), site.shown()
    site.wait_cycles(2, daemons=2)
    assert site.tap.updates() == updates and site.shown() == shown  # nobody goes on changing it
    return a, b


def test_P04_two_daemons_with_the_same_hosts(site, daemon):
    site.start(secondary=False)
    a, b = two_daemons(site, daemon, [host()], [host()])
    assert site.rdata() == [ONE] and site.tap.updates() <= 2
    # one of them does not want it any more: what is there stays as long as the other one does
    assert {row(a)["state"], row(b)["state"]} <= {"proven", "unchanged"}


def test_P04_two_daemons_with_different_hosts(site, daemon):
    site.start(secondary=False)
    a, b = two_daemons(site, daemon, [host()], [host("two", "kms2", weight=0)])
    assert site.rdata() == sorted([ONE, f"0 0 1688 kms2.{CORP}."])
    assert site.tap.updates() == 2
    assert a.command("withdraw", "--json").code == 0
    site.wait_cycles(2, daemons=2)
    assert site.rdata() == [f"0 0 1688 kms2.{CORP}."] and site.tap.updates() == 3


def test_P04_two_daemons_that_disagree_about_one_host(site, daemon):
    site.start(secondary=False)
    a, b = two_daemons(site, daemon, [host()], [host(priority=5)])
    assert site.rdata() == sorted([ONE, f"5 10 1688 kms1.{CORP}."]) and site.tap.updates() == 2
    assert "host-self-publishes" in a.log + b.log


def registrar(site, port=1688):
    """As a Windows host: the record with priority and weight 0, again and again."""
    windows = ("add", SRV, 3600, "SRV", f"0 0 {port} kms1.{CORP}.")
    assert site.primary.update(CORP, windows, key=site.key) == 0


def test_P07_windows_host_that_registers_itself(site, daemon):
    site.start(secondary=False)
    d = daemon(site.daemon_config())
    wait_rdata(site, ONE)
    for _ in range(3):
        registrar(site)
        site.wait_cycles(1)
    assert site.rdata() == sorted([ONE, f"0 0 1688 kms1.{CORP}."]) and site.tap.updates() == 1
    assert d.log.count("id=host-self-publishes") == 1  # once, not with each check
    r = d.command("publish", "--json")
    finding = next(f for f in r.json["domains"][0]["findings"] if f["id"] == "host-self-publishes")
    assert "slmgr /cdns" in finding["hint"]


def test_P04_P07_two_daemons_and_a_registrar(site, daemon):
    """One host, published by two daemons that agree, and by itself: each lets the others be."""
    site.start(secondary=False)
    a, b = two_daemons(site, daemon, [host()], [host()])
    windows = f"0 0 1688 kms1.{CORP}."

    def stays():
        before = site.rdata(), site.tap.updates()
        registrar(site)
        site.wait_cycles(1, daemons=2)
        return (site.rdata(), site.tap.updates()) == before and windows in before[0]

    wait_until("they let it be", stays)
    assert ONE in site.rdata()
    assert a.log.count("id=host-self-publishes") == b.log.count("id=host-self-publishes") == 1
    # now one of the two wants what the registrar wants, and takes its own old record away
    site.daemon_config("a", [host(weight=0)])
    assert a.command("reload").code == 0
    wait_until("they let each other be", stays)


def test_P07_registrar_that_brings_back_what_was_withdrawn(site, daemon):
    site.start(secondary=False)
    d = daemon(site.daemon_config(hosts=[host(weight=0)]))
    wait_rdata(site, f"0 0 1688 kms1.{CORP}.")
    assert d.command("withdraw").code == 0
    assert site.rdata() == []
    mark = d.mark()
    registrar(site)
    d.wait_log("publisher.proven", since=mark)  # once it is removed again
    assert site.rdata() == []
    updates = site.tap.updates()
    registrar(site)
    d.wait_log("another-publisher")
    for _ in range(2):
        registrar(site)
        site.wait_cycles(1)
    assert site.rdata() == [f"0 0 1688 kms1.{CORP}."] and site.tap.updates() == updates
    assert d.log.count("id=another-publisher") == 1  # once, not with each check


def test_P07_registrar_that_is_there_before_the_proof(site):
    windows = {"hosts": [host(weight=0)]}
    site.start(secondary=False)
    site.one(state="proven", **windows)

    def bring_back(m):
        if m.opcode == UPDATE:
            registrar(site)
        return m.reply

    site.tap.on_reply = bring_back
    for _ in range(2):
        d = site.one("withdraw", "--timeout", "1s", state="blocked", exit=1, **windows)
        assert "another publisher" in d["hint"]
    updates = site.tap.updates()
    d = site.one("withdraw", state="unchanged", **windows)
    assert "another-publisher" in [f["id"] for f in d["findings"]]
    assert site.rdata() == [f"0 0 1688 kms1.{CORP}."] and site.tap.updates() == updates


# ---- health ----


@pytest.fixture
def kms(site, loopback, started):
    """kms(n) KMS hosts; .lines are their addresses, .of(i) their entries."""

    class Kms:
        def __init__(self, n, make=KmsHost):
            self.hosts = [make(loopback.address()) for _ in range(n)]
            started.extend(self.hosts)
            self.lines = [f"kms{i + 1} A {h.address}" for i, h in enumerate(self.hosts)]

        def of(self, i):
            return host(f"h{i + 1}", f"kms{i + 1}", self.hosts[i].port, weight=0)

        def srv(self, i):
            return f"0 0 {self.hosts[i].port} kms{i + 1}.{CORP}."

    def make(n, **how):
        k = Kms(n, **how)
        text = site.text
        site.text = lambda *lines: zone_text(
            CORP, [("ns1", site.first)], [*k.lines, *lines], ttl=site.ttl
        ) if n else text(*lines)
        return k

    return make


def test_P10_last_record_stays(site, kms, daemon):
    k = kms(2)
    site.start(secondary=False)
    d = daemon(site.daemon_config(hosts=[k.of(0), k.of(1)]))
    wait_rdata(site, k.srv(0), k.srv(1))
    wait_health(d, h1="up", h2="up")
    k.hosts[0].behaviour = "nak"
    wait_rdata(site, k.srv(1))
    k.hosts[1].behaviour = "nak"
    d.wait_log("last-kept")
    wait_health(d, h1="down", h2="down")
    site.wait_cycles()
    assert site.rdata() == [k.srv(1)]
    k.hosts[0].behaviour = "up"
    wait_rdata(site, k.srv(0))
    k.hosts[1].behaviour = "up"
    wait_rdata(site, k.srv(0), k.srv(1))


def test_P10_restart_does_not_bring_back_a_host_that_is_down(site, kms, daemon):
    k = kms(2)
    site.start(secondary=False)
    d = daemon(site.daemon_config(hosts=[k.of(0), k.of(1)]))
    wait_rdata(site, k.srv(0), k.srv(1))
    wait_health(d, h1="up", h2="up")
    k.hosts[0].behaviour = "nak"
    wait_rdata(site, k.srv(1))
    d.stop()
    slow = "{ interval: 1s, timeout: 1s, rise: 1, fall: 30, min_stay: 0ms }"  # it stays unknown for long
    d, updates = daemon(site.daemon_config(hosts=[k.of(0), k.of(1)], health=slow)), site.tap.updates()
    d.wait_log("daemon.ready")
    site.wait_cycles()
    assert site.tap.updates() == updates and site.rdata() == [k.srv(1)]
    k.hosts[0].behaviour = "up"
    wait_rdata(site, k.srv(0), k.srv(1))


def test_P10_last_record_goes_where_that_is_configured(site, kms, daemon):
    k = kms(1)
    site.start(secondary=False)
    d = daemon(site.daemon_config(hosts=[k.of(0)], health=QUICK[:-1] + ", all_down: withdraw }"))
    wait_rdata(site, k.srv(0))
    wait_health(d, h1="up")
    k.hosts[0].stop()
    wait_rdata(site)


def test_P10_foreign_record_that_is_up_lets_ours_go(site, kms, daemon):
    k = kms(2)
    site.start(f"_vlmcs._tcp SRV {k.srv(1)}", secondary=False)
    d = daemon(site.daemon_config(hosts=[k.of(0)]))
    wait_rdata(site, k.srv(0), k.srv(1))
    wait_until("the foreign host is probed", lambda: k.hosts[1].binds > 0)
    wait_health(d, h1="up")
    k.hosts[0].stop()
    wait_rdata(site, k.srv(1))


def test_P10_two_daemons_lose_their_hosts_at_once(site, daemon, named, started):
    """
    The race, forced: each daemon finds its own host down while the other's still seems to be up, and both
    have planned before the first UPDATE arrives. For that, each sees the hosts through a resolver of its own.
    """
    addresses = [site.loopback.address() for _ in range(4)]  # 1 and 2 as daemon a sees them, 3 and 4 as b does
    port = free_port(*addresses, udp=False)
    hosts = [KmsHost(a, port=port) for a in addresses]
    started.extend(hosts)
    keys = {n: Key(f"key-{n}") for n in "ab"}
    grants = "update-policy { " + " ".join(f"grant {key.name} name {SRV}. SRV;" for key in keys.values()) + " };"
    site.start(secondary=False, keys=[*keys.values()], clauses=[grants])
    daemons = {}
    for n, first in (("a", 0), ("b", 2)):
        text = zone_text(CORP, [("ns1", site.first)], [f"kms{i + 1} A {hosts[first + i].address}" for i in range(2)])
        resolver = named(f"resolver-{n}", zones=[Zone(CORP, text)])
        mine = host("mine", "kms1" if n == "a" else "kms2", port, weight=0)
        daemons[n] = daemon(site.daemon_config(n, [mine], key=keys[n], resolver=resolver.address), name=n)
    both = [f"0 0 {port} kms{i + 1}.{CORP}." for i in range(2)]
    wait_rdata(site, *both)
    wait_until("all are probed", lambda: all(h.binds > 1 for h in hosts))
    arrived = {n: threading.Event() for n in "ab"}

    def hold(m):
        if m.opcode == UPDATE:
            arrived["a" if b"key-a" in m.data else "b"].set()
            assert all(e.wait(15) for e in arrived.values())
        return m.data

    sizes = []

    def count(m):
        if m.opcode == UPDATE:
            sizes.append(len(site.rdata()))
        return m.reply

    site.tap.on_query, site.tap.on_reply = hold, count
    hosts[0].stop()  # a's own, as a sees it
    hosts[3].stop()  # b's own, as b sees it
    for e in arrived.values():
        assert e.wait(20)
    hosts[1].stop()  # and now each sees that the other's is gone too
    hosts[2].stop()
    wait_until("one was withdrawn", lambda: len(site.rdata()) == 1)
    kept = "a" if site.rdata() == both[:1] else "b"
    daemons[kept].wait_log("last-kept")
    site.wait_cycles(2, daemons=2)
    assert len(site.rdata()) == 1 and min(sizes) == 1
    assert [m.rcode for m in site.tap.messages(UPDATE)].count(8) >= 1  # NXRRSET: the loser read again


def test_P11_daemon_cut_off_from_every_host_changes_nothing(site, kms, daemon):
    k = kms(3)
    site.start(f"_vlmcs._tcp SRV {k.srv(2)}", secondary=False)
    d = daemon(site.daemon_config(hosts=[k.of(0), k.of(1)]))
    wait_rdata(site, *(k.srv(i) for i in range(3)))
    wait_health(d, h1="up", h2="up")
    wait_until("the foreign host is probed", lambda: k.hosts[2].binds > 0)
    updates = site.tap.updates()
    for h in k.hosts:
        h.stop()
    wait_health(d, h1="down", h2="down")
    d.wait_log("last-kept")
    site.wait_cycles()
    assert len(site.rdata()) == 3 and site.tap.updates() == updates


class Flapping(KmsHost):
    """Answers by a script, a sign for each probe; the last sign lasts."""

    script = "+"

    @property
    def behaviour(self):
        return "up" if self.script[max(0, min(self.binds, len(self.script)) - 1)] == "+" else "nak"

    @behaviour.setter
    def behaviour(self, value):
        pass


def test_P12_flapping_host_is_damped(site, kms, daemon):
    """fall: two bad probes in a row never come; min_stay: nothing changes, however bad it gets, within that time."""
    k = kms(3, make=Flapping)
    k.hosts[0].script = "+" + "-+" * 10 + "+"
    k.hosts[1].script = "+" + "---+++" * 4 + "-"
    k.hosts[2].script = "+"
    site.start(secondary=False)
    everyone = [k.of(i) for i in range(3)]
    d = daemon(site.daemon_config(hosts=everyone, health=QUICK.replace("min_stay: 0ms", "min_stay: 1h")))
    wait_rdata(site, *(k.srv(i) for i in range(3)))
    updates = site.tap.updates()
    wait_until("they have flapped", lambda: min(h.binds for h in k.hosts) > 15)
    wait_health(d, h1="up", h2="up", h3="up")
    assert site.tap.updates() == updates
    d.stop()
    d = daemon(site.daemon_config(hosts=everyone[::2]))  # h1 alternates
    wait_until("it is published", lambda: site.rdata() == sorted([k.srv(0), k.srv(2)]))
    assert d.count_log("host.down target=kms1") == 0
