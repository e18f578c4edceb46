"""Rows R of the failure modes: probes and the KMS service. R04 has a file of its own, test_rows_limits.py."""

import socket
import struct
import time

import pytest
from kblib.lab import request_stub, response_body
from kblib.loopback import has_ipv6
from kblib.process import SLOWER

BIND = bytes.fromhex(
    "05000b03100000004800000001000000d016d0160000000001000000000001007521c8514e845047b0d8ec255555bc06"
    "01000000045d888aeb1cc9119fe808002b10486002000000"
)
INVALID_TIMESTAMP = 0xC004F06C


def read_pdu(s):
    head = s.recv(16, socket.MSG_WAITALL)
    return head + s.recv(struct.unpack_from("<H", head, 8)[0] - 16, socket.MSG_WAITALL)


def request(body, call_id=2):
    stub = request_stub(body)
    return struct.pack("<BBBBIHHIIHH", 5, 0, 0, 3, 0x10, 24 + len(stub), 0, call_id, len(stub), 0, 0) + stub


def bound(where):
    s = socket.create_connection(where, timeout=10 * SLOWER)
    s.sendall(BIND)
    assert read_pdu(s)[2] == 12
    return s


def ask(s, body):
    s.sendall(request(body))
    return response_body(read_pdu(s)[24:])


def test_R01_a_port_that_accepts_is_not_a_kms_host(kb, kms_host, loopback):
    kinds = {"up": "up", "nak": "rpc-refused", "no-interface": "no-kms-interface", "text": "not-rpc", "mute": "timeout"}
    hosts = {kind: kms_host(kind) for kind in kinds}
    with socket.create_server((loopback.address(), 0)) as closed:
        dead = closed.getsockname()
    r = kb("probe", "--json", "--timeout", f"{SLOWER:g}s", *(f"{h.address}:{h.port}" for h in hosts.values()), "%s:%d" % dead)
    assert r.code == 1
    assert [h["state"] for h in r.json["hosts"]] == [*kinds.values(), "refused"], r


def test_R03_a_stream_may_be_cut_anywhere(lab):
    d = lab()
    with socket.create_connection(d.where, timeout=10 * SLOWER) as s:  # an octet in each segment
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in BIND:
            s.sendall(bytes([octet]))
        assert read_pdu(s)[2] == 12
    with socket.create_connection(d.where, timeout=10 * SLOWER) as s:  # a bind and five requests in one
        s.sendall(BIND + b"".join(request(d.key.seal(), call_id=i) for i in range(2, 7)))
        assert read_pdu(s)[2] == 12
        for call_id in range(2, 7):
            pdu = read_pdu(s)
            assert pdu[2] == 2 and struct.unpack_from("<I", pdu, 12)[0] == call_id
            assert response_body(pdu[24:])[0] == 0


def test_R06_a_reload_leaves_sessions_alone(lab):
    d = lab("limits: { per_address: 2 }\n")
    config = d.folder / "kb.yaml"
    with bound(d.where) as s:
        assert ask(s, d.key.seal())[0] == 0
        config.write_text(config.read_text().replace("per_address: 2", "per_address: 1").replace("mode: lab,", "mode: lab, allow: [192.0.2.0/24],"))
        assert d.command("reload").code == 0
        assert ask(s, d.key.seal())[0] == 0  # it was let in under the rules of its time
        with socket.create_connection(d.where, timeout=10 * SLOWER) as other:
            try:
                assert other.recv(1) == b""
            except ConnectionResetError:
                pass


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_R10_probe_of_what_was_bound(lab, kb):
    """The address and port that status shows are what a health check has to ask, of either family."""
    for name, listen in (("six", "[::1]:0"), ("four", "127.0.0.1:0")):
        d = lab(name=name, listen=listen)
        r = kb("probe", "--json", d.address)
        assert r.code == 0 and r.json["hosts"][0]["state"] == "up", r
        other = f"127.0.0.1:{d.where[1]}" if name == "six" else f"[::1]:{d.where[1]}"
        r = kb("probe", "--json", "--timeout", f"{SLOWER:g}s", other)
        assert r.code == 1 and r.json["hosts"][0]["state"] == "refused", r


def test_R11_clocks_apart_are_named(lab):
    d = lab()
    with bound(d.where) as s:
        for hours in (5, -5):
            code, body = ask(s, d.key.seal(name="late", when=time.time() + hours * 3600))
            assert (code, body) == (INVALID_TIMESTAMP, b"")
    d.wait_log(r"kms\.request.*0xC004F06C,25,late,")
    service = d.status()["service"]
    assert (service["failed"], service["count"]) == (2, 0)
