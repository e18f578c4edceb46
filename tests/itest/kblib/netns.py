"""A network of one's own: only lo, with the addresses that the test wants; no packet leaves it.

As a program, inside a fresh network namespace: `netns.py ADDRESS... -- COMMAND...` makes lo ready and runs COMMAND.
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys

SIOCSIFFLAGS, SIOCSIFADDR = 0x8914, 0x8916
IFF_UP, IFF_LOOPBACK, IFF_RUNNING = 0x1, 0x8, 0x40
UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--"]


def may_unshare():
    """Whether this machine lets us make one; containers often do not."""
    try:
        return subprocess.run([*UNSHARE, "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10).returncode == 0
    except OSError:
        return False


def inside(addresses, argv):
    """The command line that runs `argv` in a network with these IPv4 addresses, and 127.0.0.0/8."""
    return [*UNSHARE, sys.executable, os.path.abspath(__file__), *addresses, "--", *argv]


def _make_ready(addresses):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        up = struct.pack("16sH14x", b"lo", IFF_UP | IFF_LOOPBACK | IFF_RUNNING)
        fcntl.ioctl(s, SIOCSIFFLAGS, up)
        for i, address in enumerate(addresses):
            alias = struct.pack("16sH2x4s8x", f"lo:{i}".encode(), socket.AF_INET, socket.inet_aton(address))
            fcntl.ioctl(s, SIOCSIFADDR, alias)
            fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14x", f"lo:{i}".encode(), IFF_UP | IFF_LOOPBACK | IFF_RUNNING))


if __name__ == "__main__":
    split = sys.argv.index("--")
    _make_ready(sys.argv[1:split])
    os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])
