"""A zone kept in Active Directory: recognised where its primary refuses, and told apart from a zone that only
holds AD's records. named plays the domain controller, by what its zone says of it."""

from kblib.bind import Zone, zone_text
from kblib.site import CORP

DC_QUESTION = b"\x05_ldap\x04_tcp\x02dc\x06_msdcs"
SENTENCE = (
    f"zone {CORP} is AD-integrated (its primary %s is a domain controller): secure dynamic update needs GSS-TSIG, "
    "which kmsbeacon does not speak: use `kmsbeacon publish --print powershell`, or `kmsbeacon policy --delegate`"
)
CLOSED = ("allow-update { none; };",)


def controllers(*names):
    return [f"_ldap._tcp.dc._msdcs 600 SRV 0 100 389 {n}.{CORP}." for n in names]


def dc_questions(site):
    return len([m for m in site.tap.messages() if DC_QUESTION in m.data])


def finding(d):
    return next((f for f in d["findings"] if f["id"] == "ad-integrated"), None)


def test_refusal_of_a_domain_controller(site):
    site.start(*controllers("dc7", "ns1"), clauses=CLOSED, secondary=False)
    d = site.one(state="refused", exit=1)
    assert d["rcode"] == "REFUSED" and d["hint"] == SENTENCE % f"ns1.{CORP}", d
    assert finding(d)["text"] == f"the primary of {CORP}, ns1.{CORP}, is a domain controller of {CORP}"
    assert dc_questions(site) == 1
    r = site.kb("publish", "-c", site.config())
    assert r.code == 1 and SENTENCE % f"ns1.{CORP}" in " ".join(r.out.split()), r
    assert max(map(len, r.out.splitlines())) <= 100


def test_verify_tells_it(site):
    """Where the domain is configured to be published, and as no fault: the record may stand there all the same."""
    site.start(*controllers("ns1"), clauses=CLOSED, secondary=False)

    def verified(*more, **config):
        return site.kb("verify", "--json", "-c", site.config(**config), "--domain", CORP, *more).json["domains"][0]

    f = finding(verified(domains=[f"{{ domain: {CORP}, lab: true }}"]))
    assert (f["severity"], f["text"]) == ("info", f"the primary of {CORP}, ns1.{CORP}, is a domain controller of {CORP}")
    asked = dc_questions(site)
    assert finding(verified(domains=["other.test"])) is None and dc_questions(site) == asked
    assert finding(verified()) is None  # the primary knows our key, so it is none


def test_policy_and_print_tell_it(site):
    """On stderr, since stdout is to be pasted; not where what they print is the way out."""
    site.start(*controllers("ns1"), clauses=CLOSED, secondary=False)
    said = SENTENCE % f"ns1.{CORP}"
    for words in (["policy"], ["publish", "--print", "zone"], ["publish", "--print", "nsupdate"]):
        r = site.kb(*words, "-c", site.config())
        assert r.code == 0 and said in r.err and said not in r.out, r
    asked = dc_questions(site)
    for words in (["policy", "--delegate"], ["publish", "--print", "powershell"]):
        r = site.kb(*words, "-c", site.config())
        assert r.code == 0 and r.err == "", r
    r = site.kb("policy", "-c", site.config(domains=["{ domain: other.test, lab: true, key: corp }", f"{{ domain: {CORP}, lab: true, key: corp }}"]), "--domain", "other.test")
    assert r.code == 0 and r.err == "" and dc_questions(site) == asked, r


def test_without_a_key_and_in_a_dry_run(site):
    site.start(*controllers("ns1"), clauses=CLOSED, secondary=False)
    unsigned = [f"{{ domain: {CORP}, lab: true }}"]
    d = site.one(state="refused", exit=1, domains=unsigned)
    assert d["hint"] == SENTENCE % f"ns1.{CORP}"
    d = site.one("publish", "--dry-run", state="planned", domains=unsigned)
    assert finding(d) and d["hint"] is None
    assert "publish --print powershell" in finding(d)["hint"]


def test_records_of_controllers_elsewhere(site):
    """BIND serves the zone, and AD's records in it; what it refuses is a matter of its policy."""
    site.start(*controllers("dc1", "dc2"), clauses=CLOSED, secondary=False)
    d = site.one(state="refused", exit=1)
    assert "the key is not allowed to change SRV" in d["hint"] and finding(d) is None
    assert 1 <= dc_questions(site) <= 2
    d = site.one("publish", "--dry-run", state="planned")
    assert finding(d) is None


def test_controller_of_another_domain(site):
    """The primary stands in the forest's domain, which only the resolver knows."""
    forest = Zone("ad.test", zone_text("ad.test", [("dc1", site.first)], ["_ldap._tcp.dc._msdcs SRV 0 100 389 dc1"]))
    site.text = lambda *lines: zone_text(CORP, [("dc1.ad.test.", site.first)], ["kms1 A 127.0.0.9"])
    site.start(clauses=CLOSED, zones=[forest], secondary=False)
    d = site.one(state="refused", exit=1)
    assert d["hint"] == SENTENCE % "dc1.ad.test"
    assert finding(d)["text"] == f"the primary of {CORP}, dc1.ad.test, is a domain controller of ad.test"


def test_server_that_does_not_know_the_key(site, daemon):
    """With `server:` already the first question fails, so the zone and its primary come from the resolvers. The
    daemon asks once, and keeps to it while it tries again."""
    site.start(*controllers("ns1"), clauses=CLOSED, secondary=False)
    stranger = site.folder / "stranger.key"
    stranger.write_text('key "stranger" { algorithm hmac-sha256; secret "c3RyYW5nZXI="; };\n')
    stranger.chmod(0o600)
    keys = f", {{ name: stranger, file: {stranger} }}"
    how = {"keys": keys, "domains": [f"{{ domain: {CORP}, lab: true, key: stranger, server: '{site.first}' }}"]}
    d = site.one(state="refused", exit=1, **how)
    assert d["rcode"] == "BADKEY" and d["hint"] == SENTENCE % f"ns1.{CORP}", d
    asked = dc_questions(site)
    daemon_site = daemon(site.config(publish="  refresh: 1s\n", **how))
    for _ in range(3):
        mark = daemon_site.mark()
        daemon_site.wait_log("publisher.failed", since=mark)
    assert dc_questions(site) == asked + 1
    assert "is AD-integrated" in daemon_site.log


def test_zone_that_takes_updates_is_not_asked_about(site):
    site.start(*controllers("ns1"), secondary=False)
    site.one(state="proven")
    assert dc_questions(site) == 0
    site.primary.rndc("freeze", CORP)
    d = site.one(state="refused", exit=1, hosts=["{ name: one, target: kms2.corp.test, port: 1688 }"])
    assert "frozen" in d["hint"] and dc_questions(site) == 0
