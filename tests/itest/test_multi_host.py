"""
Many hosts, end to end: named with two secondaries, three nodes that relay to four KMS hosts, clients by the hundred
that find a node by DNS and activate, and one thing after the other is killed, cut, stepped and restarted. No
activation fails, and the records follow. `make soak` is the long form of it (tests/soak/).
"""

import os
import random
import re
import sys
import types

import pytest

from kblib.bind import zone_text
from kblib.lab import LabKey
from kblib.process import ROOT
from kblib.rpc_host import RpcHost

sys.path.insert(0, os.path.join(ROOT, "tests", "soak"))

from clients import Load  # noqa: E402
from faults import SHORT, Faults  # noqa: E402
from scene import Scene  # noqa: E402


@pytest.fixture
def scene(tmp_path, started):
    s = Scene(tmp_path)
    started.extend(s.everything)
    yield s.start()
    s.stop()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_activation_fails_whatever_is_lost(scene, seed):
    """Three times in a row: what holds once may have been luck. The seed picks which of equals is lost."""
    load = Load(scene)
    load.start()
    faults = Faults(scene, load, random.Random(seed))
    try:
        for name in SHORT:
            outcome = faults.run(name)
            assert not outcome.problem, f"{name}: {outcome.problem}"
            assert outcome.activations > 0
    finally:
        load.stop()
    assert load.failed == 0, [s for p in load.phases for s in p.stories]


def test_clients_tell_what_failed(loopback, started, fake_dns, kb, tmp_path):
    """What the run relies on: whoever is not activated is counted, with its story."""
    assert kb("lab", "keygen", tmp_path / "lab.key").code == 0
    hosts = [RpcHost(loopback.address(), fault=0x1C010003), RpcHost(loopback.address()), RpcHost(loopback.address(), hresult=0xC004F042)]
    started.extend(hosts)
    lines = [f"_vlmcs._tcp SRV {i} 0 {h.port} kms{i}" for i, h in enumerate(hosts)] + ["_vlmcs._tcp SRV 9 0 1 kms0"]
    lines += [f"kms{i} A {h.address}" for i, h in enumerate(hosts)]
    mute, server = loopback.address(), fake_dns("corp.test", zone_text("corp.test", [("ns1", "127.0.0.1")], lines))
    load = Load(types.SimpleNamespace(
        key=LabKey(tmp_path / "lab.key"), owner="_vlmcs._tcp.corp.test", client_addresses=[loopback.address()],
        resolvers=[(mute, server.port), (server.address, server.port)],
    ))
    load.start()
    with load.during("the fault") as phase:
        load.wait_done(3, of=phase)
    load.stop()
    assert phase.failed == phase.done >= 3 and phase.moved == 0
    assert re.search(
        r"while 'the fault'.*: pc0000 .*kms0\.corp\.test .*: fault 0x1C010003 after .*; kms1\.corp\.test .*: not the answer to this "
        r"request: .*; kms2\.corp\.test .*: HRESULT 0xC004F042 .*; kms0\.corp\.test .*: Connection refused", phase.stories[0],
    ), phase.stories
