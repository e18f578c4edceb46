"""Row R04: clients that take time, connections or memory and give nothing. Each against the running daemon."""

import contextlib
import socket
import struct
import time

import pytest
from kblib.lab import request_stub, response_body
from kblib.loopback import has_ipv6
from kblib.process import wait_until

BIND = bytes.fromhex(
    "05000b0310000000480000000100000 0d016d01600000000010000000000010075 21c8514e845047b0d8ec255555bc06"
    "01000000045d888aeb1cc9119fe808002b10486002000000".replace(" ", "")
)


def connect(where, source=None):
    return socket.create_connection(where, timeout=10, source_address=(source, 0) if source else None)


def read(s, size):
    data = s.recv(size, socket.MSG_WAITALL)
    assert len(data) == size, f"only {len(data)} octets of {size}"
    return data


def read_pdu(s):
    head = read(s, 16)
    return head + read(s, struct.unpack_from("<H", head, 8)[0] - 16)


def is_closed(s):
    """The peer has closed or reset: nothing more comes."""
    try:
        while s.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def bound(where, source=None):
    s = connect(where, source)
    s.sendall(BIND)
    assert read_pdu(s)[2] == 12
    return s


def ask(s, body):
    stub = request_stub(body)
    s.sendall(struct.pack("<BBBBIHHIIHH", 5, 0, 0, 3, 0x10, 24 + len(stub), 0, 2, len(stub), 0, 0) + stub)
    return response_body(read_pdu(s)[24:])


def drip(s, data, every_s=0.02):
    """How long it took the other side to close."""
    started = time.monotonic()
    s.settimeout(every_s)
    for i in range(len(data)):
        try:
            s.send(data[i : i + 1])
            if not s.recv(1):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    else:
        raise AssertionError("every octet was taken, one at a time")
    return time.monotonic() - started


def test_R04_slowloris_before_and_after_the_bind(lab):
    d = lab("limits: { request: 400ms, idle: 60s }\n")
    assert drip(connect(d.where), BIND + BIND) < 5
    with bound(d.where) as s:
        assert drip(s, b"\x05\x00\x00\x03\x10\0\0\0\xff\x0f\0\0" + bytes(4000)) < 5
    with bound(d.where) as s:  # whole fragments, of a request without an end
        s.settimeout(0.02)
        fragment = struct.pack("<BBBBIHHIIHH", 5, 0, 0, 1, 0x10, 32, 0, 2, 8, 0, 0) + bytes(8)
        started, ended = time.monotonic(), False
        while not ended and time.monotonic() - started < 5:
            try:
                s.sendall(fragment)
                fragment = fragment[:3] + b"\0" + fragment[4:]
                ended = not s.recv(1)
            except TimeoutError:
                continue
            except OSError:
                ended = True
        assert ended
    with bound(d.where) as s:
        assert ask(s, d.key.seal())[0] == 0
    wait_until("nothing is left open", lambda: d.status()["service"]["connections"] == 0)


def test_R04_idle_and_mute_clients_are_closed(lab):
    d = lab("limits: { request: 300ms, idle: 600ms }\n")
    mute, idle = connect(d.where), bound(d.where)
    started = time.monotonic()
    assert is_closed(mute)
    assert time.monotonic() - started < 5
    assert ask(idle, d.key.seal())[0] == 0  # it may idle longer than a request may take
    assert is_closed(idle)


def test_R04_limit_of_one_address(lab, loopback):
    d = lab("limits: { per_address: 3 }\n", listen="127.0.0.1:0")
    one, other = loopback.address(), loopback.address()
    with contextlib.ExitStack() as open_:
        for _ in range(3):
            open_.enter_context(bound(d.where, one))
        for _ in range(5):
            with connect(d.where, one) as s:
                assert is_closed(s)
        with bound(d.where, other) as s:  # somebody else is served
            assert ask(s, d.key.seal())[0] == 0
        d.wait_log(r"client\.refused.*limits\.per_address")
        assert d.status()["service"]["refused"] == 5
    with bound(d.where, one) as s:  # and so is it, when it has closed
        assert ask(s, d.key.seal())[0] == 0


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_R04_limit_holds_on_ipv6(lab):
    d = lab("limits: { per_address: 2 }\n", listen="[::1]:0")
    with bound(d.where), bound(d.where), connect(d.where) as s:
        assert is_closed(s)


def test_R04_limit_of_all_connections(lab, loopback):
    d = lab("limits: { connections: 4 }\n", listen="127.0.0.1:0")
    with contextlib.ExitStack() as open_:
        for _ in range(4):
            open_.enter_context(bound(d.where, loopback.address()))
        with connect(d.where, loopback.address()) as s:
            assert is_closed(s)
        d.wait_log(r"client\.refused.*limits\.connections")


def test_R04_thousands_of_connects_leave_it_serving(lab):
    d = lab("limits: { per_address: 50 }\n")
    with contextlib.ExitStack() as open_:
        held = [open_.enter_context(bound(d.where)) for _ in range(50)]
        for _ in range(2000):
            with socket.socket() as s:
                s.connect(d.where)
        assert ask(held[0], d.key.seal())[0] == 0  # those that came first are served all the while
        wait_until("all were refused", lambda: d.status()["service"]["refused"] == 2000)
        assert d.count_log(r"client\.refused") == 1  # one line, not two thousand
    with bound(d.where) as s:
        assert ask(s, d.key.seal())[0] == 0


def test_R04_sizes_and_fragments_are_bounded(lab):
    d = lab()
    with bound(d.where) as s:
        s.sendall(b"\x05\x00\x00\x03\x10\0\0\0\xff\xff\0\0\2\0\0\0")
        assert is_closed(s)
    d.wait_log(r"rpc\.ended.*more than 5840 bytes")
    for stub, count in ((bytes(4096), 5), (bytes(8), 300)):
        with bound(d.where) as s:
            with contextlib.suppress(OSError):
                for i in range(count):
                    head = struct.pack("<BBBBIHHIIHH", 5, 0, 0, int(i == 0), 0x10, 24 + len(stub), 0, 2, 0, 0, 0)
                    s.sendall(head + stub)
            assert is_closed(s)
    with bound(d.where) as s:
        assert ask(s, d.key.seal())[0] == 0


def test_limits_change_with_a_reload(lab):
    d = lab("limits: { per_address: 1 }\n")
    config = d.folder / "kb.yaml"
    with bound(d.where):
        with connect(d.where) as s:
            assert is_closed(s)
        config.write_text(config.read_text().replace("per_address: 1", "per_address: 2, request: 200ms"))
        assert d.command("reload").code == 0
        with bound(d.where), connect(d.where) as s:
            assert is_closed(s)
    with connect(d.where) as mute:
        assert is_closed(mute)
