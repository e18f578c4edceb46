"""A report of a sanitizer or of valgrind fails the test that caused it, also where its exit code is passed over.

The program is one that has the defect asked for; the tests are run by a pytest of their own, with our fixtures.
"""

import os
import subprocess
import sys
import xml.etree.ElementTree as tree

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
DEFECTS = {"lost": "LeakSanitizer", "overrun": "heap-buffer-overflow", "shift": "shift exponent 40"}

BAD = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *volatile block;

static int shift(int by)
{
	return 1 << by;
}

static void do_it(const char *what)
{
	block = malloc(8);
	if (strcmp(what, "overrun") == 0)
		((volatile char *)block)[strlen(what) + 1] = 0;
	else if (strcmp(what, "shift") == 0)
		printf("%d\n", shift(35 + (int)strlen(what)));
	if (strcmp(what, "lost") != 0)
		free(block);
	block = NULL;
}

int main(int argc, char **argv)
{
	sigset_t set;
	int signum;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (argc == 4) { /* run -c FILE */
		puts("ready");
		fflush(stdout);
		sigwait(&set, &signum);
	}
	do_it(argv[argc - 1]);
	return 0;
}
"""

TESTS = """
import signal
import pytest

@pytest.mark.parametrize("what", ["well", "lost", "overrun", "shift"])
def test_command(kb, what):
    kb(what)

@pytest.mark.parametrize("what", ["well", "lost", "overrun", "shift"])
def test_daemon(daemon, what):
    d = daemon(what)
    d.wait_log("ready")
    d.signal(signal.SIGTERM)
    d.wait()

def test_the_next_is_another(kb):
    kb("well")
"""


def outcomes(folder, program, tests):
    """{test: text of its failure, or None}, of these tests with this program."""
    (folder / "test_inner.py").write_text(tests)
    env = dict(os.environ, KMSBEACON=str(program), PYTHONPATH=HERE, PYTHONDONTWRITEBYTECODE="1")
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conftest", f"--rootdir={folder}"]
    argv += [f"--junitxml={folder}/report.xml", str(folder / "test_inner.py")]
    subprocess.run(argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    said = {}
    for case in tree.parse(folder / "report.xml").getroot().iter("testcase"):
        bad = [*case.iter("failure"), *case.iter("error")]
        said[case.get("name")] = "\n".join(f"{b.get('message')}\n{b.text}" for b in bad) or said.get(case.get("name"))
    return said


def test_a_sanitizers_report_fails_its_test(tmp_path):
    program = tmp_path / "bad"
    (tmp_path / "bad.c").write_text(BAD)
    flags = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run(["clang", *flags, "-o", program, tmp_path / "bad.c"], check=True, timeout=60)
    said = outcomes(tmp_path, program, TESTS)
    assert len(said) == 9
    for name, failure in said.items():
        defect = next((report for what, report in DEFECTS.items() if what in name), None)
        assert (defect is None) == (failure is None), f"{name}: {failure}"
        assert defect is None or defect in failure, f"{name}: {failure}"


@pytest.mark.parametrize("finding", ["", "Invalid read of size 4"])
def test_what_valgrind_wrote_fails_its_test(tmp_path, finding):
    program = tmp_path / "bad"
    program.write_text(f'#!/bin/sh\nprintf "%s" "{finding}" >"$VALGRIND_LOGS/$$"\n')
    program.chmod(0o755)
    failure = outcomes(tmp_path, program, "def test_it(kb):\n    kb('it')\n")["test_it"]
    assert finding in failure if finding else failure is None
