"""The KMS service against a bare epoll server that moves the same bytes, both in one run.

    BENCH_KMS_S=3      seconds of each run        BENCH_KMS_CONNECTIONS=64      side by side

An activation is a connection of its own: connect, bind, request, close. Its requests are real: made with the lab
key of the daemon, each of another machine, decrypted, counted, answered and recorded by it. echo.c answers with as
many bytes and looks at nothing but lengths. The load generator is one and the same. Processor time is that of the
server alone, all its threads, as the kernel's scheduler counted it; the two alternate.
"""

import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys

from common import BUILD, PROGRAM, RUNS, cpu_s, fact, memory, spread, write
from kblib.lab import LabKey, request_stub
from kblib.loopback import Loopback
from kblib.process import Process, die_with_parent

SECONDS = os.environ.get("BENCH_KMS_S", "3")
CONNECTIONS = os.environ.get("BENCH_KMS_CONNECTIONS", "64")
MACHINES = 5000
IDLE = 10000
LOAD = os.path.join(BUILD, "bench", "kmsload")
ECHO = os.path.join(BUILD, "bench", "echo")
# one context item: KMS 1.0 with NDR32
BIND = bytes.fromhex(
    "05000b03100000004800000001000000d016d01600000000010000000000010075" "21c8514e845047b0d8ec255555bc0601000000"
    "045d888aeb1cc9119fe808002b10486002000000"
)
BIND_ACK, RESPONSE = 60, 24 + 12 + 152 + 4


class Daemon(Process):
    def __init__(self, folder, address):
        limits = f"connections: {IDLE + 5000}, per_address: 1000, idle: 1h"
        config = write(
            folder, "kms.yaml",
            f"node: {{ target: kms1.bench.test, state_dir: {folder}/state, control: {{ socket: {folder}/sock }} }}\n"
            f"service: {{ mode: lab, listen: ['{address}:0'] }}\nhosts: []\nlimits: {{ {limits} }}\n",
        )
        super().__init__("kmsbeacon", [PROGRAM, "run", "-c", config], env=dict(os.environ, LC_ALL="C.UTF-8"))
        at = self.wait_log(r"service\.listening.* address=(\S+)").group(1)
        self.wait_log(r"daemon\.ready")
        self.where = at.rsplit(":", 1)


class Echo:
    def __init__(self, address):
        self._p = subprocess.Popen(
            [ECHO, address, str(BIND_ACK), str(RESPONSE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=die_with_parent,
        )
        self.pid = self._p.pid
        self.where = [address, self._p.stdout.readline().strip()]

    def stop(self):
        self._p.stdin.close()
        self._p.wait(10)


def requests(key):
    """A bind, then the requests of many machines."""
    out = [BIND]
    for i in range(MACHINES):
        stub = request_stub(key.seal(name=f"pc{i:05}"))
        out.append(struct.pack("<BBBBIHHIIHH", 5, 0, 0, 3, 0x10, 24 + len(stub), 0, 2, len(stub), 0, 0) + stub)
    return b"".join(out)


def load(server, path):
    before = cpu_s(server.pid)
    r = subprocess.run(
        [LOAD, "run", *server.where, CONNECTIONS, SECONDS, path], capture_output=True, text=True, timeout=120, check=True
    )
    m = json.loads(r.stdout)
    assert m["failed"] == 0, m
    m["per_cpu_s"] = m["done"] / (cpu_s(server.pid) - before)
    return m


def idle(daemon, path):
    """Octets that each of many bound connections takes of the daemon's memory."""
    before = memory(daemon.pid)["rss"]
    with subprocess.Popen(
        [LOAD, "hold", *daemon.where, str(IDLE), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=die_with_parent,
    ) as p:
        held = p.stdout.readline().strip() == "held"
        each = (memory(daemon.pid)["rss"] - before) * 1024 / IDLE
        p.stdin.close()
    return each if held else None


def run(folder, rows):
    net = Loopback()
    daemon, echo = Daemon(folder, net.address()), Echo(net.address())
    path = os.path.join(folder, "pdus")
    try:
        key = os.path.join(folder, "state", "lab.key")
        with open(path, "wb") as f:
            f.write(requests(LabKey(pathlib.Path(key))))
        each = idle(daemon, path)
        peer, ours = [], []
        for i in range(RUNS):
            print(f"kms: run {i + 1} of {RUNS}", file=sys.stderr)
            peer.append(load(echo, path))
            ours.append(load(daemon, path))
    finally:
        daemon.stop()
        echo.stop()
    a = statistics.median(m["per_cpu_s"] for m in peer)
    b = statistics.median(m["per_cpu_s"] for m in ours)
    p99 = [statistics.median(m["p99_us"] for m in who) / 1e3 for who in (peer, ours)]
    fact(rows, "bare epoll server: activations a CPU-second", f"{a:.0f} ({spread(peer, 'per_cpu_s', 0)})", "", None)
    fact(rows, "kmsbeacon, mode lab: the same", f"{b:.0f} ({spread(ours, 'per_cpu_s', 0)})", "", None)
    fact(rows, "kmsbeacon has of the bare server's activations a CPU-second", f"{b / a:.2f}", ">= 0.7", b / a >= 0.7)
    fact(rows, f"p99 at {CONNECTIONS} connections: bare, kmsbeacon", f"{p99[0]:.1f} ms, {p99[1]:.1f} ms", "", None)
    idle_text = f"{each:.0f} octets" if each is not None else "not held"
    fact(rows, f"{IDLE} idle connections, mode lab: memory of each", idle_text, "<= 4096 octets", each is not None and each <= 4096)
    return f"kms: {CONNECTIONS} connections, {SECONDS} s"
