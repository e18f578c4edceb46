"""What `make demo` shows, step by step. Started by tools/demo, which installs and builds first."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "itest"))
sys.dont_write_bytecode = True

from kblib.bind import Named, Zone, find_program, zone_text  # noqa: E402
from kblib.loopback import Loopback, free_port  # noqa: E402
from kblib.process import Process, wait_until  # noqa: E402
from kblib.program import PROGRAM  # noqa: E402

DOMAIN = "corp.test"
OWNER = f"_vlmcs._tcp.{DOMAIN}"
CLIENTS = 25
DEADLINE_S = 300
SIGNALS = (signal.SIGALRM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TERMINAL = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
COLOUR = TERMINAL and not os.environ.get("NO_COLOR")


class Stop(Exception):
    """The demo cannot go on; the text is the reason."""


def tone(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def say(text=""):
    print(text, flush=True)


class Demo:
    STEPS = 8

    def __init__(self, work):
        self.work = work
        self.net = Loopback()
        self.kms_port = free_port(*(f"{self.net.prefix}.{i}" for i in (11, 12)))
        self.kms1, self.kms2 = f"{self.net.prefix}.11", f"{self.net.prefix}.12"
        self.processes = []
        self.step_number = 0
        # NS records carry no port: the servers share a free one, and our commands are told which
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("KMSBEACON")}
        self.env["KMSBEACON_DNS_PORT"] = str(self.net.port)

    # ---- telling ----

    def step(self, title, why):
        self.step_number += 1
        say()
        say(tone("1;36", f"{self.step_number}/{self.STEPS}  {title}"))
        say(tone("2", why))
        say()

    def write(self, name, text, mode=0o644):
        with open(os.open(os.path.join(self.work, name), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "w") as f:
            f.write(text)

    def show_file(self, name):
        say(tone("1", f"$ cat {name}"))
        with open(os.path.join(self.work, name), encoding="utf-8") as f:
            say(f.read().rstrip())
        say()

    def show(self, *words, want=0):
        """Run a command before the reader's eyes: its own output, its own colours."""
        say(tone("1", "$ " + " ".join(words)))
        argv = [PROGRAM if words[0] == "kmsbeacon" else find_program(words[0]), *words[1:]]
        code = subprocess.run(argv, cwd=self.work, env=self.env, stdin=subprocess.DEVNULL, timeout=120).returncode
        say()
        if code != want:
            raise Stop(f"`{' '.join(words)}` ended with exit code {code} where {want} was due")

    def ask(self, *words):
        """Run kmsbeacon with --json unseen; exit code and report."""
        r = subprocess.run(
            [PROGRAM, *words, "--json"], cwd=self.work, env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=120,
        )
        try:
            return r.returncode, json.loads(r.stdout)
        except ValueError:
            raise Stop(f"`kmsbeacon {' '.join(words)}` gave no report: {r.stderr.strip() or r.stdout.strip()}") from None

    def quiet(self, *words):
        r = subprocess.run(
            [PROGRAM, *words], cwd=self.work, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=120,
        )
        if r.returncode != 0:
            raise Stop(f"`kmsbeacon {' '.join(words)}`: {r.stderr.strip() or r.stdout.strip()}")
        return r.stdout

    def dig(self, *servers):
        for server in servers:
            words = ["dig", f"@{server.address}", "-p", str(server.port), OWNER, "SRV", "+noall", "+answer"]
            say(tone("1", "$ " + " ".join(words)) + f"    # {server.name}")
            r = subprocess.run(
                [find_program("dig"), *words[1:]], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
            )
            if r.returncode != 0:
                raise Stop(f"dig: {r.stdout.strip()} {r.stderr.strip()}")
            say(r.stdout.rstrip() or tone("2", "(no record)"))
            say()

    def start(self, name, config):
        p = Process(name, [PROGRAM, "run", "-c", config], env=self.env, cwd=self.work)
        self.processes.append(p)
        p.wait_log(r"\bdaemon\.ready\b")
        return p

    # ---- the steps ----

    def configure(self):
        self.step(
            "A key and what it may do",
            "The administrator of the zone makes a TSIG key and grants it one name and one type, nothing else.\n"
            "`kmsbeacon policy` writes that grant; it goes into the zone's statement as it stands.",
        )
        say(tone("1", "$ (umask 077; tsig-keygen -a hmac-sha256 corp > corp.key)"))
        say()
        made = subprocess.run(
            [find_program("tsig-keygen"), "-a", "hmac-sha256", "corp"], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=True,
        )
        self.write("corp.key", made.stdout, 0o600)
        self.show("kmsbeacon", "lab", "keygen", "lab.key")
        self.write("kms2.yaml", f"""\
# This machine: it publishes both hosts, and is the second one itself.
node:
  target: kms2.{DOMAIN}
  state_dir: kms2
  control: {{ socket: kms2.sock, mode: "0600" }}
service: {{ mode: lab, listen: ["{self.kms2}:{self.kms_port}"] }}
lab: {{ key_file: lab.key }}
keys:
  - {{ name: corp, file: corp.key }}
hosts:
  - {{ name: kms1, target: kms1.{DOMAIN}, port: {self.kms_port}, priority: 0 }}
  - {{ name: local, priority: 10 }}
health: {{ interval: 1s, timeout: 1s, rise: 1, fall: 2, min_stay: 1s }}
publish:
  ttl: 1m
  on_stop: withdraw
  domains:
    - {{ domain: {DOMAIN}, key: corp, lab: true }}
discovery: {{ suffixes: [{DOMAIN}], resolvers: ["{self.net.prefix}.1:{self.net.port}"] }}
""")
        self.write("kms1.yaml", f"""\
# The other machine: a lab KMS host and no more.
node:
  target: kms1.{DOMAIN}
  state_dir: kms1
  control: {{ socket: kms1.sock, mode: "0600" }}
service: {{ mode: lab, listen: ["{self.kms1}:{self.kms_port}"] }}
lab: {{ key_file: lab.key }}
""")
        for name in ("kms1", "kms2"):
            os.mkdir(os.path.join(self.work, name), 0o700)
        self.show_file("kms2.yaml")
        self.show("kmsbeacon", "check-config", "-c", "kms2.yaml")
        self.show("kmsbeacon", "policy", "-c", "kms2.yaml")

    def serve_dns(self):
        self.step(
            "A BIND of our own",
            f"Two real named, primary and secondary of {DOMAIN}, on loopback addresses that only this demo uses.\n"
            "The primary's zone statement holds what `policy` printed. There is no KMS record yet.",
        )
        policy = self.quiet("policy", "-c", "kms2.yaml")
        first, second = self.net.address(), self.net.address()
        hosts = [f"kms1 A {self.kms1}", f"kms2 A {self.kms2}"]
        text = zone_text(DOMAIN, [("ns1", first), ("ns2", second)], hosts)
        notify = f"also-notify {{ {second} port {self.net.port}; }};"
        key = os.path.join(self.work, "corp.key")
        self.ns1 = Named(
            self.work, "ns1", first, self.net.port, extra=f'include "{key}";\n', options=["notify-delay 1;"],
            zones=[Zone(DOMAIN, text, clauses=(policy, notify))],
        )
        transfer = Zone(DOMAIN, primaries=f"{first} port {self.net.port}", clauses=("notify no;",))
        self.ns2 = Named(self.work, "ns2", second, self.net.port, zones=[transfer])
        for server in (self.ns1, self.ns2):
            self.processes.append(server)
            server.start()
        self.ns2.wait_serial(DOMAIN, 1)
        say(f"ns1 (primary)    {first} port {self.net.port}")
        say(f"ns2 (secondary)  {second} port {self.net.port}")
        say()
        self.dig(self.ns1)

    def publish(self):
        self.step(
            "Publish, and prove it",
            "Both hosts run. The daemon reads the zone, sends one signed update, and asks every server of the\n"
            "zone whether it shows the records: NOERROR alone is not success.",
        )
        self.show("kmsbeacon", "publish", "-c", "kms2.yaml", "--dry-run")
        say(tone("1", "$ kmsbeacon run -c kms1.yaml &  kmsbeacon run -c kms2.yaml &"))
        say()
        self.host1 = self.start("kms1", "kms1.yaml")
        self.host2 = self.start("kms2", "kms2.yaml")
        self.show("kmsbeacon", "publish", "-c", "kms2.yaml")
        self.dig(self.ns1, self.ns2)
        say("Once more: nothing is left to do, and no update is sent.")
        say()
        before = self.ns1.updates_done()
        self.show("kmsbeacon", "publish", "-c", "kms2.yaml")
        if not before or self.ns1.updates_done() != before:
            raise Stop("the log of ns1 shows an update that was not due, or none at all")

    def discover(self):
        self.step(
            "Discovery, explained",
            "What a Windows client would do with these records: which host it takes, and why.",
        )
        self.show("kmsbeacon", "discover", "-c", "kms2.yaml", "--explain")

    def client(self, name, *words):
        return ["client", *words, "-c", "kms2.yaml", "--state", "clients.json", "--name", name]

    def fleet(self, count, *words, state):
        return ["client", "fleet", "--count", str(count), *words, "-c", "kms2.yaml", "--state", state]

    def activate(self):
        self.step(
            f"{CLIENTS} lab clients",
            f"A KMS host activates Windows clients when it has seen {CLIENTS} of them. These are kmsbeacon's own lab\n"
            "clients with kmsbeacon's own messages: a rehearsal. No Windows machine can be activated with them.",
        )
        self.show("kmsbeacon", *self.client("pc1", "ato"), want=1)
        self.show("kmsbeacon", *self.fleet(CLIENTS - 2, state="clients.json"), want=1)
        self.show("kmsbeacon", *self.client("pc2", "ato"))

    def renew(self):
        self.step(
            "Renewal, and a cloned image",
            "An activated client asks again every 7 days: it is counted once, and its 180 days begin anew. A machine\n"
            "that was cloned without sysprep /generalize carries the machine id of another: it is not counted at all.",
        )
        self.show("kmsbeacon", *self.client("pc2", "ato"))
        code, report = self.ask(*self.client("clone-of-pc2", "ato", "--clone-of", "pc2"))
        if code != 0 or report["count"] != CLIENTS:
            raise Stop(f"a clone was to be activated and not counted: {report['result']}, count {report['count']}")
        say(tone("1", "$ kmsbeacon " + " ".join(self.client("clone-of-pc2", "ato", "--clone-of", "pc2"))))
        say(f"activated; the count is still {report['count']}")
        say()
        self.show("kmsbeacon", "status", "-c", "kms1.yaml")
        self.warm_up()

    def warm_up(self):
        """Hosts do not share counts: kms2 gets clients of its own."""
        at = f"kms2.{DOMAIN}:{self.kms_port}"
        code, report = self.ask(*self.fleet(CLIENTS, "--hosts-from", at, state="others.json"))
        if report["activated"] == 0:
            raise Stop(f"kms2 did not activate the {CLIENTS}th client (exit code {code})")
        say(f"Hosts do not share their counts. So that kms2 can stand in, {CLIENTS} other clients were sent to it (client")
        say(f"fleet --hosts-from {at}).")

    def fail_over(self):
        self.step(
            "A host dies",
            "kms1 is killed. The daemon withdraws its record, because another host of the set is up; a client that\n"
            "remembers kms1 finds it gone, asks DNS again, and goes on with kms2.",
        )
        say(tone("1", f"$ kill -KILL {self.host1.pid}    # kms1"))
        say()
        self.host1.kill()
        for server in (self.ns1, self.ns2):
            wait_until(f"{server.name} shows one host alone", lambda s=server: len(s.records(OWNER, "SRV")) == 1, 60)
        self.dig(self.ns1, self.ns2)
        self.show("kmsbeacon", *self.client("pc2", "ato"))
        self.show("kmsbeacon", "status", "-c", "kms2.yaml")

    def clean_up(self):
        self.step(
            "Stop",
            "SIGTERM: with `on_stop: withdraw` the daemon takes back what it published, proves that, and ends.",
        )
        say(tone("1", f"$ kill {self.host2.pid}    # kms2"))
        say()
        code = self.host2.stop(60)
        if code != 0:
            raise Stop(f"the daemon ended with exit code {code}")
        self.dig(self.ns1)
        if self.ns1.records(OWNER, "SRV"):
            raise Stop("the zone still shows a record of ours")
        say("The zone is as it was before.")

    def play(self):
        self.configure()
        self.serve_dns()
        self.publish()
        self.discover()
        self.activate()
        self.renew()
        self.fail_over()
        self.clean_up()

    def end(self):
        """Stop everything, whatever happened before, undisturbed."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        for p in reversed(self.processes):
            try:
                p.stop()
            except Exception:  # one that will not stop has been killed
                pass

    def logs(self):
        for p in self.processes:
            yield f"--- the last lines of {p.name}\n" + "\n".join(p.log.splitlines()[-12:])


def on_signal(number, frame):
    raise Stop("it took too long" if number == signal.SIGALRM else f"stopped by {signal.Signals(number).name}")


def main():
    started = time.monotonic()
    for number in SIGNALS:
        signal.signal(number, on_signal)
    signal.alarm(DEADLINE_S)
    with tempfile.TemporaryDirectory(prefix="kmsbeacon-demo-") as work:
        demo = Demo(work)
        reason = None
        try:
            demo.play()
        except (Stop, AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as e:
            reason = e
        finally:
            signal.alarm(0)
            demo.end()
        if reason is not None:
            say()
            for log in demo.logs():
                say(log)
            say(tone("1;31", f"The demo stopped at step {demo.step_number} of {demo.STEPS}: {reason}"))
            return 1
    say()
    say(tone("1;32", f"Done in {time.monotonic() - started:.0f} s: ") + SUMMARY)
    return 0


SUMMARY = f"""\
two hosts were published by signed update and proven on both servers, the better one was found
as Windows finds it, {CLIENTS} lab clients reached the threshold, one renewed, a cloned image was found out, one host died
and its record went, its client went on with the other, and the zone is as it was. Nothing is left running.
For your own BIND: README.md, "A first configuration"."""

if __name__ == "__main__":
    sys.exit(main())
