"""A child process whose output lines are kept, and waited for."""

import ctypes
import os
import re
import signal
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
# where the program runs under valgrind, every limit that a test sets for itself is longer
SLOWER = float(os.environ.get("KMSBEACON_TEST_SLOWER", "1"))


def die_with_parent():
    """In the child, before exec: a test run that is killed leaves no server behind."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def wait_until(what, condition, timeout_s=20.0, every_s=0.02):
    """The first true value of condition(); for things that only polling shows. `what` names it in the failure."""
    end = time.monotonic() + timeout_s * SLOWER
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(every_s)


class Process:
    """Starts at once; stdout and stderr are one stream of lines."""

    def __init__(self, name, argv, env=None, cwd=None, preexec=die_with_parent, pass_fds=()):
        self.name = name
        self.lines = []
        self._news = threading.Condition()
        self._ended = False
        self._p = subprocess.Popen(
            [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=env, cwd=cwd, text=True, errors="replace", preexec_fn=preexec, pass_fds=pass_fds,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with self._p.stdout:  # closed at its end: who still holds this Process holds no descriptor
            for line in self._p.stdout:
                with self._news:
                    self.lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def pid(self):
        return self._p.pid

    @property
    def running(self):
        return self._p.poll() is None

    @property
    def log(self):
        with self._news:
            return "\n".join(self.lines)

    def mark(self):
        """A place in the log, for wait_log(since=...)."""
        with self._news:
            return len(self.lines)

    def wait_log(self, pattern, timeout_s=20.0, since=0):
        """The match of `pattern` in the first line that has one, already there or yet to come."""
        rx = re.compile(pattern)
        end = time.monotonic() + timeout_s * SLOWER
        with self._news:
            while True:
                while since < len(self.lines):
                    m = rx.search(self.lines[since])
                    since += 1
                    if m:
                        return m
                if self._ended:
                    raise AssertionError(f"{self.name} ended before it said {pattern!r}")
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{self.name} did not say {pattern!r} within {timeout_s:g} s")
                self._news.wait(left)

    def count_log(self, pattern, since=0):
        with self._news:
            return sum(1 for line in self.lines[since:] if re.search(pattern, line))

    def signal(self, number):
        if self.running:
            self._p.send_signal(number)

    def wait(self, timeout_s=20.0):
        """Exit code; the log is complete then."""
        code = self._p.wait(timeout_s * SLOWER)
        self._reader.join(5)
        return code

    def stop(self, timeout_s=20.0):
        """SIGTERM, and the exit code. One that does not go is killed, and that is a failure."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} still ran {timeout_s:g} s after SIGTERM") from None

    def kill(self):
        self.signal(signal.SIGKILL)
        self._p.wait()
        self._reader.join(5)
