#!/usr/bin/python3
"""make bench    kmsbeacon against programs that do one thing only; everything on loopback, one table.

    BENCH_ONLY=publisher     only that part: publisher, resolver, kms, relay, idle
    BENCH_WRITE=1            also keep the table in docs/benchmarks.md, and its picture beside it
    BENCH_RUNS=5 BENCH_RTT_MS=10 BENCH_DIR=/var/tmp    what may be changed; more in the parts
"""

import os
import shutil
import sys
import tempfile
import time

import common
import idle
import kept
import kms
import publisher
import relay
import resolver

from kblib.server import SBIN_PATH

PARTS = {"publisher": publisher, "resolver": resolver, "kms": kms, "relay": relay, "idle": idle}
NEEDED = ("named", "nsupdate", "dig", "dnsperf", "haproxy", "nginx", "strace")


def run_part(name, top, rows):
    folder = os.path.join(top, name)
    os.mkdir(folder)
    try:
        return PARTS[name].run(folder, rows)
    except SystemExit as e:
        raise SystemExit(f"bench: the part {name} ended: {e}") from None
    except Exception as e:  # whatever a peer or the machine did: one sentence, and no table
        if os.environ.get("BENCH_TRACE"):
            raise
        raise SystemExit(f"bench: the part {name} could not run: {type(e).__name__}: {e} (BENCH_TRACE=1 shows where)") from None


def main():
    wanted = (os.environ.get("BENCH_ONLY") or " ".join(PARTS)).replace(",", " ").split()
    for name in wanted:
        if name not in PARTS:
            raise SystemExit(f"BENCH_ONLY: no part '{name}'; there are: {', '.join(PARTS)}")
    if os.environ.get("BENCH_WRITE") and wanted != list(PARTS):
        raise SystemExit("BENCH_WRITE: the table that is kept is a whole one, of one run: not with BENCH_ONLY")
    missing = [p for p in NEEDED if not shutil.which(p, path=SBIN_PATH)]
    if missing:
        raise SystemExit(f"bench: not installed: {', '.join(missing)}; `tools/deps bench` installs what is missing")
    rows, about, began = [], [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kmsbeacon-bench.", dir=os.environ.get("BENCH_DIR")) as top:
        machine = common.machine(top)
        for i, name in enumerate(wanted):
            took = time.monotonic() - began
            print(f"bench: {name}, part {i + 1} of {len(wanted)}, after {took / 60:.1f} min", file=sys.stderr, flush=True)
            about.append(run_part(name, top, rows))
    took = f"{(time.monotonic() - began) / 60:.0f} min"
    head = [
        f"{'; '.join(about)}; {common.RUNS} runs each, medians (smallest..largest); {took}",
        machine,
        *common.versions(shutil.which("named", path=SBIN_PATH)).splitlines(),
    ]
    table = kept.table(head, rows)
    print(table)
    if os.environ.get("BENCH_WRITE"):
        kept.write(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
