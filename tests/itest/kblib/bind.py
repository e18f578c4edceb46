"""named as a private server: own folder, own address, no fixed port, no privilege."""

import dataclasses
import os
import re
import shutil
import subprocess

from .clock import clock_environment, write_clock
from .loopback import free_port
from .server import Key, Server, Zone, find_program, write_private, zone_text  # the last for those who import it here


def _unconfined(program, work):
    """
    Debian's AppArmor profile ties /usr/sbin/named to /etc/bind and /var/cache/bind. It goes by the
    program's path, so where AppArmor is on, a copy in our own folder is what runs.
    """
    try:
        with open("/sys/module/apparmor/parameters/enabled", encoding="ascii") as f:
            enabled = f.read(1) == "Y"
    except OSError:
        enabled = False
    return shutil.copy(program, os.path.join(work, "named-copy")) if enabled else program


@dataclasses.dataclass
class View:
    name: str
    match: str  # "match-clients { key k; };"
    zones: list


# An own root: names that no zone of the test holds are NXDOMAIN here, and no packet leaves the machine.
ROOT_ZONE = "$TTL 300\n. SOA ns. root. 1 60 60 60 60\n. NS ns.\nns. A 127.0.0.1\n"


class Named(Server):
    """`extra` is configuration text for the top level, such as what `kmsbeacon policy` prints."""

    program = "named"

    def __init__(
        self, folder, name, address, port, zones=(), views=(), keys=(), options=(), extra="", recursion=True, ipv6=None,
        threads=1,
    ):
        super().__init__(folder, name, address, port, zones, keys, extra)
        self.views, self.options = list(views), list(options)
        self.recursion, self.ipv6, self.threads = recursion, ipv6, threads
        self._rndc_key = Key("rndc")
        self._rndc_port = free_port(address, udp=False)

    def _zone(self, zone, label):
        path = zone.write(self.folder, label)
        lines = [f"type {'primary' if zone.text is not None else 'secondary'};", f'file "{path}";']
        if zone.primaries:
            lines.append(f"primaries {{ {zone.primaries}; }};")
        if zone.updaters:
            grants = "".join(f'grant "{k.name}" name {zone.owner}. SRV; ' for k in zone.updaters)
            lines.append(f"update-policy {{ {grants}}};")
        if zone.notify:
            lines.append("notify-delay 0;")
            lines.append("also-notify { " + "".join(f"{a} port {self.port}; " for a in zone.notify) + "};")
        lines += zone.clauses
        return f'zone "{zone.name}" {{\n\t' + "\n\t".join(lines) + "\n};\n"

    def config(self):
        root = [] if any(z.name == "." for z in self.zones) else [Zone(".", ROOT_ZONE)]
        v6 = f"port {self.port} {{ {self.ipv6}; }}" if self.ipv6 else "{ none; }"
        text = "".join(k.clause for k in [*self.keys, self._rndc_key])
        text += f"controls {{ inet {self.address} port {self._rndc_port} allow {{ any; }} keys {{ rndc; }}; }};\n"
        options = [
            f'directory "{self.folder}";', "pid-file none;", "lock-file none;", "session-keyfile none;",
            f"port {self.port};", f"listen-on port {self.port} {{ {self.address}; }};", f"listen-on-v6 {v6};",
            f"query-source address {self.address};", f"notify-source {self.address};",
            f"transfer-source {self.address};", f"recursion {'yes' if self.recursion else 'no'};",
            "dnssec-validation no;", "empty-zones-enable no;", "minimal-responses no;", "startup-notify-rate 1000;",
            "notify-rate 1000;", "serial-query-rate 1000;", "ixfr-from-differences no;", 'server-id none;', *self.options,
        ]
        text += "options {\n\t" + "\n\t".join(options) + "\n};\n"
        for view in self.views:
            zones = "".join(self._zone(z, view.name + ".") for z in [*view.zones, Zone(".", ROOT_ZONE)])
            text += f'view "{view.name}" {{\n{view.match}\n{zones}}};\n'
        if not self.views:
            text += "".join(self._zone(z, "") for z in [*self.zones, *root])
        return text + self.extra

    def _prepare(self):
        conf = write_private(os.path.join(self.folder, "named.conf"), self.config())
        checked = subprocess.run(
            [find_program("named-checkconf"), conf], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if checked.returncode != 0:
            raise AssertionError(f"named-checkconf: {checked.stdout}{checked.stderr}")
        program = _unconfined(find_program("named"), self.folder)
        # -g: foreground, everything on stderr. One worker thread is plenty for a test, and starts quicker.
        self.set_clock(0)
        return [program, "-g", "-n", self.threads, "-c", conf], dict(
            os.environ, LO_ADDRESS=self.address, **clock_environment(self.clock_file)
        )

    @property
    def clock_file(self):
        return os.path.join(self.folder, "clock")

    def set_clock(self, ahead_s):
        """Step the server's time of day, also while it runs."""
        write_clock(self.clock_file, ahead_s)

    def _ready(self):
        """Not by its zones: views and access lists may keep them from us."""
        if not self.process.count_log(r" running$"):
            return False
        self.query("version.bind", "TXT", rdclass="CH", timeout=0.5)
        return True

    def rndc(self, *words):
        """Run rndc; its output. A refusal is an assertion failure with what it said."""
        r = subprocess.run(
            [find_program("rndc"), "-s", self.address, "-p", str(self._rndc_port), "-c", self._rndc_conf(), *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
        )
        assert r.returncode == 0, f"rndc {' '.join(words)}: {r.stdout}{r.stderr}"
        return r.stdout

    def _rndc_conf(self):
        path = os.path.join(self.folder, "rndc.conf")
        if not os.path.exists(path):
            write_private(path, self._rndc_key.clause + "options { default-key rndc; };\n")
        return path

    def updates_done(self):
        """Changes that the server says it made by UPDATE."""
        return len(re.findall(r"updating zone '[^']+': (?:adding an RR|deleting an RR)", self.log))
