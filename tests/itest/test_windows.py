"""Discovery as a Windows client does it, statement by statement (docs/windows-fidelity.md), against a real named.

What needs no server is in tests/unit/test_rsv_discover_windows.c, test_rsv_client.c and test_skms.c.
"""

import json

import pytest

from kblib.bind import Zone, zone_text
from kblib.loopback import free_port

DOMAINS = ("a.test", "b.test", "c.test", "d.test", "e.test")
OFFICE = "0ff1ce16-a989-479d-af46-f275c6370663"


def srv(host, priority=0, weight=0, name="kms1"):
    return f"_vlmcs._tcp SRV {priority} {weight} {host.port} {name}"


@pytest.fixture
def zones(named, loopback):
    """zones({"a.test": [lines]}) starts a server with these zones."""

    def start(lines):
        address = loopback.address()
        texts = {name: zone_text(name, [("ns1", address)], text) for name, text in lines.items()}
        return named("ns1", address=address, zones=[Zone(name, text) for name, text in texts.items()])

    return start


@pytest.fixture
def discover(kb, tmp_path):
    """discover(server, "--option", ..., config="...") as JSON; the machine itself has no suffix."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")

    def run(server, *args, code=0, config="", json_out=True):
        path = tmp_path / "kb.yaml"
        path.write_text(f"discovery: {{ resolv_conf: {tmp_path}/resolv.conf, {config} }}\n")
        where = ["--server", f"{server.address}:{server.port}"] if server else []
        r = kb("discover", "-c", path, *(["--json"] if json_out else []), *where, *args)
        assert r.code == code, r
        return r.json if json_out else r

    return run


def asked(report, kind="SRV"):
    return [q["name"] for q in report["queries"] if q["type"] == kind]


def code(report):
    return report["result"]["code"]


# ---- which names are asked ----


def test_only_kms_records_and_addresses_are_asked(zones, kms_host, discover):
    """No Active Directory object, no domain controller is looked for: discovery begins where KMS begins."""
    host = kms_host()
    server = zones({"a.test": [srv(host), f"kms1 A {host.address}"]})
    report = discover(server, "-d", "a.test")
    assert asked(report) == ["_vlmcs._tcp.a.test"]
    assert {q["type"] for q in report["queries"]} == {"SRV", "A", "AAAA"}
    assert {q["server"] for q in report["queries"]} == {f"{server.address}:{server.port}"}


KINDS = {"primary": "primary-suffix", "ad": "ad-domain", "connection": "connection-suffix", "search": "search-suffix"}
SETTINGS = {"primary": "primary_suffix", "ad": "ad_domain", "connection": "connection_suffixes", "search": "search_list"}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_suffix_is_enough(zones, kms_host, discover, kind):
    host = kms_host()
    server = zones({"a.test": [srv(host), f"kms1 A {host.address}"]})
    by_option = discover(server, f"--{KINDS[kind]}", "a.test")
    by_setting = discover(server, config=f"{SETTINGS[kind]}: a.test")
    for report in (by_option, by_setting):
        assert report["selected"]["target"] == "kms1.a.test"
        assert report["suffixes"] == [{"domain": "a.test", "from": kind, "asked": True, "code": "0x00000000"}]


def test_suffixes_are_asked_in_the_order_of_their_kinds(zones, discover):
    server = zones({d: [] for d in DOMAINS})
    report = discover(
        server, "--search-suffix", "d.test", "--search-suffix", "A.test.", "--search-suffix", "e.test",
        "--connection-suffix", "c.test", "--ad-domain", "b.test", "--primary-suffix", "a.test", code=1,
    )
    assert asked(report) == [f"_vlmcs._tcp.{d}" for d in DOMAINS]  # a.test, given twice, once
    assert [s["from"] for s in report["suffixes"]] == ["primary", "ad", "connection", "search", "search"]
    assert code(report) == "0x8007232B"


def test_suffixes_of_this_machine_stand_in(zones, kms_host, discover, tmp_path):
    host = kms_host()
    server = zones({"a.test": [srv(host), f"kms1 A {host.address}"]})
    (tmp_path / "resolv.conf").write_text("search a.test\n")
    report = discover(server)
    assert report["suffixes"][0]["from"] == "resolv.conf" and report["selected"]["target"] == "kms1.a.test"


def test_no_suffix_no_question(discover, zones):
    report = discover(zones({"a.test": []}), code=1)
    assert code(report) == "0x8007007B" and report["queries"] == [] and report["domains"] == []


def test_lookup_domain_is_exclusive(zones, kms_host, discover):
    host = kms_host()
    server = zones({"a.test": [srv(host), f"kms1 A {host.address}"], "b.test": []})
    report = discover(server, "-d", "a.test", "--lookup-domain", "b.test", code=1)
    assert asked(report) == ["_vlmcs._tcp.b.test"] and code(report) == "0x8007232B"
    assert report["suffixes"][0]["from"] == "lookup"
    report = discover(server, "-d", "b.test", config="lookup_domain: a.test")
    assert report["selected"]["target"] == "kms1.a.test"


def test_parent_domain_is_not_asked(zones, kms_host, discover):
    host = kms_host()
    server = zones({"a.test": [srv(host), f"kms1 A {host.address}"]})
    report = discover(server, "-d", "x.y.a.test", code=1)
    assert asked(report) == ["_vlmcs._tcp.x.y.a.test"] and code(report) == "0x8007232B"


def test_names_are_one_in_any_case(zones, kms_host, discover):
    host = kms_host()
    server = zones({"a.test": [f"_VLMCS._TCP SRV 0 0 {host.port} KMS1.A.TEST.", f"kms1 A {host.address}"]})
    assert discover(server, "-d", "A.Test")["selected"]["target"] == "kms1.a.test"


def test_answers_of_several_suffixes(zones, kms_host, discover):
    """Whether the first suffix with records wins or all are merged is open: a setting."""
    near, far = kms_host(), kms_host()
    server = zones({
        "a.test": [srv(near, 10), f"kms1 A {near.address}"],
        "b.test": [srv(far, 5), srv(far, 5), f"kms1 A {far.address}"],
    })
    args = ("-d", "a.test", "-d", "b.test")
    report = discover(server, *args)
    assert report["selected"]["target"] == "kms1.a.test" and len(asked(report)) == 1
    report = discover(server, *args, config="suffix_answers: merged")
    assert report["selected"]["target"] == "kms1.b.test" and len(asked(report)) == 2
    assert [c["target"] for c in report["candidates"]] == ["kms1.b.test", "kms1.a.test"]
    text = discover(server, *args, config="suffix_answers: merged", json_out=False).out
    assert "found by DNS in the records of 2 suffixes" in text
    near.stop()
    far.stop()
    report = discover(server, *args, config="suffix_answers: merged", code=1)
    assert report["result"]["text"].startswith("no record of the 2 of a.test and the suffixes after it ")


# ---- the host set by hand ----


def test_manual_host_is_resolved_by_dns_and_used_alone(zones, kms_host, discover):
    host, other = kms_host(), kms_host()
    server = zones({"a.test": [srv(other, name="kms2"), f"kms1 A {host.address}", f"kms2 A {other.address}"]})
    report = discover(server, "-d", "a.test", "--manual-host", f"kms1.a.test:{host.port}")
    assert report["selected"]["source"] == "manual" and asked(report) == []
    assert sorted(q["type"] for q in report["queries"]) == ["A", "AAAA"]
    host.stop()
    report = discover(server, "-d", "a.test", "--manual-host", f"kms1.a.test:{host.port}", code=1)
    assert code(report) == "0xC004F074" and asked(report) == [] and other.binds == 0
    report = discover(server, "-d", "a.test", "--manual-host", "gone.a.test", code=1)
    assert code(report) == "0x8007232B"
    report = discover(server, "-d", "b.test", "-d", "a.test", "--manual-host", "kms2", code=1)  # without a dot
    assert [q["name"] for q in report["queries"] if q["type"] == "A"] == ["kms2.b.test", "kms2.a.test"]
    assert report["attempts"][0]["target"] == "kms2.a.test" and asked(report) == []
    port = free_port("::1")
    report = discover(None, "--manual-host", f"[::1]:{port}", code=1)
    assert report["steps"][0]["detail"].startswith(f"the host [::1]:{port} is set by hand")
    assert report["attempts"][0]["address"] == "::1" and report["queries"] == []


def test_settings_of_product_application_and_all(zones, kms_host, discover):
    product = "68531fb9-5511-4989-97be-d11a0f55633f"
    hosts = [kms_host() for _ in range(3)]
    config = (
        f'manual_host: "{hosts[0].address}:{hosts[0].port}", products: ['
        f'{{ application: office, manual_host: "{hosts[1].address}:{hosts[1].port}" }},'
        f'{{ application: office, activation_id: {product}, manual_host: "{hosts[2].address}:{hosts[2].port}" }}]'
    )
    for words, host in (((), 0), (("--product", "windows"), 0), (("--product", "office"), 1), (("--product", OFFICE), 1),
                        (("--product", product), 2)):
        assert discover(None, *words, config=config)["selected"]["address"] == hosts[host].address
    r = discover(None, "--product", "excel", code=2, json_out=False)
    assert "excel" in r.err


def test_activation_type_may_leave_kms_out(zones, kms_host, discover):
    host = kms_host()
    server = zones({"a.test": [srv(host), f"kms1 A {host.address}"]})
    config = "activation_type: ad, products: [{ application: office, activation_type: kms }]"
    report = discover(server, "-d", "a.test", code=1, config=config)
    assert code(report) == "0xC004F056" and report["queries"] == []
    assert discover(server, "-d", "a.test", "--product", "office", config=config)["selected"]


def test_port_without_host(zones, kms_host, discover):
    host = kms_host()
    server = zones({"a.test": [f"_vlmcs._tcp SRV 0 0 1 kms1", f"kms1 A {host.address}"]})
    port = f'manual_host: ":{host.port}"'
    assert code(discover(server, "-d", "a.test", config=port, code=1)) == "0xC004F074"
    r = discover(server, "-d", "a.test", "--manual-host", f":{host.port}", code=1, json_out=False)
    assert "port_without_host" in r.err
    report = discover(server, "-d", "a.test", config=f"{port}, port_without_host: use")
    assert report["selected"]["port"] == host.port


# ---- what is remembered ----


def test_each_product_has_a_cached_host(zones, kms_host, discover, tmp_path):
    first, second = kms_host(), kms_host()
    server = zones({
        "a.test": [srv(first), f"kms1 A {first.address}"], "b.test": [srv(second), f"kms1 A {second.address}"],
    })
    cache = ("--cache", tmp_path / "cache.json")
    discover(server, *cache, "-d", "a.test")
    discover(server, *cache, "-d", "b.test", "--product", "office")
    server.stop()
    assert discover(server, *cache, "-d", "a.test")["selected"]["address"] == first.address
    report = discover(server, *cache, "-d", "a.test", "--product", OFFICE)
    assert (report["selected"]["address"], report["selected"]["source"]) == (second.address, "cache")
    # /skms for one product forgets its host alone; /ckhc forgets all
    discover(None, *cache, "--product", "office", "--manual-host", f"{first.address}:{first.port}")
    assert [json.loads(cache[1].read_text())[k] for k in ("products",)] == [[]]
    assert json.loads(cache[1].read_text())["host"]["name"] == "kms1.a.test"
    assert code(discover(server, *cache, "-d", "a.test", "--no-cache", code=1)) == "0x8007232A"
    assert json.loads(cache[1].read_text())["host"] is None


def test_probe_is_not_remembered_where_an_activation_is_asked_for(zones, kms_host, discover, tmp_path):
    host = kms_host()
    server = zones({"a.test": [srv(host), f"kms1 A {host.address}"]})
    cache = tmp_path / "cache.json"
    report = discover(server, "-d", "a.test", "--cache", cache, config="cache_write: activated")
    assert report["selected"] and not cache.exists()
    assert "cache_write" in [s["detail"] for s in report["steps"] if s["step"] == "remember"][0]


# ---- the lab client: the same discovery, with activations ----


@pytest.fixture
def client(kb, tmp_path):
    """client(server, key, "ato", ...) with a state of its own."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")

    def run(server, key, *words, config="", state="c.json"):
        path = tmp_path / "client.yaml"
        path.write_text(f"discovery: {{ resolv_conf: {tmp_path}/resolv.conf, {config} }}\n")
        more = ["--server", f"{server.address}:{server.port}", "--json"] if words[0] == "ato" else []
        return kb("client", "-c", path, "--key", key, "--state", tmp_path / state, *words, *more)

    return run


def test_activation_walks_the_hosts_as_discovery_does(zones, lab, loopback, client):
    d, dead = lab(), loopback.address()
    key = d.folder / "state" / "lab.key"
    closed = free_port(dead, udp=False)
    server = zones({"a.test": [
        f"_vlmcs._tcp SRV 0 0 {closed} gone", f"_vlmcs._tcp SRV 10 0 {d.where[1]} lab",
        f"gone A {dead}", f"lab A {d.where[0]}",
    ]})
    r = client(server, key, "ato", "-d", "a.test").json
    assert code(r) == "0xC004F038"  # it answered: too low a count is shown as it is
    assert [(a["code"], a["source"]) for a in r["attempts"]] == [("0x800706BA", "dns"), ("0xC004F038", "dns")]
    assert r["client"]["kms_host"]["source"] == "cache"  # and it is remembered
    server.stop()
    r = client(server, key, "ato", "-d", "a.test").json
    assert [(a["code"], a["source"]) for a in r["attempts"]] == [("0xC004F038", "cache")]
    assert r["discovery"]["queries"] == []
    assert client(server, key, "ckhc").code == 0
    r = client(server, key, "ato", "-d", "a.test").json
    assert code(r) == "0x8007232A" and r["attempts"] == []


def test_activation_is_explained(zones, lab, kb, tmp_path):
    d = lab()
    server = zones({"a.test": [f"_vlmcs._tcp SRV 0 0 {d.where[1]} lab", f"lab A {d.where[0]}"], "b.test": []})
    args = ("--key", d.folder / "state" / "lab.key", "--state", tmp_path / "c.json", "--server", f"{server.address}:{server.port}")
    r = kb("client", "ato", "--explain", "-d", "a.test", *args)
    assert r.code == 1 and "0xC004F038" in r.out
    for words in ("lowest priority first", "_vlmcs._tcp.a.test", "is cached and tried first next time"):
        assert words in " ".join(r.out.split()), words
    kb("client", "ckhc", *args[:4])
    r = kb("client", "ato", "-d", "b.test", *args)
    assert "Error: 0x8007232B" in r.out and "no SRV record under the suffix" in r.out


def test_activation_only_is_remembered_where_that_is_set(zones, lab, client):
    d = lab()
    key = d.folder / "state" / "lab.key"
    server = zones({"a.test": [f"_vlmcs._tcp SRV 0 0 {d.where[1]} lab", f"lab A {d.where[0]}"]})
    seen = []
    for n in range(1, 6):  # the fifth server reaches the count
        words = ("ato", "-d", "a.test", "--product", "server")
        r = client(server, key, *words, config="cache_write: activated", state=f"c{n}.json").json
        seen.append((code(r), r["client"]["kms_host"] is not None))
    assert seen == [("0xC004F038", False)] * 4 + [("0x00000000", True)]


def test_wrong_host_is_final(zones, lab, client, kb, tmp_path):
    d, other_key = lab(), tmp_path / "other.key"
    kb("lab", "keygen", other_key)
    wrong = lab(name="wrong", key_file=other_key)
    key = d.folder / "state" / "lab.key"
    server = zones({"a.test": [
        f"_vlmcs._tcp SRV 0 0 {wrong.where[1]} wrong", f"_vlmcs._tcp SRV 10 0 {d.where[1]} lab",
        f"wrong A {wrong.where[0]}", f"lab A {d.where[0]}",
    ]})
    r = client(server, key, "ato", "-d", "a.test").json
    assert code(r) == "0xC004F042" and len(r["attempts"]) == 1
    assert r["client"]["kms_host"] is None
