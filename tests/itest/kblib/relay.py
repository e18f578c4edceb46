"""A daemon in mode relay before scripted hosts, with times so short that a test need not wait."""

import contextlib
import itertools
import re
import socket
import threading

from .process import SLOWER, wait_until

_numbers = itertools.count(1)
QUICK = "request_timeout: 300ms"
HEALTH = "interval: 200ms, timeout: 500ms, rise: 1, fall: 2, min_stay: 0s"


MOST_MS = {"timeout": 60000, "request_timeout": 600000}


def slower(text):
    """Configuration with time for hosts in it: where the relay itself is slower, a host in order has longer, too."""

    def longer(m):
        ms = int(m[2]) * (1000 if m[3] == "s" else 1)
        return f"{m[1]}: {min(int(ms * SLOWER), MOST_MS[m[1]])}ms"

    return re.sub(r"\b(timeout|request_timeout): (\d+)(ms|s)\b", longer, text)


def upstream(host, priority=0, lab=False, name=None):
    """The entry of relay.upstreams for whatever has .name and .where."""
    address, port = host.where
    more = ", lab: true" if lab else ""
    return f'{{ name: {name or host.name}, address: "{address}", port: {port}, priority: {priority}{more} }}'


class Relay:
    """start_relay() makes it. `.d` is the daemon."""

    def __init__(self, folder, listen, name):
        self.name, self.folder, self.listen = name, folder, listen
        self.config = folder / "kb.yaml"
        self.d = None

    def write(self, upstreams, relay=QUICK, pool="min: 1, max: 64", health=HEALTH, service="", extra="", hosts="[]", level="info",
              target="kms1.relay.test"):
        listen = ", ".join(f'"{a}"' for a in self.listen)
        relay, health = slower(relay), slower(health)
        self.config.write_text(
            f"node: {{ target: {target}, state_dir: {self.folder}/state, control: {{ socket: {self.folder}/sock }} }}\n"
            f"service: {{ mode: relay, listen: [{listen}]{service} }}\n"
            f"relay:\n  upstreams: [{', '.join(u if isinstance(u, str) else upstream(u) for u in upstreams)}]\n"
            f"  pool: {{ {pool} }}\n" + "".join(f"  {line.strip()}\n" for line in relay.split(";") if line.strip())
            + f"health: {{ {health} }}\nhosts: {hosts}\nlog: {{ level: {level} }}\n{extra}"
        )

    def reload(self, upstreams, **how):
        self.write(upstreams, **how)
        r = self.d.command("reload")
        assert r.code == 0, r

    def status(self):
        return self.d.command("status", "--json").json

    def upstream(self, name):
        (u,) = [u for u in self.status()["upstreams"] if u["name"] == name]
        return u

    def states(self):
        return {u["name"]: u["state"] for u in self.status()["upstreams"]}

    def wait_states(self, **wanted):
        """By name; `_` stands for `-` in both."""
        wanted = {k.replace("_", "-"): v.replace("_", "-") for k, v in wanted.items()}
        last = {}

        def there():
            last.update(self.states())
            return all(last.get(k) == v for k, v in wanted.items())

        try:
            wait_until(f"states {wanted}", there)
        except AssertionError as e:
            raise AssertionError(f"{e}; they are {last}") from None
        return self

    def wait_upstream(self, name, what, condition, timeout_s=20.0):
        wait_until(f"{name}: {what}", lambda: condition(self.upstream(name)), timeout_s)

    def no_failure(self, name=None):
        for u in self.status()["upstreams"]:
            assert name not in (None, u["name"]) or u["failed"] == 0, u


def start_relay(daemon, loopback, tmp_path, upstreams, name="relay", listen=None, wait=True, **how):
    """On a free port of a new address; `how` as Relay.write(). Ready when every upstream is up, unless wait=False."""
    folder = tmp_path / f"{name}-{next(_numbers)}"
    folder.mkdir()
    r = Relay(folder, [listen or loopback.address() + ":0"] if not isinstance(listen, list) else listen, name)
    r.write(upstreams, **how)
    r.d = daemon(r.config, name=name)
    r.d.wait_log(r"daemon\.ready")
    r.listens = [(a.rsplit(":", 1)[0].strip("[]"), int(a.rsplit(":", 1)[1])) for a in r.status()["service"]["listen"]]
    r.where = r.listens[0]
    if wait:
        wait_until("all upstreams are up", lambda: set(r.states().values()) == {"up"})
    return r


class Pipe:
    """A TCP port that leads to another one: what hides from a relay that it calls itself."""

    def __init__(self, address, to):
        self.name, self.log = f"pipe to {to}", ""
        self._to = to
        self._listener = socket.create_server((address, 0))
        self.where = self._listener.getsockname()[:2]
        self.count = 0
        self._open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._listener.accept()
                self.count += 1
                try:
                    two = socket.create_connection(self._to, timeout=20)
                except OSError:
                    one.close()
                    continue
                self._open |= {one, two}
                for a, b in ((one, two), (two, one)):
                    threading.Thread(target=self._copy, args=(a, b), daemon=True).start()

    def _copy(self, a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
        for s in (a, b):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def stop(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for s in list(self._open):
            s.close()
