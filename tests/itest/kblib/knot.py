"""knotd as a private server, primary or secondary. It ends a zone's updates by ACL: key, owner and type."""

import os
import subprocess

from .server import OWNER, Server, find_program, write_private


def update_acl(key, owner=OWNER):
    """
    An acl item that lets `key` change SRV at `owner` (relative to the zone that names the item) and nothing else; a
    zone takes it with the clause "acl: update_NAME".
    """
    return (
        f'  - id: "update_{key.name}"\n    key: "{key.name}"\n    action: update\n    update-type: [SRV]\n'
        f"    update-owner: name\n    update-owner-match: equal\n    update-owner-name: [{owner}]\n"
    )


class Knot(Server):
    """
    `extra` is configuration text that stands before the zones, such as an acl section of one's own; a zone refers to
    it in a clause, such as "acl: mine".
    """

    program = "knotd"

    def _remote(self, address, port, key=None):
        signed = f'    key: "{key}"\n' if key else ""
        return f"  - id: remote_{address}\n    address: {address}@{port}\n    via: {self.address}\n{signed}"

    def _remotes(self):
        wanted = {a: self._remote(a, self.port) for z in self.zones for a in z.notify}
        for p in (z.primary for z in self.zones if z.primaries):
            wanted[p.address] = self._remote(p.address, p.port, p.key)
        return wanted

    def _acls(self, remotes):
        text = "  - id: transfer\n    address: 127.0.0.0/8\n    action: transfer\n"
        text += "".join(f"  - id: notified_by_{r}\n    remote: remote_{r}\n    action: notify\n" for r in remotes)
        return text + "".join(update_acl(k) for k in dict.fromkeys(k for z in self.zones for k in z.updaters))

    def _zone(self, zone):
        acls = ["transfer"] + [f'"update_{k.name}"' for k in zone.updaters]
        lines = [f'  - domain: "{zone.name}"', f'file: "{zone.write(self.folder)}"']
        if zone.primaries:
            lines.append(f"master: remote_{zone.primary.address}")
            acls.append(f"notified_by_{zone.primary.address}")
        if zone.notify:
            lines.append(f"notify: [{', '.join('remote_' + a for a in zone.notify)}]")
        for clause in zone.clauses:
            if clause.startswith("acl:"):
                acls.append(clause[4:].strip(" []"))
            else:
                lines.append(clause)
        return "\n    ".join([*lines, f"acl: [{', '.join(acls)}]"]) + "\n"

    def config(self):
        remotes = self._remotes()
        text = (
            f"server:\n  rundir: {self.folder}\n  listen: {self.address}@{self.port}\n"
            "  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"
            "log:\n  - target: stderr\n    any: info\n"
            f"database:\n  storage: {self.folder}\n  journal-db-max-size: 64M\n  timer-db-max-size: 16M\n  kasp-db-max-size: 16M\n"
            "control:\n  listen: knot.sock\n"
        )
        if self.keys:
            text += "key:\n" + "".join(
                f'  - id: "{k.name}"\n    algorithm: {k.algorithm}\n    secret: {k.secret}\n' for k in self.keys
            )
        if remotes:
            text += "remote:\n" + "".join(remotes.values())
        text += "acl:\n" + self._acls(remotes) + self.extra
        if self.zones:
            text += "zone:\n" + "".join(self._zone(z) for z in self.zones)
        return text

    def _prepare(self):
        conf = write_private(os.path.join(self.folder, "knot.conf"), self.config())
        checked = subprocess.run(
            [find_program("knotc"), "-c", conf, "conf-check"], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if checked.returncode != 0:
            raise AssertionError(f"knotc conf-check: {checked.stdout}{checked.stderr}")
        return [find_program("knotd"), "-c", conf], None

    def knotc(self, *words):
        """Run knotc against this server, blocking until done; its output. A refusal is an assertion failure."""
        r = subprocess.run(
            [find_program("knotc"), "-b", "-s", "knot.sock", *words], cwd=self.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=30,
        )
        assert r.returncode == 0, f"knotc {' '.join(words)}: {r.stdout}{r.stderr}"
        return r.stdout
