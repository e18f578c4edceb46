"""The daemon around the relay: reload, names, relay.srv, status, drains, events, the end. With scripted hosts."""

import json
import re
import signal
import socket
import struct
import threading

import pytest

from kblib.kms_caller import KmsCaller, Load, Refused, ask_many, ask_once
from kblib.process import wait_until
from kblib.relay import QUICK, Relay, start_relay, upstream
from kblib.rpc_pdu import opaque_body

SRV = "_kms._tcp.hosts.up.test"


@pytest.fixture
def start(daemon, loopback, tmp_path):
    """start(upstreams, ...) as kblib.relay.start_relay()."""
    return lambda upstreams, **how: start_relay(daemon, loopback, tmp_path, upstreams, **how)


@pytest.fixture
def zone(fake_dns, loopback):
    """zone(lines) is a name server for up.test; .extra is what a configuration needs to ask it."""

    def make(*lines):
        head = "$TTL 5\n@ SOA ns1 admin 1 60 60 600 5\n@ NS ns1\nns1 A 127.0.0.1\n"
        server = fake_dns("up.test", head + "\n".join(lines) + "\n")
        server.extra = f"discovery: {{ resolvers: ['{server.address}:{server.port}'] }}\n"
        return server

    return make


def by(outcomes):
    for o in outcomes:
        o.check()
    return {o.by for o in outcomes}


def named(host, name, priority=0):
    return f"{{ name: {host.name}, address: {name}, port: {host.port}, priority: {priority} }}"


# ---- status ----


def test_status_tells_of_each_upstream(start, rpc_host):
    one, two = rpc_host("win1"), rpc_host("win2")
    r = start([one, upstream(two, priority=10)])
    assert by(ask_many(r.where, 10)) == {"win1"}
    one.set(hresult=0xC004F042)
    assert by(ask_many(r.where, 4, source=lambda i: f"127.0.0.{i + 1}", concurrent=1)) == {"win2"}
    u = r.upstream("win1")
    assert (u["address"], u["port"], u["priority"], u["lab"], u["relay"], u["source"]) == (
        *one.where, 0, False, False, "config")
    assert (u["state"], u["draining"], u["requests"], u["failed"], u["queued"], u["outstanding"]) == ("up", False, 14, 0, 0, 0)
    assert u["hresults"] == {"0x00000000": 10, "0xC004F042": 4} and u["last_error"] == "" and u["last_error_at"] is None
    assert 0 < u["p50_ms"] <= u["p99_ms"] and u["open"] >= 1 and re.fullmatch(r"20\d\d-.*Z", u["since"])
    assert r.upstream("win2")["hresults"] == {"0x00000000": 4}
    service = r.status()["service"]
    assert (service["mode"], service["requests"], service["failed"], service["clients_30d"]) == ("relay", 14, 0, 4)
    text = r.d.command("status").out
    assert max(len(line) for line in text.splitlines()) <= 100, text
    assert re.search(r"^win1 +127\.\S+ +0 +up +\S+ +\d+/0/0 +14 +0 +\S+ ms +\S+ ms$", text, re.M), text
    assert re.search(r"^win1 +0xC004F042 +4 +the KMS host cannot serve this product$", text, re.M), text
    assert "count" not in text.split("UPSTREAM")[0]
    metrics = r.d.command("status", "--prometheus").out
    assert 'kmsbeacon_upstream_answers_total{upstream="win1",hresult="0xC004F042"} 4' in metrics
    assert "kms_count" not in metrics
    dlv = r.d.command("status", "--dlv").out
    assert "Requests answered by win1 (up): 14" in dlv and "Current count: see" in dlv


def test_status_tells_of_what_failed(start, rpc_host):
    """The last request that failed, and what the host is; another name than 100 columns have room for."""
    one, two = rpc_host("win1", fault=0x000006F7), rpc_host("win2")
    r = start([one, upstream(two, priority=10, name="w" * 60)])
    assert by(ask_many(r.where, 4, concurrent=1)) == {"win2"}
    r.wait_states(win1="faults")
    u = r.upstream("win1")
    assert u["failed"] >= 2 and "0x000006F7" in u["last_error"] and u["last_error_at"] and u["detail"]
    text = r.d.command("status").out
    assert max(len(line) for line in text.splitlines()) <= 100, text
    assert "win1: faults (" in text and "win1: last failed request" in text


def test_status_tells_of_a_relay_behind_the_relay(start, rpc_host):
    host = rpc_host("win1")
    inner = start([host], name="inner")
    outer = start([upstream(inner, priority=1), upstream(host, priority=2)], name="outer")
    assert ask_once(outer.where).by == "win1"
    assert [(u["name"], u["relay"], u["requests"]) for u in outer.status()["upstreams"]] == [
        ("inner", True, 1), ("win1", False, 0)]
    assert "inner: is another kmsbeacon relay" in outer.d.command("status").out


# ---- events ----


def test_events_of_hosts_and_of_the_relay(start, rpc_host):
    one, two = rpc_host("win1"), rpc_host("win2")
    r = start([one, two])
    one.down()
    r.wait_states(win1="refused")
    two.down()
    r.d.wait_log(r"relay\.unavailable")
    with pytest.raises(Refused):
        KmsCaller(r.where)
    two.listen()
    r.d.wait_log(r"relay\.available")
    ask_once(r.where)
    lines = [json.loads(x) for x in r.d.command("events", "--json").out.splitlines()]
    seen = [(e["name"], e["text"].split()[0]) for e in lines if e["name"].startswith(("upstream.", "relay."))]
    ups = seen[:2]
    assert sorted(ups) == [("upstream.up", "win1"), ("upstream.up", "win2")]
    assert [e for e in seen[2:] if e[0] != "relay.request"] == [
        ("upstream.down", "win1"), ("upstream.down", "win2"), ("relay.unavailable", "no"), ("upstream.up", "win2"),
        ("relay.available", "an")]
    (request,) = [e for e in lines if e["name"] == "relay.request"][-1:]
    assert request["level"] == "info" and "upstream=win2" in request["info"]
    r.d.stop()
    r.d = None


# ---- a host that takes so many connections and no more ----


def test_full_host_stays_up(start, rpc_host):
    """It serves all over those that it takes; and idle ones of ours do not keep the probe out for good."""
    host = rpc_host("win1", delay_s=0.02)
    back = start([host], name="back", extra="limits: { per_address: 8 }\n")
    back.name = "back"
    front = start([back], name="front", relay="request_timeout: 5s", health="interval: 1s, timeout: 1s, rise: 2, fall: 3",
                  extra="limits: { per_address: 500 }\n")
    outcomes = ask_many(front.where, 600, concurrent=100)
    assert by(outcomes) == {"win1"} and len(outcomes) == 600
    back.d.wait_log(r"client\.refused")
    front.wait_upstream("back", "a probe has found room", lambda u: u["open"] < 8)
    assert front.states() == {"back": "up"} and "from=up" not in front.d.log
    assert ask_once(front.where).by == "win1"


def test_idle_associations_are_kept_alive(start, rpc_host):
    """By the kernel: what a firewall between has forgotten without a word would cost a request its whole time."""
    host = rpc_host("win1")
    start([host], pool="min: 2, max: 4")
    host.wait("two associations", lambda h: h.count("open") == 2)
    ours = {"%08X:%04X" % (*struct.unpack("=I", socket.inet_aton(a.peer[0])), a.peer[1]) for a in list(host.associations.values())}
    with open("/proc/net/tcp", encoding="ascii") as f:
        timers = {line.split()[1]: line.split()[5] for line in f.readlines()[1:]}
    assert {timers[a][:2] for a in ours} == {"02"}, timers  # the keepalive timer of each


# ---- reload ----


def test_reload_changes_the_hosts_under_load(start, rpc_host):
    """Hosts come and go, requests at one that goes are answered by it, nobody fails, and no connection is lost."""
    one, two, three = (rpc_host(f"win{i}") for i in (1, 2, 3))
    r = start([one], relay="request_timeout: 20s")  # a reload may take longer than a try has in the other tests
    load = Load(r.where, concurrent=10, source=lambda i: f"127.0.0.{i + 1}")
    try:
        load.wait_for(50)
        one.set(hold=True)
        one.wait("requests are held", lambda h: h.held() > 0)
        r.reload([two, three], relay="request_timeout: 20s")
        one.set(hold=False)
        one.release()
        wait_until("both new hosts serve", lambda: two.count("answers") > 20 and three.count("answers") > 20)
        load.wait_for(20)
    finally:
        outcomes = load.stop()
    assert by(outcomes) == {"win1", "win2", "win3"}
    assert list(r.states()) == ["win2", "win3"]
    wait_until("no connection to a host that is gone", lambda: one.count("open") == 0)


def test_reload_keeps_what_is_known_of_hosts_that_stay(start, rpc_host):
    one, two = rpc_host("win1"), rpc_host("win2")
    r = start([one])
    ask_many(r.where, 5)
    before = r.upstream("win1")
    r.reload([upstream(one, priority=3), two], pool="min: 1, max: 2, queue: 7")
    u = r.upstream("win1")
    assert (u["requests"], u["since"], u["state"], u["priority"]) == (5, before["since"], "up", 3)
    r.wait_states(win2="up")
    one.set(delay_s=0.05)
    ask_many(r.where, 20, source=lambda i: f"127.0.0.{i + 1}", concurrent=20)
    assert r.upstream("win1")["open"] <= 2 and r.upstream("win2")["open"] <= 2


def test_reload_opens_the_request_log_anew(start, rpc_host, tmp_path):
    log = tmp_path / "requests.log"
    host = rpc_host("win1")
    r = start([host], relay=f"{QUICK}; log_file: {log}")
    ask_many(r.where, 150)
    wait_until("each request has a line", lambda: log.read_text().count("upstream=win1") == 150)
    log.rename(tmp_path / "requests.log.1")
    r.reload([host], relay=f"{QUICK}; log_file: {log}")
    ask_once(r.where)
    wait_until("the new file has it", lambda: log.exists() and log.read_text().count("upstream=win1") == 1)


def test_reload_with_what_needs_a_restart(start, rpc_host):
    host = rpc_host("win1")
    r = start([host], hosts="[{ name: local }]")
    r.config.write_text(r.config.read_text().replace("mode: relay", "mode: lab"))
    assert r.d.command("reload").code == 0
    r.d.wait_log(r"reload\.restart_needed setting=service\.mode")
    assert ask_once(r.where).by == "win1"
    assert r.d.command("drain", "--wait").code == 0
    r.d.wait_log(r"service\.drained")
    assert r.d.command("resume").code == 0  # as what it was started
    wait_until("it serves again", lambda: ask_once(r.where).by == "win1")


# ---- names ----


def test_host_by_name_follows_dns(start, rpc_host, loopback, zone):
    """Another address at the next lookup; DNS that is away changes nothing, not even over a restart."""
    one = rpc_host("win1")
    two = rpc_host("win2", port=one.port)
    server = zone(f"kms A {one.address}", "new A 127.0.0.9")
    r = start([named(one, "kms.up.test")], extra=server.extra)
    assert ask_once(r.where).by == "win1"
    assert r.upstream("win1")["connected_to"] == f"{one.address}:{one.port}"
    server.on_query = lambda query, reply: None
    r.reload([named(one, "kms.up.test")], extra=server.extra)
    assert ask_once(r.where).by == "win1"
    # a new process, and still nobody answers
    where = r.where
    r.listen = [f"{where[0]}:{where[1]}"]
    r.write([named(one, "kms.up.test")], extra=server.extra)
    r.d.stop()
    r.d = r.d.__class__(r.config)
    try:
        r.d.wait_log(r"daemon\.ready")
        assert ask_once(where).by == "win1"
        server.zone = server.zone.__class__(server.zone.origin, relativize=False)
        answer_with(server, "kms.up.test.", "A", two.address)
        r.reload([named(one, "kms.up.test")], extra=server.extra)
        wait_until("the new address is used", lambda: ask_once(where).by == "win2")
    finally:
        r.d.stop()


def answer_with(server, name, kind, data):
    """The server has this record from now on, and answers again."""
    import dns.name  # pylint: disable=import-outside-toplevel
    import dns.rrset

    def on_query(query, reply):
        q = query.question[0]
        reply.answer, reply.authority = [], []
        reply.set_rcode(0)
        if q.name == dns.name.from_text(name) and q.rdtype == dns.rdatatype.from_text(kind):
            reply.answer = [dns.rrset.from_text(name, 5, "IN", kind, data)]
        return reply

    server.on_query = on_query


def test_host_whose_name_is_unknown(start, rpc_host, zone):
    """It is `unresolved`, that is said once, and the others serve."""
    good = rpc_host("good")
    server = zone("x A 127.0.0.1")
    r = start(["{ name: gone, address: gone.up.test }", upstream(good, priority=1)], extra=server.extra, wait=False)
    r.wait_states(gone="unresolved", good="up")
    assert by(ask_many(r.where, 10)) == {"good"}
    assert r.d.count_log(r"upstream\.lookup name=gone") == 1


# ---- relay.srv ----


def test_hosts_of_srv_records(start, rpc_host, zone):
    """They serve by their records' priority; a set that cannot be asked for stays, an empty one empties it."""
    one, two = rpc_host("win1"), rpc_host("win2")
    server = zone(
        f"_kms._tcp.hosts SRV 0 0 {one.port} one", f"_kms._tcp.hosts SRV 10 0 {two.port} two", f"one A {one.address}",
        f"two A {two.address}")
    srv = f"srv: {SRV}; {QUICK}"
    r = start([], relay=srv, extra=server.extra)
    assert {u["name"]: (u["priority"], u["source"]) for u in r.status()["upstreams"]} == {
        f"one.up.test:{one.port}": (0, "srv"), f"two.up.test:{two.port}": (10, "srv")}
    assert by(ask_many(r.where, 10)) == {"win1"}
    one.down()
    assert by(ask_many(r.where, 10)) == {"win2"}
    text = r.d.command("status").out
    assert max(len(line) for line in text.splitlines()) <= 100, text
    server.on_query = lambda query, reply: reply.set_rcode(2) or reply
    r.reload([], relay=srv, extra=server.extra)
    r.d.wait_log(r"relay\.srv .*the hosts that are known stay")
    assert ask_once(r.where).by == "win2"
    answer_with(server, "nothing.up.test.", "A", "127.0.0.1")
    r.reload([], relay=srv, extra=server.extra)
    r.d.wait_log(r"relay\.srv .*there is no such record")
    wait_until("no upstream is left", lambda: r.status()["upstreams"] == [])
    with pytest.raises(Refused):
        KmsCaller(r.where)
    r.d.wait_log(r"relay\.unavailable")


def test_other_resolvers_are_asked(start, rpc_host, zone, loopback, fake_dns, tmp_path):
    """Another resolv.conf: names are looked up there at once."""
    one = rpc_host("win1")
    two = rpc_host("win2", port=one.port)
    first = zone(f"kms A {one.address}")
    second = fake_dns("up.test", f"$TTL 5\n@ SOA ns1 a 1 1 1 1 1\n@ NS ns1\nns1 A 127.0.0.1\nkms A {two.address}\n")
    conf = tmp_path / "resolv.conf"
    conf.write_text(f"nameserver {first.address}\n")
    extra = f"discovery: {{ resolv_conf: {conf} }}\n"
    r = start([named(one, "kms.up.test")], extra=extra)
    assert ask_once(r.where).by == "win1"
    (tmp_path / "new").write_text(f"nameserver {second.address}\n")
    (tmp_path / "new").rename(conf)
    wait_until("the other resolver's address is used", lambda: ask_once(r.where).by == "win2")


# ---- drains of upstreams ----


def test_drain_of_an_upstream(start, rpc_host):
    """No new requests go there, what is outstanding is waited for, and it lasts over reload and restart."""
    one, two = rpc_host("win1"), rpc_host("win2")
    r = start([one, upstream(two, priority=10)], relay="request_timeout: 20s")
    one.set(hold=True)
    waiting = threading.Thread(target=lambda: answers.append(ask_once(r.where)), daemon=True)
    answers = []
    waiting.start()
    one.wait("a request is held", lambda h: h.held() == 1)
    begun = r.d.command("drain", "--json", "win1")
    assert begun.code == 0 and begun.json["upstream"]["outstanding"] == 1 and begun.json["state"] == "waiting"
    assert by(ask_many(r.where, 10)) == {"win2"}
    done = []
    drain = threading.Thread(target=lambda: done.append(r.d.command("drain", "--wait", "win1")), daemon=True)
    drain.start()
    one.set(hold=False)
    one.release()
    waiting.join(20)
    assert answers[0].by == "win1"
    drain.join(20)
    assert done[0].code == 0 and "safe to stop" in done[0].out, done[0]
    assert "win1: drained" in r.d.command("status").out
    r.reload([one, upstream(two, priority=10)])
    assert r.upstream("win1")["draining"]
    assert by(ask_many(r.where, 10)) == {"win2"}
    assert one.count("calls") == 1
    # refused: the other is the last
    refused = r.d.command("drain", "win2")
    assert refused.code == 1 and "no other upstream is up" in refused.out, refused
    assert by(ask_many(r.where, 3)) == {"win2"}
    # over a restart
    r.listen = [f"{r.where[0]}:{r.where[1]}"]
    r.write([one, upstream(two, priority=10)])
    r.d.stop()
    r.d = r.d.__class__(r.config)
    try:
        r.d.wait_log(r"daemon\.ready")
        r.wait_states(win1="up", win2="up")
        assert by(ask_many(r.where, 10)) == {"win2"}
        resumed = r.d.command("resume", "win1")
        assert resumed.code == 0 and "requests go there again" in resumed.out, resumed
        assert ask_once(r.where).by == "win1"
        forced = r.d.command("drain", "--json", "win2")
        assert forced.code == 0  # win1 serves again
        assert r.d.command("drain", "win1").code == 1
        assert r.d.command("drain", "--force", "win1").code == 0
        wait_until("nobody can be asked", lambda: refuses(r.where))
        assert r.d.command("resume").code == 0
        wait_until("all are asked again", lambda: not refuses(r.where))
        r.d.command("status", "--json")
    finally:
        r.d.stop()


def refuses(where):
    try:
        KmsCaller(where).close()
        return False
    except Refused:
        return True


def test_drain_counts_hosts_of_one_kind(start, rpc_host):
    """A lab host is no help to the clients of a licensed one; and one that is down can be drained."""
    one, two, lab = rpc_host("win1"), rpc_host("win2"), rpc_host("lab")
    r = start([one, two, upstream(lab, lab=True)])
    assert r.d.command("drain", "win1").code == 0
    assert r.d.command("drain", "win2").code == 1
    assert r.d.command("drain", "lab").code == 1
    two.down()
    r.wait_states(win2="refused")
    assert r.d.command("drain", "win2").code == 0  # nothing is lost that is there
    assert r.d.command("resume", "win1").code == 0
    assert ask_once(r.where).by == "win1"


def test_drain_of_what_is_host_and_upstream(start, rpc_host):
    """One name: its record goes (there is none to publish here), and it gets no requests."""
    one, two = rpc_host("win1"), rpc_host("win2")
    r = start([one, two], hosts="[{ name: win1, target: win1.up.test }]", extra="discovery: { resolvers: ['127.0.0.1:1'] }\n")
    d = r.d.command("drain", "--json", "win1")
    assert d.code == 0 and d.json["published"] is not None and d.json["upstream"]["state"] == "safe", d
    assert r.upstream("win1")["draining"]
    wait_until("both are through", lambda: r.d.command("drain", "--json", "win1").json["state"] == "safe")
    assert r.d.command("resume", "win1").code == 0
    assert not r.upstream("win1")["draining"]
    assert r.d.command("drain", "nobody").code == 2


# ---- local ----


def test_local_is_what_the_hosts_are(start, rpc_host):
    """`local` is up while a host is, down when none is, and a drain of it outlives nothing but itself."""
    host = rpc_host("win1")
    r = start([host], hosts="[{ name: local }]")

    def local():
        (h,) = r.status()["hosts"]
        return h["state"]

    wait_until("local is up", lambda: local() == "up")
    host.down()
    wait_until("local is down", lambda: local() == "down")
    host.listen()
    wait_until("local is up again", lambda: local() == "up")


def test_record_follows_the_hosts(site, daemon, rpc_host, loopback, tmp_path):
    """No upstream is up: the record of `local` goes, since another host of the set is up; it comes back with them."""
    host, office = rpc_host("win1"), rpc_host("office")
    site.start(f"office A {office.address}", secondary=False)
    r = Relay(tmp_path, [loopback.address() + ":0"], "relay")
    r.write(
        [host], hosts=f"[{{ name: local }}, {{ name: office, target: office.corp.test, port: {office.port} }}]",
        extra=f"keys: [{{ name: corp, file: {site.key_file} }}]\n"
        "publish: { domains: [{ domain: corp.test, key: corp, lab: true }] }\n"
        f"discovery: {{ resolvers: ['{site.first}:{loopback.port}'] }}\n")
    r.config.write_text(r.config.read_text().replace("kms1.relay.test", "kms1.corp.test"))
    r.d = daemon(r.config)

    def published():
        return sorted(x.split()[-1] for x in site.primary.records("_vlmcs._tcp.corp.test", "SRV"))

    both = ["kms1.corp.test.", "office.corp.test."]
    wait_until("both are published", lambda: published() == both)
    host.down()
    wait_until("local's record has gone", lambda: published() == both[1:])
    host.listen()
    wait_until("it is back", lambda: published() == both)
    # with both down the last one up before stays
    office.down()
    wait_until("office's record has gone", lambda: published() == both[:1])
    host.down()
    r.d.wait_log(r"relay\.unavailable")
    assert published() == both[:1]


# ---- the end ----


def test_sigterm_answers_who_waits(start, rpc_host):
    """A request that is under way gets its answer; who comes then is refused; idle clients do not hold it up."""
    host = rpc_host("win1", hold=True)
    r = start([host], relay="request_timeout: 20s")
    idle = KmsCaller(r.where)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(ask_once(r.where)), daemon=True)
    waiting.start()
    host.wait("it is asked", lambda h: h.held() == 1)
    r.d.signal(signal.SIGTERM)
    r.d.wait_log(r"daemon\.stopping")
    with pytest.raises(ConnectionRefusedError):
        wait_until("nothing listens", lambda: KmsCaller(r.where) and False)
    assert r.d.running
    host.release()
    waiting.join(20)
    assert answers and answers[0].by == "win1"
    assert r.d.wait() == 0
    assert idle.ended()
    idle.close()


def test_second_sigterm_waits_for_nobody(start, rpc_host):
    host = rpc_host("win1", hold=True)
    r = start([host], relay="request_timeout: 600s")
    with KmsCaller(r.where) as c:
        c.send(opaque_body())
        host.wait("it is asked", lambda h: h.held() == 1)
        r.d.signal(signal.SIGTERM)
        r.d.wait_log(r"daemon\.stopping")
        assert r.d.running
        r.d.signal(signal.SIGTERM)
        assert r.d.wait(10) == 0
        assert c.ended()


def test_loop_by_configuration(kb, tmp_path):
    """An upstream that is the service itself is an error of the file."""
    config = tmp_path / "kb.yaml"
    config.write_text(
        "service: { mode: relay, listen: 127.0.0.1:1688 }\nrelay: { upstreams: [{ name: me, address: 127.0.0.1 }] }\n")
    r = kb("check-config", "-c", config)
    assert r.code == 2 and "requests would go in a circle" in r.out + r.err, r
