"""Listening sockets that a service manager hands in, as systemd does: a restart that loses no connection."""

import fcntl
import os
import re
import signal
import socket

import pytest

from kblib.kms_caller import KmsCaller, Load, ask_once
from kblib.process import Process, die_with_parent, wait_until
from kblib.program import PROGRAM, Daemon, environment
from kblib.relay import HEALTH, QUICK, slower, upstream
from kblib.rpc_pdu import bind, opaque_body

FIRST = 3


class Manager:
    """Holds the sockets, starts one daemon after another with them, and stops the last."""

    def __init__(self, folder, loopback, n=1):
        self.name, self.folder, self.d = "manager", folder, None
        self.sockets = [socket.create_server((loopback.address(), 0), backlog=1024) for _ in range(n)]
        self.where = self.sockets[0].getsockname()
        self.config = folder / "kb.yaml"

    @property
    def log(self):
        return self.d.log if self.d else ""

    def write(self, upstreams, mode="relay", listen="127.0.0.1:1688", relay=QUICK, extra="", hosts="[{ name: local }]"):
        self.config.write_text(
            f"node: {{ target: kms1.relay.test, state_dir: {self.folder}/state, control: {{ socket: {self.folder}/sock }} }}\n"
            f"service: {{ mode: {mode}, listen: [\"{listen}\"] }}\n"
            f"relay:\n  upstreams: [{', '.join(upstreams)}]\n  {slower(relay)}\n"
            f"health: {{ {slower(HEALTH)} }}\nhosts: {hosts}\n{extra}"
        )
        return self

    def start(self, n_claimed=None, wait=True):
        self.d = HandedDaemon(self.config, self.sockets, len(self.sockets) if n_claimed is None else n_claimed)
        if wait:
            self.d.wait_log(r"daemon\.ready")
        return self.d

    def restart(self):
        self.d.stop()
        return self.start()

    def stop(self):
        try:
            if self.d and self.d.running:
                self.d.stop()
        finally:
            for s in self.sockets:
                s.close()


class HandedDaemon(Daemon):
    """What systemd does between fork and exec: descriptors from 3 on, LISTEN_FDS, and the process's own LISTEN_PID."""

    def __init__(self, config, sockets, n):
        fds = [s.fileno() for s in sockets]

        def hand_over():
            die_with_parent()
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]  # none is overwritten below
            for i, fd in enumerate(high):
                os.dup2(fd, FIRST + i, inheritable=True)
                os.close(fd)

        self.config = str(config)
        become = 'export LISTEN_PID=$$; exec "$@"'
        argv = ["/bin/sh", "-c", become, "sh", PROGRAM, "run", "-c", self.config]
        Process.__init__(self, "daemon", argv, env=environment(LISTEN_FDS=n), preexec=hand_over,
                         pass_fds=range(FIRST, FIRST + len(fds)))


@pytest.fixture
def manager(tmp_path, loopback, started):
    """manager(n) holds n listening sockets."""

    def make(n=1):
        m = Manager(tmp_path, loopback, n)
        started.append(m)
        return m

    return make


def status(d):
    return d.command("status", "--json").json


def local(d):
    (h,) = status(d)["hosts"]
    return h


def test_sockets_take_the_place_of_listen(manager, rpc_host):
    """All of them serve, the first one's port is published, and a reload does not ask for a restart because of them."""
    m = manager(2)
    host = rpc_host("win1")
    m.write([upstream(host)])
    d = m.start()
    listen = [f"{a}:{p}" for a, p in (s.getsockname() for s in m.sockets)]
    assert status(d)["service"]["listen"] == listen
    assert local(d)["port"] == m.where[1]
    d.wait_log(r"service\.sockets sockets=2")
    for s in m.sockets:
        assert ask_once(s.getsockname()).by == "win1"
    m.write([upstream(host)], listen="127.0.0.1:1700")
    assert d.command("reload").code == 0
    d.wait_log(r"reload\.done")
    assert d.count_log(r"reload\.restart_needed") == 0
    assert ask_once(m.where).by == "win1" and local(d)["port"] == m.where[1]


def test_restart_under_load_loses_nobody(manager, rpc_host):
    """Clients that come all the time, a connection for each request: three restarts, and every one is answered."""
    one, two = rpc_host("win1"), rpc_host("win2")
    m = manager().write([upstream(one), upstream(two)])
    m.start()
    load = Load(m.where, concurrent=20, source=lambda i: f"127.0.0.{i + 1}")
    try:
        for _ in range(3):
            load.wait_for(200)
            m.restart()
        load.wait_for(200)
    finally:
        outcomes = load.stop()
    for o in outcomes:
        o.check()
    assert len(outcomes) >= 800


def test_who_comes_while_no_daemon_runs_is_served_by_the_next(manager, rpc_host):
    m = manager().write([upstream(rpc_host("win1"))])
    m.start().stop()
    with KmsCaller(m.where, bind=False) as c:
        c.socket.sendall(bind())
        m.start()
        c.read_pdu()
        assert c.ask(opaque_body()).by == "win1"


def test_request_under_way_is_answered_by_the_old_daemon(manager, rpc_host):
    """The old process answers what it has taken, while the new one takes who comes."""
    host = rpc_host("win1", hold=True)
    m = manager().write([upstream(host)], relay="request_timeout: 20s")
    old = m.start()
    with KmsCaller(m.where) as c:
        c.send(opaque_body())
        host.wait("it is asked", lambda h: h.held() == 1)
        old.signal(signal.SIGTERM)
        old.wait_log(r"daemon\.stopping")
        assert old.running
        host.set(hold=False)
        host.release()
        assert c.read().by == "win1"
    assert old.wait() == 0
    m.start()
    assert ask_once(m.where).by == "win1"


def test_drained_local_turns_clients_away(manager, rpc_host):
    """It cannot close sockets that the manager holds: who comes is accepted and closed at once; resume serves again."""
    m = manager().write([upstream(rpc_host("win1"))])
    d = m.start()
    assert ask_once(m.where).by == "win1"
    assert d.command("drain", "--wait", "--force").code == 0
    d.wait_log(r"service\.drained")
    assert status(d)["service"]["listen"] == [] and local(d)["state"] == "down"
    with KmsCaller(m.where, bind=False) as c:
        assert c.ended()
    assert d.command("resume").code == 0
    wait_until("it serves again", lambda: ask_once(m.where).by == "win1")
    wait_until("local is up", lambda: local(d)["state"] == "up")
    # drained over a restart, too
    assert d.command("drain", "--wait", "--force").code == 0
    d = m.restart()
    d.wait_log(r"service\.drained")
    with KmsCaller(m.where, bind=False) as c:
        assert c.ended()


@pytest.mark.parametrize("what", ["udp", "more"])
def test_what_is_no_listening_socket_is_refused(manager, what):
    """One sentence, and exit code 2 or 1: no daemon that nobody can reach."""
    m = manager().write(['{ name: win1, address: 127.0.0.9 }'])
    if what == "udp":
        m.sockets[0].close()
        m.sockets[0] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    d = m.start(n_claimed=1 if what == "udp" else 40, wait=False)
    assert d.wait() != 0
    assert re.search(r"daemon\.failed .*(is not for TCP|at most 16)", d.log), d.log


def test_sockets_without_a_service(manager):
    m = manager().write(['{ name: win1, address: 127.0.0.9 }'], mode="off", hosts="[]")
    d = m.start()
    d.wait_log(r"service\.sockets .*service\.mode is off")
