"""tools/lint sees each kind of breach, at the right line, and is content with the tree without it."""

import os
import shutil
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def lint(tree):
    r = subprocess.run(
        [os.path.join(ROOT, "tools", "lint"), str(tree)], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return r.returncode, r.stdout.splitlines()


@pytest.fixture
def tree(tmp_path):
    """A small tree that is clean."""
    shutil.copy(os.path.join(ROOT, ".clang-format"), tmp_path)
    for path, text in {
        "common/a.h": "int a(void);\n",
        "common/store.c": '#include "common/a.h"\n\n#include <sqlite3.h>\n',
        "net/dnsmsg.c": "#include <ldns/ldns.h>\n",
        "net/udp.c": '#include "common/a.h"\n\n#include <uv.h>\n',
        "publisher/plan.c": '#include "net/b.h"\n',
        "daemon/main.c": '#include "publisher/plan.h"\n#include "resolver/order.h"\n',
        "tests/unit/test_a.c": '#include "resolver/order.h"\n\n#include <assert.h>\n',
    }.items():
        put(tmp_path, path, text)
    assert lint(tmp_path) == (0, [])
    return tmp_path


def put(tree, path, text):
    full = tree / path
    full.parent.mkdir(parents=True, exist_ok=True)
    full.write_text(text)


BREACHES = {
    "wrong direction": ("common/x.c", '\n#include "net/b.h"\n', 2, "common/ includes net/b.h"),
    "middle folders apart": ("publisher/x.c", '#include "resolver/order.h"\n', 1, "publisher/ includes resolver/order.h"),
    "net looks up": ("net/x.h", '#include "daemon/main.h"\n', 1, "net/ includes daemon/main.h"),
    "not from the root": ("net/x.c", '#include "b.h"\n', 1, 'includes "b.h"'),
    "second door to ldns": ("net/x.c", "#include <ldns/ldns.h>\n", 1, "includes ldns/ldns.h"),
    "second door to sqlite": ("daemon/x.c", "#include <sqlite3.h>\n", 1, "includes sqlite3.h"),
    "second door to yaml": ("common/x.c", "#include <yaml.h>\n", 1, "includes yaml.h"),
    "libuv in common": ("common/x.c", "#include <uv.h>\n", 1, "includes uv.h"),
    "libuv in a pure file": ("publisher/plan.h", "void f(uv_loop_t *loop);\n", 1, "libuv in a pure file"),
    "banned call": ("net/x.c", "void f(char *a)\n{\n\tstrcpy(a, a);\n}\n", 3, "calls strcpy"),
    "banned call in a test": ("tests/unit/test_x.c", "int f(void)\n{\n\treturn atoi(0);\n}\n", 3, "calls atoi"),
    "assert": ("net/x.c", "void f(int a)\n{\n\tassert(a);\n}\n", 3, "calls assert"),
    "layout": ("net/x.c", "int a;\nint   b;\n", 2, "not as clang-format"),
    "long file": ("net/x.c", "int a;\n" * 801, 801, "801 lines"),
    "long function": ("net/x.c", "void f(void)\n{\n" + "\tg();\n" * 81 + "}\n", 2, "function of 81 lines"),
    "python": ("tools/x", "#!/usr/bin/python3\nif\n", 2, "python:"),
    "shell": ("tools/x", "#!/bin/bash\nif true; then\n", 3, "shell:"),
}


@pytest.mark.parametrize("name", BREACHES)
def test_breach_is_seen(tree, name):
    path, text, line, what = BREACHES[name]
    put(tree, path, text)
    code, out = lint(tree)
    assert code == 1
    assert [o for o in out if o.startswith(f"{path}:{line}: ") and what in o], out
    assert out[-1] == "lint: 1 breaches", out


LDNS = (
    "ldns_resolver_send", "ldns_resolver_query", "ldns_resolver_search", "ldns_update_pkt_new", "ldns_update_soa_mname",
    "ldns_update_soa_zone_mname", "ldns_pkt_tsig_sign", "ldns_pkt_tsig_verify",
)


@pytest.mark.parametrize("name", LDNS)
def test_L01_L03_L04_L05_L07_L08_traps_of_ldns_are_refused(tree, name):
    put(tree, "net/dnsmsg.c", f"#include <ldns/ldns.h>\n\nvoid f(void)\n{{\n\t(void){name}();\n}}\n")
    code, out = lint(tree)
    assert code == 1 and any(o.startswith(f"net/dnsmsg.c:5: calls {name}") for o in out), out


ALLOWED = {
    "the safe ones": "void f(char *a)\n{\n\tsnprintf(a, 1, a);\n\tgmtime_r(0, 0);\n\tx->random(a);\n}\n",
    "a comment": "/* strcpy(a, b)\n * and sprintf(a) */\nint a; // atoi(a)\n",
    "a string": 'const char *a = "use \\" atoi(x)";\n',
    "80 lines": "void f(void)\n{\n" + "\tg();\n" * 80 + "}\n",
}


@pytest.mark.parametrize("name", ALLOWED)
def test_no_false_alarm(tree, name):
    put(tree, "net/x.c", ALLOWED[name])
    assert lint(tree) == (0, [])
