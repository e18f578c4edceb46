"""`kmsbeacon explain`: every code an administrator meets, in each form in which it is met."""

import dns.rcode
import pytest
from impacket.dcerpc.v5 import rpcrt

# behaviour §5: every code of its table
KMS_CODES = """
    C004F074 C004F038 C004F039 C004F041 C004F042 C004F035 C004F06C C004F00F C004F056 C004F06B C004F009 C004F014
    C004F02C C004F050 C004F051 C004F064 4004F065 C004F065 C004F200 C004F069 C004F075 C004F081 4004F040 C004C008
    8007232B 8007232A 8007251D 80092328 8007007B 8007267C 800706BA C0020017 8007139F 80070005 80072EE2 8004FE21
    8004FE92 8007000D 80072338
""".split()
RCODES = "NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE".split()
TSIG = ["BADSIG", "BADKEY", "BADTIME", "BADMODE", "BADNAME", "BADALG", "BADTRUNC"]
RPC = """
    nca_s_op_rng_error nca_s_unk_if nca_s_proto_error nca_s_server_too_busy nca_s_fault_ndr
    nca_s_fault_remote_no_memory nca_s_unsupported_authn_level temporary_congestion local_limit_exceeded
    protocol_version_not_supported authentication_type_not_recognized invalid_checksum
    abstract_syntax_not_supported proposed_transfer_syntaxes_not_supported
""".split()


@pytest.fixture(scope="module")
def known():
    from kblib.program import run_program

    return run_program(["explain", "--json"]).json["codes"]


def explain(kb, text):
    r = kb("explain", "--json", text)
    assert r.code == 0 and r.err == "", r
    return r.json["codes"]


def test_every_code_has_meaning_and_next_step(known):
    assert len(known) > 150
    for row in known:
        assert row["meaning"] and row["next_step"], row
        assert row["code"] or row["name"], row
        if row["kind"] not in ("finding", "error of kmsbeacon"):  # those say it in their text
            assert row["cause"], row


def test_every_code_of_the_behaviour_page_is_there(known):
    numbers = {row["code"] for row in known if row["kind"] == "HRESULT"}
    assert {f"0x{c}" for c in KMS_CODES} <= numbers
    for key in ("name", "code"):
        pairs = [(row["kind"], row[key]) for row in known if row[key]]
        assert len(pairs) == len(set(pairs))
    names = {row["name"] for row in known}
    assert {*RCODES, *TSIG, *RPC, "BADVERS", "BADCOOKIE"} <= names


def test_numbers_agree_with_impacket_and_dnspython(known):
    faults = {row["number"]: row["name"] for row in known if row["kind"] == "RPC fault"}
    for number, name in rpcrt.rpc_status_codes.items():
        # 0 is no fault, 8 the reason of a bind_nak, 0x16... are statuses of DCE's own run-time library
        if number not in (0, 8) and number >> 24 != 0x16:
            assert faults[number] in name.strip().lower() or number == 0x6F7, hex(number)
    rcodes = {row["number"]: row["name"] for row in known if row["kind"] == "DNS response code"}
    errors = {row["number"]: row["name"] for row in known if row["kind"] == "TSIG error"}
    for rcode in dns.rcode.Rcode:
        assert rcode.name in (rcodes.get(rcode), errors.get(rcode)), rcode


def test_every_row_is_found_by_its_name_and_its_code(known, kb):
    names = {row["name"] for row in known if row["name"]}
    for name in sorted(names)[::7]:  # each by a process: some of them
        assert name in [row["name"] for row in explain(kb, name.swapcase())]


@pytest.mark.parametrize("text", [
    "0xC004F074", "0xc004f074", "C004F074", "c004f074", "-1073418124", "3221549172",
    "sl_e_vl_binding_service_unavailable",
])
def test_forms_of_one_code(kb, text):
    assert [row["code"] for row in explain(kb, text)] == ["0xC004F074"]


@pytest.mark.parametrize("text, wanted", [
    ("0x800706BA", ["RPC_S_SERVER_UNAVAILABLE"]),
    ("1722", ["RPC_S_SERVER_UNAVAILABLE"]),
    ("80070005", ["E_ACCESSDENIED"]),
    ("9003", ["DNS_ERROR_RCODE_NAME_ERROR"]),
    ("NOTAUTH(BADTIME)", ["BADTIME", "NOTAUTH"]),
    ("notauth(badkey)", ["BADKEY", "NOTAUTH"]),
    ("9", ["NOTAUTH", "invalid_checksum"]),
    ("16", ["BADVERS", "BADSIG"]),
    ("0x1C010003", ["nca_s_unk_if"]),
    ("0x6F7", ["nca_s_fault_ndr"]),
    ("no-kms-interface", ["no-kms-interface"]),
    ("dead-target", ["dead-target"]),
    ("12293", ["event 12293"]),
    ("8198", ["event 8198"]),
    ("0x4000008", ["KMS_STATUS_OTHER_PC", "KMS_STATUS_NOT_ENOUGH_COUNT"]),
    ("8", ["NXRRSET", "authentication_type_not_recognized", "KMS_STATUS_OTHER_PC"]),
    ("DNS_NODATA", ["DNS_NODATA"]),
])
def test_what_a_text_means(kb, text, wanted):
    assert [row["name"] for row in explain(kb, text)] == wanted


def test_dns_codes_say_what_windows_shows(kb):
    assert explain(kb, "NXDOMAIN")[0]["hresult"] == "0x8007232B"
    assert explain(kb, "BADTIME")[0]["hresult"] == "0x8007233A"
    assert explain(kb, "BADVERS")[0]["hresult"] is None


@pytest.mark.parametrize("text, near", [
    ("0xC004F047", "0xC004F074"), ("NXDOMIAN", "NXDOMAIN"), ("server_unavailable", "0x800706BA"), ("BADTIEM", "BADTIME"),
])
def test_unknown_code_names_what_is_near(kb, text, near):
    r = kb("explain", text)
    assert r.code == 1 and r.out == ""
    assert text in r.err.splitlines()[0] and near in r.err
    r = kb("explain", "--json", text)
    assert r.json["error"]["code"] == "NOT_FOUND"
    assert near in [v for row in r.json["near"] for v in (row["code"], row["name"])]


@pytest.mark.parametrize("text", ["nothing-of-the-kind", "", "-", "0x", "()", "99999999999999999999", "x" * 5000, "(bogus)"])
def test_nonsense_is_one_sentence(kb, text):
    r = kb("explain", "--", text)
    assert r.code == 1 and len(r.err.splitlines()) == 1, r


def test_control_characters_are_not_printed(kb):
    assert "\x1b" not in kb("explain", "\x1b[2J").err


def test_pages_fit_a_terminal(kb):
    for words in (["explain"], ["explain", "0x8007232A"], ["explain", "dead-target"], ["explain", "nca_s_server_too_busy"]):
        r = kb(*words)
        assert r.code == 0 and max(map(len, r.out.splitlines())) <= 100
    assert kb("explain", "one", "two").code == 2
