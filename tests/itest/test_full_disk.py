"""A disk without room and a process without descriptors, as the kernel makes them: the daemon says so, goes on, and recovers.

The disk is a small tmpfs in a mount namespace of the program; it is seen from here as /proc/PID/root/....
"""

import errno
import os
import resource
import shutil
import socket
import subprocess

import pytest

from kblib.kms_caller import ask_once
from kblib.process import die_with_parent, wait_until
from kblib.relay import Relay
from kblib.site import CORP, ONE

UNSHARE = ["unshare", "--user", "--map-root-user", "--mount", "--"]
MOUNT = 'mount -t tmpfs -o size={size},mode=0700 small "$0" && exec "$@"'
FILL = 'mount -t tmpfs -o size=64k,mode=0700 small "$0" && { cat /dev/zero >"$0/filler" 2>/dev/null; "$@"; code=$?; ls -A "$0"; exit $code; }'


def may_mount():
    """Whether this machine lets us have a disk of our own; containers often do not."""
    argv = [*UNSHARE, "mount", "-t", "tmpfs", "small", "/mnt"]
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=10).returncode == 0
    except OSError:
        return False


needs_mount = pytest.mark.skipif(not may_mount(), reason="no mount namespace may be made here")


class SmallDisk:
    """`prefix` before a command line gives it this disk at `folder`."""

    def __init__(self, folder, size="1m"):
        folder.mkdir()
        self.folder = folder
        self.prefix = [*UNSHARE, "sh", "-c", MOUNT.format(size=size), str(folder)]
        self.root = None

    def of(self, daemon):
        self.root = f"/proc/{daemon.pid}/root{self.folder}"
        return self

    def fill(self):
        with open(f"{self.root}/filler", "wb", buffering=0) as f:
            for size in (1 << 16, 4096, 1):
                try:
                    while f.write(bytes(size)) == size:
                        pass
                except OSError as e:
                    assert e.errno == errno.ENOSPC
        assert shutil.disk_usage(self.root).free == 0

    def free(self):
        os.unlink(f"{self.root}/filler")


def rdata(site):
    return [r.split(" ", 1)[1] for r in site.shown()]


def host(weight):
    return f"{{ name: one, target: kms1.{CORP}, port: 1688, priority: 0, weight: {weight} }}"


@needs_mount
def test_O14_full_disk_and_the_state_file(site, daemon, tmp_path):
    """What is configured goes out, what is to go waits; with room again all is right, and the journal knows it."""
    site.start(secondary=False)
    disk = SmallDisk(tmp_path / "disk")

    def config(weight):
        path = site.config(hosts=[host(weight)], publish="  refresh: 1s\n")
        path.write_text(path.read_text().replace(f"state_dir: {tmp_path}/state", f"state_dir: {disk.folder}/state"))
        return path

    d = daemon(config(10), prefix=disk.prefix)
    d.wait_log("publisher.proven")
    disk.of(d).fill()
    config(20)
    assert d.command("reload").code == 0
    d.wait_log("journal-failed")
    d.wait_log("events.not_saved")
    new = f"0 20 1688 kms1.{CORP}."
    wait_until("the new record is out", lambda: sorted(rdata(site)) == sorted([ONE, new]))
    assert d.command("status", "--json").code == 0
    disk.free()
    wait_until("the old record goes", lambda: rdata(site) == [new])
    r = d.command("withdraw", "--json")
    assert r.code == 0 and r.json["domains"][0]["state"] == "proven", r
    assert rdata(site) == []


@needs_mount
def test_O14_full_disk_and_the_logs(daemon, loopback, tmp_path, rpc_host):
    """Log and request log on the full disk: clients are served all the same, and what was lost is told."""
    disk = SmallDisk(tmp_path / "disk", size="128k")
    relay = Relay(tmp_path, [loopback.address() + ":0"], "relay")
    relay.write([rpc_host("win1")], level="debug", relay=f"request_timeout: 2s; log_file: {disk.folder}/requests")
    to_log = ["sh", "-c", 'exec "$@" 2>>"$0"', str(disk.folder / "log")]
    relay.d = daemon(relay.config, prefix=[*disk.prefix, *to_log])
    disk.of(relay.d)

    def said(name):
        with open(f"{disk.root}/{name}", encoding="utf-8") as f:
            return f.read()

    wait_until("it runs", lambda: os.path.exists(f"{disk.root}/log") and "daemon.ready" in said("log"))
    where = relay.status()["service"]["listen"][0].rsplit(":", 1)

    def ask():
        assert ask_once((where[0], int(where[1])))

    relay.wait_states(win1="up")
    ask()
    wait_until("the request is written down", lambda: len(said("requests").splitlines()) == 1)
    disk.fill()

    def is_full():
        ask()
        return all(len(said(name)) % resource.getpagesize() == 0 for name in ("log", "requests"))

    wait_until("the last pages of both files are full", is_full)
    for _ in range(3):
        ask()
    assert relay.d.command("status").code == 0
    disk.free()
    ask()
    wait_until("the log tells what it lacks", lambda: " log.lost lines=" in said("log") and "No space left" in said("log"))
    wait_until("so does the log of requests", lambda: "request_log.works" in said("log"))
    before = len(said("requests").splitlines())
    ask()
    wait_until("requests are written down again", lambda: len(said("requests").splitlines()) > before)


@needs_mount
@pytest.mark.parametrize("words", [
    ["lab", "keygen", "{disk}/new.key"],
    ["client", "skms", "--state", "{disk}/client.json", "kms.test", "--name", "pc1"],
], ids=["key", "client"])
def test_O14_full_disk_and_files_of_commands(kb, tmp_path, words):
    """Nothing is left of a file that could not be written, and the command says why."""
    disk = tmp_path / "disk"
    disk.mkdir()
    prefix = [*UNSHARE, "sh", "-c", FILL, str(disk)]
    r = kb(*(w.format(disk=disk) for w in words), prefix=prefix)
    assert r.code in (1, 2) and "No space left on device" in r.err, r
    assert r.out.splitlines()[-1] == "filler" and "\nfiller" in "\n" + r.out.removesuffix("\n"), r


@needs_mount
def test_O14_full_disk_and_a_key_of_the_lab(kb, tmp_path):
    """The lab key that is made at the first start finds no room: it does not start, and says so."""
    disk = tmp_path / "disk"
    disk.mkdir()
    config = tmp_path / "kb.yaml"
    config.write_text(
        f"node: {{ target: kms1.lab.test, state_dir: {tmp_path}/state, control: {{ socket: {tmp_path}/sock }} }}\n"
        "service: { mode: lab, listen: ['127.0.0.1:0'] }\nhosts: []\ndiscovery: { resolvers: ['127.0.0.1:9'] }\n"
        f"lab: {{ key_file: {disk}/lab.key }}\n"
    )
    r = kb("run", "-c", config, prefix=[*UNSHARE, "sh", "-c", FILL, str(disk)])
    assert r.code == 1 and "daemon.failed" in r.err and str(disk / "lab.key") in r.err, r
    assert r.out.split() == ["filler"], r


def few_descriptors():
    die_with_parent()
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


@needs_mount  # outside of a namespace of ours, root may go past the limit
def test_descriptors_that_run_out(site, daemon, tmp_path):
    """Clients take the last descriptor: that is told, nobody spins, and all works again when they have gone."""
    site.start(secondary=False)
    at = f"{site.loopback.address()}:0"
    path = site.config(hosts=[host(10)], publish="  refresh: 1s\n")
    path.write_text(
        path.read_text().replace("service: { mode: off }", f"service: {{ mode: lab, listen: ['{at}'] }}")
        + "limits: { request: 1h, idle: 1h }\n"
    )
    d = daemon(path, prefix=UNSHARE, preexec=few_descriptors)
    d.wait_log("publisher.proven")
    where = d.command("status", "--json").json["service"]["listen"][0].rsplit(":", 1)
    clients = [socket.create_connection((where[0], int(where[1])), timeout=5) for _ in range(100)]
    d.wait_log(r"warning kms client\.refused .*Too many open files")
    d.wait_log(r"warning publisher.*Too many open files")  # a check needs a socket
    lines = d.mark()
    for c in clients:
        c.close()
    mark = d.mark()
    assert mark - lines < 200
    wait_until("it is asked again", lambda: d.command("status", "--json").code == 0)
    r = d.command("publish", "--json")
    assert r.code == 0 and r.json["domains"][0]["state"] in ("unchanged", "proven"), r
    with socket.create_connection((where[0], int(where[1])), timeout=5):
        pass
