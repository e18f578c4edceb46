"""The tools that everything else is judged by: deps, run-tests, check."""

import glob
import importlib.machinery
import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pytest

from kblib.process import ROOT


def run(argv, **how):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **how)


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def load_tool(tool):
    loader = importlib.machinery.SourceFileLoader(tool.replace("-", "_"), os.path.join(ROOT, "tools", tool))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


# ---- run-tests ----

LEAK = "==1==ERROR: LeakSanitizer: detected memory leaks\n"
TAP = {
    # what a program printed, its exit code, and (passed, failed, reasons of skips)
    "all well": ("1..2\nok 1 - a\nok 2 - b\n# ok - tests\n", 0, (2, 0, [])),
    "one fails": ("1..2\nok 1 - a\nnot ok 2 - b\n# 0x1 != 0x2\n", 1, (1, 1, [])),
    "set-up fails": ("1..1\nnot ok 1 - a Could not run test: Test setup failed\n", 1, (0, 1, [])),
    "crash between": ("1..3\nok 1 - a\n", -11, (1, 2, [])),
    "leak at the end": ("1..1\nok 1 - a\n" + LEAK, 1, (1, 1, [])),
    "hangs": ("1..2\nok 1 - a\n", None, (1, 1, [])),
    "hangs at the end": ("1..1\nok 1 - a\n", None, (1, 1, [])),
    "skip with a reason": ("1..2\nok 1 - a\nno IPv6 here\nnot ok 2 # SKIP b\n", 0, (1, 0, ["x: b: no IPv6 here"])),
    "two groups": ("1..1\nok 1 - a\n1..1\nok 1 - b\n", 0, (2, 0, [])),
    "no test at all": ("", 0, (0, 1, [])),
    "does not start": ("error while loading shared libraries\n", 127, (0, 1, [])),
}


@pytest.mark.parametrize("name", TAP)
def test_unit_output_is_counted(name):
    out, code, wanted = TAP[name]
    r = load_tool("run-tests").read_tap("x", out, code)
    assert (r.passed, r.failed, r.skips) == wanted
    assert bool(r.report) == bool(r.failed)
    assert not r.failed or out.rstrip() in r.report


ITEST = """
import pytest
def test_a(): pass
@pytest.mark.skip(reason="no moon")
def test_b(): pass
"""
ITESTS = {
    "pass and skip": (ITEST, 0, "1 passed, 0 failed, 1 skipped"),
    "failure": (ITEST + "def test_c(): assert 0, 'wrong'\n", 1, "1 passed, 1 failed, 1 skipped"),
    "set-up": (ITEST + "@pytest.fixture\ndef f(): 1 / 0\ndef test_c(f): pass\n", 1, "1 passed, 1 failed, 1 skipped"),
    "collection": ("import nothing_of_that_name\n", 1, "0 passed, 1 failed"),
    "no test": ("", 1, "0 passed, 1 failed"),
}


@pytest.mark.parametrize("name", ITESTS)
def test_integration_output_is_counted(name, tmp_path):
    text, code, last = ITESTS[name]
    (tmp_path / "test_it.py").write_text(text)
    r = run([os.path.join(ROOT, "tools", "run-tests"), "itest", str(tmp_path / "test_it.py")])
    assert (r.returncode, r.stdout.splitlines()[-1]) == (code, last), r.stdout + r.stderr
    assert ("skipped: test_b: no moon" in r.stdout) == ("test_b" in text)


# ---- check ----

STAGES = ("packages", "build (gcc)", "lint", "build (asan)", "unit", "faults", "simulation", "replay", "chaos", "fuzz",
          "integration")


@pytest.fixture
def tree(tmp_path):
    """tools/check in a tree whose stages are one-liners."""
    shutil.copy(os.path.join(ROOT, "tools", "check"), (tmp_path / "tools").mkdir() or tmp_path / "tools" / "check")
    for tool in ("deps", "fuzz", "lint"):
        script(tmp_path / "tools" / tool, "#!/bin/sh\n")
    unit = "#!/bin/sh\n[ $1 = unit ] && echo '7 passed, 0 failed' || echo '3 passed, 0 failed'\n"
    script(tmp_path / "tools" / "run-tests", unit)
    (tmp_path / "Makefile").write_text("all unit-bins fault-bins fuzz-bins sim-bins:\n\t@[ '$(CI)' = true ]\n")
    return tmp_path


def check(tree):
    r = run([str(tree / "tools" / "check")])
    return r.returncode, r.stdout.splitlines()


def test_check_counts_stages_and_tests(tree):
    code, out = check(tree)
    assert (code, out[-1]) == (0, "27 passed, 0 failed")
    assert tuple(line[:14].strip() for line in out[:-1]) == STAGES


def test_check_says_what_was_skipped(tree):
    script(tree / "tools" / "run-tests", "#!/bin/sh\necho 'skipped: t: no moon'\necho '1 passed, 0 failed, 1 skipped'\n")
    code, out = check(tree)
    assert (code, out[-1]) == (0, "11 passed, 0 failed, 6 skipped")
    assert out.count("skipped: t: no moon") == 6


BROKEN = {
    "deps": ("tools/deps", "0 passed, 1 failed", 1),
    "lint": ("tools/lint", "26 passed, 1 failed", 11),
    "tests": ("tools/run-tests", "5 passed, 6 failed", 11),
    "build": ("Makefile", "2 passed, 2 failed", 4),
}


@pytest.mark.parametrize("name", BROKEN)
def test_check_fails_with_a_stage(tree, name):
    path, last, stages = BROKEN[name]
    if path == "Makefile":
        (tree / path).write_text("all unit-bins fault-bins:\n\t@echo the-reason; false\n")
    else:
        script(tree / path, "#!/bin/sh\necho the-reason\nexit 1\n")
    code, out = check(tree)
    assert (code, out[-1]) == (1, last), out
    assert "    the-reason" in out
    assert sum(1 for line in out if line[:14].strip() in STAGES) == stages


def test_check_counts_a_runner_that_fails_after_its_count(tree):
    script(tree / "tools" / "run-tests", "#!/bin/sh\necho '1 passed, 0 failed'\nexit 1\n")
    assert check(tree)[1][-1] == "11 passed, 6 failed"


# ---- analyze ----


def test_an_answer_is_for_as_many_findings_as_there_are(tmp_path, monkeypatch):
    analyze = load_tool("analyze")
    monkeypatch.setattr(analyze, "ROOT", str(tmp_path))
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "analyze-answers.txt").write_text(
        "# a comment\ngcc a.c f -Wanalyzer-x 1\ngcc a.c g -Wanalyzer-x 1\n\twhy\n\ngcc b.c h check 1\nmcc b.c h check 1\n"
    )
    answers, faults = analyze.read_answers()
    assert [a.function for a in answers] == ["f", "g", "h"]
    assert faults == [
        "tools/analyze-answers.txt:7: not TOOL FILE FUNCTION CHECK COUNT",
        "tools/analyze-answers.txt:6: no reason below it",
    ]
    found = [analyze.Finding("gcc", "a.c", n, "-Wanalyzer-x", "leak", "f") for n in (3, 4)]
    found.append(analyze.Finding("clang", "a.c", 9, "-Wanalyzer-x", "leak", "g"))
    assert analyze.judge(found[:1], answers[:1], ["a.c"]) == ([], [])
    open_ones, stale = analyze.judge(found, answers, ["a.c"])
    assert open_ones == found  # two where one was answered; another tool's than the answered one
    assert stale == ["tools/analyze-answers.txt:3: 0 findings in a.c, g(), not 1"]


def test_findings_are_known_by_their_function(tmp_path, monkeypatch):
    analyze = load_tool("analyze")
    monkeypatch.setattr(analyze, "ROOT", str(tmp_path))
    (tmp_path / "a.c").write_text("int x;\n\nstatic int one(int a,\n\t       int b)\n{\n\treturn a;\n}\n\nint y;\n")
    assert [analyze.function_at("a.c", line) for line in (1, 6, 9)] == ["-", "one", "-"]
    found = list(analyze.clang_lines("a.c:6:2: warning: bad [it] is [core.X]\na.c:7:1: note: so\n2 warnings\n"))
    assert found == [("a.c", 6, "core.X", "bad [it] is")]


# ---- deps ----

DPKG = """#!/bin/sh
# every package is installed but those of ./missing; -f tells what is asked
for p; do case $p in
-*|'${'*) ;;
*) grep -qx "$p" "$FAKE/missing" || case "$*" in *Package*) printf 'installed:%s ' "$p" ;; *) printf installed ;; esac ;;
esac; done
"""
APT = """#!/bin/sh
echo "apt-get $*" >>"$FAKE/calls"
[ "$1" = install ] || exit 0
[ ! -e "$FAKE/stale" ] || { rm "$FAKE/stale"; echo "E: Unable to locate package"; exit 100; }
[ ! -e "$FAKE/broken" ] || { echo "E: no such mirror"; exit 100; }
: >"$FAKE/missing"
"""


@pytest.fixture
def debian(tmp_path):
    """A Debian made of scripts: run("test", uid=0) runs tools/deps in it."""
    fake = tmp_path / "fake"
    script(fake / "dpkg-query", DPKG)
    script(fake / "apt-get", APT)
    script(fake / "id", '#!/bin/sh\necho "$FAKE_UID"\n')
    script(fake / "sudo", '#!/bin/sh\n[ -e "$FAKE/may_sudo" ] || exit 1\nshift\nexec "$@"\n')
    script(fake / "install", '#!/bin/sh\necho "install $*" >>"$FAKE/calls"\n')
    script(fake / "rm", '#!/bin/sh\ncase "$*" in *policy-rc.d) echo "rm $*" >>"$FAKE/calls" ;; *) exec /bin/rm "$@" ;; esac\n')
    for name in ("systemctl", "update-rc.d"):
        script(fake / name, f'#!/bin/sh\necho "{name} $*" >>"$FAKE/calls"\n')
    (fake / "missing").write_text("")
    (fake / "calls").write_text("")

    class Debian:
        folder = fake

        @staticmethod
        def deps(*sets, uid=1000):
            env = dict(os.environ, FAKE=str(fake), FAKE_UID=str(uid), PATH=f"{fake}:{os.environ['PATH']}", CI="true")
            return run([os.path.join(ROOT, "tools", "deps"), *sets], env=env)

        @staticmethod
        def missing(*names):
            (fake / "missing").write_text("".join(n + "\n" for n in names))

        @staticmethod
        def calls():
            return (fake / "calls").read_text().splitlines()

    return Debian


def test_deps_is_silent_when_nothing_is_missing(debian):
    r = debian.deps("build", "demo", "test", "lint", "tidy", "analyze")
    assert (r.returncode, r.stdout, r.stderr, debian.calls()) == (0, "", "", [])


def test_deps_installs_what_is_missing_and_says_so(debian):
    debian.missing("libuv1-dev", "jq")
    r = debian.deps("build", uid=0)
    assert (r.returncode, r.stdout) == (0, "deps: installing libuv1-dev\ndeps: installed 1 packages\n")
    assert len(debian.calls()) == 1 and debian.calls()[0].endswith(" libuv1-dev")
    assert "--no-install-recommends" in debian.calls()[0]


def test_deps_asks_for_fresh_lists_only_when_needed(debian):
    debian.missing("gcc")
    (debian.folder / "stale").touch()
    assert debian.deps(uid=0).returncode == 0
    assert [c.split()[1] for c in debian.calls()] == ["install", "update", "install"]


def test_deps_uses_sudo_that_asks_nothing(debian):
    debian.missing("gcc")
    (debian.folder / "may_sudo").touch()
    assert debian.deps().returncode == 0
    assert len(debian.calls()) == 1


@pytest.mark.parametrize("uid", (0, 1000))
def test_deps_gives_the_line_to_run(debian, uid):
    """Where it may not install, and where installing fails."""
    debian.missing("gcc", "clang")
    (debian.folder / "broken").touch()
    r = debian.deps("build", "test", uid=uid)
    assert r.returncode == 1
    assert r.stderr.splitlines()[-1] == "  apt-get update && apt-get install -y --no-install-recommends gcc clang"
    assert "E: no such mirror" in r.stderr or uid != 0


SERVICES = {"bind9": "named", "knot": "knot", "pdns-server": "pdns", "nsd": "nsd"}


def test_deps_brings_servers_without_their_services(debian):
    debian.missing(*SERVICES)
    r = debian.deps("test", uid=0)
    assert r.returncode == 0, r.stderr
    calls = debian.calls()
    if not os.path.exists("/usr/sbin/policy-rc.d"):  # one that is there is left alone, and decides
        assert calls.pop(0).startswith("install -m 755 ") and calls.pop().startswith("rm -f /usr/sbin/policy-rc.d")
    tool = "systemctl disable {}.service" if os.path.isdir("/run/systemd/system") else "update-rc.d {} disable"
    assert calls[-4:] == [tool.format(s) for s in SERVICES.values()]


def test_deps_knows_its_sets(debian):
    r = debian.deps("all")
    assert r.returncode == 2 and r.stderr.startswith("usage: ")


# ---- pages whose rows name tests: docs/failure-modes.md, docs/windows-fidelity.md ----


def page_rows(page):
    """The cells of each row of each table that has an id such as U07 or W12."""
    with open(os.path.join(ROOT, "docs", page), encoding="utf-8") as f:
        for line in f:
            cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)][1:-1]
            if len(cells) > 1 and re.fullmatch(r"[A-Z][0-9]{2}", cells[0]):
                yield cells


def named_tests(cells):
    return re.findall(r"`(\S+)::(\w+)`", cells[-1])


def assert_tests_exist(row, tests, texts={}):  # pylint: disable=dangerous-default-value
    for file, name in tests:
        path = os.path.join(ROOT, "tests", file)
        if path not in texts:
            assert os.path.exists(path), f"{row}: {file} does not exist"
            with open(path, encoding="utf-8") as f:
                texts[path] = f.read()
        used = rf"cmocka_unit_test\w*\(\s*{name}\b" if file.endswith(".c") else rf"^def {name}\("
        assert re.search(used, texts[path], re.M), f"{row}: {file} has no test {name}"


def assert_ids_without_gap(seen):
    assert len(seen) == len(set(seen)), "an id is there twice"
    for letter in sorted({row[0] for row in seen}):
        numbers = sorted(int(row[1:]) for row in seen if row[0] == letter)
        assert numbers == list(range(1, len(numbers) + 1)), f"a row of table {letter} is missing"


def test_each_failure_mode_names_tests_that_exist():
    seen = []
    for cells in page_rows("failure-modes.md"):
        row, tests = cells[0], named_tests(cells)
        seen.append(row)
        if cells[-1].startswith("left out: "):
            continue
        assert tests, f"{row} names no test"
        assert any(row in name for _, name in tests), f"no test of {row} carries its id"
        assert_tests_exist(row, tests)
    assert_ids_without_gap(seen)
    counts = {letter: sum(row[0] == letter for row in seen) for letter in "UTZPSOLR"}
    assert counts == {"U": 28, "T": 15, "Z": 18, "P": 12, "S": 17, "O": 18, "L": 8, "R": 12}


@pytest.mark.parametrize("page, letter, count", [("windows-fidelity.md", "W", 77), ("activation-model.md", "M", 41)])
def test_each_statement_about_windows_names_tests_that_exist(page, letter, count):
    rows = [cells for cells in page_rows(page) if cells[0].startswith(letter) and len(cells) == 5]
    with open(os.path.join(ROOT, "docs", page), encoding="utf-8") as f:
        text = f.read()
    listed = text[text.index("## Sources"):]
    sources = {s for line in listed.splitlines() if line.startswith("| S") for s in re.findall(r"S[0-9]+", line.split("|")[1])}
    sources |= {f"S{n}" for n in range(16, 22)}  # "S16 - S21"
    for row, statement, source, done, _ in rows:
        assert statement and done, row
        assert re.match(r"(documented|observed|inferred|open)\b", source), f"{row}: how sure is '{source}'?"
        assert set(re.findall(r"\bS[0-9]+\b", source)) <= sources, f"{row}: a source is not listed"
    for cells in rows:
        assert named_tests(cells), f"{cells[0]} names no test"
        assert_tests_exist(cells[0], named_tests(cells))
    assert_ids_without_gap([cells[0] for cells in rows])
    assert len(rows) == count


def test_settings_for_what_is_open_have_the_defaults_that_the_page_says():
    with open(os.path.join(ROOT, "docs", "windows-fidelity.md"), encoding="utf-8") as f:
        page = f.read()
    settings = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", page, re.M)
    with open(os.path.join(ROOT, "configs", "kmsbeacon.yaml"), encoding="utf-8") as f:
        example = f.read()
    assert len(settings) == 4
    for name, default in settings:
        assert re.search(rf"Default:\s+(# )?{default}\b|Default:.*\n\s+# {default}\b", example), name
        assert f"  #{name}: " in example, name


# ---- docs/findings.md ----


def finding_entries():
    """id: (severity line, text) of each entry."""
    with open(os.path.join(ROOT, "docs", "findings.md"), encoding="utf-8") as f:
        parts = re.split(r"^### (\S+)\n", f.read(), flags=re.M)[1:]
    assert len(parts[::2]) == len(set(parts[::2])), "an id is there twice"
    return {name: re.split(r"^## ", text, flags=re.M)[0].strip() for name, text in zip(parts[::2], parts[1::2])}


def findings_of_the_program():
    with open(os.path.join(ROOT, "common", "findings.h"), encoding="utf-8") as f:
        return {i: s.lower() for i, s in re.findall(r'^\tX\([A-Z_]+, "([^"]+)", ([A-Z]+), \\$', f.read(), re.M)}


def test_each_finding_has_its_entry():
    program, page = findings_of_the_program(), finding_entries()
    assert len(program) > 50 and set(page) == set(program)
    for name, text in page.items():
        severity, commands = text.splitlines()[0].split(" · ")
        assert severity == program[name], name
        assert set(commands.split(", ")) <= {"verify", "publish", "withdraw"}, name
        example = re.findall(r"^    (.+)$", text, re.M)
        assert len(example) == 1 and re.match(rf"{severity}:? +{name}: .", example[0]), f"{name}: {example}"
        assert re.search(r"^Do: .", text, re.M), name


def test_each_finding_names_tests_that_exist():
    for name, text in finding_entries().items():
        tests = re.findall(r"`(\S+)::(\w+)(?:\[([\w-]+)\])?`", text.partition("\nTest: ")[2])
        assert tests, f"{name} names no test"
        assert_tests_exist(name, [t[:2] for t in tests])
        for file, _, parameter in tests:
            if parameter:  # the row that plants it says what is to be found
                with open(os.path.join(ROOT, "tests", file), encoding="utf-8") as f:
                    source = f.read()
                row = re.search(rf'^    "{parameter}": Fault\(\s*\[([^\]]*)\]', source, re.M)
                assert row and f'"{name}"' in row.group(1), f"{name}: no row {parameter}"


# ---- coverage ----

A_C = """int ran(void)
{
	return a == b && err != 0;
}
int failed(void)
{
	fail(1);
}
	x = f(&y) == NULL ? 1 : 2;
	case 1: /* never */
		abort();
}
"""
LCOV = """
SF:/usr/include/other.h
FN:1,other
DA:1,0
SF:{root}/net/a.c
FN:1,a.c:ran
FN:5,a.c:failed
FN:9,a.c:bug
DA:1,3
DA:2,1
DA:3,3
DA:5,1
DA:6,0
DA:7,0
DA:8,1
DA:9,1
DA:10,0
DA:11,0
"""
BRANCHES = [
    [3, 9, 3, 15, 3, 0, 0, 0, 4],  # a == b: no error
    [3, 19, 3, 27, 0, 3, 0, 0, 4],  # err != 0
    [9, 6, 9, 20, 0, 1, 0, 0, 4],  # f(&y) == NULL: above lines that nothing ran
]
ANSWERED = ["# why", "net/a.c:failed: `fail(1)`: the kernel never says so"]
COVERAGE = {
    # the list of answers, and (answered, not answered, stale entries)
    "no list": ([], (0, 1, 0)),
    "answered": (ANSWERED, (1, 0, 0)),
    "stale": ([*ANSWERED, "net/a.c:ran: `a == b`: was hard once"], (1, 0, 1)),
    "another piece": (["net/a.c:failed: `fail(2)`: x"], (0, 1, 1)),
    "gone": (["net/b.c:gone: `x`: x"], (0, 1, 1)),
}


@pytest.mark.parametrize("name", COVERAGE)
def test_coverage_tells_what_is_not_answered(name, tmp_path, monkeypatch, capsys):
    lines, wanted = COVERAGE[name]
    tool = load_tool("coverage")
    monkeypatch.setattr(tool, "ROOT", str(tmp_path))
    script(tmp_path / "net" / "a.c", A_C)
    sources = tool.read_lcov(LCOV.format(root=tmp_path))
    sources["net/a.c"].add_conditions(BRANCHES)
    answers = tool.Answers(lines)
    n = tool.judge(sources, answers, {"all": False, "branches": True})
    assert (n["answered"], n["not answered"], len(answers.stale())) == wanted and not answers.wrong
    out = [line.split(None, 2) for line in capsys.readouterr().out.split("\n")]
    assert out[0][:2] == ["net/a.c:6-7", "failed"]
    assert ["net/a.c:10-11", "bug", "abort()"] in out
    assert ["net/a.c:3", "ran", "never false: a == b"] in out
    assert ["net/a.c:3", "ran", "error never true: err != 0"] in out and n["one way"] == 1
    assert tool.table(sources).split("\n")[2].split() == ["net", "1", "10", "6", "60.0", "6", "3", "50.0"]


def test_coverage_refuses_a_wrong_list():
    answers = load_tool("coverage").Answers(
        ["net/a.c:f:", "net/a.c:f: x", "net/a.c:f: `x`", "net/a.c:f: `x`: y", "net/a.c:f: `x`: z", "f: `x`: y"]
    )
    assert list(answers.entries) == [("net/a.c", "f")] and len(answers.wrong) == 5


# ---- fuzz ----


def test_fuzz_parsers_are_in_the_tree():
    for target in load_tool("fuzz").targets().values():
        assert len(target.limits) == 3
        for parser in target.parsers:
            path, _, function = parser.partition(":")
            with open(os.path.join(ROOT, path), encoding="utf-8") as f:
                assert re.search(rf"\b{function}\(", f.read()) if function else f.read(), parser


def test_fuzz_inputs_are_small():
    total = 0
    for name, target in load_tool("fuzz").targets().items():
        folder = os.path.join(ROOT, "tests", "fuzz", "corpus", name)
        sizes = [os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder)]
        total += sum(sizes)
        assert max(sizes) <= int(target.limits[0].removeprefix("-max_len=")), name
    assert total < 200_000


# ---- tests/bench/kept.py ----


def bench_page():
    sys.path.insert(0, os.path.join(ROOT, "tests", "bench"))
    import kept

    with open(kept.PAGE, encoding="utf-8") as f:
        return kept, kept.split(f.read())[1]


def test_the_picture_of_the_bench_is_that_of_its_table():
    kept, table = bench_page()
    with open(kept.PICTURE, encoding="utf-8") as f:
        assert f.read() == kept.draw(kept.read(table)), "tests/bench/kept.py draws it anew"


def test_the_kept_table_is_read_as_it_was_written():
    kept, table = bench_page()
    rows = kept.read(table)
    head = table.split("\n\n", 1)[0].split("\n")[1:]
    assert kept.table(head, rows) == table
    assert {r[3] for r in rows} <= {"met", "MISSED", ""}


@pytest.mark.parametrize(
    "figure, target, times",
    [
        ("24.0 times", ">= 12 times", 2),
        ("10 MB RSS, 2.4 PSS", "<= 40 MB", 4),
        ("0.35", ">= 0.70", 0.5),
        ("0", "0", None),
        ("1000 SRV", "1000 SRV", None),
        ("8.5, 6.9 ms", "<= HAProxy's", None),
        ("not held", "<= 4096 octets", None),
    ],
)
def test_how_far_a_figure_is_from_its_target(figure, target, times):
    assert bench_page()[0].distance(figure, target) == times


# ---- tests/replay/README.md: each timing constant, and the scripts that test it ----


def timing_constants():
    """#define NAME_MS, _S, _US in the folders of the daemon, and those whose comment says minutes."""
    for folder in ("common", "net", "publisher", "resolver", "kmscore", "daemon"):
        for path in sorted(glob.glob(os.path.join(ROOT, folder, "*.[ch]"))):
            with open(path, encoding="utf-8") as f:
                text = f.read().replace("\\\n", " ")
            for name, rest in re.findall(r"^#define[ \t]+([A-Z][A-Z0-9_]*)[ \t]+(.*)$", text, re.M):
                if re.search(r"_(MS|S|US)$", name) or re.search(r"/\* minutes\b", rest):
                    yield name


def timing_settings():
    """Settings that are times, by the name that docs have: relay.pool.idle."""
    with open(os.path.join(ROOT, "common", "config_schema.c"), encoding="utf-8") as f:
        schema = f.read()
    parts = {"pool": "relay.pool", "domain": "publish.domains"}
    for name, part in re.findall(r'{ "(\w+)",\s+CFG_DURATION,\s+FIELD\(config_(\w+),', schema):
        yield f"{parts.get(part, part)}.{name}"
    assert schema.count("CFG_DURATION,") == len(re.findall(r"CFG_DURATION,\s+FIELD\(config_", schema))


def test_each_timing_constant_names_its_replay_scripts():
    with open(os.path.join(ROOT, "tests", "replay", "README.md"), encoding="utf-8") as f:
        rows = re.findall(r"^\| `([\w.]+)` \| (.*) \| (.*) \|$", f.read(), re.M)
    names = [name for name, _, _ in rows]
    assert len(names) == len(set(names)), "a constant is there twice"
    expected = set(timing_constants()) | set(timing_settings())
    assert len(expected) > 80  # the patterns still find them
    assert expected - set(names) == set(), "no row in tests/replay/README.md"
    assert set(names) - expected == set(), "a row for what is no timing constant (any more)"
    for name, what, tested in rows:
        scripts = re.findall(r"`((?:kms|pub|rsv|life)_\w+)`", tested)
        assert what and (scripts or tested.startswith("none: ")), f"{name}: which script, or why none?"
        for script in scripts:
            assert os.path.exists(os.path.join(ROOT, "tests", "replay", f"{script}.replay")), f"{name}: {script}"
        for file in re.findall(r"`(test_\w+(?:\.py)?)`", tested):
            path = os.path.join("itest", file) if file.endswith(".py") else os.path.join("unit", f"{file}.c")
            assert os.path.exists(os.path.join(ROOT, "tests", path)), f"{name}: {file}"


def test_each_replay_script_names_its_rule():
    for path in glob.glob(os.path.join(ROOT, "tests", "replay", "*.replay")):
        with open(path, encoding="utf-8") as f:
            rules = re.findall(r"^rule +(.*)$", f.read(), re.M)
        assert rules and all(re.search(r"\b(design|behaviour) [1-9]", rule) for rule in rules), path
