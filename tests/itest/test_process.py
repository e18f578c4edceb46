"""The daemon as a process: root given up for good, what a service manager hears, how many files it may open."""

import configparser
import os
import pathlib
import pwd
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest
from kblib.kms_caller import ask_once
from kblib.lab import start_lab
from kblib.process import ROOT, wait_until
from kblib.relay import Relay

USER = "nobody"
UNIT = os.path.join(ROOT, "configs", "kmsbeacon.service")
SOCKETS = os.path.join(ROOT, "configs", "kmsbeacon.socket")
# a process that has changed its user is not dumpable, and so not open to the leak checker
NO_LEAK_CHECK = {"ASAN_OPTIONS": "detect_leaks=0"}


@pytest.fixture
def folder():
    """One that another user can reach, as the folders of pytest are not. First of a test's fixtures: it goes last."""
    with tempfile.TemporaryDirectory(prefix="kmsbeacon-itest.") as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def as_user(daemon, folder, loopback, user=USER, **how):
    d = start_lab(daemon, folder / "lab", loopback.address() + ":0", env=NO_LEAK_CHECK, **how)
    d.stop()
    d.state = folder / "lab" / "state"
    config = folder / "lab" / "kb.yaml"
    config.write_text(config.read_text().replace("node: {", f"node: {{ user: {user},"))
    return d, config


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root")
def test_root_is_given_up_and_the_state_is_the_users(folder, daemon, loopback, kb):
    uid = pwd.getpwnam(USER).pw_uid
    first, config = as_user(daemon, folder, loopback)  # as root: it leaves a state folder of root's
    assert os.stat(first.state / "state.db").st_uid == 0
    d = daemon(config, env=NO_LEAK_CHECK)
    d.wait_log(r"daemon\.ready")
    d.wait_log(rf"privileges\.dropped user={USER} uid={uid}")
    s = status_of(d.pid)
    assert set(s["Uid"].split()) == {str(uid)}, s
    assert "0" not in s["Gid"].split() and "0" not in s["Groups"].split(), s
    assert s["NoNewPrivs"] == "1"
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        assert int(s[name], 16) == 0, s
    assert {p.name: p.stat().st_uid for p in first.state.iterdir() if p.stat().st_uid != uid} == {}
    assert first.state.stat().st_uid == uid
    # it serves, reloads, answers at its socket, and what it writes is its user's
    d.status = lambda: d.command("status", "--json").json
    address = d.status()["service"]["listen"][0]
    key = first.state / "lab.key"
    r = kb("client", "fleet", "--count", 5, "--product", "server", "--key", key, "--state", folder / "f.json",
           "--hosts-from", address)
    assert "5 clients in" in r.out, r
    assert d.status()["service"]["count"] == 5
    assert d.command("reload").code == 0
    d.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root")
def test_request_log_is_the_users(folder, daemon, loopback, rpc_host):
    """A file that root opened gets lines after a reload, too."""
    host = rpc_host("win1")
    log = folder / "requests.log"
    r = Relay(folder, [loopback.address() + ":0"], "relay")
    (folder / "state").mkdir()
    r.write([host], relay=f"log_file: {log}")
    r.config.write_text(r.config.read_text().replace("node: {", f"node: {{ user: {USER},"))
    r.d = daemon(r.config, env=NO_LEAK_CHECK)
    r.d.wait_log(r"privileges\.dropped")
    where = r.status()["service"]["listen"][0].rsplit(":", 1)
    for n in (1, 2):
        assert ask_once((where[0], int(where[1]))).by == "win1"
        wait_until("the request has its line", lambda: log.read_text().count("upstream=win1") == n)  # noqa: B023
        assert r.d.command("reload").code == 0
    assert log.stat().st_uid == pwd.getpwnam(USER).pw_uid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root")
def test_files_that_a_reload_needs_are_named(folder, daemon, loopback):
    _, config = as_user(daemon, folder, loopback)
    config.chmod(0o600)
    d = daemon(config, env=NO_LEAK_CHECK)
    d.wait_log(r"privileges\.unreadable setting=config")
    d.wait_log(r"daemon\.ready")
    mark = d.mark()
    d.signal(signal.SIGHUP)
    d.wait_log(r"reload\.refused", since=mark)
    config.chmod(0o644)
    d.signal(signal.SIGHUP)
    d.wait_log(r"reload\.done", since=mark)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root")
def test_state_folder_of_somebody_else_is_refused(folder, daemon, loopback, kb):
    first, config = as_user(daemon, folder, loopback)
    os.chown(first.state, pwd.getpwnam("daemon").pw_uid, 0)
    r = kb("run", "-c", config, env=NO_LEAK_CHECK)
    assert r.code == 2 and "belongs to somebody else" in r.err, r


@pytest.mark.parametrize("user, says", [("no-such-user-here", "useradd"), ("root", "is root")])
def test_users_that_cannot_be(folder, daemon, loopback, kb, user, says):
    _, config = as_user(daemon, folder, loopback, user=user)
    r = kb("run", "-c", config)
    assert r.code == 2 and says in r.err, r


def test_service_manager_hears_ready_reload_stop_and_that_it_is_alive(folder, daemon, loopback):
    path = str(folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(20)
        heard = lambda: manager.recv(4096).decode()  # noqa: E731
        d = start_lab(daemon, folder / "lab", loopback.address() + ":0",
                      env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
        assert heard() == "READY=1\nSTATUS=0 domains published"
        assert [heard() for _ in range(3)] == ["WATCHDOG=1"] * 3
        d.signal(signal.SIGHUP)
        said = [heard()]
        while not said[-1].startswith("READY"):
            said.append(heard())
        assert [x.split("=")[0] for x in said if x != "WATCHDOG=1"] == ["RELOADING", "READY"]
        d.signal(signal.SIGTERM)
        while (last := heard()) == "WATCHDOG=1":
            pass
        assert last == "STOPPING=1"
        d.wait()


@pytest.mark.skipif("KMSBEACON_TEST_VALGRIND" in os.environ, reason="valgrind keeps the limit of open files to itself")
def test_open_files_are_raised_or_the_lack_is_said(daemon, loopback, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        d = start_lab(daemon, tmp_path / "lab", loopback.address() + ":0", extra="limits: { connections: 1000 }\n")
        limits = open(f"/proc/{d.pid}/limits", encoding="ascii").read()
        assert re.search(r"Max open files\s+1512 ", limits), limits
        assert d.count_log(r"limits\.files") == 0
        if os.geteuid() != 0:  # root may go past the hard limit
            config = d.folder / "kb.yaml"
            config.write_text(config.read_text().replace("connections: 1000", f"connections: {min(hard, 900000)}"))
            assert d.command("reload").code == 0
            d.wait_log(r"limits\.files.*LimitNOFILE")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_unit_file_is_one_and_hardened(tmp_path):
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read(UNIT)
    service = unit["Service"]
    assert (service["Type"], service["User"], service["NoNewPrivileges"]) == ("notify", "kmsbeacon", "yes")
    assert int(service["LimitNOFILE"]) >= 20000 + 512
    if shutil.which("systemd-analyze"):
        copy = tmp_path / "kmsbeacon.service"
        with open(UNIT, encoding="ascii") as f:
            lines = [line for line in f if not line.startswith("Documentation=")]  # the manual need not be installed
        copy.write_text("".join(lines).replace("/usr/bin/kmsbeacon", "/bin/true"))
        sockets = tmp_path / "kmsbeacon.socket"
        with open(SOCKETS, encoding="ascii") as f:
            sockets.write_text("".join(line for line in f if not line.startswith("Documentation=")))
        r = subprocess.run(["systemd-analyze", "verify", copy, sockets], capture_output=True, text=True, timeout=60)
        assert r.returncode == 0 and r.stderr.strip() == "", r.stderr
        r = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--threshold=25", copy], capture_output=True, text=True, timeout=60
        )
        assert r.returncode == 0, r.stdout[-1500:]  # exposure of at most 2.5 of 10
