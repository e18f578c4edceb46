"""The relay towards its hosts: held answers, choice, the pool, hosts that hang or die under load."""

import collections
import contextlib
import os
import random
import time

import pytest

from kblib.kms_caller import Faulted, KmsCaller, Load, ask_many, ask_once
from kblib.process import SLOWER, wait_until
from kblib.relay import upstream
from kblib.rpc_pdu import answer_stub, opaque_body

MISMATCH, NOT_ACTIVATED, F039 = 0xC004F042, 0xC004F041, 0xC004F039
CHAOS_STEPS = int(os.environ.get("KMSBEACON_CHAOS_STEPS", "25"))
LONG = "request_timeout: 60s"
FRESH = "min: 0, max: 64"  # no association before the first request, which might be taken for stale by then
LOADED = "request_timeout: 1s"  # where this machine itself may be slow


def check_all(outcomes, *names, size=0):
    for o in outcomes:
        o.check(size)
        assert o.by in names, o.by


# ---- held answers ----


@pytest.mark.parametrize("code", [MISMATCH, NOT_ACTIVATED, F039], ids=hex)
def test_windows_and_office_hosts_behind_one_name(relay, rpc_host, loopback, code):
    """A client of both products gets both activated, retry 0 notwithstanding, at two exchanges a request at most."""
    win = rpc_host("win", hresults={"office": code})
    office = rpc_host("office", hresults={"windows": code})
    r = relay([win, upstream(office, priority=1)], relay="request_timeout: 1s; retry: 0")
    source = loopback.address()
    for product, by in (("office", "office"), ("windows", "win")) * 3:
        answer = ask_once(r.where, opaque_body(product), source=source)
        assert (answer.hresult, answer.by) == (0, by)
    assert win.count("calls") + office.count("calls") <= 2 * 6
    r.d.wait_log(r"relay\.request .*upstream=office attempts=2 hresult=0x00000000")
    r.no_failure()


def test_the_route_of_a_client_is_remembered(relay, rpc_host, loopback):
    """An Office client that found its host goes there at once from then on; another address has to find it by itself."""
    win, office = rpc_host("win", hresults={"office": MISMATCH}), rpc_host("office")
    r = relay([win, upstream(office, priority=1)])
    one, other = loopback.address(), loopback.address()
    for _ in range(5):
        assert ask_once(r.where, opaque_body("office"), source=one).by == "office"
    assert (win.count("calls"), office.count("calls")) == (1, 5)
    assert ask_once(r.where, opaque_body("office"), source=other).by == "office"
    assert (win.count("calls"), office.count("calls")) == (2, 6)


def test_where_no_host_succeeds_the_first_answer_goes_out(relay, rpc_host):
    """Each of three hosts is asked once, and the client gets the first one's answer octet for octet."""
    hosts = [rpc_host(f"h{i}", hresult=MISMATCH if i != 1 else NOT_ACTIVATED, error_body=True, size=40) for i in range(3)]
    r = relay([upstream(h, priority=i) for i, h in enumerate(hosts)])
    body = opaque_body()
    assert ask_once(r.where, body).stub == answer_stub("h0", body, MISMATCH, size=40, error_body=True)
    assert [h.count("calls") for h in hosts] == [1, 1, 1]
    for h in hosts:
        h.set(error_body=False)
    assert ask_once(r.where, body).stub == answer_stub("h0", body, MISMATCH)
    r.no_failure()


def test_a_failing_host_does_not_spoil_a_held_answer(relay, rpc_host):
    """A held answer, then hosts that fault, are dead or too slow: still the held one, and no fault."""
    held = rpc_host("held", hresult=MISMATCH)
    others = [rpc_host("faults", fault=5), rpc_host("drops", drop="reset"), rpc_host("slow", delay_s=30)]
    r = relay([held, *(upstream(h, priority=1 + i) for i, h in enumerate(others))])
    body = opaque_body()
    assert ask_once(r.where, body).stub == answer_stub("held", body, MISMATCH)
    assert held.count("calls") == 1


def test_other_errors_are_the_client_s(relay, rpc_host):
    """An error that another host would give too is passed on unchanged, without a second exchange."""
    one, two = rpc_host("one", hresult=0xC004F006), rpc_host("two")
    r = relay([one, upstream(two, priority=1)])
    assert ask_once(r.where).hresult == 0xC004F006
    assert two.count("calls") == 0


# ---- choice ----


def spread(where, sources):
    outcomes = ask_many(where, len(sources), source=lambda i: sources[i])
    for o in outcomes:
        o.check()
    return {o.source: o.by for o in outcomes}


def test_clients_are_spread_and_stay(relay, rpc_host):
    """Equal hosts share the clients, each keeps its host, a second relay agrees, and only those of a lost host move."""
    hosts = [rpc_host(f"h{i}") for i in range(3)]
    r, twin = relay(hosts), relay(hosts[::-1], name="twin")
    sources = [f"127.44.{i}.9" for i in range(90)]
    first = spread(r.where, sources)
    shares = collections.Counter(first.values())
    assert set(shares) == {"h0", "h1", "h2"} and min(shares.values()) >= 12, shares
    assert spread(r.where, sources) == first
    assert spread(twin.where, sources) == first
    hosts[1].down()
    r.wait_states(h1="refused")
    second = spread(r.where, sources)
    assert all(second[s] == by for s, by in first.items() if by != "h1")
    assert "h1" not in second.values()
    hosts[1].listen()
    r.wait_states(h1="up")
    assert spread(r.where, sources) == first


def test_the_first_priority_serves_all(relay, rpc_host):
    """Hosts of a later priority are asked when no earlier one is up, and no longer."""
    hosts = [rpc_host(f"h{i}") for i in range(3)]
    r = relay([upstream(h, priority=10 * i) for i, h in enumerate(hosts)])
    sources = [f"127.45.{i}.9" for i in range(30)]
    for i, h in enumerate(hosts):
        assert set(spread(r.where, sources).values()) == {f"h{i}"}
        if i < 2:
            h.down()
            r.wait_states(**{f"h{i}": "refused"})
    hosts[0].listen()
    r.wait_states(h0="up")
    assert set(spread(r.where, sources).values()) == {"h0"}


def test_retry_0_asks_one_host(relay, rpc_host):
    """With retry 0 a failure is the client's fault to see, and with 1 a third host is not asked."""
    a, b, c = rpc_host("a", drop="reset"), rpc_host("b", drop="close"), rpc_host("c")
    ups = [a, upstream(b, priority=1), upstream(c, priority=2)]
    slow_to_judge = "interval: 10s, timeout: 1s, rise: 1, fall: 100, min_stay: 0s"
    r = relay(ups, relay="request_timeout: 300ms; retry: 0", pool=FRESH, health=slow_to_judge)
    with pytest.raises(Faulted, match="0x1C010014"):
        ask_once(r.where)
    assert [h.count("calls") for h in (a, b, c)] == [1, 0, 0]
    r.reload(ups, relay="request_timeout: 300ms; retry: 1", pool=FRESH, health=slow_to_judge)
    with pytest.raises(Faulted, match="0x1C010014"):
        ask_once(r.where)
    assert [h.count("calls") for h in (a, b, c)] == [2, 1, 0]
    r.reload(ups, relay="request_timeout: 300ms; retry: 2", pool=FRESH, health=slow_to_judge)
    assert ask_once(r.where).by == "c"


# ---- the pool ----


def test_the_pool_grows_queues_in_order_and_shrinks(relay, rpc_host):
    """8 associations under 20 calls, the other 12 wait in their order, and quiet times leave `min`."""
    host = rpc_host("win1", hold=True)
    r = relay([host], pool=f"min: 1, max: 8, idle: {int(1000 * SLOWER)}ms, queue: 100", relay=LONG)
    with contextlib.ExitStack() as open_:
        callers = []
        for i in range(20):
            c = open_.enter_context(KmsCaller(r.where))
            c.send(opaque_body(f"c{i:02}"))
            callers.append(c)
            if i < 8:
                host.wait("one more call is there", lambda h, i=i: h.held() == i + 1)
            else:
                r.wait_upstream("win1", "one more waits", lambda u, i=i: u["queued"] == i - 7)
        u = r.upstream("win1")
        assert (u["open"], u["busy"], u["outstanding"], u["queued"]) == (8, 8, 8, 12)
        for i in range(20):
            host.release(1)
            assert callers[i].read().by == "win1"
    assert [c.tag for c in host.calls] == [f"c{i:02}" for i in range(20)]
    assert r.upstream("win1")["open"] == 8
    r.wait_upstream("win1", "it has shrunk", lambda u: u["open"] == 1)
    r.no_failure()


def test_multiplexing_needs_few_associations(relay, rpc_host):
    """A host with PFC_CONC_MPX gets 60 calls at a time over two associations."""
    host = rpc_host("win1", mpx=True, hold=True)
    r = relay([host], pool="min: 1, max: 2, queue: 100", relay=LONG)
    load = Load(r.where, 60)
    host.wait("all are there", lambda h: h.held() == 60)
    assert r.upstream("win1")["outstanding"] == 60 and r.upstream("win1")["open"] == 2
    host.set(hold=False)
    load._end = True
    host.release()
    check_all(load.stop(), "win1")


def test_a_full_queue_and_its_deadline(relay, rpc_host):
    """Calls beyond the queue go to the next host at once; those that wait too long as well; nobody fails."""
    a, b = rpc_host("a", hold=True), rpc_host("b")
    r = relay([a, upstream(b, priority=1)], pool="min: 1, max: 2, queue: 3",
              health="interval: 10s, timeout: 1s, rise: 1, fall: 100, min_stay: 0s")
    outcomes = ask_many(r.where, 10, concurrent=10)
    check_all(outcomes, "b")
    assert a.count("calls") <= 4 and max(o.s for o in outcomes) < 3 * SLOWER


def test_idle_disconnects_are_silent(relay, rpc_host):
    """A host that closes its idle associations costs no request, no failure and no line above debug."""
    host = rpc_host("win1")
    r = relay([host], pool="min: 2, max: 16", health="interval: 10s, timeout: 1s, rise: 1, fall: 3, min_stay: 0s")
    check_all(ask_many(r.where, 20), "win1")
    since = r.d.mark()
    for how in ("close", "reset") * 3:
        assert host.end_idle(how) >= 1
        check_all(ask_many(r.where, 10), "win1")
    assert r.d.count_log(r"^\S+ (?!debug )(?!.*relay\.requests? )", since) == 0, r.d.lines[since:]
    r.no_failure()


def test_a_stale_association_moves_nobody(relay, rpc_host, loopback):
    """A host that resets associations which idled is asked again, over a fresh one: the same host, no failure counted."""
    hosts = {h.name: h for h in (rpc_host("h0", stale_reset_s=1.0), rpc_host("h1", stale_reset_s=1.0))}
    r = relay([*hosts.values()], relay="request_timeout: 1s; retry: 0")
    source = loopback.address()
    by = ask_once(r.where, source=source).by
    answered = time.monotonic()
    assert ask_once(r.where, source=source).by == by
    wait_until("it is idle for over a second", lambda: time.monotonic() - answered > 1.2)
    assert ask_once(r.where, source=source).by == by
    assert hosts[by].count("stale") == 1
    assert r.upstream(by)["stale"] == 1
    r.no_failure()
    r.d.wait_log(rf"relay\.request .*upstream={by} attempts=1 ")


def test_a_reset_of_a_fresh_association_is_a_failure(relay, rpc_host):
    """Only what was idle is repeated on the same host: here the next one is asked, and the failure is counted."""
    a, b = rpc_host("a", drop="reset"), rpc_host("b")
    r = relay([a, upstream(b, priority=1)], pool=FRESH, health="interval: 10s, timeout: 1s, rise: 1, fall: 100, min_stay: 0s")
    for _ in range(3):
        assert ask_once(r.where).by == "b"
    u = r.upstream("a")
    assert (a.count("calls"), u["failed"], u["stale"]) == (3, 3, 0)


def test_status_shows_times_and_results(relay, rpc_host):
    """Counters by result, and the latencies of what was answered."""
    host = rpc_host("win1", hresults={"late": 0xC004F06C}, delay_s=0.02)
    r = relay([host])
    check_all(ask_many(r.where, 30), "win1")
    for _ in range(3):
        ask_once(r.where, opaque_body("late"))
    u = r.upstream("win1")
    assert (u["requests"], u["failed"], u["hresults"]) == (33, 0, {"0x00000000": 30, "0xC004F06C": 3})
    assert 20 <= u["p50_ms"] <= u["p99_ms"] < 5000


# ---- hosts that hang or die under load ----


def test_a_host_that_hangs(relay, rpc_host, started):
    """SIGSTOP under 20 clients: the kernel still accepts for it, nobody answers, and no client fails; it comes back."""
    a, b = rpc_host("a", process=True), rpc_host("b")
    r = relay([a, upstream(b, priority=1)], relay=LOADED)
    load = Load(r.where, 20)
    started.append(load)
    load.wait_for(50)
    a.pause()
    load.wait_for(100)
    wait_until("it is not up", lambda: r.states()["a"] in ("timeout", "slow"))
    load.wait_for(100)
    a.resume()
    r.wait_states(a="up")
    load.wait_for(50)
    outcomes = load.stop()
    check_all(outcomes, "a", "b")
    assert outcomes[-1].by == "a" and {o.by for o in outcomes} == {"a", "b"}


def test_a_host_that_dies_in_the_middle_of_200_answers(relay, rpc_host):
    """Half of each answer has come when it is killed: 200 clients get a whole answer of the other host, none fails."""
    a, b = rpc_host("a", process=True, half="hang", size=1500), rpc_host("b", size=1500)
    r = relay([a, upstream(b, priority=1)], pool="min: 1, max: 256", relay=LONG)
    load = Load(r.where, 200, source=lambda i: f"127.48.{i}.9")
    a.wait("200 halves are out", lambda h: h.count("halves") == 200)
    a.kill()
    load.wait_for(300)
    check_all(load.stop(), "b", size=1500)


def test_a_host_that_is_killed_and_comes_back_again_and_again(relay, rpc_host, started):
    """Three times under 50 clients, with resets of all its associations: no client fails."""
    a, b = rpc_host("a"), rpc_host("b")
    r = relay([a, b], relay=LOADED)
    load = Load(r.where, 50, source=lambda i: f"127.46.{i}.9")
    started.append(load)
    for _ in range(3):
        load.wait_for(100)
        a.down()
        load.wait_for(150)
        a.listen()
        r.wait_states(a="up")
    outcomes = load.stop()
    check_all(outcomes, "a", "b")
    assert {o.by for o in outcomes[-100:]} == {"a", "b"}


def test_every_tenth_request_goes_wrong(relay, rpc_host):
    """Half answers, faults and lost connections in one of ten requests of three hosts: no client notices."""
    a, b = rpc_host("a", half="reset", one_in=10, size=700), rpc_host("b", fault=5, one_in=9, size=700)
    c, d = rpc_host("c", drop="close", one_in=11, size=700), rpc_host("d", size=700)
    r = relay([a, b, c, upstream(d, priority=1)], relay="request_timeout: 1s; retry: 3")
    check_all(ask_many(r.where, 400, source=lambda i: f"127.47.{i % 50}.9"), "a", "b", "c", "d", size=700)


QUICKLY_BAD = [
    {}, {"fault": 5}, {"fault": 0x1C010014}, {"drop": "close"}, {"drop": "reset"}, {"half": "close"}, {"half": "reset"},
    {"malform": "cut"}, {"malform": "kind"}, {"malform": "call-id"}, {"close_after": True}, {"fragment": 9}, {"dribble": True},
    {"hresult": MISMATCH}, {"bind": "nak"}, {"bind": "close"}, {"bind": "no-interface"}, {"accept": "reset"}, {"accept": "text"},
    {"be": True}, {"stale_reset_s": 0.0}, {"max_recv": 200},
]
SLOWLY_BAD = [{"delay_s": 30}, {"bind": "mute"}, {"accept": "mute"}, {"half": "hang"}]


def test_any_misbehaviour_at_any_time(relay, rpc_host, started, tmp_path):
    """Three hosts that change between all their misbehaviours under 30 clients, one good host behind: no client notices."""
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    dice = random.Random(seed)
    bad = [rpc_host(f"bad{i}", size=300, mpx=i == 2) for i in range(3)]
    good = rpc_host("good", size=300)
    r = relay([*bad, upstream(good, priority=1)], pool="min: 1, max: 32",
              health="interval: 200ms, timeout: 2s, rise: 1, fall: 3, min_stay: 0s",
              relay=f"request_timeout: 700ms; retry: 3; log_file: {tmp_path}/requests.log")
    load = Load(r.where, 30, source=lambda i: f"127.49.{i}.9")
    started.append(load)
    for _ in range(CHAOS_STEPS):
        slow = dice.randrange(6)
        for i, h in enumerate(bad):
            how = dict(dice.choice(SLOWLY_BAD if i == slow else QUICKLY_BAD), one_in=dice.choice((1, 1, 3, 10)))
            h.reset().set(**{"be": False, "fragment": None, "max_recv": 5840, **how})
            if dice.randrange(4) == 0:
                h.end_idle(dice.choice(("close", "reset")))
        load.wait_for(40)
    outcomes = load.stop()
    print([x for x in (tmp_path / "requests.log").read_text().splitlines() if "hresult=" not in x][:10])
    check_all(outcomes, "bad0", "bad1", "bad2", "good", size=300)
