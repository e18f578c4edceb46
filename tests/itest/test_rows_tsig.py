"""Rows T of failure-modes.md (TSIG) against real named and scripted servers.

docs/failure-modes.md lists where each row is tested.
"""

import base64
import resource
import signal
import threading

import dns.flags
import dns.message
import dns.rcode

from kblib.bind import Key, Zone
from kblib.fakedns import unsigned
from kblib.process import wait_until
from kblib.site import CORP, ONE, SRV
from kblib.tap import UPDATE

TWO = f"5 10 1688 kms1.{CORP}."
OTHER_PRIORITY = "{ name: one, target: kms1.corp.test, port: 1688, priority: 5, weight: 10 }"


def key_names(messages, *keys):
    """The names of the keys that the messages were signed with; an unsigned one has none."""
    ring = {name: key for k in keys for name, key in k.keyring.items()}
    read = [dns.message.from_wire(m.data, keyring=ring) for m in messages]
    return {m.keyname.to_text() for m in read if m.had_tsig}


def test_T01_skew_is_told_and_the_clock_recovers(site, daemon):
    site.start(secondary=False)
    site.run()
    for ahead, words in ((900, "900 s ahead"), (-900, "900 s behind")):
        site.primary.set_clock(ahead)
        before = len(site.tap.messages())
        d = site.run(exit=1, hosts=[OTHER_PRIORITY])[0]
        assert (d["state"], d["rcode"], d["hresult"]) == ("refused", "BADTIME", "0x8007233A"), d
        seconds = int(d["hint"].split(" s ")[0].rsplit(" ", 1)[1])
        assert abs(seconds - 900) <= 2 and words.split()[2] in d["hint"], d
        signed = [m for m in site.tap.messages()[before:] if b"\x00\xfa\x00\xff" in m.data]
        assert 0 < len(signed) <= 4 and site.tap.updates() == 1  # no loop
    site.primary.set_clock(0)
    assert site.run(hosts=[OTHER_PRIORITY])[0]["state"] == "proven"
    assert site.shown() == [f"3600 {TWO}"]

    # and stepped while the daemon runs
    d = daemon(site.config(hosts=[OTHER_PRIORITY], publish="  refresh: 1s\n"))
    d.wait_log(r"daemon\.ready")
    site.primary.set_clock(900)
    row = lambda: d.command("status", "--json").json["records"][0]
    wait_until("the skew is told", lambda: " s ahead of ours" in (row()["last_error"] or ""))
    site.primary.set_clock(0)
    r = d.command("publish", "--json")
    assert r.code == 0 and r.json["domains"][0]["state"] == "unchanged", r
    assert row()["last_error"] is None


def test_T02_T04_T05_T06_replies_to_an_update_that_are_not_what_they_seem(site, fake_dns):
    """One scripted server, told each time what to say to the update."""
    say = {}
    server = fake_dns(CORP, site.text(), key=site.key, address=site.first, on_update=lambda q, r: say["how"](r))
    config = {"domain": f", server: ['{server.address}']", "exit": 1}

    def told(how):
        say["how"] = how
        before = len(server.updates)
        d = site.run("publish", "--timeout", "5s", **config)[0]
        assert len(server.updates) > before
        return d

    def signed(reply):
        reply.set_rcode(dns.rcode.NOTAUTH)
        return reply

    hints = set()
    d = told(lambda reply: unsigned(reply, dns.rcode.NOTAUTH))  # T02: PowerDNS's BADTIME
    assert (d["state"], d["rcode"], d["hresult"]) == ("unreachable", None, "0x80072521"), d
    assert "NOTAUTH" in d["hint"] and "clocks" in d["hint"]
    hints.add(d["hint"])
    d = told(signed)  # T04
    assert (d["state"], d["rcode"]) == ("refused", "NOTAUTH")
    assert f"not authoritative for zone {CORP}" in d["hint"]
    hints.add(d["hint"])
    for rcode in (dns.rcode.REFUSED, dns.rcode.SERVFAIL):  # T05
        d = told(lambda reply: unsigned(reply, rcode))
        assert (d["state"], d["rcode"]) == ("unreachable", None) and dns.rcode.to_text(rcode) in d["hint"], d
        hints.add(d["hint"])
    d = told(lambda reply: unsigned(reply, dns.rcode.NOERROR))  # T06
    assert d["state"] == "unreachable" and "proves nothing" in d["hint"], d
    hints.add(d["hint"])
    assert len(hints) == 5

    # T05: what is stored has not changed, so with the real server in its place the record is ours and goes
    server.stop()
    site.start(f"_vlmcs._tcp 3600 SRV {ONE}", secondary=False)
    assert site.run("withdraw")[0]["state"] == "proven"
    assert site.shown() == []


def test_T03_three_messages(site):
    site.start(secondary=False)
    hints = set()
    for rcode, key, words in (
        ("BADSIG", Key("corp-update"), "another secret"), ("BADKEY", Key("somebody-else"), "does not know key"),
    ):
        site.key_file = key.write(site.folder)
        d = site.run(exit=1)[0]
        assert d["rcode"] == rcode and words in d["hint"]
        hints.add(d["hint"])
    site.key_file = site.key.write(site.folder)
    site.primary.set_clock(-600)
    d = site.run(exit=1)[0]
    assert d["rcode"] == "BADTIME"
    assert len(hints | {d["hint"]}) == 3 and site.shown() == []


def test_T07_update_forwarded_by_a_secondary(site, named):
    """The secondary rewrites the ID; the reply is verified with the original one."""
    site.start(secondary=False)
    from_primary = f"{site.primary.address} port {site.loopback.port}"
    forwarder = named(
        "forwarder", address=site.second, keys=[site.key],
        zones=[Zone(CORP, primaries=from_primary, clauses=("allow-update-forwarding { any; };", "notify no;"))],
    )
    forwarder.wait_serial(CORP, 1)
    d = site.run(domain=f", server: ['{forwarder.address}']")[0]
    assert d["state"] == "proven", d
    assert site.shown() == forwarder.records(SRV, "SRV") == [f"3600 {ONE}"]


def test_T11_truncated_signatures_with_named(site):
    secret = site.key.secret
    site.key = Key("corp-update", "hmac-sha256-128", secret)
    site.key_file = site.key.write(site.folder)
    site.start(secondary=False)
    assert site.run()[0]["state"] == "proven" and site.shown() == [f"3600 {ONE}"]
    # named makes its own MAC no shorter than ours, so a key without the number works too
    site.key_file = Key("corp-update", "hmac-sha256", secret).write(site.folder)
    assert site.run(hosts=[OTHER_PRIORITY])[0]["state"] == "proven"


def test_T11_truncated_signature_that_is_not_configured(site):
    site.start(secondary=False)
    site.key_file = Key("corp-update", "hmac-sha256-128", site.key.secret).write(site.folder)
    d = site.run(exit=1)[0]
    assert (d["state"], d["rcode"]) == ("refused", "BADTRUNC") and "longer signature" in d["hint"], d
    assert site.shown() == []


def test_T14_no_part_of_the_secret_anywhere(site, daemon):
    """Every command and the daemon at the highest log level, with the right key and with each wrong one."""
    site.log_level = "debug"
    site.start(secondary=False)
    shown = []

    def note(*words, **config):
        r = site.kb(words[0], "-c", site.config(**config), *words[1:])
        shown.append(r.out + r.err)

    note("check-config", "--dump")
    note("policy")
    note("publish", "--dry-run", "--json")
    note("publish", "--print", "zone")
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))  # as where somebody collects core files
    d = daemon(site.config(publish="  refresh: 1s\n"))
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    wait_until("it is published", lambda: len(site.shown()) == 1)
    with open(f"/proc/{d.pid}/limits", encoding="ascii") as f:
        core = next(line for line in f if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    shown.append(d.command("status", "--json").out)
    good = site.key_file
    Key("corp-update", "hmac-sha512", site.key.secret).write(site.folder)
    d.signal(signal.SIGHUP)
    d.wait_log(r"BADKEY")
    with open(good, "a", encoding="ascii") as f:
        f.write(site.key.secret)  # a slip of the pen: the secret where no secret belongs
    d.signal(signal.SIGHUP)
    d.wait_log(r"reload\.refused")
    note("publish")
    d.stop()
    shown.append(d.log)
    with open(site.folder / "state" / "state.db", "rb") as f:
        shown.append(f.read().decode("latin-1"))
    text = "\n".join(shown)
    secret = site.key.secret
    raw = base64.b64decode(secret)
    parts = [secret[i : i + 8] for i in range(len(secret) - 7)]
    parts += [raw[i : i + 8].decode("latin-1") for i in range(len(raw) - 7)]
    low = text.lower()
    assert not [p for p in parts if p in text]
    assert not [raw[i : i + 8].hex() for i in range(len(raw) - 7) if raw[i : i + 8].hex() in low]


def test_T15_O12_key_is_changed_while_an_exchange_is_out(site, daemon):
    new = Key("corp-next")
    policy = f"update-policy {{ grant corp-update name {SRV}. SRV; grant corp-next name {SRV}. SRV; }};"
    site.start(secondary=False, keys=[new], clauses=(policy,))
    held, go = threading.Event(), threading.Event()

    def hold(m):
        if m.opcode == UPDATE and not held.is_set():
            held.set()
            go.wait(10)
        return m.data

    site.tap.on_query = hold
    d = daemon(site.config(publish="  refresh: 1s\n"))
    assert held.wait(20)
    site.key_file = new.write(site.folder)
    site.config(publish="  refresh: 1s\n")
    mark = d.mark()
    d.signal(signal.SIGHUP)
    d.wait_log(r"reload\.done", since=mark)
    go.set()
    wait_until("it is published", lambda: site.shown() == [f"3600 {ONE}"])
    first = site.tap.messages(UPDATE)[0]
    assert key_names([first], site.key, new) == {"corp-update."}
    assert first.rcode == dns.rcode.NOERROR
    wait_until("the new key is used", lambda: "corp-next." in key_names(site.tap.messages(), site.key, new))
    count = len(site.tap.messages())
    wait_until("it is checked again", lambda: len(site.tap.messages()) > count + 1)
    assert key_names(site.tap.messages()[count:], site.key, new) == {"corp-next."}
    assert not d.count_log(r"publisher\.failed")
    d.stop()
