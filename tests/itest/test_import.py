"""`kmsbeacon import`: exports as Windows writes them become a configuration that check-config takes."""

import re

import pytest

KEY = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\SoftwareProtectionPlatform"
HEAD = "Windows Registry Editor Version 5.00"


def multi(*strings, ansi=False):
    """hex(7) with the line breaks of regedit."""
    raw = "".join(s + "\0" for s in [*strings, ""])
    data = raw.encode("ascii" if ansi else "utf-16-le")
    text = ",".join(f"{b:02x}" for b in data)
    return "hex(7):" + re.sub(r"((?:..,){20})(?=.)", "\\1\\\\\n  ", text)


def export(*lines, head=HEAD, key=KEY):
    return "\n".join([head, "", f"[{key}]", *lines, ""])


HOST = export(
    '@=""', '"KeyManagementServiceListeningPort"="1689"', '"DisableDnsPublishing"=dword:00000000',
    '"DnsDomainPublishList"=' + multi("corp.example, 10, 100", "DEPT.example ", "", "lab.corp.example,10,100", "x y", "a,b,c,d"),
    '"VLActivationInterval"=dword:00000078', '"VLRenewalInterval"=dword:00002760', '"EnableKmsLowPriority"=dword:00000001',
    '"KeyManagementServiceVersion"="10.0.20348.1"', '"KeyManagementServiceName"="other.corp.example"',
    '"CacheStore"="C:\\\\Windows\\\\x \\"quoted\\""', '"Binary"=hex:01,02,\\\n  03', "; a comment", "",
    f"[{KEY}\\55c92734-d682-4d71-983e-d6ec3f16059f]", '"KeyManagementServiceName"="kms9.corp.example"', '"x"=dword:1',
)


@pytest.fixture
def imported(kb, tmp_path):
    """imported(text, encoding) -> (YAML's settings, notes); the YAML has passed check-config."""

    def run(text, *words, encoding="utf-16", newline="\r\n", bom=b""):
        file, yaml = tmp_path / "x.reg", tmp_path / "kb.yaml"
        file.write_bytes(bom + text.replace("\n", newline).encode(encoding))
        r = kb("import", file, *words)
        assert r.code == 0, r
        assert all(line.startswith(f"{file}: ") for line in r.err.splitlines()), r
        yaml.write_text(r.out)
        checked = kb("check-config", "-c", yaml, "--dump")
        assert checked.code == 0, f"{r}\n{checked}"
        return r.out, r.err

    return run


def test_host_with_everything(imported):
    yaml, notes = imported(HOST, "--target", "KMS1.corp.example")
    for line in (
        '  - { name: windows-10-100, target: "kms1.corp.example", port: 1689, priority: 10, weight: 100 }',
        '  - { name: windows-0-0, target: "kms1.corp.example", port: 1689, priority: 0, weight: 0 }',
        '    - { domain: "corp.example", hosts: [windows-10-100] }',
        '    - { domain: "dept.example", hosts: [windows-0-0] }',
        '    - { domain: "lab.corp.example", hosts: [windows-10-100] }',
        "  activation_interval: 120m", "  renewal_interval: 10080m",
    ):
        assert f"\n{line}\n" in yaml, f"{line}\n{yaml}"
    for said in ("'x y'", "'a,b,c,d'", "EnableKmsLowPriority", "other.corp.example", "slmgr /cdns", "one product",
                 "only mode lab", "own domain"):
        assert said in notes, f"{said}\n{notes}"
    assert "change-me" not in yaml


@pytest.mark.parametrize("how", [
    {"encoding": "utf-16"}, {"encoding": "utf-16-le"}, {"encoding": "utf-8"}, {"encoding": "utf-8", "bom": b"\xef\xbb\xbf"},
    {"encoding": "utf-16", "newline": "\n"}, {"encoding": "utf-8", "newline": "\n"},
])
def test_every_encoding_gives_the_same(imported, how):
    assert imported(HOST, **how) == imported(HOST)


def test_regedit4_has_bytes_in_its_lists(imported):
    text = export('"DnsDomainPublishList"=' + multi("a.example,1", "b.example", ansi=True), head="REGEDIT4")
    yaml, _ = imported(text, encoding="ascii")
    assert '"a.example"' in yaml and '"b.example"' in yaml and "priority: 1," in yaml


def test_without_a_name_nothing_can_be_published_by_mistake(imported):
    yaml, notes = imported(HOST)
    assert 'target: "change-me.corp.example"' in yaml and "--target" in notes
    yaml, notes = imported(export('"KeyManagementServiceVersion"="6.1"'))
    assert "domains: []" in yaml and "own domain" in notes


def test_own_domain_where_there_is_no_list(imported):
    yaml, _ = imported(export('"KeyManagementServiceListeningPort"="1688"'), "--target", "kms1.corp.example")
    assert '    - { domain: "corp.example", hosts: [windows] }\n' in yaml


def test_publishing_turned_off(imported):
    lines = ['"DisableDnsPublishing"=dword:1', '"DnsDomainPublishList"=' + multi("corp.example", "dept.example,5")]
    yaml, notes = imported(export(*lines), "--target", "kms1.corp.example")
    assert "  domains: []\n#    - { domain: \"corp.example\"" in yaml and "DisableDnsPublishing" in notes
    assert "slmgr /cdns" not in notes


def test_key_of_a_client_names_its_host(imported):
    lines = ['"KeyManagementServiceName"="kms7.corp.example"', '"KeyManagementServicePort"="1700"',
             '"KeyManagementServiceLookupDomain"="dept.example"', '"DisableKeyManagementServiceHostCaching"=dword:1']
    yaml, notes = imported(export(*lines))
    assert 'target: "kms7.corp.example", port: 1700' in yaml and '{ domain: "corp.example"' in yaml
    assert 'suffixes: ["dept.example"]' in yaml and "cache: false" in yaml and "kms7.corp.example" in notes


@pytest.mark.parametrize("line, said", [
    ('"KeyManagementServiceListeningPort"="99999"', "port from 1 to 65535"),
    ('"VLRenewalInterval"=dword:00000001', "15 to 43200"),
    ('"DnsDomainPublishList"=' + multi("a.example,70000"), "a.example,70000"),
    ('"DnsDomainPublishList"=' + multi("a.example", "A.example.,3"), "stands there twice"),
    ('"DnsDomainPublishList"=' + multi("_vlmcs._tcp.a.example"), "_vlmcs._tcp.a.example"),
    ('"DnsDomainPublishList"=' + multi("10.0.0.1", "-a.example", "a..b", "\u00fc.example"), "10.0.0.1"),
    ('"DnsDomainPublishList"=dword:1', "no list of strings"),
    ('"KeyManagementServiceName"="10.0.0.1"', "no full name"),
    ('"KeyManagementServiceName"="kms."', "change-me"),
])
def test_what_is_wrong_is_said_and_left_out(imported, line, said):
    yaml, notes = imported(export(line))
    assert said in notes
    assert not re.search(r"99999|70000|10\.0\.0\.1|-a\.ex", yaml), yaml


@pytest.mark.parametrize("text, code, said", [
    ("hello\n", 2, "line 1: no registry export"),
    ("", 2, "no registry export"),
    (HEAD + "\n\n[HKEY_CURRENT_USER\\Software]\n\"a\"=\"b\"\n", 1, "export that key"),
    (export('"DnsDomainPublishList"=hex(7):6'), 2, "line 4: a hex value"),
    (export('"a"="never closed'), 2, "closing quote"),
    (export('"a" dword:1'), 2, "line 4: a = is missing"),
    (HEAD + '\n"a"=dword:1\n', 2, "line 2: a value before"),
])
def test_what_cannot_be_read_is_one_sentence(kb, tmp_path, text, code, said):
    file = tmp_path / "x.reg"
    file.write_text(text)
    r = kb("import", file)
    assert r.code == code and said in r.err and r.out == "" and len(r.err.splitlines()) == 1, r


def test_stdin_and_wrong_use(kb, tmp_path):
    r = kb("import", "-", "--target", "kms1.corp.example", stdin=HOST)
    assert r.code == 0 and "kms1.corp.example" in r.out
    for words, said in (([], "one FILE.reg"), (["a", "b"], "one FILE.reg"), (["-", "--target", "kms1"], "full name"),
                        ([tmp_path / "none"], "No such file")):
        r = kb("import", *words, stdin="")
        assert r.code == 2 and said in r.err, r
