"""Fixtures. Each test owns its folder, its addresses and its servers; what it started is stopped at its end.

When a test fails, the logs of its servers are printed with it.
"""

import functools
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kblib.bind import Named  # noqa: E402
from kblib.fakedns import FakeDns  # noqa: E402
from kblib.findings import Findings  # noqa: E402
from kblib.kms_host import KmsHost  # noqa: E402
from kblib.knot import Knot  # noqa: E402
from kblib.lab import start_lab  # noqa: E402
from kblib.loopback import Loopback  # noqa: E402
from kblib.nsd import Nsd  # noqa: E402
from kblib.pdns import Pdns  # noqa: E402
from kblib.process import SLOWER  # noqa: E402
from kblib.program import Daemon, run_program  # noqa: E402
from kblib.relay import start_relay  # noqa: E402
from kblib.rpc_host import RpcHost  # noqa: E402
from kblib.site import Site  # noqa: E402
from kblib.tap import Tap  # noqa: E402

TEST_TIMEOUT_S = int(120 * SLOWER)
started_key = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """A deadline over set-up, test and clean-up, so that a hang is a failure that names its place."""

    def on_alarm(number, frame):
        raise TimeoutError(f"test still running after {TEST_TIMEOUT_S} s")

    previous = signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(TEST_TIMEOUT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for thing in item.stash.get(started_key, []):
            report.sections.append((f"log of {thing.name}", thing.log))


@pytest.fixture(scope="session")
def findings():
    return Findings()


@pytest.fixture(autouse=True)
def no_finding(findings):
    """Set up first and so torn down last: what the test started has ended."""
    yield
    text = findings.take()
    assert not text, text


@pytest.fixture
def started(request, findings):
    """What the test has started; stopped in reverse order, each even if another's stop failed."""
    things = request.node.stash.setdefault(started_key, [])
    yield things
    errors = []
    for thing in reversed(things):
        try:
            thing.stop()
        except Exception as e:  # pylint: disable=broad-except
            errors.append(e)
    text = findings.take()
    assert not text, text  # says more than that the daemon's exit code is wrong
    if errors:
        raise errors[0]


@pytest.fixture
def loopback():
    return Loopback()


@pytest.fixture
def server(tmp_path, loopback, started):
    """server(Knot, "ns1", zones=[...]) starts one on the next free address, or on address=."""

    def start(kind, name, **how):
        address = how.pop("address", None) or loopback.address()
        port = how.pop("port", loopback.port)
        one = kind(tmp_path, name, address, port, **how)
        started.append(one)
        return one.start()

    return start


@pytest.fixture
def named(server):
    return functools.partial(server, Named)


@pytest.fixture
def knot(server):
    return functools.partial(server, Knot)


@pytest.fixture
def pdns(server):
    return functools.partial(server, Pdns)


@pytest.fixture
def nsd(server):
    return functools.partial(server, Nsd)


@pytest.fixture
def tap(loopback, started):
    """tap(server) puts a recording relay on an address of its own before a server."""

    def start(server, **how):
        address = how.pop("address", None) or loopback.address()
        relay = Tap(address, loopback.port, server.address, server.port, **how)
        relay.name = f"tap before {server.name}"
        started.append(relay)
        return relay

    return start


@pytest.fixture
def fake_dns(loopback, started):
    """fake_dns(zone, text, key=, on_update=) starts a name server by script on an address of its own."""

    def start(zone, text, **how):
        server = FakeDns(how.pop("address", None) or loopback.address(), loopback.port, zone, text, **how)
        started.append(server)
        return server

    return start


@pytest.fixture
def kms_host(loopback, started):
    """kms_host() opens a port that answers an RPC bind as a KMS host does; kms_host("nak") does not."""

    def start(behaviour="up", **how):
        host = KmsHost(how.pop("address", None) or loopback.address(), behaviour, **how)
        started.append(host)
        return host

    return start


@pytest.fixture
def rpc_host(loopback, started):
    """rpc_host("win1", mpx=True, ...) starts a scripted RPC server; process=True: as a process of its own."""

    def start(name, process=False, **how):
        address = how.pop("address", None) or loopback.address()
        host = (RpcHost.process if process else RpcHost)(address, name, **how)
        started.append(host)
        return host

    return start


@pytest.fixture
def relay(daemon, loopback, tmp_path):
    """relay([host, upstream(other, priority=1)], ...) starts a daemon in mode relay before them; see kblib.relay."""
    return functools.partial(start_relay, daemon, loopback, tmp_path)


@pytest.fixture
def kb(loopback):
    """kb("publish", "--json", ...) runs the command to its end: .code, .out, .err, .json."""

    def run(*args, **how):
        how.setdefault("dns_port", loopback.port)
        return run_program(args, **how)

    return run


@pytest.fixture
def daemon(loopback, started):
    """daemon(config) starts `kmsbeacon run` with that file."""

    def start(config, **how):
        how.setdefault("dns_port", loopback.port)
        d = Daemon(config, **how)
        started.append(d)
        return d

    return start


@pytest.fixture
def lab(daemon, loopback, tmp_path):
    """A lab host on a free port. lab(extra) adds configuration lines; see kblib.lab.start_lab."""

    def start(extra="", listen=None, name="lab", service="", **how):
        return start_lab(daemon, tmp_path / name, listen or loopback.address() + ":0", extra, service, name, **how)

    return start


@pytest.fixture
def site(named, tap, loopback, kb, tmp_path):
    """A zone to publish to; site.start() starts its servers."""
    return Site(named, tap, loopback, kb, tmp_path)
