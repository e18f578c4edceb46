"""The daemon in lab mode, seen by clients that are not ours: impacket, raw sockets, signals."""

import json
import os
import signal
import socket
import struct

import pytest
from impacket.dcerpc.v5 import rpcrt, transport
from impacket.uuid import uuidtup_to_bin

from kblib.lab import KMS, request_stub
from kblib.process import SLOWER, wait_until


def bind(where):
    rpc = transport.TCPTransport(where[0], where[1])
    rpc.set_connect_timeout(5)
    dce = rpc.get_dce_rpc()
    dce.connect()
    dce.bind(uuidtup_to_bin(KMS))
    return dce


def test_impacket_binds_and_probe_says_up(lab, kb):
    d = lab()
    dce = bind(d.where)
    dce.disconnect()
    r = kb("probe", "--json", d.address)
    assert r.code == 0, r
    host = r.json["hosts"][0]
    assert (host["state"], host["port"]) == ("up", d.where[1]), r
    assert host["rtt_ms"] > 0


def test_probe_tells_the_states_apart(lab, kb, loopback):
    d = lab()
    other = socket.create_server((loopback.address(), 0))  # accepts, says nothing
    mute = "%s:%d" % other.getsockname()
    closed = socket.create_server((loopback.address(), 0))
    refused = "%s:%d" % closed.getsockname()
    closed.close()
    r = kb("probe", "--json", "--timeout", "1s", d.address, mute, refused)
    other.close()
    assert r.code == 1
    assert [h["state"] for h in r.json["hosts"]] == ["up", "timeout", "refused"], r


@pytest.mark.parametrize("version", [(0, 4), (0, 5), (0, 6)])
def test_R12_windows_request_gets_a_wellformed_refusal(lab, version):
    d = lab()
    dce = bind(d.where)
    body = struct.pack("<HH", *version) + os.urandom(232)  # opaque: nothing here is a Microsoft message
    dce.call(0, request_stub(body))
    answer = dce.recv()
    assert struct.unpack("<I", answer[-4:])[0] == 0xC004F042
    dce.disconnect()
    d.wait_log(r"0xC004F042")
    assert d.status()["service"]["failed"] == 1
    (event,) = [json.loads(line) for line in d.command("events", "--json").out.splitlines() if "lab.refused" in line]
    assert (event["id"], event["level"], event["hresult"]) == (None, "warning", "0xC004F042") and "licensed" in event["text"]


def test_unknown_operation_is_a_fault(lab):
    d = lab()
    dce = bind(d.where)
    dce.call(7, b"")
    with pytest.raises(rpcrt.DCERPCException) as e:
        dce.recv()
    assert e.value.get_error_code() == 0x1C010002 or "1c010002" in str(e.value).lower() or "op_rng" in str(e.value)
    dce.call(0, request_stub(b"\x06\0" + os.urandom(30)))  # the association goes on
    dce.disconnect()


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x05\x00\x0b\x03\x10\0\0\0\xff\xff\0\0\1\0\0\0" + b"\0" * 64,  # a fragment of 65535 octets
        b"\x05\x00\x0b\x03\x10\0\0\0\x08\0\0\0\1\0\0\0",  # shorter than its header
        b"\x05\x00\x00\x03\x10\0\0\0\x18\0\0\0\1\0\0\0" + b"\0" * 8,  # a request before a bind
        b"\0" * 16,
    ],
)
def test_malformed_pdu_ends_that_connection_only(lab, junk):
    d = lab()
    with socket.create_connection(d.where, timeout=5 * SLOWER) as s:
        s.sendall(junk)
        s.shutdown(socket.SHUT_WR)
        s.settimeout(5)
        while s.recv(4096):
            pass
    bind(d.where).disconnect()


def test_client_outside_allow_is_closed_before_a_byte(lab, tmp_path):
    d = lab("", listen="127.0.0.1:0", name="open")
    config = d.folder / "kb.yaml"
    config.write_text(config.read_text().replace("mode: lab,", "mode: lab, allow: [192.0.2.0/24],"))
    d.signal(signal.SIGHUP)
    d.wait_log(r"reload\.done")
    with socket.create_connection(d.where, timeout=5 * SLOWER) as s:
        s.settimeout(5)
        try:
            assert s.recv(1) == b""
        except ConnectionResetError:
            pass
    d.wait_log(r"127\.0\.0\.1.*allow|allow.*127\.0\.0\.1")
    assert d.status()["service"]["refused"] == 1


def test_address_in_use_is_one_sentence(lab, daemon, kb, tmp_path):
    d = lab()
    config = tmp_path / "second.yaml"
    text = (d.folder / "kb.yaml").read_text().replace(f"{d.folder}/", f"{tmp_path}/second-")
    config.write_text(text.replace(":0\"", f":{d.where[1]}\""))
    r = kb("run", "-c", config)
    assert r.code == 1
    assert f"cannot listen on {d.address}: another program has this port" in r.err, r


def test_two_daemons_do_not_share_a_state_directory(lab, kb):
    d = lab()
    r = kb("run", "-c", d.folder / "kb.yaml")
    assert r.code == 1
    assert f"process {d.pid}" in r.err, r


def test_reload_keeps_the_old_configuration_where_the_new_one_is_wrong(lab):
    d = lab()
    config = d.folder / "kb.yaml"
    good = config.read_text()
    config.write_text(good + "nonsense: 1\n")
    d.signal(signal.SIGHUP)
    d.wait_log(r"reload\.refused")
    bind(d.where).disconnect()
    config.write_text(good)
    mark = d.mark()
    d.signal(signal.SIGHUP)
    d.wait_log(r"reload\.done", since=mark)


def test_reload_command_says_what_is_wrong(lab):
    d = lab()
    config = d.folder / "kb.yaml"
    good = config.read_text()
    r = d.command("reload")
    assert r.code == 0, r
    d.wait_log(r"reload\.done")  # the answer may be quicker than the log's way here
    assert d.log.count("reload.done") == 1
    config.write_text(good + "keys: [{ name: corp, file: nowhere.key }]\n")  # only the daemon opens key files
    r = d.command("reload", "--json")
    assert r.code == 2 and "keys.corp.file" in r.json["errors"][0], r
    assert "stays in force" in r.err, r
    config.write_text(good + "nonsense: 1\n")
    r = d.command("reload")
    assert r.code == 2 and "nonsense" in r.err, r
    bind(d.where).disconnect()
    config.write_text(good)
    d.stop()
    assert d.command("reload").code == 1


def lab_client(kb, d, n, *words, **how):
    state = d.folder / f"client{n}.json"
    args = ["--json", "--state", state, "--key", d.folder / "state" / "lab.key", "--name", f"pc{n:02}"]
    return kb("client", *words, *args, **how)


def test_lab_clients_reach_the_threshold(lab, kb):
    d = lab()
    for n in range(1, 6):
        lab_client(kb, d, n, "skms", d.address, "--product", "server")
        r = lab_client(kb, d, n, "ato")
        if n < 5:
            assert r.code == 1 and r.json["result"]["code"] == "0xC004F038", r
        else:
            assert r.code == 0 and r.json["activated"] is True, r
        assert r.json["count"] == n
    again = lab_client(kb, d, 1, "ato")  # a known machine does not raise the count
    assert again.code == 0 and again.json["count"] == 5, again
    service = d.status()["service"]
    assert (service["count"], service["clients_30d"], service["requests"]) == (5, 5, 6)


def test_dlv_shows_the_licence_in_slmgrs_order(lab, kb):
    d = lab()
    for n in range(1, 6):
        lab_client(kb, d, n, "skms", d.address, "--product", "server")
        lab_client(kb, d, n, "ato")
    text = kb("client", "dlv", "--state", d.folder / "client5.json").out
    labels = ["Name:", "Description:", "Activation ID:", "License Status: Licensed", "Volume activation expiration:",
              "Client Machine ID (CMID):", "Registered KMS machine name:", "KMS host caching is enabled"]
    at = [text.find(label) for label in labels]
    assert -1 not in at and at == sorted(at), text


def test_product_of_a_client_that_exists_is_not_changed(lab, kb):
    d = lab()
    lab_client(kb, d, 1, "skms", d.address)
    r = lab_client(kb, d, 1, "ato", "--product", "office")
    assert r.code == 2 and "--product" in r.err, r
    assert lab_client(kb, d, 1, "ato", "--product", "windows").code == 1


def test_another_lab_key_is_refused_and_said(lab, kb, tmp_path):
    d = lab()
    other = tmp_path / "other.key"
    kb("lab", "keygen", other)
    state = tmp_path / "c.json"
    kb("client", "skms", d.address, "--state", state)
    r = kb("client", "ato", "--json", "--state", state, "--key", other)
    assert r.code == 1
    d.wait_log(r"lab key")


def test_no_secret_at_any_log_level(lab, kb):
    d = lab()
    lab_client(kb, d, 1, "skms", d.address)
    r = lab_client(kb, d, 1, "ato")
    secret = [x for x in (d.folder / "state" / "lab.key").read_text().splitlines() if not x.startswith("#")][0].strip()
    shown = (d.log + r.out + r.err + json.dumps(d.status())).lower()
    for i in range(0, len(secret), 16):
        assert secret[i : i + 16].lower() not in shown


def test_sigterm_stops_in_order_and_frees_the_port(lab):
    d = lab()
    idle = socket.create_connection(d.where, timeout=5 * SLOWER)
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    idle.close()
    assert not os.path.exists(d.folder / "sock")
    with pytest.raises(OSError):
        socket.create_connection(d.where, timeout=1)
    wait_until("the port is free", lambda: not d.running)
