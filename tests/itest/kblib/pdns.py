"""pdns_server as a private server, with an SQLite database of its own. Who may update what is metadata and a Lua script."""

import contextlib
import os
import sqlite3
import subprocess

from .server import Server, find_program, write_private

SCHEMA = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"


def update_policy(zones):
    """
    The Lua script by which each updater of a zone changes SRV at that zone's name and nothing else. With a script,
    pdns asks neither TSIG-ALLOW-DNSUPDATE nor allow-dnsupdate-from: the script alone decides, about each change.
    """
    allowed = "".join(f'\t{{ "{k.name}.", "{z.owner}." }},\n' for z in zones for k in z.updaters)
    return (
        f"local allowed = {{ -- key, name\n{allowed}}}\n\n"
        "function updatepolicy(input)\n"
        "\tif input:getQType() ~= pdns.SRV then return false end\n"
        "\tfor _, a in ipairs(allowed) do\n"
        "\t\tif input:getTsigName():equal(a[1]) and input:getQName():equal(a[2]) then return true end\n"
        "\tend\n"
        "\treturn false\n"
        "end\n"
    )


class Pdns(Server):
    """
    A clause of a zone is a line of its metadata ("NOTIFY-DNSUPDATE 1"), `extra` text of pdns.conf. `policy` is the
    text of the Lua script that decides each change; by default it is made from the zones' updaters. None: no script.
    """

    program = "pdns_server"

    def __init__(self, folder, name, address, port, zones=(), keys=(), extra="", policy=""):
        super().__init__(folder, name, address, port, zones, keys, extra)
        self.policy = update_policy(self.zones) if policy == "" else policy
        self.database = os.path.join(self.folder, "pdns.sqlite3")

    def config(self):
        lines = [
            "launch=gsqlite3", f"gsqlite3-database={self.database}", "gsqlite3-pragma-synchronous=0",
            f"local-address={self.address}", f"local-port={self.port}", f"query-local-address={self.address}",
            "daemon=no", "guardian=no", "disable-syslog=yes", "write-pid=no", "socket-dir=.", "loglevel=6",
            # no question about its own version to the internet; notifications only to those that are named
            "security-poll-suffix=", "only-notify=",
            "receiver-threads=1", "distributor-threads=1", "retrieval-threads=1", "signing-threads=1",
            # what the database says is what it answers, at once
            "cache-ttl=0", "query-cache-ttl=0", "negquery-cache-ttl=0", "zone-cache-refresh-interval=0",
            "zone-metadata-cache-ttl=0", "primary=yes", "secondary=yes", "xfr-cycle-interval=1",
            "dnsupdate=yes", "allow-dnsupdate-from=127.0.0.0/8", "allow-axfr-ips=127.0.0.0/8",
        ]
        if self.policy is not None:
            path = write_private(os.path.join(self.folder, "update-policy.lua"), self.policy)
            lines.append(f"lua-dnsupdate-policy-script={path}")
        return "\n".join(lines) + "\n" + self.extra

    def _metadata(self, zone):
        yield "SOA-EDIT-DNSUPDATE", "INCREASE"
        for key in zone.updaters:
            yield "TSIG-ALLOW-DNSUPDATE", key.name
        if zone.primaries and zone.primary.key:
            yield "AXFR-MASTER-TSIG", zone.primary.key
        for address in zone.notify:
            yield "ALSO-NOTIFY", f"{address}:{self.port}"
        if zone.notify:
            yield "NOTIFY-DNSUPDATE", "1"
        for clause in zone.clauses:
            yield clause.split(" ", 1)

    def _fill_database(self):
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            with open(SCHEMA, encoding="utf-8") as f:
                db.executescript(f.read())
            for k in self.keys:
                db.execute("INSERT INTO tsigkeys (name, algorithm, secret) VALUES (?, ?, ?)", (k.name, k.algorithm, k.secret))
        for zone in self.zones:
            if zone.primaries:
                self.pdnsutil("create-secondary-zone", zone.name, f"{zone.primary.address}:{zone.primary.port}")
            else:
                self.pdnsutil("load-zone", zone.name, zone.write(self.folder))
                self.pdnsutil("set-kind", zone.name, "primary")
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            for zone in self.zones:
                db.executemany(
                    "INSERT INTO domainmetadata (domain_id, kind, content) SELECT id, ?, ? FROM domains WHERE name = ?",
                    [(*item, zone.name.rstrip(".").lower()) for item in self._metadata(zone)],
                )

    def _prepare(self):
        write_private(os.path.join(self.folder, "pdns.conf"), self.config())
        if not os.path.exists(self.database):  # after a restart it is there, and is the server's
            self._fill_database()
        return [find_program("pdns_server"), f"--config-dir={self.folder}"], None

    def pdnsutil(self, *words):
        """Run pdnsutil on this server's database; its output. A refusal is an assertion failure."""
        r = subprocess.run(
            [find_program("pdnsutil"), f"--config-dir={self.folder}", *words], cwd=self.folder,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
        )
        assert r.returncode == 0, f"pdnsutil {' '.join(words)}: {r.stdout}{r.stderr}"
        return r.stdout
