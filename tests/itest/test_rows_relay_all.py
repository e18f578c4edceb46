"""Rows R of the failure modes: a relay under many clients, over reloads, without hosts, and in circles."""

import contextlib
import socket
import time

import pytest

from kblib.bind import Key, Zone, zone_text
from kblib.kms_caller import Ended, Faulted, KmsCaller, Load, Refused, ask_many, ask_once
from kblib.loopback import free_port
from kblib.process import SLOWER, wait_until
from kblib.relay import Pipe, upstream
from kblib.rpc_pdu import TOO_BUSY, answer_stub, bind, opaque_body

ZONE = "corp.test"


def refused(where):
    """The reason of the bind_nak that a client gets, and how long it took."""
    started = time.monotonic()
    with pytest.raises(Refused) as e:
        KmsCaller(where).close()
    return e.value.reason, time.monotonic() - started


def unavailable(where):
    """A bind is refused, or is being refused soon: the port's word for `no host`."""
    try:
        KmsCaller(where).close()
        return False
    except Refused as e:
        return e.reason == 1


# ---- R04 ----


def test_R04_mute_host_does_not_hold_a_thousand_clients(relay, rpc_host):
    """Of 1000 clients 4 are at the host and 50 wait; each gets a fault in time, the others at once; later all is well."""
    host = rpc_host("win1", hold=True)
    r = relay([host], pool="min: 1, max: 4, queue: 50", relay="request_timeout: 1s", service="",
              extra="limits: { per_address: 2000 }\n", health="interval: 5s, timeout: 1s, rise: 1, fall: 100, min_stay: 0s")
    most = {}

    def look(_, done):
        if done in (1, 300, 900):
            u = r.upstream("win1")
            for key in ("outstanding", "queued", "open"):
                most[key] = max(most.get(key, 0), u[key])

    outcomes = ask_many(r.where, 1000, concurrent=1000, after=look)
    assert {o.error.status for o in outcomes if isinstance(o.error, Faulted)} == {TOO_BUSY}
    assert all(isinstance(o.error, (Faulted, Refused)) for o in outcomes), {repr(o.error) for o in outcomes}
    assert most["outstanding"] <= 4 and most["queued"] <= 50 and most["open"] <= 4, most
    assert sum(o.s < SLOWER for o in outcomes) >= 500 or max(o.s for o in outcomes) < 8 * SLOWER
    host.reset()
    host.release()
    wait_until("the host serves again", lambda: ask_served(r.where))
    for o in ask_many(r.where, 50):
        o.check()
    wait_until("nobody is left", lambda: r.status()["service"]["connections"] == 0)


def ask_served(where):
    with contextlib.suppress(Faulted, Refused, Ended):
        return ask_once(where).by == "win1"
    return False


def test_R04_slow_and_idle_clients_cost_a_host_nothing(relay, rpc_host):
    """Clients that drip, stop or say nothing are closed in their time, and no host hears of them."""
    host = rpc_host("win1")
    times = f"request: {int(300 * SLOWER)}ms, idle: {int(400 * SLOWER)}ms"
    r = relay([host], extra=f"limits: {{ {times}, per_address: 10 }}\n")
    held = [socket.create_connection(r.where, timeout=10 * SLOWER) for _ in range(4)]
    held[1].sendall(bind()[:30])
    idle, half = KmsCaller(r.where), KmsCaller(r.where)
    half.socket.sendall(b"\x05\x00\x00\x03\x10\0\0\0\x40\x01\0\0\2\0\0\0")
    for s in held:
        with contextlib.suppress(ConnectionResetError):
            while s.recv(4096):
                pass
        s.close()
    for c in (idle, half):
        with contextlib.suppress(AssertionError, Ended):
            c.read_pdu()
        c.close()
    assert host.count("calls") == 0
    assert ask_once(r.where).by == "win1"


def test_R04_limits_hold_before_a_host(relay, rpc_host, loopback):
    """limits.per_address closes the connections beyond it unread; others are served."""
    host = rpc_host("win1")
    r = relay([host], extra="limits: { per_address: 5 }\n")
    one, other = loopback.address(), loopback.address()
    with contextlib.ExitStack() as open_:
        for _ in range(5):
            open_.enter_context(KmsCaller(r.where, source=one))
        with pytest.raises(Ended):
            KmsCaller(r.where, source=one)
        assert ask_once(r.where, source=other).by == "win1"
    assert r.status()["service"]["refused"] == 1


# ---- R06 ----


def test_R06_reload_while_requests_are_out(relay, rpc_host):
    """A request at a host that leaves the configuration gets its answer; the next one of that client goes to the new host."""
    old, new = rpc_host("old", hold=True), rpc_host("new")
    r = relay([old], relay="request_timeout: 5s")
    with KmsCaller(r.where) as c:
        body = opaque_body()
        c.send(body)
        old.wait("the call is there", lambda h: h.held() == 1)
        r.reload([new], relay="request_timeout: 5s")
        assert ask_once(r.where).by == "new"
        assert [u["name"] for u in r.status()["upstreams"]] == ["new"]
        old.release()
        assert c.read().stub == answer_stub("old", body)
        assert c.ask(opaque_body()).by == "new"
    old.wait("its associations are closed", lambda h: h.count("open") == 0)


def test_R06_reloads_under_load_fail_nothing(relay, rpc_host, started):
    """Hosts come, go and change their priority ten times under 20 clients: no request fails, each answer is whole."""
    a, b = rpc_host("a"), rpc_host("b")
    r = relay([a, b], relay="request_timeout: 1s")
    load = Load(r.where, 20)
    started.append(load)
    for ups in ([a], [a, b], [upstream(a, 9), b], [b], [b, upstream(a, 5)]) * 2:
        r.reload(ups)
        load.wait_for(20)
    for o in load.stop():
        o.check()
    a.check()
    b.check()


def test_R06_hosts_from_srv_records_that_change(relay, rpc_host, named, loopback):
    """Upstreams of relay.srv follow the records by their TTL; running requests finish where they are."""
    one, two = rpc_host("one", hold=True), rpc_host("two")

    def records(host):
        return [f"hosts SRV 0 0 {host.port} {host.name}", f"{host.name} A {host.address}"]

    address = loopback.address()
    server = named("ns1", address=address, zones=[
        Zone(ZONE, zone_text(ZONE, [("ns1", address)], records(one) + records(two)[1:], ttl=1), clauses=("allow-update { any; };",))
    ])
    r = relay([], relay=f"request_timeout: 10s; srv: hosts.{ZONE}",
              extra=f"discovery: {{ resolvers: ['{address}:{loopback.port}'] }}\n")
    with KmsCaller(r.where) as c:
        body = opaque_body()
        c.send(body)
        one.wait("the call is there", lambda h: h.held() == 1)
        name = f"hosts.{ZONE}"
        assert server.update(ZONE, ("delete", name, "SRV"), ("add", name, 1, "SRV", f"0 0 {two.port} two.{ZONE}.")) == 0
        wait_until("new requests go to the new one", lambda: ask_served_by(r.where, "two"))
        one.release()
        assert c.read().stub == answer_stub("one", body)
    (u,) = r.status()["upstreams"]
    assert (u["source"], u["port"]) == ("srv", two.port)


def ask_served_by(where, name):
    try:
        with KmsCaller(where, timeout_s=0.5) as c:
            return c.ask(opaque_body()).by == name
    except (Refused, Faulted, Ended, TimeoutError):
        return False


# ---- R07 ----


def test_R07_without_a_host_clients_are_refused_at_once(relay, rpc_host):
    """bind_nak 1 within moments, one line in the log, a fault for the request caught between; all well when one returns."""
    one, two = rpc_host("one", hold=True), rpc_host("two")
    r = relay([one, upstream(two, priority=1)], relay="request_timeout: 5s")
    assert r.status()["service"]["listen"]
    with KmsCaller(r.where) as early, KmsCaller(r.where) as caught:
        caught.send(opaque_body())
        one.wait("the call is there", lambda h: h.held() == 1)
        two.down()
        r.wait_states(two="refused")
        one.down()
        with pytest.raises(Faulted, match="0x1C010014"):
            caught.read()
        r.wait_states(one="refused", two="refused")
        r.d.wait_log(r"relay\.unavailable")
        reason, s = refused(r.where)
        assert reason == 1 and s < 0.5 * SLOWER
        with pytest.raises(Faulted, match="0x1C010014"):
            early.ask(opaque_body())  # bound while there was a host
        outcomes = ask_many(r.where, 200, concurrent=50)
        assert {type(o.error) for o in outcomes} == {Refused} and max(o.s for o in outcomes) < SLOWER
        assert r.d.count_log(r"relay\.unavailable") == 1
        two.listen()
        r.wait_states(two="up")
        r.d.wait_log(r"relay\.available")
        assert early.ask(opaque_body()).by == "two"
    assert ask_once(r.where).by == "two"


def test_R07_the_record_leaves_where_another_host_is_up(relay, rpc_host, kms_host, named, loopback, tmp_path):
    """`local` is down with its last upstream: its record goes where `office` is up, stays where it is the last, and returns."""
    win, office = rpc_host("win1"), kms_host()
    key, address, own = Key("corp"), loopback.address(), loopback.address()
    zones, names = [], {}
    for zone in ("corp.test", "lone.test"):
        name = names[zone] = f"_vlmcs._tcp.{zone}"
        text = zone_text(zone, [("ns1", address)], [f"kms1 A {own}", f"office A {office.address}"], ttl=5)
        zones.append(Zone(zone, text, clauses=(f"update-policy {{ grant corp name {name} SRV; }};",)))
    server = named("ns1", address=address, keys=[key], zones=zones)
    port = free_port(own)
    r = relay(
        [win], listen=f"{own}:{port}", target="kms1.corp.test",
        hosts=f"[{{ name: local }}, {{ name: office, target: office.corp.test, port: {office.port} }}]",
        extra=f"keys: [{{ name: corp, file: {key.write(tmp_path)} }}]\n"
        f"publish: {{ ttl: 1s, domains: [{{ domain: corp.test, lab: true, key: corp }}, {{ domain: lone.test, lab: true, key: corp, hosts: [local] }}] }}\n"
        f"discovery: {{ resolvers: ['{address}:{loopback.port}'], interval: 0s }}\n",
    )

    def ports(zone):
        return sorted(int(x.split()[3]) for x in server.records(names[zone], "SRV"))

    both, lone = sorted((port, office.port)), [port]
    wait_until("all is published", lambda: (ports("corp.test"), ports("lone.test")) == (both, lone))
    win.down()
    wait_until("it left", lambda: ports("corp.test") == [office.port])
    assert ports("lone.test") == lone
    assert [h["state"] for h in r.status()["hosts"] if h["name"] == "local"] != ["up"]
    win.listen()
    wait_until("it is back", lambda: ports("corp.test") == both)
    assert ports("lone.test") == lone


# ---- R08 ----


def test_R08_relay_that_leads_to_itself(relay, rpc_host, loopback, started):
    """Behind a port that hides it the relay finds itself by its bind: state `loop`, and no request goes there."""
    host = rpc_host("win1")
    port = free_port(own := loopback.address())
    pipe = Pipe(loopback.address(), (own, port))
    started.append(pipe)
    pipe.name = "myself"
    r = relay([upstream(pipe), upstream(host, priority=1)], listen=f"{own}:{port}", wait=False)
    r.wait_states(myself="loop", win1="up")
    assert [o.by for o in ask_many(r.where, 20)] == ["win1"] * 20
    assert r.upstream("myself")["requests"] == 0 and r.upstream("myself")["detail"]
    host.down()
    r.wait_states(win1="refused")
    assert refused(r.where)[0] == 1
    assert r.states()["myself"] == "loop"


def ring(relay, loopback, n, hosts):
    """n relays, each preferring the next one to its own host."""
    places = [(a := loopback.address(), free_port(a)) for _ in range(n)]
    relays = []
    for i in range(n):
        other = places[(i + 1) % n]
        entry = f'{{ name: next, address: "{other[0]}", port: {other[1]}, priority: 0 }}'
        more = [upstream(hosts[i], priority=1)] if hosts[i] else []
        relays.append(relay([entry, *more], listen=f"{places[i][0]}:{places[i][1]}", name=f"node{i}", wait=False))
    return relays


@pytest.mark.parametrize("n", [2, 3])
def test_R08_relays_in_a_circle(relay, rpc_host, loopback, n):
    """A request goes over one further relay at most; without any host each client is refused or gets its fault in time."""
    hosts = [rpc_host(f"win{i}") for i in range(n)]
    relays = ring(relay, loopback, n, hosts)
    for i, r in enumerate(relays):
        r.wait_states(next="up", **{f"win{i}": "up"})
        assert r.upstream("next")["relay"] is True and r.upstream(f"win{i}")["relay"] is False
        for o in ask_many(r.where, 20):
            o.check()
            assert o.by in (f"win{i}", f"win{(i + 1) % n}"), o.by  # two relays away is never asked
    calls = sum(h.count("calls") for h in hosts)
    assert calls == 20 * n
    for h in hosts:
        h.down()
    for i, r in enumerate(relays):
        r.wait_states(**{f"win{i}": "refused"})
    before = [r.status()["service"]["requests"] for r in relays]
    started = time.monotonic()
    for r in relays:
        for o in ask_many(r.where, 5):
            assert isinstance(o.error, (Refused, Faulted)), o
    assert time.monotonic() - started < 5 * SLOWER
    after = [r.status()["service"]["requests"] for r in relays]
    assert sum(after) - sum(before) <= 3 * 5 * n, (before, after)


def test_R08_relay_behind_a_relay(relay, rpc_host):
    """Two in a row work: each answer is whole, the second one's client is the first, the host sees both binds' item."""
    host = rpc_host("win1")
    inner = relay([host], name="inner")
    outer = relay([f'{{ name: inner, address: "{inner.where[0]}", port: {inner.where[1]} }}'], name="outer")
    assert outer.upstream("inner")["relay"] is True
    for o in ask_many(outer.where, 50, concurrent=10):
        o.check()
    assert outer.upstream("inner")["requests"] == inner.upstream("win1")["requests"] == 50
    host.down()
    inner.wait_states(win1="refused")
    wait_until("the outer one refuses", lambda: unavailable(outer.where))
    host.listen()
    inner.wait_states(win1="up")
    wait_until("and serves again", lambda: not unavailable(outer.where))
    assert ask_once(outer.where).by == "win1"
