"""The faults of the multi-host run. Each is done while the clients go on, has its own assertion, and ends with all well."""

import dataclasses
import signal
import time

from kblib.process import wait_until
from scene import CLIENTS, FALL, INTERVAL_S, PATIENCE_S, PROBE_S, RISE

ROUND_TRIP_S = 2.0  # of what follows the decision: probe the others, read, UPDATE, on a machine that does a lot else
HOUR_S = 3600
GO_ON = 30  # activations that show that the service goes on


@dataclasses.dataclass
class Outcome:
    fault: str
    activations: int
    failed: int
    moved: int  # activations that another host than the first served
    slowest_s: float
    followed_s: float = None  # until the records showed it, where the fault is one that records follow
    bound_s: float = None
    problem: str = ""  # what must not be, with the clients' stories


class Broken(AssertionError):
    """The fault's own assertion does not hold."""


class Faults:
    """run("kill -9 a node") does one and returns its Outcome."""

    def __init__(self, scene, load, random):
        self.scene, self.load, self.random = scene, load, random
        self.preferred = scene.hosts[:2]  # the others have nothing to do while these are up
        self.phase = None
        self.followed = self.bound = None

    def run(self, name):
        act, clients_see_it = FAULTS[name]
        self.followed = self.bound = None
        with self.load.during(name) as self.phase:
            act(self)
            self.scene.wait_settled()
        p, problem = self.phase, ""
        if p.failed:
            problem = f"{p.failed} of {p.done} activations failed:\n" + "\n".join(p.stories)
        elif p.moved and not clients_see_it:
            problem = f"{p.moved} clients had to ask another node:\n" + "\n".join(p.moves)
        return Outcome(name, p.done, p.failed, p.moved, p.slowest_s, self.followed, self.bound, problem)

    # What several of them do.

    def follow(self, targets, within_s, servers=None):
        """The records show these targets within that time and one round trip from now."""
        stalled, began = self.load.stalled_s, time.monotonic()
        primary, *others = servers or self.scene.name_servers
        self.scene.wait_shown(targets, [primary])
        took = time.monotonic() - began
        bound = within_s + ROUND_TRIP_S + (self.load.stalled_s - stalled)
        if took > bound:
            raise Broken(f"records followed after {took:.2f} s, which had to be within {bound:.2f} s")
        if self.followed is None or took > self.followed:
            self.followed, self.bound = took, bound
        self.scene.wait_shown(targets, others)

    def go_on(self, count=GO_ON):
        self.load.wait_done(count, of=self.phase)

    def nodes_say(self, what, condition):
        """Until condition(status) of each node."""
        for node in self.scene.nodes:
            wait_until(f"{node.name} says {what}", lambda n=node: _holds(condition, n.status()), PATIENCE_S, every_s=0.05)

    def nodes_see_host(self, host, up):
        def seen(status):
            (u,) = [u for u in status["upstreams"] if u["name"] == host.name]
            return (u["state"] == "up") == up

        self.nodes_say(f"{host.name} is {'up' if up else 'not up'}", seen)

    # The faults.

    def kill_host(self):
        host = self.random.choice(self.preferred)
        host.kill()
        self.nodes_see_host(host, up=False)
        self.go_on()
        host.start()
        self.nodes_see_host(host, up=True)

    def kill_both_preferred(self):
        """At once: a request then finds two dead hosts, with one retry, before a backup answers."""
        for host in self.preferred:
            host.kill()
        for host in self.preferred:
            self.nodes_see_host(host, up=False)
        self.go_on()
        for host in self.preferred:
            host.start()
        for host in self.preferred:
            self.nodes_see_host(host, up=True)

    def hang_host(self):
        """It takes connections and never answers."""
        host = self.random.choice(self.preferred)
        host.signal(signal.SIGSTOP)
        try:
            self.nodes_see_host(host, up=False)
            self.go_on()
        finally:
            host.signal(signal.SIGCONT)
        self.nodes_see_host(host, up=True)

    def kill_node(self):
        node = self.random.choice(self.scene.nodes)
        self._lose_node(node, self.scene.name_servers)

    def _lose_node(self, node, servers):
        left = [t for t in self.scene.all_targets if t != self.scene.target(node)]
        node.kill()
        self.follow(left, FALL * INTERVAL_S, servers)
        self.go_on()
        node.start()
        self.follow(self.scene.all_targets, RISE * INTERVAL_S, servers)

    def hang_node(self):
        """It takes connections and never answers: each probe of it takes its whole time."""
        node = self.random.choice(self.scene.nodes)
        left = [t for t in self.scene.all_targets if t != self.scene.target(node)]
        node.signal(signal.SIGSTOP)
        try:
            self.follow(left, FALL * (INTERVAL_S + PROBE_S))
            self.go_on()
        finally:
            node.signal(signal.SIGCONT)
        self.follow(self.scene.all_targets, RISE * INTERVAL_S)

    def kill_primary(self):
        self.scene.primary.kill()
        self.nodes_say("that the primary is gone", lambda s: s["records"][0]["last_error"])
        self.go_on()
        for server in self.scene.secondaries:
            if self.scene.shown(server) != self.scene.all_targets:
                raise Broken(f"{server.name} shows {self.scene.shown(server)} without the primary")
        self.scene.primary.start()

    def kill_primary_and_node(self):
        """Nobody can take the node's record away before the primary is back; then it goes."""
        node = self.random.choice(self.scene.nodes)
        self.scene.primary.kill()
        node.kill()
        self.go_on()
        self.scene.primary.start()
        self.scene.wait_shown([t for t in self.scene.all_targets if t != self.scene.target(node)])
        node.start()

    def kill_node_and_host(self):
        host = self.random.choice(self.preferred)
        host.kill()
        self._lose_node(self.random.choice(self.scene.nodes), self.scene.name_servers)
        host.start()
        self.nodes_see_host(host, up=True)

    def cut_secondary(self):
        """What is sent to it gets lost; meanwhile a node is lost too, and the other servers show it."""
        cut = self.random.choice(self.scene.secondaries)
        cut.process.signal(signal.SIGSTOP)
        try:
            before = self.phase.resolver_moved
            wait_until("clients ask the next resolver", lambda: self.phase.resolver_moved > before + 3, PATIENCE_S)
            reached = [s for s in self.scene.name_servers if s is not cut]
            self._lose_node(self.random.choice(self.scene.nodes), reached)
        finally:
            cut.process.signal(signal.SIGCONT)

    def step_node_clock(self):
        """Beyond TSIG's fudge: its updates are refused, its records stay, its clients are served."""
        node = self.random.choice(self.scene.nodes)
        node.step_clock(self.random.choice((-1, 1)) * HOUR_S)
        wait_until(
            f"{node.name} says that clocks differ",
            lambda: _holds(lambda s: "clock" in (s["records"][0]["last_error"] or ""), node.status()), PATIENCE_S,
        )
        self.load.wait_served(node.address, 5)
        self._all_still_shown()
        node.step_clock(0)

    def step_primary_clock(self):
        self.scene.primary.set_clock(self.random.choice((-1, 1)) * HOUR_S)
        self.nodes_say("that clocks differ", lambda s: "clock" in (s["records"][0]["last_error"] or ""))
        self.go_on()
        self._all_still_shown()
        self.scene.primary.set_clock(0)

    def _all_still_shown(self):
        for server in self.scene.name_servers:
            if self.scene.shown(server) != self.scene.all_targets:
                raise Broken(f"{server.name} shows {self.scene.shown(server)} after a clock was stepped")

    def step_host_clock(self):
        """Once within the four hours that a KMS host bears; once beyond, so that it refuses whom the others take."""
        host = self.random.choice(self.preferred)
        for hours in (2, 5):
            host.step_clock(self.random.choice((-1, 1)) * hours * HOUR_S)
            self.go_on(2 * CLIENTS)
        # once a minute, and only of clients that have no way around the host yet: so perhaps of an earlier time
        if not any("relay.wrong_clock upstream=" in node.log for node in self.scene.nodes):
            raise Broken(f"no node says that the clock of {host.name} is wrong")
        host.step_clock(0)

    def restart_everything(self):
        """In turn and in order, as an administrator updates machines: the next when this one serves again."""
        for host in self.scene.hosts:
            host.stop()
            host.start()
            self.nodes_see_host(host, up=True)
        if self.phase.moved:
            raise Broken("a KMS host's restart was seen by clients:\n" + "\n".join(self.phase.moves))
        for server in self.scene.name_servers:
            server.stop()
            server.start()
            self.scene.wait_shown(self.scene.all_targets, [server])
        for node in self.scene.nodes:
            node.stop()
            node.start()
            self.load.wait_served(node.address, 3)


def _holds(condition, status):
    return status is not None and condition(status)


# name: (what is done, whether clients may have to ask another node)
FAULTS = {
    "kill -9 a KMS host": (Faults.kill_host, False),
    "kill -9 a node": (Faults.kill_node, True),
    "kill -9 the primary": (Faults.kill_primary, False),
    "cut a secondary, kill a node": (Faults.cut_secondary, True),
    "step a node's clock": (Faults.step_node_clock, False),
    "restart everything in turn": (Faults.restart_everything, True),
    "hang a KMS host": (Faults.hang_host, False),
    "hang a node": (Faults.hang_node, True),
    "kill both preferred KMS hosts": (Faults.kill_both_preferred, True),
    "kill a node and a KMS host": (Faults.kill_node_and_host, True),
    "kill the primary and a node": (Faults.kill_primary_and_node, True),
    "step the primary's clock": (Faults.step_primary_clock, False),
    "step a KMS host's clock": (Faults.step_host_clock, False),
}
SHORT = list(FAULTS)[:6]  # what the short form does
