"""`make install`: what it puts where, and that manual pages and completion lack nothing of what the program has."""

import pathlib
import re
import subprocess

import pytest

from kblib.process import ROOT
from kblib.program import PROGRAM, run_program

COMMANDS = re.findall(r"^  ([a-z-]+) ", run_program(["--help"]).out, re.M)


def make(*args):
    variant = pathlib.Path(PROGRAM).parent.name
    subprocess.run(["make", "-C", ROOT, f"VARIANT={variant}", *args], check=True, capture_output=True, text=True, timeout=300)


def options(command):
    """The long options as --help lists them."""
    return re.findall(r"^ +(?:-., )?(--[a-z-]+)", run_program([command, "--help"]).out.split("Options:")[1], re.M)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    make("install", f"DESTDIR={root}", "PREFIX=/usr")
    return root


def page(path):
    """As a reader sees it, on one line; roff's warnings are failures."""
    r = subprocess.run(
        ["groff", "-man", "-ww", "-Tascii", "-P-c", "-P-b", "-P-u", str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert r.stderr == ""
    return re.sub(r"\s+", " ", re.sub(r"-\n +", "", r.stdout))


def test_everything_is_below_destdir_and_uninstall_takes_it_away(installed, tmp_path):
    files = sorted(str(p.relative_to(installed)) for p in installed.rglob("*") if p.is_file())
    for name in (
        "usr/bin/kmsbeacon", "usr/share/man/man1/kmsbeacon.1", "usr/share/man/man5/kmsbeacon.yaml.5",
        "usr/share/bash-completion/completions/kmsbeacon", "usr/share/doc/kmsbeacon/kmsbeacon.yaml",
        "usr/lib/systemd/system/kmsbeacon.service",
    ):
        assert name in files
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/opt/kb")
    unit = (tmp_path / "opt/kb/lib/systemd/system/kmsbeacon.service").read_text()
    assert "ExecStart=/opt/kb/bin/kmsbeacon run" in unit and "/usr/bin" not in unit
    make("uninstall", f"DESTDIR={tmp_path}", "PREFIX=/opt/kb")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_manual_page_of_the_command_has_every_option(installed):
    text = page(installed / "usr/share/man/man1/kmsbeacon.1")
    for command in COMMANDS:
        after = text.split(f"kmsbeacon {command} [options]", 1)
        assert len(after) == 2, command
        section = after[1].split("[options]")[0]
        for option in options(command):
            assert option == "--help" or option in section, (command, option)


def test_manual_page_of_the_configuration_has_every_setting(installed):
    text = page(installed / "usr/share/man/man5/kmsbeacon.yaml.5")
    dump = run_program(["check-config", "--example"]).out
    keys = set(re.findall(r"^ *#(?:- )?([a-z_]+):", dump, re.M))
    assert len(keys) > 60
    for key in keys:
        assert re.search(rf"[.]{key}\b", text), key


def complete(script, *words):
    code = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kmsbeacon; printf "%s\\n" "${COMPREPLY[@]}"'
    r = subprocess.run(["bash", "-c", code, str(script), *words], capture_output=True, text=True, check=True, timeout=30)
    assert r.stderr == ""
    return r.stdout.split()


def test_completion(installed, tmp_path):
    script = installed / "usr/share/bash-completion/completions/kmsbeacon"
    assert set(COMMANDS) <= set(complete(script, "kmsbeacon", ""))
    assert complete(script, "kmsbeacon", "ver") == ["verify"]
    for command in COMMANDS:
        assert set(complete(script, "kmsbeacon", command, "--")) == set(options(command)), command
    (tmp_path / "kb.yaml").touch()
    assert complete(script, "kmsbeacon", "run", "-c", f"{tmp_path}/k") == [f"{tmp_path}/kb.yaml"]
    assert complete(script, "kmsbeacon", "verify", "--domain", "") == []
    assert complete(script, "kmsbeacon", "client", "skms") == ["skms", "skms-domain"]
