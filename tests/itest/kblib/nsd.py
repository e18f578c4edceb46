"""nsd as a private server: it has no UPDATE, so its zones are static or a secondary's."""

import os
import subprocess

from .server import Server, find_program, write_private


class Nsd(Server):
    """`extra` is further configuration text, such as a zone of one's own."""

    program = "nsd"

    def _zone(self, zone):
        if zone.updaters:
            raise ValueError("nsd takes no updates")
        lines = [f'name: "{zone.name}"', f'zonefile: "{zone.write(self.folder)}"', "provide-xfr: 127.0.0.0/8 NOKEY"]
        lines += [f"notify: {a}@{self.port} NOKEY" for a in zone.notify]
        if zone.primaries:
            p = zone.primary
            lines.append(f"request-xfr: {p.address}@{p.port} {p.key or 'NOKEY'}")
            lines.append(f"allow-notify: {p.address} {p.key or 'NOKEY'}")
        lines += [f"outgoing-interface: {self.address}", *zone.clauses]
        return "zone:\n\t" + "\n\t".join(lines) + "\n"

    def config(self):
        files = {"zonelistfile": "zone.list", "xfrdfile": "xfrd.state", "pidfile": "nsd.pid", "xfrdir": "", "zonesdir": ""}
        server = [
            f"ip-address: {self.address}@{self.port}", f"port: {self.port}", "server-count: 1", 'username: ""', 'chroot: ""',
            'database: ""', "rrl-ratelimit: 0", "verbosity: 2", "xfrd-reload-timeout: 0", "zonefiles-write: 0",
            *(f'{option}: "{os.path.join(self.folder, file)}"' for option, file in files.items()),
        ]
        text = "server:\n\t" + "\n\t".join(server) + "\nremote-control:\n\tcontrol-enable: no\n"
        for k in self.keys:
            text += f'key:\n\tname: "{k.name}"\n\talgorithm: {k.algorithm}\n\tsecret: "{k.secret}"\n'
        return text + "".join(self._zone(z) for z in self.zones) + self.extra

    def _prepare(self):
        conf = write_private(os.path.join(self.folder, "nsd.conf"), self.config())
        checked = subprocess.run(
            [find_program("nsd-checkconf"), conf], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if checked.returncode != 0:
            raise AssertionError(f"nsd-checkconf: {checked.stdout}{checked.stderr}")
        return [find_program("nsd"), "-d", "-c", conf], None  # -d: in the foreground, what it says on stderr
