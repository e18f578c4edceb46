"""`make demo` plays to its end, and leaves nothing behind, also when it is stopped half-way."""

import os
import signal
import subprocess

import pytest

from kblib.process import ROOT, wait_until
from kblib.program import PROGRAM


def processes_in(folder):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd").startswith(str(folder)):
                found.append(pid)
        except OSError:
            pass  # gone, or another user's
    return found


@pytest.fixture
def demo(tmp_path):
    p = subprocess.Popen(
        ["/usr/bin/python3", os.path.join(ROOT, "tools", "demo.py")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, env=dict(os.environ, TMPDIR=str(tmp_path), KMSBEACON=PROGRAM),
    )
    yield p
    p.kill()
    p.wait()
    assert processes_in(tmp_path) == []
    assert os.listdir(tmp_path) == []


def test_demo_plays_to_its_end(demo):
    out = demo.communicate(timeout=110)[0]
    assert demo.returncode == 0, out
    assert "8/8  Stop" in out and "\nDone in " in out
    assert "\033" not in out  # no terminal, no colours
    for word in ("planned", "proven", "unchanged", "Product activated successfully.", "used by more than one machine", "(no record)"):
        assert word in out


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_demo_that_is_stopped_cleans_up(demo, tmp_path, number):
    seen = []
    for line in demo.stdout:
        seen.append(line)
        if line.startswith("4/8"):
            break
    wait_until("its servers run", lambda: len(processes_in(tmp_path)) >= 4)
    demo.send_signal(number)
    out = "".join(seen) + demo.communicate(timeout=60)[0]
    assert demo.returncode == 1, out
    assert out.splitlines()[-1] == f"The demo stopped at step 4 of 8: stopped by {signal.Signals(number).name}"
    assert "--- the last lines of" in out


def test_demo_gives_the_reason(tmp_path):
    env = dict(os.environ, TMPDIR=str(tmp_path), KMSBEACON="/bin/false")
    r = subprocess.run(
        ["/usr/bin/python3", os.path.join(ROOT, "tools", "demo.py")], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60, env=env,
    )
    assert r.returncode == 1 and os.listdir(tmp_path) == []
    assert r.stdout.splitlines()[-1].startswith("The demo stopped at step 1 of 8: `kmsbeacon lab keygen lab.key` ended with")
