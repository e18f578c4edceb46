"""The other forms of `status`: slmgr's, and Prometheus'."""

import json
import re
import socket
import threading

import pytest

DLV = [
    "Software licensing service version", "Name", "Description", "Key Management Service is enabled on this machine",
    "Current count", "Listening on Port", "DNS publishing disabled", "KMS priority",
    "Key Management Service cumulative requests received from clients", "Total requests received",
    "Failed requests received", "Requests with License Status Unlicensed", "Requests with License Status Licensed",
    "Requests with License Status Initial grace period",
    "Requests with License Status License expired or Hardware out of tolerance",
    "Requests with License Status Non-genuine grace period", "Requests with License Status Notification",
]


@pytest.fixture
def lab(daemon, loopback, tmp_path):
    own = loopback.address()
    config = tmp_path / "kb.yaml"
    config.write_text(
        f"node: {{ target: kms1.corp.test, state_dir: {tmp_path}/state, control: {{ socket: {tmp_path}/sock }} }}\n"
        f'service: {{ mode: lab, listen: ["{own}:0"] }}\n'
        f"hosts: [ {{ name: local }}, {{ name: other, target: 'kms2.corp.test', port: 1 }} ]\n"
        f'discovery: {{ resolvers: ["{own}:9"], interval: 0s }}\n'
    )
    d = daemon(config)
    d.wait_log(r"daemon\.ready")
    port = d.command("status", "--json").json["service"]["listen"][0].rsplit(":", 1)[1]
    state = ["--state", f"{tmp_path}/client.json"]
    d.command("client", "skms", f"{own}:{port}", *state)
    d.command("client", "ato", *state)
    return d, port


def test_dlv_has_the_labels_of_slmgr_in_their_order(lab):
    d, port = lab
    r = d.command("status", "--dlv")
    assert r.code == 0, r
    labels = [line.strip().split(": ")[0] for line in r.out.splitlines() if line.strip()]
    assert labels == DLV
    assert f"Listening on Port: {port}\n" in r.out
    assert "Current count: 1\n" in r.out and "Total requests received: 1\n" in r.out
    assert "Requests with License Status Initial grace period: 1\n" in r.out


def test_prometheus_can_be_parsed(lab):
    d, _ = lab
    r = d.command("status", "--prometheus")
    assert r.code == 0, r
    values, typed = {}, set()
    for line in r.out.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert kind in ("gauge", "counter") and name not in typed
            assert (kind == "counter") == name.endswith("_total"), line
            typed.add(name)
        elif not line.startswith("# HELP "):
            m = re.fullmatch(r'([a-z_0-9]+)(\{[a-z]+="[^"\n]*"(?:,[a-z]+="[^"\n]*")*\})? (\S+)', line)
            assert m and m[1] in typed, line
            assert (m[1], m[2]) not in values
            values[m[1], m[2]] = float(m[3])
    assert values["kmsbeacon_kms_count", None] == 1
    assert values["kmsbeacon_kms_requests_total", None] == 1
    assert values["kmsbeacon_kms_requests_by_licence_total", '{status="initial_grace"}'] == 1
    assert values["kmsbeacon_host_up", '{host="local",target="kms1.corp.test"}'] == 1
    assert values["kmsbeacon_uptime_seconds", None] >= 0


def test_one_form_at_a_time(lab):
    d, _ = lab
    assert d.command("status", "--dlv", "--json").code == 2


@pytest.mark.parametrize("code, words", [("0x00000000", "found a host"), ("0xC004F074", "ended with 0xC004F074")])
def test_a_doubtful_look_in_words(kb, tmp_path, code, words):
    config, path = tmp_path / "kb.yaml", str(tmp_path / "sock")
    config.write_text(f"node: {{ state_dir: {tmp_path}, control: {{ socket: {path} }} }}\nservice: {{ mode: 'off' }}\n")
    row = {"profile": "modern", "domain": "corp.test", "settled": False, "last_code": code, "result": {}, "candidates": []}
    answer = {"exit": 0, "report": {"version": "1", "service": {}, "hosts": [], "records": [], "discovery": [row]}}
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def serve():
        with listener.accept()[0] as c:
            c.makefile().readline()
            c.sendall(json.dumps(answer).encode() + b"\n")

    server = threading.Thread(target=serve)
    server.start()
    r = kb("status", "-c", config)
    server.join()
    listener.close()
    assert r.code == 0 and f"\n  not sure yet: the last look {words}\n" in r.out, r
