#!/usr/bin/python3
"""The multi-host run in its long form: faults in random order under load, until the time is over (make soak).

    SOAK_MINUTES=10    how long; the fault at work then still ends        SOAK_RATE=60    activations a second
    SOAK_SEED=...      the order of an earlier run                        SOAK_FAULTS="kill -9 a node;..."    only these

A table at the end. Exit code 1 where an activation failed, a record did not follow, or a fault was noticed that must
not be; then the story of each such activation is printed, and the logs of all programs are in build/soak/.
"""

import os
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "itest")]

from clients import RATE, Load  # noqa: E402
from faults import FAULTS, Faults  # noqa: E402
from kblib.findings import Findings  # noqa: E402
from scene import Scene  # noqa: E402

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
SEED = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(1_000_000))
OVERTIME_S = 300  # after this the run is stuck, and ends
LOGS = pathlib.Path(ROOT, "build", "soak")
HEAD = ("fault", "times", "activations", "failed", "moved on", "slowest ms", "record s", "bound s")


class Progress:
    """One line that is written over, on a terminal; else one line a minute."""

    def __init__(self, load, total_s):
        self._load, self._total_s = load, total_s
        self._began = time.monotonic()
        self.what = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        terminal = sys.stderr.isatty()
        while not self._ended.wait(0.5 if terminal else 60):
            ran = int(time.monotonic() - self._began)
            line = (
                f"{ran // 60}:{ran % 60:02} of {self._total_s / 60:g} min   {self._load.done} activations, "
                f"{self._load.failed} failed   {self.what}"
            )
            print(f"\r{line[:99]:99}" if terminal else line, end="" if terminal else "\n", file=sys.stderr, flush=True)
        if terminal:
            print(f"\r{'':99}\r", end="", file=sys.stderr, flush=True)

    def end(self):
        self._ended.set()
        self._thread.join(5)


def table(outcomes, load):
    """By fault: how often, and the worst of each number."""
    rows = [HEAD]
    for name in FAULTS:
        of = [o for o in outcomes if o.fault == name]
        if of:
            follow = max((o for o in of if o.followed_s is not None), key=lambda o: o.followed_s, default=None)
            rows.append((
                name, str(len(of)), str(sum(o.activations for o in of)), str(sum(o.failed for o in of)),
                str(sum(o.moved for o in of)), f"{1000 * max(o.slowest_s for o in of):.0f}",
                f"{follow.followed_s:.2f}" if follow else "-", f"{follow.bound_s:.2f}" if follow else "-",
            ))
    slowest = max((p.slowest_s for p in load.phases), default=0)
    moved = sum(p.moved for p in load.phases)
    rows.append(("all", str(len(outcomes)), str(load.done), str(load.failed), str(moved), f"{1000 * slowest:.0f}", "", ""))
    widths = [max(len(r[i]) for r in rows) for i in range(len(HEAD))]
    return "\n".join(
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))).rstrip() for r in rows
    )


def rounds(order):
    """Each fault once, in another order each time."""
    names = [n.strip() for n in os.environ.get("SOAK_FAULTS", "").split(";") if n.strip()] or list(FAULTS)
    unknown = [n for n in names if n not in FAULTS]
    if unknown:
        raise SystemExit(f"SOAK_FAULTS: no fault '{unknown[0]}'; there are: {'; '.join(FAULTS)}")
    while True:
        order.shuffle(names)
        yield from list(names)


def play(scene, load, outcomes):
    """Until the time is over, or a fault's own assertion does not hold: what is wrong then is not known to end."""
    order = random.Random(SEED)
    faults = Faults(scene, load, order)
    end = time.monotonic() + MINUTES * 60
    progress = Progress(load, MINUTES * 60)
    try:
        for name in rounds(order):
            if time.monotonic() > end:
                return ""
            progress.what = name
            try:
                outcomes.append(faults.run(name))
            except AssertionError as e:
                p = faults.phase
                return f"{name}: {e}\n" + "\n".join([*p.stories, *p.moves])
    finally:
        progress.end()


def keep_logs(scene):
    LOGS.mkdir(parents=True, exist_ok=True)
    for one in scene.everything:
        (LOGS / f"{one.name}.log").write_text(one.log + "\n", encoding="utf-8")
    print(f"logs of all programs: {LOGS}", file=sys.stderr)


def main():
    def stuck(number, frame):
        raise TimeoutError(f"still running {OVERTIME_S} s after the end")

    signal.signal(signal.SIGALRM, stuck)
    signal.alarm(int(MINUTES * 60) + OVERTIME_S)
    rate = int(os.environ.get("SOAK_RATE") or RATE)
    problems, outcomes = [], []
    findings = Findings()
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(folder)
        load = Load(scene, rate)
        print(f"{MINUTES:g} min, {rate} activations a second, SOAK_SEED={SEED}", flush=True)
        try:
            scene.start()
            load.start()
            broken = play(scene, load, outcomes)
            load.stop()
            scene.stop()
            problems = [f"{o.fault}: {o.problem}" for o in outcomes if o.problem] + ([broken] if broken else [])
            problems += filter(None, [findings.take()])
            if load.failed and not problems:
                problems = [s for p in load.phases for s in p.stories]
            print(table(outcomes, load))
            for p in problems:
                print(f"\nWRONG: {p}")
        except BaseException:
            problems.append(findings.take())
            print(problems[-1], file=sys.stderr)
            raise
        finally:
            if problems:
                keep_logs(scene)
            scene.stop()
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
