"""What publisher tests start from: corp.test on a primary behind a relay, and on a secondary."""

from .bind import Key, Zone, zone_text

CORP = "corp.test"
SRV = f"_vlmcs._tcp.{CORP}"
HOST = "{ name: one, target: kms1.corp.test, port: 1688, priority: 0, weight: 10 }"
ONE = f"0 10 1688 kms1.{CORP}."


class Site:
    """A primary behind a relay, a secondary, and the primary as resolver too."""

    def __init__(self, named, tap, loopback, kb, tmp_path):
        self.named, self.loopback, self.kb, self.folder = named, loopback, kb, tmp_path
        self.make_tap = tap
        self.first, self.second = loopback.address(), loopback.address()
        self.key = Key("corp-update")
        self.key_file = self.key.write(tmp_path)
        self.primary = self.secondary = self.tap = None
        self.log_level = "info"
        self.ttl = 300  # of what the zone file holds

    def text(self, *lines):
        servers = [("ns1", self.first), ("ns2", self.second)]
        return zone_text(CORP, servers, ["kms1 A 127.0.0.9", "kms2 A 127.0.0.9", *lines], ttl=self.ttl)

    def policy(self, *args, **config):
        """What the command prints, as it is."""
        r = self.kb("policy", "-c", self.config(**config), "--domain", CORP, *args)
        assert r.code == 0, r
        assert self.key.secret not in r.out
        return r.out

    def start(self, *lines, options=("notify-delay 0;",), secondary=True, clauses=None, zones=(), keys=(), **how):
        real = self.loopback.address()
        tell = f"also-notify {{ {self.second} port {self.loopback.port}; }};"
        own = Zone(CORP, self.text(*lines), clauses=(*(clauses or (self.policy(),)), tell))
        self.primary = self.named("ns1", address=real, keys=[self.key, *keys], options=options, zones=[own, *zones], **how)
        self.tap = self.make_tap(self.primary, address=self.first)
        if secondary:
            zone = Zone(CORP, primaries=f"{real} port {self.loopback.port}", clauses=("notify no;",))
            self.secondary = self.named("ns2", address=self.second, zones=[zone])
            self.secondary.wait_serial(CORP, 1)
        return self

    def config(self, hosts=(HOST,), domain="", publish="", name="kmsbeacon.yaml", domains=None, keys=""):
        path = self.folder / name
        domains = domains or [f"{{ domain: {CORP}, lab: true, key: corp{domain} }}"]
        path.write_text(
            f"node: {{ state_dir: {self.folder}/state, control: {{ socket: {self.folder}/sock }} }}\n"
            f"service: {{ mode: off }}\n"
            f"keys: [{{ name: corp, file: {self.key_file} }}{keys}]\n"
            f"hosts: [{', '.join(hosts)}]\n"
            f"publish:\n  ttl: 1h\n{publish}  domains: [{', '.join(domains)}]\n"
            f"discovery: {{ resolvers: ['{self.first}:{self.loopback.port}'] }}\n"
            f"log: {{ level: {self.log_level} }}\n"
        )
        return path

    def run(self, command="publish", *args, exit=0, **config):
        r = self.kb(command, "--json", "-c", self.config(**config), *args)
        assert r.code == exit, r
        assert self.key.secret not in r.out + r.err
        return r.json["domains"]

    def one(self, command="publish", *args, state, exit=0, **config):
        domains = self.run(command, *args, exit=exit, **config)
        assert len(domains) == 1
        assert domains[0]["state"] == state, domains[0]
        return domains[0]

    def shown(self, **how):
        return self.primary.records(SRV, "SRV", **how)
