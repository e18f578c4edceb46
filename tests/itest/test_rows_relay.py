"""Rows R of the failure modes that need a relay: what hosts and clients do to it. Tests carry the id of their row.

R04, R06, R07 and R08 are in test_rows_relay_all.py; the pool's own behaviour is in test_relay_pool.py.
"""

import re
import time

import pytest

from kblib.kms_caller import Faulted, KmsCaller, ask_many, ask_once
from kblib.lab import start_lab
from kblib.loopback import has_ipv6
from kblib.process import SLOWER, wait_until
from kblib.relay import HEALTH, upstream
from kblib.rpc_pdu import TOO_BUSY, answer_stub, opaque_body

INVALID_TIMESTAMP = 0xC004F06C


def all_from(outcomes, *names, size=0):
    """Each exchange succeeded, its answer is whole, and one of these hosts gave it."""
    for o in outcomes:
        o.check(size)
        assert o.by in names, o.by


# ---- R01 ----


def test_R01_a_port_that_accepts_is_no_upstream(relay, rpc_host):
    """Five kinds of ports that are no KMS host are told apart, and no client ever meets one."""
    bad = [
        rpc_host("mute", bind="mute"), rpc_host("nak", bind="nak"), rpc_host("other", bind="no-interface"),
        rpc_host("text", accept="text"), rpc_host("dead"),
    ]
    bad[-1].down()
    good = rpc_host("good")
    r = relay([*(upstream(h) for h in bad), upstream(good, priority=1)], wait=False)
    r.wait_states(mute="timeout", nak="rpc-refused", other="no-kms-interface", text="not-rpc", dead="refused", good="up")
    all_from(ask_many(r.where, 100), "good")
    assert [h.count("calls") for h in bad] == [0] * 5
    for u in r.status()["upstreams"]:
        assert u["failed"] == 0 and (u["detail"] or u["state"] == "up"), u
    assert r.d.count_log(r"relay\.request.*upstream=good.*attempts=1") == 100


def test_R01_clients_come_before_anything_is_known(relay, rpc_host):
    """The first request after the start is answered though a mute host is preferred."""
    mute, good = rpc_host("mute", bind="mute"), rpc_host("good")
    r = relay([mute, upstream(good, priority=1)], wait=False)
    all_from(ask_many(r.where, 20), "good")


# ---- R02 ----


@pytest.mark.parametrize("status", [TOO_BUSY, 0x000006F7, 0x00000005], ids=hex)
def test_R02_host_that_binds_and_faults(relay, rpc_host, status):
    """Each fault is made good by the next host before the client sees an octet; the host is asked last until it is well."""
    bad, good = rpc_host("bad", fault=status), rpc_host("good")
    r = relay([bad, upstream(good, priority=1)])
    all_from(ask_many(r.where, 60, concurrent=4), "good")
    r.wait_states(bad="faults")
    first = bad.count("calls")
    assert 2 <= r.upstream("bad")["failed"] < 14
    assert f"0x{status:08X}" in r.upstream("bad")["last_error"] and r.upstream("good")["failed"] == 0
    started = time.monotonic()
    all_from(ask_many(r.where, 100), "good")
    assert bad.count("calls") - first <= 2 + (time.monotonic() - started) / 0.2  # one an interval at most
    bad.reset()
    wait_until("it is asked first again", lambda: ask_once(r.where).by == "bad")
    r.wait_states(bad="up")


def test_R02_fault_of_the_only_host_is_passed_on(relay, rpc_host):
    """Where every host faults the client gets their fault, once, and the association goes on."""
    hosts = [rpc_host(name, fault=0x000006F7) for name in ("one", "two")]
    r = relay(hosts)
    with KmsCaller(r.where) as c:
        for _ in range(3):
            with pytest.raises(Faulted, match="0x000006F7"):
                c.ask(opaque_body())
        for h in hosts:
            h.reset()
        assert c.ask(opaque_body()).by in ("one", "two")
    r.d.wait_log(r"relay\.request .*attempts=2 fault=0x000006F7")


def test_R02_host_that_answers_too_late(relay, rpc_host):
    """A host that takes 30 s is `slow`; clients get the other's answer within the time of one try, later at once."""
    slow, good = rpc_host("slow", delay_s=30), rpc_host("good")
    interval_s = 0.2 * SLOWER  # as the time of a try
    r = relay([slow, upstream(good, priority=1)], health=HEALTH.replace("200ms", f"{int(interval_s * 1000)}ms"))
    outcomes = ask_many(r.where, 10, concurrent=10)
    all_from(outcomes, "good")
    assert max(o.s for o in outcomes) < 2 * SLOWER
    r.wait_states(slow="slow")
    before = slow.count("calls")
    outcomes = ask_many(r.where, 50, concurrent=2)
    all_from(outcomes, "good")
    assert slow.count("calls") - before <= 2 + sum(o.s for o in outcomes) / interval_s
    assert sum(o.s < 0.25 * SLOWER for o in outcomes) >= 40


# ---- R03 ----

SHAPES = {
    "plain": {}, "big-endian": {"be": True}, "fragments": {"fragment": 16}, "octets": {"dribble": True},
    "small": {"max_recv": 128}, "big-endian fragments": {"be": True, "fragment": 24, "max_recv": 200, "mpx": True},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_R03_any_shape_of_stream_carries_the_same_octets(relay, rpc_host, shape):
    """Requests and answers are byte-exact whatever the fragments, the octet order and the segments of either side."""
    host = rpc_host("win1", size=1500, **SHAPES[shape])
    r = relay([host])
    for be in (False, True):
        for how in ({}, {"size": 8}, {"size": 100, "dribble": True}):
            body = opaque_body(size=255)
            with KmsCaller(r.where, be=be, max_recv=128 if how else 5840) as c:
                answer = c.ask(body, **how)
            assert answer.stub == answer_stub("win1", body, be=answer.be, size=1500)
            assert answer.be == host.does.be
            call = host.calls[-1]
            assert (call.body, call.be) == (body, be)
    r.no_failure()


def test_R03_multiplexed_answers_in_any_order(relay, rpc_host):
    """Over one association eight calls at a time: answered last first, fragment by fragment in turn, each to its client."""
    host = rpc_host("win1", mpx=True, batch=8, fragment=30, size=300)
    r = relay([host], pool="min: 1, max: 1")
    all_from(ask_many(r.where, 32, concurrent=8), "win1", size=300)
    assert host.count("multiplexed") >= 7 * 4
    assert r.upstream("win1")["open"] == 1


def test_R03_larger_bodies_pass(relay, rpc_host):
    """Bodies of up to 2048 octets go both ways, over several fragments of 128."""
    host = rpc_host("win1", max_recv=128, size=1990)
    r = relay([host])
    body = opaque_body(size=2048)
    assert ask_once(r.where, body).stub == answer_stub("win1", body, size=1990)
    assert host.calls[-1].body == body and host.calls[-1].fragments > 15


@pytest.mark.parametrize("malform", ["call-id", "context", "alloc-hint", "no-hresult", "cut", "kind", "oversize", "endless"])
def test_R03_malformed_answers_are_nobody_s_answer(relay, rpc_host, malform):
    """What is no answer costs a try on the next host; only hints, which mean nothing, are ignored."""
    bad, good = rpc_host("bad", malform=malform), rpc_host("good")
    r = relay([bad, upstream(good, priority=1)])
    outcomes = ask_many(r.where, 6, concurrent=2)
    all_from(outcomes, *(("bad",) if malform == "alloc-hint" else ("bad", "good") if malform == "context" else ("good",)))
    if malform not in ("alloc-hint", "context"):
        assert r.upstream("bad")["failed"] >= 2 and r.upstream("bad")["last_error"]


# ---- R05 ----


def test_R05_half_closed_client_gets_its_answer(relay, rpc_host):
    """A client that has said all it will say still gets what it asked for, then the end."""
    host = rpc_host("win1", hold=True)
    r = relay([host], relay="request_timeout: 5s")
    with KmsCaller(r.where) as c:
        body = opaque_body()
        c.send(body)
        c.half_close()
        host.wait("the call is there", lambda h: h.held() == 1)
        host.release()
        assert c.read().stub == answer_stub("win1", body)
        assert c.ended()


def test_R05_host_that_closes_right_after_its_answer(relay, rpc_host):
    """Each answer arrives, none is a failure, and the client's association lives on."""
    host = rpc_host("win1", close_after=True)
    r = relay([host])
    with KmsCaller(r.where) as c:
        for _ in range(30):
            assert c.ask(opaque_body()).by == "win1"
    all_from(ask_many(r.where, 50), "win1")
    r.no_failure()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_R05_half_an_answer_is_none(relay, rpc_host, how):
    """A host that ends in the middle of an answer is made good by the next; no client sees the first half."""
    bad, good = rpc_host("bad", half=how, size=1000), rpc_host("good", size=1000)
    r = relay([bad, upstream(good, priority=1)])
    all_from(ask_many(r.where, 60, concurrent=20), "good", size=1000)
    assert bad.count("halves") >= 2 and r.upstream("bad")["failed"] >= 2 and r.upstream("good")["failed"] == 0


def test_R05_client_that_goes_in_the_middle_of_its_call(relay, rpc_host):
    """Its call ends, the late answer is dropped, and the host's association serves the next client."""
    host = rpc_host("win1", hold=True)
    no_probe = "interval: 1h, timeout: 1s, rise: 1, fall: 100, min_stay: 0s"  # which opens one, too
    r = relay([host], relay="request_timeout: 5s", pool="min: 1, max: 1", health=no_probe)
    gone = KmsCaller(r.where)
    gone.send(opaque_body("gone"))
    host.wait("the call is there", lambda h: h.held() == 1)
    opened = host.count("opened")
    gone.reset()
    r.d.wait_log(r"relay\.request .*err=")
    r.wait_upstream("win1", "nothing is outstanding", lambda u: u["outstanding"] == 0)
    with KmsCaller(r.where) as c:
        host.set(hold=False)
        body = opaque_body("next")
        c.send(body)
        host.release()
        assert c.read().stub == answer_stub("win1", body)
    assert r.upstream("win1")["failed"] == 0 and host.count("opened") <= opened + 2


# ---- R09, R10, R11, R12 ----


def test_R09_log_has_the_client_s_address(relay, rpc_host, loopback, tmp_path):
    """The host sees the relay's address; the journal and relay.log_file hold the client's, and what became of it."""
    host = rpc_host("win1")
    path = tmp_path / "requests.log"
    r = relay([host], relay=f"request_timeout: 300ms; log_file: {path}")
    source = loopback.address()
    with KmsCaller(r.where, source=source) as c:
        port = c.socket.getsockname()[1]
        c.ask(opaque_body(major=5))
    line = rf"client={re.escape(source)}:{port} version=5\.0 upstream=win1 attempts=1 hresult=0x00000000 bytes_in=268 bytes_out=\d+ ms="
    r.d.wait_log(r"relay\.request " + line)
    wait_until("the file has it", lambda: re.search(line, path.read_text()))
    assert source not in {a[0] for a in host.peers}


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_R10_both_families_on_both_sides(relay, rpc_host, kb, loopback):
    """Clients of either family reach hosts of either family, on ports that are not 1688; probes ask what was bound."""
    four, six = rpc_host("four"), rpc_host("six", address="::1")
    r = relay([four, six], listen=[loopback.address() + ":0", "[::1]:0"])
    for where in r.listens:
        all_from(ask_many(where, 10), "four", "six")
        at = f"[{where[0]}]:{where[1]}" if ":" in where[0] else f"{where[0]}:{where[1]}"
        assert kb("probe", "--json", at).json["hosts"][0]["state"] == "up"
    four.down()
    r.wait_states(four="refused")
    for where in r.listens:
        all_from(ask_many(where, 5), "six")


def test_R11_clocks_apart_are_named(relay, rpc_host):
    """0xC004F06C passes unchanged where no host says better; the log and `status` have it; a host with the right time helps."""
    host, right = rpc_host("win1", hresult=INVALID_TIMESTAMP, error_body=True), rpc_host("win2")
    right.down()
    r = relay([host, upstream(right, priority=1)], wait=False)
    r.wait_states(win1="up", win2="refused")
    body = opaque_body()
    assert ask_once(r.where, body).stub == answer_stub("win1", body, INVALID_TIMESTAMP, error_body=True)
    r.d.wait_log(r"relay\.request .*upstream=win1 .*hresult=0xC004F06C")
    assert r.upstream("win1")["hresults"] == {"0xC004F06C": 1}
    right.listen()
    r.wait_states(win2="up")
    assert ask_once(r.where).by == "win2"
    r.no_failure()


def test_R12_lab_and_licensed_hosts_never_see_each_other_s_clients(relay, rpc_host, daemon, tmp_path, loopback):
    """Messages like Windows' go to licensed hosts alone, lab messages to lab hosts alone, also when the other is all there is."""
    licensed = rpc_host("win1")
    lab = start_lab(daemon, tmp_path / "lab", loopback.address() + ":0", name="lab1")
    r = relay([licensed, upstream(lab, lab=True)])
    with KmsCaller(r.where) as c:
        for _ in range(5):
            assert c.ask(opaque_body()).by == "win1"
            answer = c.ask(lab.key.seal())
            assert answer.hresult == 0 and lab.key.open(answer.body)
    assert licensed.count("calls") == 5 and lab.status()["service"]["requests"] == 5
    licensed.down()
    r.wait_states(win1="refused")
    with KmsCaller(r.where) as c:
        with pytest.raises(Faulted, match="0x1C010014"):
            c.ask(opaque_body())
        assert c.ask(lab.key.seal()).hresult == 0
    assert lab.status()["service"]["requests"] == 6 and lab.status()["service"]["failed"] == 0
    licensed.listen()
    r.wait_states(win1="up")
    lab.stop()
    r.wait_states(lab1="refused")
    with KmsCaller(r.where) as c:
        with pytest.raises(Faulted, match="0x1C010014"):
            c.ask(lab.key.seal())
        assert c.ask(opaque_body()).by == "win1"
    assert licensed.count("calls") == 6
