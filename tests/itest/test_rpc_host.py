"""The scripted RPC host and the caller of these tests, against each other, impacket and `kmsbeacon probe`."""

import time

import pytest
from impacket.dcerpc.v5 import rpcrt, transport
from impacket.uuid import uuidtup_to_bin
from kblib import lab
from kblib.kms_caller import Ended, Faulted, KmsCaller, Refused, ask_many, ask_once
from kblib.rpc_host import Behaviour
from kblib.rpc_pdu import (
    TOO_BUSY, answer_stub, opaque_body, request, request_stub,
)


def test_answers_are_recognised_and_whole(rpc_host):
    host = rpc_host("win1", mpx=True)
    for be in (False, True):
        for size in (None, 8, 100):
            body = opaque_body()
            with KmsCaller(host.where, source="127.0.0.77", be=be) as c:
                answer = c.ask(body, size=size, dribble=size == 8)
                assert c.ack.mpx and answer.by == "win1"
                assert answer.stub == answer_stub("win1", body)
            assert host.calls[-1].body == body and host.calls[-1].be == be
    assert {c.tag for c in host.calls} == {"windows"} and {c.major for c in host.calls} == {6}


def test_impacket_exchange(rpc_host):
    host = rpc_host("win1", fragment=32)
    rpc = transport.TCPTransport(*host.where)
    dce = rpc.get_dce_rpc()
    dce.connect()
    dce.bind(uuidtup_to_bin(lab.KMS))
    for _ in range(3):
        body = opaque_body("office", major=5)
        dce.call(0, request_stub(body))
        assert dce.recv() == answer_stub("win1", body)
    host.set(fault=TOO_BUSY)
    dce.call(0, request_stub(opaque_body()))
    with pytest.raises(rpcrt.DCERPCException):
        dce.recv()
    dce.disconnect()


def test_probe_tells_the_misbehaviours_of_a_bind_apart(rpc_host, kb):
    kinds = {
        "up": {}, "rpc-refused": {"bind": "nak"}, "no-kms-interface": {"bind": "no-interface"},
        "not-rpc": {"accept": "text"}, "timeout": {"bind": "mute"},
    }
    hosts = [rpc_host(kind, **how) for kind, how in kinds.items()]
    dead = rpc_host("dead")
    dead.down()
    r = kb("probe", "--json", "--timeout", "500ms", *(f"{h.address}:{h.port}" for h in [*hosts, dead]))
    assert [h["state"] for h in r.json["hosts"]] == [*kinds, "refused"]
    assert [h.count("binds") for h in hosts[:3]] == [1, 1, 1]


def test_lab_clients_get_an_answer_that_is_no_lab_host_s(rpc_host, kb, tmp_path):
    """kms_client reads it whole; that it is not sealed with the lab key is the lab client's finding."""
    host = rpc_host("win1", size=100)
    key, config = tmp_path / "lab.key", tmp_path / "kb.yaml"
    config.write_text(f"node: {{ state_dir: {tmp_path}/state }}\n")
    assert kb("lab", "keygen", key).code == 0
    r = kb("client", "fleet", "-c", config, "--json", "--count", 5, "--key", key, "--hosts-from", f"{host.address}:{host.port}")
    assert r.code == 1 and host.count("answers") == 5, r


def ask_and_get(host, **behaviour):
    host.reset().set(**behaviour)
    with KmsCaller(host.where, timeout_s=5) as c:
        try:
            return c.ask(opaque_body())
        except (Ended, Faulted) as e:
            return e
        finally:
            host.reset()


def test_misbehaviours_of_requests(rpc_host):
    host = rpc_host("win1")
    assert ask_and_get(host, fault=0x6F7).status == 0x6F7
    for how in ("close", "reset"):
        assert ask_and_get(host, drop=how).partial == b""
        assert ask_and_get(host, half=how).partial
    assert ask_and_get(host, hresult=0xC004F042).hresult == 0xC004F042
    assert ask_and_get(host, hresults={"windows": 0xC004F042}).stub == answer_stub("win1", b"", 0xC004F042)
    assert ask_and_get(host, error_body=True, hresult=0xC004F042).by == "win1"
    assert ask_and_get(host, size=9000).fragments == 2
    assert ask_and_get(host, fragment=10).fragments > 5
    assert ask_and_get(host, fragment=None, dribble=True).by == "win1"
    started = time.monotonic()
    assert ask_and_get(host, delay_s=0.2).by == "win1" and time.monotonic() - started >= 0.2
    assert ask_and_get(host, close_after=True).by == "win1"
    for malform in ("call-id", "context", "alloc-hint", "no-hresult", "cut", "kind"):
        host.set(malform=malform, size=0)
        with KmsCaller(host.where) as c:
            c.send(opaque_body())
            wrong = c.read_pdu()
        good = answer_stub("win1", host.calls[-1].body)
        assert {
            "call-id": wrong.call_id != 2, "context": wrong.unpack("H", 4)[0] != 0, "alloc-hint": wrong.unpack("I")[0] == 0xFFFFFFFF,
            "no-hresult": wrong.rest[8:] == good[:-4], "cut": wrong.rest[8:] == good[:13], "kind": wrong.kind == 12,
        }[malform]


def test_binds_are_refused_and_connections_end(rpc_host):
    host = rpc_host("win1", bind="nak", nak_reason=2)
    with pytest.raises(Refused, match="reason 2"):
        KmsCaller(host.where)
    host.reset().set(accept="close")
    with pytest.raises(Ended):
        KmsCaller(host.where)
    host.reset()
    idle, busy = KmsCaller(host.where), KmsCaller(host.where)
    host.set(hold=True)
    busy.send(opaque_body())
    host.wait("the call is there", lambda h: h.held() == 1)
    assert host.end_idle() == 1 and idle.ended()
    host.release()
    assert busy.read().by == "win1"
    host.set(hold=False, stale_reset_s=0.0)
    with pytest.raises(Ended):
        busy.ask(opaque_body())
    host.down()
    with pytest.raises(ConnectionRefusedError):
        KmsCaller(host.where)
    assert ask_once(host.reset().listen().where).by == "win1"


def test_calls_are_multiplexed_only_where_it_was_offered(rpc_host):
    host = rpc_host("win1", mpx=True, batch=3, fragment=20)
    with KmsCaller(host.where) as c:
        stubs = [request_stub(opaque_body()) for _ in range(3)]
        for i, stub in enumerate(stubs):
            c.socket.sendall(b"".join(request(10 + i, stub)))
        pdus = [c.read_pdu() for _ in range(12)]
        assert [p.call_id for p in pdus[:6]] == [12, 11, 10] * 2  # last one first, a fragment of each in turn
        got = {i: b"".join(p.rest[8:] for p in pdus if p.call_id == i) for i in (10, 11, 12)}
        assert all(got[10 + i] == answer_stub("win1", stubs[i][8:]) for i in range(3))
    host.set(mpx=False, hold=True)
    with KmsCaller(host.where) as c:
        c.socket.sendall(b"".join(request(1, stubs[0]) + request(2, stubs[1])))
        assert c.ended()
    assert "no PFC_CONC_MPX" in host.errors.pop()


def test_tiny_fragments_are_enforced(rpc_host):
    host = rpc_host("win1", max_recv=128)
    with KmsCaller(host.where) as c:
        assert c.ask(opaque_body(), size=104).by == "win1"
        with pytest.raises(Ended):
            c.ask(opaque_body(), size=105)
    assert "129 octets, 128 are taken" in host.errors.pop()


def test_a_process_can_be_stopped_and_killed(rpc_host):
    host = rpc_host("win1", process=True)
    assert ask_once(host.where).by == "win1"
    host.set(hold=True)
    c = KmsCaller(host.where, timeout_s=0.3)
    c.send(opaque_body())
    host.wait("the call is there", lambda h: h.held() == 1)
    host.reset().pause()
    with pytest.raises(TimeoutError):
        KmsCaller(host.where, timeout_s=0.3)
    host.resume()
    host.release()
    assert c.read().by == "win1"
    assert host.count("calls") == 2
    host.kill()
    with pytest.raises(ConnectionRefusedError):
        KmsCaller(host.where)


def test_it_stands_a_thousand_requests_a_second(rpc_host):
    """Over few associations, as a relay asks; 50 clients at once besides."""
    host = rpc_host("win1", process=True, mpx=True)
    stub = request_stub(opaque_body())
    calls = b"".join(b"".join(request(i, stub)) for i in range(2000))
    with KmsCaller(host.where) as c:
        started = time.monotonic()
        c.socket.sendall(calls)
        for _ in range(2000):
            c.read_pdu()
        assert time.monotonic() - started < 2
    for o in ask_many(host.where, 200):
        o.check()


def test_each_behaviour_is_known_by_name(rpc_host):
    host = rpc_host("win1")
    with pytest.raises(AttributeError):
        host.set(helpful=True)
    assert "mpx" in Behaviour.FIELDS
