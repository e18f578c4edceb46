"""What the integration tests share: real servers on loopback, the program under test, a recording relay.

    loopback.py   addresses and a port that nobody else uses
    process.py    a child process whose output is waited for, not slept for
    bind.py       named: keys, zones, views, primary and secondaries, rndc
    tap.py        a DNS relay that records every message and may tamper with it
    program.py    kmsbeacon, as a command and as a daemon
"""
