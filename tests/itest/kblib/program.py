"""The program under test, as a command and as a daemon."""

import dataclasses
import json
import os
import subprocess

from .process import ROOT, SLOWER, Process, die_with_parent

PROGRAM = os.path.join(ROOT, os.environ.get("KMSBEACON", os.path.join("build", "release", "kmsbeacon")))


def environment(dns_port=None, **more):
    """Without what the developer's own shell may carry; diagnostics are compared, so no colours, no locale."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("KMSBEACON")}
    env.update(LC_ALL="C.UTF-8", NO_COLOR="1", TERM="dumb")
    if dns_port:
        env["KMSBEACON_DNS_PORT"] = str(dns_port)
    env.update({k: str(v) for k, v in more.items()})
    return env


@dataclasses.dataclass
class Result:
    argv: list
    code: int
    out: str
    err: str

    @property
    def json(self):
        """The one object on stdout; anything else on it is a failure."""
        try:
            return json.loads(self.out)
        except ValueError as e:
            raise AssertionError(f"no JSON on stdout: {e}\n{self}") from None

    def __str__(self):
        return f"$ {' '.join(self.argv)}\n{self.out}{self.err}exit code {self.code}"


def run_program(argv, dns_port=None, timeout_s=90, stdin=None, env=None, cwd=None, preexec=die_with_parent, prefix=()):
    """Run to the end. `prefix`: a command that runs it."""
    argv = [*prefix, PROGRAM, *(str(a) for a in argv)]
    p = subprocess.run(
        argv, input=stdin, stdin=subprocess.DEVNULL if stdin is None else None, capture_output=True, text=True,
        errors="replace", timeout=timeout_s * SLOWER, env=environment(dns_port, **(env or {})), cwd=cwd, preexec_fn=preexec,
    )
    r = Result(["kmsbeacon", *argv[len(prefix) + 1 :]], p.returncode, p.stdout, p.stderr)
    assert p.returncode >= 0, f"killed by signal {-p.returncode}: {r}"
    return r


class Daemon(Process):
    """`kmsbeacon run`. stop() asserts a clean end: exit code 0."""

    def __init__(self, config, name="daemon", dns_port=None, env=None, preexec=die_with_parent, prefix=()):
        self.config = str(config)
        argv = [*prefix, PROGRAM, "run", "-c", self.config]
        super().__init__(name, argv, env=environment(dns_port, **(env or {})), preexec=preexec)

    def command(self, *args, **how):
        """Another kmsbeacon command with the daemon's configuration."""
        return run_program([args[0], "-c", self.config, *args[1:]], **how)

    def stop(self, timeout_s=20.0):
        code = super().stop(timeout_s)
        assert code == 0, f"{self.name} ended with {code}:\n{self.log}"
        return code
