"""The command as its user meets it: help, exit codes, one clear sentence for each wrong input."""

import json
import os
import re
import socket
import threading

import pytest

from kblib.bind import Key
from kblib.program import run_program

# As the program itself lists them: a command that is added is held to the same rules without a change here.
COMMANDS = re.findall(r"^  ([a-z-]+) ", run_program(["--help"]).out, re.M)
FIRST_NEEDED = ["run", "check-config", "policy", "publish", "withdraw", "discover", "verify", "probe", "status"]


def write(path, text, mode=0o600):
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def config(tmp_path, text, **keys):
    state = f'node: {{ target: kms1.corp.test, state_dir: "{tmp_path}/state", control: {{ socket: "{tmp_path}/sock" }} }}\n'
    return write(tmp_path / "kb.yaml", state + text)


def sentence(text):
    """Exactly one line that says something."""
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    return lines[0]


def test_overview_lists_every_command(kb):
    r = kb("--help")
    assert r.code == 0 and r.err == ""
    assert COMMANDS[: len(FIRST_NEEDED)] == FIRST_NEEDED and len(set(COMMANDS)) == len(COMMANDS)
    assert kb().code == 2
    assert "unknown command 'publsh'" in kb("publsh").err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches(kb, command):
    r = kb(command, "--help")
    assert r.code == 0 and r.err == ""
    assert r.out.startswith(f"Usage: kmsbeacon {command} ")
    assert "Options:" in r.out and "Examples:" in r.out
    assert max(len(line) for line in r.out.splitlines()) <= 100


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_option_is_usage(kb, command):
    r = kb(command, "--no-such-option")
    assert r.code == (3 if command == "verify" else 2)
    assert "--no-such-option" in r.err and f"kmsbeacon {command} --help" in r.err


def test_version(kb):
    assert re.fullmatch(r"kmsbeacon \d+\.\d+\.\d+\n", kb("--version").out)


def test_missing_configuration_is_said(kb, tmp_path):
    for command in ("publish", "check-config", "run", "policy"):
        r = kb(command, "-c", tmp_path / "none.yaml")
        assert r.code == 2, r
        assert "none.yaml" in r.err and "No such file" in r.err, r


def test_unknown_key_names_place_and_likely_word(kb, tmp_path):
    path = config(tmp_path, 'service: { mode: "off" }\npublish: { tll: 1h, domains: [] }\n')
    r = kb("check-config", "-c", path)
    assert r.code == 2
    assert re.search(rf"^{path}:3:12: publish\.tll: .*ttl", r.err, re.M), r
    for command in ("publish", "run"):
        assert kb(command, "-c", path).code == 2


def test_every_error_of_a_file_is_reported(kb, tmp_path):
    path = config(tmp_path, "service: { mode: of }\npublish: { ttl: 10, refrsh: 1m }\nlimits: { idle: 1y }\n")
    r = kb("check-config", "-c", path)
    assert r.code == 2
    assert [line.split(":")[1] for line in r.err.splitlines()[:-1]] == ["2", "3", "3", "4"], r


def test_secret_readable_by_others_is_refused(kb, tmp_path):
    key = Key("corp")
    file = key.write(str(tmp_path), mode=0o644)
    path = config(
        tmp_path, f'service: {{ mode: "off" }}\nkeys: [ {{ name: corp, file: "{file}" }} ]\n',
    )
    r = kb("check-config", "-c", path)
    assert r.code == 2
    assert file in r.err and f"chmod 600 {file}" in r.err, r
    assert f"{path}:3:" in r.err, r
    assert key.secret not in r.out + r.err


def test_lab_published_in_an_unmarked_domain_is_refused(kb, tmp_path):
    path = config(tmp_path, "service: { mode: lab }\npublish: { domains: [corp.test] }\n")
    r = kb("check-config", "-c", path)
    assert r.code == 2
    assert re.search(r":3:\d+: publish\.domains", r.err) and "lab: true" in r.err, r


def test_check_config_dump_reads_back(kb, tmp_path):
    path = config(tmp_path, 'service: { mode: "off" }\n')
    dump = kb("check-config", "-c", path, "--dump")
    assert dump.code == 0, dump
    again = write(tmp_path / "again.yaml", dump.out)
    assert kb("check-config", "-c", again, "--dump").out == dump.out
    example = write(tmp_path / "example.yaml", kb("check-config", "--example").out)
    assert "publish:" in example.read_text()


def test_lab_keygen_is_private_and_never_replaces(kb, tmp_path):
    file = tmp_path / "lab.key"
    assert kb("lab", "keygen", file).code == 0
    assert os.stat(file).st_mode & 0o777 == 0o600
    first = file.read_text()
    r = kb("lab", "keygen", file)
    assert r.code == 1 and str(file) in sentence(r.err)
    assert file.read_text() == first
    secret = [line for line in first.splitlines() if not line.startswith("#")][0]
    assert secret not in r.out + r.err


def test_commands_that_need_a_daemon_say_how_to_start_one(kb, tmp_path):
    path = config(tmp_path, 'service: { mode: "off" }\n')
    r = kb("status", "-c", path, "--json")
    assert r.code == 1 and r.json["error"]["code"] == "NOT_FOUND"
    assert "kmsbeacon run" in sentence(r.err)


# ---- whatever a daemon answers ----


@pytest.fixture
def answering(tmp_path):
    """answering(ANSWER) is a configuration whose daemon gives every request this one answer."""
    listener = socket.socket(socket.AF_UNIX)

    def serve(answer):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.makefile("rb").readline()
                client.sendall(answer)

    def start(answer):
        answer = answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n"
        path = config(tmp_path, "")
        listener.bind(str(tmp_path / "sock"))
        listener.listen()
        threading.Thread(target=serve, args=(answer,), daemon=True).start()
        return path

    yield start
    listener.close()


def test_events_end_where_a_page_brings_nothing_new(kb, answering):
    """It asked for the next page for ever."""
    path = answering({"exit": 0, "report": {"events": [], "last": 7, "more": True}})
    r = kb("events", "-c", path, timeout_s=20)
    assert r.code == 1 and "no further events" in sentence(r.err)


@pytest.mark.parametrize("command", [["status"], ["status", "--dlv"], ["status", "--prometheus"], ["events"], ["drain"],
                                     ["resume"], ["publish"], ["reload"]])
def test_no_answer_reaches_the_terminal_as_it_is(kb, answering, command):
    evil = "\x1b[31m\x9b31m\x07\x7f"
    row = {key: evil for key in ("name", "host", "target", "domain", "view", "state", "text", "detail", "address", "zone",
                                 "time", "last_error", "since", "version", "profile", "hint", "server", "machines")}
    report = {**row, "service": {**row, "mode": "relay", "listen": [evil]}, "hosts": [row], "records": [row], "last": 1,
              "upstreams": [{**row, "hresults": {evil: 1}}], "discovery": [row], "events": [row], "domains": [row],
              "lifted": 1, "errors": [evil]}
    r = kb(*command, "-c", answering({"exit": 1, "report": report}))
    assert r.out + r.err
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", r.out + r.err), r.out + r.err


@pytest.mark.parametrize("answer", [
    {"exit": 256, "report": {}}, {"exit": -1, "report": {}}, {"exit": "0", "report": {}}, {"report": {}},
    {"exit": 0, "report": {}, "error": {}}, {"exit": 0}, {"exit": 0, "report": []}, {"exit": 1, "error": "no"}, b"\n", b"x\n",
])
def test_what_is_no_answer_is_not_taken_for_yes(kb, answering, answer):
    r = kb("status", "-c", answering(answer), "--json")
    assert r.code == 1 and r.json["error"]["code"] == "PARSE"


def test_an_error_is_not_taken_for_yes(kb, answering):
    path = answering({"exit": 0, "error": {"code": "USAGE", "text": "no"}})
    assert [kb(c, "-c", path).code for c in ("status", "publish", "drain", "reload")] == [1, 1, 1, 1]


NO_UTF8 = "m\udcfcnchen"  # the octet of Latin-1


@pytest.mark.parametrize(
    "words",
    [[NO_UTF8, "--json"], ["explain", "--json", NO_UTF8], ["probe", "--json", NO_UTF8], ["client", "--json", "skms", NO_UTF8],
     ["events", "--json", NO_UTF8]],
)
def test_words_that_are_no_utf8_are_told_in_json(kb, words):
    r = kb(*words)
    assert r.code in (1, 2), r
    if words[0] != NO_UTF8:  # else there is no command yet that takes --json
        assert "m?nchen" in r.json["error"]["text"], r
    assert "out of memory" not in r.err, r


@pytest.mark.parametrize(
    "words, hint",
    [
        (["probe"], "1 to"),
        (["probe", "host:99999"], "HOST[:PORT]"),
        (["discover", "--profile", "xp"], "modern or vista"),
        (["discover", "--domain", "a..b"], "no domain name"),
        (["discover", "--server", "localhost"], "no address"),
        (["discover", "--seed", "x"], "whole number"),
        (["discover", "--seed", "18446744073709551616"], "64 bits"),
        (["discover", "--probe", "icmp"], "rpc, tcp or none"),
        (["verify", "--domain", "corp.test", "--expect", "kms1:x"], "--expect"),
        (["verify", "--domains-file", "/nonexistent"], "cannot be opened"),
        (["client"], "wants a verb"),
        (["client", "activate"], "no such verb"),
        (["client", "skms"], "takes one operand"),
        (["lab", "keygen"], "keygen FILE"),
        (["status", "now"], "takes no operand"),
    ],
)
def test_wrong_use_is_one_sentence(kb, words, hint):
    r = kb(*words)
    assert r.code == (3 if words[0] == "verify" else 2), r
    assert hint in sentence(r.err) and r.out == "", r
    if words[0] in ("discover", "verify", "probe"):
        r = kb(*words, "--json")
        assert hint in r.json["error"]["text"] and r.json["error"]["code"] == "USAGE", r
