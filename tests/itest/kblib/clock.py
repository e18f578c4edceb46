"""A program's own time of day: stepped while it runs, and no other program's."""

import os
import struct
import subprocess

from .process import ROOT


def preload_library():
    """lo_address.c, built once into build/: it steps the clock, and lets named listen on any 127.x.y.z."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lo_address.c")
    library = os.path.join(ROOT, "build", "lo_address.so")
    if not os.path.exists(library) or os.path.getmtime(library) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(library), exist_ok=True)
        fresh = f"{library}.{os.getpid()}"
        subprocess.run(
            ["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", fresh, source],
            check=True, stdin=subprocess.DEVNULL,
        )
        os.replace(fresh, library)
    return library


def write_clock(path, ahead_s):
    """How many seconds ahead of the machine's clock the programs are that run with this file."""
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as f:
        f.write(struct.pack("=q", ahead_s))


def clock_environment(path):
    """What a program needs in its environment; the file must be there before it starts."""
    return {"LD_PRELOAD": preload_library(), "LO_CLOCK": path}
