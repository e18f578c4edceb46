"""Loopback addresses of our own, and one port that is free on all of them."""

import os
import random
import socket

_random = random.Random(os.urandom(16))


def free_port(*addresses, tcp=True, udp=True):
    """A port that is free now on every one of `addresses`, for TCP and UDP."""
    kinds = [k for k, wanted in ((socket.SOCK_STREAM, tcp), (socket.SOCK_DGRAM, udp)) if wanted]
    for _ in range(200):
        # below the range that the kernel takes ports of outgoing connections from
        port = _random.randrange(10240, 32000)
        held = []
        try:
            for address in addresses or ("127.0.0.1",):
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                for kind in kinds:
                    s = socket.socket(family, kind)
                    held.append(s)
                    s.bind((address, port))
            return port
        except OSError:
            continue
        finally:
            for s in held:
                s.close()
    raise RuntimeError(f"no free port on {addresses}")


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


class Loopback:
    """A /24 of 127.0.0.0/8 picked at random, so that two test runs on one machine stay apart.

    NS records carry no port, so all name servers of a test share `port`, each on an address of its own.
    """

    def __init__(self):
        # 127.0.x.x is left alone: resolvers of the machine itself sit there (127.0.0.1, 127.0.0.53)
        self.prefix = f"127.{_random.randrange(1, 255)}.{_random.randrange(0, 256)}"
        self._next = 1
        v6 = ["::1"] if has_ipv6() else []
        self.port = free_port(*(f"{self.prefix}.{i}" for i in range(1, 9)), *v6)

    def address(self):
        """The next unused address."""
        self._next += 1
        return f"{self.prefix}.{self._next - 1}"
