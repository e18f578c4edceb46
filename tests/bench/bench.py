#!/usr/bin/python3
"""make bench    kmsbeacon against programs that do one thing only; everything on loopback, one table.

    BENCH_ONLY=publisher     only that part: publisher, resolver, kms, relay, idle
    BENCH_RUNS=5 BENCH_RTT_MS=10 BENCH_DIR=/var/tmp    what may be changed; more in the parts
"""

import os
import sys
import tempfile

import common
import idle
import kms
import publisher
import relay
import resolver

from kblib.bind import find_program

PARTS = {"publisher": publisher, "resolver": resolver, "kms": kms, "relay": relay, "idle": idle}


def main():
    wanted = (os.environ.get("BENCH_ONLY") or " ".join(PARTS)).replace(",", " ").split()
    for name in wanted:
        if name not in PARTS:
            raise SystemExit(f"BENCH_ONLY: no part '{name}'; there are: {', '.join(PARTS)}")
    rows, about = [], []
    with tempfile.TemporaryDirectory(prefix="kmsbeacon-bench.", dir=os.environ.get("BENCH_DIR")) as top:
        machine = common.machine(top)
        for name in wanted:
            folder = os.path.join(top, name)
            os.mkdir(folder)
            about.append(PARTS[name].run(folder, rows))
    # from here on as it is kept in docs/benchmarks.md
    print("```")
    print(f"{'; '.join(about)}; {common.RUNS} runs each, medians (smallest..largest)")
    print(machine)
    print(common.versions(find_program("named")))
    print()
    widths = [max(len(r[i]) for r in rows) for i in range(4)]
    for r in [("measured", "figure", "target", ""), *rows]:
        print("  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip())
    print("```")
    return 0


if __name__ == "__main__":
    sys.exit(main())
