"""`kmsbeacon client`: several clients in one file, fleets of them over the network, what one remembers of its host."""

import json
import os
import pty
import re
import select
import signal
import subprocess

import pytest
from kblib.bind import Zone, zone_text
from kblib.process import SLOWER, die_with_parent
from kblib.program import PROGRAM, environment

CORP = "corp.test"


@pytest.fixture
def zone(named, loopback):
    def start(*lines):
        address = loopback.address()
        return named("ns1", address=address, zones=[Zone(CORP, zone_text(CORP, [("ns1", address)], lines))])

    return start


def dns(server):
    return ("--domain", CORP, "--server", f"{server.address}:{server.port}")


def fleet_args(d, count, *more):
    return ("client", "fleet", "--state", d.folder / "fleet.json", "--key", d.folder / "state" / "lab.key",
            "--count", count, *more)


def fleet(kb, d, count, *more, code):
    r = kb(*fleet_args(d, count, "--json", *more))
    assert r.code == code, r
    report = r.json
    assert report["activated"] + report["waiting"] + report["failed"] == sum(c["clients"] for c in report["codes"])
    return report


def test_fleet_reaches_the_threshold(lab, kb):
    d = lab()
    one = fleet(kb, d, 40, "--hosts-from", d.address, "--concurrency", 8, code=1)
    assert (one["activated"], one["waiting"], one["failed"]) == (16, 24, 0), one
    assert {c["code"]: c["clients"] for c in one["codes"]} == {"0x00000000": 16, "0xC004F038": 24}
    assert one["hosts"] == [
        {"host": d.where[0], "address": d.address, "requests": 40, "activated": 16, "waiting": 24, "failed": 0}
    ]
    two = fleet(kb, d, 40, "--hosts-from", d.address, code=0)  # the same machines ask again
    assert (two["activated"], two["waiting"]) == (40, 0), two
    service = d.status()["service"]
    assert (service["clients_30d"], service["requests"], service["failed"], service["count"]) == (40, 80, 0, 40)
    clients = json.loads((d.folder / "fleet.json").read_text())["clients"]
    assert len(clients) == 40 and {c["licence_status"] for c in clients} == {1}
    dlv = kb("client", "dlv", "--json", "--state", d.folder / "fleet.json", "--name", "lab00007").json
    assert dlv["license_status"] == 1 and dlv["count"] >= 25
    r = kb("client", "dlv", "--state", d.folder / "fleet.json")
    assert r.code == 2 and "--name says which" in r.err, r


def test_fleet_finds_hosts_by_dns_and_spreads_by_weight(lab, kb, zone):
    heavy = lab(name="heavy")
    light = lab(name="light", key_file=heavy.folder / "state" / "lab.key")
    server = zone(
        f"_vlmcs._tcp SRV 0 90 {heavy.where[1]} kms1", f"_vlmcs._tcp SRV 0 10 {light.where[1]} kms2",
        f"kms1 A {heavy.where[0]}", f"kms2 A {light.where[0]}",
    )
    report = fleet(kb, heavy, 200, "--product", "server", *dns(server), code=1)
    asked = {h["host"]: h["requests"] for h in report["hosts"]}
    assert sum(asked.values()) == 200 and 150 < asked[f"kms1.{CORP}"] < 199, report
    assert report["waiting"] == 8, report  # four on each host: their counts are their own
    heavy.stop()
    again = fleet(kb, heavy, 200, *dns(server), code=0)  # who remembered the dead host finds the other
    lost = [h for h in again["hosts"] if h["host"] == f"kms1.{CORP}"]
    assert again["activated"] == 200 and lost[0]["failed"] == lost[0]["requests"] >= asked[f"kms1.{CORP}"], again


@pytest.mark.parametrize("operand, says", [
    ("kms1.corp.test", "KMS host set to kms1.corp.test:1688; DNS is not asked any more"),
    ("kms1.corp.test:", "KMS host set to kms1.corp.test:1688; DNS is not asked any more"),
    ("[::1]:1700", "KMS host set to [::1]:1700; DNS is not asked any more"),
    (":1700", "KMS port set to 1700; no host is set, so hosts are found by DNS, with the ports of their records"),
])
def test_skms_says_what_is_set(kb, tmp_path, operand, says):
    r = kb("client", "skms", operand, "--state", tmp_path / "c.json")
    assert (r.code, r.out.split(" (")[0].strip()) == (0, says)


def test_events_of_a_fleet_are_kept_and_read_by_name(lab, kb):
    d = lab()
    where = f"{d.where[0]}:{d.where[1]}"
    fleet(kb, d, 3, "--hosts-from", where, code=1)
    read = ("client", "events", "--state", d.folder / "fleet.json")
    assert kb(*read).out.count("Event ID:  12288\n") == 3
    r = kb(*read, "--name", "lab00002")
    assert re.fullmatch(
        rf"Date:      \S+Z\nSource:    kms.request_sent\nEvent ID:  12288\nComputer:  lab00002\nLevel:     Information\n"
        rf"The client has sent an activation request to the KMS computer\.\n"
        rf"Info:\n0x00000000, 0x00000000, {where}, .*, 25\n\n"
        r"Date:      \S+Z\nSource:    kms.response\nEvent ID:  12289\nComputer:  lab00002\nLevel:     Information\n"
        r"The client has processed an activation response from the KMS computer\.\n"
        r"Info:\n0x00000000, 0x04000000, 0, 0, \d, 120, 10080, .*\n\n", r.out,
    ), r
    assert kb(*read, "--since", "2999-01-01T00:00:00Z").out == ""
    assert kb(*read, "--since", "soon").code == 2


def test_fleet_of_a_cloned_image(lab, kb):
    d = lab()
    first = fleet(kb, d, 1, "--product", "server", "--name", "image", "--hosts-from", d.address, code=1)
    assert first["waiting"] == 1
    report = fleet(kb, d, 30, "--product", "server", "--clone-of", "image00001", "--hosts-from", d.address, code=1)
    assert report["waiting"] == 30  # for ever: they count as one
    service = d.status()["service"]
    assert (service["count"], service["duplicates"]) == (1, 1), service


def test_fleet_says_which_codes_and_stops_at_a_signal(lab, kb, loopback):
    d = lab("lab: { products: [server] }\n")
    text = kb(*fleet_args(d, 3, "--hosts-from", d.address))
    assert text.code == 1 and re.search(r"^3 clients in .* 0 activated, 0 waiting for the count, 3 failed$", text.out, re.M)
    assert re.search(r"^3 +0xC004F042 ", text.out, re.M), text.out
    assert all(len(line) <= 100 for line in text.out.splitlines()), text.out
    argv = [PROGRAM, *map(str, fleet_args(d, 1000, "--json", "--rate", "20", "--hosts-from", d.address))]
    p = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True, preexec_fn=die_with_parent
    )
    d.wait_log(r"kms\.request.*lab00005")
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=20 * SLOWER)
    report = json.loads(out)
    assert p.returncode == 1 and report["interrupted"] is True and 0 < report["failed"] < 1000, (out, err)


def test_fleet_has_a_progress_line_on_a_terminal(lab):
    d = lab()
    main, side = pty.openpty()
    argv = [PROGRAM, *map(str, fleet_args(d, 30, "--rate", "40", "--hosts-from", d.address))]
    p = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=side, env=environment(), preexec_fn=die_with_parent
    )
    os.close(side)
    seen = b""
    while select.select([main], [], [], 20 * SLOWER)[0]:
        try:
            more = os.read(main, 4096)
        except OSError:  # the other end is closed
            break
        if not more:
            break
        seen += more
    out, _ = p.communicate(timeout=20 * SLOWER)
    os.close(main)
    assert p.returncode == 1 and b"30 clients in" in out
    assert re.search(rb"\d+ of 30 clients: \d+ activated, \d+ waiting for the count, 0 failed", seen), seen


@pytest.mark.parametrize(
    "args, says",
    [
        ((), "--count"), (("--count", "0"), "from 1 to 20000"), (("--count", "x"), "from 1 to 20000"),
        (("--count", "20001"), "from 1 to 20000"), (("--count", "1", "--concurrency", "0"), "from 1 to 1024"),
        (("--count", "1", "--rate", "-1"), "from 1 to"), (("--count", "1", "--hosts-from", "::1"), "brackets"),
        (("--count", "1", "--clone-of", "nobody"), "no client 'nobody'"), (("--count", "1", "--product", "xp"), "xp"),
    ],
)
def test_fleet_usage(kb, tmp_path, args, says):
    r = kb("client", "fleet", "--state", tmp_path / "f.json", *args)
    assert r.code == 2 and says in r.err, r
    assert not (tmp_path / "f.json").exists()


def test_host_is_remembered_until_it_fails(lab, kb, zone):
    d = lab(name="one")
    other = lab(name="two", key_file=d.folder / "state" / "lab.key")
    server = zone(
        f"_vlmcs._tcp SRV 0 0 {d.where[1]} kms1", f"_vlmcs._tcp SRV 5 0 {other.where[1]} kms2",
        f"kms1 A {d.where[0]}", f"kms2 A {other.where[0]}",
    )

    def ato(*more):
        args = ("--json", "--state", d.folder / "c.json", "--key", d.folder / "state" / "lab.key", "--product", "office")
        return kb("client", "ato", *args, *dns(server), *more).json

    sources = [[(a["host"], a["source"]) for a in ato()["attempts"]] for _ in range(2)]
    assert sources == [[(f"kms1.{CORP}", "dns")], [(f"kms1.{CORP}", "cache")]]
    d.stop()
    report = ato()
    assert [(a["host"], a["source"], a["code"]) for a in report["attempts"]][0] == (f"kms1.{CORP}", "cache", "0x800706BA")
    last = report["attempts"][-1]
    assert (last["host"], last["source"], last["code"]) == (f"kms2.{CORP}", "dns", "0xC004F038"), report
    # the fields of the events, in their order (behaviour §4.1, §4.2)
    assert re.fullmatch(
        rf"0x00000000, 0x00000000, kms2\.{CORP}:{other.where[1]}, [0-9a-f-]{{36}}, \d{{4}}/\d\d/\d\d \d\d:\d\d, 0, 2, "
        r"\d+, [0-9a-f-]{36}, 5", last["event_12288"],
    ), last
    assert re.fullmatch(r"0x00000000, 0x04000000, 0, 0, 1, 120, 10080, \d{4}/\d\d/\d\d \d\d:\d\d", last["event_12289"]), last
    assert report["attempts"][0]["event_12289"] == ""  # 12288 alone: the host was not reached
    # and they are kept, for whoever reads them later
    events = [json.loads(line) for line in kb("client", "events", "--json", "--state", d.folder / "c.json").out.splitlines()]
    assert [e["id"] for e in events] == [12288, 12289] * 2 + [12288] * (len(report["attempts"]) - 1) + [12288, 12289]
    assert [(e["info"], e["hresult"], e["level"]) for e in events[-2:]] == [
        (last["event_12288"], "0x00000000", "info"), (last["event_12289"], "0x00000000", "info")
    ]
    assert (events[4]["hresult"], events[4]["level"]) == ("0x800706BA", "warning")
    assert ato()["attempts"][0]["source"] == "cache"
    kb("client", "ckhc", "--state", d.folder / "c.json")
    assert ato()["attempts"][0]["host"] == f"kms1.{CORP}"  # DNS is asked each time now
