#!/usr/bin/python3
"""The table of a run: as text, in docs/benchmarks.md, and as a picture of how far its figures are from their targets.

    tests/bench/kept.py      draws docs/benchmarks.svg anew from the table in docs/benchmarks.md
"""

import math
import os
import re
import sys
from xml.sax.saxutils import escape

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = os.path.join(ROOT, "docs", "benchmarks.md")
PICTURE = os.path.join(ROOT, "docs", "benchmarks.svg")
BEGIN, END = "<!-- the table: BENCH_WRITE=1 make bench -->", "<!-- end of the table -->"
COLUMNS = ("measured", "figure", "target", "")
# the picture
WIDTH, LEFT, RIGHT, TOP, ROW = 1000, 430, 190, 62, 24
LEAST, MOST = 0.5, 16.0


def table(head, rows):
    """As it is printed and kept."""
    widths = [max(len(r[i]) for r in [COLUMNS, *rows]) for i in range(4)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip() for r in [COLUMNS, *rows]]
    return "\n".join(["```", *head, "", *lines, "```"])


def read(text):
    """The rows of a table."""
    lines = text.split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith(COLUMNS[0]))
    at = [lines[first].index(c) for c in COLUMNS[1:3]]
    rows = []
    for line in lines[first + 1 :]:
        if line.startswith("```"):
            break
        target = re.match(r"(.*?)(?:\s+(met|MISSED))?$", line[at[1] :])
        rows.append((line[: at[0]].strip(), line[at[0] : at[1]].strip(), target.group(1).strip(), target.group(2) or ""))
    return rows


def number(text):
    m = re.search(r"\d+(?:\.\d+)?", text)
    return float(m.group(0)) if m else None


def distance(figure, target):
    """How many times better than its target a figure is; None: the target is no bound."""
    m = re.match(r"(>=|<=) \d", target)
    value, bound = number(figure), number(target)
    if not m or not value:
        return None
    return value / bound if m.group(1) == ">=" else bound / value


def x_of(times):
    share = math.log(min(max(times, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def draw(rows):
    bars = [(what, figure, target, distance(figure, target)) for what, figure, target, _ in rows]
    bars = [b for b in bars if b[3] is not None]
    height = TOP + ROW * len(bars) + 16
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" '
        'role="img" aria-label="Each figure of the bench that has a target, as a bar: how many times better than the target">',
        f'  <rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '  <text x="16" y="24" font-size="16" font-weight="bold" fill="#222">How many times better than its target each figure is</text>',
    ]
    for tick in (0.5, 1, 2, 4, 8, 16):
        x, colour = x_of(tick), "#222" if tick == 1 else "#ccc"
        out.append(f'  <path d="M{x:.1f},{TOP - 8} L{x:.1f},{height - 12}" stroke="{colour}"/>')
        label = "target" if tick == 1 else f"{tick:g} times"
        out.append(f'  <text x="{x:.1f}" y="{TOP - 14}" text-anchor="middle" fill="#555">{label}</text>')
    for i, (what, figure, target, times) in enumerate(bars):
        y = TOP + ROW * i
        left, right = sorted((x_of(1), x_of(times)))
        colour = "#3d7a4a" if times >= 1 else "#b03a3a"
        short = re.match(r"[\d.]+(?: (?:MB|times|octets))?", figure).group(0)
        out.append(f'  <text x="{LEFT - 10}" y="{y + 14}" text-anchor="end" fill="#222">{escape(what)}</text>')
        out.append(f'  <rect x="{left:.1f}" y="{y + 2}" width="{max(right - left, 1):.1f}" height="{ROW - 8}" fill="{colour}"/>')
        out.append(f'  <text x="{WIDTH - RIGHT + 10}" y="{y + 14}" fill="{colour}">{escape(short)} ({escape(target)})</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def split(page):
    """What comes before the table, the table, and what comes after it."""
    before, begin, rest = page.partition(BEGIN)
    kept, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE}: the lines '{BEGIN}' and '{END}' are not there")
    return before, kept.strip("\n"), after


def write(text):
    with open(PAGE, encoding="utf-8") as f:
        before, _, after = split(f.read())
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(f"{before}{BEGIN}\n{text}\n{END}{after}")
    with open(PICTURE, "w", encoding="utf-8") as f:
        f.write(draw(read(text)))
    print(f"written: {os.path.relpath(PAGE)}, {os.path.relpath(PICTURE)}", file=sys.stderr)


def main():
    with open(PAGE, encoding="utf-8") as f:
        write(split(f.read())[1])


if __name__ == "__main__":
    main()
