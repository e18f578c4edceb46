"""What the parts of the bench share: how a run is measured, the delay, the rows of the table."""

import json
import os
import platform
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "itest"))

from kblib.process import die_with_parent  # noqa: E402

RUNS = int(os.environ.get("BENCH_RUNS", "5"))
RTT_MS = float(os.environ.get("BENCH_RTT_MS", "10"))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", os.path.join("build", "release")))
PROGRAM = os.path.join(BUILD, "kmsbeacon")
RUN_TIMEOUT_S = 300
QUIET = "logging { category default { null; }; category general { default_stderr; }; };\n"


class Delay:
    """delay.c in front of the server, at the server's address and another port."""

    def __init__(self, address, port, named, rtt_ms):
        self.port = port
        self._p = subprocess.Popen(
            [os.path.join(BUILD, "bench", "delay"), address, str(port), named.address, str(named.port), str(int(rtt_ms * 500))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent,
        )
        assert self._p.stdout.readline() == "ready\n", "the delay does not start"

    def counts(self):
        """What came since the last call."""
        self._p.stdin.write("\n")
        self._p.stdin.flush()
        return json.loads(self._p.stdout.readline())

    def stop(self):
        self._p.stdin.close()
        self._p.wait(10)


def measure(folder, argv, port, codes=(0,), **more):
    """Wall and processor seconds, and peak memory, of one program; its stdout is left in folder/stdout."""
    env = dict(os.environ, LC_ALL="C.UTF-8", KMSBEACON_DNS_PORT=str(port))
    out = os.path.join(folder, "stdout")
    r = subprocess.run(
        [os.path.join(BUILD, "bench", "measure"), out, *argv], env=env, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=RUN_TIMEOUT_S, preexec_fn=die_with_parent, **more,
    )
    m = json.loads(r.stdout)
    if m["code"] not in codes:
        with open(out, encoding="utf-8") as f:
            raise SystemExit(f"{argv[0]} ended with {m['code']}:\n{r.stderr[-2000:]}\n{f.read()[-2000:]}")
    return m


def cpu_s(pid):
    """Of all threads of a process, so far."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def memory(pid):
    """kB of a process: "rss" all that is mapped, "pss" of shared pages its share only, "own" what no file stands behind."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        text = f.read()
    names = {"rss": "Rss", "pss": "Pss", "own": "Anonymous"}
    return {what: int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M).group(1)) for what, name in names.items()}


def mappings(pid):
    """{file, "[heap]", ... or "": kB that are resident}"""
    kb, name = {}, ""
    with open(f"/proc/{pid}/smaps", encoding="ascii") as f:
        for line in f:
            m = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(\S*)", line)
            if m:
                name = os.path.basename(m.group(1))
            elif line.startswith("Rss:"):
                kb[name] = kb.get(name, 0) + int(line.split()[1])
    return kb


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    return path


# ---- the report ----


def version(argv, pattern):
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    m = re.search(pattern, r.stdout + r.stderr)
    return m.group(1) if m else "unknown"


def machine(folder):
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        m = re.search(r"model name\s*: (.*)", f.read())
    fs = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True).stdout.strip()
    cpu = m.group(1).strip() if m else platform.machine()
    gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores of {cpu}, {gb:.0f} GB; Linux {platform.release()}; zones and state on {fs}; "
        f"load {os.getloadavg()[0]:.1f} when it began"
    )


def spread(runs, what="wall_s", digits=3):
    return f"{min(m[what] for m in runs):.{digits}f}..{max(m[what] for m in runs):.{digits}f}"


def fact(rows, what, figure, target, met):
    rows.append((what, figure, target, {True: "met", False: "MISSED", None: ""}[met]))


def versions(named):
    return (
        "named " + version([named, "-v"], r"BIND (\S+)") + ", nsupdate " + version(["nsupdate", "-V"], r"nsupdate (\S+)")
        + ", dnsperf " + version(["dnsperf", "-h"], r"Version (\S+)") + ",\nkmsbeacon " + version([PROGRAM, "--version"], r"kmsbeacon (\S+)") + " at "
        + version(["git", "-C", ROOT, "describe", "--always", "--dirty"], r"(\S+)")
    )
