"""The RPC service as implementations that are not ours see it: impacket, Samba's raw client, Wireshark's dissector.

Where a client library hides the bytes (what a bind_ack holds, which flags a fault has), the answers are read
with the same library's own decoder.
"""

import os
import socket
import struct
import subprocess
import uuid

import pytest
import samba.tests
from impacket.dcerpc.v5 import rpcrt, transport
from impacket.uuid import uuidtup_to_bin
from kblib.lab import KMS, NDR32, NDR64, request_stub, response_body, start_lab
from kblib.loopback import Loopback
from kblib.pcap import Capture
from kblib.process import SLOWER
from kblib.program import Daemon
from samba.dcerpc import dcerpc, misc
from samba.tests.dcerpc.raw_testcase import RawDCERPCTest

ATSVC = ("1ff70682-0a51-30e8-076d-740be8cee98b", "1.0")
FEATURES = ("6cb71c2c-9812-4540-0300-000000000000", "1.0")
NULL_SYNTAX = bytes(20)
ACCEPT, REJECT, NEGOTIATE_ACK = 0, 2, 3
OP_RNG_ERROR, UNK_IF, PROTO_ERROR, NDR_ERROR = 0x1C010002, 0x1C010003, 0x1C01000B, 0x000006F7
HOST_MISMATCH = 0xC004F042
WHOLE = dcerpc.DCERPC_PFC_FLAG_FIRST | dcerpc.DCERPC_PFC_FLAG_LAST


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """One lab host for the whole file; its clean end is checked once."""
    d = start_lab(lambda c, name: Daemon(c, name=name), tmp_path_factory.mktemp("interop"), Loopback().address() + ":0")
    yield d
    d.stop()


# ---- impacket ----


def connect(where):
    rpc = transport.TCPTransport(where[0], where[1])
    rpc.set_connect_timeout(5)
    dce = rpc.get_dce_rpc()
    dce.connect()
    return dce


@pytest.fixture
def dce(lab):
    d = connect(lab.where)
    yield d
    d.disconnect()


def exchange(dce, kind, items, call_id=1, max_recv=4280):
    """A bind or alter_context with any items; impacket's own decoder reads the answer."""
    bind = rpcrt.MSRPCBind()
    bind["max_rfrag"] = max_recv
    for ctx_id, interface, syntax in items:
        item = rpcrt.CtxItem()
        item["ContextID"], item["TransItems"] = ctx_id, 1
        item["AbstractSyntax"], item["TransferSyntax"] = uuidtup_to_bin(interface), uuidtup_to_bin(syntax)
        bind.addCtxItem(item)
    packet = rpcrt.MSRPCHeader()
    packet["type"], packet["pduData"], packet["call_id"] = kind, bind.getData(), call_id
    dce.get_rpc_transport().send(packet.get_packet())
    answer = rpcrt.MSRPCHeader(dce.get_rpc_transport().recv())
    assert answer["call_id"] == call_id
    ack = rpcrt.MSRPCBindAck(answer.getData())
    assert ack["frag_len"] == len(answer.getData())
    return ack


def results(ack):
    items = [ack.getCtxItem(i) for i in range(1, ack["ctx_num"] + 1)]
    return [(i["Result"], i["Reason"], i["TransferSyntax"]) for i in items]


def use(dce, ctx_id):
    """What impacket's own bind notes when all its contexts are accepted."""
    dce._ctx, dce._DCERPC_v5__max_xmit_size = ctx_id, 4280


def ask(dce, body):
    """(HRESULT, body) of one call."""
    dce.call(0, request_stub(body))
    return response_body(dce.recv())


def test_impacket_lab_exchange_on_one_association(lab, dce):
    dce.bind(uuidtup_to_bin(KMS))
    cmid = os.urandom(16)
    first = lab.key.open(ask(dce, lab.key.seal(cmid))[1])
    assert first[1:] == (120, 10080)
    for _ in range(20):
        code, body = ask(dce, lab.key.seal(cmid))
        assert code == 0 and lab.key.open(body)[0] == first[0]  # a known machine does not raise the count
    assert lab.key.open(ask(dce, lab.key.seal())[1])[0] == first[0] + 1


def test_impacket_bind_with_unknown_interfaces_beside_ours(lab, dce):
    dce.bind(uuidtup_to_bin(KMS), bogus_binds=7)
    use(dce, 7)  # the last one
    assert ask(dce, lab.key.seal())[0] == 0


def test_impacket_real_clients_three_items(dce):
    ack = exchange(dce, rpcrt.MSRPC_BIND, [(0, KMS, NDR32), (1, KMS, NDR64), (2, KMS, FEATURES)])
    assert results(ack) == [
        (ACCEPT, 0, uuidtup_to_bin(NDR32)), (REJECT, 2, NULL_SYNTAX), (NEGOTIATE_ACK, 0, NULL_SYNTAX)
    ]
    assert ack["assoc_group"] != 0
    assert ack["SecondaryAddr"].rstrip("\0") == str(dce.get_rpc_transport().get_dport())


def test_impacket_ndr64_alone_is_refused_and_ndr32_then_taken(lab, dce):
    with pytest.raises(rpcrt.DCERPCException, match="provider_rejection; .*transfer"):
        dce.bind(uuidtup_to_bin(KMS), transfer_syntax=NDR64)
    again = connect(lab.where)
    again.bind(uuidtup_to_bin(KMS))
    again.disconnect()


def test_impacket_wrong_interface_is_refused_and_alter_context_mends_it(lab, dce):
    with pytest.raises(rpcrt.DCERPCException, match="abstract_syntax_not_supported"):
        dce.bind(uuidtup_to_bin(ATSVC))
    ack = exchange(dce, rpcrt.MSRPC_ALTERCTX, [(4, KMS, NDR32)], call_id=2)
    assert results(ack) == [(ACCEPT, 0, uuidtup_to_bin(NDR32))]
    assert ack["type"] == rpcrt.MSRPC_ALTERCTX_R and ack["SecondaryAddrLen"] == 0
    use(dce, 4)
    assert ask(dce, lab.key.seal())[0] == 0


def test_impacket_alter_ctx_of_its_own(lab, dce):
    dce.bind(uuidtup_to_bin(KMS))
    second = dce.alter_ctx(uuidtup_to_bin(KMS))
    assert ask(second, lab.key.seal())[0] == 0
    with pytest.raises(rpcrt.DCERPCException, match="abstract_syntax_not_supported"):
        dce.alter_ctx(uuidtup_to_bin(ATSVC))
    assert ask(dce, lab.key.seal())[0] == 0  # the first context is as it was


@pytest.mark.parametrize("size", [8, 16, 100, 200])
def test_impacket_request_in_fragments(lab, dce, size):
    dce.bind(uuidtup_to_bin(KMS))
    dce.set_max_fragment_size(size)
    for _ in range(3):
        code, body = ask(dce, lab.key.seal())
        assert code == 0 and lab.key.open(body)[0] > 0


def test_impacket_response_in_fragments(lab, dce):
    """The client takes 128 octets at a time, less than an answer has."""
    exchange(dce, rpcrt.MSRPC_BIND, [(0, KMS, NDR32)], max_recv=128)
    use(dce, 0)
    dce.call(0, request_stub(lab.key.seal()))
    raw, flags = b"", []
    while not flags or not flags[-1] & rpcrt.PFC_LAST_FRAG:
        head = dce.get_rpc_transport().recv(1, count=24)
        answer = rpcrt.MSRPCRespHeader(head)
        rest = dce.get_rpc_transport().recv(1, count=answer["frag_len"] - 24)
        assert answer["frag_len"] <= 128 and answer["type"] == rpcrt.MSRPC_RESPONSE
        flags.append(answer["flags"])
        raw += rest
    assert flags == [rpcrt.PFC_FIRST_FRAG, rpcrt.PFC_LAST_FRAG]
    code, body = response_body(raw)
    assert code == 0 and lab.key.open(body)[0] > 0


@pytest.mark.parametrize("opnum", [1, 7, 0xFFFF])
def test_impacket_unknown_operation_is_a_fault_and_the_association_goes_on(lab, dce, opnum):
    dce.bind(uuidtup_to_bin(KMS))
    dce.call(opnum, request_stub(lab.key.seal()))
    with pytest.raises(rpcrt.DCERPCException, match="nca_s_op_rng_error"):
        dce.recv()
    assert ask(dce, lab.key.seal())[0] == 0


def test_impacket_arguments_that_are_no_arguments_are_a_fault(lab, dce):
    dce.bind(uuidtup_to_bin(KMS))
    for stub in (b"", b"\1\0\0\0", struct.pack("<II", 8, 9) + bytes(8), struct.pack("<II", 1 << 31, 1 << 31)):
        dce.call(0, stub or b"\0")
        with pytest.raises(rpcrt.DCERPCException, match="rpc_x_bad_stub_data"):
            dce.recv()
    assert ask(dce, lab.key.seal())[0] == 0


@pytest.mark.parametrize("kind", ["ntlm", "netlogon"])
def test_impacket_authentication_is_refused(lab, dce, kind):
    dce.set_credentials("user", "password", "domain")
    dce.set_auth_type(rpcrt.RPC_C_AUTHN_WINNT if kind == "ntlm" else rpcrt.RPC_C_AUTHN_NETLOGON)
    dce.set_auth_level(rpcrt.RPC_C_AUTHN_LEVEL_PKT_INTEGRITY)
    with pytest.raises(rpcrt.DCERPCException, match="code: 0x8 - Authentication type not recognized"):
        dce.bind(uuidtup_to_bin(KMS))


def test_impacket_windows_body_is_refused_well_formed(dce):
    dce.bind(uuidtup_to_bin(KMS))
    assert ask(dce, struct.pack("<HH", 0, 6) + os.urandom(256)) == (HOST_MISMATCH, b"")  # opaque octets


# ---- Samba's raw client ----


class Raw(RawDCERPCTest):
    """Its own connection set-up looks for a Samba server's environment; all else is as Samba uses it."""

    def __init__(self, where):
        super().__init__("noop")
        self.do_ndr_print = self.do_hexdump = False
        self.host, port = where
        self.primary_address, self.secondary_address = str(port), None
        self.ignore_random_pad = None
        self.s = None
        self.connect()

    def context(self, ctx_id, interface, *syntaxes):
        ctx = dcerpc.ctx_list()
        ctx.context_id = ctx_id
        ctx.abstract_syntax = syntax_id(interface)
        ctx.transfer_syntaxes = [syntax_id(s) for s in syntaxes]
        ctx.num_transfer_syntaxes = len(syntaxes)
        return ctx

    def bind_kms(self, *more, **how):
        self.send_pdu(self.generate_bind(call_id=1, ctx_list=[self.context(0, KMS, NDR32), *more], **how))
        rep = self.recv_pdu()
        self.verify_pdu(rep, dcerpc.DCERPC_PKT_BIND_ACK, 1)
        return rep.u

    def ask(self, call_id, body, ctx_id=0):
        self.send_pdu(self.generate_request(call_id=call_id, context_id=ctx_id, opnum=0, stub=request_stub(body)))
        rep = self.recv_pdu()
        self.verify_pdu(rep, dcerpc.DCERPC_PKT_RESPONSE, call_id)
        self.assertEqual(rep.u.context_id, ctx_id)
        self.assertEqual(rep.u.cancel_count, 0)
        self.assertEqual(rep.u.alloc_hint, len(rep.u.stub_and_verifier))
        return response_body(rep.u.stub_and_verifier)

    def expect_fault(self, call_id, status, ctx_id=0):
        """The checks that Samba makes of Windows' own faults."""
        rep = self.recv_pdu()
        self.verify_pdu(rep, dcerpc.DCERPC_PKT_FAULT, call_id, pfc_flags=WHOLE | dcerpc.DCERPC_PFC_FLAG_DID_NOT_EXECUTE)
        self.assertNotEqual(rep.u.alloc_hint, 0)
        self.assertEqual((rep.u.context_id, rep.u.cancel_count, rep.u.flags), (ctx_id, 0, 0))
        self.assertEqual(rep.u.status, status)
        self.assertEqual(rep.u.reserved, 0)
        self.assertEqual(len(rep.u.error_and_verifier), 0)

    def expect_nak(self, reason):
        rep = self.recv_pdu()
        self.verify_pdu(rep, dcerpc.DCERPC_PKT_BIND_NAK, rep.call_id)
        self.assertEqual(rep.u.reject_reason, reason)
        self.assertEqual(rep.u.num_versions, 1)
        self.assertEqual((rep.u.versions[0].rpc_vers, rep.u.versions[0].rpc_vers_minor), (5, 0))

    def expect_end(self):
        self.assertIsNone(self.recv_pdu(timeout=10 * SLOWER))


def syntax_id(pair):
    s = misc.ndr_syntax_id()
    s.uuid = misc.GUID(pair[0])
    major, minor = pair[1].split(".")
    s.if_version = int(major) | int(minor) << 16
    return s


@pytest.fixture
def raw(lab):
    r = Raw(lab.where)
    yield r
    if r.s is not None:
        r.s.close()


def test_samba_bind_and_requests(lab, raw):
    ack = raw.bind_kms()
    assert (ack.max_xmit_frag, ack.max_recv_frag) == (5840, 5840)
    assert ack.assoc_group_id not in (0, 0xFFFFFFFF)
    assert ack.secondary_address == str(lab.where[1])
    assert [(r.result, r.reason) for r in ack.ctx_list] == [(ACCEPT, 0)]
    raw.assertNDRSyntaxEquals(ack.ctx_list[0].syntax, syntax_id(NDR32))
    for call_id in (2, 3, 0xFFFFFFFF):
        code, body = raw.ask(call_id, lab.key.seal())
        assert code == 0 and lab.key.open(body)[0] > 0


def test_samba_features_and_ndr64(raw):
    ack = raw.bind_kms(raw.context(1, KMS, NDR64), raw.context(2, KMS, FEATURES))
    assert [(int(r.result), int(r.reason)) for r in ack.ctx_list] == [(ACCEPT, 0), (REJECT, 2), (NEGOTIATE_ACK, 0)]


def test_samba_ndr64_and_ndr32_in_one_item(lab, raw):
    """One item may offer several syntaxes: the one we have is taken, wherever it stands."""
    raw.send_pdu(raw.generate_bind(call_id=9, ctx_list=[raw.context(3, KMS, NDR64, NDR32)]))
    rep = raw.recv_pdu()
    raw.verify_pdu(rep, dcerpc.DCERPC_PKT_BIND_ACK, 9)
    raw.assertNDRSyntaxEquals(rep.u.ctx_list[0].syntax, syntax_id(NDR32))
    assert raw.ask(10, lab.key.seal(), ctx_id=3)[0] == 0


def test_samba_alter_context_adds_and_refuses(lab, raw):
    group = raw.bind_kms().assoc_group_id
    raw.send_pdu(raw.generate_alter(call_id=2, ctx_list=[raw.context(1, KMS, NDR32)], assoc_group_id=0xFFFFFFFF - group))
    rep = raw.recv_pdu()
    raw.verify_pdu(rep, dcerpc.DCERPC_PKT_ALTER_RESP, 2)
    assert rep.u.assoc_group_id == group and rep.u.secondary_address_size == 0
    assert [(r.result, r.reason) for r in rep.u.ctx_list] == [(ACCEPT, 0)]
    raw.send_pdu(raw.generate_alter(call_id=3, ctx_list=[raw.context(2, ATSVC, NDR32)], assoc_group_id=group))
    assert [(int(r.result), int(r.reason)) for r in raw.recv_pdu().u.ctx_list] == [(REJECT, 1)]
    assert raw.ask(4, lab.key.seal(), ctx_id=1)[0] == 0
    assert raw.ask(5, lab.key.seal(), ctx_id=0)[0] == 0


def test_samba_request_to_a_context_that_is_none(lab, raw):
    raw.bind_kms()
    raw.send_pdu(raw.generate_request(call_id=2, context_id=77, opnum=0, stub=request_stub(lab.key.seal())))
    raw.expect_fault(2, UNK_IF, ctx_id=77)
    assert raw.ask(3, lab.key.seal())[0] == 0


def test_samba_unknown_operation(lab, raw):
    raw.bind_kms()
    raw.send_pdu(raw.generate_request(call_id=2, context_id=0, opnum=1, stub=b""))
    raw.expect_fault(2, OP_RNG_ERROR)
    assert raw.ask(3, lab.key.seal())[0] == 0


def test_samba_object_uuid_is_skipped(lab, raw):
    raw.bind_kms()
    raw.send_pdu(
        raw.generate_request(
            call_id=2, context_id=0, opnum=0, object=misc.GUID(str(uuid.uuid4())), stub=request_stub(lab.key.seal()),
            pfc_flags=WHOLE | dcerpc.DCERPC_PFC_FLAG_OBJECT_UUID,
        )
    )
    rep = raw.recv_pdu()
    raw.verify_pdu(rep, dcerpc.DCERPC_PKT_RESPONSE, 2)
    assert response_body(rep.u.stub_and_verifier)[0] == 0


def fragments(raw, call_id, stub, size):
    pieces = [stub[i : i + size] for i in range(0, len(stub), size)]
    for i, piece in enumerate(pieces):
        flags = (dcerpc.DCERPC_PFC_FLAG_FIRST if i == 0 else 0) | (dcerpc.DCERPC_PFC_FLAG_LAST if i == len(pieces) - 1 else 0)
        yield raw.generate_request(
            call_id=call_id, context_id=0, opnum=0, stub=piece, pfc_flags=flags, alloc_hint=len(stub) - i * size
        )


def test_samba_fragmented_request(lab, raw):
    raw.bind_kms()
    for pdu in fragments(raw, 2, request_stub(lab.key.seal()), 8):
        raw.send_pdu(pdu)
    rep = raw.recv_pdu()
    raw.verify_pdu(rep, dcerpc.DCERPC_PKT_RESPONSE, 2)
    assert response_body(rep.u.stub_and_verifier)[0] == 0


def test_samba_cancel_is_taken_and_the_answer_comes(lab, raw):
    raw.bind_kms()
    pdus = list(fragments(raw, 2, request_stub(lab.key.seal()), 100))
    for pdu in pdus[:-1]:
        raw.send_pdu(pdu)
    raw.send_pdu(raw.generate_co_cancel(call_id=2))
    raw.send_pdu(raw.generate_co_cancel(call_id=99))
    raw.send_pdu(pdus[-1])
    rep = raw.recv_pdu()
    raw.verify_pdu(rep, dcerpc.DCERPC_PKT_RESPONSE, 2)
    assert raw.ask(3, lab.key.seal())[0] == 0


def test_samba_orphaned_call_gets_no_answer(lab, raw):
    before = lab.status()["service"]["requests"]
    raw.bind_kms()
    raw.send_pdu(next(fragments(raw, 2, request_stub(lab.key.seal()), 100)))
    raw.send_pdu(raw.generate_orphaned(call_id=2))
    assert raw.ask(3, lab.key.seal())[0] == 0  # the first thing that is answered
    assert lab.status()["service"]["requests"] == before + 1


def test_samba_shutdown_is_for_servers(raw):
    """Only a server may send one (C706 12.6.4.11)."""
    raw.bind_kms()
    raw.send_pdu(raw.generate_shutdown(call_id=0))
    raw.expect_fault(0, PROTO_ERROR)
    raw.expect_end()


def test_samba_request_before_bind(raw):
    raw.send_pdu(raw.generate_request(call_id=5, context_id=0, opnum=0, stub=b""))
    raw.expect_fault(5, PROTO_ERROR)
    raw.expect_end()


def test_samba_alter_before_bind(raw):
    raw.send_pdu(raw.generate_alter(call_id=5, ctx_list=[raw.context(0, KMS, NDR32)]))
    raw.expect_fault(5, PROTO_ERROR)
    raw.expect_end()


def test_samba_second_bind(raw):
    raw.bind_kms()
    raw.send_pdu(raw.generate_bind(call_id=2, ctx_list=[raw.context(0, KMS, NDR32)]))
    raw.expect_nak(dcerpc.DCERPC_BIND_NAK_REASON_NOT_SPECIFIED)
    raw.expect_end()


def test_samba_auth_trailers_are_refused(lab, raw):
    auth = raw.generate_auth(
        auth_type=dcerpc.DCERPC_AUTH_TYPE_NTLMSSP, auth_level=dcerpc.DCERPC_AUTH_LEVEL_INTEGRITY,
        auth_context_id=1, auth_blob=b"NTLMSSP\0" + bytes(32),
    )
    raw.send_pdu(raw.generate_bind(call_id=0, ctx_list=[raw.context(0, KMS, NDR32)], auth_info=auth))
    raw.expect_nak(dcerpc.DCERPC_BIND_NAK_REASON_INVALID_AUTH_TYPE)
    raw.expect_end()
    again = Raw(lab.where)
    again.bind_kms()
    again.send_pdu(again.generate_alter(call_id=2, ctx_list=[again.context(1, KMS, NDR32)], auth_info=auth))
    again.expect_fault(2, PROTO_ERROR)
    again.expect_end()
    third = Raw(lab.where)
    third.bind_kms()
    third.send_pdu(third.generate_request(call_id=2, context_id=0, opnum=0, stub=bytes(8), auth_info=auth))
    third.expect_fault(2, PROTO_ERROR)
    third.expect_end()


def test_samba_other_protocol_versions(lab, raw):
    pdu = raw.generate_bind(call_id=2, ctx_list=[raw.context(0, KMS, NDR32)])
    pdu.rpc_vers_minor = 7
    raw.send_pdu(pdu)
    raw.expect_nak(dcerpc.DCERPC_BIND_NAK_REASON_PROTOCOL_VERSION_NOT_SUPPORTED)
    raw.expect_end()
    one = Raw(lab.where)
    pdu = one.generate_bind(call_id=2, ctx_list=[one.context(0, KMS, NDR32)])
    pdu.rpc_vers_minor = 1
    one.send_pdu(pdu)
    one.verify_pdu(one.recv_pdu(), dcerpc.DCERPC_PKT_BIND_ACK, 2, rpc_vers_minor=1)
    one.s.close()


# ---- big-endian, by hand: no library here writes it ----


def be_pdu(kind, call_id, body):
    return struct.pack(">BBBB4sHHI", 5, 0, kind, 3, bytes(4), 16 + len(body), 0, call_id) + body


def be_syntax(pair):
    major, minor = (int(x) for x in pair[1].split("."))
    return uuid.UUID(pair[0]).bytes + struct.pack(">I", minor << 16 | major)


def read_pdu(s):
    head = s.recv(16, socket.MSG_WAITALL)
    size = struct.unpack_from(">H", head, 8)[0]
    return head, s.recv(size - 16, socket.MSG_WAITALL)


def test_R03_big_endian_client(lab):
    with socket.create_connection(lab.where, timeout=10 * SLOWER) as s:
        item = struct.pack(">HBB", 7, 1, 0) + be_syntax(KMS) + be_syntax(NDR32)
        s.sendall(be_pdu(11, 0x01020304, struct.pack(">HHIB3s", 4280, 4280, 0, 1, bytes(3)) + item))
        head, body = read_pdu(s)
        assert head[:8] == bytes([5, 0, 12, 3, 0, 0, 0, 0]) and struct.unpack_from(">I", head, 12)[0] == 0x01020304
        assert struct.unpack_from(">HH", body) == (4280, 4280)
        assert body[-24:] == struct.pack(">HH", ACCEPT, 0) + be_syntax(NDR32)
        for call_id in (1, 2):
            lab_body = lab.key.seal()
            stub = struct.pack(">II", len(lab_body), len(lab_body)) + lab_body
            s.sendall(be_pdu(0, call_id, struct.pack(">IHH", len(stub), 7, 0) + stub))
            head, body = read_pdu(s)
            assert head[2] == 2 and struct.unpack_from(">I", head, 12)[0] == call_id
            assert struct.unpack_from(">IHBB", body) == (len(body) - 8, 7, 0, 0)
            size, pointer, count = struct.unpack_from(">III", body, 8)
            assert pointer != 0 and size == count
            assert struct.unpack_from(">I", body, 20 + size)[0] == 0
            assert lab.key.open(body[20 : 20 + size])[0] > 0


# ---- Wireshark ----


def tshark(path, port, *args):
    """Fields that tshark prints. Checksums are right, so they are checked too."""
    r = subprocess.run(
        ["tshark", "-n", "-r", path, "-d", f"tcp.port=={port},dcerpc", "-o", "tcp.check_checksum:TRUE",
         "-o", "ip.check_checksum:TRUE", *args],
        capture_output=True, text=True, timeout=60 * SLOWER, check=False, env={**os.environ, "HOME": os.path.dirname(path)},
    )
    assert r.returncode == 0, r.stderr
    return r.stdout.splitlines()


def test_tshark_dissects_every_pdu_without_a_mark(lab, started, tmp_path):
    capture = Capture(lab.where, Loopback().address())
    started.append(capture)
    # a real client's items, requests whole and in fragments, an answer in fragments, faults, refusals
    r = Raw(capture.where)
    r.bind_kms(r.context(1, KMS, NDR64), r.context(2, KMS, FEATURES), max_recv_frag=136)
    r.send_pdu(r.generate_alter(call_id=2, ctx_list=[r.context(0, KMS, NDR32)]))
    r.recv_pdu()
    for pdu in fragments(r, 3, request_stub(lab.key.seal()), 104):
        r.send_pdu(pdu)
    seen = b""
    while not seen or not last_fragment(seen):
        seen += r.recv_raw()
    r.send_pdu(r.generate_request(call_id=4, context_id=0, opnum=9, stub=b""))
    r.recv_pdu()
    r.s.close()
    n = Raw(capture.where)
    n.bind_kms()
    n.send_pdu(n.generate_bind(call_id=2, ctx_list=[n.context(0, KMS, NDR32)]))
    n.expect_nak(dcerpc.DCERPC_BIND_NAK_REASON_NOT_SPECIFIED)
    n.s.close()
    path = str(tmp_path / "kms.pcap")
    capture.pcap(path)
    port = capture.where[1]
    marked = tshark(path, port, "-Y", "_ws.malformed || _ws.expert.severity >= \"Warning\"", "-T", "fields",
                    "-e", "frame.number", "-e", "_ws.expert.message")
    assert not [m for m in marked if "Fault" not in m and "Bind not acknowledged" not in m], marked
    kinds = tshark(path, port, "-Y", "dcerpc", "-T", "fields", "-E", "occurrence=a", "-e", "dcerpc.pkt_type")
    flat = [int(k) for line in kinds for k in line.split(",")]
    assert {k: flat.count(k) for k in sorted(set(flat))} == {0: 4, 2: 2, 3: 1, 11: 3, 12: 2, 13: 1, 14: 1, 15: 1}, flat
    acks = tshark(path, port, "-Y", "dcerpc.pkt_type == 12", "-T", "fields", "-e", "dcerpc.cn_ack_result",
                  "-e", "dcerpc.cn_ack_reason", "-e", "dcerpc.cn_sec_addr")
    assert acks == [f"0,2,3\t2\t{lab.where[1]}", f"0\t\t{lab.where[1]}"], acks
    status = tshark(path, port, "-Y", "dcerpc.pkt_type == 3", "-T", "fields", "-e", "dcerpc.cn_status")
    assert [int(s, 0) for s in status] == [OP_RNG_ERROR]


def last_fragment(data):
    """Do these octets end with a PDU that is the last of its call?"""
    at = 0
    while at + 16 <= len(data):
        size = struct.unpack_from("<H", data, at + 8)[0]
        if at + size == len(data):
            return bool(data[at + 3] & rpcrt.PFC_LAST_FRAG)
        at += size
    return False
