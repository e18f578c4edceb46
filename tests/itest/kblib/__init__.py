"""What the integration tests share: real servers on loopback, the program under test, a recording relay.

    loopback.py   addresses and a port that nobody else uses
    process.py    a child process whose output is waited for, not slept for
    server.py     what all name servers have in common: keys, zones, queries, updates and their answers
    clock.py      a time of day that one program has for itself
    bind.py       named: views, update-policy, rndc
    knot.py       knotd: ACLs, knotc
    pdns.py       pdns_server: SQLite database, Lua update policy, pdnsutil
    nsd.py        nsd: static zones and secondaries, no UPDATE
    fakedns.py    a name server by script, for answers that no real one gives
    tap.py        a DNS relay that records every message and may tamper with it
    site.py       a zone that is published to: named with what `kmsbeacon policy` prints, relay, secondary
    rpc_pdu.py    DCE/RPC PDUs and the stubs of the KMS operation, both octet orders
    rpc_host.py   a KMS host by script, with every misbehaviour
    kms_caller.py KMS clients, one or many at once
    relay.py      a daemon in mode relay before such hosts
    program.py    kmsbeacon, as a command and as a daemon
"""
