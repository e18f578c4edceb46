"""Findings about addresses that loopback cannot show, in a network of its own: see kblib/netns.py."""

import json
import os
import subprocess
import sys

import pytest

from kblib import netns
from kblib.bind import Named, Zone, zone_text
from kblib.kms_host import KmsHost
from kblib.loopback import free_port
from kblib.process import SLOWER, die_with_parent
from kblib.program import run_program

PUBLIC_NS, INSIDE_NS = "192.0.2.53", "10.0.0.53"
PUBLIC, PRIVATE, LOOPBACK = "198.51.100.7", "10.1.2.3", "127.0.0.9"
# domain: (its name server, its hosts, whether it is marked as a lab, what is found)
DOMAINS = {
    "well.test": (PUBLIC_NS, [PUBLIC], False, []),
    "private.test": (PUBLIC_NS, [PUBLIC, PRIVATE], False, ["private-address"]),
    "inside.test": (INSIDE_NS, [PRIVATE], False, []),
    "loopback.test": (PUBLIC_NS, [PUBLIC, LOOPBACK], False, ["target-loopback"]),
    "loopback-inside.test": (INSIDE_NS, [LOOPBACK], False, ["target-loopback"]),
    "lab.test": (PUBLIC_NS, [LOOPBACK], True, []),
}


def audit_inside(folder):
    """Runs in the network: prints {domain: [ids]}."""
    hosts = {a: KmsHost(a) for a in (PUBLIC, PRIVATE, LOOPBACK)}
    port, servers = free_port(PUBLIC_NS, INSIDE_NS), []
    for address in (PUBLIC_NS, INSIDE_NS):
        zones = [
            Zone(domain, zone_text(domain, [("ns1", ns)], [
                line for i, h in enumerate(targets)
                for line in (f"_vlmcs._tcp SRV {i * 10} 0 {hosts[h].port} kms{i}", f"kms{i} A {h}")
            ])) for domain, (ns, targets, _, _) in DOMAINS.items() if ns == address
        ]
        servers.append(Named(folder, f"ns-{address}", address, port, zones=zones).start())
    config = os.path.join(folder, "kmsbeacon.yaml")
    found = {}
    for domain, (ns, _, lab, _) in DOMAINS.items():
        with open(config, "w", encoding="utf-8") as f:
            f.write(f"discovery: {{ resolvers: ['{ns}:{port}'] }}\n")
            if lab:
                f.write(
                    f"hosts: [{{ name: h, target: kms0.{domain}, port: {hosts[LOOPBACK].port}, priority: 0, weight: 0 }}]\n"
                    f"publish: {{ domains: [{{ domain: {domain}, lab: true }}] }}\n"
                )
        r = run_program(["verify", "--json", "-c", config, "--domain", domain], dns_port=port)
        found[domain] = [f["id"] for f in r.json["domains"][0]["findings"] if f["id"] != "single-point-of-failure"]
    for thing in [*servers, *hosts.values()]:
        thing.stop()
    print(json.dumps(found))


@pytest.mark.skipif(not netns.may_unshare(), reason="no network namespace may be made here")
def test_addresses_that_clients_cannot_use(tmp_path):
    code = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); import test_findings_addresses as t; "
    argv = [sys.executable, "-c", f"{code}t.audit_inside({str(tmp_path)!r})"]
    addresses = [PUBLIC_NS, INSIDE_NS, PUBLIC, PRIVATE]
    p = subprocess.run(
        netns.inside(addresses, argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * SLOWER,
        preexec_fn=die_with_parent,
    )
    assert p.returncode == 0, p.stdout + p.stderr
    assert json.loads(p.stdout) == {domain: wanted for domain, (_, _, _, wanted) in DOMAINS.items()}
